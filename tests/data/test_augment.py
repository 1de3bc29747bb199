"""Batched augmentation against torchvision's, image by image."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional

from bench.data import augment

WHOLE = [0.5, 0.5, 1.0, 1.0]
UNCHANGED = [1.0, 1.0, 1.0]


def squares(num_images: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (num_images, 3, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def drawn(num_images: int, flip_probability: float = 0.5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augment.draw(generator, num_images, flip_probability)


@pytest.mark.parametrize("size", [8, 20, 32, 45])
def test_a_crop_on_whole_pixels_is_resized_crop_without_antialias(size: int) -> None:
    image = squares(1, 32)
    left, top, width, height = 4, 7, 24, 20
    box = [(left + width / 2) / 32, (top + height / 2) / 32, width / 32, height / 32]
    expected = functional.resized_crop(
        image[0].float() / 255,
        top,
        left,
        height,
        width,
        [size, size],
        interpolation=InterpolationMode.BILINEAR,
        antialias=False,
    )
    augmented = augment.apply(image, torch.tensor([[*box, 1.0, *UNCHANGED]]), size)[0]
    # At the edge of the box torchvision repeats the box's last pixel; sampling the whole
    # square blends in the true neighbour. Inside, both are the same bilinear formula.
    inside = slice(size // 8 + 1, -(size // 8 + 1))
    torch.testing.assert_close(
        augmented[:, inside, inside], expected[:, inside, inside], atol=1e-5, rtol=0
    )


def test_the_whole_square_at_its_own_size_is_left_as_it_is() -> None:
    images = squares(3, 16)
    params = torch.tensor([[*WHOLE, 1.0, *UNCHANGED]]).expand(3, -1)
    torch.testing.assert_close(augment.apply(images, params, 16), images / 255, atol=1e-6, rtol=0)


def test_a_mirrored_image_holds_exactly_the_mirrored_pixels() -> None:
    images = squares(2, 16)
    box = [0.5, 0.5, 0.75, 0.75]
    straight = augment.apply(images, torch.tensor([[*box, 1.0, *UNCHANGED]] * 2), 16)
    mirrored = augment.apply(images, torch.tensor([[*box, -1.0, *UNCHANGED]] * 2), 16)
    assert mirrored.equal(straight.flip(3))


def test_colours_change_by_each_images_own_factors() -> None:
    images = squares(6, 9) / 255
    factors = drawn(6)[:, 5:]
    for image, changed, row in zip(
        images, augment.jitter(images, factors), factors.tolist(), strict=True
    ):
        expected = functional.adjust_brightness(image, row[0])
        expected = functional.adjust_contrast(expected, row[1])
        expected = functional.adjust_saturation(expected, row[2])
        torch.testing.assert_close(changed, expected, atol=1e-5, rtol=0)


def test_an_image_does_not_depend_on_its_batch() -> None:
    images, params = squares(5, 24), drawn(5)
    together = augment.apply(images, params, 20)
    alone = torch.cat([augment.apply(images[i : i + 1], params[i : i + 1], 20) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_applying_leaves_the_stored_images_alone() -> None:
    images = squares(2, 12)
    before = images.clone()
    augment.apply(images, drawn(2), 12)
    assert images.equal(before)


def test_crops_stay_inside_and_within_the_bounds_of_area_and_ratio() -> None:
    x, y, width, height = drawn(5000)[:, :4].unbind(1)
    for centre, side in ((x, width), (y, height)):
        assert (centre - side / 2).min() >= -1e-6
        assert (centre + side / 2).max() <= 1 + 1e-6
    assert 0.6 - 1e-5 <= (width * height).min() < 0.61
    assert 0.99 < (width * height).max() <= 1 + 1e-5
    assert 3 / 4 - 1e-5 <= (width / height).min() < 0.78
    assert 1.28 < (width / height).max() <= 4 / 3 + 1e-5


def test_crops_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    square = torch.empty(3, 1000, 1000)  # large, so that torchvision's whole pixels do not matter
    boxes = [RandomResizedCrop.get_params(square, [0.6, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]
    top, left, height, width = (torch.tensor(boxes) / 1000).unbind(1)
    expected = torch.stack([left + width / 2, top + height / 2, width, height], dim=1)
    found = drawn(30000)[:, :4]
    # Standard error of a mean: at most 0.11 / sqrt(3000) = 0.002; four of them.
    torch.testing.assert_close(found.mean(0), expected.mean(0), atol=0.008, rtol=0)
    torch.testing.assert_close(found.std(0), expected.std(0), atol=0.008, rtol=0)


def test_a_crop_that_never_fits_takes_the_whole_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "SCALE", (1.0, 1.0))
    monkeypatch.setattr(augment, "RATIO", (1.2, 4 / 3))
    assert drawn(4)[:, :4].tolist() == [WHOLE] * 4


def test_half_of_the_images_are_mirrored_and_none_where_the_probability_is_zero() -> None:
    mirrored = (drawn(4000)[:, 4] == -1).float().mean()
    assert abs(mirrored - 0.5) < 0.04  # five standard errors
    assert (drawn(100, flip_probability=0.0)[:, 4] == 1).all()


def test_switching_mirroring_off_changes_no_other_number() -> None:
    with_flips, without = drawn(50, 0.5), drawn(50, 0.0)
    others = [0, 1, 2, 3, 5, 6, 7]
    assert with_flips[:, others].equal(without[:, others])


def test_the_generator_alone_decides_the_numbers() -> None:
    first = drawn(10, seed=3)
    torch.manual_seed(99)
    assert drawn(10, seed=3).equal(first)
    assert not drawn(10, seed=4).equal(first)


def test_half_precision_around_it_does_not_blur_the_grid() -> None:
    images, params = squares(2, 32), drawn(2)
    expected = augment.apply(images, params, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert augment.apply(images, params, 24).equal(expected)


def test_enlarging_a_white_square_leaves_no_dark_rim() -> None:
    white = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    enlarged = augment.apply(white, torch.tensor([[*WHOLE, 1.0, *UNCHANGED]]), 20)
    torch.testing.assert_close(enlarged, torch.ones(1, 3, 20, 20), atol=1e-6, rtol=0)
