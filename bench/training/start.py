"""The networks that training starts from, and the seeds of all that is drawn.

Each use of randomness has its own seed, so that none depends on how much another drew.
"""

import hashlib
from collections.abc import Mapping

from torch import Tensor

from bench.models import build
from bench.models.build import Network
from bench.record import Cell

State = Mapping[str, Tensor]


def derived_seed(seed: int, purpose: str) -> int:
    """The seed of one use ("head", "batches", "dropout", ...) of a cell's seed."""
    return int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:12], 16)


def start_of(cell: Cell, backbone: State | None) -> Network:
    """The cell's network before its first step; a backbone of None is drawn from its seed."""
    return _built(
        cell, backbone, derived_seed(cell.seed, "backbone"), derived_seed(cell.seed, "head")
    )


def seedless(cell: Cell, backbone: State | None) -> Network:
    """A network that is the same for every seed, for its backbone or its speed."""
    return _built(cell, backbone, cell.weights.init_seed or 0, 0)


def _built(cell: Cell, backbone: State | None, backbone_seed: int, head_seed: int) -> Network:
    return build.build(
        cell.architecture,
        len(cell.data.classes),
        cell.image_size,
        state=backbone,
        backbone_seed=backbone_seed,
        head_seed=head_seed,
    )
