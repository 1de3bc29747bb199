"""A run as one table: a row per cell with units, and nothing in it that contradicts itself."""

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import folder, predictions
from bench.analysis.consistency import Contradiction, check_one_task
from bench.analysis.table import COLUMNS, SCALARS, RunTable, concat, read, table
from bench.identity import BUCKETS, cell_identity
from bench.record import Result, Run
from tests import records
from tests.analysis import sides
from tests.analysis.sides import Change
from tests.test_identity import VOLATILE


def tabled(change: Change | None = None, cells: tuple[int, ...] = (2,), **run: object) -> RunTable:
    """The table of the run of `sides`, with a change laid on some of its rows."""
    return table(sides.asked(0, **run), [*sides.measured(0, change, cells)])


def test_a_row_for_each_cell_in_the_order_of_the_suite_and_a_column_for_each_field() -> None:
    found = tabled()
    assert list(found.cells.index) == list(found.run.cells)
    assert {*COLUMNS, *SCALARS} - {"cell_id"} <= {*found.cells.columns}
    assert found.cells.loc[found.run.cells[4], "seed"] == 1
    assert {column.path for column in COLUMNS.values() if "METRIC" not in column.path} <= {
        "",
        "cost.phases",
        *SCALARS,
    }


def test_a_cell_without_a_record_is_missing_and_a_failed_one_tells_why() -> None:
    asked = records.run(["a"], ["partial"], seeds=(0, 1, 2))
    of = [records.cell("a", "partial", seed) for seed in (0, 1)]
    found = table(asked, [records.failure(of[1]), records.result(of[0])])
    assert list(found.columns["status"]) == ["ok", "diverged", "missing"]
    assert list(found.columns["seed"]) == [0, 1, 2]
    assert found.columns["reason"][1] == "loss is NaN in epoch 3"
    assert found.columns["architecture"][2] == "a"
    assert found.columns["task_key"][0] == found.columns["task_key"][1] != ""
    assert np.isnan(found.cells["train_seconds"].iloc[2])
    assert found.rows == {("a", "partial"): [0, 1, 2]}


def test_numbers_are_those_of_the_records() -> None:
    one = records.result(records.cell("resnet18", "partial", 0), machine=records.GPU)
    asked = records.run(["resnet18"], ["partial"], machine=records.GPU, metric="balanced_accuracy")
    cell = one.cell.model_copy(update={"metric": "balanced_accuracy"})
    found = table(asked, [one.model_copy(update={"cell": cell})])
    row = found.cells.iloc[0]
    assert row["test_score"] == one.quality.test.balanced_accuracy
    assert row["peak_memory_bytes"] == one.memory.gpu_allocated_bytes
    assert row["train_seconds"] == one.cost.attributed.train == row["cost.attributed.train"]
    unpacked = predictions.unpack(one.quality.val.predictions)
    assert np.array_equal(
        found.predictions(one.cell_id, "val").confidences_N, unpacked.confidences_N
    )
    assert found.right_N(one.cell_id).mean() == one.quality.test.top1
    curve = found.curves
    assert list(curve["epoch"]) == [point.epoch for point in one.curve]
    assert list(curve["cell_id"].unique()) == [one.cell_id]


def test_facts_of_a_row_are_those_of_its_keys() -> None:
    found = tabled(sides.with_machine(cpu_model="other"), (0,))
    assert found.conditions(0)["machine.cpu_model"] == "other"
    assert found.conditions(3)["machine.cpu_model"] == "AMD EPYC"
    assert "machine.cuda" not in found.conditions(0)
    task = found.task(0)
    expected = cell_identity(records.cell("resnet18", "fine_tuning", 0))
    expected.pop("cell.seed")
    expected["cell.data.classes"] = list(expected["cell.data.classes"])
    assert task.items() >= expected.items()
    assert task["preprocessing.mean"] == [0.485, 0.456, 0.406]
    assert len({*found.columns["task_key"]}) == len({*found.columns["conditions_key"]}) * 3 == 6


