"""The frozen backbone and its features, kept for later runs where --reuse-features asks for it.

Kept features are used again only where everything is the same that a feature could depend on:
images and their split, weights, preprocessing, views, arithmetic, and the machine as far as it
changes them.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench import cache, identity
from bench.cache import Damaged, Tell, key_of
from bench.data.decoded import PIXELS_VERSION
from bench.measure import machine as machines
from bench.measure.meters import Clock
from bench.models import weights
from bench.models.build import folded
from bench.record import Cell, FeatureCache, Preprocessing
from bench.training.evaluate import batch_norms, estimate_statistics, outputs
from bench.training.feeds import AugmentedFeed, Batch, Parts, eval_batch, fits, free_bytes
from bench.training.network import State, seedless
from bench.training.placement import Placement, untrained_batch

KIND = "features"

FEATURES_VERSION = 1
"""Bumped when the code makes other features under the same key."""

STATISTICS_BATCH = 32
"""Images at a time that a drawn backbone's statistics come from: the same for all that share it."""

PARTS = ("train", "val", "test")


class Features(NamedTuple):
    """The frozen backbone's output for each image, float32, on the device or at `home_of` them."""

    train_VN: Tensor  # [views, images, ...]
    val_N: Tensor
    test_N: Tensor
    how: FeatureCache


def home_of(num_bytes: int, device: torch.device) -> torch.device:
    """Where features lie, and heads train on them: the host, where they do not fit the device.

    The batches that they come in and the whole lie there together for a moment.
    """
    return device if fits(2 * num_bytes, free_bytes(device)) else torch.device("cpu")


def given_backbone(
    cell: Cell, file: Path | None, crops: Batch, place: Placement, clock: Clock
) -> State:
    """Values of the backbone, on the host: from its file, or drawn where there is none.

    A drawn one takes its batch-norm statistics from `crops`, shuffled ones of train.
    """
    with clock.part("build"):
        state = weights.load_state(cell.weights, file)
        if state is not None:
            return state
        network = place.place(seedless(cell, None))
        norms, num_images = batch_norms(network), cell.data.num_train
        passes = place.execution.passes
        at_once = untrained_batch(STATISTICS_BATCH, cell.image_size) // passes
        estimate_statistics(network, norms, crops, num_images, at_once, place)
        return {name: value.cpu() for name, value in network.backbone.state_dict().items()}


def computed(
    cell: Cell,
    backbone: State,
    parts: Parts,
    pipeline: Preprocessing,
    place: Placement,
    clock: Clock,
) -> Features:
    """Features of every image, from the given backbone; train has squares where views need them."""
    with clock.part("build"):
        network = place.place(folded(seedless(cell, backbone).backbone))
    with clock.part("train"):
        train = parts.train
        batches: list[Batch] = [eval_batch(train, pipeline)]
        if cell.recipe.views > 1:
            feed = AugmentedFeed(train, pipeline, cell.recipe.flip)
            generator = torch.Generator().manual_seed(0)
            draws = [feed.draw(generator).to(place.device) for _ in range(cell.recipe.views)]
            batches = [partial(feed.batch, drawn=drawn) for drawn in draws]
        scored = len(parts.val.labels_N) + len(parts.test.labels_N)
        number = len(batches) * len(train.labels_N) + scored
        home = home_of(outputs(network, batches[0], 1, place).nbytes * number, place.device)
        views = [outputs(network, batch, len(train.labels_N), place, home) for batch in batches]
        train_VN = torch.stack(views) if len(views) > 1 else views[0][None]  # without a copy
    with clock.part("eval"):
        val_N, test_N = (
            outputs(network, eval_batch(images, pipeline), len(images.labels_N), place, home)
            for images in (parts.val, parts.test)
        )
    return Features(train_VN, val_N, test_N, "computed")


def key(cell: Cell, preprocessing: Preprocessing, place: Placement) -> str:
    """Name of the features of a cell; another one wherever anything could change them."""
    device = place.device
    machine = machines.machine("cuda" if device.type == "cuda" else "cpu", device.index)
    recipe = cell.recipe
    return key_of(
        {
            "version": FEATURES_VERSION,
            "pixels": PIXELS_VERSION,
            "architecture": cell.architecture,
            "weights": cell.weights.model_dump(),
            "image_size": cell.image_size,
            "preprocessing": preprocessing.model_dump(),
            "views": recipe.views,
            "flip": recipe.flip if recipe.views > 1 else None,  # one view is the eval crop
            "content": cell.data.content_sha256,
            "split": cell.data.split_sha256,  # which images, in which order
            "white": cell.data.white,
            # Unknown never equals unknown: such features are never found again.
            "numerics": identity.keys(cell, place.execution, machine).numerics or token_hex(),
        }
    )


def load(name: str, device: torch.device) -> Features | None:
    try:
        arrays = cache.find(KIND, name)
    except Damaged:
        return None  # `save` says so
    if arrays is None:
        return None
    # Copied: the file may be cut short at any time.
    train_VN, val_N, test_N = (torch.from_numpy(np.array(arrays[part])) for part in PARTS)
    home = home_of(train_VN.nbytes + val_N.nbytes + test_N.nbytes, device)
    return Features(train_VN.to(home), val_N.to(home), test_N.to(home), "reused")


def save(name: str, features: Features, tell: Tell) -> None:
    """Keep features for later runs; say so where the disk or another run prevents it."""
    arrays = {part: value.cpu().numpy() for part, value in zip(PARTS, features[:3], strict=True)}

    def write(folders: Mapping[str, Path]) -> None:
        for part, array in arrays.items():
            np.save(folders[name] / f"{part}.npy", array)

    size = sum(array.nbytes for array in arrays.values())
    # This run has them already, so it does not wait for another that keeps the same.
    for note in cache.provide(KIND, {name: size}, write, wait_seconds=0).notes:
        tell(note)
