"""Where images come from: scikit-learn's digits, or a folder of the user's.

Any source but "digits" is a path, relative to the current directory; a folder called digits is
reached as "./digits".
"""

import hashlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from bench.data.dataset import Dataset, Item, shortened
from bench.data.folder import scan_folder
from bench.errors import DataError


class Source(NamedTuple):
    summary: str
    scan: Callable[[str], Dataset]
    open: Callable[[str, Item], Image.Image]
    load_libraries: Callable[[], object]
    train_per_class: int | None  # defaults of the split; None: the rule of bench.data.split
    val_per_class: int | None


def source_of(source: str) -> Source:
    """The row of a source as a suite names it: one of the table, or a path."""
    return SOURCES.get(source, SOURCES["folder"])


def scan(source: str) -> Dataset:
    return source_of(source).scan(source)


def open_image(dataset: Dataset, item: Item) -> Image.Image:
    """One picture, mode RGB, upright; DataError names a file that cannot be decoded."""
    return source_of(dataset.source).open(dataset.source, item)


def load_libraries(dataset: Dataset) -> None:
    """Load what opening images needs before anything is timed or metered.

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

    `count` hears how many are done. What `use` raises passes at once. DataError comes at the end
    and names every image that cannot be decoded.
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


def scan_digits(source: str) -> Dataset:
    items = tuple(
        Item(f"{index:04d}", label, hashlib.sha256(image.tobytes()).hexdigest(), None)
        for index, (image, label) in enumerate(zip(*load_digits(), strict=True))
    )
    return Dataset("digits", source, tuple("0123456789"), items, photographs=False, notes=())


def open_path(path: str, sha256: str | None = None) -> Image.Image:
    """One picture file, upright RGB; with a hash, only if its bytes have it. Raises DataError."""
    content = b""
    try:
        content = Path(path).read_bytes()
        if sha256 in (None, hashlib.sha256(content).hexdigest()):
            with Image.open(io.BytesIO(content)) as picture:
                return upright_rgb(picture)
    except Exception as error:  # Pillow's decoders raise nearly every kind on damaged files
        raise DataError([f"{path}: {damage(content, error)}"]) from error
    raise DataError([f"{path}: changed while bench was running: start again"])


def damage(content: bytes, error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if not content:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        text = content[:256].lstrip().startswith(b"<")
        return "is a web page or other text, not an image" if text else "is no image Pillow knows"
    return f"cannot be decoded ({error})"


def upright_rgb(picture: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen, mode RGB; ValueError if its values have no scale.

    The first frame, with the EXIF orientation applied, 16-bit grey scaled (Pillow would clip it to
    white) and transparency laid over white (most transparent pictures are dark on nothing and
    would vanish over black). Pillow converts CMYK, palettes and grey. No colour profiles.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        return from_grey(np.asarray(picture), 65535)
    if picture.mode == "F":
        return from_grey(np.asarray(picture), 1)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def from_grey(values_HW: NDArray[Any], white: int) -> Image.Image:
    """RGB of grey values 0..white; ValueError outside, where the scale is unknown."""
    if not (values_HW.min() >= 0 and values_HW.max() <= white):  # so that NaN is refused too
        raise ValueError(f"values outside 0..{white} have no known scale: convert it to 8 bits")
    bytes_HW = np.rint(values_HW * np.float32(255) / white).astype(np.uint8)
    return Image.fromarray(bytes_HW).convert("RGB")


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
        lambda source, item: open_path(f"{source}/{item.key}", item.sha256),
        Image.init,
        train_per_class=None,
        val_per_class=None,
    ),
}
