"""Small square pictures of a few images, for a person to look at. Without torch.

They show the centre that networks see, from the cache of decoded images where it has them: to
decode a thousand large photographs again would take minutes.
"""

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from bench.data.dataset import Dataset
from bench.data.sources import large_pictures_allowed, open_image
from bench.data.stored import SQUARES, Resize
from bench.entry import Chunks, Damaged, Entry
from bench.errors import DataError
from bench.measure.hardware import usable_cores

SIDE = 64
QUALITY = 85


class Thumbnails(NamedTuple):
    """JPEGs by the number of the item, and a line for each image that could not be read."""

    jpegs: dict[int, bytes]
    problems: list[str]


def thumbnails(
    dataset: Dataset, items: Iterable[int], entries: Mapping[Resize, Entry]
) -> Thumbnails:
    """Thumbnails of these items; `entries` are those of the cache that hold the data set."""
    cached = Cached(entries)

    def one(item: int) -> bytes | list[str]:
        try:
            picture = cached.picture(item) or open_image(dataset, dataset.items[item])
        except DataError as error:
            return error.problems
        return jpeg(picture)

    wanted = list(items)
    with large_pictures_allowed(), ThreadPoolExecutor(usable_cores()) as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    jpegs = {item: made for item, made in found.items() if isinstance(made, bytes)}
    problems = [line for made in found.values() if isinstance(made, list) for line in made]
    return Thumbnails(jpegs, problems)


class Cached:
    """The decoded squares of one rule: those that need the least reading, but are not too small."""

    def __init__(self, entries: Mapping[Resize, Entry]) -> None:
        self._chunks: Chunks | None = None
        if entries:
            resize = min(entries, key=lambda rule: (rule.size < SIDE, abs(rule.size - SIDE)))
            self._size = resize.size
            try:
                self._chunks = entries[resize].open(SQUARES)
            except Damaged:
                return

    def picture(self, item: int) -> Image.Image | None:
        """The square centre of an image; None where the cache does not have it."""
        if self._chunks is None:
            return None
        try:
            pixels = np.frombuffer(self._chunks.read(item), np.uint8)
        except Damaged:
            return None
        rows = pixels.reshape(3, self._size, self._size).transpose(1, 2, 0)
        return Image.fromarray(np.ascontiguousarray(rows))


def jpeg(picture: Image.Image) -> bytes:
    """The centre of an RGB picture, SIDE pixels square."""
    small = ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.BICUBIC)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
