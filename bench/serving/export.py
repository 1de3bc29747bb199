"""A trained network as files that need no bench. Runs in a child process.

Dimensions: N images, B batch, K classes, H, W pixels.
"""

import csv
import io
import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim

import bench
from bench import predictions
from bench.data import pictures
from bench.data.dataset import Item
from bench.data.folder import Root, list_tree
from bench.data.images import normalise
from bench.data.sources import open_path, source_of
from bench.errors import WeightsError, first_line
from bench.folder import read_inside
from bench.measure.device import Device
from bench.models import download, libraries
from bench.models.build import Network
from bench.record import Cell, Data, Preprocessing, Result, Scores
from bench.serving.messages import Check, Exported, Trained, Written
from bench.serving.predict import Open, blocks, pipeline_of, rebuilt, stacked
from bench.training.network import num_bytes
from bench.training.placement import prepare_device

TOLERANCE = 1e-3
"""How far logits from a file may be off: a share of the largest, or of 1 if all are smaller."""

BATCH = 8
CPU = Device("cpu", None)


def export(
    trained: Trained, names: Sequence[str], run_folder: Path, asked: Path | None, target: Path
) -> Exported:
    """Write the files of these formats and model.json, each checked against the network.

    The images are those of the run's val part, or of the folder asked for. Raises WeightsError
    where the network cannot be rebuilt, has no such format, or a file gives other logits.
    """
    prepare_device(CPU)
    warnings.simplefilter("ignore")  # from inside the exporters
    logging.disable(logging.WARNING)
    cell, pipeline = trained.record.cell, pipeline_of(trained)
    network = rebuilt(trained)
    images = images_of(run_folder, cell.data, asked)
    inputs_N = inputs_of(images, pipeline)
    wanted_NK = None if inputs_N is None else answers(network, inputs_N)
    model = plain_model(cell, plain_state(network, cell.architecture))
    written = []
    for name in names:
        path = write(name, model, cell, target)
        check = None
        if inputs_N is not None and wanted_NK is not None:
            found_NK = answers(FORMATS[name].load(path, cell), inputs_N)
            check = compared(path.name, wanted_NK, found_NK)
        written.append(Written(path.name, path.stat().st_size, download.sha256(path), check))
    as_before = as_recorded(trained.record, wanted_NK, images.positions)
    shutil.copyfile(str(pictures.__file__), target / "pictures.py")
    done = Exported(tuple(written), images.shown, len(images.pictures), as_before)
    about = json.dumps(description(trained.record, pipeline, done), indent=1)
    (target / "model.json").write_text(f"{about}\n", encoding="utf-8")
    return done


@torch.no_grad()
def answers(model: Callable[[Tensor], Tensor], inputs_N: Tensor) -> Tensor:
    return torch.cat([model(inputs_B).float() for inputs_B in torch.split(inputs_N, BATCH)])


def compared(name: str, wanted_NK: Tensor, found_NK: Tensor) -> Check:
    """How far the logits are apart. Raises WeightsError where it is too far."""
    difference = float((wanted_NK - found_NK).abs().max())
    tolerance = TOLERANCE * max(1.0, float(wanted_NK.abs().max()))
    other = int((wanted_NK.argmax(1) != found_NK.argmax(1)).sum())
    if not difference <= tolerance or other:
        raise WeightsError(
            f"{name}: its logits are off by up to {difference:.2g} where {tolerance:.2g} is "
            f"allowed, and {other} of {len(wanted_NK)} images get another class"
        )
    return Check(difference, tolerance)


def as_recorded(record: Result, logits_NK: Tensor | None, positions: Sequence[int]) -> int | None:
    """How many images of val get the predicted class on record; None where they are not val's."""
    if logits_NK is None or not positions:
        return None
    recorded_N = predictions.unpack(record.quality.val.predictions).predicted_N[list(positions)]
    return int((logits_NK.argmax(1).numpy() == recorded_N).sum())


NUM_IMAGES = 32
"""Enough to meet every class of most data sets, and quick on any network."""

VAL = "images of the run's val part"

T = TypeVar("T")


class Images(NamedTuple):
    pictures: Sequence[Open]
    positions: Sequence[int]  # in the val part; empty for other images
    shown: str  # what they are, in words


