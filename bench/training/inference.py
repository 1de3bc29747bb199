"""Forward passes without training: features, logits, and batch-norm statistics.

Dimensions: N images, B batch, K classes, V views.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.training.feeds import Batch
from bench.training.fit import Diverged
from bench.training.freezing import BatchNorm
from bench.training.placement import Placement

EVAL_BATCH: Mapping[str, int] = {"cpu": 32, "cuda": 128}
"""Images of a forward pass, by type of device; it changes no result. What a CPU works on is to stay
in its cache, and large batches would be the peak of its memory."""

STATISTICS_BATCH = 128
"""Images of a forward pass that statistics are estimated from: a part of the estimate's meaning."""


def even_chunks(num_images: int, size: int, device: torch.device) -> Sequence[Tensor]:
    """All indices in chunks of at most `size` that differ by one: no small last one to skew
    statistics.
    """
    indices_N = torch.arange(num_images, device=device)
    return indices_N.tensor_split(math.ceil(num_images / size))


@torch.no_grad()
def outputs(module: nn.Module, batch: Batch, num_images: int, placement: Placement) -> Tensor:
    """What the module makes of every image, float32, in eval mode."""
    module.eval()
    parts = []
    size = EVAL_BATCH[placement.device.type]
    for indices_B in even_chunks(num_images, size, placement.device):
        inputs = placement.lay_out(batch(indices_B))
        with placement.autocast():
            parts.append(module(inputs).float())
    return torch.cat(parts)


def logits(
    module: nn.Module, batch: Batch, num_images: int, placement: Placement
) -> NDArray[np.float32]:
    """Logits of every image on the host. Raises Diverged where one is not finite."""
    logits_NK: NDArray[np.float32] = outputs(module, batch, num_images, placement).cpu().numpy()
    if not np.isfinite(logits_NK).all():
        raise Diverged("logits are not finite")
    return logits_NK


@torch.no_grad()
def estimate_statistics(
    network: nn.Module,
    norms: Sequence[BatchNorm],
    batch: Batch,
    num_images: int,
    placement: Placement,
) -> None:
    """Set the running statistics of `norms` to their average over the images, in one pass.

    Everything else is in eval mode, so that dropped units do not skew what is measured.
    Source: Wu & Johnson 2021, arXiv:2105.07576, section 3.2.
    """
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    chunks = even_chunks(num_images, STATISTICS_BATCH, placement.device)
    for number, indices_B in enumerate(chunks, start=1):
        for norm in norms:
            # The plain average so far; torch's own, momentum = None, waits for the device.
            norm.momentum = 1 / number
        with placement.autocast():
            network(placement.lay_out(batch(indices_B)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
