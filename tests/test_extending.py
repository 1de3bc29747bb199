"""Each addition that bench/README.md describes is one row of one table: here each is made."""

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bench.analysis.choice import Summary
from bench.analysis.table import RunTable
from bench.architectures import ARCHITECTURES, Architecture
from bench.data.dataset import Dataset, Item
from bench.data.sources import SOURCES, Source, open_image, scan
from bench.data.split import make_split
from bench.errors import SuiteError
from bench.expand import Inputs
from bench.expand import cells as expanded
from bench.metrics import METRICS, Metric
from bench.report import figures, writer
from bench.report.charts.figure import Chart
from bench.strategies import HEAD_ONLY, STRATEGIES, PhasePlan, Rates, Rule, Strategy
from bench.suite_file import check
from tests import records
from tests.report.reading import report_of
from tests.training import cells

SUITE: dict[str, Any] = {
    "name": "mine",
    "architectures": ["resnet18"],
    "strategies": ["feature_extraction"],
}


def add(monkeypatch: pytest.MonkeyPatch, table: object, name: str, row: object) -> None:
    """The row in the table, taken out of it first if it is there."""
    monkeypatch.delitem(cast(dict[str, object], table), name, raising=False)
    monkeypatch.setitem(cast(dict[str, object], table), name, row)


def accepted(**changes: Any) -> bool:
    """Whether a suite with these changes is accepted."""
    try:
        check({**SUITE, **changes}, "mine.toml")
    except SuiteError:
        return False
    return True


@pytest.mark.slow
def test_an_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(cast(dict[str, object], ARCHITECTURES), "resnet34")
    assert not accepted(architectures=["resnet34"])
    row = Architecture(
        name="resnet34", family="resnet", pinned="IMAGENET1K_V1", head="fc", dropout=None,
        auxiliary=(), min_size=1, size_multiple=1,
        stages=(("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
    )  # fmt: skip
    add(monkeypatch, ARCHITECTURES, "resnet34", row)
    assert accepted(architectures=["resnet34"])
    found = cells.run(cells.cell("partial", "resnet34", epochs=1))
    assert found.quality.test.num_images == 30


@pytest.mark.slow
def test_a_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(recipe: Any, stages: Any) -> list[PhasePlan]:
        trained = [prefix for stage in stages[-1:] for prefix in stage]
        last = tuple(Rule(prefix, recipe.backbone_lr_scale) for prefix in trained)
        rules = (Rule("head", 1.0), *last, Rule("backbone", 0.0))
        half = recipe.epochs // 2
        return [PhasePlan("head", half, HEAD_ONLY), PhasePlan("last", recipe.epochs - half, rules)]

    assert not accepted(strategies=["head_then_last"])
    rates = Rates(1e-3, 0.3)
    row = Strategy(
        "the head, then the last stage", rates, rates, True, late, starts_frozen=True, whole=False
    )
    add(monkeypatch, STRATEGIES, "head_then_last", row)
    suite = check({**SUITE, "strategies": ["head_then_last"]}, "mine.toml").profiles["cpu"]
    model = cells.cell("partial", epochs=2)
    facts = Inputs(
        model.data, False, {"resnet18": model.weights}, {"resnet18": 32}, {"resnet18": True}
    )
    (cell,) = expanded(suite, facts)
    assert (cell.recipe.lr, cell.recipe.backbone_lr_scale) == (1e-3, 0.3)
    small = cell.model_copy(update={"recipe": model.recipe})
    phases = cells.run(small).cost.phases
    assert [(phase.name, phase.epochs) for phase in phases] == [("head", 1), ("last", 1)]
    assert 0 < phases[0].trainable_share < phases[1].trainable_share < 1


def test_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    row = METRICS["balanced_accuracy"]
    monkeypatch.delitem(cast(dict[str, Metric], METRICS), "balanced_accuracy")
    assert not accepted(metric="balanced_accuracy")
    add(monkeypatch, METRICS, "balanced_accuracy", row)
    assert accepted(metric="balanced_accuracy")


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_a_weighted_share_of_right_images_and_a_field_of_scores(name: str) -> None:
    draw = np.random.default_rng(0)
    labels_N, predicted_N = draw.integers(0, 4, 300) % 3, draw.integers(0, 3, 300)
    weights_N = METRICS[name].weights(labels_N)
    assert weights_N.mean() == pytest.approx(1)
    share = float(np.mean((labels_N == predicted_N) * weights_N))
    assert METRICS[name].score(labels_N, predicted_N) == pytest.approx(share)
    found = records.answers(labels_N, labels_N == predicted_N, num_classes=3)
    assert getattr(found, name) == pytest.approx(share)


def test_a_data_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def stripes(source: str, _follow_links: bool) -> Dataset:
        items = [
            Item(f"{n:02}", n % 2, hashlib.sha256(f"{n}".encode()).hexdigest(), None)
            for n in range(20)
        ]
        return Dataset(source, source, ("dark", "light"), tuple(items), True, ())

    def draw(source: str, item: Item) -> Image.Image:
        return Image.new("RGB", (8, 8), (int(item.key), 255 * item.label, 0))

    assert accepted(dataset={"source": "stripes"})  # a folder, as far as a suite knows
    row = Source("twenty stripes", stripes, draw, lambda: None, 4, 3)
    add(monkeypatch, SOURCES, "stripes", row)
    found = scan("stripes")
    assert found.classes == ("dark", "light")
    assert open_image(found, found.items[7]).getpixel((0, 0)) == (7, 255, 0)
    parts = make_split(found, row.train_per_class, row.val_per_class, 0)
    assert [len(parts.train), len(parts.val), len(parts.test)] == [8, 6, 6]


@pytest.mark.slow
def test_a_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def mine(table: RunTable, summary: Summary) -> Chart:
        def draw(width: float) -> Figure:
            drawn = Figure(figsize=(width / 72, 2), dpi=72)
            drawn.add_subplot().plot(
                [row.train_seconds.mean for row in summary.rows if row.train_seconds]
            )
            return drawn

        return Chart("mine", "A figure of my own", "How to read it.", "In words.", draw)

    listed = figures.Listed("mine", "run", mine)
    monkeypatch.setattr(figures, "FIGURES", (*figures.FIGURES, listed))
    strategies = list(records.STRATEGIES)
    of = records.run(["resnet18"], strategies)
    written = writer.write(tmp_path, report_of(of, records.drawn(of, strategies)))
    assert tmp_path / "plots" / "mine.png" in written
    assert (tmp_path / "plots" / "mine.svg").stat().st_size > 0
    assert "A figure of my own" in (tmp_path / "report.html").read_text()
