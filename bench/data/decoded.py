"""Images decoded once: resized, their square centres kept in the cache.

Evaluation crops and the larger squares of training are both cut from these. The crop of a crop may
be off by a pixel, so a square keeps the size of the resized picture. Without torch.
"""

import io
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bench import cache
from bench.cache import Damaged, Tell, silent
from bench.data import sources
from bench.data.dataset import Dataset, digest_lines
from bench.data.pictures import Resize, Square, square_of
from bench.errors import DataError
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.measure.gpu import EnergyMeter
from bench.record import ImageCache, Preprocessing

KIND = "images"
SQUARES = "squares"  # uint8 [N, 3, size, size]
SIZES = "sizes"  # int64 [N, 2], height and width of each resized picture around its square

PIXELS_VERSION = 2
"""Raise it when the code makes other pixels of the same file and rule."""

TELL_SECONDS = 0.5
IMAGES_AT_A_TIME = 8
"""Images a thread copies in one go: the call costs little, and every thread has work."""

SIDE = 64
"""Of a thumbnail, in pixels."""


def resize_of(preprocessing: Preprocessing) -> Resize:
    return Resize(
        preprocessing.resize_size,
        preprocessing.interpolation,
        preprocessing.antialias,
        preprocessing.squash,
    )


class Squares:
    """The squares of a data set under one rule, by item number.

    Without a folder in the cache, or where `tell` hears that it is damaged, every read decodes the
    images again: slower, and the same bytes.
    """

    def __init__(
        self, dataset: Dataset, resize: Resize, folder: Path | None, tell: Tell = silent
    ) -> None:
        self.resize = resize
        self.cached = False
        self._dataset = dataset
        self._pool = ThreadPoolExecutor(usable_cores())
        if folder is None:
            return
        try:
            arrays = cache.load(folder)
            self._squares_NCHW, self._sizes_N2 = arrays[SQUARES], arrays[SIZES].tolist()
            self.cached = True
        except Damaged as damage:
            tell(f"cached images are decoded from their files instead: {damage}")

    def centres(self, items: Sequence[int], size: int) -> NDArray[np.uint8]:
        """Centres of the items, [items, 3, size, size]. Raises DataError where decoding fails."""
        found = np.empty((len(items), 3, size, size), np.uint8)

        def put(start: int) -> None:
            end = min(start + IMAGES_AT_A_TIME, len(items))
            for position in range(start, end):
                found[position] = self._square(items[position]).centre(size)

        with sources.large_pictures_allowed():
            starts = range(0, len(items), IMAGES_AT_A_TIME)
            list(self._pool.map(put, starts))  # raises what put does
        if self.cached:
            cache.unmap_pages(self._squares_NCHW)
        return found

    def _square(self, item: int) -> Square:
        if self.cached:
            return Square(self._squares_NCHW[item], *self._sizes_N2[item])
        with sources.ROOM.visit():
            picture = sources.open_image(self._dataset, self._dataset.items[item])
            return square_of(picture, self.resize)


class Share(NamedTuple):
    seconds: float
    joules: float | None
    sharers: int


class Stored(NamedTuple):
    """The squares of a rule in the cache; `shares` is what making them took, if this run did."""

    folder: Path
    shares: tuple[Share, ...]

    @property
    def how(self) -> ImageCache:
        return "cold" if self.shares else "warm"


class Making(NamedTuple):
    folders: Mapping[Resize, Path]  # without those that could be neither found nor made
    opening_seconds: float  # reading, decoding, checksums: for all rules that were made
    resizing_seconds: Mapping[Resize, float]  # resizing and writing, for each of them
    joules: float | None
    notes: tuple[str, ...]


def key(dataset: Dataset, resize: Resize) -> str:
    """The key of an entry: everything its bytes depend on."""
    images = digest_lines(item.sha256 for item in dataset.items)
    whites = sorted({item.white for item in dataset.items})
    facts = {"images": images, "white": whites, "resize": resize, "pixels": PIXELS_VERSION}
    return cache.key_of({**facts, "pillow": PIL.__version__})


def size_bytes(dataset: Dataset, resize: Resize) -> int:
    return len(dataset.items) * 3 * resize.size**2


def missing_bytes(dataset: Dataset, resizes: set[Resize]) -> int:
    """What the cache will grow by; entries that exist are taken to be intact."""
    folder = cache.root() / KIND
    records = {resize: folder / key(dataset, resize) / cache.RECORD for resize in resizes}
    return sum(size_bytes(dataset, r) for r, path in records.items() if not os.path.lexists(path))


def stored(made: Making, uses: Mapping[Resize, int]) -> dict[Resize, Stored]:
    """The squares and their cost, given how many cells of the run use each rule."""
    num_cells = sum(uses.get(resize, 0) for resize in made.resizing_seconds)
    total = made.opening_seconds + sum(made.resizing_seconds.values())

    def share(seconds: float, sharers: int) -> Share:
        joules = None if made.joules is None else made.joules * seconds / total
        return Share(seconds, joules, max(1, sharers))

    shares = {
        resize: (share(made.opening_seconds, num_cells), share(seconds, uses.get(resize, 0)))
        for resize, seconds in made.resizing_seconds.items()
    }
    return {resize: Stored(path, shares.get(resize, ())) for resize, path in made.folders.items()}