def images_of(run_folder: Path, data: Data, asked: Path | None) -> Images:
    """Some images of the val part, below the folder asked for or one of the data set's name.

    Where a folder asked for holds other images, some of these. A record holds no path, so without
    either there are none.
    """
    rows, name, opening = val_rows(run_folder), data.name, partial(open_path, white=data.white)
    # A folder may be called digits as well; its images lie in folders of their classes.
    if name == "digits" and asked is None and rows and "/" not in rows[0][0]:
        positions, opened = evenly(range(len(rows))), source_of("digits").open
        items = [Item(rows[n][0], 0, "", None) for n in positions]
        return Images([partial(opened, "digits", item) for item in items], positions, VAL)
    place = asked or Path(name)
    if present := [n for n, (key, _) in enumerate(rows) if (place / key).is_file()]:
        positions = evenly(present)
        chosen = [rows[n] for n in positions]  # which must be those of the split
        found = [partial(opening, str(place / key), sha256) for key, sha256 in chosen]
        return Images(found, positions, VAL)
    if asked is None:
        shown = f"the images of {name} are not here: name their folder with --images DIR"
        return Images((), (), shown)
    keys = evenly(list_tree(Root(asked), "")["image"])
    return Images([partial(opening, str(asked / key)) for key in keys], (), f"images of {asked}")


def evenly(everything: Sequence[T]) -> list[T]:
    """At most NUM_IMAGES, evenly spaced: images are listed class by class."""
    step = max(1.0, len(everything) / NUM_IMAGES)
    return [everything[int(n * step)] for n in range(min(NUM_IMAGES, len(everything)))]


def val_rows(run_folder: Path) -> list[tuple[str, str]]:
    """Key and SHA-256 of the val images in split.csv; none where it is missing or damaged."""
    try:
        lines = io.StringIO(read_inside(run_folder, "split.csv").decode(), newline="")
        return [(row[0], row[3]) for row in csv.reader(lines) if row[2] == "val"]
    except (OSError, ValueError, IndexError, csv.Error):
        return []


def inputs_of(images: Images, pipeline: Preprocessing) -> Tensor | None:
    """Normalised images, float32 [N, 3, H, W]; None where there are none.

    Raises WeightsError for one that cannot be read.
    """
    if not images.pictures:
        return None
    (block,) = blocks(images.pictures, pipeline, len(images.pictures))
    if problems := [crop for crop in block if isinstance(crop, str)]:
        raise WeightsError(["--images: cannot be checked on these:", *problems[:5]])
    crops = [crop for crop in block if not isinstance(crop, str)]
    return normalise(stacked(crops, torch.device("cpu")), pipeline.mean, pipeline.std)


def plain_state(network: Network, architecture: str) -> dict[str, Tensor]:
    head = libraries.architecture(architecture).head
    state = network.state_dict().items()
    return {
        re.sub(r"^head\.layer", head, name).removeprefix("backbone."): value.contiguous()
        for name, value in state
    }


def plain_options(cell: Cell) -> dict[str, Any]:
    row = libraries.architecture(cell.architecture)
    own = libraries.library(row).options(row, cell.image_size)
    return {"num_classes": len(cell.data.classes), **own}


def plain_model(cell: Cell, state: Mapping[str, Tensor]) -> nn.Module:
    row = libraries.architecture(cell.architecture)
    model = libraries.library(row).create(row, plain_options(cell))
    values = model.state_dict()  # with the versions that some modules ask for
    assert values.keys() == state.keys(), "both are of one architecture"
    # A head that convolves one pixel is a linear one here, with two dimensions instead of four.
    values.update({name: value.view_as(values[name]) for name, value in state.items()})
    model.load_state_dict(values)
    return model.eval()


Loaded = Callable[[Tensor], Tensor]

ONE_FILE_BYTES = 1_900_000_000
"""An ONNX file ends at 2 GiB; larger networks have their values in a file beside it."""


class Format(NamedTuple):
    name: str
    write: Callable[[nn.Module, Cell, Path], None]
    load: Callable[[Path, Cell], Loaded]


def write_safetensors(model: nn.Module, cell: Cell, path: Path) -> None:
    save_file(dict(model.state_dict()), path, {"architecture": cell.architecture})


def write_torch(model: nn.Module, cell: Cell, path: Path) -> None:
    program = torch.export.export(model, (example(cell),), dynamic_shapes=({0: Dim.DYNAMIC},))
    torch.export.save(program, path)


