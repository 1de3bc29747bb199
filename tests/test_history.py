"""`bench history` on folders: what is said, the page, the index, and how mistakes end."""

import json
import shutil
from pathlib import Path

import pytest

from bench.analysis.snapshot import NAME
from bench.folder import write_record, write_run
from tests import records
from tests.analysis import sides
from tests.spoken import Bench, bench

__all__ = ["bench"]

HOSTILE = "<script>|[/red]\u202e=cmd()"
NUM_RUNS = 8


def write(path: Path, number: int, change: sides.Change | None = None, **run: object) -> None:
    """A run folder; the change is laid on the fifth cell."""
    write_run(path, sides.asked(number, **run))
    for record in sides.measured(number, change, cells=[4]):
        write_record(path, record)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight runs, the last four slower in one cell; one that is not finished."""
    root = tmp_path_factory.mktemp("runs")
    for number in range(NUM_RUNS):
        change = sides.slower(1.2) if number >= 4 else None
        write(root / "results" / "capstone" / f"r{number}", number, change)
    write_run(root / "results/capstone/open", sides.asked(20, status="running"))
    return root


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


CELL = "vit_b_16 · feature_extraction"


def test_a_change_is_said_first_and_a_page_written(bench: Bench, here: Path) -> None:
    said = bench("history", "capstone")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].startswith("capstone: 8 runs on 2026-11-01, one change of level: train time +")
    assert lines[1].startswith(f"- 2026-11-01  train time of {CELL} +")
    assert "medians of 4 and 4 runs: from r3 to r4: nothing recorded" in lines[1].replace(")", "")
    assert lines[4].startswith(CELL)
    assert "1 run left out, did not finish" in said.out
    assert lines[-1] == "page: results/capstone/history.html"
    page = (here / "results/capstone/history.html").read_text()
    assert CELL in page.replace("_<wbr>", "_")


def test_a_suite_file_names_its_suite(bench: Bench, here: Path) -> None:
    repository = Path(__file__).parent.parent
    assert bench("history", repository / "suites/capstone.toml").code == 0


@pytest.mark.parametrize("place", ["results", "results/capstone/r0/run.json"])
def test_a_page_takes_the_place_of_nothing_that_is_needed(
    bench: Bench, here: Path, place: str
) -> None:
    said = bench("history", "capstone", "--out", place)
    assert (said.code, said.err.count("--out: results")) == (2, 1)


def test_json_has_every_value_and_writes_no_page(bench: Bench, here: Path) -> None:
    said = bench("history", "capstone", "--json")
    found = json.loads(said.out)
    assert [run["name"] for run in found["runs"]] == [f"r{n}" for n in range(NUM_RUNS)]
    cell = found["cells"][0]
    assert f"{cell['architecture']} · {cell['strategy']}" == CELL
    series = {one["metric"]: one for one in cell["series"]}
    (change,) = series["train_seconds"]["changes"]
    assert (change["before"], change["run"]) == (3, 4)
    assert [one["value"] for one in series["accuracy"]["values"]] == pytest.approx([0.933] * 8)
    assert found["unfinished"] == 1
    assert not (here / "results/capstone/history.html").exists()
    assert bench("history", "capstone", "--json", "--out", "x/h.html").code == 0
    assert (here / "x/h.html").read_text().startswith("<!doctype html>")


# ---- the index ------------------------------------------------------------------------------


def test_a_run_is_read_once_and_a_damaged_table_again(bench: Bench, here: Path) -> None:
    before = bench("history", "capstone").out
    tables = sorted(here.glob(f"results/capstone/*/{NAME}"))
    assert len(tables) == NUM_RUNS
    written = {path: path.stat().st_mtime_ns for path in tables}
    tables[0].write_text(tables[0].read_text()[:500])
    tables[1].unlink()
    assert bench("history", "capstone").out == before
    assert {path for path in tables if path.stat().st_mtime_ns != written[path]} == {*tables[:2]}


def test_comparisons_and_histories_share_what_was_read(bench: Bench, here: Path) -> None:
    write(here / "candidate", 30, sides.slower(1.5))
    write(here / "baseline", 29)
    before = {path for path in here.rglob("*") if path.is_file()}
    assert bench("compare", "baseline", "candidate").code == 4
    after = {path for path in here.rglob("*") if path.is_file()}
    assert {path.name for path in after - before} == {NAME}
    assert bench("history", "capstone").out.count(CELL) >= 2
    assert {path for path in here.rglob("*") if path.is_file()} - after == {
        here / "results/capstone/history.html"
    }


def test_a_damaged_copy_hides_no_intact_run(bench: Bench, here: Path) -> None:
    runs = here / "results/capstone"
    shutil.copytree(runs / "r6", runs / "r0-copy")  # which is read before it
    path = next(runs.glob("r0-copy/cells/*/record.json"))
    path.write_text(path.read_text().replace('"top1": 0.93', '"top1": 0.99'))
    said = bench("history", "capstone")
    assert "8 runs" in said.out.splitlines()[0]
    assert "1 folder left out, the same run as another" in said.out
    assert "damaged" not in said.out
    shutil.rmtree(runs / "r6")
    said = bench("history", "capstone")
    assert "8 runs" in said.out.splitlines()[0]
    assert f"the record of {path.parent.name} is damaged and does not count" in said.out


def test_a_run_whose_run_json_has_changed_is_read_again(bench: Bench, here: Path) -> None:
    bench("history", "capstone")
    shutil.rmtree(here / "results/capstone/r7")
    write(here / "results/capstone/r7", 7, sides.broken("diverged"), wall_seconds=1.0)
    assert "not ok in the newest run" in bench("history", "capstone").out


def test_runs_that_are_gone_leave_the_history(bench: Bench, here: Path) -> None:
    bench("history", "capstone")
    shutil.rmtree(here / "results/capstone/r0")
    assert bench("history", "capstone").out.startswith("capstone: 7 runs")


def test_a_record_that_was_edited_is_seen(bench: Bench, here: Path) -> None:
    bench("history", "capstone")
    edited = next((here / "results/capstone/r2/cells").glob("*/record.json"))
    edited.write_text(edited.read_text().replace('"top1": 0.93', '"top1": 0.99'))
    said = bench("history", "capstone").out
    assert f"the record of {edited.parent.name} is damaged and does not count" in said


def test_a_copy_of_a_run_counts_once_and_is_said(bench: Bench, here: Path) -> None:
    shutil.copytree(here / "results/capstone/r0", here / "results/capstone/a")
    said = bench("history", "capstone")
    assert said.out.startswith("capstone: 8 runs")
    assert "1 folder left out, the same run as another" in said.out


# ---- mistakes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("capston",), 2, 'did you mean "capstone"?'),
        (("other",), 2, 'accepted are "capstone"'),
        (("capstone", "--history", "nowhere"), 2, "nowhere: is not a folder"),
        (("capstone", "--history", "empty"), 2, "empty: holds no runs"),
        (("nowhere.toml",), 2, "no such file"),
        (("capstone", "--out", "file/x.html"), 6, "file"),
    ],
)
def test_mistakes_are_said(
    bench: Bench, here: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    (here / "empty").mkdir()
    (here / "file").write_text("")
    (here / "results/capstone/r0/run.json").write_text("{")  # is not to blame
    said = bench("history", *arguments)
    assert said.code == code
    assert text in said.err
    assert "E-BUG" not in said.err


def test_runs_that_cannot_be_read_are_named_with_the_reason(bench: Bench, here: Path) -> None:
    (here / "results/capstone/r0/run.json").write_text("{")
    newer = here / "results/capstone/r1/run.json"
    newer.write_text(json.dumps({**json.loads(newer.read_text()), "schema_version": 99}))
    edited = next((here / "results/capstone/r2/cells").glob("*/record.json"))
    records.edit(edited, lambda record: record["quality"]["test"].update(top1=0.99))
    said = bench("history", "capstone")
    assert said.code == 0
    assert said.out.startswith("capstone: 6 runs")
    assert "2 runs left out, could not be read: " in said.out
    for reason in ("r0/run.json: is not JSON", "newer bench", "its predictions give"):
        assert reason in said.out
    assert bench("history", "capstone", "--history", here / "results").code == 0
    assert str(here) not in (here / "results/capstone/history.html").read_text()


def test_where_no_run_can_be_read_nothing_is_shown(bench: Bench, here: Path) -> None:
    for path in here.glob("results/capstone/r*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    said = bench("history", "capstone")
    assert said.code == 6
    assert "no run of capstone has finished (1 began): " in said.err
    assert "newer bench" in said.err


def test_where_no_run_has_finished_nothing_is_shown(bench: Bench, here: Path) -> None:
    for number in range(NUM_RUNS):
        shutil.rmtree(here / f"results/capstone/r{number}")
    said = bench("history", "capstone")
    assert (said.code, "no run of capstone has finished (1 began)" in said.err) == (2, True)


def test_damaged_records_are_missing_seeds(bench: Bench, here: Path) -> None:
    for path in (here / "results/capstone/r7/cells").glob("*partial-s1*/record.json"):
        path.write_text("{")
    assert "(seed 1 missing)" in bench("history", "capstone").out


def test_one_run_is_said_to_be_no_history(bench: Bench, here: Path) -> None:
    for number in range(1, NUM_RUNS):
        shutil.rmtree(here / f"results/capstone/r{number}")
    said = bench("history", "capstone")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("capstone has one finished run: there is no history yet.")
    page = (here / "results/capstone/history.html").read_text()
    assert "with nothing before it, nothing can have changed" in page
    assert "<figure" not in page


def test_hostile_names_stay_text(bench: Bench, tmp_path: Path) -> None:
    for number in range(3):
        asked = records.run([HOSTILE], [HOSTILE])
        run = asked.model_copy(
            update={"suite_name": HOSTILE, "started_at": f"<b>{number}", "finished_at": "\u202e"}
        )
        path = tmp_path / "results" / f"[red]<b>{number}"
        write_run(path, run)
        write_record(path, records.failure(records.cell(HOSTILE, HOSTILE, 0), reason=HOSTILE))
    said = bench("history", HOSTILE)
    assert (said.code, said.err) == (0, "")
    assert "[/red]" in said.out
    page = next((tmp_path / "results").glob("*/history.html")).read_text()
    for text in (said.out, page):
        assert "\u202e" not in text
    assert "<script" not in page
    assert "<b>" not in page
    assert bench("history", "x", "--history", "results").code == 2
