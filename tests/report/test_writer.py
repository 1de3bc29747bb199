"""A run folder's derived files: all there, all from the records, and again the same."""

import base64
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.analysis.choice import Budget
from bench.record import Failure, Result, Run
from bench.report import writer
from bench.report.facts import Limits
from bench.report.figures import FIGURES
from tests import records
from tests.records import cell, failure, result, run
from tests.report.reading import report_of

EXPECTED = [
    *sorted(f"plots/{one.id}.{suffix}" for one in FIGURES for suffix in ("png", "svg")),
    "report.html",
    "report.md",
    "results.csv",
    *(
        f"tables/{stem}.{suffix}"
        for stem in (
            *("architectures", "classes", "comparisons", "front", "main"),
            *("test-scores", "val-scores"),
        )
        for suffix in ("csv", "md", "tex")
    ),
]


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its relative path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def write(folder: Path, asked: Run, found: Sequence[Result | Failure]) -> list[Path]:
    """The derived files of a run."""
    return writer.write(folder, report_of(asked, found))


@pytest.mark.slow
def test_every_derived_file_is_written_named_and_written_again_the_same(tmp_path: Path) -> None:
    asked = run(["resnet18", "vit_b_16"], ["partial", "two_phase"], seeds=[0, 1])
    found = records.drawn(asked, ["partial", "two_phase"])
    paths = write(tmp_path / "one", asked, found)
    assert sorted(path.relative_to(tmp_path / "one").as_posix() for path in paths) == EXPECTED
    write(tmp_path / "two", asked, found[::-1])
    first = files(tmp_path / "one")
    assert sorted(first) == EXPECTED
    assert first == files(tmp_path / "two")
    assert all(first.values())
    embedded = re.findall(r"\]\((plots/.*?)\)", first["report.md"].decode())
    assert len(embedded) == len(FIGURES)
    assert set(embedded) <= first.keys()


@pytest.mark.slow
def test_a_plot_of_an_earlier_state_does_not_outlive_its_cells(tmp_path: Path) -> None:
    asked = run(["a"], ["partial"])
    write(tmp_path, asked, [result(cell("a", "partial", 0))])
    (tmp_path / "plots" / "mine.png").write_bytes(b"kept")
    write(tmp_path, asked, [failure(cell("a", "partial", 0))])
    assert [name for name in files(tmp_path) if name.startswith("plots/")] == ["plots/mine.png"]
    assert "no winner" in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.slow
def test_tables_without_a_row_are_not_written_and_do_not_stay(tmp_path: Path) -> None:
    asked = run(["a", "b"], ["partial"])
    both = [result(cell(name, "partial", 0)) for name in ("a", "b")]
    write(tmp_path, asked, both)
    assert (tmp_path / "tables" / "comparisons.csv").exists()
    write(tmp_path, asked, both[:1])
    left = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"comparisons", "repeated"}.isdisjoint(left)
    assert {"main", "front", "classes"} <= left


@pytest.mark.slow
def test_the_page_shows_thumbnails_answers_and_notes(tmp_path: Path) -> None:
    asked = run(["a"], ["partial"])
    found = [result(cell("a", "partial", 0))]
    report = report_of(
        *(asked, found),
        limits=Limits(Budget(max_seconds=5.0)),
        notes=["This report merges two runs"],
        thumbnails=dict.fromkeys(range(1000), b"jpeg of it"),
    )
    writer.write(tmp_path, report)
    texts = [(tmp_path / f"report.{form}").read_text("utf-8") for form in ("md", "html")]
    for text in (text.replace("\N{NO-BREAK SPACE}", " ") for text in texts):
        assert "With at most 5 s of training, no complete row fits" in text
        assert "This report merges two runs" in text
    assert base64.b64encode(b"jpeg of it").decode() in texts[1]


def test_reports_never_import_torch() -> None:
    code = (
        "import sys; import bench.report.writer; "
        "print([name for name in ('torch', 'torchvision', 'matplotlib.pyplot') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
