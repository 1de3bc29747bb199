"""What trains on images and is scored on them: inputs of the live phase of a cell."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.data.decoded import Share, Squares
from bench.data.images import Images
from bench.record import ImageCache, Preprocessing, Recipe
from bench.training.feeds import AugmentedImages, Batch, Feed, PlainImages, eval_batch


class Parts(NamedTuple):
    """The images of one split, and how they came to be there."""

    train: Images
    val: Images
    test: Images
    resident: bool  # on the device; else gathered from disk, batch by batch
    how: ImageCache  # whether the cache has them
    squares: Squares | None = None  # what they are cut from; None for pixels without files
    shares: tuple[Share, ...] = ()  # of the pass that decoded them before the cells


class Exam(NamedTuple):
    """Inputs and true classes of one part that is scored."""

    batch: Batch
    labels_N: NDArray[np.int64]


def image_feed(train: Images, preprocessing: Preprocessing, recipe: Recipe) -> Feed:
    """What a live phase trains on."""
    if recipe.augment == "none":
        return PlainImages(train, preprocessing)
    return AugmentedImages(train, preprocessing, recipe.flip)


def image_exam(images: Images, preprocessing: Preprocessing) -> Exam:
    """The eval crops of one part."""
    return Exam(eval_batch(images, preprocessing), host(images.labels_N))


def feature_exam(features_N: Tensor, labels_N: Tensor) -> Exam:
    """Cached features of one part."""
    return Exam(lambda indices_B: features_N[indices_B], host(labels_N))


def host(labels_N: Tensor) -> NDArray[np.int64]:
    """Labels as numpy sees them."""
    array_N: NDArray[np.int64] = labels_N.cpu().numpy()
    return array_N
