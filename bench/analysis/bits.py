"""Which images were right: a bit for each, packed, so that a baseline can hold many cells."""

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray


def pack_bits(right_N: NDArray[np.bool_]) -> str:
    """A bit for each image, deflated, in base64."""
    return base64.b64encode(zlib.compress(np.packbits(right_N).tobytes(), 9)).decode("ascii")


def unpack_bits(text: str, num_images: int) -> NDArray[np.bool_]:
    """The images that were right, [num_images]. Raises ValueError where the text is damaged."""
    size = (num_images + 7) // 8
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed bits are damaged ({error})") from error
    if len(data) != size:
        raise ValueError(f"packed bits: expected those of {num_images} images")
    return np.unpackbits(np.frombuffer(data, np.uint8), count=num_images).astype(np.bool_)


def same_bits(one: str, other: str, num_images: int) -> bool:
    """Whether the same images were right. Raises ValueError where a text is damaged.

    Another version of zlib may pack the same bits as another text.
    """
    return one == other or np.array_equal(
        unpack_bits(one, num_images), unpack_bits(other, num_images)
    )
