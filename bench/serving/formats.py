"""The files of an export: how each is written, and how it is asked when it is there.

Every one takes normalised images, float32 [B, 3, H, W], and gives logits, [B, K].
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.export import Dim

from bench.errors import WeightsError
from bench.record import Cell
from bench.serving.plain import plain_model

ONE_FILE_BYTES = 1_900_000_000
"""An ONNX file ends at 2 GiB; larger networks have their values in a file beside it."""


Loaded = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """One kind of file."""

    name: str  # of the file
    write: Callable[[nn.Module, Cell, Path], None]
    load: Callable[[Path, Cell], Loaded]


def write_safetensors(model: nn.Module, cell: Cell, path: Path) -> None:
    """All values by torchvision's names."""
    save_file(dict(model.state_dict()), path, {"architecture": cell.architecture})


def load_safetensors(path: Path, cell: Cell) -> Loaded:
    """torchvision's model with the values of the file."""
    return plain_model(cell, load_file(path))


def write_torch(model: nn.Module, cell: Cell, path: Path) -> None:
    """A graph of torch.export, for batches of any size."""
    program = torch.export.export(model, (example(cell),), dynamic_shapes=({0: Dim.DYNAMIC},))
    torch.export.save(program, path)


def load_torch(path: Path, cell: Cell) -> Loaded:
    """The graph as a module."""
    loaded: Loaded = torch.export.load(path).module()
    return loaded


def write_onnx(model: nn.Module, cell: Cell, path: Path) -> None:
    """ONNX, input `images`, output `logits`."""
    num_bytes = sum(value.nbytes for value in model.state_dict().values())
    torch.onnx.export(
        model,
        (example(cell),),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: Dim.DYNAMIC},),
        external_data=num_bytes > ONE_FILE_BYTES,
        dynamo=True,
        verbose=False,
    )


def load_onnx(path: Path, cell: Cell) -> Loaded:
    """The file in ONNX Runtime, on the CPU."""
    import onnxruntime  # optional

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def example(cell: Cell) -> Tensor:
    """A batch of two: one image alone would be taken for a batch that is always of one."""
    return torch.zeros(2, 3, cell.image_size, cell.image_size)


FORMATS: Mapping[str, Format] = {
    "safetensors": Format("model.safetensors", write_safetensors, load_safetensors),
    "torch": Format("model.pt2", write_torch, load_torch),
    "onnx": Format("model.onnx", write_onnx, load_onnx),
}


def write(name: str, model: nn.Module, cell: Cell, folder: Path) -> Path:
    """Write one file of the export. Raises WeightsError where the network has no such form."""
    form = FORMATS[name]
    path = folder / form.name
    try:
        form.write(model, cell, path)
    except OSError:
        raise
    except Exception as error:  # the exporters raise whatever they stumble over
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"--format {name}: {cell.architecture} has no such form: {text}"
        ) from error
    return path
