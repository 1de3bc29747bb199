"""The parts of one architecture, for a person to read. A value; printing it is the command's."""

from typing import NamedTuple

from torch import nn
from torchvision import models

from bench.architectures import ARCHITECTURES
from bench.models.build import forward_macs, outline, parameter_counts, preprocessing
from bench.models.download import file_name
from bench.record import Preprocessing


class Stage(NamedTuple):
    prefixes: tuple[str, ...]  # inside torchvision's model
    parameters: int


class Published(NamedTuple):
    """Pinned weights as torchvision publishes them; accuracies in per cent on ImageNet-1k."""

    member: str
    file: str
    address: str
    megabytes: float
    top1: float
    top5: float
    preprocessing: Preprocessing


class Description(NamedTuple):
    name: str
    family: str
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
    pinned: Published
    other_weights: tuple[str, ...]  # further members that a suite may ask for by name


def describe(name: str) -> Description:
    architecture = ARCHITECTURES[name]
    pinned = published(name, architecture.pinned)
    size = pinned.preprocessing.crop_size
    network = outline(name, 1000, size)
    counts = parameter_counts(network)
    weight = network.head.get_parameter("layer.weight")
    dropout = dict(network.head.named_children()).get("dropout")
    return Description(
        name=name,
        family=architecture.family,
        stages=tuple(map(Stage, architecture.stages, counts.stages)),
        head=architecture.head,
        head_kind="linear" if weight.ndim == 2 else "1x1 convolution",
        head_dropout=dropout.p if isinstance(dropout, nn.Dropout) else None,
        in_features=weight.shape[1],
        head_parameters=counts.head,
        parameters=counts.total,
        macs=forward_macs(name, 1000, size),
        min_size=architecture.min_size,
        size_multiple=architecture.size_multiple,
        pinned=pinned,
        other_weights=tuple(
            member.name
            for member in models.get_model_weights(name)
            if member.name != architecture.pinned
        ),
    )


def published(name: str, weights_member: str) -> Published:
    member = models.get_model_weights(name)[weights_member]
    accuracy = member.meta["_metrics"]["ImageNet-1K"]
    return Published(
        member=member.name,
        file=file_name(member.url),
        address=member.url,
        megabytes=member.meta["_file_size"],
        top1=accuracy["acc@1"],
        top5=accuracy["acc@5"],
        preprocessing=preprocessing(name, weights_member, None),
    )
