"""Baseline files: what may become one, what comes back, and what was tampered with."""

import json
from pathlib import Path

import pytest

from bench.analysis.baseline import BASELINE_VERSION, KEPT, accepted, file_name, parsed, text_of
from bench.analysis.digest import conditions_of, task_of
from bench.identity import digest, key_facts
from bench.record import Result
from tests import records
from tests.analysis import sides
from tests.analysis.sides import digested

NOW = "2026-11-21T12:00:00Z"
MADE = accepted(digested(7), sides.past(7), "first", "AMD EPYC, 2 cores", NOW)


def test_a_baseline_comes_back_from_its_text() -> None:
    text = text_of(MADE)
    assert parsed(text) == MADE
    assert text_of(parsed(text)) == text
    assert [run.started_at for run in MADE.history] == [run.started_at for run in sides.past(8)]


def test_the_text_is_sorted_and_has_a_past_run_on_each_line() -> None:
    lines = text_of(MADE).splitlines()
    keys = [line.split('"')[1] for line in lines if line.startswith(' "')]
    assert keys[:-1] == sorted(keys[:-1])
    assert sum('"finished_at"' in line and '"rows"' in line for line in lines) == 8
    assert len(text_of(MADE)) < 25_000


def test_only_the_last_runs_of_the_same_cells_are_kept() -> None:
    run = digested(50)
    strangers = [one.model_copy(update={"rows": {}}) for one in sides.past(3)]
    found = accepted(run, [*strangers, *sides.past(45)], "again", "x", NOW)
    assert len(found.history) == KEPT
    assert found.history[-1].started_at == run.started_at
    assert all(len(one.rows) == 6 for one in found.history)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "running"}, "did not finish"),
        ({"unstable": "it drifted"}, "it drifted"),
    ],
)
def test_what_is_no_baseline(change: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        accepted(digested().model_copy(update=change), [], "r", "x", NOW)
    with pytest.raises(ValueError, match="no cell of it is ok"):
        accepted(digested(0, lambda one: None), [], "r", "x", NOW)


OLD = Path(__file__).parents[1] / "schema3" / "baseline.json"
"""A file of version 2, in whose tasks the sizes stand that images pass through."""


def test_an_older_file_has_the_tasks_of_today() -> None:
    text = OLD.read_text("utf-8")
    assert "preprocessing.crop_size" in text
    run = parsed(text).run
    for row in run.rows:
        task = task_of(run, row)
        assert "preprocessing.mean" in task
        assert not [path for path in task if "_size" in path and path.startswith("preprocessing")]
        assert row.key == digest(task)
    assert len({row.key for row in run.rows}) == 6


REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.name)
def test_committed_baselines_know_all_that_costs_depend_on(path: Path) -> None:
    run = parsed(path.read_text("utf-8")).run
    made = records.result(records.cell("resnet18", "partial", 0))
    machine = records.GPU if run.device == "cuda" else records.CPU
    needed = key_facts(made.execution, machine, "performance").keys()
    for row in run.rows:
        assert needed <= conditions_of(run, row).keys(), "run the suite again, and accept that"


def edited(**changes: object) -> str:
    return json.dumps({**json.loads(text_of(MADE)), **changes})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON"),
        ("[]", "no schema_version"),
        ('{"schema_version": 2}', "name a run folder"),
        (edited(schema_version=BASELINE_VERSION + 1), "newer bench"),
        (edited(reason="a better one"), "changed by hand"),
        (text_of(MADE).replace('"score": 0.93,', '"score": 0.99,', 1), "changed by hand"),
        (edited(run={}), "is damaged"),
        (edited(more=1), "is damaged"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(text)


def test_files_of_the_first_version_are_read() -> None:
    content = json.loads(text_of(MADE))
    del content["sum"]
    content["schema_version"] = 1
    del content["run"]["information"]
    for row in content["run"]["rows"]:
        for seed in row["seeds"]:
            del seed["images_per_second"]
    before = parsed(json.dumps({**content, "sum": digest(content, 16)}))
    run = MADE.run.model_copy(update={"information": {}})
    assert before == MADE.model_copy(update={"schema_version": 1, "run": run})
    with pytest.raises(ValueError, match="changed by hand"):
        parsed(json.dumps({**content, "reason": "a better one", "sum": digest(content, 16)}))


def test_files_without_the_facts_that_no_key_depends_on_are_read() -> None:
    content = json.loads(text_of(MADE))
    assert content["schema_version"] == BASELINE_VERSION
    assert content["run"].pop("information") == MADE.run.information != {}
    del content["sum"]
    before = parsed(json.dumps({**content, "sum": digest(content, 16)}))
    assert before.run == MADE.run.model_copy(update={"information": {}})
    assert before.history == MADE.history


def test_the_name_tells_suite_and_machine_and_changes_with_the_software() -> None:
    name = file_name(digested(), "AMD EPYC, 2 cores")
    assert name.startswith("capstone-amd-epyc-2-cores-")
    other = digested(0, sides.with_machine(torch="3.0.0"))
    assert file_name(other, "AMD EPYC, 2 cores") != name
    assert file_name(digested(5, sides.slower(2)), "AMD EPYC, 2 cores") == name


def test_runs_with_other_threads_have_baselines_of_their_own() -> None:
    def one_thread(one: Result) -> Result:
        return records.executed(one, threads=1)

    machine = "AMD EPYC, 2 cores"
    assert file_name(digested(0, one_thread), machine) != file_name(digested(), machine)
    # Cells that differ among themselves tell nothing of the run.
    mixed = [file_name(digested(0, one_thread, cells=cells), machine) for cells in ([1], [1, 2])]
    assert mixed[0] == mixed[1]
