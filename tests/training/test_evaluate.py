"""Features, logits, batch-norm statistics and scores against plain arithmetic."""

import math
import warnings
from collections import OrderedDict

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics
from torch import nn

from bench import predictions
from bench.record import Scores
from bench.training.evaluate import (
    Diverged,
    Exam,
    batch_norms,
    estimate_statistics,
    even_chunks,
    logits,
    outputs,
    score,
)
from bench.training.feeds import Batch, eval_batch
from tests.training import cells


def images_of(values_N1HW: torch.Tensor) -> Batch:
    return lambda indices_B: values_N1HW[indices_B]


@pytest.mark.parametrize("num_images", [1, 128, 129, 500, 1797, 12_701, 16_257])
def test_chunks_hold_every_image_once_and_differ_by_one_at_most(num_images: int) -> None:
    chunks = even_chunks(num_images, 128, cells.CPU)
    sizes = {len(chunk) for chunk in chunks}
    assert torch.cat(list(chunks)).equal(torch.arange(num_images))
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 128


def one_norm() -> nn.Sequential:
    layers = OrderedDict(
        norm=nn.BatchNorm2d(2, momentum=0.3), drop=nn.Dropout(0.5), pool=nn.AvgPool2d(4)
    )
    return nn.Sequential(layers)


def test_statistics_are_the_mean_and_variance_of_all_images() -> None:
    values_NCHW = torch.randn(100, 2, 4, 4, dtype=torch.float64).float() * 3 + 5
    network = one_norm()
    norms, batch = batch_norms(network), images_of(values_NCHW)
    estimate_statistics(network, norms, batch, 100, 100, cells.place())
    pixels = values_NCHW.double().transpose(0, 1).flatten(1)
    norm = network.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # float32 sums of 1,600 values
    torch.testing.assert_close(norm.running_mean, pixels.mean(1).float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var, pixels.var(1).float(), rtol=1e-5, atol=1e-5)
    assert norm.momentum == 0.3
    assert not any(module.training for module in network.modules())


def test_statistics_of_several_chunks_are_the_plain_average_over_them() -> None:
    values_NCHW = torch.randn(300, 2, 4, 4)
    network = one_norm()
    norms, batch = batch_norms(network), images_of(values_NCHW)
    estimate_statistics(network, norms, batch, 300, 128, cells.place())
    means = [values_NCHW[i : i + 100].mean((0, 2, 3)) for i in (0, 100, 200)]
    variances = [values_NCHW[i : i + 100].transpose(0, 1).flatten(1).var(1) for i in (0, 100, 200)]
    state = network.state_dict()
    torch.testing.assert_close(state["norm.running_mean"], sum(means) / 3, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state["norm.running_var"], sum(variances) / 3, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("num_images", "batch_size"), [(3, 2), (5, 2), (7, 2), (4, 1), (101, 4)])
def test_statistics_are_never_of_a_single_image(num_images: int, batch_size: int) -> None:
    network, batch = nn.Sequential(nn.BatchNorm1d(2)), images_of(torch.randn(num_images, 2))
    norms, place = batch_norms(network), cells.place()
    estimate_statistics(network, norms, batch, num_images, batch_size, place)
    assert network.state_dict()["0.running_var"].isfinite().all()


def test_earlier_statistics_leave_no_trace() -> None:
    values_NCHW = torch.randn(20, 2, 4, 4)
    fresh, used = one_norm(), one_norm()
    for _ in range(3):
        used(torch.randn(8, 2, 4, 4) + 100)
    for network in (fresh, used):
        norms = batch_norms(network)
        estimate_statistics(network, norms, images_of(values_NCHW), 20, 20, cells.place())
    assert all(value.equal(fresh.state_dict()[name]) for name, value in used.state_dict().items())


def test_dropout_before_a_norm_does_not_skew_its_statistics() -> None:
    network = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(2))
    values_NCHW = torch.randn(20, 2, 4, 4)
    estimate_statistics(
        network, batch_norms(network), images_of(values_NCHW), 20, 20, cells.place()
    )
    mean = network.state_dict()["1.running_mean"]
    torch.testing.assert_close(mean, values_NCHW.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)


def test_only_the_norms_that_are_named_change() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    last = batch_norms(network)[1:]
    estimate_statistics(network, last, images_of(torch.randn(9, 2, 4, 4) + 7), 9, 9, cells.place())
    state = network.state_dict()
    assert state["0.running_mean"].tolist() == [0.0, 0.0]
    assert state["1.running_mean"].min() > 6


def test_logits_that_are_not_finite_are_an_error() -> None:
    values = torch.ones(3, 2)
    values[1, 1] = torch.nan
    with pytest.raises(Diverged, match="logits are not finite"):
        logits(nn.Identity(), Exam(images_of(values), np.zeros(3, np.int64)), cells.place())


def test_outputs_are_those_of_eval_mode_one_image_at_a_time() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3)
    )
    images = cells.pictures(150, 8)
    network(torch.rand(4, 3, 8, 8))
    found_NK = outputs(network, eval_batch(images, cells.UNIT), 150, cells.place())
    with torch.no_grad():
        singly_NK = torch.cat([network(crop[None] / 255) for crop in cells.crops_of(images)])
    assert not network.training
    # float32 convolutions that sum in another order
    np.testing.assert_allclose(found_NK.numpy(), singly_NK.numpy(), rtol=1e-4, atol=1e-5)


# ---- scores ---------------------------------------------------------------------------------

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
