"""Packing of the per-image outcome of one part, small enough to stand in every record.

Each column is a row of little-endian unsigned 16-bit integers, deflated and written in base64.
Class ids come back exactly, confidences to within 1 / 131070.
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

    Raises ValueError if the lengths differ, a class id is no integer in 0..65535, or a
    confidence lies outside 0..1 by more than rounding (NaN included).
    """
    labels = class_ids("labels", labels_N)
    predicted = class_ids("predicted", predicted_N)
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
    """The three columns of packed predictions; ValueError where one of them is damaged."""
    num_images = predictions.num_images
    return Unpacked(
        labels_N=unpack_column("labels", predictions.labels, num_images).astype(np.int64),
        predicted_N=unpack_column("classes", predictions.classes, num_images).astype(np.int64),
        confidences_N=unpack_column("confidences", predictions.confidences, num_images) / LARGEST,
    )


def confident_mistakes(predictions: Predictions, limit: int = MISTAKES) -> list[int]:
    """Indices of at most `limit` wrong images, the most confident first, equal ones by index.

    ValueError where the predictions are damaged.
    """
    unpacked = unpack(predictions)
    mistakes = np.flatnonzero(~unpacked.correct_N)
    order = np.argsort(-unpacked.confidences_N[mistakes], kind="stable")
    return [int(index) for index in mistakes[order[:limit]]]


def class_ids(column: str, values_N: ArrayLike) -> NDArray[np.int64]:
    """Class ids as int64, [N]; ValueError if one is no integer in 0..65535."""
    ids = np.asarray(values_N)
    if ids.size == 0:
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() > LARGEST:
        raise ValueError(f"{column}: expected integer class ids from 0 to {LARGEST}")
    return ids.astype(np.int64)


def pack_column(values_N: NDArray[np.generic]) -> str:
    """One column of whole numbers as text."""
    return base64.b64encode(zlib.compress(values_N.astype("<u2").tobytes(), 9)).decode("ascii")


def unpack_column(column: str, text: str, num_images: int) -> NDArray[np.uint16]:
    """One column from its text, [num_images]."""
    try:
        # The size is bounded, so that a forged record cannot swell in memory.
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), 2 * num_images + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"predictions.{column}: damaged ({error})") from error
    if len(data) != 2 * num_images:
        raise ValueError(f"predictions.{column}: expected {num_images} values, got another number")
    return np.frombuffer(data, dtype="<u2").astype(np.uint16)
