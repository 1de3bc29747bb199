"""`bench report` from run folders alone: one run or several, whatever their names and states."""

import base64
import csv
import io
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import cli, identity
from bench.folder import read_run, write_record, write_run, write_thumbnails
from bench.record import Failure, Result, Run
from bench.verbs import options
from tests import records
from tests.records import cell, failure, result, run
from tests.spoken import Bench, spoken_by

ROWS = ["resnet18", "vit_b_16"], ["partial", "two_phase"]
HOSTILE = (
    *("<script>alert(1)</script>", "[/red]", "$x^$", "a|b", "two\nlines", "=cmd()"),
    *("\u202eevil\u2066", "שלום", "猫", "`x` *y*", "50%_&#~{}\\"),
)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command line in this process."""
    return spoken_by(capsys)


def folder_of(path: Path, asked: Run, found: Sequence[Result | Failure]) -> Path:
    """A run folder as a run leaves it, without anything derived."""
    write_run(path, asked)
    for record in found:
        write_record(path, record)
    return path


def finished(path: Path, seeds: Sequence[int] = (0,), **changes: object) -> Path:
    """The folder of a finished run."""
    asked = run(*ROWS, seeds=seeds, **changes)  # type: ignore[arg-type]
    return folder_of(path, asked, records.drawn(asked, ROWS[1]))


def tree(path: Path) -> dict[str, bytes]:
    """Every file of a folder but the lock."""
    files = (one for one in path.rglob("*") if one.is_file() and one.name != ".lock")
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in files}


# ---- one run --------------------------------------------------------------------------------


def test_a_report_needs_no_torch_and_only_the_records(tmp_path: Path) -> None:
    for name in ("torch", "torchvision", "timm"):
        (tmp_path / "poison" / name).mkdir(parents=True)
        (tmp_path / "poison" / name / "__init__.py").write_text("raise SystemExit('poisoned')")
    paths = [str(tmp_path / "poison"), str(Path(cli.__file__).parent.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    folder = finished(tmp_path / "run", seeds=[0, 1])
    arguments = [sys.executable, "-m", "bench", "report", str(folder)]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == [
        f"report: {folder}/report.html",
        f"  {folder}/report.md",
    ]
    assert {path.name for path in folder.iterdir()} == {
        *(".lock", "run.json", "cells", "report.html", "report.md", "results.csv"),
        *("tables", "plots"),
    }
    alone = subprocess.run(
        [sys.executable, "-c", "import torch"], env=environment, capture_output=True, text=True
    )
    assert "poisoned" in alone.stderr  # else this test could not fail


def test_the_same_records_give_the_same_files_again(tmp_path: Path, bench: Bench) -> None:
    folder = finished(tmp_path / "run")
    bench("report", folder)
    before = tree(folder)
    (folder / "tables" / "main.md").unlink()
    assert bench("report", folder).code == 0
    assert tree(folder) == before


def test_budgets_are_answered_on_the_terminal_and_in_every_document(
    tmp_path: Path, bench: Bench
) -> None:
    folder = finished(tmp_path / "run")
    limits = ("--max-seconds", "5min", "--max-memory", "800MiB", "--max-params", "12M")
    said = bench("report", folder, *limits, "--max-latency", "20ms", "--within", "1")
    begins = (
        "With at most 300 s of training, 800 MiB of memory, 12 M parameters and 20 ms of latency, "
        "the best on val is ",
        "Within 1 point of the best val, ",
    )
    texts = [(folder / name).read_text("utf-8") for name in ("report.md", "report.html")]
    for begin in begins:
        assert any(line.startswith(begin) for line in said.out.splitlines())
        for text in texts:
            assert begin in text.replace("\N{NO-BREAK SPACE}", " ")
    assert bench("report", folder).code == 0
    assert "With at most" not in (folder / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-seconds", "soon"),
        ("--max-seconds", "-1"),
        ("--max-memory", "0"),
        ("--max-memory", "2 parsec"),
        ("--max-latency", "20"),
        ("--within", "nan"),
    ],
)
def test_an_amount_that_is_none_is_refused_with_an_example(
    tmp_path: Path, bench: Bench, option: str, value: str
) -> None:
    folder = finished(tmp_path / "run")
    before = tree(folder)
    said = bench("report", folder, option, value)
    assert said.code == 2
    assert option in said.err
    assert "such as" in said.err
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("asked", "found", "text"),
    [
        (["a"], [failure(cell("a", "partial", 0))], "no winner: no architecture"),
        (["a"], [], "no winner: no architecture"),
        (["a"], [result(cell("a", "partial", 0))], "nly a · partial has every seed ok"),
        (
            ["a", "b"],
            [result(cell("a", "partial", 0)), failure(cell("b", "partial", 0))],
            "nly a · partial has every seed ok",
        ),
        (
            ["a", "b", "c"],
            [result(cell(name, "partial", 0)) for name in "abc"],
            "no single winner: 400 val images cannot tell 3 of 3 apart",
        ),
    ],
)
def test_every_state_of_a_run_has_a_report(
    tmp_path: Path,
    bench: Bench,
    asked: list[str],
    found: list[Result | Failure],
    text: str,
) -> None:
    folder = folder_of(tmp_path / "run", run(asked, ["partial"]), found)
    said = bench("report", folder, "--max-seconds", "60", "--within", "1")
    assert (said.code, said.err) == (0, "")
    assert text in said.out
    for name in ("report.md", "report.html"):
        assert text in (folder / name).read_text("utf-8").replace("<bdi>", "").replace("</bdi>", "")


@pytest.mark.parametrize(
    ("units", "text", "value"),
    [
        (options.SECONDS, "60", 60),
        (options.SECONDS, "1.5 h", 5400),
        (options.BYTES, "2GiB", 2 * 2**30),
        (options.BYTES, "2", 2 * 2**30),
        (options.BYTES, "800mib", 800 * 2**20),
        (options.BYTES, "1GB", 10**9),
        (options.COUNT, "12M", 12e6),
        (options.COUNT, "1,500,000", 1.5e6),
        (options.COUNT, "2e6", 2e6),
        (options.LATENCY, "20ms", 0.02),
        (options.LATENCY, ".5 s", 0.5),
        (options.POINTS, "1", 0.01),
        (options.POINTS, "0.5%", 0.005),
    ],
)
def test_amounts_are_read_as_people_write_them(
    units: dict[str, float], text: str, value: float
) -> None:
    assert options.amount(units, "")(text) == pytest.approx(value)


# ---- folders that are not what they should be ------------------------------------------------


def test_records_of_another_run_are_refused_by_name(tmp_path: Path, bench: Bench) -> None:
    folder = finished(tmp_path / "run")
    stranger = result(cell("resnet50", "partial", 0))
    write_record(folder, stranger)
    before = tree(folder)
    said = bench("report", folder)
    assert said.code == 6
    assert f"1 record belongs to no cell of this run, such as {stranger.cell_id}" in said.err
    assert tree(folder) == before


def test_records_of_two_tasks_in_one_folder_are_refused_by_the_field(
    tmp_path: Path, bench: Bench
) -> None:
    asked = run(["a", "b"], ["partial"])
    other = cell("b", "partial", 0)
    other = other.model_copy(
        update={"data": other.data.model_copy(update={"split_sha256": "e" * 64})}
    )
    ids = (asked.cells[0], identity.cell_id(other))
    folder = folder_of(
        tmp_path / "run",
        asked.model_copy(update={"cells": ids}),
        [result(cell("a", "partial", 0)), result(other)],
    )
    said = bench("report", folder)
    assert said.code == 6
    assert "data.split_sha256" in said.err
    assert "Traceback" not in said.err
    assert not (folder / "report.md").exists()


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("column", ["labels", "classes", "confidences"])
def test_damaged_predictions_are_told_by_cell_part_and_column_and_do_not_count(
    tmp_path: Path, bench: Bench, part: str, column: str
) -> None:
    folder = finished(tmp_path / "run")
    cell_id = read_run(folder).cells[1]

    def damage(record: dict[str, Any]) -> None:
        packed = record["quality"][part]["predictions"]
        packed[column] = packed[column][:-12] + "AAAAAAAAAAA="

    records.edit(folder / "cells" / cell_id / "record.json", damage)
    said = bench("report", folder)
    assert said.code == 0, said.err
    told = f"{cell_id} is damaged and does not count: quality.{part}.predictions.{column}"
    assert told in (folder / "report.md").read_text()


def test_a_folder_without_a_run_is_refused_and_not_made(tmp_path: Path, bench: Bench) -> None:
    said = bench("report", tmp_path / "nowhere")
    assert said.code == 6
    assert "holds no run" in said.err
    assert not (tmp_path / "nowhere").exists()


# ---- several runs ---------------------------------------------------------------------------


def test_runs_with_other_seeds_become_one_report(tmp_path: Path, bench: Bench) -> None:
    parts = [finished(tmp_path / "x" / "one", [0, 1]), finished(tmp_path / "y" / "two", [2])]
    before = [tree(part) for part in parts]
    said = bench("report", *parts, "--out", tmp_path / "both")
    assert (said.code, said.err) == (0, "")
    assert [tree(part) for part in parts] == before
    assert not (tmp_path / "both" / "run.json").exists()
    text = (tmp_path / "both" / "report.md").read_text("utf-8")
    assert (
        "This report merges 2 runs of one task: one (seeds 0, 1; AMD EPYC, 2 cores); "
        "two (seed 2; AMD EPYC, 2 cores)." in text.split("\n## ")[0]
    )
    assert text.count(" over 3 seeds") >= 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / "both" / "results.csv").read_text("utf-8"))))
    assert sorted(row["cell.seed"] for row in rows) == sorted("012" * 4)
    assert not (tmp_path / "both" / "tables" / "repeated.csv").exists()
    assert str(tmp_path) not in text
    again = bench("report", *parts, "--out", tmp_path / "both")
    assert again.code == 0


def test_the_same_cells_on_two_machines_are_listed(tmp_path: Path, bench: Bench) -> None:
    parts = [finished(tmp_path / "cpu"), finished(tmp_path / "gpu", machine=records.GPU)]
    assert bench("report", *parts, "--out", tmp_path / "both").code == 0
    repeated = (tmp_path / "both" / "tables" / "repeated.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(repeated)))
    assert len(rows) == 4
    assert {(row["counts"], row["left_out"]) for row in rows} == {("cpu", "gpu")}
    for name in ("report.md", "report.html"):
        text = (tmp_path / "both" / name).read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
        assert "4 cells are in more than one run" in text


def test_thumbnails_of_all_runs_are_in_the_page(tmp_path: Path, bench: Bench) -> None:
    parts = [finished(tmp_path / "one"), finished(tmp_path / "two", [1])]
    pictures = [b"a picture of one", b"a picture of two"]
    for part, picture in zip(parts, pictures, strict=True):
        write_thumbnails(part, dict.fromkeys(range(1000), picture))
    for order in (1, -1):
        assert bench("report", *parts[::order], "--out", tmp_path / "both").code == 0
        text = (tmp_path / "both" / "report.html").read_text("utf-8")
        shown = [base64.b64encode(picture).decode() in text for picture in pictures]
        assert shown == [order == 1, order == -1]  # of the same image, the first named run's


def test_runs_of_different_tasks_are_refused_by_field_and_nothing_is_written(
    tmp_path: Path, bench: Bench
) -> None:
    parts = [
        finished(tmp_path / "one"),
        finished(tmp_path / "two", [1], metric="balanced_accuracy"),
    ]
    said = bench("report", *parts, "--out", tmp_path / "both")
    assert said.code == 2
    lines = said.err.splitlines()
    assert lines[0] == "error[E-INPUT] nothing was reported"
    assert lines[1].strip() == "one and two are not runs of one task:"
    assert "suite.metric: top1 and balanced_accuracy" in lines[2]
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["one", "two"], 2, "name it with --out"),
        (["one", "one", "--out", "both"], 2, "one and one are the same run"),
        (["one", "two", "--out", "one"], 6, "holds a run"),
        (["one", "two", "--out", "mine"], 6, "holds other files (notes.txt"),
        (["one", "nowhere", "--out", "both"], 6, "nowhere: holds no run"),
    ],
)
def test_a_mistaken_command_writes_nothing(
    tmp_path: Path,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    text: str,
) -> None:
    finished(tmp_path / "one")
    finished(tmp_path / "two", [1])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    said = bench("report", *arguments)
    assert said.code == code
    assert text in said.err
    assert tree(tmp_path) == before


# ---- names ----------------------------------------------------------------------------------


def hostile(path: Path) -> Path:
    """A run whose architectures, strategy, suite, data and classes have hostile names."""
    names = [*HOSTILE, "plain"]
    asked = run(names, ["=s|1"])
    classes = tuple([*HOSTILE, *(f"class {i}" for i in range(10))][:10])
    named = asked.data.model_copy(update={"name": HOSTILE[0], "classes": classes})
    found = records.drawn(asked, ["=s|1"])
    lost = failure(found[3].cell, reason="\x1b[2J[red]x[/red]")
    asked = asked.model_copy(update={"suite_name": HOSTILE[1], "data": named})
    return folder_of(path, asked, [*found[:3], lost, *found[4:]])


def test_hostile_names_are_shown_as_they_are_and_nothing_else_is_said(
    tmp_path: Path, bench: Bench
) -> None:
    folder = hostile(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = bench("report", folder, "--within", "50")
    assert (said.code, said.err) == (0, "")
    assert not set(said.out) & {"\x1b", "\u202e", "\u2066"}
    markdown = (folder / "report.md").read_text("utf-8")
    assert not set(markdown) & {"\x1b", "\u202e", "\u2066"}
    assert re.search(r"(?<!\\)<(script|img|b)", markdown) is None
    for name in ("שלום", "猫", "evil", r"a\|b", r"\$x^\$", r"\[/red\]", "two lines"):
        assert name in markdown
    for path in (folder / "tables").glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text("utf-8"))):
            assert not any(value.startswith(("=", "@")) for value in row), path.name
    labels = {
        row["cell.architecture_label"]
        for row in csv.DictReader(io.StringIO((folder / "results.csv").read_text("utf-8")))
    }
    assert labels == {"'=cmd()" if name == "=cmd()" else name for name in (*HOSTILE, "plain")}


def test_hostile_names_make_no_markup_in_plots(tmp_path: Path, bench: Bench) -> None:
    folder = hostile(tmp_path / "run")
    bench("report", folder)
    for path in (folder / "plots").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not tags & {"script", "foreignObject", "image", "a"}, path.name
        assert (path.with_suffix(".png")).read_bytes().startswith(b"\x89PNG")
