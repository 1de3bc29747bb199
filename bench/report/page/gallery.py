"""The test images on which the chosen cell was wrong and most sure of itself."""

import base64
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.predictions import confident_mistakes, unpack
from bench.record import Result


class Mistake(NamedTuple):
    """One image by its place in the test part, with what it shows and what it was taken for."""

    place: int
    shows: str
    taken_for: str
    confidence: str
    address: str  # a data: URI, empty where there is no thumbnail


class Gallery(NamedTuple):
    """Mistakes of one cell, the surest first, of so many among all its test images."""

    mistakes: tuple[Mistake, ...]
    num_mistakes: int
    num_images: int


def gallery(chosen: Result, thumbnails: Mapping[int, bytes], classes: Sequence[str]) -> Gallery:
    """The gallery of a cell, with the thumbnails (JPEG) that there are."""
    packed = chosen.quality.test.predictions
    found = unpack(packed)
    mistakes = tuple(
        Mistake(
            place=index,
            shows=classes[found.labels_N[index]],
            taken_for=classes[found.predicted_N[index]],
            confidence=sure(found.confidences_N[index]),
            address=address(thumbnails.get(index)),
        )
        for index in confident_mistakes(packed)
    )
    return Gallery(mistakes, int((~found.correct_N).sum()), len(found.labels_N))


def sure(confidence: float) -> str:
    """A confidence in percent that is never rounded up to certainty."""
    return "> 99.9 %" if confidence >= 0.9995 else f"{100 * confidence:.1f} %"


def address(jpeg: bytes | None) -> str:
    """A picture within the page; empty without one."""
    return "" if jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
