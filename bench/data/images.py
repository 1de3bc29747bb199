"""Images as bytes on the device, and the arithmetic that makes them a network's input.

Names end in N images of a part, B images of a batch, C channels, H, W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from bench.data.decoded import Squares

BLOCK_BYTES = 64 << 20
"""Of images on their way to the device at a time."""


class Pixels(Protocol):
    """Square RGB images, such as a tensor: pixels[indices_B] is a batch, uint8 [B, C, H, W].

    The batch is on the device of the indices.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, indices_B: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Images:
    crops_NCHW: Pixels  # the evaluation crop, crop_size pixels square
    squares_NCHW: Pixels | None  # resize_size pixels square; None: nothing augments them
    labels_N: Tensor  # int64, on the device


class Streamed:
    """Centres of the squares of a part, read batch by batch: pixels."""

    def __init__(self, squares: Squares, items: Sequence[int], size: int) -> None:
        self._squares, self._items, self._size = squares, items, size

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, indices_B: Tensor, /) -> Tensor:
        items = [self._items[index] for index in indices_B.tolist()]
        return torch.from_numpy(self._squares.centres(items, self._size)).to(indices_B.device)


def resident(squares: Squares, items: Sequence[int], size: int, device: torch.device) -> Tensor:
    """The same, all on the device; the host holds one block at a time."""
    whole = torch.empty((len(items), 3, size, size), dtype=torch.uint8, device=device)
    block = max(1, BLOCK_BYTES // (3 * size**2))
    for start in range(0, len(items), block):
        chosen = items[start : start + block]
        whole[start : start + len(chosen)] = torch.from_numpy(squares.centres(chosen, size))
    return whole


def to_unit(bytes_BCHW: Tensor) -> Tensor:
    return bytes_BCHW.to(torch.float32).div_(255)


def standardise(unit_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    device = unit_BCHW.device
    return unit_BCHW.sub(per_channel(tuple(mean), device)).div_(per_channel(tuple(std), device))


def normalise(bytes_BCHW: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """A network's input from bytes: float32, the same bits as torchvision's preset on a CPU."""
    return standardise(to_unit(bytes_BCHW), mean, std)


@cache
def per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Cached: copying it to a GPU for each batch would stall the queue."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
