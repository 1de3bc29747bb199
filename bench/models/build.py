"""A network from an architecture's row: a backbone, a fresh head, and values where there are any.

Every parameter name starts with `backbone.` or `head.`; behind `backbone.` follow the names of
torchvision or timm. Building draws from its own generators and leaves the global random state
untouched.
Tensors: B images in a batch, C channels, H, W pixels, D features, K classes."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from bench.architectures import Architecture, Stages
from bench.models import libraries
from bench.models.library import Published
from bench.models.state import check_finite, mismatches, refuse
from bench.record import Preprocessing


class Network(nn.Module):
    """Logits [B, K] of normalised images [B, C, H, W]: a backbone, then a head.

    `stages` holds the prefixes of each backbone stage in this module, from input to output.
    The features between the two are [B, D]; SqueezeNet's are maps, [B, D, H, W].
    """

    def __init__(self, backbone: nn.Module, head: nn.Sequential, stages: Stages) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.stages = stages

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.backbone(images_BCHW)))


def build(
    name: str,
    num_classes: int,
    image_size: int,
    *,
    state: Mapping[str, Tensor] | None,
    backbone_seed: int,
    head_seed: int,
) -> Network:
    """The network on the CPU, with the backbone from `state` or drawn from `backbone_seed`.

    `state` is a state dict as the network's library publishes it, with any number of classes; its
    head is left out. The new head depends on `head_seed` and its shape alone, so it is the same
    whatever the backbone holds. Raises WeightsError where `state` does not fit.
    """
    architecture = libraries.architecture(name)
    library = libraries.library(architecture)
    with seeded(backbone_seed), library.to_be_filled() if state is not None else nullcontext():
        model = library.create(architecture, library.options(architecture, image_size))
        backbone, dropout, old_layer = take_apart(model, architecture)
    if state is not None:
        load(backbone, fitted(backbone, architecture, state, image_size))
    layer = new_layer(old_layer, num_classes, head_seed)
    head = OrderedDict({} if dropout is None else {"dropout": dropout}, layer=layer)
    if isinstance(layer, nn.Conv2d):
        head |= {"relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    stages = tuple(tuple(f"backbone.{p}" for p in stage) for stage in architecture.stages)
    return Network(backbone, nn.Sequential(head), stages)


def head(like: Network, head_seed: int) -> nn.Sequential:
    """The head that `build` gives a network of this kind; `like` may lie on the meta device."""
    children = dict(like.head.named_children())
    old = children["layer"]
    num_classes = old.out_channels if isinstance(old, nn.Conv2d) else old.out_features
    children["layer"] = new_layer(old, cast(int, num_classes), head_seed)
    return nn.Sequential(OrderedDict(children))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a CPU generator seeded with `seed`; afterwards the global one is as it was."""
    # torch.manual_seed would reseed every CUDA generator as well, which fork_rng does not restore.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def take_apart(
    model: nn.Module, architecture: Architecture
) -> tuple[nn.Module, nn.Module | None, nn.Module]:
    """Backbone, dropout and last layer of `model`, which keeps identities in the head's place."""
    layer = model.get_submodule(architecture.head)
    dropout = None if architecture.dropout is None else model.get_submodule(architecture.dropout)
    for path in (architecture.head, architecture.dropout):
        if path is not None:
            model.set_submodule(path, nn.Identity())
    if isinstance(layer, nn.Conv2d) and architecture.timm is None:
        # SqueezeNet goes on behind its 1x1 convolution; all of that is head.
        model = nn.Sequential(OrderedDict(features=model.get_submodule("features")))
    elif isinstance(layer, nn.Conv2d):
        # timm convolves the one pixel that its pooling leaves, and flattens that.
        layer = nn.Linear(layer.in_channels, layer.out_channels)
    return model, dropout, layer


def fitted(
    backbone: nn.Module, architecture: Architecture, state: Mapping[str, Tensor], image_size: int
) -> Mapping[str, Tensor]:
    """The values of a published state dict under the names of `backbone`, for this image size.

    Raises WeightsError with at most five of the names that do not fit.
    """
    whole = libraries.library(architecture).values(architecture, state, image_size)
    head = f"{architecture.head}."
    found = {path: value for path, value in whole.items() if not path.startswith(head)}
    refuse(architecture, list(mismatches(backbone, found)))
    return found


def new_layer(old: nn.Module, num_classes: int, head_seed: int) -> nn.Module:
    """A layer of the same kind and width for `num_classes`, with torch's default initialisation."""
    with seeded(head_seed):
        if isinstance(old, nn.Conv2d):
            return nn.Conv2d(old.in_channels, num_classes, kernel_size=1)
        assert isinstance(old, nn.Linear), f"a head is linear or a 1x1 convolution, not {old}"
        return nn.Linear(old.in_features, num_classes, bias=old.bias is not None)


