"""`bench list` and `bench inspect`: what a suite may name, and the parts of an architecture."""

from typing import Annotated, Literal

import typer

from bench.errors import InputError, unknown
from bench.terminal import out


def list_(
    what: Annotated[
        Literal["architectures", "strategies", "datasets"], typer.Argument(help="What to list.")
    ] = "architectures",
    match: Annotated[
        str | None,
        typer.Option(help="Only architectures, those of timm too, of this pattern: 'convnext*'."),
    ] = None,
) -> None:
    """List what a suite may name."""
    from bench import views

    if match is not None:
        from bench.running import child

        names = child.call("bench.models.libraries:names", match)
        if not names:
            raise InputError(f'--match "{match}": neither torchvision nor timm has such a network')
        out.print(*names, sep="\n")
        return
    out.print(getattr(views, what)())


def inspect(
    architecture: Annotated[str, typer.Argument(help="A name from `bench list architectures`.")],
) -> None:
    """Print the parts of an architecture and its pinned weights."""
    from bench.architectures import ARCHITECTURES, TIMM

    if architecture not in ARCHITECTURES and not architecture.startswith(TIMM):
        raise InputError(
            f'architecture "{architecture}" {unknown(architecture, list(ARCHITECTURES))}'
        )
    from bench import views
    from bench.running import child

    out.print(views.description(child.call("bench.models.build:describe", architecture)))
