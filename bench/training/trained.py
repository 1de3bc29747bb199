"""What training made of a network: the values that its backbone's source cannot give again."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import bench
from bench.architectures import ARCHITECTURES
from bench.identity import cell_id
from bench.models.build import Network
from bench.models.digest import digest
from bench.models.state import fitted
from bench.record import Cell
from bench.strategies import lr_scales, phases
from bench.training.shared import Shared


def trained_names(cell: Cell, network: Network) -> list[str]:
    """Names in the network's state dict: parameters that a phase trains, and every buffer.

    Statistics of a frozen batch norm are among them: of random weights they come from train.
    """
    parameters = [name for name, _ in network.named_parameters()]
    learning = {
        name
        for phase in phases(cell.kind, cell.recipe, network.stages)
        for name, scale in lr_scales(parameters, phase.rules).items()
        if scale > 0
    }
    frozen = set(parameters) - learning
    return [name for name in network.state_dict() if name not in frozen]


def trained_bytes(cell: Cell, network: Network) -> int:
    """Size of those values; the network may lie on the meta device."""
    state = network.state_dict()
    return sum(state[name].nbytes for name in trained_names(cell, network))


def save(path: Path, cell: Cell, shared: Shared, module: nn.Module) -> None:
    """Write those values as safetensors, in the types that they were trained in.

    `module` is what `run_cell` trained for the cell: the network, or the head alone. The metadata
    holds hashes of what is kept, and of what is left for the source to give again, if anything.
    Raises OSError and SafetensorError where the disk does not take them.
    """
    outline = shared.outline(cell)
    state = network_state(cell, shared, module)
    kept = {name: state.pop(name) for name in trained_names(cell, outline)}
    metadata = {
        "cell_id": cell_id(cell),
        "bench": bench.__version__,
        "torch": str(torch.__version__),
        "kept_sha256": digest(kept),
    }
    if state:
        metadata["given_sha256"] = digest(state)
    write(path, kept, metadata)


def write(path: Path, values: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, wherever they lie and however they are laid out.

    Raises OSError and SafetensorError.
    """
    save_file({name: copied(value) for name, value in values.items()}, path, dict(metadata))


def network_state(cell: Cell, shared: Shared, module: nn.Module) -> dict[str, Tensor]:
    """The whole network's values by name, where they lie."""
    if isinstance(module, Network):
        return dict(module.state_dict())
    head = {f"head.{name}": value for name, value in module.state_dict().items()}
    return head | backbone_state(cell, shared.outline(cell), shared.backbone(cell).value)


def backbone_state(cell: Cell, outline: Network, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of the frozen backbone under the network's names.

    Counters that older files lack are zero, as where the network is built.
    """
    architecture = ARCHITECTURES[cell.architecture]
    values = fitted(outline.backbone, architecture, given, cell.image_size)
    return {
        f"backbone.{name}": values[name].to(like.dtype)
        if name in values
        else torch.zeros(like.shape, dtype=like.dtype)
        for name, like in outline.backbone.state_dict().items()
    }


def copied(value: Tensor) -> Tensor:
    """On the host, in plain layout and in memory of its own, as files want it."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)