def load(backbone: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy values into a backbone on the meta device; zero where a file predates a counter."""
    state = backbone.state_dict()  # with the versions that some modules ask for
    for path, like in state.items():
        given = values.get(path)
        missing = torch.zeros(like.shape, dtype=like.dtype)
        state[path] = missing if given is None else given.to(like.dtype, copy=True)
    backbone.load_state_dict(state, assign=True)


def outline(name: str, num_classes: int, image_size: int) -> Network:
    """The network on the meta device: names and shapes, in no memory and hardly any time."""
    with libraries.library(libraries.architecture(name)).on_meta():
        network = build(name, num_classes, image_size, state=None, backbone_seed=0, head_seed=0)
    return network.to("meta")


def check(name: str, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError where a state dict is not a usable one of the architecture."""
    architecture = libraries.architecture(name)
    library = libraries.library(architecture)
    size = library.preprocessing(architecture, architecture.pinned, None).crop_size
    fitted(outline(name, 1, size).backbone, architecture, state, size)
    check_finite(architecture, state)


@cache
def forward_macs(name: str, num_classes: int, image_size: int) -> int:
    """Multiply-accumulates of one image's forward pass: convolutions, linear layers, attention.

    Counted on the meta device: on a CPU the fused attention of eval mode is not counted.
    """
    network = outline(name, num_classes, image_size).eval()
    image_BCHW = torch.empty(1, 3, image_size, image_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image_BCHW)
    flops: int = counter.get_total_flops()
    return flops // 2


class Counts(NamedTuple):
    total: int
    head: int
    stages: tuple[int, ...]


def parameter_counts(network: Network) -> Counts:
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}

    def under(*prefixes: str) -> int:
        dotted = tuple(f"{prefix}." for prefix in prefixes)
        return sum(size for name, size in sizes.items() if f"{name}.".startswith(dotted))

    stages = tuple(under(*stage) for stage in network.stages)
    return Counts(sum(sizes.values()), under("head"), stages)


def preprocessing(name: str, weights_name: str, image_size: int | None = None) -> Preprocessing:
    """The eval pipeline of published weights, for another image size than their own too."""
    row = libraries.architecture(name)
    return libraries.library(row).preprocessing(row, weights_name, image_size)


# ---- described ------------------------------------------------------------------------------


class Stage(NamedTuple):
    prefixes: tuple[str, ...]  # inside the library's model
    parameters: int


class Description(NamedTuple):
    """The parts of one architecture, for a person to read."""

    name: str
    stages: tuple[Stage, ...]
    head: str
    head_kind: str  # "linear" or "1x1 convolution"
    head_dropout: float | None  # None = no dropout before the head
    in_features: int
    head_parameters: int
    parameters: int
    macs: int  # of one image at the pinned weights' own size
    min_size: int
    size_multiple: int
    pinned: Published | None
    preprocessing: Preprocessing  # of the pinned weights
    other_weights: tuple[str, ...]  # further ones that a suite may ask for by name


def describe(name: str) -> Description:
    """Raises WeightsError for a name that timm does not know, or that is no plain classifier."""
    name = libraries.exact(name)
    architecture = libraries.architecture(name)
    published = libraries.library(architecture).published(architecture)
    pipeline = preprocessing(name, architecture.pinned)
    network = outline(name, 1000, pipeline.crop_size)
    counts = parameter_counts(network)
    weight = network.head.get_parameter("layer.weight")
    dropout = dict(network.head.named_children()).get("dropout")
    return Description(
        name=name,
        stages=tuple(map(Stage, architecture.stages, counts.stages)),
        head=architecture.head,
        head_kind="linear" if weight.ndim == 2 else "1x1 convolution",
        head_dropout=dropout.p if isinstance(dropout, nn.Dropout) else None,
        in_features=weight.shape[1],
        head_parameters=counts.head,
        parameters=counts.total,
        macs=forward_macs(name, 1000, pipeline.crop_size),
        min_size=architecture.min_size,
        size_multiple=architecture.size_multiple,
        pinned=published.get(architecture.pinned),
        preprocessing=pipeline,
        other_weights=tuple(other for other in published if other != architecture.pinned),
    )


# ---- batch norms folded into convolutions ---------------------------------------------------

UNTRACEABLE = (fx.proxy.TraceError, TypeError, RuntimeError, NotImplementedError)
"""What tracing raises on a network whose path depends on its input."""


def folded(network: nn.Module) -> nn.Module:
    """The network in eval mode with as few batch norms as can be; the same function of its inputs,
    but for rounding. One that cannot be traced comes back as it is.
    """
    network.eval()
    if not any(type(module) is nn.BatchNorm2d for module in network.modules()):
        return network
    try:
        traced = fx.symbolic_trace(network)
    except UNTRACEABLE:
        return network
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm, before = modules.get(str(node.target)), _convolution_before(node, modules)
        if type(norm) is nn.BatchNorm2d and before is not None:
            path = str(before.target)
            convolution = modules[path]
            assert isinstance(convolution, nn.Conv2d), "as _convolution_before says"
            traced.set_submodule(path, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _convolution_before(node: fx.Node, modules: dict[str, Any]) -> fx.Node | None:
    """The node of a convolution whose outputs go to this node and to nothing else."""
    if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    before = node.args[0]
    is_convolution = before.op == "call_module" and type(modules[str(before.target)]) is nn.Conv2d
    return before if is_convolution and len(before.users) == 1 else None
