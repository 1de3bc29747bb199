"""Made-up photographs as JPEG files in class folders, for timing what decodes and learns them.

Each is noise of every scale, as in photographs, under a few shapes. The shapes and, less surely,
the colours tell the class, so that networks learn it, but not at once. A file of 500 x 375 pixels
at quality 90 has 60 to 70 kB, as a photograph of that size.
"""

from colorsys import hsv_to_rgb
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.record import Part

SHARES: dict[Part, float] = {"train": 0.6, "val": 0.2, "test": 0.2}
QUALITY = 90
SHAPES = 4  # in each picture
HUE_SPREAD = 0.05  # standard deviation of a hue around that of its class; 1 is the whole circle
LIGHT_SPREAD = 20  # standard deviation of each channel of the light around that of the class


def write(
    path: Path, num_images: int, *, num_classes: int, width: int = 500, height: int = 375
) -> Path:
    """Write so many photographs below a folder, 60/20/20; the same numbers give the same files."""
    generator = np.random.default_rng(0)
    for part, count in counts(num_images, num_classes).items():
        for number in range(count):
            label = number % num_classes
            folder = path / part / f"class-{label}"
            folder.mkdir(parents=True, exist_ok=True)
            picture = photograph(label, num_classes, generator, (width, height))
            picture.save(folder / f"{number:06d}.jpg", quality=QUALITY)
    return path


def counts(num_images: int, num_classes: int) -> dict[Part, int]:
    """How many images each part has: one of each class at least."""
    return {part: max(num_classes, round(share * num_images)) for part, share in SHARES.items()}


def photograph(
    label: int, num_classes: int, generator: Generator, size: tuple[int, int]
) -> Image.Image:
    """One picture of a class, RGB."""
    own = rgb(label / num_classes, 1.0, 1.0)
    light = (np.array(own) - 128) / 4 + generator.normal(0, LIGHT_SPREAD, 3)
    picture = Image.fromarray(clouds(light, generator, size))
    draw = ImageDraw.Draw(picture)
    for _ in range(SHAPES):
        hue = label / num_classes + generator.normal(0, HUE_SPREAD)
        fill = rgb(hue, generator.uniform(0.4, 1), generator.uniform(0.3, 1))
        draw.polygon(outline(label, generator, size), fill=fill)
    grain = generator.normal(0, 6, (size[1], size[0], 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """A colour; a hue beyond 0..1 goes round."""
    red, green, blue = (round(255 * x) for x in hsv_to_rgb(hue % 1.0, saturation, value))
    return red, green, blue


def clouds(
    light: NDArray[np.float64], generator: Generator, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Noise of all scales, the coarser the stronger, in a light of some colour: [H, W, 3]."""
    total = np.full((size[1], size[0], 3), generator.uniform(90, 160) + light)
    cells = 2
    while cells <= max(size) // 2:
        grey = generator.normal(0, 40, (cells, cells, 1))
        colour = generator.normal(0, 12, (cells, cells, 3))
        levels = np.clip(128 + grey + colour, 0, 255).astype(np.uint8)
        layer = np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC))
        total += (layer.astype(np.float64) - 128) * 2 / cells**0.5
        cells *= 2
    clipped: NDArray[np.uint8] = np.clip(total, 0, 255).astype(np.uint8)
    return clipped


def outline(label: int, generator: Generator, size: tuple[int, int]) -> list[tuple[float, float]]:
    """A star of the class's number of points, anywhere, of any size and turn."""
    points = 3 + label
    centre = generator.uniform((0, 0), size)
    radius = generator.uniform(0.1, 0.3) * min(size)
    turn = generator.uniform(0, 2 * np.pi)
    radii = np.where(np.arange(2 * points) % 2 == 0, radius, 0.5 * radius)
    angles = turn + np.arange(2 * points) * np.pi / points
    return [
        (float(centre[0] + r * np.cos(a)), float(centre[1] + r * np.sin(a)))
        for r, a in zip(radii, angles, strict=True)
    ]
