"""Features of frozen backbones, kept from one run for the next where --reuse-features asks for it.

They are used again only where everything is the same that a feature could depend on: images and
their split, weights, preprocessing, views, arithmetic, and the machine so far as it changes them.
"""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench import cache, identity
from bench.cache import Damaged, Tell, key_of
from bench.data.decoded import PIXELS_VERSION
from bench.measure import hardware
from bench.record import Cell, FeatureCache, Preprocessing
from bench.training.placement import Placement

KIND = "features"

FEATURES_VERSION = 1
"""Bumped when the code makes other features under the same key."""

PARTS = ("train", "val", "test")


class Features(NamedTuple):
    """What the frozen backbone makes of each image, float32, on the device."""

    train_VN: Tensor  # [views, images, ...]
    val_N: Tensor
    test_N: Tensor
    how: FeatureCache


def key(cell: Cell, preprocessing: Preprocessing, place: Placement) -> str:
    """Name of the features of a cell: another one wherever anything could change them."""
    device = place.device
    machine = hardware.machine("cuda" if device.type == "cuda" else "cpu", device.index)
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
            # Unknown never equals unknown: such features are found by nobody.
            "numerics": identity.keys(cell, place.execution, machine).numerics or token_hex(),
        }
    )


def load(name: str, device: torch.device) -> Features | None:
    """The features of that name; None where none are kept that can be used."""
    try:
        arrays = cache.find(KIND, name)
    except Damaged:
        return None  # `save` says so
    if arrays is None:
        return None
    # Copied: what is on the disk may be cut short at any time.
    copies = [np.array(arrays[part]) for part in PARTS]
    train_VN, val_N, test_N = (torch.from_numpy(copy).to(device) for copy in copies)
    return Features(train_VN, val_N, test_N, how="reused")


def save(name: str, features: Features, tell: Tell) -> None:
    """Keep features for later runs; where the disk or another run stands in the way, say so."""
    arrays = {part: value.cpu().numpy() for part, value in zip(PARTS, features[:3], strict=True)}

    def write(folders: Mapping[str, Path]) -> None:
        for part, array in arrays.items():
            np.save(folders[name] / f"{part}.npy", array)

    size = sum(array.nbytes for array in arrays.values())
    # Their own run has them already: it does not wait for another that keeps the same.
    for note in cache.provide(KIND, {name: size}, write, wait_seconds=0).notes:
        tell(note)
