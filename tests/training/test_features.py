"""Features that outlive their run: the same ones or none, and never in the way."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.data.decoded import PIXELS_VERSION
from bench.measure import machine as machines
from bench.record import Cell, Preprocessing
from bench.suite import Kind
from bench.training import features as kept
from bench.training.features import Features
from bench.training.placement import Placement, placement
from bench.training.run_cell import Outcome, run_cell
from tests.training import cells
from tests.training.cells import UNIT

CELL = cells.cell("feature_extraction")
PLACE = placement("resnet18", CELL.recipe, 32, cells.CPU)
NAME = "f" * 64


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    return tmp_path


def made() -> Features:
    draw = torch.Generator().manual_seed(0)
    shapes = ((2, 5, 7), (3, 7), (4, 7))
    train_VN, val_N, test_N = (torch.randn(shape, generator=draw) for shape in shapes)
    return Features(train_VN, val_N, test_N, "computed")


def save(features: Features) -> list[str]:
    """What is said while features are kept."""
    said: list[str] = []
    kept.save(NAME, features, said.append)
    return said


def load() -> Features | None:
    return kept.load(NAME, cells.CPU)


def test_kept_features_come_back_bit_for_bit_and_say_so() -> None:
    assert load() is None
    features = made()
    assert save(features) == []
    found = load()
    assert found is not None
    assert all(one.equal(other) for one, other in zip(found[:3], features[:3], strict=True))
    assert found.how == "reused"


def test_features_that_are_kept_already_are_left_alone(home: Path) -> None:
    save(made())
    before = (home / "features" / NAME / "train.npy").stat().st_mtime_ns
    assert save(made()) == []
    assert (home / "features" / NAME / "train.npy").stat().st_mtime_ns == before


# ---- in the way of nobody -------------------------------------------------------------------


@pytest.mark.parametrize("file", ["train.npy", "entry.json"])
def test_damaged_features_are_not_used_and_kept_anew_with_one_line(home: Path, file: str) -> None:
    save(made())
    path = home / "features" / NAME / file
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert load() is None
    (line,) = save(made())
    assert line.startswith("cached features were damaged, made again: ")
    assert load() is not None


def test_features_outlive_the_deletion_of_their_files(home: Path) -> None:
    features = made()
    save(features)
    found = load()
    for path in home.glob("features/*/*.npy"):
        os.truncate(path, 0)
    assert found is not None
    assert found.train_VN.equal(features.train_VN)


def test_features_that_another_run_is_keeping_are_not_waited_for(home: Path) -> None:
    lock = home / "features" / f"{NAME}.lock"
    lock.parent.mkdir()
    code = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire()"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('held', flush=True); sys.stdin.read()", str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        (line,) = save(made())
        other.communicate()
    assert "is not used for features: another run is making the same" in line
    assert load() is None


def test_a_disk_that_takes_nothing_costs_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "/dev/null/cache")
    assert load() is None
    (line,) = save(made())
    assert line == "the cache in /dev/null/cache is not used for features: Not a directory"


# ---- under which name -----------------------------------------------------------------------


def name(cell: Cell = CELL, steps: Preprocessing = UNIT, place: Placement = PLACE) -> str:
    return kept.key(cell, steps, place)


def with_recipe(**changed: Any) -> Cell:
    return CELL.model_copy(update={"recipe": CELL.recipe.model_copy(update=changed)})


def with_data(**changed: Any) -> Cell:
    return CELL.model_copy(update={"data": CELL.data.model_copy(update=changed)})


def with_weights(**changed: Any) -> Cell:
    return CELL.model_copy(update={"weights": CELL.weights.model_copy(update=changed)})


def elsewhere(**changed: Any) -> Placement:
    return PLACE._replace(execution=PLACE.execution.model_copy(update=changed))


@pytest.mark.parametrize(
    "other",
    [
        lambda: name(CELL.model_copy(update={"architecture": "resnet34"})),
        lambda: name(CELL.model_copy(update={"image_size": 40})),
        lambda: name(with_weights(init_seed=1)),
        lambda: name(with_weights(source="folder")),
        lambda: name(with_weights(sha256="a" * 64)),
        lambda: name(with_data(content_sha256="d" * 64)),
        lambda: name(with_data(split_sha256="d" * 64)),
        lambda: name(with_data(white=4095)),
        lambda: name(with_recipe(views=2)),
        lambda: name(steps=UNIT.model_copy(update={"std": (1.0, 1.0, 0.5)})),
        lambda: name(steps=UNIT.model_copy(update={"resize_size": 9})),
        lambda: name(place=elsewhere(precision="bf16")),
        lambda: name(place=elsewhere(allow_tf32=True)),
        lambda: name(place=elsewhere(threads=64)),
    ],
)  # fmt: skip
def test_whatever_a_feature_depends_on_gives_it_another_name(other: Callable[[], str]) -> None:
    assert other() != name()


@pytest.mark.parametrize(
    "fact", ["torch", "torchvision", "pillow", "cpu_capability", "compute_capability", "device"]
)
def test_another_machine_or_version_gives_another_name(
    fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machines.machine("cpu", None)
    there = here.model_copy(update={fact: "other"})
    before = name()
    monkeypatch.setattr(machines, "machine", lambda device, index: there)
    assert name() != before


def test_other_pixels_of_the_same_files_give_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = name()
    monkeypatch.setattr("bench.training.features.PIXELS_VERSION", PIXELS_VERSION + 1)
    assert name() != before


def test_mirroring_matters_where_there_are_views() -> None:
    assert name(with_recipe(flip=True)) == name(with_recipe(flip=False))
    assert name(with_recipe(flip=True, views=2)) != name(with_recipe(flip=False, views=2))


def test_what_comes_after_the_backbone_gives_no_other_name() -> None:
    assert name(CELL.model_copy(update={"seed": 5, "strategy": "x", "metric": "top1"})) == name()
    assert name(CELL.model_copy(update={"kind": "two_phase", "architecture_label": "x"})) == name()
    assert name(with_recipe(epochs=99, lr=0.5, batch_size=1, precision="auto")) == name()
    assert name(place=elsewhere(captured=True, resident=False)) == name()


@pytest.mark.parametrize(("num_bytes", "home"), [(250, "cuda"), (251, "cpu")])
def test_features_lie_on_the_device_where_twice_their_size_fits_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, num_bytes: int, home: str
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1_000, 80_000))
    assert kept.home_of(num_bytes, torch.device("cuda", 0)).type == home


# ---- through a run --------------------------------------------------------------------------


def runs(one: Cell, *, reuse: bool) -> tuple[Outcome, list[str]]:
    """A cell in a worker of its own, and what that has to say."""
    said: list[str] = []
    context = cells.context(one.architecture)._replace(reuse_features=reuse)
    return run_cell(one, cells.Worker(context, [one], said.append), cells.ignore), said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["feature_extraction", "two_phase"])
def test_a_later_run_that_asks_for_it_uses_them_with_the_same_scores(kind: Kind) -> None:
    one = cells.cell(kind, "mobilenet_v3_small")
    first, again = (runs(one, reuse=True)[0] for _ in range(2))
    assert (first.cost.features, again.cost.features) == ("computed", "reused")
    assert again.quality == first.quality


@pytest.mark.slow
def test_without_being_asked_a_run_neither_keeps_nor_uses_any(home: Path) -> None:
    one = cells.cell("feature_extraction", "mobilenet_v3_small")
    runs(one, reuse=False)
    assert not (home / "features").exists()
    runs(one, reuse=True)
    assert runs(one, reuse=False)[0].cost.features == "computed"


@pytest.mark.slow
def test_another_seed_uses_what_one_seed_kept_and_another_size_does_not() -> None:
    one = cells.cell("feature_extraction", "mobilenet_v3_small")
    runs(one, reuse=True)
    other = one.model_copy(update={"seed": 1})
    larger = one.model_copy(update={"image_size": 40})
    assert runs(other, reuse=True)[0].cost.features == "reused"
    assert runs(larger, reuse=True)[0].cost.features == "computed"


@pytest.mark.slow
def test_damaged_features_cost_a_line_and_no_score(home: Path) -> None:
    one = cells.cell("feature_extraction", "mobilenet_v3_small")
    first, said = runs(one, reuse=True)
    assert said == []
    (path,) = home.glob("features/*/val.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)
    again, (line,) = runs(one, reuse=True)
    assert (again.cost.features, again.quality) == ("computed", first.quality)
    told = "mobilenet_v3_small: cached features were damaged, made again: val.npy"
    assert line.startswith(told)
