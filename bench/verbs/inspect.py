"""`bench inspect`: the parts of an architecture."""

from typing import Annotated

import typer

from bench.terminal import out


def inspect(
    architecture: Annotated[str, typer.Argument(help="A name from `bench list architectures`.")],
) -> None:
    """Print the parts of an architecture: stages, head, weights, transforms, accuracy."""
    from bench.architectures import ARCHITECTURES
    from bench.errors import unknown

    if architecture not in ARCHITECTURES:
        text = unknown(architecture, list(ARCHITECTURES))
        raise typer.BadParameter(f'architecture "{architecture}" {text}')
    from bench import views
    from bench.running import child

    out.print(views.description(child.call("bench.models.describe:describe", architecture)))
