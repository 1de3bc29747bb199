"""One documented conversion of any picture to upright 8-bit RGB.

The first frame is taken, the EXIF orientation applied, 16-bit grey scaled (Pillow would clip it
to white), transparency laid over white (most transparent pictures are dark on nothing and would
vanish over black), CMYK, palettes and grey converted by Pillow. Colour profiles are not applied.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Values = NDArray[Any]  # [H, W], in the type that the file stores


def upright_rgb(picture: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen, mode RGB; ValueError if its values have no scale."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        return grey(from_16_bit(np.asarray(picture)))
    if picture.mode == "F":
        return grey(from_unit_range(np.asarray(picture)))
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def grey(values: Values) -> Image.Image:
    """An RGB picture of grey values 0..255."""
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def from_16_bit(values: Values) -> Values:
    """Whole numbers 0..65535 scaled to 0..255; ValueError outside, where the scale is unknown."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit values beyond 16 bits have no known scale: convert it to 8 bits")
    return (values.astype(np.int64) + 128) // 257


def from_unit_range(values: Values) -> Values:
    """Fractions 0..1 scaled to 0..255; ValueError outside, where the scale is unknown."""
    if not (values.min() >= 0 and values.max() <= 1):  # so that NaN is refused too
        raise ValueError("decimal values outside 0..1 have no known scale: convert it to 8 bits")
    scaled: Values = np.rint(values * 255)
    return scaled
