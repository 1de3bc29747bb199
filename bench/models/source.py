"""What one source of weights has for one architecture, and how its file comes to this machine."""

import difflib
import os
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torchvision import models
from torchvision.models import WeightsEnum

from bench.architectures import ARCHITECTURES
from bench.errors import WeightsError
from bench.models import cache
from bench.models.build import check
from bench.models.state import read
from bench.record import MissingWeights, Weights

RANDOM = Weights(source="random", name="random", init_seed=0)
"""One fixed backbone for all seeds, drawn from its `init_seed`."""

SCRATCH = Weights(source="scratch", name="scratch")
"""A backbone drawn anew for each seed; needs no source."""


class Ready(NamedTuple):
    """Weights at hand."""

    weights: Weights
    path: Path | None  # None = drawn, not read


class Download(NamedTuple):
    """A published file that is not in the cache, on a server that answers."""

    architecture: str
    member: WeightsEnum

    @property
    def address(self) -> str:
        """Where torchvision publishes it."""
        return cast(str, self.member.url)

    @property
    def megabytes(self) -> float:
        """Its published size."""
        return cast(float, self.member.meta["_file_size"])


Finding = Ready | Download | MissingWeights


def look(architecture: str, entry: str, *, offline: bool) -> Finding:
    """What one entry has for one architecture; changes nothing.

    Raises WeightsError for an unknown name, and for a folder's file that is not usable.
    """
    if entry == "random":
        return Ready(RANDOM, None)
    if "/" in entry:
        return _in_folder(architecture, entry)
    name = ARCHITECTURES[architecture].pinned if entry == "imagenet" else entry
    published = member(architecture, name)
    found = cache.cached(published.url, cache_folder())
    if isinstance(found, cache.Located):
        return _published(published, found)
    hindrance = "offline" if offline else cache.unreachable(published.url)
    if hindrance is None:
        return Download(architecture, published)
    return _missing(architecture, published, f"{found.why}; {hindrance}")


def obtain(finding: Ready | Download) -> Ready | MissingWeights:
    """The weights with their file on this machine."""
    if isinstance(finding, Ready):
        return finding
    found = cache.fetch(finding.address, cache_folder())
    if isinstance(found, cache.Absent):
        return _missing(finding.architecture, finding.member, found.why)
    return _published(finding.member, found)


def member(architecture: str, weights_name: str) -> WeightsEnum:
    """The member of the architecture's weights enum of exactly this name.

    Raises WeightsError with the accepted names, and the one that was probably meant.
    """
    accepted = {found.name: found for found in models.get_model_weights(architecture)}
    if weights_name not in accepted:
        near = difflib.get_close_matches(weights_name.upper(), accepted, n=1)
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        raise WeightsError(
            f"{architecture} has no weights {weights_name!r}{meant}; accepted: "
            f"{', '.join(accepted)}, imagenet, random, or a folder (with a '/')"
        )
    return accepted[weights_name]


def _published(published: WeightsEnum, found: cache.Located) -> Ready:
    """A verified file of torchvision's."""
    weights = Weights(source="imagenet", name=published.name, sha256=found.sha256)
    return Ready(weights, found.path)


def _missing(architecture: str, published: WeightsEnum, why: str) -> MissingWeights:
    """A file of torchvision's that cannot be had."""
    return MissingWeights(
        architecture=architecture,
        file=cache.file_name(published.url),
        address=published.url,
        folder=shown(cache_folder()),
        why=why,
    )


def _in_folder(architecture: str, entry: str) -> Ready | MissingWeights:
    """The architecture's file in a folder of one's own; WeightsError if it is not usable."""
    folder = Path(entry).expanduser()
    names = (f"{architecture}.safetensors", f"{architecture}.pth")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return MissingWeights(
            architecture=architecture,
            file=" or ".join(names),
            address=None,
            folder=shown(entry),
            why="not in the folder" if folder.is_dir() else "there is no such folder",
        )
    try:
        check(architecture, read(path))
    except WeightsError as error:
        raise WeightsError(f"{architecture}: {path.name} in {shown(entry)}: {error}") from None
    weights = Weights(source="folder", name=path.name, sha256=cache.sha256(path))
    return Ready(weights, path)


def cache_folder() -> Path:
    """Where torchvision keeps published files."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def shown(place: str | Path) -> str:
    """A folder as records and messages write it: never an absolute path.

    The name of a source and a relative path stay as they are.
    """
    path = Path(place)
    if not path.is_absolute():
        return str(place)
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        root = os.environ.get(variable)
        if root and path.is_relative_to(root):
            return f"${variable}/{path.relative_to(root).as_posix()}"
    if path.is_relative_to(Path.home()):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return f".../{path.name}"
