"""A trained network as files that need no bench. Runs in a child process.

Dimensions: N images, K classes.
"""

import logging
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench import predictions
from bench.data.dataset import Item
from bench.data.images import normalise
from bench.data.sources import open_path, source_of
from bench.errors import WeightsError
from bench.measure.device import Device
from bench.models import cache
from bench.record import Preprocessing, Result
from bench.serving import formats
from bench.serving.description import description
from bench.serving.findings import Check, Exported, Images, Trained, Written
from bench.serving.formats import FORMATS, Loaded
from bench.serving.network import pipeline_of, rebuilt
from bench.serving.plain import plain_model, plain_state
from bench.serving.scoring import Open, blocks, stacked
from bench.training.placement import prepare_device

TOLERANCE = 1e-3
"""Of the largest logit, or of one where all are smaller: how far those of a file may lie off."""

BATCH = 8
CPU = Device("cpu", None)


def export(trained: Trained, names: Sequence[str], images: Images, folder: Path) -> Exported:
    """Write the files of these formats, each checked against the network on the images.

    Raises WeightsError where the network cannot be had, has no such form, or comes back from a
    file as another function.
    """
    prepare_device(CPU)
    warnings.simplefilter("ignore")  # what exporters say of their own insides
    logging.disable(logging.WARNING)
    cell, pipeline = trained.record.cell, pipeline_of(trained)
    network = rebuilt(trained)
    inputs = inputs_of(images, pipeline)
    wanted = None if inputs is None else answers(network, inputs)
    model = plain_model(cell, plain_state(network, cell.architecture))
    written = []
    for name in names:
        path = formats.write(name, model, cell, folder)
        check = None
        if inputs is not None and wanted is not None:
            found = answers(FORMATS[name].load(path, cell), inputs)
            check = compared(path.name, wanted, found)
        written.append(Written(path.name, path.stat().st_size, cache.sha256(path), check))
    return Exported(
        tuple(written),
        description(trained.record, pipeline),
        0 if inputs is None else len(inputs),
        as_recorded(trained.record, wanted, images.positions),
    )


def inputs_of(images: Images, pipeline: Preprocessing) -> Tensor | None:
    """Normalised images, float32 [N, 3, H, W]; None where there are none.

    Raises WeightsError for one that cannot be read.
    """
    if not images.keys:
        return None
    (block,) = blocks(openers(images), pipeline, len(images.keys))
    crops = [crop for crop in block if not isinstance(crop, str)]
    if problems := [crop for crop in block if isinstance(crop, str)]:
        raise WeightsError("\n".join(["--images: cannot be checked on these:", *problems[:5]]))
    return normalise(stacked(crops, torch.device("cpu")), pipeline.mean, pipeline.std)


def openers(images: Images) -> list[Open]:
    """How each image is opened."""
    source = str(images.source)
    if source == "digits":
        opened = source_of(source).open
        return [partial(opened, source, Item(key, 0, "", None)) for key in images.keys]
    pairs = zip(images.keys, images.hashes, strict=True)
    return [partial(open_path, f"{source}/{key}", sha256) for key, sha256 in pairs]


@torch.no_grad()
def answers(model: Loaded, inputs_N: Tensor) -> Tensor:
    """Logits of all images, [N, K]."""
    return torch.cat([model(inputs_B).float() for inputs_B in torch.split(inputs_N, BATCH)])


def compared(name: str, wanted_NK: Tensor, found_NK: Tensor) -> Check:
    """How far the logits are apart. Raises WeightsError where it is too far."""
    difference = float((wanted_NK - found_NK).abs().max())
    tolerance = TOLERANCE * max(1.0, float(wanted_NK.abs().max()))
    other = int((wanted_NK.argmax(1) != found_NK.argmax(1)).sum())
    if not difference <= tolerance or other:
        raise WeightsError(
            f"{name}: its logits are off by up to {difference:.2g} where {tolerance:.2g} is "
            f"allowed, and {other} of {len(wanted_NK)} images have another class"
        )
    return Check(difference, tolerance)


def as_recorded(record: Result, logits_NK: Tensor | None, positions: Sequence[int]) -> int | None:
    """How many images of val have the predicted class on record; None where they are not val's."""
    if logits_NK is None or not positions:
        return None
    recorded_N = predictions.unpack(record.quality.val.predictions).predicted_N[list(positions)]
    return int((logits_NK.argmax(1).numpy() == recorded_N).sum())
