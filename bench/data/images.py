"""Images decoded once to bytes, and the arithmetic that makes them a network's input.

Resize and crop are torchvision's own, on Pillow pictures, so that an evaluation crop holds the
very bytes that `weights.transforms()` would make; only the steps after the bytes run in batches.
Names end in N images of a part, B images of a batch, C channels, H, W pixels.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from bench.data.dataset import Dataset
from bench.data.sources import large_pictures_allowed, open_image
from bench.schema import Preprocessing


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


class Decoded(NamedTuple):
    """Images of one part in memory, in the order of its indices."""

    crops_NCHW: Tensor  # uint8, the evaluation crop, crop_size pixels square
    squares_NCHW: Tensor | None  # uint8, resize_size pixels square; None: nothing augments them
    labels_N: Tensor  # int64

    def to(self, device: torch.device) -> Images:
        """The images on a device, to stay there."""
        squares_NCHW = None if self.squares_NCHW is None else self.squares_NCHW.to(device)
        return Images(self.crops_NCHW.to(device), squares_NCHW, self.labels_N.to(device))


def decode(
    dataset: Dataset, indices: Sequence[int], preprocessing: Preprocessing, *, threads: int
) -> Decoded:
    """Evaluation crops of the images; DataError names one that cannot be decoded."""
    crops_NCHW = empty(len(indices), preprocessing.crop_size)

    def store(position: int, resized: Image.Image) -> None:
        crops_NCHW[position] = cropped(resized, preprocessing.crop_size)

    for_each(dataset, indices, preprocessing, store, threads)
    return Decoded(crops_NCHW, None, labels(dataset, indices))


def decode_with_squares(
    dataset: Dataset, indices: Sequence[int], preprocessing: Preprocessing, *, threads: int
) -> Decoded:
    """Evaluation crops, and the larger squares that training crops are taken from."""
    crops_NCHW = empty(len(indices), preprocessing.crop_size)
    squares_NCHW = empty(len(indices), preprocessing.resize_size)

    def store(position: int, resized: Image.Image) -> None:
        # Both from the resized picture: a crop of a crop may be off by a pixel.
        crops_NCHW[position] = cropped(resized, preprocessing.crop_size)
        squares_NCHW[position] = cropped(resized, preprocessing.resize_size)

    for_each(dataset, indices, preprocessing, store, threads)
    return Decoded(crops_NCHW, squares_NCHW, labels(dataset, indices))


def empty(num_images: int, size: int) -> Tensor:
    """Room for square RGB images, uint8."""
    return torch.empty((num_images, 3, size, size), dtype=torch.uint8)


def labels(dataset: Dataset, indices: Sequence[int]) -> Tensor:
    """Class indices of the images, int64 [N]."""
    return torch.tensor([dataset.items[index].label for index in indices], dtype=torch.int64)


def for_each(
    dataset: Dataset,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    store: Callable[[int, Image.Image], None],
    threads: int,
) -> None:
    """Hand every image, resized so that its shorter side is resize_size, to `store`."""

    def one(position: int) -> None:
        picture = open_image(dataset, dataset.items[indices[position]])
        store(position, resized(picture, preprocessing))

    with large_pictures_allowed(), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(len(indices))):
            pass  # raises what the thread raised


def resized(picture: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """The picture at its evaluation size; Pillow always smooths, as every preset asks for."""
    mode = InterpolationMode(preprocessing.interpolation)
    image: Image.Image = transforms.resize(picture, [preprocessing.resize_size], mode)
    return image


def cropped(picture: Image.Image, size: int) -> Tensor:
    """The centre of a picture, uint8 [C, H, W]."""
    crop: Tensor = transforms.pil_to_tensor(transforms.center_crop(picture, [size]))
    return crop


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
