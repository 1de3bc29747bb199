"""Each row of the table against the torchvision model that it describes."""

import functools

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from bench.architectures import ARCHITECTURES, FEATURED, Architecture, nearest_size

NAMES = models.list_models(module=models)


class OnMeta(TorchFunctionMode):
    """Allocate nothing, so that the huge ones are built too."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return func(
            *args, **{**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})}
        )


@functools.cache
def published(architecture: Architecture) -> nn.Module:
    options = {"init_weights": False, "aux_logits": True} if architecture.auxiliary else {}
    with OnMeta():
        model: nn.Module = models.get_model(architecture.name, weights=None, **options)
    return model


def under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + ".")


def test_the_table_holds_every_torchvision_classifier_and_nothing_else() -> None:
    of_torchvision = [name for name, row in ARCHITECTURES.items() if row.timm is None]
    assert sorted(of_torchvision) == sorted(NAMES)
    assert len(of_torchvision) == 80


def test_the_featured_eight_are_in_the_table() -> None:
    assert len(set(FEATURED) & set(ARCHITECTURES)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_pinned_weights_are_v1_or_the_first_member_where_there_is_no_v1(name: str) -> None:
    members = [member.name for member in models.get_model_weights(name)]
    expected = "IMAGENET1K_V1" if "IMAGENET1K_V1" in members else members[0]
    assert ARCHITECTURES[name].pinned == expected


@pytest.mark.parametrize("name", NAMES)
def test_stages_head_and_auxiliaries_cover_every_parameter_once_and_none_is_idle(
    name: str,
) -> None:
    architecture = ARCHITECTURES[name]
    prefixes = [prefix for stage in architecture.stages for prefix in stage]
    prefixes += [architecture.head, *architecture.auxiliary]
    model = published(architecture)
    covered = {
        path: [p for p in prefixes if under(path, p)] for path, _ in model.named_parameters()
    }
    assert {path: found for path, found in covered.items() if len(found) != 1} == {}
    assert {found[0] for found in covered.values()} == set(prefixes)


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_said_to_have_batch_norms_where_they_have_no_other_norms(name: str) -> None:
    kinds = (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
    norms = [
        module for module in published(ARCHITECTURES[name]).modules() if isinstance(module, kinds)
    ]
    has_only_batch_norms = bool(norms) and all(isinstance(one, nn.BatchNorm2d) for one in norms)
    assert ARCHITECTURES[name].batch_norm == has_only_batch_norms


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_the_only_layer_with_a_thousand_outputs_and_the_dropout_feeds_it(
    name: str,
) -> None:
    architecture = ARCHITECTURES[name]
    model = published(architecture)
    modules = dict(model.named_modules())
    widths = {
        path: getattr(module, "out_features", getattr(module, "out_channels", None))
        for path, module in modules.items()
        if not path.startswith(architecture.auxiliary or "-")
    }
    by_name = {path for path, width in widths.items() if width == 1000}
    assert architecture.head in by_name
    later = list(modules)[list(modules).index(architecture.head) + 1 :]
    assert not any(isinstance(modules[path], (nn.Linear, nn.Conv2d)) for path in later)
    before = list(modules)[list(modules).index(architecture.head) - 1]
    feeds = before if isinstance(modules[before], nn.Dropout) else None
    assert architecture.dropout == feeds


LAST_STAGE = {
    "resnet18": {"layer4"},
    "efficientnet_b0": {"features.7", "features.8"},
    "efficientnet_b4": {"features.7", "features.8"},
    "vit_b_16": {f"encoder.layers.encoder_layer_{i}" for i in (10, 11)} | {"encoder.ln"},
    "mobilenet_v3_small": {"features.11", "features.12", "classifier.0"},
    "vgg16": {"features.24", "features.26", "features.28", "classifier.0", "classifier.3"},
}


@pytest.mark.parametrize("name", LAST_STAGE)
def test_the_last_stage_is_the_partial_cut_of_the_design(name: str) -> None:
    assert set(ARCHITECTURES[name].stages[-1]) == LAST_STAGE[name]


@pytest.mark.parametrize("name", NAMES)
def test_stages_follow_the_order_of_the_layers(name: str) -> None:
    architecture = ARCHITECTURES[name]
    paths = [path for path, _ in published(architecture).named_parameters()]
    # A class token is declared first and used after the patches are embedded.
    first_seen = [
        min(i for i, path in enumerate(paths) if any(under(path, p) for p in stage))
        for stage in architecture.stages
    ]
    assert first_seen == sorted(first_seen)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_size_and_the_size_of_the_pinned_weights_are_allowed(name: str) -> None:
    architecture = ARCHITECTURES[name]
    (own,) = models.get_model_weights(name)[architecture.pinned].transforms().crop_size
    assert nearest_size(architecture, own) == own
    assert nearest_size(architecture, 1) == architecture.min_size
    assert architecture.min_size % architecture.size_multiple == 0


@pytest.mark.parametrize(
    ("name", "asked", "nearest"),
    [
        ("resnet18", 48, 48),
        ("alexnet", 48, 63),
        ("vit_b_16", 224, 224),
        ("vit_b_16", 50, 48),
        ("vit_b_16", 56, 64),  # half way between 48 and 64
        ("vit_b_16", 55, 48),
        ("vit_h_14", 224, 224),
        ("vit_h_14", 20, 14),
        ("vit_h_14", 21, 28),
        ("maxvit_t", 48, 224),
        ("maxvit_t", 384, 448),
        ("inception_v3", 74, 75),
    ],
)
def test_nearest_size_is_the_closest_allowed_one(name: str, asked: int, nearest: int) -> None:
    assert nearest_size(ARCHITECTURES[name], asked) == nearest
