"""Decoded images against the pipelines that torchvision ships with its weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import (
    EfficientNet_B4_Weights,
    Inception_V3_Weights,
    ResNet18_Weights,
    ResNet50_Weights,
    WeightsEnum,
)
from torchvision.transforms import functional as transforms

from bench.data.dataset import DataError, Dataset
from bench.data.images import decode, decode_with_squares, normalise, standardise, to_unit
from bench.data.sources import open_image, scan
from bench.schema import Preprocessing

PRESETS: list[WeightsEnum] = [
    ResNet18_Weights.IMAGENET1K_V1,
    ResNet50_Weights.IMAGENET1K_V2,  # 232 -> 224: an odd margin
    EfficientNet_B4_Weights.IMAGENET1K_V1,  # bicubic
    Inception_V3_Weights.IMAGENET1K_V1,
]
SIZES = [(320, 241), (241, 320), (50, 31), (256, 256), (333, 97)]
MODES = ["RGB", "L", "P", "RGBA", "CMYK"]


def preprocessing_of(preset: object) -> Preprocessing:
    return Preprocessing(
        resize_size=preset.resize_size[0],  # type: ignore[attr-defined]
        crop_size=preset.crop_size[0],  # type: ignore[attr-defined]
        interpolation=preset.interpolation.value,  # type: ignore[attr-defined]
        antialias=True,
        mean=tuple(preset.mean),  # type: ignore[attr-defined]
        std=tuple(preset.std),  # type: ignore[attr-defined]
    )


SMALL = Preprocessing(
    resize_size=12,
    crop_size=9,
    interpolation="bilinear",
    antialias=True,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Noise in several sizes and modes, as PNG where the mode allows it and TIFF where not."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number, (size, mode) in enumerate(zip(SIZES, MODES, strict=True)):
        folder = root / ("a" if number % 2 else "b")
        folder.mkdir(exist_ok=True)
        noise = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        ending = "tif" if mode == "CMYK" else "png"
        Image.fromarray(noise).convert(mode).save(folder / f"{number}.{ending}")
    return scan(str(root))


@pytest.mark.parametrize("weights", PRESETS, ids=str)
def test_normalised_crops_are_the_bits_of_the_weights_own_transforms(
    pictures: Dataset, weights: WeightsEnum
) -> None:
    preset = weights.transforms()
    preprocessing = preprocessing_of(preset)
    expected = torch.stack([preset(open_image(pictures, item)) for item in pictures.items])
    images = decode(pictures, range(len(pictures.items)), preprocessing, threads=2)
    found = normalise(images.crops_NCHW, preprocessing.mean, preprocessing.std)
    assert found.dtype == torch.float32
    assert found.equal(expected)


def test_squares_are_the_centre_of_the_resized_picture(pictures: Dataset) -> None:
    images = decode_with_squares(pictures, range(len(pictures.items)), SMALL, threads=2)
    assert images.squares_NCHW is not None
    assert images.squares_NCHW.shape == (5, 3, 12, 12)
    for item, square in zip(pictures.items, images.squares_NCHW, strict=True):
        picture = transforms.resize(open_image(pictures, item), [12])
        left, top = round((picture.width - 12) / 2), round((picture.height - 12) / 2)
        array = np.asarray(picture)[top : top + 12, left : left + 12]
        assert np.array_equal(array, square.permute(1, 2, 0).numpy())


def test_squares_do_not_change_the_crops(pictures: Dataset) -> None:
    indices = range(len(pictures.items))
    alone = decode(pictures, indices, SMALL, threads=1)
    assert alone.squares_NCHW is None
    assert alone.crops_NCHW.equal(
        decode_with_squares(pictures, indices, SMALL, threads=3).crops_NCHW
    )


def test_images_come_in_the_order_of_the_indices() -> None:
    digits = scan("digits")
    forward = decode(digits, [5, 17, 400], SMALL, threads=2)
    backward = decode(digits, [400, 17, 5], SMALL, threads=2)
    assert forward.crops_NCHW.equal(backward.crops_NCHW.flip(0))
    assert forward.labels_N.tolist() == [digits.items[index].label for index in (5, 17, 400)]
    assert forward.labels_N.dtype == torch.int64


def test_moving_to_a_device_moves_every_tensor() -> None:
    images = decode_with_squares(scan("digits"), [0, 1], SMALL, threads=1).to(torch.device("meta"))
    meta = torch.arange(2, device="meta")
    assert images.squares_NCHW is not None
    tensors = (images.crops_NCHW[meta], images.squares_NCHW[meta], images.labels_N)
    assert [tensor.device.type for tensor in tensors] == ["meta"] * 3


def test_a_file_that_vanished_after_the_scan_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    dataset = scan(str(tmp_path))
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(DataError, match=r"b/1\.png: cannot be read"):
        decode(dataset, [0, 1], SMALL, threads=2)


def test_standardising_leaves_its_argument_alone() -> None:
    images = to_unit(torch.full((1, 3, 2, 2), 51, dtype=torch.uint8))
    standard = standardise(images, SMALL.mean, SMALL.std)
    torch.testing.assert_close(images, torch.full((1, 3, 2, 2), 0.2))
    assert standard[0, :, 0, 0].tolist() == pytest.approx([-1.5, -2 / 3, -0.25])
