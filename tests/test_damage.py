"""Records that contradict themselves, and what becomes of the runs that hold one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.damage import damage_in
from bench.errors import Damaged, FolderError
from bench.folder import (
    CHECKSUM,
    cell_folder,
    damaged_records,
    read_record,
    read_run,
    write_record,
    write_run,
)
from bench.predictions import pack
from bench.record import Result, Seconds
from tests import command, records
from tests.command import SUITE, Place, quick
from tests.spoken import Bench, spoken_by

Edit = Callable[[dict[str, Any]], None]


def put(*path: str, value: object) -> Edit:
    """Set the value at a path of record.json."""

    def edit(content: dict[str, Any]) -> None:
        for name in path[:-1]:
            content = content[name]
        content[path[-1]] = value

    return edit


def less_time(part: str) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        content["cost"]["attributed"][part] *= 0.99

    return edit


OTHER = pack([0, 9], [10, 9], [0.5, 0.5]).model_dump()
EDITS = {
    **{
        f"{part} {name}": (
            put("quality", part, name, value=0.999),
            f"{part}.{name}: is 0.9990, but",
        )
        for part in ("val", "test")
        for name in ("top1", "balanced_accuracy")
    },
    **{
        f"{part} {name}": (
            put("quality", part, "predictions", name, value="AAAA"),
            f"quality.{part}.predictions.{name}: damaged",
        )
        for part in ("val", "test")
        for name in ("labels", "classes", "confidences")
    },
    "a class too many": (put("quality", "val", "predictions", value=OTHER), "class 10 of 10"),
    "confusion": (put("quality", "test", "confusion", value=[[1000]]), "confusion: is not that"),
    **{f"time {part}": (less_time(part), "its wall time is") for part in Seconds.model_fields},
    "endless time": (put("cost", "attributed", "wall", value=1e308), "its wall time is"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_contradicts_itself_is_told_and_read_as_no_record(tmp_path: Path, name: str) -> None:
    edit, text = EDITS[name]
    record = records.result(records.cell("resnet18", "partial", 0))
    assert damage_in(record) is None
    write_record(tmp_path, record)
    edited(tmp_path, record.cell_id, edit)
    (told,) = damaged_records(tmp_path, [record.cell_id, "none"]).values()
    assert text in told
    assert read_record(tmp_path, record.cell_id) is None


def edited(folder: Path, cell_id: str, edit: Edit) -> None:
    records.edit(cell_folder(folder, cell_id) / "record.json", edit)


def test_a_failure_has_nothing_to_contradict() -> None:
    assert damage_in(records.failure(records.cell("resnet18", "partial", 0))) is None


def test_a_record_that_no_folder_takes_is_written_beside_it(tmp_path: Path) -> None:
    record, folder = records.result(records.cell("resnet18", "partial", 0)), tmp_path / "run"
    with pytest.raises(FolderError, match="was deleted or renamed") as told:
        write_record(folder, record)
    assert not folder.exists()
    assert str(tmp_path / "run-rest") in str(told.value)
    assert read_record(tmp_path / "run-rest", record.cell_id) == record


# ---- through the command line ---------------------------------------------------------------

MANY = SUITE.replace("weights =", "seeds = [0, 1, 2, 3, 4, 5]\nweights =")


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return command.place(tmp_path)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    return spoken_by(capsys)


@pytest.mark.slow
def test_an_edited_record_blocks_no_report_and_its_cell_runs_again(
    here: Place, bench: Bench
) -> None:
    suite, folder = here.suite(SUITE), here.folder / "out"
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    good, edited_one = command.records(folder)
    assert isinstance(edited_one, Result)
    before = edited_one.quality.val.top1
    edited(folder, edited_one.cell_id, put("quality", "val", "top1", value=before / 2 + 0.1234))
    done = bench("report", folder)
    assert done.code == 0, done.err
    told = f"the record of {edited_one.cell_id} is damaged and does not count: quality.val.top1"
    assert told in (folder / "report.md").read_text()
    again = quick(here, "run", suite, "--out", folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert f"the record of {edited_one.cell_id} was damaged: kept as" in again.stdout
    first, second = command.records(folder)
    assert first == good
    assert isinstance(second, Result)
    assert second.quality.val.top1 == before
    assert "damaged" not in (folder / "report.md").read_text()


def unsealed(path: Path, before: str, after: str) -> None:
    """Change a file as one who does not know that it has a checksum."""
    text = path.read_text("utf-8")
    assert text.count(before) >= 1
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_what_no_score_contradicts_is_found_by_the_checksum(tmp_path: Path) -> None:
    record = records.result(records.cell("resnet18", "partial", 0))
    write_record(tmp_path, record)
    path = cell_folder(tmp_path, record.cell_id) / "record.json"
    unsealed(path, '"num_train": ', '"num_train": 1')
    told = damaged_records(tmp_path, [record.cell_id])
    assert told == {record.cell_id: "it was edited"}
    assert read_record(tmp_path, record.cell_id) is None


@pytest.mark.parametrize("how", ["edited", "cut", "without a checksum"])
def test_a_damaged_run_json_is_refused_with_the_way_forward(tmp_path: Path, how: str) -> None:
    write_run(tmp_path, records.run(["resnet18"], ["partial"]))
    path = tmp_path / "run.json"
    assert read_run(tmp_path).wall_seconds >= 0
    if how == "cut":
        path.write_text(path.read_text("utf-8")[:-200], "utf-8")
    elif how == "edited":
        unsealed(path, '"wall_seconds": ', '"wall_seconds": 1')
    else:
        content = json.loads(path.read_text("utf-8"))
        del content[CHECKSUM]
        path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(Damaged, match="bench run with the same suite and --out builds it anew"):
        read_run(tmp_path)


@pytest.mark.slow
def test_a_damaged_run_json_is_built_anew_and_no_cell_runs_again(here: Place, bench: Bench) -> None:
    suite, folder = here.suite(SUITE), here.folder / "out"
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    before = {path: path.read_bytes() for path in folder.glob("cells/*/record.json")}
    unsealed(folder / "run.json", '"wall_seconds": ', '"wall_seconds": 1')
    refused = bench("report", folder)
    assert refused.code == 6
    assert "builds it anew from the records" in refused.err

    other = here.suite(SUITE.replace("epochs = 1", "epochs = 2"), "other")
    refused_run = quick(here, "run", other, "--out", folder)
    assert refused_run.returncode == 6
    assert "its records are of other cells" in refused_run.stderr

    again = quick(here, "run", suite, "--out", folder)
    assert (again.returncode, again.stderr) == (0, "")
    assert {path: path.read_bytes() for path in before} == before
    assert bench("report", folder).code == 0
    assert len(list(folder.glob("run.corrupt-*"))) == 1


@pytest.mark.slow
def test_a_record_that_went_missing_while_others_ran_is_no_success(here: Place) -> None:
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(MANY), "--out", folder) as process:
        command.wait_for(lambda: any((folder / "cells").glob("*/record.json")))
        next((folder / "cells").glob("*/record.json")).unlink()
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (3, ""), out
    assert "11 ok, 1 missing" in out


@pytest.mark.slow
def test_a_folder_that_is_renamed_while_cells_run_ends_the_run_and_is_not_made_anew(
    here: Place,
) -> None:
    suite, folder, moved = here.suite(MANY), here.folder / "out", here.folder / "moved"
    with command.running(here, "run", suite, "--out", folder) as process:
        command.wait_for(lambda: any((folder / "cells").glob("*/record.json")))
        folder.rename(moved)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 6, out
    assert "was deleted or renamed" in err
    assert not folder.exists()
    done = {path.parent.name for path in moved.glob("cells/*/record.json")}
    assert done
    again = quick(here, "run", suite, "--out", moved)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(command.records(moved)) == 12
