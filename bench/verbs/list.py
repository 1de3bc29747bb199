"""`bench list`: what a suite may name."""

from enum import StrEnum
from typing import Annotated

import typer

from bench.terminal import out


class Listed(StrEnum):
    ARCHITECTURES = "architectures"
    STRATEGIES = "strategies"
    DATASETS = "datasets"


def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")] = Listed.ARCHITECTURES,
) -> None:
    """List what a suite may name."""
    from bench import views

    pages = {
        Listed.ARCHITECTURES: views.architectures,
        Listed.STRATEGIES: views.strategies,
        Listed.DATASETS: views.datasets,
    }
    out.print(pages[what]())
