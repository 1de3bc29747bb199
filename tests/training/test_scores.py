"""Scores against scikit-learn, and calibration against a slow plain count."""

import math
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from bench import predictions
from bench.record import Scores
from bench.training.scores import score

Ints = NDArray[np.int64]
Logits = NDArray[np.float32]

SEEDS = range(25)


def drawn(seed: int) -> tuple[Logits, Ints]:
    """Logits and labels of 2 to 9 classes; some classes have no image, some logits are sure."""
    draw = np.random.default_rng(seed)
    num_images, num_classes = int(draw.integers(1, 60)), int(draw.integers(2, 10))
    there = draw.choice(num_classes, size=int(draw.integers(1, num_classes + 1)), replace=False)
    labels_N = draw.choice(there, size=num_images)
    logits_NK = draw.normal(scale=draw.choice([0.1, 1, 30]), size=(num_images, num_classes))
    logits_NK[np.arange(num_images), labels_N] += draw.uniform(0, 3)
    return logits_NK.astype(np.float32), labels_N.astype(np.int64)


def probabilities(logits_NK: Logits) -> NDArray[np.float64]:
    powers = [[math.exp(float(x) - float(max(row))) for x in row] for row in logits_NK]
    return np.array([[value / sum(row) for value in row] for row in powers])


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_are_scikit_learns(seed: int) -> None:
    logits_NK, labels_N = drawn(seed)
    classes = list(range(logits_NK.shape[1]))
    predicted_N = logits_NK.argmax(axis=1)
    found = score(logits_NK, labels_N)

    assert found.num_images == len(labels_N)
    assert found.top1 == pytest.approx(metrics.accuracy_score(labels_N, predicted_N))
    macro_f1 = metrics.f1_score(labels_N, predicted_N, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(macro_f1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of predicted classes without images
        balanced = metrics.balanced_accuracy_score(labels_N, predicted_N)
    assert found.balanced_accuracy == pytest.approx(balanced)
    confusion = metrics.confusion_matrix(labels_N, predicted_N, labels=classes)
    assert np.array_equal(found.confusion, confusion)
    nll = metrics.log_loss(labels_N, probabilities(logits_NK), labels=classes)
    # scikit-learn keeps probabilities off zero by the spacing of float64, 2.2e-16.
    assert found.nll == pytest.approx(nll, rel=1e-5) or nll > 1


@pytest.mark.parametrize("seed", SEEDS)
def test_recall_is_scikit_learns_and_unknown_for_a_class_without_images(seed: int) -> None:
    logits_NK, labels_N = drawn(seed)
    there = sorted(set(labels_N.tolist()))
    predicted_N = logits_NK.argmax(axis=1)
    expected = metrics.recall_score(
        labels_N, predicted_N, labels=there, average=None, zero_division=0
    )
    found = score(logits_NK, labels_N).recall
    assert [found[label] for label in there] == pytest.approx(list(expected))
    assert {k for k, value in enumerate(found) if value is None} == set(range(len(found))) - set(
        there
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_top5_is_scikit_learns_above_five_classes_and_absent_below(seed: int) -> None:
    logits_NK, labels_N = drawn(seed)
    num_classes = logits_NK.shape[1]
    found = score(logits_NK, labels_N).top5
    if num_classes <= 5:
        assert found is None
    else:
        expected = metrics.top_k_accuracy_score(labels_N, logits_NK, k=5, labels=range(num_classes))
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_error_is_that_of_a_plain_count_by_bins(seed: int) -> None:
    logits_NK, labels_N = drawn(seed)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities(logits_NK), labels_N, strict=True):
        which = next(b for b in range(1, 16) if row.max() <= b / 15 or b == 15)
        bins.setdefault(which, []).append((row.max(), row.argmax() == label))
    expected = 0.0
    for members in bins.values():
        confidence = sum(c for c, _ in members) / len(members)
        accuracy = sum(right for _, right in members) / len(members)
        expected += len(members) / len(labels_N) * abs(confidence - accuracy)
    assert score(logits_NK, labels_N).ece == pytest.approx(expected, abs=1e-9)


def by_hand() -> Scores:
    """Three images of classes 0, 0, 1 (of three); all are said to be 0, with 1/2 : 1/4 : 1/4."""
    logits_NK = np.log(np.array([[2, 1, 1]] * 3, dtype=np.float32))
    return score(logits_NK, np.array([0, 0, 1]))


def test_scores_counted_by_hand() -> None:
    found = by_hand()
    assert found.top1 == pytest.approx(2 / 3)
    assert found.recall == (1.0, 0.0, None)
    assert found.balanced_accuracy == pytest.approx(1 / 2)
    assert found.macro_f1 == pytest.approx((4 / 5 + 0) / 2)  # class 2: neither there nor said
    assert found.ece == pytest.approx(2 / 3 - 1 / 2)
    assert found.nll == pytest.approx((2 * math.log(2) + math.log(4)) / 3)
    assert found.confusion == ((2, 0, 0), (1, 0, 0), (0, 0, 0))


def test_predictions_are_those_that_were_scored() -> None:
    found = predictions.unpack(by_hand().predictions)
    assert found.labels_N.tolist() == [0, 0, 1]
    assert found.predicted_N.tolist() == [0, 0, 0]
    assert found.confidences_N == pytest.approx([0.5] * 3, abs=1e-5)


def test_huge_logits_neither_overflow_nor_lose_the_class() -> None:
    logits_NK = np.array([[3e38, -3e38], [-3e38, 3e38]], dtype=np.float32)
    found = score(logits_NK, np.array([0, 1]))
    assert (found.top1, found.nll, found.ece) == (1.0, 0.0, 0.0)


def test_the_order_of_images_changes_no_score() -> None:
    logits_NK, labels_N = drawn(3)
    forth, back = score(logits_NK, labels_N), score(logits_NK[::-1], labels_N[::-1])
    assert (back.confusion, back.recall) == (forth.confusion, forth.recall)
    for name in ("top1", "top5", "macro_f1", "balanced_accuracy", "ece", "nll"):
        assert getattr(back, name) == pytest.approx(getattr(forth, name))