def test_costs_of_reused_features_and_of_several_sittings_are_not_whole() -> None:
    def shared(count: int, seed: int) -> Change:
        def change(one: Result) -> Result:
            if one.cell.seed != seed:
                return one
            cost = one.cost.model_copy(update={"shared_by": count})
            return one.model_copy(update={"cost": cost})

        return change

    whole = [*tabled().cells["whole_costs"]]
    assert all(whole)
    for change in (records.reused, shared(2, seed=2)):
        found = tabled(change, (1,)).cells
        assert not found["whole_costs"][found["strategy"] == "feature_extraction"].iloc[:3].any()
        assert found["whole_costs"].sum() == 15
    assert tabled(shared(2, seed=2), (0,)).cells["whole_costs"].all()  # no features, no matter


def test_costs_compare_on_the_machine_and_threads_of_most_ok_cells() -> None:
    def slow(one: Result) -> Result:
        return records.executed(one, threads=8)

    there = [records.result(records.cell("a", "partial", seed)) for seed in range(3)]
    here = [slow(records.result(records.cell("b", "partial", seed))) for seed in range(3)]
    asked = records.run(["a", "b"], ["partial"], seeds=range(3))
    assert [*table(asked, [*there, *here[1:]]).cells["on_reference"]] == [True] * 3 + [False] * 3
    assert [*table(asked, [*there[1:], *here]).cells["on_reference"]] == [False] * 3 + [True] * 3
    equal = [table(asked, [*there, *here][::order]).columns["on_reference"] for order in (1, -1)]
    assert equal[0] == equal[1]
    assert sum(equal[0]) == 3
    assert table(asked, here).cells["machine_key"].nunique() == 1


def test_runs_stand_in_one_frame_under_their_names() -> None:
    both = concat({"one": tabled(), "two": tabled(records.reused)})
    assert isinstance(both, pd.DataFrame)
    assert [*both["run"]] == ["one"] * 18 + ["two"] * 18
    assert (both.groupby("run")["whole_costs"].sum() == [18, 15]).all()


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["schema1", "schema2", "schema3"])
def test_folders_of_older_benches_are_read(name: str) -> None:
    found = read(Path(__file__).parents[1] / name)
    assert [*found.cells["status"]] == ["ok", "diverged"]


def with_predictions(part: str, **fields: object) -> Change:
    def change(one: Result) -> Result:
        scores = getattr(one.quality, part)
        packed = scores.predictions.model_copy(update=fields)
        changed = {part: scores.model_copy(update={"predictions": packed})}
        return one.model_copy(update={"quality": one.quality.model_copy(update=changed)})

    return change


@pytest.mark.parametrize(("part", "count"), [("val", 400), ("test", 1000)])
def test_other_images_are_refused(part: str, count: int) -> None:
    labels = records.answers(np.zeros(count, int), np.ones(count)).predictions.labels
    with pytest.raises(Contradiction, match=rf"other {part} images .*true classes differ"):
        tabled(with_predictions(part, labels=labels))
    fewer = records.answers(np.zeros(30, int), np.ones(30)).predictions.model_dump()
    with pytest.raises(Contradiction, match=rf"other {part} images than .*{count:,} and 30"):
        tabled(with_predictions(part, **fewer))


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_same_labels_packed_in_another_way_are_the_same(part: str) -> None:
    one = records.result(records.cell("a", "partial", 0))
    packed = getattr(one.quality, part).predictions.labels
    stored = base64.b64encode(zlib.compress(zlib.decompress(base64.b64decode(packed)), 0)).decode()
    assert stored != packed
    found = tabled(with_predictions(part, labels=stored))
    assert (found.labels, found.right) == (tabled().labels, tabled().right)


def test_records_of_another_run_and_two_of_one_cell_are_refused() -> None:
    with pytest.raises(ValueError, match="18 records belong to no cell"):
        table(records.run(["resnet50"], ["partial"]), [*sides.measured()])
    with pytest.raises(Contradiction, match="has 2 records"):
        table(sides.asked(), [*sides.measured(), sides.measured()[0]])


