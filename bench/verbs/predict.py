"""`bench predict`: what images show, by a trained network or a published one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from bench.errors import Exit, InputError, meant
from bench.terminal import add, err, out, say, status, table
from bench.verbs.options import CellId, Device, Offline, OwnWeights

if TYPE_CHECKING:
    from bench.serving.messages import Predictions, Published, Trained


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN|ARCHITECTURE",
            help="A run folder, or an architecture's name for ImageNet's classes.",
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Image files, or folders: all images below them."),
    ],
    cell: CellId = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes of each image.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    device: Device = "auto",
    weights: OwnWeights = None,
    offline: Offline = False,
) -> None:
    """Print what images show, with probabilities."""
    from bench.running import child

    wanted = wanted_model(model, cell, weights, offline=offline)
    paths, problems = files_of(images)
    with status(out, "predicting") as show:

        def hear(num_done: int) -> None:
            show(f"predicting: {num_done:,} of {len(paths):,}")

        done: Predictions = child.call(
            "bench.serving.predict:predict", wanted, tuple(paths), top, device, listen=hear
        )
    for path, image in zip(paths, done.images, strict=True):
        if image.problem is not None:
            problems.append((path, image.problem.removeprefix(f"{path}: ")))
    if as_json:
        typer.echo(json.dumps(document(paths, done, problems), indent=1))
    else:
        out.print(page(paths, done))
    for name, why in problems:
        say(f"not predicted: {name}: {why}", console=err)
    raise typer.Exit(Exit.NOT_ALL_OK if problems else Exit.OK)


def wanted_model(
    model: str, cell: str | None, weights: Path | None, *, offline: bool
) -> "Trained | Published":
    """A name of an architecture, or else a run folder; ./NAME is always a folder."""
    from bench.architectures import ARCHITECTURES, TIMM
    from bench.serving.messages import Published
    from bench.verbs.runs import trained_cell

    if model in ARCHITECTURES or model.startswith(TIMM):
        if cell is not None or weights is not None:
            raise InputError(f"--cell and --weights go with a run folder, not with {model}")
        return Published(model, offline)
    if not Path(model).exists():
        hint = meant(model, ARCHITECTURES)
        raise InputError(f"{model}: neither a run folder nor an architecture{hint}")
    return trained_cell(Path(model), cell, weights, offline=offline)


def files_of(arguments: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """The files named, and all images below a folder, sorted; what is no image, and why not.

    Raises InputError where there is no image among them.
    """
    from bench.data.folder import Root, list_tree

    paths: list[str] = []
    problems: list[tuple[str, str]] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            listing = list_tree(Root(path), "")
            paths += [str(path / key) for key in listing["image"]]
            problems += [(argument, problem) for problem in listing["problem"]]
            if not listing["image"]:
                problems.append((argument, "no images in this folder"))
        elif path.is_file():
            paths.append(argument)
        else:
            what = "is not a regular file" if path.exists() else "no such file"
            if not path.exists() and any(letter in argument for letter in "*?["):
                what += " (wildcards must be expanded by the shell)"
            problems.append((argument, what))
    if not paths:
        raise InputError([f"{name}: {why}" for name, why in problems])
    return paths, problems


def page(paths: Sequence[str], done: "Predictions") -> RenderableType:
    made = table("image", "class", "probability", numbers=("probability",))
    for path, image in zip(paths, done.images, strict=True):
        for rank, (number, probability) in enumerate(image.top):
            name = path if rank == 0 else ""
            add(made, name, done.classes[number], f"{100 * probability:.1f} %")
    return made


def document(
    paths: Sequence[str], done: "Predictions", problems: Sequence[tuple[str, str]]
) -> dict[str, object]:
    """The same for programs: probabilities unrounded, what could not be read beside them."""
    images = [
        {
            "image": path,
            "classes": [
                {"class": done.classes[number], "probability": probability}
                for number, probability in image.top
            ],
        }
        for path, image in zip(paths, done.images, strict=True)
        if image.problem is None
    ]
    return {"images": images, "not_predicted": [{"image": n, "why": why} for n, why in problems]}
