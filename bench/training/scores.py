"""Quality of a set of predictions: plain functions of logits and labels.

Dimensions: N images, K classes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import predictions
from bench.record import Scores
from bench.suite import Metric

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

ECE_BINS = 15


def score(logits_NK: Floats, labels_N: Ints) -> Scores:
    """All scores of one part. Logits must be finite; every label is below K."""
    num_images, num_classes = logits_NK.shape
    log_probs_NK = log_softmax(logits_NK.astype(np.float64))
    probs_NK = np.exp(log_probs_NK)
    predicted_N = log_probs_NK.argmax(axis=1)
    confidence_N = probs_NK.max(axis=1)
    confusion_KK = confusion_matrix(labels_N, predicted_N, num_classes)
    recall_K = recall(confusion_KK)
    return Scores(
        num_images=num_images,
        top1=float((predicted_N == labels_N).mean()),
        top5=top_k(log_probs_NK, labels_N, 5) if num_classes > 5 else None,
        macro_f1=macro_f1(confusion_KK),
        balanced_accuracy=float(np.nanmean(recall_K)),
        recall=tuple(None if np.isnan(value) else float(value) for value in recall_K),
        ece=expected_calibration_error(confidence_N, predicted_N == labels_N),
        nll=float(-log_probs_NK[np.arange(num_images), labels_N].mean()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion_KK),
        predictions=predictions.pack(labels_N, predicted_N, confidence_N),
    )


def metric_of(logits_NK: Floats, labels_N: Ints, metric: Metric) -> float:
    """The suite's metric alone, the same number as in `score`, for learning curves."""
    predicted_N = logits_NK.argmax(axis=1)
    match metric:
        case "top1":
            return float((predicted_N == labels_N).mean())
        case "balanced_accuracy":
            confusion_KK = confusion_matrix(labels_N, predicted_N, logits_NK.shape[1])
            return float(np.nanmean(recall(confusion_KK)))


def log_softmax(logits_NK: Floats) -> Floats:
    """Logarithms of the class probabilities."""
    shifted_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    normaliser_N1 = np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    result: Floats = shifted_NK - normaliser_N1
    return result


def top_k(log_probs_NK: Floats, labels_N: Ints, k: int) -> float:
    """Share of images whose class is among the k most probable."""
    best_Nk = np.argpartition(-log_probs_NK, k - 1, axis=1)[:, :k]
    return float((best_Nk == labels_N[:, None]).any(axis=1).mean())


def confusion_matrix(labels_N: Ints, predicted_N: Ints, num_classes: int) -> Ints:
    """Counts [true class, predicted class]."""
    flat_N = labels_N * num_classes + predicted_N
    return np.bincount(flat_N, minlength=num_classes**2).reshape(num_classes, num_classes)


def recall(confusion_KK: Ints) -> Floats:
    """Share of each class that was found; NaN for a class without images."""
    found_K, there_K = np.diag(confusion_KK), confusion_KK.sum(axis=1)
    unknown_K = np.full(len(there_K), np.nan)
    recall_K: Floats = np.divide(found_K, there_K, out=unknown_K, where=there_K > 0)
    return recall_K


def macro_f1(confusion_KK: Ints) -> float:
    """Mean F1 over the classes that are there or were predicted; never-predicted ones score 0."""
    found_K = np.diag(confusion_KK)
    total_K = confusion_KK.sum(axis=0) + confusion_KK.sum(axis=1)
    return float((2 * found_K[total_K > 0] / total_K[total_K > 0]).mean())


def expected_calibration_error(confidence_N: Floats, correct_N: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and accuracy over 15 equal-width bins, weighted by images.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3; bins are half-open on the left.
    """
    bins_N = np.clip(np.ceil(confidence_N * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = np.bincount(bins_N, weights=confidence_N - correct_N, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(confidence_N))
