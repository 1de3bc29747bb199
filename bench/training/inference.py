"""Forward passes without training: features, logits, and batch-norm statistics.

Dimensions: N images, B batch, K classes, V views.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.training.feeds import Batch
from bench.training.fit import Diverged
from bench.training.step import Placement

EVAL_BATCH = 128


def even_chunks(num_images: int, device: torch.device) -> Sequence[Tensor]:
    """All indices in chunks of nearly equal size: no small last batch to skew statistics."""
    indices_N = torch.arange(num_images, device=device)
    return indices_N.chunk(math.ceil(num_images / EVAL_BATCH))


@torch.no_grad()
def outputs(module: nn.Module, batch: Batch, num_images: int, placement: Placement) -> Tensor:
    """What the module makes of every image, float32, in eval mode."""
    module.eval()
    parts = []
    for indices_B in even_chunks(num_images, placement.device):
        inputs = batch(indices_B)
        if inputs.ndim == 4:
            inputs = placement.lay_out(inputs)
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
    norms: Iterable[nn.modules.batchnorm._BatchNorm],
    batch: Batch,
    num_images: int,
    placement: Placement,
) -> None:
    """Set the running statistics of `norms` to their average over the images, in one pass.

    Everything else is in eval mode, so that dropped units do not skew what is measured.
    Source: Wu & Johnson 2021, arXiv:2105.07576, section 3.2.
    """
    chosen = list(norms)
    if not chosen:
        return
    momenta = [norm.momentum for norm in chosen]
    network.eval()
    for norm in chosen:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
        norm.train()
    for indices_B in even_chunks(num_images, placement.device):
        with placement.autocast():
            network(placement.lay_out(batch(indices_B)))
    for norm, momentum in zip(chosen, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
