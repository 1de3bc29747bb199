"""Options that several verbs have, said in the same words."""

from pathlib import Path
from typing import Annotated

import typer

CellId = Annotated[
    str | None,
    typer.Option("--cell", help="Cell id, as in results.csv; by default the chosen one."),
]
OwnWeights = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder of your own weights that the run started from."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Use only weights that are on this machine.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
OwnImages = Annotated[
    str | None,
    typer.Option("--dataset", help="Folder of your own images, in place of the suite's [dataset]."),
]
Everything = Annotated[bool, typer.Option("--all", help="Print what passed as well.")]

RESULTS = "results"
"""Where runs lie that nobody named a folder for; it need not be there."""
