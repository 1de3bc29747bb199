"""A run folder of somebody else: nothing outside it is read or written, and nothing is endless."""

import csv
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.analysis.snapshot import keep, past, stamp_of
from bench.analysis.table import read
from bench.errors import FolderError
from bench.folder import (
    MOST_BYTES,
    cell_folder,
    damaged_records,
    read_inside,
    read_run,
    read_thumbnails,
    write_record,
    write_run,
    write_thumbnails,
)
from bench.report import writer
from bench.verbs.runs import gather
from tests import command, records
from tests.command import SUITE, quick

CELL = records.cell("resnet18", "partial", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one cell."""
    made = tmp_path / "run"
    write_run(made, records.run(["resnet18"], ["partial"]))
    write_record(made, records.result(CELL))
    return made


def linked(path: Path, target: Path) -> None:
    """Move what is there to the target, and put a link in its place."""
    path.rename(target)
    path.symlink_to(target)


def test_a_folder_may_itself_be_reached_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert read(tmp_path / "link").cells.equals(read(folder).cells)


@pytest.mark.parametrize("name", ["run.json", "cells"])
def test_what_lies_behind_a_link_is_not_read(folder: Path, tmp_path: Path, name: str) -> None:
    linked(folder / name, tmp_path / "elsewhere")
    if name == "run.json":
        with pytest.raises(
            FolderError, match=r"run\.json: cannot be read: is or lies behind a link"
        ):
            read_run(folder)
    else:
        assert [*read(folder).cells["status"]] == ["missing"]


def test_a_linked_record_is_damaged(folder: Path, tmp_path: Path) -> None:
    path = cell_folder(folder, records.result(CELL).cell_id) / "record.json"
    linked(path, tmp_path / "elsewhere")
    assert [*damaged_records(folder, [path.parent.name])] == [path.parent.name]


def test_a_linked_thumbnail_and_an_endless_one_are_left_out(folder: Path, tmp_path: Path) -> None:
    write_thumbnails(folder, {1: b"one", 2: b"two", 3: b"three"})
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "thumbnails/test-000002.jpg").unlink()
    (folder / "thumbnails/test-000002.jpg").symlink_to(tmp_path / "secret")
    (folder / "thumbnails/test-000003.jpg").unlink()
    os.mkfifo(folder / "thumbnails/test-000003.jpg")
    assert read_thumbnails(folder) == {1: b"one"}


@pytest.mark.parametrize("name", ["run.json", "cells/CELL/record.json", "table.json"])
def test_a_pipe_keeps_nobody_waiting(folder: Path, name: str) -> None:
    path = folder / name.replace("CELL", records.result(CELL).cell_id)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    reading = (
        "from pathlib import Path; from bench.analysis.snapshot import past;"
        f"past(Path({str(folder)!r}))"
    )
    code = [sys.executable, "-c", reading]
    done = subprocess.run(code, timeout=60, capture_output=True, text=True, check=False)
    assert ("is no regular file" in done.stderr) == (name == "run.json")


def test_a_file_that_would_fill_the_memory_is_not_read(folder: Path) -> None:
    with (folder / "run.json").open("r+b") as file:
        file.truncate(MOST_BYTES + 1)  # a hole: it takes no room
    with pytest.raises(OSError, match=r"holds more than 1,024 MiB"):
        read_inside(folder, "run.json")
    with pytest.raises(FolderError, match="holds more than"):
        read_run(folder)


def test_a_kept_table_behind_a_link_is_made_anew(folder: Path, tmp_path: Path) -> None:
    keep(folder, read(folder), stamp_of(folder))
    linked(folder / "table.json", tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    assert past(folder).columns["status"] == ["ok"]
    assert not (folder / "table.json").is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == before


@pytest.mark.parametrize("name", ["plots", "tables"])
def test_a_report_is_not_written_through_a_link(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderError, match=f"{name}: is a link to another folder; remove it"):
        writer.write(folder, gather([folder]))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [("022", 0o644), ("077", 0o600), ("002", 0o664)])
def test_files_have_the_rights_that_the_user_wants(tmp_path: Path, umask: str, mode: int) -> None:
    code = (
        "from pathlib import Path; from bench.folder import write_text; write_text(Path('f'), '')"
    )
    command_line = f'umask {umask}; exec "{sys.executable}" -c "{code}"'
    place = {**os.environ, "PYTHONPATH": str(command.ROOT)}
    subprocess.run(["sh", "-c", command_line], cwd=tmp_path, env=place, check=True)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


@pytest.mark.slow
def test_a_class_that_a_spreadsheet_would_run_is_no_formula_in_any_table(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    (here.folder / "pictures/cat").rename(here.folder / "pictures/=1+1")
    done = quick(here, "run", here.suite(SUITE), "--out", "out")
    assert done.returncode == 0, done.stderr
    rows = list(csv.reader((here.folder / "out/split.csv").read_text().splitlines()))
    assert {row[1] for row in rows[1:]} == {"'=1+1", "dog"}
    assert {row[0].rpartition("/")[0] for row in rows[1:]} == {"./=1+1", "dog"}
    for path in (here.folder / "out").rglob("*.csv"):
        for row in csv.reader(path.read_text().splitlines()):
            assert not any(value.startswith(("=", "+", "@", "\t")) for value in row), path