def make(
    dataset: Dataset, resizes: Collection[Resize], device: Device, tell: Callable[[str | int], None]
) -> Making:
    """The squares of all rules, found in the cache or made; energy is what the device counts.

    One pass over the files serves all rules. `tell` takes lines for the user, and now and then the
    number of images decoded so far. Raises DataError with every image that cannot be decoded.
    """
    by_key = {key(dataset, resize): resize for resize in resizes}
    sizes = {name: size_bytes(dataset, resize) for name, resize in by_key.items()}
    energy, threads, writers = EnergyMeter(device.index), usable_cores(), list[Writer]()
    started = 0.0

    def decode(folders: Mapping[str, Path]) -> None:
        nonlocal started
        sources.load_libraries(dataset)
        started = time.perf_counter()
        energy.start()
        with ExitStack() as stack:
            for name, folder in folders.items():
                writer = Writer(folder, by_key[name], len(dataset.items))
                writers.append(stack.enter_context(closing(writer)))

            def write(number: int, picture: Image.Image) -> None:
                for writer in writers:
                    writer.write(number, picture)

            sources.open_all(dataset, threads, write, now_and_then(tell))

    provided = cache.provide(KIND, sizes, decode, tell)
    folders = {by_key[name]: folder for name, folder in provided.folders.items()}
    if not folders:  # no run has decoded every image
        sources.check_images(dataset, threads)
    if not provided.made:
        return Making(folders, 0.0, {}, None, provided.notes)
    resizing = {writer.resize: writer.seconds / threads for writer in writers}
    opening = max(0.0, time.perf_counter() - started - sum(resizing.values()))
    return Making(folders, opening, resizing, energy.read(), provided.notes)


class Writer:
    """Writes the squares of one rule, from any thread.

    Not through a memory map: on a full disk that ends the process by SIGBUS.
    """

    def __init__(self, folder: Path, resize: Resize, num_images: int) -> None:
        self.resize = resize
        self.seconds = 0.0  # of all threads together
        self._folder, self._lock = folder, threading.Lock()
        self._sizes_N2 = np.zeros((num_images, 2), np.int64)
        self._file = (folder / f"{SQUARES}.npy").open("wb")
        shape = (num_images, 3, resize.size, resize.size)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start = self._file.tell()

    def write(self, number: int, picture: Image.Image) -> None:
        """The square of one image. Raises OSError."""
        started = time.perf_counter()
        square = square_of(picture, self.resize)
        self._sizes_N2[number] = square.height, square.width
        content = square.pixels.tobytes()
        with self._lock:
            self._file.seek(self._start + number * len(content))
            self._file.write(content)
            self.seconds += time.perf_counter() - started

    def close(self) -> None:
        self._file.close()
        np.save(self._folder / f"{SIZES}.npy", self._sizes_N2)


def now_and_then(tell: Callable[[int], None]) -> Callable[[int], None]:
    last = time.monotonic()

    def count(number: int) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_SECONDS:
            last = time.monotonic()
            tell(number)

    return count


def thumbnails(
    dataset: Dataset, items: Sequence[int], folders: Mapping[Resize, Path]
) -> tuple[dict[int, bytes], list[str]]:
    """Small pictures of some items for a person to look at: the centre that networks see.

    JPEGs by item number, and a line for each image that could not be read. Taken from the cache
    where `folders` has them: decoding a thousand large photographs again would take minutes.
    """
    squares_NCHW = smallest(folders) if items else None
    jpegs: dict[int, bytes] = {}
    problems: list[str] = []

    def add(item: int) -> None:
        try:
            if squares_NCHW is None:
                with sources.ROOM.visit():
                    jpegs[item] = jpeg(sources.open_image(dataset, dataset.items[item]))
            else:
                picture = Image.fromarray(squares_NCHW[item].transpose(1, 2, 0).copy())
                jpegs[item] = jpeg(picture)
        except DataError as error:
            problems.extend(error.problems)

    with sources.large_pictures_allowed(), ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(add, items))  # raises what a thread raised
    return jpegs, sorted(problems)


def smallest(folders: Mapping[Resize, Path]) -> cache.Array | None:
    """The squares that need the least reading and are not smaller than a thumbnail, if any."""
    if not folders:
        return None
    resize = min(folders, key=lambda rule: (rule.size < SIDE, abs(rule.size - SIDE)))
    try:
        return cache.load(folders[resize])[SQUARES]
    except Damaged:
        return None


def jpeg(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    small = ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.BICUBIC)
    small.save(data, "JPEG", quality=85)
    return data.getvalue()
