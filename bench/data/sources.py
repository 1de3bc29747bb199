"""Where images come from: scikit-learn's digits, or a folder of the user's.

Any source but "digits" is a path, relative to the current directory; a folder called digits is
reached as "./digits".
"""

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bench.data import pictures
from bench.data.dataset import Dataset, Item, shortened
from bench.data.folder import scan_folder
from bench.errors import DataError, first
from bench.measure.cpu import usable_cores


class Room:
    """Memory for pictures that are open at once. Threads take of it, and wait until there is some.

    Without it as many pictures are open as there are cores, and four of 177 megapixels, which are
    small files, took 5.9 GB.
    """

    def __init__(self, num_bytes: int) -> None:
        self._all = self._free = num_bytes
        self._changed = threading.Condition()
        self._mine = threading.local()

    @contextmanager
    def visit(self) -> Iterator[None]:
        """What this thread takes inside is free again afterwards."""
        self._mine.taken = 0
        try:
            yield
        finally:
            self._give(self._mine.taken)
            del self._mine.taken

    def take(self, num_pixels: int) -> None:
        """Wait for room for a picture, or for all there is; outside a visit there is no limit.

        A visit opens one picture. It may be decoded again in the room that it has.
        """
        taken = getattr(self._mine, "taken", None)
        if taken is None:
            return
        wanted = max(0, min(num_pixels * PIXEL_BYTES, self._all) - taken)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        self._mine.taken += wanted

    def _give(self, num_bytes: int) -> None:
        with self._changed:
            self._free += num_bytes
            self._changed.notify_all()


PIXEL_BYTES = 12
"""At most, while a picture is decoded, turned and converted: three copies of four bytes each."""

ROOM = Room(2 << 30)
"""For 14 photographs of 12 megapixels, or one of 178, the largest that Pillow opens."""


class Source(NamedTuple):
    summary: str
    scan: Callable[[str, bool], Dataset]  # with whether links that leave a folder are followed
    open: Callable[[str, Item], Image.Image]
    load_libraries: Callable[[], object]
    train_per_class: int | None  # defaults of the split; None: the rule of bench.data.split
    val_per_class: int | None


def source_of(source: str) -> Source:
    """The row of a source as a suite names it: one of the table, or a path."""
    return SOURCES.get(source, SOURCES["folder"])


def scan(source: str, follow_links: bool = False) -> Dataset:
    return source_of(source).scan(source, follow_links)


def open_image(dataset: Dataset, item: Item) -> Image.Image:
    """One picture, mode RGB, upright; DataError names a file that cannot be decoded."""
    return source_of(dataset.source).open(dataset.source, item)


def load_libraries(dataset: Dataset) -> None:
    """Load what opening images needs before anything is timed or metered.

    scikit-learn, which holds the digits, takes a second and 110 MiB.
    """
    source_of(dataset.source).load_libraries()


Use = Callable[[int, Image.Image], None]


def open_all(
    dataset: Dataset,
    threads: int,
    use: Use,
    count: Callable[[int], None] = lambda num_done: None,
) -> None:
    """Open every image once and hand it to `use`, in any thread, with its number.

    `count` hears how many are done. What `use` raises passes at once. DataError comes at the end
    and names every image that cannot be decoded.
    """
    found = _problems(dataset, threads, use, count)
    if problems := [line for lines in found.values() for line in lines]:
        advice = "replace these files, or leave a few out with skip_damaged below [dataset]"
        raise DataError([*shortened(problems), advice])


def _problems(
    dataset: Dataset, threads: int, use: Use, count: Callable[[int], None]
) -> dict[int, list[str]]:
    """What is wrong with the images that cannot be decoded, by their numbers."""

    def problems_of(number: int) -> list[str]:
        item = dataset.items[number]
        try:
            with ROOM.visit():
                use(number, open_image(dataset, item))
        except DataError as error:
            return error.problems
        except MemoryError as error:  # from `use`
            return [f"{dataset.source}/{item.key}: {damage(b'', error)}"]
        return []

    wrong = {}
    with large_pictures_allowed(), ThreadPoolExecutor(threads) as pool:
        for number, lines in enumerate(pool.map(problems_of, range(len(dataset.items)))):
            count(number + 1)
            if lines:
                wrong[number] = lines
    return wrong


def without_damaged(dataset: Dataset, most: int, threads: int) -> Dataset:
    """The data set without images that cannot be decoded, which it names in its notes.

    Raises DataError where there are more of them than so many.
    """
    wrong = _problems(dataset, threads, lambda number, picture: None, lambda num_done: None)
    if not wrong:
        return dataset
    if len(wrong) > most:
        lines = shortened([line for lines in wrong.values() for line in lines])
        text = f"{len(wrong):,} images are damaged, and skip_damaged = {most:,}: replace them"
        raise DataError([*lines, text])
    names = first([dataset.items[number].key for number in wrong], NAMED)
    note = f"damaged images were left out: {len(wrong)} ({names})"
    items = tuple(item for number, item in enumerate(dataset.items) if number not in wrong)
    return replace(dataset, items=items, notes=(*dataset.notes, note))


