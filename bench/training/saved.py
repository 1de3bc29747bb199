"""A trained network as a file: its whole state dict."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import bench
from bench.identity import cell_id
from bench.models.build import Network
from bench.models.state import digest
from bench.record import Cell
from bench.training.start import State, seedless


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
    state = {name: copied(value) for name, value in network.state_dict().items()}
    metadata = {
        "cell_id": cell_id(cell),
        "bench": bench.__version__,
        "torch": str(torch.__version__),
        "kept_sha256": digest(state),
    }
    save_file(state, path, metadata)


def copied(value: Tensor) -> Tensor:
    """On the host, in plain layout and in memory of its own, as safetensors wants it."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)