def write_onnx(model: nn.Module, cell: Cell, path: Path) -> None:
    torch.onnx.export(
        model,
        (example(cell),),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: Dim.DYNAMIC},),
        external_data=num_bytes(model) > ONE_FILE_BYTES,
        dynamo=True,
        verbose=False,
    )


def load_onnx(path: Path, cell: Cell) -> Loaded:
    import onnxruntime  # optional

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def example(cell: Cell) -> Tensor:
    """A batch of two: a batch of one would be taken for a fixed size."""
    return torch.zeros(2, 3, cell.image_size, cell.image_size)


FORMATS: Mapping[str, Format] = {
    "safetensors": Format(
        "model.safetensors",
        write_safetensors,
        lambda path, cell: plain_model(cell, load_file(path)),
    ),
    "torch": Format("model.pt2", write_torch, lambda path, cell: torch.export.load(path).module()),
    "onnx": Format("model.onnx", write_onnx, load_onnx),
}


def write(name: str, model: nn.Module, cell: Cell, folder: Path) -> Path:
    """Write one file of the export. Raises WeightsError where the network has no such format."""
    form = FORMATS[name]
    path = folder / form.name
    try:
        form.write(model, cell, path)
    except OSError:
        raise
    except Exception as error:  # exporters raise anything
        raise WeightsError(
            f"--format {name}: {cell.architecture} cannot be written in it: {first_line(error)}"
        ) from error
    return path


MODEL_JSON = 1
"""Version of model.json."""

HOW_TO_LOAD = """\
import json, sys, torch, {library}
from safetensors.torch import load_file
sys.path.insert(0, ".")
from pictures import Resize, read, square_of

about = json.load(open("model.json", encoding="utf-8"))
model = {created}
steps, values = about["preprocessing"], model.state_dict()
values.update(load_file("model.safetensors"))
model.load_state_dict(values)
rule = Resize(*(steps[name] for name in ("resize_size", "interpolation", "antialias", "squash")))
with open(sys.argv[1], "rb") as file:
    square = square_of(read(file.read(), about["white"]), rule)
mean, std = (torch.tensor(steps[name]).view(3, 1, 1) for name in ("mean", "std"))
image = (torch.tensor(square.centre(steps["crop_size"])) / 255 - mean) / std
shares = model.eval()(image[None]).softmax(1)[0].tolist()
print(*sorted(zip(shares, about["classes"]), reverse=True)[:5], sep="\\n")
"""
"""A script to run in the folder of an export with the path of an image.

The module beside it makes of any file what the run made of it.
"""


def description(record: Result, pipeline: Preprocessing, done: Exported) -> dict[str, Any]:
    cell = record.cell
    row = libraries.architecture(cell.architecture)
    library = libraries.library(row)
    return {
        "format": MODEL_JSON,
        "library": library.name,
        "architecture": row.timm or row.name,
        "options": plain_options(cell),
        "classes": list(cell.data.classes),
        "image_size": cell.image_size,
        "preprocessing": pipeline.model_dump(mode="json"),
        "white": cell.data.white,  # in 16-bit grey
        "input": "normalised images, float32 [batch, 3, height, width]",
        "output": "logits [batch, classes]; their softmax are probabilities",
        "trained": {
            "cell_id": record.cell_id,
            "strategy": cell.strategy,
            "kind": cell.kind,
            "seed": cell.seed,
            "weights": cell.weights.model_dump(mode="json", exclude_none=True),
            "images": cell.data.name,
            "num_train": cell.data.num_train,
        },
        "scores": {
            "of": "this network alone, one seed",
            "val": scores(record.quality.val),
            "test": scores(record.quality.test),
        },
        "versions": {
            "trained_with": {
                "bench": record.provenance.bench,
                "torch": record.machine.torch,
                "torchvision": record.machine.torchvision,
            },
            "exported_with": {
                "bench": bench.__version__,
                "torch": str(torch.__version__),
                "torchvision": torchvision.__version__,
            },
        },
        "how_to_load": HOW_TO_LOAD.format(
            library=library.name, created=library.created_by
        ).splitlines(),
        "files": {
            file.name: {
                "bytes": file.num_bytes,
                "sha256": file.sha256,
                "check": file.check and file.check._asdict(),
            }
            for file in done.files
        },
        "checked_on": {name: value for name, value in done._asdict().items() if name != "files"},
    }


def scores(part: Scores) -> dict[str, Any]:
    shown = ("num_images", "top1", "top5", "balanced_accuracy", "macro_f1")
    return {name: getattr(part, name) for name in shown}
