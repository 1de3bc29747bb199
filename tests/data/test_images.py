"""The arithmetic from bytes to a network's input."""

import pytest
import torch
from PIL import Image

from bench.data.images import normalise, standardise, to_unit
from bench.data.pictures import Resize, resized

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("size", "expected"), [((40, 30), (16, 12)), ((30, 40), (12, 16)), ((7, 5), (16, 12))]
)
def test_the_shorter_side_gets_the_size_and_the_other_keeps_the_shape(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert resized(Image.new("RGB", size), Resize(12, "bilinear", antialias=True)).size == expected


def test_standardising_leaves_its_argument_alone() -> None:
    images = to_unit(torch.full((1, 3, 2, 2), 51, dtype=torch.uint8))
    standard = standardise(images, MEAN, STD)
    torch.testing.assert_close(images, torch.full((1, 3, 2, 2), 0.2))
    assert standard[0, :, 0, 0].tolist() == pytest.approx([-1.5, -2 / 3, -0.25])


def test_normalising_is_both_steps_at_once() -> None:
    pixels = torch.arange(48, dtype=torch.uint8).reshape(1, 3, 4, 4)
    assert normalise(pixels, MEAN, STD).equal(standardise(to_unit(pixels), MEAN, STD))
