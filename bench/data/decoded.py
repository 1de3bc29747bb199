"""The one pass over the files of a data set that decodes every image, for all rules at once.

It is also the check of the images: what cannot be decoded is named, all of it together.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from PIL import Image

from bench import cache
from bench.data.dataset import Dataset
from bench.data.sources import check_images, load_libraries, open_all
from bench.data.squares import square_of
from bench.data.stored import KIND, SIZES, SQUARES, Making, Resize, key, size_bytes
from bench.entry import Contents
from bench.measure import card, nvml
from bench.measure.device import Device
from bench.measure.hardware import usable_cores

TELL_SECONDS = 0.5


Tell = Callable[[str | int], None]
"""Hears lines to say, and now and then the number of images that are decoded."""


def make(dataset: Dataset, resizes: Collection[Resize], device: Device, tell: Tell) -> Making:
    """The squares of all rules, found in the cache or made; energy is what the device counts.

    Raises DataError with every image that cannot be decoded.
    """
    by_key = {key(dataset, resize): resize for resize in resizes}
    sizes = {name: size_bytes(dataset, resize) for name, resize in by_key.items()}
    work = Pass(dataset, by_key, device, tell)
    provided = cache.provide(KIND, sizes, work.run, tell)
    if not provided.entries:  # so nobody has decoded them all, neither this run nor one before it
        check_images(dataset, usable_cores())
    entries = {by_key[name]: entry for name, entry in provided.entries.items()}
    if not provided.made:
        return Making(entries, 0.0, {}, None, provided.notes)
    opening, resizing = work.seconds()
    return Making(entries, opening, resizing, work.joules(), provided.notes)


class Pass:
    """One pass over the files, and what it took."""

    def __init__(
        self, dataset: Dataset, by_key: Mapping[str, Resize], device: Device, tell: Tell
    ) -> None:
        self._resizing: dict[Resize, float] = {}  # seconds of each rule
        self._dataset, self._by_key, self._tell = dataset, by_key, tell
        self._gpu = None if device.index is None else card.handle(device.index)
        self._started = self._ended = 0.0
        self._joules: float | None = None

    def run(self, folders: Mapping[str, Path]) -> dict[str, Contents]:
        """Write the squares of each key into its folder. Raises DataError and OSError."""
        load_libraries(self._dataset)
        self._started, self._joules = time.perf_counter(), self._counter()
        threads, num_images = usable_cores(), len(self._dataset.items)
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(closing(Writer(folder, self._by_key[name], num_images)))
                for name, folder in folders.items()
            }

            def write(number: int, picture: Image.Image) -> None:
                for writer in writers.values():
                    writer.write(number, picture)

            open_all(self._dataset, threads, write, now_and_then(self._tell))
        for name, writer in writers.items():
            self._resizing[self._by_key[name]] = writer.seconds / threads
        self._ended = time.perf_counter()
        return {name: writer.contents() for name, writer in writers.items()}

    def seconds(self) -> tuple[float, dict[Resize, float]]:
        """What opening the files took, and each rule for itself, until now.

        What came after the pass, checksums and waiting for the disk, is the rules' by their bytes.
        """
        opening = max(0.0, self._ended - self._started - sum(self._resizing.values()))
        sealing = time.perf_counter() - self._ended
        pixels = sum(resize.size**2 for resize in self._resizing)
        return opening, {
            resize: seconds + sealing * resize.size**2 / pixels
            for resize, seconds in self._resizing.items()
        }

    def joules(self) -> float | None:
        """Drawn since the start by the GPU, which idles; None where nothing counts."""
        now = self._counter()
        return None if now is None or self._joules is None else now - self._joules

    def _counter(self) -> float | None:
        return None if self._gpu is None else nvml.energy_joules(self._gpu)


class Writer:
    """Writes the squares of one rule, by any thread."""

    def __init__(self, folder: Path, resize: Resize, num_images: int) -> None:
        self.seconds = 0.0  # of all threads together
        self._folder, self._resize = folder, resize
        self._sizes_N2 = np.zeros((num_images, 2), np.int32)
        self._file = (folder / SQUARES).open("wb", buffering=0)
        self._lock = threading.Lock()

    def write(self, number: int, picture: Image.Image) -> None:
        """The square of one image. Raises OSError."""
        started = time.perf_counter()
        square = square_of(picture, self._resize)
        self._sizes_N2[number] = square.height, square.width
        left = memoryview(square.pixels.tobytes())
        start = number * len(left)
        while left:  # a disk that fills up takes a part before it refuses
            num_written = os.pwrite(self._file.fileno(), left, start)
            left, start = left[num_written:], start + num_written
        with self._lock:
            self.seconds += time.perf_counter() - started

    def contents(self) -> Contents:
        """Write the sizes, and say what is there. Raises OSError."""
        (self._folder / SIZES).write_bytes(self._sizes_N2.tobytes())
        return Contents({SQUARES: 3 * self._resize.size**2})

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self._file.close()


def now_and_then(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Passes on a number if the last was passed on some time ago."""
    last = time.monotonic()

    def count(number: int) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_SECONDS:
            last = time.monotonic()
            tell(number)

    return count
