"""Every torchvision classifier as data, and a few of timm's: head, stages, pinned weights, sizes.

Paths are dotted names inside the library's model. The head is the last linear or 1x1-conv layer
with the dropout directly before it; a stage is a group of blocks as in the network's paper, the
stem first. Final norms, hidden classifier layers and the last convolution belong to the last
stage. `tests/test_architectures.py` checks each row against torchvision.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Stages = tuple[tuple[str, ...], ...]


class Architecture(NamedTuple):
    """One network: where its parts are, its pinned weights, and the image sizes it accepts."""

    name: str
    family: str
    pinned: str  # exact member of torchvision's weights enum
    head: str  # path of the last linear or 1x1-conv layer
    stages: Stages  # prefixes that cover every backbone parameter exactly once, input to output
    dropout: str | None = None  # path of the dropout directly before the head, if there is one
    auxiliary: tuple[str, ...] = ()  # extra classifiers of the published weights, dropped here
    min_size: int = 1  # smallest side in pixels on which a batch of two trains
    size_multiple: int = 1  # the side must be a multiple of this
    timm: str | None = None  # timm's name of the network; None: torchvision's own
    batch_norm: bool = True  # every norm is one; without, high learning rates undo the weights


TIMM = "timm:"
"""Opens the name of a network that timm has and this table has not."""

_FAMILIES: dict[str, dict[str, Any]] = {
    "alexnet": {"head": "classifier.6", "min_size": 63},
    "convnext": {"head": "classifier.2", "min_size": 32},
    "densenet": {"head": "classifier", "min_size": 29},
    "efficientnet": {"head": "classifier.1", "dropout": "classifier.0"},
    "efficientnet_lite": {"head": "classifier"},
    "efficientnet_v2": {"head": "classifier.1", "dropout": "classifier.0"},
    "googlenet": {
        "head": "fc",
        "dropout": "dropout",
        "auxiliary": ("aux1", "aux2"),
        "min_size": 15,
    },
    "inception": {"head": "fc", "dropout": "dropout", "auxiliary": ("AuxLogits",), "min_size": 75},
    "maxvit": {"head": "classifier.5", "min_size": 224, "size_multiple": 224},
    "mnasnet": {"head": "classifier.1", "dropout": "classifier.0"},
    "mobilenet_v2": {"head": "classifier.1", "dropout": "classifier.0"},
    "mobilenet_v3": {"head": "classifier.3", "dropout": "classifier.2"},
    "regnet": {"head": "fc"},
    "resnet": {"head": "fc"},
    "shufflenet": {"head": "fc"},
    "squeezenet1_0": {"head": "classifier.1", "dropout": "classifier.0", "min_size": 21},
    "squeezenet1_1": {"head": "classifier.1", "dropout": "classifier.0", "min_size": 17},
    "swin": {"head": "head", "min_size": 4},
    "vgg": {"head": "classifier.6", "dropout": "classifier.5", "min_size": 32},
    "vit_14": {"head": "heads.head", "min_size": 14, "size_multiple": 14},
    "vit_16": {"head": "heads.head", "min_size": 16, "size_multiple": 16},
    "vit_32": {"head": "heads.head", "min_size": 32, "size_multiple": 32},
}


def _numbered(prefix: str, *groups: tuple[int, ...] | range) -> Stages:
    """One stage per group, each a list of children of `prefix` by number."""
    return tuple(tuple(f"{prefix}.{number}" for number in group) for group in groups)


def _named(*stages: str) -> Stages:
    """One stage per string, its prefixes separated by spaces."""
    return tuple(tuple(stage.split()) for stage in stages)


def _ending(stages: Stages, *last: str) -> Stages:
    """The same stages, with further prefixes in the last one."""
    return (*stages[:-1], stages[-1] + last)


def _vgg_stages(convolutions: tuple[int, ...], *, norm: int) -> Stages:
    """Five blocks of convolutions between poolings; `norm` is 1 where each has a batch norm."""
    stages, start = [], 0
    for count in convolutions:
        ends = range(start, start + count * (2 + norm), 2 + norm)
        stages.append([f"features.{first + i}" for first in ends for i in range(1 + norm)])
        start = ends.stop + 1
    return _ending(tuple(map(tuple, stages)), "classifier.0", "classifier.3")


def _vit_stages(blocks: int, per_stage: int) -> Stages:
    """Patches with class token and positions, then groups of encoder blocks, then the norm."""
    stem = ("conv_proj", "class_token", "encoder.pos_embedding")
    layers = [f"encoder.layers.encoder_layer_{block}" for block in range(blocks)]
    groups = (tuple(layers[i : i + per_stage]) for i in range(0, blocks, per_stage))
    return _ending((stem, *groups), "encoder.ln")


_RESNET = _named("conv1 bn1", "layer1", "layer2", "layer3", "layer4")
_REGNET = _named("stem", *(f"trunk_output.block{i}" for i in range(1, 5)))
_REGNET_FLOPS = ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
_PYRAMID = _numbered("features", (0,), (1,), (2, 3), (4, 5), (6, 7))  # ConvNeXt and Swin
_EFFICIENTNET = _numbered("features", *((i,) for i in range(7)), (7, 8))
_VGG = {"11": (1, 1, 2, 2, 2), "13": (2,) * 5, "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}

_STAGES: dict[str, dict[str, Stages]] = {
    "alexnet": {
        "alexnet": _ending(
            _numbered("features", (0,), (3,), (6, 8, 10)), "classifier.1", "classifier.4"
        )
    },
    "convnext": dict.fromkeys(
        (f"convnext_{size}" for size in ("tiny", "small", "base", "large")),
        _ending(_PYRAMID, "classifier.0"),
    ),
    "densenet": dict.fromkeys(
        (f"densenet{depth}" for depth in (121, 161, 169, 201)),
        _named(
            "features.conv0 features.norm0",
            "features.denseblock1",
            "features.transition1 features.denseblock2",
            "features.transition2 features.denseblock3",
            "features.transition3 features.denseblock4 features.norm5",
        ),
    ),
    "efficientnet": dict.fromkeys((f"efficientnet_b{i}" for i in range(8)), _EFFICIENTNET),
    "efficientnet_v2": {
        "efficientnet_v2_s": _numbered("features", *((i,) for i in range(6)), (6, 7)),
        **dict.fromkeys(("efficientnet_v2_m", "efficientnet_v2_l"), _EFFICIENTNET),
    },
    "efficientnet_lite": dict.fromkeys(
        (f"efficientnet_lite{size}" for size in range(3)),
        _named(
            "conv_stem bn1",
            *(f"blocks.{number}" for number in range(6)),
            "blocks.6 conv_head bn2",
        ),
    ),
    "googlenet": {
        "googlenet": _named(
            "conv1",
            "conv2 conv3",
            "inception3a inception3b",
            "inception4a inception4b inception4c inception4d inception4e",
            "inception5a inception5b",
        )
    },
    "inception": {
        "inception_v3": _named(
            "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3",
            "Conv2d_3b_1x1 Conv2d_4a_3x3",
            "Mixed_5b Mixed_5c Mixed_5d",
            "Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e",
            "Mixed_7a Mixed_7b Mixed_7c",
        )
    },
    "maxvit": {
        "maxvit_t": _named(
            "stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3 classifier.2 classifier.3"
        )
    },
    "mnasnet": dict.fromkeys(
        (f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3")),
        _numbered("layers", (0, 1, 3, 4, 6, 7), (8,), (9,), (10,), (11,), (12,), (13, 14, 15)),
    ),
    "mobilenet_v2": {
        "mobilenet_v2": _numbered(
            "features", (0,), (1,), (2, 3), (4, 5, 6), range(7, 14), (14, 15, 16), (17, 18)
        )
    },
    "mobilenet_v3": {
        "mobilenet_v3_small": _ending(
            _numbered("features", (0,), (1,), (2, 3), range(4, 9), (9, 10), (11, 12)),
            "classifier.0",
        ),
        "mobilenet_v3_large": _ending(
            _numbered("features", (0,), (1,), (2, 3), (4, 5, 6), range(7, 13), (13, 14), (15, 16)),
            "classifier.0",
        ),
    },
    "regnet": {
        **{f"regnet_x_{flops}": _REGNET for flops in _REGNET_FLOPS},
        **{f"regnet_y_{flops}": _REGNET for flops in (*_REGNET_FLOPS, "128gf")},
    },
    "resnet": {
        **{f"resnet{depth}": _RESNET for depth in (18, 34, 50, 101, 152)},
        **{f"resnext{size}": _RESNET for size in ("50_32x4d", "101_32x8d", "101_64x4d")},
        **{f"wide_resnet{size}": _RESNET for size in ("50_2", "101_2")},
    },
    "shufflenet": dict.fromkeys(
        (f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
        _named("conv1", "stage2", "stage3", "stage4 conv5"),
    ),
    "squeezenet1_0": {
        "squeezenet1_0": _numbered("features", (0,), (3, 4, 5), (7, 8, 9, 10), (12,))
    },
    "squeezenet1_1": {
        "squeezenet1_1": _numbered("features", (0,), (3, 4), (6, 7), (9, 10, 11, 12))
    },
    "swin": dict.fromkeys(
        (f"swin_{size}" for size in ("t", "s", "b", "v2_t", "v2_s", "v2_b")),
        _ending(_PYRAMID, "norm"),
    ),
    "vgg": {
        **{f"vgg{depth}": _vgg_stages(counts, norm=0) for depth, counts in _VGG.items()},
        **{f"vgg{depth}_bn": _vgg_stages(counts, norm=1) for depth, counts in _VGG.items()},
    },
    "vit_14": {"vit_h_14": _vit_stages(32, 4)},
    "vit_16": {"vit_b_16": _vit_stages(12, 2), "vit_l_16": _vit_stages(24, 4)},
    "vit_32": {"vit_b_32": _vit_stages(12, 2), "vit_l_32": _vit_stages(24, 4)},
}

_LITE = {f"efficientnet_lite{size}": f"tf_efficientnet_lite{size}.in1k" for size in range(3)}
"""Built by timm; their weights lie in packages of the Python index."""

_WITHOUT_V1 = {
    **dict.fromkeys(("regnet_y_128gf", "vit_h_14"), "IMAGENET1K_SWAG_E2E_V1"),
    **dict.fromkeys(_LITE, "in1k"),
}


_WITHOUT_BATCH_NORM = frozenset(
    {"alexnet", "convnext", "maxvit", "squeezenet1_0", "squeezenet1_1", "swin", "vgg"}
    | {"vit_14", "vit_16", "vit_32"}
)
"""Families, but for the networks of vgg whose names end in _bn."""


def _rows() -> Iterator[Architecture]:
    for family, members in _STAGES.items():
        for name, stages in members.items():
            pinned = _WITHOUT_V1.get(name, "IMAGENET1K_V1")
            yield Architecture(
                name,
                family,
                pinned,
                stages=stages,
                timm=_LITE.get(name),
                batch_norm=family not in _WITHOUT_BATCH_NORM or name.endswith("_bn"),
                **_FAMILIES[family],
            )


ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in sorted(_rows())}
"""By name."""

FEATURED = (
    "resnet18",
    "resnet50",
    "efficientnet_b0",
    "efficientnet_b4",
    "vit_b_16",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "vgg16",
)
"""Listed first: those that most people compare."""


def nearest_size(architecture: Architecture, image_size: int) -> int:
    """The nearest image size that the network accepts; of two equally near the larger."""
    step = architecture.size_multiple
    nearest = (image_size + step // 2) // step * step
    return max(architecture.min_size, nearest)


def size_problem(name: str, image_size: int) -> str | None:
    """Why a network cannot use an image size; None where it can."""
    near = nearest_size(ARCHITECTURES[name], image_size)
    if near == image_size:
        return None
    return f"{name} cannot use {image_size} px; the nearest size that it accepts is {near}"
