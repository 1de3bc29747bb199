"""Squares and what is cut from them, against the pipelines that torchvision ships."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
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
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from bench.data.dataset import Dataset
from bench.data.decoded import Squares, make
from bench.data.images import Streamed, normalise, resident
from bench.data.pictures import Resize, margin, resized, square_of
from bench.data.sources import open_image, scan
from bench.errors import DataError
from bench.measure.device import Device

PRESETS: list[WeightsEnum] = [
    ResNet18_Weights.IMAGENET1K_V1,
    ResNet50_Weights.IMAGENET1K_V2,  # 232 -> 224: an odd margin
    EfficientNet_B4_Weights.IMAGENET1K_V1,  # bicubic
    Inception_V3_Weights.IMAGENET1K_V1,
]
SIZES = [(320, 241), (241, 320), (50, 31), (256, 256), (333, 97)]
MODES = ["RGB", "L", "P", "RGBA", "CMYK"]
CPU = torch.device("cpu")
SMALL = Resize(12, "bilinear", True)


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


def kept(dataset: Dataset, resize: Resize) -> Path:
    """The squares in the cache."""
    return make(dataset, [resize], Device("cpu", None), lambda text: None).folders[resize]


def everything(squares: Squares, dataset: Dataset, size: int) -> torch.Tensor:
    return torch.from_numpy(squares.centres(range(len(dataset.items)), size))


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("weights", PRESETS, ids=str)
def test_normalised_crops_are_the_bits_of_the_weights_own_transforms(
    pictures: Dataset, weights: WeightsEnum, cached: bool
) -> None:
    preset = weights.transforms()
    expected = torch.stack([preset(open_image(pictures, item)) for item in pictures.items])
    resize = Resize(preset.resize_size[0], preset.interpolation.value, preset.antialias)
    squares = Squares(pictures, resize, kept(pictures, resize) if cached else None)
    crops_NCHW = everything(squares, pictures, preset.crop_size[0])
    found = normalise(crops_NCHW, preset.mean, preset.std)
    assert found.dtype == torch.float32
    assert found.equal(expected)
    assert squares.cached is cached


def test_centres_are_torchvisions_for_every_parity_of_sizes() -> None:
    generator = np.random.default_rng(0)
    for width in range(6, 16):
        for height in range(6, 16):
            noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
            picture = Image.fromarray(noise)
            for size in (7, 8):
                square = square_of(picture, Resize(size, "bilinear", True))
                around = transforms.resize(picture, [size])
                assert (square.width, square.height) == around.size
                for crop in range(1, size + 1):
                    expected = np.asarray(transforms.center_crop(around, [crop]))
                    assert np.array_equal(square.centre(crop).transpose(1, 2, 0), expected)


@pytest.mark.parametrize("interpolation", list(InterpolationMode)[:1] + list(InterpolationMode)[2:])
def test_resizing_is_torchvisions(interpolation: InterpolationMode) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (70, 70, 3), dtype=np.uint8)
    for width, height in [(13, 13), (13, 57), (57, 13), (64, 63), (63, 64), (1, 70), (70, 1)]:
        picture = Image.fromarray(noise[:height, :width])
        for size in (5, 13, 63, 64):
            expected = transforms.resize(picture, [size], interpolation)
            found = resized(picture, Resize(size, interpolation.value, antialias=True))
            assert found.size == expected.size
            assert found.tobytes() == expected.tobytes()


def test_a_crop_of_the_square_alone_would_be_off_by_a_pixel() -> None:
    # A picture 11 pixels long: its centre 8 starts at 2 and its centre 7 at 2, not at 2 + 0.5.
    assert (margin(11, 8), margin(11, 7), margin(8, 7)) == (2, 2, 0)
    assert (margin(15, 8), margin(15, 5), margin(8, 5)) == (4, 5, 2)  # 4 + 2 is not 5


def test_squares_are_the_centre_of_the_resized_picture(pictures: Dataset) -> None:
    squares_NCHW = everything(Squares(pictures, SMALL, None), pictures, 12)
    assert squares_NCHW.shape == (5, 3, 12, 12)
    assert squares_NCHW.dtype == torch.uint8
    for item, square in zip(pictures.items, squares_NCHW, strict=True):
        picture = transforms.resize(open_image(pictures, item), [12])
        left, top = round((picture.width - 12) / 2), round((picture.height - 12) / 2)
        array = np.asarray(picture)[top : top + 12, left : left + 12]
        assert np.array_equal(array, square.permute(1, 2, 0).numpy())


def test_images_come_in_the_order_of_the_items() -> None:
    squares = Squares(scan("digits"), SMALL, None)
    forward, backward = (squares.centres(way, 9) for way in ([5, 17, 400], [400, 17, 5]))
    assert np.array_equal(forward, backward[::-1])


@pytest.mark.parametrize("block_bytes", [1, 3 * 12 * 12 * 2, 1 << 20])
def test_resident_images_are_those_gathered_batch_by_batch(
    pictures: Dataset, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.data.images.BLOCK_BYTES", block_bytes)
    squares, items = Squares(pictures, SMALL, kept(pictures, SMALL)), [4, 0, 2]
    crops_NCHW = resident(squares, items, 9, CPU)
    streamed = Streamed(squares, items, 9)
    assert len(streamed) == len(crops_NCHW) == 3
    for indices in ([0, 1, 2], [2, 2, 0], [1], []):
        indices_B = torch.tensor(indices, dtype=torch.int64)
        assert streamed[indices_B].equal(crops_NCHW[indices_B])
    assert resident(squares, items, 12, CPU)[1].equal(everything(squares, pictures, 12)[0])


def test_images_go_where_they_are_asked_for(pictures: Dataset) -> None:
    meta = torch.device("meta")  # takes tensors and keeps nothing
    squares = Squares(pictures, SMALL, None)
    assert resident(squares, [0, 1], 9, meta).device == meta


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    dataset = scan(str(tmp_path))
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(DataError, match=r"b/1\.png: cannot be read"):
        Squares(dataset, SMALL, None).centres([0, 1], 9)


# ---- damage ---------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [flip, cut, Path.unlink])
@pytest.mark.parametrize("name", ["squares", "sizes"])
def test_damaged_squares_are_decoded_anew_and_it_is_said_once(
    pictures: Dataset, spoil: Callable[[Path], None], name: str
) -> None:
    said: list[str] = []
    folder = kept(pictures, SMALL)
    expected = everything(Squares(pictures, SMALL, None), pictures, 9)
    spoil(folder / f"{name}.npy")
    squares = Squares(pictures, SMALL, folder, said.append)
    for _ in range(2):
        assert everything(squares, pictures, 9).equal(expected)
    assert not squares.cached
    (line,) = said
    assert f"{name}.npy" in line


def test_squares_that_are_deleted_while_they_are_open_are_no_loss(pictures: Dataset) -> None:
    said: list[str] = []
    folder = kept(pictures, SMALL)
    expected = everything(Squares(pictures, SMALL, None), pictures, 9)
    squares = Squares(pictures, SMALL, folder, said.append)
    shutil.rmtree(folder)
    assert everything(squares, pictures, 9).equal(expected)
    assert (squares.cached, said) == (True, [])


def test_what_was_read_does_not_count_as_memory_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    digits, resize = scan("digits"), Resize(64, "bilinear", True)  # 22 MB
    squares = Squares(digits, resize, kept(digits, resize))
    batches = [list(range(start, start + 100)) for start in range(0, 1700, 100)]
    squares.centres(batches[0], 64)
    before = psutil.Process().memory_info().rss
    for batch in batches:
        squares.centres(batch, 64)
    assert psutil.Process().memory_info().rss - before < 8e6


def test_squares_come_from_the_cache_and_not_from_the_files(tmp_path: Path) -> None:
    for name in ("white", "black"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4), name).save(tmp_path / name / "1.png")
    dataset = scan(str(tmp_path))
    squares = Squares(dataset, SMALL, kept(dataset, SMALL))
    shutil.rmtree(tmp_path)
    crops_NCHW = squares.centres([0, 1], 9)
    assert crops_NCHW.mean((1, 2, 3)).tolist() == [0, 255]
