"""A run folder's derived files: all there, all from the records, and again the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import derived
from tests import records
from tests.records import cell, failure, result, run

EXPECTED = [
    "plots/accuracy-vs-memory.png",
    "plots/accuracy-vs-memory.svg",
    "plots/accuracy-vs-train-time.png",
    "plots/accuracy-vs-train-time.svg",
    "plots/accuracy.png",
    "plots/accuracy.svg",
    "plots/learning-curves.png",
    "plots/learning-curves.svg",
    "report.md",
    "results.csv",
    *(
        f"tables/{stem}.{suffix}"
        for stem in ("architectures", "main", "test-scores", "val-scores")
        for suffix in ("csv", "md", "tex")
    ),
]


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its relative path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_every_derived_file_is_written_named_and_written_again_the_same(tmp_path: Path) -> None:
    asked = run(["resnet18", "vit_b_16"], ["partial", "two_phase"], seeds=[0, 1])
    found = records.drawn(asked, ["partial", "two_phase"])
    paths = derived.write(tmp_path / "one", asked, found)
    assert sorted(path.relative_to(tmp_path / "one").as_posix() for path in paths) == EXPECTED
    derived.write(tmp_path / "two", asked, found[::-1])
    first = files(tmp_path / "one")
    assert sorted(first) == EXPECTED
    assert first == files(tmp_path / "two")
    assert all(first.values())
    embedded = re.findall(r"\]\((plots/.*?)\)", first["report.md"].decode())
    assert len(embedded) == 4
    assert set(embedded) <= first.keys()


def test_a_plot_of_an_earlier_state_does_not_outlive_its_cells(tmp_path: Path) -> None:
    asked = run(["a"], ["partial"])
    derived.write(tmp_path, asked, [result(cell("a", "partial", 0))])
    (tmp_path / "plots" / "mine.png").write_bytes(b"kept")
    derived.write(tmp_path, asked, [failure(cell("a", "partial", 0))])
    assert [name for name in files(tmp_path) if name.startswith("plots/")] == ["plots/mine.png"]
    assert "No winner" in (tmp_path / "report.md").read_text("utf-8")


def test_records_of_another_run_change_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cell of this run"):
        derived.write(tmp_path, run(["a"], ["partial"]), [result(cell("b", "partial", 0))])
    assert files(tmp_path) == {}


def test_reports_never_import_torch() -> None:
    code = (
        "import sys; import bench.report.derived; "
        "print([name for name in ('torch', 'torchvision', 'matplotlib.pyplot') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