NAMED = 20
"""Damaged images, at most, in a note."""


def check_images(dataset: Dataset, threads: int) -> None:
    open_all(dataset, threads, lambda number, picture: None)


@contextmanager
def large_pictures_allowed() -> Iterator[None]:
    """Silence Pillow's warning about large scans; its error about decompression bombs stays.

    Warning filters belong to the process: enter before threads start, leave after they end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@cache
def load_digits() -> tuple[NDArray[np.uint8], list[int]]:
    """Pictures [N, 8, 8], their 17 grey levels 0..16 spread over 0..255, and what each shows.

    Source: E. Alpaydin and C. Kaynak 1998, Optical Recognition of Handwritten Digits, UCI.
    """
    from sklearn import datasets  # slow to import, and only needed here

    bunch = datasets.load_digits()
    return np.rint(bunch.images * 255 / 16).astype(np.uint8), bunch.target.tolist()


def scan_digits(source: str, _follow_links: bool = False) -> Dataset:
    items = tuple(
        Item(f"{index:04d}", label, hashlib.sha256(image.tobytes()).hexdigest(), None)
        for index, (image, label) in enumerate(zip(*load_digits(), strict=True))
    )
    return Dataset("digits", source, tuple("0123456789"), items, photographs=False, notes=())


def scaled(dataset: Dataset, train: Sequence[int]) -> Dataset:
    """The data set with the scale of its 16-bit grey: 0 to 2^n - 1, the least that holds train.

    Files of 12 bits or of a few labels would be nearly black otherwise. Raises DataError where the
    values of train are nearly all alike. Files that cannot be decoded are left to `check_images`.
    """
    if source_of(dataset.source) is not SOURCES["folder"]:
        return dataset

    def range_of(item: int) -> tuple[int, int] | None:
        try:
            with Path(dataset.source, dataset.items[item].key).open("rb") as file, ROOM.visit():
                head = file.read(32)
                if not pictures.may_be_deep(head):
                    return None
                return pictures.grey_range(head + file.read(), ROOM.take)
        except Exception:  # as in open_path
            return None

    with large_pictures_allowed(), ThreadPoolExecutor(usable_cores()) as pool:
        found = [pair for pair in pool.map(range_of, train) if pair]
    if not found or min(found)[0] < 0 or max(high for _, high in found) > pictures.WHITE:
        return dataset
    low, high = min(found)[0], max(high for _, high in found)
    white = (1 << max(1, high.bit_length())) - 1
    if (high - low) * 255 < LEAST_LEVELS * white:
        raise DataError(
            f"{dataset.source}: no contrast: the 16-bit grey images of train hold only values "
            f"{low} to {high}: spread them over 0 to {pictures.WHITE}, or convert them to 8 bits"
        )
    note = f"16-bit grey images are scaled by what train holds, so that white is: {white}"
    items = tuple(item._replace(white=white) for item in dataset.items)
    return replace(dataset, items=items, notes=(*dataset.notes, note))


LEAST_LEVELS = 8
"""Of 255, between the darkest and the brightest pixel of a data set that shows anything."""


def open_path(path: str, sha256: str | None = None, white: int = pictures.WHITE) -> Image.Image:
    """One picture file, upright RGB; with a hash, only if its bytes have it. Raises DataError."""
    content = b""
    try:
        content = Path(path).read_bytes()
        if sha256 in (None, hashlib.sha256(content).hexdigest()):
            return pictures.read(content, white, ROOM.take)
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged files
        raise DataError([f"{path}: {damage(content, error)}"]) from error
    raise DataError([f"{path}: changed while bench was running: start again"])


HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
"""Of ISO/IEC 23008-12; the last two may also begin an AVIF, which Pillow knows."""


def damage(content: bytes, error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, MemoryError):
        return "needs more memory than there is: make it smaller, or take it out"
    if not content:
        return "is empty (0 bytes)"
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        return "is a HEIC image, which cannot be read: convert it to JPEG"
    if isinstance(error, UnidentifiedImageError):
        text = content[:256].lstrip().startswith(b"<")
        return "is a web page or other text, not an image" if text else "is no image Pillow knows"
    return f"cannot be decoded ({error})"


SOURCES: Mapping[str, Source] = {
    "digits": Source(
        "1,797 handwritten digits, part of scikit-learn, no download",
        scan_digits,
        lambda _, item: Image.fromarray(load_digits()[0][int(item.key)]).convert("RGB"),
        load_digits,
        train_per_class=30,
        val_per_class=50,
    ),
    "folder": Source(
        "your own images: a folder for each class, or train, val and test with such folders",
        scan_folder,
        lambda source, item: open_path(f"{source}/{item.key}", item.sha256, item.white),
        Image.init,
        train_per_class=None,
        val_per_class=None,
    ),
}