def test_a_record_that_contradicts_itself_is_none(tmp_path: Path) -> None:
    asked = sides.asked()
    folder.write_run(tmp_path, asked)
    for record in sides.measured():
        folder.write_record(tmp_path, record)
    assert read(tmp_path).cells.equals(tabled().cells)
    path = folder.cell_folder(tmp_path, asked.cells[5]) / "record.json"
    text = path.read_text()
    path.write_text(text.replace('"top1": 0.936', '"top1": 0.937'))
    assert [*read(tmp_path).cells["status"]].index("missing") == 5


def test_a_run_without_results_has_a_table() -> None:
    found = table(sides.asked(), [])
    assert {*found.cells["status"]} == {"missing"}
    assert found.num_images == 0


# ---- one task -------------------------------------------------------------------------------


def of(seed: int = 0, architecture: str = "a", **changed: Any) -> Result:
    """A record of a cell that was asked for in another way."""
    one = records.result(records.cell(architecture, "partial", seed))
    return one.model_copy(update={"cell": one.cell.model_copy(update=changed)})


def data(**changed: object) -> dict[str, Any]:
    return {"data": of().cell.data.model_copy(update=changed)}


def test_what_may_differ_does() -> None:
    check_one_task([])
    check_one_task([of(), of(seed=1), records.failure(records.cell("a", "partial", 2))])
    check_one_task([of(), of(architecture="b", image_size=224)])
    check_one_task([of(), of(architecture="b", **data(name="the same, elsewhere"))])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (data(split_sha256="e" * 64), r"data\.split_sha256: d+… and e+…"),
        (data(content_sha256="e" * 64), r"data\.content_sha256"),
        (data(classes=("cat", "dog")), r"data\.classes: .*'0'.* and \('cat', 'dog'\)"),
        ({"metric": "balanced_accuracy"}, r"metric: the default and balanced_accuracy"),
    ],
)
def test_all_cells_share_images_and_metric(changed: dict[str, Any], said: str) -> None:
    other = of(architecture="b", **changed)
    with pytest.raises(Contradiction, match=rf"b-partial-s0.* a-partial-s0.*{said}"):
        check_one_task([of(), other])
    with pytest.raises(Contradiction, match=said):
        check_one_task([of(), records.failure(other.cell)])


def test_the_seeds_of_a_row_share_all_the_rest_and_every_difference_is_named() -> None:
    recipe = of().cell.recipe.model_copy(update={"epochs": 20, "lr": 0.5})
    other = of(seed=1, recipe=recipe, image_size=224)
    with pytest.raises(Contradiction, match=r"image_size: 48 and 224; .*epochs: 10 and 20.*lr"):
        check_one_task([of(), other])


# ---- what may explain a change --------------------------------------------------------------

MACHINE = records.CPU.model_copy(update={"driver": "570.1", "id": "ci-7"})
STEADY = {
    *("machine.sm_clock_max_mhz", "machine.memory_clock_max_mhz", "machine.cpu_max_mhz"),
    "machine.sm_clock_application_mhz",  # set by hand
}
"""Named like readings, and the same at every run."""


def informed(*commits: str | None) -> dict[str, Any]:
    asked: Run = records.run(["a"], ["partial"], seeds=range(len(commits)), machine=MACHINE)
    found = []
    for seed, commit in enumerate(commits):
        one = records.result(records.cell("a", "partial", seed))
        provenance = one.provenance.model_copy(update={"commit": commit})
        found.append(one.model_copy(update={"provenance": provenance}))
    return table(asked, found).header.information


def test_information_has_the_driver_and_the_code_and_nothing_of_the_keys() -> None:
    found = informed(None)
    assert found["machine.driver"] == "570.1"
    assert found["machine.id"] == "ci-7"
    assert BUCKETS["machine.id"] == "information"
    assert found["bench.version"] == "0.1.0"
    assert found["bench.commit"] is None
    assert not {"machine.torch", "machine.cpu_model"} & found.keys()
    changing = {path for path in found for word in VOLATILE if word in path}
    assert changing <= STEADY
    assert informed("3c4d", "1a2b")["bench.commit"] == "1a2b and 3c4d"
