"""`bench export`: a trained network as files that need no bench."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import FolderError, InputError
from bench.terminal import out, say, status
from bench.verbs.options import CellId, Offline, OwnWeights

if TYPE_CHECKING:
    from bench.serving.messages import Exported, Trained


class Form(StrEnum):
    SAFETENSORS = "safetensors"
    TORCH = "torch"
    ONNX = "onnx"


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    cell: CellId = None,
    place: Annotated[
        Path | None,
        typer.Option("--out", help="New folder to write; by default export/<cell id> in the run."),
    ] = None,
    form: Annotated[
        list[Form] | None,
        typer.Option(
            "--format",
            help="torch adds model.pt2 (torch.export), onnx adds model.onnx; more than once for "
            "both. model.safetensors is always written.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images to check the files on; best those of the run."),
    ] = None,
    weights: OwnWeights = None,
    offline: Offline = False,
) -> None:
    """Save a trained network as files that need no bench.

    With its class names and preprocessing; by default the chosen network.
    """
    from bench.running import child
    from bench.verbs.runs import trained_cell

    forms = [name for name in Form if name == Form.SAFETENSORS or name in (form or [])]
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if Form.ONNX in forms and lacking:
        problem = f"--format onnx needs packages that are not installed: {', '.join(lacking)}"
        raise InputError([problem, f"pip install {' '.join(lacking)}"])
    trained = trained_cell(folder, cell, weights, offline=offline)
    target = place or folder / "export" / trained.record.cell_id
    if images is not None and not images.is_dir():
        raise InputError(f"--images {images}: no such folder")
    names = tuple(name.value for name in forms)
    asked = (trained, names, folder, images)
    with new_folder(target) as made, status(out, "exporting and checking the files"):
        done: Exported = child.call("bench.serving.export:export", *asked, made)
    for line in page(trained, done):
        say(line)
    say(f"exported: {target}")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the name of `target` at the end: whole, or not there at all.

    Raises FolderError where there is something of that name, or the disk does not take it.
    """
    from bench.folder import disk_errors

    if target.suffix in (".safetensors", ".pt2", ".pth", ".pt", ".onnx"):
        raise FolderError(f"{target}: --out names a folder; --format says what it holds")
    if target.exists() or target.is_symlink():
        raise FolderError(f"{target}: already exists; remove it, or name another with --out")
    with disk_errors(target):
        nearest = next(folder for folder in target.absolute().parents if folder.exists())
        made = Path(tempfile.mkdtemp(dir=nearest, prefix=f".{target.name}."))
    try:
        yield made
        with disk_errors(target):
            for path in made.iterdir():
                path.chmod(0o644)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            made.chmod(0o755)
            target.parent.mkdir(parents=True, exist_ok=True)
            made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def page(trained: "Trained", done: "Exported") -> Iterator[str]:
    cell = trained.record.cell
    yield f"{cell.architecture_label} · {cell.strategy} · s{cell.seed} ({trained.record.cell_id})"
    if done.num_images:
        yield f"checked on {done.num_images} {done.images}: same classes as the trained network"
    else:
        yield f"not checked: {done.images}"
    if done.as_recorded is not None:
        yield f"  {done.as_recorded} of {done.num_images} classes as on record"
    for file in done.files:
        size = f"  {file.name}: {file.num_bytes / 1e6:.1f} MB"
        if file.check is None:
            yield size
        else:
            largest, tolerance = file.check
            yield f"{size}, logits off by at most {largest:.1g} (allowed {tolerance:.1g})"
    yield "  model.json: classes, preprocessing, scores, and how to load it without bench"
    yield "  pictures.py: opens image files as the run did; the lines in model.json use it"
