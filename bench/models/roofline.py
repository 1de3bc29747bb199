"""How fast a device could train a network: what its layers must at least compute and move.

Multiply-adds of convolutions, linear layers and attention; activations under a practical model of
what moves: each of those layers reads its input and writes its output once in every pass
(forward, gradient of the input, gradient of the weights; the first layer has no gradient of its
input to write). A batch norm with the activation and sum behind it reads and writes its map twice
in inference; in training eight times (statistics, normalise; two sums and the gradient in the
backward pass). Layer norms and GELU are passes of their own: two forward, three backward; so are
the sums of transformers, three each way. Weights are left out: large batches share them.

Counted by hooks on the meta device, for convolutional networks with batch norm and for ViT. Of
others (ConvNeXt, Swin, MaxViT) nothing is told.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock

from bench.models.build import forward_macs, outline
from bench.record import Calibration

NUM_BYTES = {"bf16": 2, "fp32": 4}
"""Of a number, by precision."""

UNCOUNTED = 0.01
"""Share of the multiply-adds that may be missing from the layers, or too much in them."""


class Layer(NamedTuple):
    """Work for one image: floating-point operations, and numbers read and written."""

    forward_flop: float
    train_flop: float  # forward and backward
    forward_numbers: float
    train_numbers: float


class Ceilings(NamedTuple):
    flop_per_second: float
    bytes_per_second: float


def train_seconds(layers: Sequence[Layer], ceilings: Ceilings, number_bytes: int) -> float:
    return sum(
        max(
            layer.train_flop / ceilings.flop_per_second,
            layer.train_numbers * number_bytes / ceilings.bytes_per_second,
        )
        for layer in layers
    )


def image_seconds(
    architecture: str, image_size: int, precision: str, calibration: Calibration
) -> float | None:
    """The roofline of training all layers on one image, by what a calibration reached.

    None where the calibration lacks a probe, or the layers cannot all be counted.
    """
    flop: float | None = getattr(calibration, f"matmul_{precision}_flops")
    moved, layers = calibration.copy_bytes_per_second, layers_of(architecture, image_size)
    if not flop or not moved or layers is None:
        return None
    return train_seconds(layers, Ceilings(flop, moved), NUM_BYTES[precision])


@cache
def layers_of(architecture: str, image_size: int) -> tuple[Layer, ...] | None:
    """Every layer that computes or moves, in the order of running; a head of 1000 classes.

    None where some cannot be counted: torch's own counter has other multiply-adds, or there are
    parameters in modules that are not of `COUNTS`.
    """
    network = outline(architecture, 1000, image_size).eval()
    for leaf in leaves(network):
        if type(leaf) not in COUNTS and next(leaf.parameters(), None) is not None:
            return None
    found: list[Layer] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        count = COUNTS.get(type(module))
        if count is not None:
            result = output[0] if isinstance(output, tuple) else output
            found.extend(count(module, inputs[0], result, not found))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    with torch.no_grad():
        network(torch.empty(1, 3, image_size, image_size, device="meta"))
    for handle in handles:
        handle.remove()
    known = 2 * forward_macs(architecture, 1000, image_size)
    counted = sum(layer.forward_flop for layer in found)
    return tuple(found) if abs(counted / known - 1) <= UNCOUNTED else None


def leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Modules without children; one that is counted as a whole stands for all in it."""
    children = [] if isinstance(module, nn.MultiheadAttention) else list(module.children())
    if not children:
        yield module
    for child in children:
        yield from leaves(child)


Count = Callable[[Any, Tensor, Tensor, bool], list[Layer]]
"""From a module, its first input, its output and whether it is the first layer."""


def product(multiply_adds: float, read: float, written: float, *, first: bool = False) -> Layer:
    """A layer of three matrix products in training, two where its input has no gradient."""
    return Layer(
        2 * multiply_adds,
        2 * multiply_adds * (2 if first else 3),
        read + written,
        3 * (read + written) - (read if first else 0),
    )


def passes(numbers: float, forward: int, training: int) -> Layer:
    return Layer(0, 0, numbers * forward, numbers * training)


def _convolution(module: nn.Conv2d, read: Tensor, written: Tensor, first: bool) -> list[Layer]:
    work = written.numel() * module.weight[0].numel()
    return [product(work, read.numel(), written.numel(), first=first)]


def _linear(module: nn.Linear, read: Tensor, written: Tensor, first: bool) -> list[Layer]:
    return [product(written.numel() * module.in_features, read.numel(), written.numel())]


def _attention(
    module: nn.MultiheadAttention, read: Tensor, written: Tensor, first: bool
) -> list[Layer]:
    numbers, width, length = read.numel(), module.embed_dim, read.shape[-2]
    return [
        product(3 * numbers * width, numbers, 3 * numbers),
        product(2 * numbers * length, 3 * numbers, numbers),
        product(numbers * width, numbers, numbers),
    ]


def _passes_of(forward: int, training: int, times: int = 1) -> Count:
    def count(module: nn.Module, read: Tensor, written: Tensor, first: bool) -> list[Layer]:
        return [passes(written.numel(), forward, training)] * times

    return count


COUNTS: dict[type[nn.Module], Count] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.MultiheadAttention: _attention,
    nn.BatchNorm2d: _passes_of(2, 8),
    nn.GELU: _passes_of(2, 5),
    nn.LayerNorm: _passes_of(2, 5),
    EncoderBlock: _passes_of(3, 6, times=2),  # two sums
}
