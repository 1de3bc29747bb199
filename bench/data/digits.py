"""scikit-learn's 1,797 handwritten digits, 8 x 8 pixels: real images that need no download.

Source: E. Alpaydin and C. Kaynak 1998, Optical Recognition of Handwritten Digits, UCI.
"""

import hashlib
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.data.dataset import Dataset, Item


class Digits(NamedTuple):
    """Grey images, uint8 [N, 8, 8], and the digit that each shows."""

    pixels: NDArray[np.uint8]
    labels: tuple[int, ...]


@cache
def load() -> Digits:
    """All digits; the original 17 grey levels 0..16 are spread over 0..255."""
    from sklearn.datasets import load_digits  # slow to import, and only needed here

    bunch = load_digits()
    pixels = np.rint(bunch.images * 255 / 16).astype(np.uint8)
    return Digits(pixels, tuple(int(label) for label in bunch.target))


def scan_digits(source: str) -> Dataset:
    """The digits as a data set, in scikit-learn's order, without an official split."""
    digits = load()
    items = tuple(
        Item(f"{index:04d}", label, hashlib.sha256(image.tobytes()).hexdigest(), None)
        for index, (image, label) in enumerate(zip(digits.pixels, digits.labels, strict=True))
    )
    classes = tuple(str(digit) for digit in range(10))
    return Dataset("digits", source, classes, items, photographs=False, notes=())


def open_digit(source: str, item: Item) -> Image.Image:
    """One digit, RGB, 8 x 8."""
    return Image.fromarray(load().pixels[int(item.key)]).convert("RGB")
