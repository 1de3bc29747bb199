"""Square centres of resized pictures, and everything that is cut from them.

An evaluation crop is cut where it lay in the resized picture: the crop of a crop may be off by a
pixel, so a square knows the size of the picture around it. Squares come from the cache; one that
is damaged there, or that the cache does not have, is decoded: slower, and the same bytes.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bench.cache import Tell, silent
from bench.data.dataset import Dataset
from bench.data.images import resized
from bench.data.sources import large_pictures_allowed, open_image
from bench.data.stored import SIZES, SQUARES, Resize
from bench.entry import Chunks, Damaged, Entry
from bench.measure.hardware import usable_cores

BLOCK_BYTES = 64 << 20
"""Of images that are on their way to the device at a time."""


class Square(NamedTuple):
    """The centre of a resized picture, which was so high and wide."""

    pixels: NDArray[np.uint8]  # [3, size, size]
    height: int
    width: int

    def centre(self, size: int) -> NDArray[np.uint8]:
        """The centre of the picture, no larger than the square, [C, size, size]."""
        own = self.pixels.shape[-1]
        top = margin(self.height, size) - margin(self.height, own)
        left = margin(self.width, size) - margin(self.width, own)
        return self.pixels[:, top : top + size, left : left + size]


def margin(length: int, size: int) -> int:
    """Pixels before a centre crop, rounded as torchvision's `center_crop` does."""
    return round((length - size) / 2)


def square_of(picture: Image.Image, resize: Resize) -> Square:
    """The square of an RGB picture."""
    picture = resized(picture, resize.size, resize.interpolation)
    top, left = margin(picture.height, resize.size), margin(picture.width, resize.size)
    rows = np.asarray(picture.crop((left, top, left + resize.size, top + resize.size)))
    return Square(rows.transpose(2, 0, 1), picture.height, picture.width)


class Squares:
    """The squares of a data set under one rule, by the numbers of its items.

    `tell` hears of the first damage that is found in the entry.
    """

    def __init__(
        self, dataset: Dataset, resize: Resize, entry: Entry | None, tell: Tell = silent
    ) -> None:
        self.damage: str | None = None  # what was found wrong with the entry, if anything
        self.resize = resize
        self._dataset, self._tell, self._lock = dataset, tell, threading.Lock()
        self._pool = ThreadPoolExecutor(usable_cores())
        self._chunks: Chunks | None = None
        if entry is not None:
            try:
                sizes = np.frombuffer(entry.content(SIZES), np.int32)
                self._sizes_N2 = sizes.reshape(-1, 2).tolist()
                self._chunks = entry.open(SQUARES)
            except Damaged as damage:
                self._note(damage)

    def each(self, items: Sequence[int], use: Callable[[int, Square], None]) -> None:
        """Call `use`, in any thread, with each position and its square.

        Raises DataError for an image that must be decoded and cannot be.
        """

        def one(position: int) -> None:
            use(position, self._square(items[position]))

        with large_pictures_allowed():
            for _ in self._pool.map(one, range(len(items))):
                pass  # raises what the thread raised

    def _square(self, item: int) -> Square:
        if self._chunks is not None:
            try:
                pixels = np.frombuffer(self._chunks.read(item), np.uint8)
                size = self.resize.size
                return Square(pixels.reshape(3, size, size), *self._sizes_N2[item])
            except Damaged as damage:
                self._note(damage)
        return square_of(open_image(self._dataset, self._dataset.items[item]), self.resize)

    def _note(self, damage: Damaged) -> None:
        with self._lock:  # several threads may find damage, and whoever hears of it is but one
            if self.damage is None:
                self.damage = str(damage)
                self._tell(f"cached images are decoded from their files instead: {damage}")


class Centres:
    """Centres of the squares of a part, gathered from the cache batch by batch: pixels."""

    def __init__(self, squares: Squares, items: Sequence[int], size: int) -> None:
        self._squares, self._items, self._size = squares, items, size

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, indices_B: Tensor, /) -> Tensor:
        items = [self._items[index] for index in indices_B.tolist()]
        return gathered(self._squares, items, self._size).to(indices_B.device)


def gathered(squares: Squares, items: Sequence[int], size: int) -> Tensor:
    """Centres of the items, uint8 [items, 3, size, size], on the host."""
    batch = torch.empty((len(items), 3, size, size), dtype=torch.uint8)
    array = batch.numpy()  # whose copies start no threads of their own

    def put(position: int, square: Square) -> None:
        array[position] = square.centre(size)

    squares.each(items, put)
    return batch


def resident(squares: Squares, items: Sequence[int], size: int, device: torch.device) -> Tensor:
    """The same on the device, to stay there; the host holds one block of it at a time."""
    whole = torch.empty((len(items), 3, size, size), dtype=torch.uint8, device=device)
    block = max(1, BLOCK_BYTES // (3 * size**2))
    for start in range(0, len(items), block):
        chosen = items[start : start + block]
        whole[start : start + len(chosen)] = gathered(squares, chosen, size)
    return whole
