"""Thumbnails show the right image, upright, and what cannot be read costs no other."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.data import decoded, sources
from bench.data.dataset import Dataset
from bench.data.decoded import Making, thumbnails
from bench.data.pictures import Resize
from bench.measure.device import Device

SIZE = (90, 60)
RESIZES = [Resize(60, "bilinear", True), Resize(72, "bicubic", True), Resize(100, "bilinear", True)]


def scene(shift: int) -> Image.Image:
    """A picture whose centre, corners and colours tell them apart, wider than it is high."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    red, green = 2 * columns, (4 * rows + 40 * shift) % 256
    blue = np.full(rows.shape, 20 * shift)
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Dataset:
    """Four scenes as they are, and one that a camera stored lying on its side."""
    for label, shifts in (("a", (0, 1)), ("b", (2, 3))):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for shift in shifts:
            scene(shift).save(tmp_path / "pictures" / label / f"{shift}.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees to the right
    lying = scene(4).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "pictures" / "b" / "4.jpg", exif=exif, quality=95)
    return sources.scan(str(tmp_path / "pictures"))


def made(dataset: Dataset) -> Making:
    return decoded.make(dataset, RESIZES, Device("cpu", None), lambda told: None)


def pixels(jpeg: bytes) -> NDArray[np.float64]:
    picture = Image.open(io.BytesIO(jpeg))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
    return np.asarray(picture, dtype=np.float64)


def centre(shift: int) -> NDArray[np.float64]:
    """The centre of a scene, by area, without a resampling filter of Pillow's."""
    square = scene(shift).crop((15, 0, 75, 60)).resize((64, 64), Image.Resampling.BOX)
    return np.asarray(square, dtype=np.float64)


@pytest.mark.usefixtures("cache_home")
@pytest.mark.parametrize("cached", [False, True])
def test_a_thumbnail_is_the_upright_centre_of_its_image(pictures: Dataset, cached: bool) -> None:
    folders = made(pictures).folders if cached else {}
    jpegs, problems = thumbnails(pictures, [4, 0, 3], folders)
    assert problems == []
    assert jpegs.keys() == {4, 0, 3}
    for item, jpeg in jpegs.items():
        shown = pixels(jpeg)
        errors = {shift: np.abs(shown - centre(shift)).mean() for shift in range(5)}
        assert min(errors, key=errors.__getitem__) == item
        assert errors[item] < 6


@pytest.mark.usefixtures("cache_home")
def test_what_the_cache_holds_needs_no_file_and_no_larger_square_than_it_must(
    pictures: Dataset, tmp_path: Path
) -> None:
    folders = made(pictures).folders
    for resize, folder in folders.items():
        if resize.size != 72:
            (folder / "squares.npy").write_bytes(b"")
    for path in (tmp_path / "pictures").rglob("*.*"):
        path.unlink()
    assert thumbnails(pictures, range(5), folders)[0].keys() == set(range(5))


@pytest.mark.usefixtures("cache_home")
def test_what_is_damaged_in_the_cache_is_decoded_again(pictures: Dataset) -> None:
    folders = made(pictures).folders
    sound = thumbnails(pictures, [2], {})[0]
    for folder in folders.values():
        path = folder / "squares.npy"
        path.write_bytes(b"\x80" * path.stat().st_size)
    assert thumbnails(pictures, [2], folders)[0] == sound
    for folder in folders.values():
        (folder / "squares.npy").unlink()
    assert thumbnails(pictures, [2], folders)[0] == sound


def test_an_image_that_cannot_be_read_again_is_named_and_costs_no_other(
    pictures: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "pictures" / "a" / "1.png").unlink()
    (tmp_path / "pictures" / "b" / "2.png").write_bytes(b"not a picture")
    jpegs, problems = thumbnails(pictures, range(5), {})
    assert jpegs.keys() == {0, 3, 4}
    first, second = problems
    assert first.endswith("pictures/a/1.png: cannot be read (No such file or directory)")
    assert "pictures/b/2.png: " in second


def test_digits_are_shown_as_well() -> None:
    digits = sources.scan("digits")
    jpegs, _ = thumbnails(digits, [0, 1796], {})
    raw = np.asarray(sources.open_image(digits, digits.items[1796]), dtype=np.float64)
    blocks = pixels(jpegs[1796]).reshape(8, 8, 8, 8, 3).mean(axis=(1, 3))
    assert np.corrcoef(blocks.ravel(), raw.ravel())[0, 1] > 0.97
    assert jpegs[0] != jpegs[1796]


def test_no_images_make_no_thumbnails(pictures: Dataset) -> None:
    assert thumbnails(pictures, [], {}) == ({}, [])


def test_a_long_strip_is_cut_to_its_centre(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.new("RGB", (4000, 1), (250, 10, 10)).save(tmp_path / label / "strip.png")
    jpegs, _ = thumbnails(sources.scan(str(tmp_path)), [0], {})
    np.testing.assert_allclose(pixels(jpegs[0]).mean(axis=(0, 1)), [250, 10, 10], atol=4)
