"""Images as bytes, and the arithmetic that makes them a network's input.

Resizing is torchvision's own, on Pillow pictures, so that an evaluation crop holds the very
bytes that `weights.transforms()` would make; only the steps after the bytes run in batches.
Names end in N images of a part, B images of a batch, C channels, H, W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms


class Pixels(Protocol):
    """Square RGB images, uint8, of which a batch is taken by its indices; a tensor is one."""

    def __len__(self) -> int:
        """How many images there are."""
        ...

    def __getitem__(self, indices_B: Tensor, /) -> Tensor:
        """The images of a batch, uint8 [B, C, H, W], on the device of the indices."""
        ...


@dataclass(frozen=True)
class Images:
    """Images of one part, in the order of its indices."""

    crops_NCHW: Pixels  # the evaluation crop, crop_size pixels square
    squares_NCHW: Pixels | None  # resize_size pixels square; None: nothing augments them
    labels_N: Tensor  # int64, on the device


def resized(picture: Image.Image, size: int, interpolation: str) -> Image.Image:
    """The picture, its shorter side of this size; Pillow always smooths, as all presets ask."""
    image: Image.Image = transforms.resize(picture, [size], InterpolationMode(interpolation))
    return image


def to_unit(bytes_BCHW: Tensor) -> Tensor:
    """Bytes 0..255 as float32 0..1."""
    return bytes_BCHW.to(torch.float32).div_(255)


def standardise(unit_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images in 0..1 less each channel's mean, over its standard deviation; a new tensor."""
    device = unit_BCHW.device
    return unit_BCHW.sub(per_channel(tuple(mean), device)).div_(per_channel(tuple(std), device))


def normalise(bytes_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """A network's input from bytes: float32, the same bits as torchvision's preset on a CPU."""
    return standardise(to_unit(bytes_BCHW), mean, std)


@cache
def per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """One value per channel. Kept, as copying it to a GPU for each batch would stall the queue."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
