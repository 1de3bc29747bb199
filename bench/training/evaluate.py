"""Evaluation: forward passes without training, batch-norm statistics, and scores.

Dimensions: N images, B batch, K classes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from bench import predictions
from bench.data.images import Images
from bench.metrics import METRICS, Floats, Ints, confusion_matrix, recall
from bench.record import Preprocessing, Scores
from bench.training.feeds import Batch, eval_batch
from bench.training.placement import Placement

ECE_BINS = 15

BatchNorm = nn.modules.batchnorm._BatchNorm
"""Batch norm of any number of dimensions."""


class Diverged(ArithmeticError):
    """The loss or the logits of a cell stopped being finite."""


class Exam(NamedTuple):
    batch: Batch
    labels_N: NDArray[np.int64]


def image_exam(images: Images, pipeline: Preprocessing) -> Exam:
    return Exam(eval_batch(images, pipeline), host(images.labels_N))


def host(labels_N: Tensor) -> NDArray[np.int64]:
    array_N: NDArray[np.int64] = labels_N.cpu().numpy()
    return array_N


def even_chunks(num_images: int, size: int, device: torch.device) -> Sequence[Tensor]:
    """All indices in chunks of at most `size` whose sizes differ by one at most.

    A small last chunk would skew statistics.
    """
    indices_N = torch.arange(num_images, device=device)
    return indices_N.tensor_split(math.ceil(num_images / size))


@torch.no_grad()
def outputs(
    module: nn.Module,
    batch: Batch,
    num_images: int,
    placement: Placement,
    home: torch.device | None = None,
) -> Tensor:
    """The module's output for every image, float32, in eval mode; on the device, or at `home`."""
    module.eval()
    parts = []
    for indices_B in even_chunks(num_images, placement.eval_batch, placement.device):
        inputs = placement.lay_out(batch(indices_B))
        with placement.autocast():
            parts.append(module(inputs).float().to(home or placement.device))
    return torch.cat(parts)


def logits(module: nn.Module, exam: Exam, placement: Placement) -> NDArray[np.float32]:
    """Logits of every image on the host. Raises Diverged where one is not finite."""
    return finite(outputs(module, exam.batch, len(exam.labels_N), placement).cpu().numpy())


def finite(logits_NK: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits_NK).all():
        raise Diverged("logits are not finite")
    return logits_NK


def batch_norms(model: nn.Module) -> list[BatchNorm]:
    return [module for module in model.modules() if isinstance(module, BatchNorm)]


def trained_norms(model: nn.Module) -> list[BatchNorm]:
    return [norm for norm in batch_norms(model) if norm.training]


@torch.no_grad()
def estimate_statistics(
    network: nn.Module,
    norms: Sequence[BatchNorm],
    batch: Batch,
    num_images: int,
    batch_size: int,
    placement: Placement,
) -> None:
    """Set the running statistics of `norms` to their average over the images, in one pass.

    The estimate depends on the batch size. Everything else is in eval mode, so that dropout does
    not skew it.
    Source: Wu & Johnson 2021, arXiv:2105.07576, section 3.2.
    """
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    # At least three, so that none is left with one image, which has no variance.
    chunks = even_chunks(num_images, max(3, batch_size), placement.device)
    for number, indices_B in enumerate(chunks, start=1):
        for norm in norms:
            # The plain average so far; torch's own, momentum = None, waits for the device.
            norm.momentum = 1 / number
        with placement.autocast():
            network(placement.lay_out(batch(indices_B)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def score(logits_NK: Floats, labels_N: Ints) -> Scores:
    """All scores of one part. Logits must be finite; every label is below K."""
    num_images, num_classes = logits_NK.shape
    log_probs_NK: Floats = log_softmax(logits_NK.astype(np.float64), axis=1)
    probs_NK = np.exp(log_probs_NK)
    predicted_N = log_probs_NK.argmax(axis=1)
    confidence_N = probs_NK.max(axis=1)
    confusion_KK = confusion_matrix(labels_N, predicted_N, num_classes)
    recall_K = recall(confusion_KK)
    return Scores(
        num_images=num_images,
        top1=METRICS["top1"].score(labels_N, predicted_N),
        top5=top_k(log_probs_NK, labels_N, 5) if num_classes > 5 else None,
        macro_f1=macro_f1(confusion_KK),
        balanced_accuracy=METRICS["balanced_accuracy"].score(labels_N, predicted_N),
        recall=tuple(None if np.isnan(value) else float(value) for value in recall_K),
        ece=expected_calibration_error(confidence_N, predicted_N == labels_N),
        nll=float(-log_probs_NK[np.arange(num_images), labels_N].mean()),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion_KK),
        predictions=predictions.pack(labels_N, predicted_N, confidence_N),
    )


def metric_of(logits_NK: Floats, labels_N: Ints, metric: str) -> float:
    """The suite's metric alone, the same number as in `score`, for learning curves."""
    return METRICS[metric].score(labels_N, logits_NK.argmax(axis=1))


def top_k(log_probs_NK: Floats, labels_N: Ints, k: int) -> float:
    best_Nk = np.argpartition(-log_probs_NK, k - 1, axis=1)[:, :k]
    return float((best_Nk == labels_N[:, None]).any(axis=1).mean())


def macro_f1(confusion_KK: Ints) -> float:
    """Mean F1 over the classes that occur or were predicted; never-predicted ones score 0."""
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
