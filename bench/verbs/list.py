"""`bench list` and `bench inspect`: what a suite may name, and the parts of an architecture."""

from typing import Annotated, Literal

import typer

from bench.errors import InputError, unknown
from bench.terminal import out


def list_(
    what: Annotated[
        Literal["architectures", "strategies", "datasets"], typer.Argument(help="What to list.")
    ] = "architectures",
) -> None:
    """List what a suite may name."""
    from bench import views

    out.print(getattr(views, what)())


def inspect(
    architecture: Annotated[str, typer.Argument(help="A name from `bench list architectures`.")],
) -> None:
    """Print the parts of an architecture and its pinned weights."""
    from bench.architectures import ARCHITECTURES

    if architecture not in ARCHITECTURES:
        raise InputError(
            f'architecture "{architecture}" {unknown(architecture, list(ARCHITECTURES))}'
        )
    from bench import views
    from bench.running import child

    out.print(views.description(child.call("bench.models.build:describe", architecture)))
