"""Every kind of picture ends as the RGB pixels that a person would name by hand."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.data.colour import upright_rgb


def saved(picture: Image.Image, file_format: str, **options: object) -> Image.Image:
    """The picture after a round trip through a file of the given format."""
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return Image.open(file)


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    converted = upright_rgb(picture)
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
        upright_rgb(picture)


def test_decimal_grey_in_0_to_1_is_scaled() -> None:
    picture = Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32))
    assert pixels(saved(picture, "TIFF"))[0, :, 1].tolist() == [0, 51, 255]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_decimal_grey_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no known scale"):
        upright_rgb(Image.fromarray(np.array([[0.5, value]], dtype=np.float32)))


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
