"""Packing of per-image outcomes, small enough to stand in every record and baseline.

A column is a row of little-endian unsigned 16-bit integers, or of bits, deflated and written in
base64. Class ids come back exactly, confidences to within 1 / 131070.
"""

import base64
import binascii
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.record import Predictions

LARGEST = 65535
"""Largest class id that can be packed, and the integer that stands for a confidence of 1."""

MISTAKES = 24
"""Images of a cell that are worth showing."""


class Unpacked(NamedTuple):
    """One entry per image, in the order of split.csv."""

    labels_N: NDArray[np.int64]
    predicted_N: NDArray[np.int64]
    confidences_N: NDArray[np.float64]  # of the predicted class, 0 to 1

    @property
    def correct_N(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the true one, [N]."""
        return np.equal(self.labels_N, self.predicted_N)


def pack(labels_N: ArrayLike, predicted_N: ArrayLike, confidences_N: ArrayLike) -> Predictions:
    """Pack true classes, predicted classes and the confidence in the latter, each [N].

    Raises ValueError if the lengths differ, a class id is not an integer in 0..65535, or a
    confidence lies outside 0..1 by more than rounding (NaN included).
    """
    labels = _class_ids("labels", labels_N)
    predicted = _class_ids("predicted", predicted_N)
    confidences = np.asarray(confidences_N, dtype=np.float64)
    if not labels.shape == predicted.shape == confidences.shape or labels.ndim != 1:
        shapes = f"{labels.shape}, {predicted.shape} and {confidences.shape}"
        raise ValueError(f"labels, predicted and confidences need one shape [N], got {shapes}")
    # A softmax in single precision may round a hair above one.
    if not np.all((confidences >= 0) & (confidences <= 1 + 1e-6)):
        raise ValueError("confidences: expected numbers from 0 to 1")
    return Predictions(
        num_images=len(labels),
        labels=pack_column(labels),
        classes=pack_column(predicted),
        confidences=pack_column(np.rint(confidences * LARGEST)),
    )


def unpack(predictions: Predictions) -> Unpacked:
    """The three columns of packed predictions. Raises ValueError where one is damaged."""
    num_images = predictions.num_images
    return Unpacked(
        labels_N=unpack_column("labels", predictions.labels, num_images).astype(np.int64),
        predicted_N=unpack_column("classes", predictions.classes, num_images).astype(np.int64),
        confidences_N=unpack_column("confidences", predictions.confidences, num_images) / LARGEST,
    )


def confident_mistakes(predictions: Predictions, limit: int = MISTAKES) -> list[int]:
    """Indices of at most `limit` wrong images, the most confident first, ties by index.

    Raises ValueError where the predictions are damaged.
    """
    unpacked = unpack(predictions)
    mistakes = np.flatnonzero(~unpacked.correct_N)
    order = np.argsort(-unpacked.confidences_N[mistakes], kind="stable")
    return [int(index) for index in mistakes[order[:limit]]]


def _class_ids(column: str, values_N: ArrayLike) -> NDArray[np.int64]:
    ids = np.asarray(values_N)
    if ids.size == 0:
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() > LARGEST:
        raise ValueError(f"{column}: expected integer class ids from 0 to {LARGEST}")
    return ids.astype(np.int64)


def pack_column(values_N: NDArray[np.generic]) -> str:
    return _deflated(values_N.astype("<u2").tobytes())


def unpack_column(column: str, text: str, num_images: int) -> NDArray[np.uint16]:
    """One column from its text, [num_images]. Raises ValueError where it is damaged."""
    data = _inflated(f"predictions.{column}", text, 2 * num_images)
    return np.frombuffer(data, dtype="<u2").astype(np.uint16)


def pack_bits(correct_N: NDArray[np.bool_]) -> str:
    """Which images were right, one bit each, as text."""
    return _deflated(np.packbits(correct_N).tobytes())


def unpack_bits(text: str, num_images: int) -> NDArray[np.bool_]:
    """Which images were right, [num_images]. Raises ValueError where the text is damaged."""
    data = _inflated("packed bits", text, (num_images + 7) // 8)
    return np.unpackbits(np.frombuffer(data, np.uint8), count=num_images).astype(np.bool_)


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _inflated(name: str, text: str, num_bytes: int) -> bytes:
    try:
        # The size is bounded, so that a forged record cannot fill the memory.
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), num_bytes + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"{name}: damaged ({error})") from error
    if len(data) != num_bytes:
        raise ValueError(f"{name}: damaged (another number of images than expected)")
    return data
