"""What torchvision knows of its networks: builders, published weights, pipelines."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torchvision import models
from torchvision.models import WeightsEnum
from torchvision.models.vision_transformer import interpolate_embeddings

from bench.architectures import Architecture
from bench.errors import WeightsError
from bench.models.files import Address
from bench.models.library import Library, Published
from bench.record import Preprocessing

_RENAMED = (  # names in published files that are older than torchvision's present models
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\."), r"\1\2."),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)


def create(row: Architecture, options: Mapping[str, Any]) -> nn.Module:
    return cast(nn.Module, models.get_model(row.name, weights=None, **options))


def options(row: Architecture, image_size: int) -> dict[str, Any]:
    if row.name.startswith("vit"):
        return {"image_size": image_size}
    if row.name.startswith("maxvit"):
        return {"input_size": [image_size, image_size]}
    if row.auxiliary:
        # Without auxiliary classifiers, training mode returns plain logits too. The published
        # weights of both were trained on inputs that the network shifts itself.
        return {"aux_logits": False, "transform_input": True, "init_weights": True}
    return {}


def values(row: Architecture, state: Mapping[str, Tensor], image_size: int) -> Mapping[str, Tensor]:
    """Position embeddings are interpolated (bicubic). Raises WeightsError where they cannot be."""
    found = present_names(row, state)
    if "encoder.pos_embedding" in found:
        try:
            found = interpolate_embeddings(image_size, row.size_multiple, found)
        except ValueError as error:
            raise WeightsError(f"encoder.pos_embedding does not fit: {error}") from None
    return found


def present_names(row: Architecture, state: Mapping[str, Tensor]) -> "OrderedDict[str, Tensor]":
    """A state dict without auxiliary classifiers, under the names that torchvision uses today."""
    left_out = tuple(f"{prefix}." for prefix in row.auxiliary)
    found: OrderedDict[str, Tensor] = OrderedDict()
    for published_name, tensor in state.items():
        if not published_name.startswith(left_out):
            path = published_name
            for old, new in _RENAMED:
                path = old.sub(new, path)
            found[path] = tensor
    return found


def published(row: Architecture) -> dict[str, Published]:
    return {member.name: _published(member) for member in models.get_model_weights(row.name)}


def _published(member: WeightsEnum) -> Published:
    accuracy = member.meta["_metrics"]["ImageNet-1K"]
    return Published(
        name=member.name,
        file=Address(member.url),
        megabytes=member.meta["_file_size"],
        pretrained_on="Instagram, then ImageNet-1k" if "SWAG" in member.name else "ImageNet-1k",
        top1=accuracy["acc@1"],
        top5=accuracy["acc@5"],
    )


def preprocessing(row: Architecture, weights_name: str, image_size: int | None) -> Preprocessing:
    """Another image size than the weights' own scales the resize in proportion to the crop."""
    preset = models.get_model_weights(row.name)[weights_name].transforms()
    (own_resize,), (own_crop,) = preset.resize_size, preset.crop_size
    crop = own_crop if image_size is None else image_size
    return Preprocessing(
        resize_size=round(own_resize * crop / own_crop),
        crop_size=crop,
        interpolation=preset.interpolation.value,
        antialias=preset.antialias,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )


def categories(row: Architecture, weights_name: str) -> tuple[str, ...]:
    return tuple(models.get_model_weights(row.name)[weights_name].meta["categories"])


class EmptyOnMeta(TorchFunctionMode):
    """Allocate layers on the meta device, and draw no values for them.

    Not `torch.device("meta")`: RegNet computes its widths with small tensors while it is built.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.empty:
            options["device"] = "meta"
        elif func is Tensor.normal_ or getattr(func, "__module__", "") == "torch.nn.init":
            tensor: Tensor = args[0] if args else options["tensor"]
            if tensor.is_meta:
                return tensor  # torch draws nothing there, in as long as all else takes together
        return func(*args, **options)


LIBRARY = Library(
    name="torchvision",
    created_by='torchvision.models.get_model(about["architecture"], **about["options"])',
    create=create,
    options=options,
    on_meta=EmptyOnMeta,
    to_be_filled=EmptyOnMeta,
    values=values,
    published=published,
    preprocessing=preprocessing,
    categories=categories,
)
