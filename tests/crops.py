"""Small crops of the photographs that scikit-image ships, as an image folder to find rates on.

    python -m pip install scikit-image
    python -m tests.crops FOLDER --train 30

A class is a photograph, an image one of its tiles. No two tiles overlap, so no pixel of train is in
val or test. The tiles are so small that the best network has some of them wrong.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "motorcycle_left.png", "rocket.jpg"),
)
SIDE = 24
"""Pixels of a tile."""

VAL, TEST = 50, 10
"""Tiles of each photograph; rates are chosen on val."""


def tiles(photograph: Image.Image, count: int) -> list[Image.Image]:
    """So many tiles from all over a photograph, always the same, in an order that is drawn once."""
    columns, rows = photograph.width // SIDE, photograph.height // SIDE
    places = np.random.default_rng(0).permutation(columns * rows)[:count]
    corners = [(SIDE * int(at % columns), SIDE * int(at // columns)) for at in places]
    return [photograph.crop((x, y, x + SIDE, y + SIDE)) for x, y in corners]


def write(folder: Path, photographs: Sequence[Path], num_train: int) -> None:
    """`train`, `val` and `test` with a folder of PNGs for each photograph."""
    for path in photographs:
        with Image.open(path) as opened:
            found = tiles(opened.convert("RGB"), VAL + TEST + num_train)
        parts = {"val": found[:VAL], "test": found[VAL : VAL + TEST], "train": found[VAL + TEST :]}
        for part, images in parts.items():
            place = folder / part / path.stem
            place.mkdir(parents=True)
            for number, image in enumerate(images):
                image.save(place / f"{number:03}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=30, help="training tiles of each photograph")
    given = parser.parse_args()
    import skimage

    shipped = Path(skimage.__file__).parent / "data"
    write(given.folder, [shipped / name for name in PHOTOGRAPHS], given.train)


if __name__ == "__main__":
    main()
