"""Logits of pictures from a rebuilt network, by the very steps that scored it in its run.

Dimensions: B images of a block, C channels, H, W pixels, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bench.data.decoded import resize_of, square_of
from bench.data.images import normalise
from bench.data.sources import large_pictures_allowed
from bench.errors import DataError
from bench.measure.device import Device
from bench.measure.hardware import usable_cores
from bench.models.build import Network, folded
from bench.record import Execution, Preprocessing, Result
from bench.serving.findings import Published, Trained
from bench.serving.network import pinned_pipeline, pipeline_of, published, rebuilt
from bench.training.inference import EVAL_BATCH, outputs
from bench.training.placement import Placement, placement

Crop = NDArray[np.uint8]  # [C, H, W]
Scorer = Callable[[Tensor], Tensor]
"""From eval crops as bytes, [B, C, H, W], to logits, [B, K]; on the device of the scorer."""


def scorer_of(wanted: Trained | Published, device: Device) -> tuple[Scorer, Preprocessing]:
    """The network on a device, and the pipeline of its images. Raises WeightsError."""
    if isinstance(wanted, Published):
        pipeline = pinned_pipeline(wanted.architecture)
        place = fp32(device)
        return whole(place.place(published(wanted)), pipeline, place), pipeline
    network, pipeline, place = (
        rebuilt(wanted),
        pipeline_of(wanted),
        as_scored(wanted.record, device),
    )
    if wanted.record.cell.kind == "feature_extraction":
        return in_two(network, pipeline, place), pipeline
    return whole(place.place(network), pipeline, place), pipeline


def whole(network: nn.Module, pipeline: Preprocessing, place: Placement) -> Scorer:
    """Logits of a network as it was trained on images."""

    def score(crops_BCHW: Tensor) -> Tensor:
        def batch(indices: Tensor) -> Tensor:
            return normalise(crops_BCHW[indices], pipeline.mean, pipeline.std)

        return outputs(network, batch, len(crops_BCHW), place)

    return score


def in_two(network: Network, pipeline: Preprocessing, place: Placement) -> Scorer:
    """Logits of a head that was trained on features: those of the backbone, then fp32."""
    backbone = whole(place.place(folded(network.backbone)), pipeline, place)
    head = network.head.to(place.device)

    def score(crops_BCHW: Tensor) -> Tensor:
        features_B = backbone(crops_BCHW)
        return outputs(head, lambda indices: features_B[indices], len(crops_BCHW), place.in_fp32())

    return score


def as_scored(record: Result, device: Device) -> Placement:
    """The arithmetic of the run on its kind of device; what a run would choose on another."""
    here = torch.device(str(device))
    if device.type == record.machine.device:
        return Placement(here, record.execution)
    return placement(record.cell.architecture, record.cell.recipe, record.cell.image_size, here)


def fp32(device: Device) -> Placement:
    """Published networks are asked in the arithmetic that they were published in."""
    execution = Execution(
        precision="fp32",
        channels_last=True,
        threads=torch.get_num_threads(),
        allow_tf32=False,
        deterministic=False,
        cudnn_benchmark=False,
        captured=False,
        compiled=False,
        resident=True,
    )
    return Placement(torch.device(str(device)), execution)


# ---- pictures -------------------------------------------------------------------------------

Open = Callable[[], Image.Image]
"""Opens a picture, RGB. Raises DataError."""


def crop_of(picture: Image.Image, pipeline: Preprocessing) -> Crop:
    """The eval crop of a picture."""
    return square_of(picture, resize_of(pipeline)).centre(pipeline.crop_size)


def blocks(
    pictures: Sequence[Open], pipeline: Preprocessing, size: int
) -> Iterator[list[Crop | str]]:
    """The eval crops of pictures, a block at a time; in place of one that cannot be read, why."""

    def one(open_picture: Open) -> Crop | str:
        try:
            return crop_of(open_picture(), pipeline)
        except DataError as error:
            return "; ".join(error.problems)

    with large_pictures_allowed(), ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(pictures), size):
            yield list(pool.map(one, pictures[start : start + size]))


def stacked(crops: Sequence[Crop], device: torch.device) -> Tensor:
    """Crops as one tensor, uint8 [B, C, H, W]."""
    return torch.from_numpy(np.stack(crops)).to(device)


def block_size(device: Device) -> int:
    """Pictures that are opened at a time: some forward passes' worth."""
    return 4 * EVAL_BATCH[device.type]
