"""The crops that rates are found on."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests import crops


def test_no_pixel_of_train_is_in_val_or_test(tmp_path: Path) -> None:
    # Every pixel has a colour of its own.
    numbers_HW = np.arange(300 * 400).reshape(300, 400)
    colours_HW3 = np.stack(
        [numbers_HW % 251, numbers_HW // 251 % 251, numbers_HW // 63_001], axis=2
    )
    Image.fromarray(colours_HW3.astype(np.uint8)).save(tmp_path / "photograph.png")
    crops.write(tmp_path / "crops", [tmp_path / "photograph.png"], 30)
    seen: set[tuple[int, ...]] = set()
    files = sorted((tmp_path / "crops").glob("*/photograph/*.png"))
    for file in files:
        with Image.open(file) as image:
            seen |= {tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()}
    assert len(files) == 30 + crops.VAL + crops.TEST
    assert len(seen) == len(files) * crops.SIDE**2
