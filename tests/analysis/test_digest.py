"""What is kept of a run: all that a comparison needs, and nothing that contradicts itself."""

from pathlib import Path

import numpy as np
import pytest

from bench.analysis.digest import Digest, conditions_of, digest_of, task_of
from bench.analysis.point import past_run_of
from bench.folder import read_records, read_run
from bench.identity import cell_identity
from bench.record import Result, Seconds
from tests import records
from tests.analysis import sides


def test_a_digest_survives_json() -> None:
    found = sides.digested()
    assert Digest.model_validate_json(found.model_dump_json()) == found


def test_what_rows_share_stands_once_and_nothing_is_lost() -> None:
    found = sides.digested(0, sides.with_machine(cpu_model="other"), cells=[0])
    row, other = found.rows[0], found.rows[1]
    assert row.conditions == {"machine.cpu_model": "other"}
    assert other.conditions == {"machine.cpu_model": "AMD EPYC"}
    assert conditions_of(found, row)["machine.torch"] == "2.15.0"
    expected = cell_identity(records.cell("resnet18", "fine_tuning", 0))
    expected.pop("cell.seed")
    expected["cell.data.classes"] = list(expected["cell.data.classes"])
    task = task_of(found, row)
    assert {path: task[path] for path in task if not path.startswith("prep")} == expected
    assert task["preprocessing.mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_a_score_that_was_edited_is_refused(share: float) -> None:
    def change(one: Result) -> Result:
        test = one.quality.test.model_copy(update={"top1": share})
        return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})

    with pytest.raises(ValueError, match="was the file edited"):
        sides.digested(0, change, cells=[2])


@pytest.mark.parametrize("part", list(Seconds.model_fields))
def test_a_time_that_was_edited_is_refused(part: str) -> None:
    def change(one: Result) -> Result:
        edited = {part: getattr(one.cost.attributed, part) * 0.99}
        spent = one.cost.attributed.model_copy(update=edited)
        cost = one.cost.model_copy(update={"attributed": spent})
        return one.model_copy(update={"cost": cost})

    with pytest.raises(ValueError, match=r"its wall time is .* was the file edited"):
        sides.digested(0, change, cells=[2])


@pytest.mark.parametrize("folder", ["schema1", "schema2", "schema3", "schema4"])
def test_times_of_records_of_older_benches_add_up(folder: str) -> None:
    place = Path(__file__).parents[1] / folder
    found = digest_of(read_run(place), read_records(place))
    assert [seed.status for row in found.rows for seed in row.seeds] == ["ok", "diverged"]


def test_other_test_images_and_damaged_predictions_are_refused() -> None:
    def with_test(one: Result, **fields: object) -> Result:
        packed = one.quality.test.predictions.model_copy(update=fields)
        test = one.quality.test.model_copy(update={"predictions": packed})
        return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})

    labels = records.answers(np.zeros(1000, int), np.ones(1000)).predictions.labels
    with pytest.raises(ValueError, match="other test images"):
        sides.digested(0, lambda one: with_test(one, labels=labels), cells=[2])
    with pytest.raises(ValueError, match=r"predictions\.classes: damaged"):
        sides.digested(0, lambda one: with_test(one, classes="AAAA"), cells=[2])


def test_records_of_another_run_are_refused() -> None:
    with pytest.raises(ValueError, match="belong to no cell"):
        digest_of(records.run(["resnet50"], ["partial"]), sides.measured())


def test_a_run_without_results_has_a_digest() -> None:
    found = sides.digested(0, lambda one: None)
    assert {seed.status for row in found.rows for seed in row.seeds} == {"missing"}
    assert found.num_images == 0
    assert past_run_of(found) is not None


def test_only_finished_runs_are_past_and_unsteady_ones_without_times() -> None:
    assert past_run_of(sides.digested(0, status="running")) is None
    found = past_run_of(sides.digested())
    assert found is not None
    assert len(found.rows) == 6
    unsteady = past_run_of(sides.digested().model_copy(update={"unstable": "why"}))
    assert unsteady is not None
    assert {one.train_seconds for one in unsteady.rows.values()} == {None}
