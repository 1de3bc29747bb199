"""State dicts: read from files without running them, fitted to a network, and hashed."""

import hashlib
import struct
from _pickle import UnpicklingError  # the name of an error; nothing here unpickles
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.architectures import Architecture
from bench.errors import WeightsError, first

# What the readers were seen to raise on garbage, truncated and empty files.
_DAMAGED = (
    *(SafetensorError, EOFError, LookupError, RuntimeError),
    *(AttributeError, TypeError, ValueError, struct.error),
)


UNDER = ("state_dict", "model")
"""Where training loops put the state dict, beside the epoch and the optimiser's."""

PREFIXES = ("module.", "_orig_mod.")
"""Of every name where the network was saved as it trained: on several devices, or compiled."""


def unwrapped(found: object) -> object:
    """The state dict in a checkpoint, or what was found."""
    for _ in range(4):  # a file may hold itself
        held = [found.get(key) for key in UNDER] if isinstance(found, Mapping) else []
        found = next((one for one in held if isinstance(one, Mapping)), found)
    return found


def unprefixed(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors under the names that the network itself gives them."""
    for prefix in PREFIXES * 2:  # in any order
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` or `.pth` file by name, on the CPU.

    What training loops put around a state dict and before its names is taken off.

    Raises WeightsError, without torch's advice to trust the file, where it is damaged, holds
    code, or holds anything else than a flat state dict. The caller says which file it is.
    """
    try:
        if path.suffix == ".safetensors":
            return unprefixed(load_file(path))
        # By the unpickler that knows tensors and containers only.
        found = unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except UnpicklingError:
        raise WeightsError(
            "not a plain weights file (refused to execute code in it): "
            "save the state dict alone, best as .safetensors"
        ) from None
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror or 'damaged'}") from None
    except _DAMAGED:
        raise WeightsError("damaged, or no weights file") from None
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise WeightsError(
            "not a plain weights file: expected a flat state dict, "
            "names to tensors (save model.state_dict() alone)"
        )
    return unprefixed(found)


def check_finite(architecture: Architecture, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError where a value is infinite or not a number. Once: it reads all of them."""
    wrong = [path for path, tensor in state.items() if not tensor.isfinite().all()]
    refuse(architecture, [f"{path} holds values that are not finite" for path in wrong])


def refuse(architecture: Architecture, wrong: Sequence[str]) -> None:
    if wrong:
        told = first(wrong, 5, ";")
        raise WeightsError(f"the values are not those of {architecture.name}: {told}")


def mismatches(backbone: nn.Module, found: Mapping[str, Tensor]) -> Iterator[str]:
    own = backbone.state_dict()
    for path, tensor in own.items():
        if path not in found:
            # Files older than this counter of batch norm lack it; only its presence is new.
            if not path.endswith("num_batches_tracked"):
                yield f"{path} is missing"
        elif found[path].shape != tensor.shape:
            yield f"{path} is {list(found[path].shape)} instead of {list(tensor.shape)}"
    yield from (f"{path} is not part of it" for path in found if path not in own)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bytes of tensors, in the order of their names.

    Where the tensors lie and how they are laid out does not enter it.
    """
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
