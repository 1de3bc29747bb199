"""The metrics that a suite can choose by, each a field of `bench.record.Scores`.

A metric is a weighted share of the images that are right: what is paired and tested image by image.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Weights = NDArray[np.float64]


class Metric(NamedTuple):
    title: str
    score: Callable[[Ints, Ints], float]  # of true and predicted classes, [N]; 0 to 1
    weights: Callable[[Ints], Weights]  # of each image by its true class, [N]; their mean is 1
    is_proportion: bool = True  # of images, so that the Wilson interval holds exactly


def _balanced_accuracy(labels_N: Ints, predicted_N: Ints) -> float:
    num_classes = 1 + int(max(labels_N.max(), predicted_N.max()))
    return float(np.nanmean(recall(confusion_matrix(labels_N, predicted_N, num_classes))))


def _by_class(labels_N: Ints) -> Weights:
    """Classes count alike: the fewer images in a class, the more each counts."""
    classes_N, sizes_K = np.unique(labels_N, return_inverse=True, return_counts=True)[1:]
    return np.asarray(len(labels_N) / len(sizes_K) / sizes_K[classes_N])


METRICS: Mapping[str, Metric] = {
    "top1": Metric(
        "top-1 accuracy",
        lambda labels_N, predicted_N: float((predicted_N == labels_N).mean()),
        lambda labels_N: np.ones(len(labels_N)),
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy", _balanced_accuracy, _by_class, is_proportion=False
    ),
}


def confusion_matrix(labels_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Counts [true class, predicted class]."""
    flat_N = labels_N * num_classes + predicted_N
    return np.bincount(flat_N, minlength=num_classes**2).reshape(num_classes, num_classes)


def recall(confusion_KK: Ints) -> Floats:
    """Share of each class that was found; NaN for a class without images."""
    found_K, there_K = np.diag(confusion_KK), confusion_KK.sum(axis=1)
    return np.asarray(found_K / np.where(there_K > 0, there_K, np.nan))


def only_answer(confusion: Sequence[Sequence[int]]) -> int | None:
    """The one class that images of several are given; None where that is not so."""
    counts_KK = np.asarray(confusion)
    answers = np.flatnonzero(counts_KK.any(axis=0))
    return int(answers[0]) if len(answers) == 1 < counts_KK.any(axis=1).sum() else None
