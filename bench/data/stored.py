"""Images decoded once, kept in the cache: what is kept, under which key, and what it took.

One entry holds a data set under one rule of resizing: the square centre of every image, so that
evaluation crops and the larger squares of training are both cut from it. Without torch.
"""

import os
from collections.abc import Mapping
from importlib.metadata import version
from typing import NamedTuple

import PIL

from bench import cache
from bench.data.dataset import Dataset, digest_lines
from bench.entry import RECORD, Entry, key_of
from bench.record import ImageCache, Preprocessing

KIND = "images"
SQUARES = "squares.u8"  # uint8 [N, 3, size, size], a chunk for each image
SIZES = (
    "sizes.i4"  # int32 [N, 2], height and width of each resized picture before its centre is cut
)

PIXELS_VERSION = 1
"""Raised whenever the same file and rule come to other pixels, or lie otherwise on the disk."""


class Resize(NamedTuple):
    """How a picture becomes a square: its shorter side is resized to `size`, its centre taken."""

    size: int
    interpolation: str
    antialias: bool


class Share(NamedTuple):
    """Work done once before the cells, and how many of them use it."""

    seconds: float
    joules: float | None
    sharers: int


class Stored(NamedTuple):
    """The squares of a rule in the cache, and what making them took; nothing if they were there."""

    entry: Entry
    shares: tuple[Share, ...]

    @property
    def how(self) -> ImageCache:
        """Whether this run made them."""
        return "cold" if self.shares else "warm"


class Making(NamedTuple):
    """What came of the pass over the images."""

    entries: Mapping[Resize, Entry]  # without those that could be neither found nor made
    opening_seconds: float  # reading and decoding the files, for all rules that were made
    resizing_seconds: Mapping[Resize, float]  # resizing, writing, checksums, for each of them
    joules: float | None
    notes: tuple[str, ...]


def resize_of(preprocessing: Preprocessing) -> Resize:
    """The part of an evaluation pipeline that squares depend on."""
    pipeline = preprocessing
    return Resize(pipeline.resize_size, pipeline.interpolation, pipeline.antialias)


def key(dataset: Dataset, resize: Resize) -> str:
    """The key of an entry: whatever its bytes depend on."""
    facts = {
        "images": digest_lines(item.sha256 for item in dataset.items),
        "resize": resize,
        "pixels": PIXELS_VERSION,
        "pillow": PIL.__version__,
        "torchvision": version("torchvision"),
    }
    return key_of(facts)


def size_bytes(dataset: Dataset, resize: Resize) -> int:
    """Size of an entry on disk, about."""
    return len(dataset.items) * 3 * resize.size**2


def missing_bytes(dataset: Dataset, resizes: set[Resize]) -> int:
    """What the cache will grow by; entries that are there are taken to be sound."""
    folder = cache.root() / KIND
    return sum(
        size_bytes(dataset, resize)
        for resize in resizes
        if not os.path.lexists(folder / key(dataset, resize) / RECORD)
    )


def stored(made: Making, uses: Mapping[Resize, int]) -> dict[Resize, Stored]:
    """The squares and their cost, given how many cells of the run use each rule."""
    cold = {resize: uses.get(resize, 0) for resize in made.resizing_seconds}
    total = made.opening_seconds + sum(made.resizing_seconds.values())

    def share(seconds: float, sharers: int) -> Share:
        joules = None if made.joules is None else made.joules * seconds / total
        return Share(seconds, joules, max(1, sharers))

    found = {resize: Stored(entry, ()) for resize, entry in made.entries.items()}
    for resize, sharers in cold.items():
        opening = share(made.opening_seconds, sum(cold.values()))
        resizing = share(made.resizing_seconds[resize], sharers)
        found[resize] = Stored(made.entries[resize], (opening, resizing))
    return found
