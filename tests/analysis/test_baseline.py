"""Baseline files: what may become one, what comes back, and what was tampered with."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.baseline import (
    BASELINE_VERSION,
    MOST_PAST_RUNS,
    accepted,
    file_name,
    parsed,
    text_of,
    unacceptable,
)
from bench.analysis.judge import MEASURES
from bench.analysis.pairs import combinations
from bench.identity import digest, key_facts
from bench.record import Result
from tests import records
from tests.analysis import sides
from tests.analysis.sides import tabled

NOW = "2026-11-21T12:00:00Z"
MADE = accepted(tabled(7), sides.past(7), "first", "AMD EPYC, 2 cores", NOW)


def test_a_baseline_comes_back_from_its_text() -> None:
    text = text_of(MADE)
    found = parsed(text)
    assert text_of(found) == text
    assert (found.reason, found.machine, found.history) == (MADE.reason, MADE.machine, MADE.history)
    assert found.run.header == MADE.run.header
    for side, own in zip(combinations(found.run), combinations(MADE.run), strict=True):
        assert (side.task_key, side.past_key) == (own.task_key, own.past_key)
        assert all(side.value(metric) == own.value(metric) for metric in MEASURES)
        assert np.array_equal(side.scored.right_SN, own.scored.right_SN)
    assert [run.started_at for run in MADE.history] == [run.started_at for run in sides.past(8)]


def test_the_text_is_sorted_and_has_a_past_run_on_each_line() -> None:
    text = text_of(MADE)
    keys = [line.split('"')[1] for line in text.splitlines() if line.startswith(' "')]
    assert keys == sorted(keys)
    assert sum('"finished_at"' in line and '"rows"' in line for line in text.splitlines()) == 8
    assert max(map(len, text.splitlines())) < 3000
    assert len(text) < 25_000


def test_only_the_last_runs_of_the_same_cells_are_kept() -> None:
    run = tabled(50)
    strangers = [one.model_copy(update={"rows": {}}) for one in sides.past(3)]
    found = accepted(run, [*strangers, *sides.past(45)], "again", "x", NOW)
    assert len(found.history) == MOST_PAST_RUNS
    assert found.history[-1].started_at == run.header.started_at
    assert all(len(one.rows) == 6 for one in found.history)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": "running"}, "did not finish"),
        ({"unstable": "it drifted"}, "it drifted"),
    ],
)
def test_what_is_no_baseline(change: dict[str, str], why: str) -> None:
    assert why in (unacceptable(sides.headed(tabled(), **change)) or "")
    assert unacceptable(tabled(0, lambda one: None)) == "no cell of it is ok"
    assert unacceptable(tabled()) is None


OLD = Path(__file__).parents[1] / "schema3" / "baseline.json"
"""A file of version 2, in whose tasks the sizes stand that images pass through."""


def test_an_older_file_has_the_tasks_of_today() -> None:
    text = OLD.read_text("utf-8")
    assert "preprocessing.crop_size" in text
    run = parsed(text).run
    for side in combinations(run):
        assert "preprocessing.mean" in side.task
        sizes = [path for path in side.task if "_size" in path and path.startswith("prep")]
        assert not sizes
    assert len({side.task_key for side in combinations(run)}) == 6


REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.name)
def test_committed_baselines_know_all_that_costs_depend_on(path: Path) -> None:
    run = parsed(path.read_text("utf-8")).run
    made = records.result(records.cell("resnet18", "partial", 0))
    machine = records.GPU if run.header.device == "cuda" else records.CPU
    needed = key_facts(made.execution, machine, "performance").keys()
    for side in combinations(run):
        assert needed <= side.conditions.keys(), "run the suite again, and accept that"


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.json")), ids=lambda path: path.name)
def test_committed_baselines_are_of_todays_names_and_past(path: Path) -> None:
    found = parsed(path.read_text("utf-8"))
    assert file_name(found.run, found.machine) == path.name
    keys = {side.past_key for side in combinations(found.run)}
    assert all(keys == run.rows.keys() for run in found.history)
    again = parsed(text_of(found))
    assert (again.history, again.run.columns) == (found.history, found.run.columns)


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
        (text_of(MADE).replace("0.93,", "0.99,", 1), "changed by hand"),
        (edited(run={}), "is damaged"),
        (edited(more=1), "is damaged"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(text)


def test_files_of_the_first_version_are_read() -> None:
    content = json.loads(OLD.read_text("utf-8"))
    content["schema_version"] = 1
    content["run"].pop("information", None)
    for row in content["run"]["rows"]:
        for seed in row["seeds"]:
            seed.pop("images_per_second", None)
    del content["sum"]
    before = parsed(json.dumps({**content, "sum": digest(content, 16)}))
    assert (before.schema_version, before.run.header.information) == (1, {})
    assert [side.names for side in combinations(before.run)] == [
        side.names for side in combinations(parsed(OLD.read_text("utf-8")).run)
    ]
    with pytest.raises(ValueError, match="changed by hand"):
        parsed(json.dumps({**content, "reason": "a better one", "sum": digest(content, 16)}))


def test_the_name_tells_suite_and_machine_and_changes_with_the_software() -> None:
    name = file_name(tabled(), "AMD EPYC, 2 cores")
    assert name.startswith("capstone-amd-epyc-2-cores-")
    other = tabled(0, sides.with_machine(torch="3.0.0"))
    assert file_name(other, "AMD EPYC, 2 cores") != name
    assert file_name(tabled(5, sides.slower(2)), "AMD EPYC, 2 cores") == name


def test_runs_with_other_threads_have_baselines_of_their_own() -> None:
    def one_thread(one: Result) -> Result:
        return records.executed(one, threads=1)

    machine = "AMD EPYC, 2 cores"
    assert file_name(tabled(0, one_thread), machine) != file_name(tabled(), machine)
    # Cells that differ among themselves tell nothing of the run.
    mixed = [file_name(tabled(0, one_thread, cells=cells), machine) for cells in ([1], [1, 2])]
    assert mixed[0] == mixed[1]
