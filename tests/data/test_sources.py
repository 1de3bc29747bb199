"""The sources: the digits as they are, damaged files, and the colours of every kind of picture."""

import io
import pickle
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile
from sklearn.datasets import load_digits

from bench.data.dataset import Dataset, shortened
from bench.data.pictures import Described, upright_rgb
from bench.data.sources import (
    SOURCES,
    check_images,
    open_all,
    open_image,
    scan,
    source_of,
    without_damaged,
)
from bench.errors import DataError


def pair(root: Path) -> Path:
    """A folder of two classes with one noisy photograph each."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        noise = generator.integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / name / "good.jpg")
    return root


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def problems_of(dataset: Dataset) -> list[str]:
    with pytest.raises(DataError) as caught:
        check_images(dataset, threads=2)
    return [line.replace(dataset.source, "ROOT") for line in caught.value.problems]


def test_few_damaged_images_may_be_left_out_and_are_named(tmp_path: Path) -> None:
    root = pair(tmp_path)
    (root / "a" / "cut.jpg").write_bytes((root / "a" / "good.jpg").read_bytes()[:400])
    (root / "b" / "empty.png").write_bytes(b"")
    dataset = scan(str(root))
    sound = without_damaged(dataset, 2, threads=2)
    assert [item.key for item in sound.items] == ["a/good.jpg", "b/good.jpg"]
    assert sound.notes == ("damaged images were left out: 2 (a/cut.jpg, b/empty.png)",)
    assert without_damaged(sound, 1, threads=1) == sound
    with pytest.raises(DataError) as caught:
        without_damaged(dataset, 1, threads=2)
    *named, text = caught.value.problems
    assert [line.partition(": ")[0] for line in named] == [
        f"{root}/a/cut.jpg", f"{root}/b/empty.png"
    ]  # fmt: skip
    assert text == "2 images are damaged, and skip_damaged = 1: replace them"


def test_digits_are_scikit_learns_in_its_order() -> None:
    bunch, digits = load_digits(), scan("digits")
    assert len(digits.items) == 1797
    assert [item.label for item in digits.items] == bunch.target.tolist()
    assert [item.key for item in digits.items][:2] == ["0000", "0001"]
    assert digits.classes == tuple("0123456789")
    assert not digits.photographs


def test_a_digit_is_its_17_grey_levels_spread_over_a_byte() -> None:
    expected = [[round(level * 255 / 16) for level in row] for row in load_digits().images[1234]]
    digits = scan("digits")
    picture = open_image(digits, digits.items[1234])
    assert (picture.mode, picture.size) == ("RGB", (8, 8))
    assert np.asarray(picture)[:, :, 2].tolist() == expected


def test_every_digit_opens() -> None:
    check_images(scan("digits"), threads=1)


def test_the_content_of_the_digits_is_this_one_for_ever() -> None:
    assert scan("digits").content_sha256.startswith("afce369abd901113")


def test_any_other_name_is_a_folder() -> None:
    assert source_of("digits") is SOURCES["digits"]
    assert source_of("./digits") is source_of("folder") is SOURCES["folder"]


def test_a_data_set_opens_its_images_in_another_process(tmp_path: Path) -> None:
    dataset = scan(str(pair(tmp_path)))
    code = (
        "import pickle, sys; from bench.data.sources import open_image; "
        "dataset = pickle.load(sys.stdin.buffer); "
        "print(open_image(dataset, dataset.items[1]).tobytes().hex())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(dataset), capture_output=True, check=True
    )
    here = open_image(dataset, dataset.items[1]).tobytes().hex()
    assert printed.stdout.decode().strip() == here


def test_scanning_does_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from bench.data import sources, split; "
        f"sources.scan({str(pair(tmp_path))!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_good_images_pass_the_check(tmp_path: Path) -> None:
    check_images(scan(str(pair(tmp_path))), threads=2)


def test_damaged_files_are_all_named_with_their_damage(tmp_path: Path) -> None:
    good = (pair(tmp_path) / "a" / "good.jpg").read_bytes()
    (tmp_path / "a" / "cut.jpg").write_bytes(good[: len(good) // 2])
    (tmp_path / "a" / "empty.png").write_bytes(b"")
    (tmp_path / "b" / "page.jpg").write_text("<!DOCTYPE html><p>404</p>")
    (tmp_path / "b" / "noise.jpg").write_bytes(b"\x00\x01\x02" * 50)
    (tmp_path / "b" / "bomb.png").write_bytes(png_header(20_000, 20_000))
    found = problems_of(scan(str(tmp_path)))
    expected = [
        r"ROOT/a/cut.jpg: cannot be decoded (image file is truncated",
        r"ROOT/a/empty.png: is empty (0 bytes)",
        r"ROOT/b/bomb.png: cannot be decoded (Image size (400000000 pixels) exceeds limit",
        r"ROOT/b/noise.jpg: is no image Pillow knows",
        r"ROOT/b/page.jpg: is a web page or other text, not an image",
        "replace these files, or leave a few out with skip_damaged below [dataset]",
    ]
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


def test_a_picture_that_needs_more_memory_than_there_is_is_named(tmp_path: Path) -> None:
    def use(number: int, picture: Image.Image) -> None:
        if number == 1:
            bytearray(1 << 60)

    dataset = scan(str(pair(tmp_path)))
    with pytest.raises(DataError) as caught:
        open_all(dataset, 2, use)
    assert caught.value.problems[0].startswith(f"{tmp_path}/b/good.jpg: needs more memory")


def test_only_the_first_twenty_damaged_files_are_named(tmp_path: Path) -> None:
    pair(tmp_path)
    for number in range(23):
        (tmp_path / "a" / f"{number:02d}.jpg").write_bytes(b"")
    found = problems_of(scan(str(tmp_path)))
    assert len(found) == 22
    assert found[19].startswith("ROOT/a/19.jpg")
    assert found[20] == "and 3 more like these"


def test_twenty_problems_need_no_count() -> None:
    assert shortened(list("abcdefghijklmnopqrst")) == list("abcdefghijklmnopqrst")


def test_a_file_that_changed_after_the_scan_is_named(tmp_path: Path) -> None:
    dataset = scan(str(pair(tmp_path)))
    Image.new("RGB", (9, 9)).save(tmp_path / "b" / "good.jpg")
    with pytest.raises(DataError, match=r"b/good\.jpg: changed while bench was running"):
        open_image(dataset, dataset.items[1])


def test_a_large_scan_is_no_bomb_and_brings_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = scan(str(pair(tmp_path)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the pictures have 1,200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_images(dataset, threads=2)


def test_truncated_files_stay_an_error_for_pillow(tmp_path: Path) -> None:
    check_images(scan(str(pair(tmp_path))), threads=1)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_data_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(DataError(["one", "two"])))
    assert error.problems == ["one", "two"]
    assert str(error) == "one\ntwo"


# ---- colours --------------------------------------------------------------------------------


def saved(picture: Image.Image, file_format: str, **options: object) -> Image.Image:
    """The picture after a round trip through a file of the given format."""
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return Image.open(file)


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    converted = upright_rgb(picture, Described(b""))
    assert converted.mode == "RGB"
    return np.asarray(converted)


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    found = pixels(saved(Image.fromarray(values), "PNG"))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize("file_format", ["TIFF", "PPM"])
def test_16_bit_grey_reads_alike_from_other_formats(file_format: str) -> None:
    values = np.array([[0, 1000, 32768, 65535]], dtype=np.uint16)
    found = pixels(saved(Image.fromarray(values), file_format))
    assert found[0, :, 0].tolist() == [0, 4, 128, 255]


@pytest.mark.parametrize("values", [[0, 70000], [-1, 5]])
def test_32_bit_grey_without_a_known_scale_is_refused(values: list[int]) -> None:
    picture = Image.fromarray(np.array([values], dtype=np.int32))
    with pytest.raises(ValueError, match="no known scale"):
        upright_rgb(picture, Described(b""))


def test_decimal_grey_in_0_to_1_is_scaled() -> None:
    picture = Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32))
    assert pixels(saved(picture, "TIFF"))[0, :, 1].tolist() == [0, 51, 255]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_decimal_grey_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no known scale"):
        upright_rgb(Image.fromarray(np.array([[0.5, value]], np.float32)), Described(b""))


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (200, 100, 0, 0), (255, 255, 255)),
        ("RGBA", (200, 100, 0, 255), (200, 100, 0)),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),  # a fifth of red over white
        ("LA", (0, 51), (204, 204, 204)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
    ],
)
def test_each_mode_becomes_the_colour_that_it_shows(
    mode: str, pixel: object, expected: tuple[int, int, int]
) -> None:
    picture = Image.new(mode, (2, 3), pixel)  # type: ignore[arg-type]
    assert (pixels(picture) == expected).all()


def test_a_palette_with_a_transparent_colour_lies_over_white() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    found = pixels(saved(picture, "PNG", transparency=0))
    assert found[0].tolist() == [[255, 255, 255], [40, 50, 60]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(orientation: int) -> None:
    upright = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    stored = {  # how a camera held that way stores the upright picture: EXIF 2.3, table 6
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert pixels(picture)[:, :, 0].tolist() == upright.tolist()


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    animation = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert getattr(animation, "n_frames", 1) == 2
    assert (pixels(animation) == (255, 0, 0)).all()


def test_one_pixel_is_a_picture() -> None:
    assert pixels(Image.new("L", (1, 1), 9)).tolist() == [[[9, 9, 9]]]
