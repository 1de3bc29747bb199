"""Where a network comes from: torchvision or timm, by its name.

timm takes seconds to import, which a suite without its networks does not wait for.
"""

import fnmatch

from bench.architectures import ARCHITECTURES, TIMM, Architecture
from bench.models.library import Library


def architecture(name: str) -> Architecture:
    """The row of a name in the table, or of one of timm's that `exact` made.

    Raises WeightsError where timm's network is no plain classifier.
    """
    if not name.startswith(TIMM):
        return ARCHITECTURES[name]
    from bench.models import from_timm  # imports timm, seconds that others need not wait for

    return from_timm.architecture(name)


def names(pattern: str) -> list[str]:
    """Networks of the table, then of timm, whose names match a pattern such as `convnext*`."""
    from bench.models import from_timm

    return [*fnmatch.filter(ARCHITECTURES, pattern), *from_timm.names(pattern)]


def exact(name: str) -> str:
    """The name, of timm's networks with the tag of their weights. Raises WeightsError."""
    if not name.startswith(TIMM):
        return name
    from bench.models import from_timm

    return from_timm.exact(name)


def library(row: Architecture) -> Library:
    if row.timm is None:
        from bench.models import from_torchvision

        return from_torchvision.LIBRARY
    from bench.models import from_timm

    return from_timm.LIBRARY
