"""A run kept as JSON is the same run; the file of a run folder is derived and never trusted."""

import json
import os
from pathlib import Path

import pytest

from bench import folder
from bench.analysis import snapshot as kept
from bench.analysis.snapshot import NAME, STORED, from_digest, from_snapshot, past, snapshot
from bench.analysis.table import Snapshot, read, table
from bench.errors import FolderError
from bench.record import Failure, Result
from tests import records
from tests.analysis import sides

ROOT = Path(__file__).parents[2]


def with_failure(one: Result) -> Result | Failure | None:
    return {0: one, 1: records.failure(one.cell), 2: None}[one.cell.seed]


def written(place: Path) -> Path:
    """The run folder of `sides`, one row with a failure and a missing cell."""
    folder.write_run(place, sides.asked())
    for record in sides.measured(0, with_failure, [2]):
        folder.write_record(place, record)
    return place


def same(one: Snapshot, other: Snapshot, names: tuple[str, ...] = STORED) -> bool:
    return (
        one.header == other.header
        and (one.labels, one.num_images, one.right) == (other.labels, other.num_images, other.right)
        and all(one.columns[name] == other.columns[name] for name in names)
    )


def test_a_snapshot_survives_json_with_all_facts(tmp_path: Path) -> None:
    found = read(written(tmp_path))
    back = from_snapshot(json.loads(json.dumps(snapshot(found))))
    assert same(back, found)
    for place in range(18):
        assert back.task(place) == found.task(place)
        assert back.conditions(place) == found.conditions(place)
    cell_id = found.run.cells[0]
    assert (back.right_N(cell_id) == found.right_N(cell_id)).all()
    assert back.cells["train_seconds"].equals(found.cells["train_seconds"])


def test_what_all_cells_share_stands_once() -> None:
    content = snapshot(table(sides.asked(), [*sides.measured()]))
    assert content["constants"]["machine.cpu_model"] == "AMD EPYC"
    assert {"test_score", "seed", "cell_id"} <= content["columns"].keys()
    assert content["constants"].keys().isdisjoint(content["columns"])


@pytest.mark.parametrize("key", ["header", "num_cells", "columns", "constants", "right", "labels"])
def test_a_snapshot_that_is_not_whole_is_refused(key: str) -> None:
    content = snapshot(table(sides.asked(), [*sides.measured()]))
    with pytest.raises(ValueError, match=key):
        from_snapshot({name: content[name] for name in content if name != key})
    short = {**content["columns"], "seed": [0]}
    with pytest.raises(ValueError, match="other lengths"):
        from_snapshot({**content, "columns": short})
    without = {name: content["columns"][name] for name in content["columns"] if name != "seed"}
    with pytest.raises(ValueError, match="seed"):
        from_snapshot({**content, "columns": without})


# ---- table.json of a run folder -------------------------------------------------------------


def test_the_file_is_made_once_and_gives_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = past(written(tmp_path))
    assert (tmp_path / NAME).is_file()
    monkeypatch.setattr(kept, "read", None)  # nothing is read any more
    assert same(past(tmp_path), found)


def spoil(path: Path, way: str) -> None:
    record = next((path / "cells").glob("*/record.json"))
    match way:
        case "deleted":
            (path / NAME).unlink()
        case "cut short":
            (path / NAME).write_text((path / NAME).read_text()[:-9])
        case "edited":
            text = (path / NAME).read_text()
            assert "0.93," in text
            (path / NAME).write_text(text.replace("0.93,", "0.94,"))
        case "not text":
            (path / NAME).write_bytes(b"\xff\xfe")
        case "touched":
            os.utime(record, (1, 1))
        case "record gone":
            record.unlink()
        case "run":
            run = folder.read_run(path)
            folder.write_run(path, run.model_copy(update={"wall_seconds": 1.0}))


@pytest.mark.parametrize(
    "way", ["deleted", "cut short", "edited", "not text", "touched", "record gone", "run"]
)
def test_what_is_stale_or_damaged_is_made_anew(tmp_path: Path, way: str) -> None:
    past(written(tmp_path))
    before = (tmp_path / NAME).read_bytes()
    spoil(tmp_path, way)
    stale = (tmp_path / NAME).read_bytes() if way != "deleted" else None
    assert same(past(tmp_path), read(tmp_path))
    after = (tmp_path / NAME).read_bytes()
    assert after != stale
    assert (after == before) == (way in {"deleted", "cut short", "edited", "not text"})


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (written(tmp_path) / NAME).mkdir()  # nothing can take this name
    assert same(past(tmp_path), read(tmp_path))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="holds no run"):
        past(tmp_path)


# ---- older baselines ------------------------------------------------------------------------

BASELINES = sorted((ROOT / "tests/schema3").glob("*baseline.json"))


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem[:12])
def test_the_run_of_an_older_baseline_is_read_whole(path: Path) -> None:
    content = json.loads(path.read_text())
    run = content["run"]
    found = from_digest(run)
    assert found.header.suite_name == run["suite_name"]
    seeds = [(row, seed) for row in run["rows"] for seed in row["seeds"]]
    for place, (row, seed) in enumerate(seeds):
        cell_id = found.columns["cell_id"][place]
        assert cell_id.startswith(row["architecture"])
        assert found.right_N(cell_id).mean() == pytest.approx(seed["score"])
        assert found.conditions(place) == {**run["conditions"], **row["conditions"]}
        task = {**run["task"], **row["task"]}
        sizes = {"preprocessing.resize_size", "preprocessing.crop_size"}
        assert (
            found.task(place).items() >= {k: v for k, v in task.items() if k not in sizes}.items()
        )
        if content["schema_version"] >= 3:
            assert found.columns["task_key"][place] == row["key"]


def test_ids_and_facts_of_an_older_baseline_are_those_of_its_records() -> None:
    found = read(ROOT / "tests/schema3")
    back = from_digest(json.loads((ROOT / "tests/schema3/digest.json").read_text()))
    names = ("status", "seed", "test_score", "train_seconds", "peak_memory_bytes", "whole_costs")
    assert same(back, found, ("cell_id", *names, "total_parameters", "task_key", "conditions_key"))
    assert [back.task(place) for place in (0, 1)] == [found.task(place) for place in (0, 1)]
    assert back.conditions(0) == found.conditions(0)
