"""`bench ab` on checkouts that a test wrote: who runs when, with which code, and how it ends.

Their `python -m bench run` takes a run folder that lies ready, and notes that it was called.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.folder import write_record, write_run
from tests import command, records
from tests.analysis import sides
from tests.analysis.test_stability import SLOWER
from tests.analysis.test_stability import calibration as calibrated
from tests.command import ROOT
from tests.spoken import Bench, spoken_by

CODE = """
import json, os, pathlib, shutil, signal, sys, time
{extra}
import bench
place = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
with open("calls.jsonl", "a") as calls:
    told = [place.name, sys.argv[1:], bench.__file__, os.environ["BENCH_CACHE"]]
    calls.write(json.dumps(told) + "\\n")
ready = pathlib.Path("{ready}", place.name.partition("-")[2])
if ready.exists():
    shutil.copytree(ready, place)
print("the last words of", place.name)
sys.exit({code})
"""

WAITING = """
def stop(number, frame):
    open("stopped", "a").write("one signal\\n")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
if pathlib.Path("wait").exists() and sys.argv[-1].endswith("new-2"):
    open("waiting", "w")
    time.sleep(60)
"""


def checkout(place: Path, ready: str, extra: str = "", code: int = 0) -> Path:
    """Code that `bench ab` can run."""
    package = place / "bench"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    text = CODE.format(ready=ready, extra=extra, code=code)
    (package / "__main__.py").write_text(text, encoding="utf-8")
    return place


def runs(place: Path, first: int, change: sides.Change | None = None) -> None:
    """Three runs that lie ready; the change is laid on one cell."""
    for number in range(3):
        folder = place / str(number + 1)
        results = sides.measured(first + number, change, cells=[4])
        ids = tuple(record.cell_id for record in results)
        write_run(folder, sides.asked(first + number, cells=ids))
        for record in results:
            write_record(folder, record)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ab")
    (root / "x.toml").write_text("")
    runs(root / "plain", 0)
    runs(root / "same", 20)
    runs(root / "slower", 20, sides.slower(1.3))
    runs(root / "larger", 20, sides.with_cell(image_size=64))
    runs(root / "newer", 20)
    for path in (root / "newer").glob("*/run.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    checkout(root / "old", "plain")
    for ready in ("same", "slower", "larger", "newer"):
        checkout(root / f"new-{ready}", ready)
    checkout(root / "new-picky", "nowhere", code=2)
    checkout(root / "new-dead", "nowhere", code=1)
    return root


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    return spoken_by(capsys)


ASKED = ("--suite", "x.toml", "--pairs", "3", "--out", "out")


def calls(here: Path) -> list[Any]:
    """Name, arguments, file of the package and cache of each run, in order."""
    return [json.loads(line) for line in (here / "calls.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("new", "options", "code", "text"),
    [
        ("new-same", (), 0, "3 pairs of runs: no regression (19 passed)"),
        ("new-same", ("--all",), 0, "vit_b_16 · partial"),
        ("new-slower", (), 4, "vit_b_16 · feature_extraction"),
        ("new-slower", ("--fail-on", "failed"), 0, "worse (1 regressed, 18 passed)"),
        ("new-larger", (), 3, "image_size: 48 and 64"),
    ],
)
def test_how_it_ends(
    bench: Bench, here: Path, new: str, options: tuple[str, ...], code: int, text: str
) -> None:
    said = bench("ab", "old", new, *ASKED, *options)
    assert (said.code, said.err) == (code, "")
    assert text in said.out


def test_the_runs_take_turns_each_with_its_own_code_and_cache(bench: Bench, here: Path) -> None:
    bench("ab", "old", "new-same", *ASKED, "--device", "cpu", "--dataset", "d", "--offline")
    found = calls(here)
    names = ["old-1", "new-1", "new-2", "old-2", "old-3", "new-3"]
    assert [name for name, *_ in found] == names
    options = ["out/suite.toml", "--device", "cpu", "--dataset", "d", "--offline", "--out"]
    assert [arguments for _, arguments, *_ in found] == [
        ["run", *options, f"out/{name}"] for name in names
    ]
    for name, _, file, cache in found:
        side = name.partition("-")[0]
        assert Path(file).parts[-3:] == (side, "bench", "__init__.py")
        assert not Path(file).exists(), "the copy of the code is taken away"
        assert cache == str(here / "out" / "cache" / side)
    assert {path.name for path in (here / "out").iterdir()} - {".lock"} == {
        *names, *(f"{name}.log" for name in names), "ab.json", "suite.toml", "comparison.md",
        "comparison.json",
    }  # fmt: skip


def test_another_task_is_known_after_one_pair(bench: Bench, here: Path) -> None:
    bench("ab", "old", "new-larger", *ASKED)
    assert len(calls(here)) == 2


def test_a_later_run_of_another_task_ends_it(bench: Bench, here: Path) -> None:
    """As where somebody changes the images meanwhile."""
    shutil.rmtree(here / "same" / "3")
    shutil.copytree(here / "larger" / "3", here / "same" / "3")
    said = bench("ab", "old", "new-same", *ASKED)
    assert said.code == 3
    assert "new-3 trained something different from the earlier runs" in said.err


def test_the_suite_may_be_edited_meanwhile(bench: Bench, here: Path) -> None:
    (here / "x.toml").write_text("# as it was\n")
    assert bench("ab", "old", "new-same", *ASKED).code == 0
    for _, arguments, *_ in calls(here):
        assert (here / arguments[1]).read_text() == "# as it was\n"
        assert arguments[1] == "out/suite.toml"


@pytest.mark.parametrize("sides_", [("", "new-same"), ("old", "")])
def test_an_empty_name_is_no_checkout(bench: Bench, here: Path, sides_: tuple[str, str]) -> None:
    said = bench("ab", *sides_, *ASKED)
    assert said.code == 2
    assert "one is empty" in said.err


def test_locks_of_editors_are_no_part_of_the_code(bench: Bench, here: Path) -> None:
    (here / "old" / "bench" / ".#__main__.py").symlink_to("somebody@nowhere.1:2")
    assert bench("ab", "old", "new-same", *ASKED).code == 0


def test_a_finished_run_is_not_run_again_and_a_cut_one_is(bench: Bench, here: Path) -> None:
    bench("ab", "old", "new-same", *ASKED)
    before = (here / "out/comparison.json").read_text()
    (here / "calls.jsonl").unlink()
    run = here / "out/new-2/run.json"
    run.write_text(run.read_text().replace('"finished"', '"running"'))
    said = bench("ab", "old", "new-same", *ASKED)
    assert [name for name, *_ in calls(here)] == ["new-2"]
    assert said.out.count("done before") == 5
    assert (here / "out/comparison.json").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("old", "new-slower"), "the new code changed"),
        (("new-same", "new-same"), "the old code changed"),
        (("old", "new-same", "--device", "cpu"), "options changed"),
    ],
)
def test_a_folder_of_another_comparison_is_refused(
    bench: Bench, here: Path, arguments: tuple[str, ...], text: str
) -> None:
    bench("ab", "old", "new-same", *ASKED)
    tree = command.tree(here / "out")
    said = bench("ab", *arguments, *ASKED)
    assert (said.code, text in said.err) == (6, True), said.err
    assert command.tree(here / "out") == tree


def test_an_edited_suite_is_another_comparison(bench: Bench, here: Path) -> None:
    bench("ab", "old", "new-same", *ASKED)
    (here / "x.toml").write_text("# more")
    assert "the suite changed" in bench("ab", "old", "new-same", *ASKED).err


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("old", "nowhere"), 2, "nowhere: is neither a folder nor a revision"),
        (("old", "same"), 2, "same: holds no bench/__main__.py"),
        (("old", "--help-me"), 2, "--help-me"),
        (("old", "new-same", "--suite", "y.toml"), 2, "y.toml: is not there"),
        (("old", "new-same", "--fail-on", "slow"), 2, "--fail-on"),
        (("old", "new-same", "--out", "same"), 6, "same: holds other files"),
        (("old", "new-same", "--out", "x.toml"), 6, "x.toml"),
        (("old", "new-picky"), 2, "the last words of new-1"),
        (("old", "new-dead"), 3, "new-1, the code of new-dead, did not finish"),
        (("old", "new-newer"), 3, "newer bench (schema 99"),
    ],
)
def test_what_cannot_be_compared_is_said(
    bench: Bench, here: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    said = bench("ab", *ASKED, *arguments)
    assert said.code == code
    assert text in said.err
    assert "E-BUG" not in said.err


def test_a_path_that_python_does_not_follow_is_refused(
    bench: Bench, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(here / "hooks"))
    (here / "hooks").mkdir()
    hook = f"import sys; sys.path.insert(0, {str(here / 'old')!r})"
    (here / "hooks/usercustomize.py").write_text(hook)
    (here / "hooks/sitecustomize.py").write_text(hook)
    said = bench("ab", "old", "new-same", *ASKED)
    assert said.code == 2
    assert f"runs the code in {here / 'old' / 'bench'} instead" in said.err
    assert not (here / "calls.jsonl").exists()


def test_a_comparison_as_json_and_markdown(bench: Bench, here: Path) -> None:
    said = bench("ab", "old", "new-slower", *ASKED, "--format", "json")
    found = json.loads(said.out)
    assert said.code == 4
    assert "[1/6] old-1  18 of 18 cells ok" in said.err
    assert (found["outcomes"], found["pairs"]) == (["regressed"], 3)
    assert (found["pairs_judged"], found["pairs_unsteady"]) == ([1, 2, 3], {})
    (worse,) = (one for one in found["verdicts"] if one["verdict"] == "regressed")
    assert 0.25 < worse["change"] < 0.35
    assert (here / "out/comparison.json").read_text() == said.out
    text = bench("ab", "old", "new-slower", *ASKED, "--format", "markdown").out
    assert "| vit_b_16 · feature_extraction | train time | regressed |" in text
    assert (here / "out/comparison.md").read_text() == text


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--fail-on", "unstable"), 3)])
def test_an_unsteady_machine_is_told_and_fails_where_that_is_asked_for(
    bench: Bench, here: Path, options: tuple[str, ...], code: int
) -> None:
    start, end = (calibrated(**changed).model_dump() for changed in ({}, SLOWER))
    for path in (here / "same").glob("*/run.json"):
        records.edit(path, lambda run: run.update(sittings=[{"start": start, "end": end}]))
    said = bench("ab", "old", "new-same", *ASKED, *options)
    assert said.code == code
    assert re.search(r"\[2/6\] new-1  18 of 18 cells ok, \d+ s, unsteady, ", said.out)
    assert "3 pairs of runs, the machine not steady: no regression" in said.out


def test_hostile_names_of_sides_stay_text(bench: Bench, here: Path) -> None:
    hostile = here / "<b>[red]\u202e"
    (here / "new-same").rename(hostile)
    said = bench("ab", "old", hostile.name, *ASKED)
    assert said.code == 0
    assert "\u202e" not in said.out
    assert "<b>[red]" in said.out
    text = bench("ab", "old", hostile.name, *ASKED, "--format", "markdown").out
    assert "<b>" not in text.replace("\\<b>", "")


# ---- revisions ------------------------------------------------------------------------------


def git(here: Path, *arguments: str) -> str:
    named = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    done = subprocess.run(
        ["git", *named, *arguments], cwd=here, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_revisions_are_run_as_they_were_committed(bench: Bench, here: Path) -> None:
    git(here, "init", "--quiet")
    (here / "old/bench").rename(here / "bench")
    git(here, "add", "bench")
    git(here, "commit", "--quiet", "-m", "old")
    shutil.copy(here / "new-slower/bench/__main__.py", here / "bench")
    git(here, "commit", "--quiet", "-am", "new")
    (here / "bench/__main__.py").write_text("raise SystemExit(9)")  # not committed
    said = bench("ab", "HEAD~1", "HEAD", *ASKED)
    assert said.code == 4, said.err
    assert f"old: HEAD~1 ({git(here, 'rev-parse', 'HEAD~1')[:10]})" in said.out
    assert "19 passed" not in said.out
    assert git(here, "worktree", "list").count("\n") == 0
    (here / "empty").write_text("")
    git(here, "rm", "-r", "--cached", "--quiet", "bench")
    git(here, "commit", "--quiet", "-m", "without")
    assert "HEAD: holds no bench/__main__.py" in bench("ab", "HEAD~1", "HEAD", *ASKED).err


# ---- stopped --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_run_too_and_the_same_command_goes_on(
    here: Path, number: signal.Signals
) -> None:
    checkout(here / "slow", "same", WAITING)
    (here / "wait").write_text("")
    given = [sys.executable, "-B", "-m", "bench", "ab", "old", "slow", *ASKED]
    (here / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(here / "tmp")}

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            given, cwd=here, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    with start() as process:
        command.wait_for((here / "waiting").exists)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        out, err = process.communicate(timeout=50)
    assert process.returncode == 128 + number
    assert "the same command with --out out goes on" in err
    assert (here / "stopped").read_text() == "one signal\n"
    assert list((here / "tmp").iterdir()) == []
    (here / "wait").unlink()
    with start() as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.count("done before") == 2
    assert [name for name, *_ in calls(here)].count("old-1") == 1
