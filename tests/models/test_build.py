"""Networks against the torchvision models that they are made from."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from bench.architectures import ARCHITECTURES, FEATURED
from bench.models import build

SMALLEST = (  # of each family, and of each variant that is built differently
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_16",
    "vit_b_32",
)


def make(
    name: str,
    state: dict[str, Tensor] | None = None,
    *,
    size: int | None = None,
    classes: int = 7,
    backbone_seed: int = 1,
    head_seed: int = 2,
) -> build.Network:
    image_size = size or max(ARCHITECTURES[name].min_size, 32)
    return build.build(
        name,
        classes,
        image_size,
        state=state,
        backbone_seed=backbone_seed,
        head_seed=head_seed,
    )


def published(name: str, size: int, classes: int = 7) -> nn.Module:
    """The whole torchvision model, auxiliary classifiers and all."""
    options: dict[str, object] = {}
    if name.startswith("vit"):
        options = {"image_size": size}
    if ARCHITECTURES[name].auxiliary:
        options = {"aux_logits": True, "transform_input": True, "init_weights": False}
    model: nn.Module = models.get_model(name, weights=None, num_classes=classes, **options)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, ARCHITECTURES[name].min_size) for name in SMALLEST),
        ("squeezenet1_1", 65),  # its smallest size leaves the pooling nothing to do
        ("resnet18", 48),
    ],
)
def test_a_network_computes_and_trains_as_torchvisions_at_its_smallest_size_too(
    name: str, size: int
) -> None:
    torch.manual_seed(0)
    oracle = published(name, size).eval()
    network = make(name, dict(oracle.state_dict()), size=size)
    copied = oracle.get_submodule(ARCHITECTURES[name].head).state_dict()
    network.head.get_submodule("layer").load_state_dict(copied)
    images_BCHW = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(network.eval()(images_BCHW), oracle(images_BCHW))
    logits_BK = network.train()(images_BCHW)
    assert logits_BK.shape == (2, 7)
    logits_BK.logsumexp(1).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"), [("alexnet", 62), ("vgg11", 31), ("densenet121", 28), ("inception_v3", 74)]
)
def test_a_size_below_the_smallest_does_not_run(name: str, size: int) -> None:
    with pytest.raises(RuntimeError):
        make(name, size=size)(torch.randn(2, 3, size, size))


@pytest.mark.parametrize("name", sorted(n for n, row in ARCHITECTURES.items() if not row.timm))
def test_parameters_of_every_architecture_are_those_that_torchvision_published(name: str) -> None:
    weights = models.get_model_weights(name)[ARCHITECTURES[name].pinned]
    network = build.outline(name, 1000, weights.transforms().crop_size[0])
    counts = build.parameter_counts(network)
    # Inception's published number includes its auxiliary classifier, which is dropped here.
    auxiliary = 3_326_696 if name == "inception_v3" else 0
    assert counts.total + auxiliary == weights.meta["num_params"]
    assert counts.head + sum(counts.stages) == counts.total
    assert all(n.startswith(("backbone.", "head.")) for n, _ in network.named_parameters())


@pytest.mark.parametrize(("size", "millions"), [(0, 4.65), (1, 5.42), (2, 6.09)])
def test_parameters_of_the_lite_networks_are_those_that_were_published(
    size: int, millions: float
) -> None:
    counts = build.parameter_counts(build.outline(f"efficientnet_lite{size}", 1000, 224))
    assert counts.total / 1e6 == pytest.approx(millions, abs=0.005)


def test_resnet18_with_ten_classes_has_5130_of_11181642_parameters_in_its_head() -> None:
    counts = build.parameter_counts(build.outline("resnet18", 10, 224))
    assert (counts.head, counts.total) == (512 * 10 + 10, 11_181_642)


@pytest.mark.parametrize("name", FEATURED)
def test_forward_macs_are_those_that_torchvision_published(name: str) -> None:
    weights = models.get_model_weights(name)[ARCHITECTURES[name].pinned]
    macs = build.forward_macs(name, 1000, weights.transforms().crop_size[0])
    assert macs / 1e9 == pytest.approx(weights.meta["_ops"], abs=6e-4)  # given to 3 decimals


def test_the_head_depends_on_its_seed_and_not_on_where_the_backbone_came_from() -> None:
    state = dict(published("mobilenet_v3_small", 32).state_dict())
    heads = [
        make("mobilenet_v3_small", backbone_seed=1),
        make("mobilenet_v3_small", backbone_seed=9),
        make("mobilenet_v3_small", state),
    ]
    first, *others = [n.head.get_submodule("layer").state_dict() for n in heads]
    assert all(torch.equal(first["weight"], other["weight"]) for other in others)
    other_seed = make("mobilenet_v3_small", head_seed=3).head.get_submodule("layer").state_dict()
    assert not torch.equal(first["weight"], other_seed["weight"])


def test_the_backbone_depends_on_its_seed_alone() -> None:
    first, same, other = (
        make("squeezenet1_1", backbone_seed=b, head_seed=h).backbone.state_dict()
        for b, h in ((1, 2), (1, 3), (4, 2))
    )
    assert all(torch.equal(first[path], same[path]) for path in first)
    assert not all(torch.equal(first[path], other[path]) for path in first)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", ["squeezenet1_1", "swin_t"])
def test_building_leaves_the_global_random_state_alone(name: str, given: bool) -> None:
    state = dict(published(name, 32).state_dict()) if given else None
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make(name, state=state)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_with_another_number_of_classes_or_no_head_serves_as_well() -> None:
    state = dict(published("squeezenet1_1", 32, classes=3).state_dict())
    headless = {path: tensor for path, tensor in state.items() if "classifier" not in path}
    for given in (state, headless):
        loaded = make("squeezenet1_1", given).backbone.state_dict()
        assert all(torch.equal(loaded[path], state[path]) for path in loaded)


def test_files_older_than_the_present_names_load() -> None:
    densenet = dict(published("densenet121", 32).state_dict())
    old = {
        path.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for path, tensor in densenet.items()
        if not path.endswith("num_batches_tracked")
    }
    assert set(old) - set(densenet) != set()
    loaded = make("densenet121", old).backbone.state_dict()
    assert all(torch.equal(loaded[path], densenet[path]) for path in loaded)


def test_old_vision_transformer_names_load() -> None:
    vit = dict(published("vit_b_32", 32).state_dict())
    old = {
        path.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for path, tensor in vit.items()
    }
    assert len(set(old) - set(vit)) == 12 * 4
    loaded = make("vit_b_32", old, size=32).backbone.state_dict()
    assert all(torch.equal(loaded[path], vit[path]) for path in loaded)


def test_position_embeddings_are_interpolated_to_the_image_size() -> None:
    state = dict(published("vit_b_32", 96).state_dict())  # 3 x 3 patches and the class token
    kept = copy.deepcopy(state["encoder.pos_embedding"])
    network = make("vit_b_32", state, size=160)
    positions = network.backbone.get_parameter("encoder.pos_embedding")
    grid = kept[:, 1:].transpose(1, 2).reshape(1, -1, 3, 3)
    larger = nn.functional.interpolate(grid, size=(5, 5), mode="bicubic", align_corners=True)
    expected = torch.cat([kept[:, :1], larger.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(positions.detach(), expected)
    assert torch.equal(state["encoder.pos_embedding"], kept)
    assert network(torch.randn(2, 3, 160, 160)).shape == (2, 7)


def test_another_networks_state_is_refused_with_at_most_five_names() -> None:
    state = dict(published("resnet18", 32).state_dict())
    with pytest.raises(ValueError, match=r"not those of squeezenet1_1: .* and \d+ more") as error:
        make("squeezenet1_1", state)
    assert str(error.value).count(" is ") == 5


def test_a_wrong_shape_is_named() -> None:
    state = dict(published("squeezenet1_1", 32).state_dict())
    state["features.0.weight"] = torch.zeros(64, 1, 3, 3)
    with pytest.raises(ValueError, match="not those") as error:
        make("squeezenet1_1", state)
    assert "features.0.weight is [64, 1, 3, 3] instead of [64, 3, 3, 3]" in str(error.value)


def test_a_value_that_is_not_finite_is_named_by_the_check_of_a_file() -> None:
    state = dict(published("squeezenet1_1", 224).state_dict())
    build.check("squeezenet1_1", state)
    state["features.3.squeeze.bias"] = torch.full((16,), torch.nan)
    with pytest.raises(ValueError, match="not those") as error:
        build.check("squeezenet1_1", state)
    assert "features.3.squeeze.bias holds values that are not finite" in str(error.value)


def test_half_precision_values_become_single_precision() -> None:
    state = {p: t.half() for p, t in published("squeezenet1_1", 32).state_dict().items()}
    assert {p.dtype for p in make("squeezenet1_1", state).parameters()} == {torch.float32}


def test_the_input_shift_of_googlenet_is_that_of_the_published_weights() -> None:
    assert [make(n).backbone.transform_input for n in ("googlenet", "inception_v3")] == [True] * 2


def test_the_head_keeps_torchvisions_dropout() -> None:
    heads = [build.outline(name, 7, 224).head for name in ("vgg11", "mobilenet_v3_small")]
    assert [head.get_submodule("dropout").p for head in heads] == [0.5, 0.2]
    assert [name for name, _ in build.outline("resnet18", 7, 224).head.named_children()] == [
        "layer"
    ]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", None, (256, 224, "bilinear")),
        ("resnet18", 48, (55, 48, "bilinear")),  # 256 * 48 / 224 = 54.86
        ("efficientnet_b4", None, (384, 380, "bicubic")),
        ("inception_v3", None, (342, 299, "bilinear")),
    ],
)
def test_preprocessing_is_that_of_the_weights_in_proportion_to_the_size(
    name: str, size: int | None, expected: tuple[int, int, str]
) -> None:
    found = build.preprocessing(name, ARCHITECTURES[name].pinned, size)
    assert (found.resize_size, found.crop_size, found.interpolation) == expected
    assert found.antialias
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.std == (0.229, 0.224, 0.225)


def test_preprocessing_differs_between_members_of_one_architecture() -> None:
    assert build.preprocessing("resnet50", "IMAGENET1K_V2", None).resize_size == 232


def test_a_state_dict_of_torchvisions_own_type_is_left_as_it_was() -> None:
    state = OrderedDict(published("squeezenet1_1", 32).state_dict())
    before = {path: tensor.clone() for path, tensor in state.items()}
    network = make("squeezenet1_1", state)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(torch.equal(state[path], before[path]) for path in before)
