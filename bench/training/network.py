"""A cell's network before its first step and after its last, and the seeds of all that is drawn.

Each use of randomness has its own seed, so that none depends on how much another drew.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import bench
from bench.identity import cell_id
from bench.models import build
from bench.models.build import Network
from bench.models.state import digest
from bench.record import Cell

State = Mapping[str, Tensor]


def derived_seed(seed: int, purpose: str) -> int:
    """The seed of one use ("head", "batches", "dropout", ...) of a cell's seed."""
    return int(hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()[:12], 16)


def start_of(cell: Cell, backbone: State | None) -> Network:
    """The cell's network before its first step; a backbone of None is drawn from its seed."""
    shape = (cell.architecture, len(cell.data.classes), cell.image_size)
    backbone_seed, head_seed = (derived_seed(cell.seed, part) for part in ("backbone", "head"))
    return build.build(*shape, state=backbone, backbone_seed=backbone_seed, head_seed=head_seed)


def seedless(cell: Cell, backbone: State | None) -> Network:
    """A network that is the same for every seed, for its backbone or its speed."""
    shape = (cell.architecture, len(cell.data.classes), cell.image_size)
    seed = cell.weights.init_seed or 0
    return build.build(*shape, state=backbone, backbone_seed=seed, head_seed=0)


def num_bytes(network: nn.Module) -> int:
    """Size of the network's values, about that of its file; it may lie on the meta device."""
    return sum(value.nbytes for value in network.state_dict().values())


def whole_network(cell: Cell, module: nn.Module, backbone: State | None) -> Network:
    """The network that a cell trained: `module` itself, or a head on the frozen backbone."""
    if isinstance(module, Network):
        return module
    assert backbone is not None, "a head alone is trained on a given backbone"
    network = seedless(cell, backbone)
    network.head.load_state_dict(module.state_dict())
    return network


def save(path: Path, cell: Cell, network: nn.Module) -> None:
    """Write the state dict as safetensors, in the types that it was trained in.

    The metadata name the cell and hold a hash of the values.
    Raises OSError and SafetensorError where the disk does not take them.
    """
    state = {  # in plain layout and in memory of its own, as safetensors wants it
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    metadata = {
        "cell_id": cell_id(cell),
        "bench": bench.__version__,
        "torch": str(torch.__version__),
        "kept_sha256": digest(state),
    }
    save_file(state, path, metadata)
