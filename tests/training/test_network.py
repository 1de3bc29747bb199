"""A saved network predicts what was recorded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn
from torchvision import models

from bench import identity
from bench.measure.device import Device
from bench.models import build
from bench.models.build import folded
from bench.models.state import digest
from bench.record import Cell, Quality, Weights
from bench.suite import Kind
from bench.training.evaluate import image_exam, logits, score
from bench.training.network import num_bytes, save, whole_network
from bench.training.placement import prepare_device
from bench.training.run_cell import Outcome, pieces_of, run_cell
from bench.training.shared import Shared, backbone_key
from tests.training import cells

pytestmark = pytest.mark.slow

SMALL = "mobilenet_v3_small"
KINDS: tuple[Kind, ...] = tuple(cells.OF_KIND)


def run_and_save(one: Cell, shared: Shared, path: Path) -> Outcome:
    """The outcome of a cell, whose network goes to a file as its worker would write it."""

    def keep(quality: Quality, module: nn.Module) -> None:
        save(path, one, whole_network(one, module, shared.made(backbone_key(one))))

    return run_cell(one, shared, cells.ignore, keep)


def rebuilt(one: Cell, path: Path) -> build.Network:
    """The network from its file alone."""
    network = build.build(
        one.architecture, len(one.data.classes), one.image_size,
        state=None, backbone_seed=12345, head_seed=98765,
    )  # fmt: skip
    network.load_state_dict(load_file(path))
    return network


def quality(network: build.Network, one: Cell, shared: Shared) -> Quality:
    """Scores of the network on the images of the worker, batch by batch as cells are scored."""
    place, images = shared.placement(one), pieces_of(one, shared).images.value
    if one.kind == "feature_extraction":  # whose backbone runs with its batch norms folded in
        network.backbone = folded(place.place(network.backbone))
    place.place(network)
    val, test = (image_exam(part, shared.pipeline(one)) for part in (images.val, images.test))
    return Quality(
        val=score(logits(network, val, place), val.labels_N),
        test=score(logits(network, test, place), test.labels_N),
    )


@pytest.mark.parametrize(
    ("kind", "architecture", "changed"),
    [
        *[(kind, SMALL, {}) for kind in KINDS],
        ("fine_tuning", SMALL, {"checkpoint": "best", "epochs": 3}),
        ("two_phase", SMALL, {"checkpoint": "best", "epochs": 4}),
        ("partial", SMALL, {"stages": 2, "precise_bn": False}),
        ("feature_extraction", "resnet18", {}),
        ("feature_extraction", "squeezenet1_1", {}),
        ("feature_extraction", "vit_b_16", {"epochs": 1}),
        ("partial", "vit_b_16", {"epochs": 1}),
    ],
)
def test_the_file_predicts_what_was_recorded(
    tmp_path: Path, kind: Kind, architecture: str, changed: dict[str, Any]
) -> None:
    one = cells.cell(kind, architecture, **changed)
    shared, path = cells.worker([one]), tmp_path / "x.safetensors"
    outcome = run_and_save(one, shared, path)
    assert quality(rebuilt(one, path), one, shared) == outcome.quality


def test_seeds_that_share_heads_or_a_step_keep_their_own(tmp_path: Path) -> None:
    asked = [cells.cell(kind, SMALL, seed=s) for kind in ("two_phase", "feature_extraction")
             for s in (0, 1)]  # fmt: skip
    shared = cells.worker(asked)
    paths = [tmp_path / f"{number}.safetensors" for number in range(len(asked))]
    found = [run_and_save(one, shared, path) for one, path in zip(asked, paths, strict=True)]
    for one, path, outcome in zip(asked, paths, found, strict=True):
        again = quality(rebuilt(one, path), one, shared)
        assert again.test == outcome.quality.test
        # On record are val's logits by all heads in one product, which may sum in another order.
        assert again.val.confusion == outcome.quality.val.confusion
        assert again.val.nll == pytest.approx(outcome.quality.val.nll, rel=1e-6)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_was_captured_is_copied_before_the_next_cell_has_it(
    tmp_path: Path, kind: Kind
) -> None:
    device = Device("cuda", 0)
    prepare_device(device)
    asked = [cells.cell(kind, seed=seed, precision="auto") for seed in (0, 1)]
    shared = cells.Worker(cells.context("resnet18")._replace(device=device), asked)
    paths = [tmp_path / f"{number}.safetensors" for number in (0, 1)]
    found = [run_and_save(one, shared, path) for one, path in zip(asked, paths, strict=True)]
    for one, path, outcome in zip(asked, paths, found, strict=True):
        assert outcome.execution.captured
        again = quality(rebuilt(one, path), one, shared)
        assert again.test.top1 == outcome.quality.test.top1
        assert again.test.nll == pytest.approx(outcome.quality.test.nll, rel=1e-3)
        assert again.val.top1 == outcome.quality.val.top1
    assert (
        load_file(paths[0])["head.layer.weight"].ne(load_file(paths[1])["head.layer.weight"]).any()
    )


# ---- from a file ----------------------------------------------------------------------------


def published(path: Path) -> None:
    """A file as old ones are: half precision, another number of classes, and no counters."""
    network = models.resnet18()
    draw = torch.Generator().manual_seed(1)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value = torch.rand(value.shape, generator=draw)
        if not name.endswith("num_batches_tracked"):
            state[name] = value.half()
    torch.save(state, path)


@pytest.mark.parametrize("kind", ["feature_extraction", "partial"])
def test_a_network_on_a_published_file_is_saved_whole(tmp_path: Path, kind: Kind) -> None:
    file, path = tmp_path / "resnet18.pth", tmp_path / "x.safetensors"
    published(file)
    given = Weights(source="folder", name="resnet18.pth", sha256="a" * 64)
    one = cells.cell(kind).model_copy(update={"weights": given})
    shared = Shared(cells.context("resnet18")._replace(files={"resnet18": file}), [one])
    outcome = run_and_save(one, shared, path)
    assert quality(rebuilt(one, path), one, shared) == outcome.quality


def test_a_backbone_that_is_not_folded_predicts_the_same_up_to_rounding(tmp_path: Path) -> None:
    one, path = cells.cell("feature_extraction", SMALL), tmp_path / "x.safetensors"
    shared = cells.worker([one])
    outcome = run_and_save(one, shared, path)
    plain = rebuilt(one, path).eval()
    test = image_exam(pieces_of(one, shared).images.value.test, shared.pipeline(one))
    with torch.no_grad():
        logits_NK = plain(test.batch(torch.arange(len(test.labels_N)))).numpy()
    again = score(logits_NK, test.labels_N)
    assert again.confusion == outcome.quality.test.confusion
    assert again.nll == pytest.approx(outcome.quality.test.nll, rel=1e-5)


# ---- the file itself ------------------------------------------------------------------------


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        found: dict[str, str] = file.metadata()
    return found


@pytest.mark.parametrize("kind", ["feature_extraction", "partial", "two_phase"])
def test_the_file_holds_every_value_and_says_which_cell_it_is_of(
    tmp_path: Path, kind: Kind
) -> None:
    one = cells.cell(kind)
    shared, path = cells.worker([one]), tmp_path / "x.safetensors"
    # 11,181,642 parameters, two statistics for each of 4,800 normed channels, 20 counters.
    size = 4 * 11_181_642 + 4 * 2 * 4_800 + 8 * 20
    assert num_bytes(shared.outline(one)) == size
    run_and_save(one, shared, path)
    kept = load_file(path)
    assert sum(value.nbytes for value in kept.values()) == size
    assert 0 < path.stat().st_size - size < 20_000
    said = metadata(path)
    assert (said["cell_id"], said["torch"]) == (identity.cell_id(one), torch.__version__)
    assert said["kept_sha256"] == digest(kept)


class Tied(nn.Module):
    """Two names for one tensor, in half the precision, one of them laid out in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 2, dtype=torch.bfloat16)
        self.again = self.layer
        self.layer.to(memory_format=torch.channels_last)


def test_shared_half_precise_tensors_of_any_layout_come_back(tmp_path: Path) -> None:
    module, path = Tied(), tmp_path / "x.safetensors"
    save(path, cells.cell("partial"), module)
    found = load_file(path)
    assert found.keys() == {f"{a}.{b}" for a in ("layer", "again") for b in ("weight", "bias")}
    for name, value in module.state_dict().items():
        assert found[name].dtype == torch.bfloat16
        assert torch.equal(found[name], value)
