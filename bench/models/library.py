"""What a library says of its networks, in terms that are the same for all libraries."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from torch import Tensor, nn

from bench.architectures import Architecture
from bench.models.files import File
from bench.record import Preprocessing


class Published(NamedTuple):
    """One set of weights of a network, as its library publishes it."""

    name: str  # a member of torchvision's enum, or a tag of timm's
    file: File
    megabytes: float | None
    pretrained_on: str  # the images that it learned from
    top1: float | None  # in per cent on ImageNet-1k, where the library says it
    top5: float | None


class Library(NamedTuple):
    """A library of networks; each function is given a network's row first."""

    name: str
    created_by: str
    """the expression that creates a network by its name in the library and its options"""
    create: Callable[[Architecture, Mapping[str, Any]], nn.Module]
    """freshly drawn, with these options. Raises WeightsError where the network has none such."""
    options: Callable[[Architecture, int], dict[str, Any]]
    """those for images of this size; plain JSON"""
    on_meta: Callable[[], AbstractContextManager[object]]
    """in it, networks are created on the meta device: names and shapes, no values"""
    to_be_filled: Callable[[], AbstractContextManager[object]]
    """in it, they are created for values that are loaded next: no time is lost on drawing others"""
    values: Callable[[Architecture, Mapping[str, Tensor], int], Mapping[str, Tensor]]
    """a published state dict under the model's present names, fitted to an image size"""
    published: Callable[[Architecture], Mapping[str, Published]]
    """all its weights, by name"""
    preprocessing: Callable[[Architecture, str, int | None], Preprocessing]
    """the eval pipeline of the weights of this name, for another image size than their own too"""
    categories: Callable[[Architecture, str], tuple[str, ...]]
    """the classes of the published head; empty where nobody says them"""
