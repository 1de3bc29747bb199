"""Where images come from: one row per source, and the three things that are done with any.

Scanning lists and hashes, opening gives one picture, or every picture once. A source
other than "digits" is a folder, relative to the current directory; a folder that is itself
called digits is reached as "./digits".
"""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from bench.data.colour import upright_rgb
from bench.data.dataset import Dataset, Item, shortened
from bench.data.digits import load as load_digits
from bench.data.digits import open_digit, scan_digits
from bench.data.folder import scan_folder
from bench.errors import DataError

__all__ = [
    "SOURCES",
    "DataError",
    "Dataset",
    "Item",
    "Source",
    "check_images",
    "load_libraries",
    "open_all",
    "open_image",
    "open_path",
    "scan",
    "source_of",
]

DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on damaged files, found by damaging files of each format."""


def open_file(source: str, item: Item) -> Image.Image:
    """One picture of a folder, upright RGB.

    Raises DataError if the file cannot be read or decoded, or is not the one that was scanned.
    """
    return open_path(f"{source}/{item.key}", item.sha256)


def open_path(path: str, sha256: str | None = None) -> Image.Image:
    """One picture file, upright RGB; with a hash, only if its bytes have it. Raises DataError."""
    content = b""
    try:
        content = Path(path).read_bytes()
        if sha256 in (None, hashlib.sha256(content).hexdigest()):
            with Image.open(io.BytesIO(content)) as picture:
                return upright_rgb(picture)
    except DAMAGE as error:
        raise DataError([f"{path}: {damage(content, error)}"]) from error
    raise DataError([f"{path}: changed while bench was running: start again"])


def damage(content: bytes, error: BaseException) -> str:
    """Why a picture could not be read, for the one who has to mend it."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if not content:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        text = content[:256].lstrip().startswith(b"<")
        return "is a web page or other text, no image" if text else "is no image that Pillow knows"
    return f"cannot be decoded ({error})"


class Source(NamedTuple):
    """What the sources differ in."""

    summary: str
    scan: Callable[[str], Dataset]
    open: Callable[[str, Item], Image.Image]
    load_libraries: Callable[[], object]
    train_per_class: int | None  # defaults of the split; None: the rule of bench.data.split
    val_per_class: int | None


SOURCES: Mapping[str, Source] = {
    "digits": Source(
        "1,797 handwritten digits, part of scikit-learn, no download",
        scan_digits,
        open_digit,
        load_digits,
        train_per_class=30,
        val_per_class=50,
    ),
    "folder": Source(
        "your own images: a folder for each class, or train, val and test with such folders",
        scan_folder,
        open_file,
        Image.init,
        train_per_class=None,
        val_per_class=None,
    ),
}


def source_of(source: str) -> Source:
    """The row of a source as a suite names it: "digits", or a path."""
    return SOURCES["digits" if source == "digits" else "folder"]


def scan(source: str) -> Dataset:
    """List and hash the images of a source; DataError with every mistake in its layout."""
    return source_of(source).scan(source)


def open_image(dataset: Dataset, item: Item) -> Image.Image:
    """One picture, mode RGB, upright; DataError names a file that cannot be decoded."""
    return source_of(dataset.source).open(dataset.source, item)


def load_libraries(dataset: Dataset) -> None:
    """Load what opening images needs, so that nothing that is timed or metered pays for it.

    scikit-learn, which holds the digits, takes a second and 110 MiB.
    """
    source_of(dataset.source).load_libraries()


def open_all(
    dataset: Dataset,
    threads: int,
    use: Callable[[int, Image.Image], None],
    count: Callable[[int], None] = lambda num_done: None,
) -> None:
    """Open every image once and hand it to `use`, in any thread, with its number.

    `count` hears how many are done. What `use` raises passes at once; DataError names, at the
    end, all images that cannot be decoded.
    """

    def problems_of(number: int) -> list[str]:
        try:
            picture = open_image(dataset, dataset.items[number])
        except DataError as error:
            return error.problems
        use(number, picture)
        return []

    problems: list[str] = []
    with large_pictures_allowed(), ThreadPoolExecutor(threads) as pool:
        found = pool.map(problems_of, range(len(dataset.items)))
        for num_done, lines in enumerate(found, start=1):
            problems += lines
            count(num_done)
    if problems:
        raise DataError([*shortened(problems), "replace these files or take them out"])


def check_images(dataset: Dataset, threads: int) -> None:
    """Decode every image once; DataError names those that cannot be."""
    open_all(dataset, threads, lambda number, picture: None)


@contextmanager
def large_pictures_allowed() -> Iterator[None]:
    """Silence Pillow's warning about large scans; its error about decompression bombs stays.

    Warning filters belong to the process: enter before threads start, leave after they end.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
