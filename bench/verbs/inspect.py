"""`bench inspect`: the parts of an architecture."""

from typing import Annotated

import typer

from bench.terminal import out


def inspect(
    architecture: Annotated[str, typer.Argument(help="A name from `bench list architectures`.")],
) -> None:
    """Print the parts of an architecture and its pinned weights."""
    from bench.architectures import ARCHITECTURES
    from bench.errors import InputError, unknown

    if architecture not in ARCHITECTURES:
        raise InputError(
            f'architecture "{architecture}" {unknown(architecture, list(ARCHITECTURES))}'
        )
    from bench import views
    from bench.running import child

    out.print(views.description(child.call("bench.models.describe:describe", architecture)))
