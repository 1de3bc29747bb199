"""The command line: exit codes, what is said, and what is written."""

import csv
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from bench.cli import at_home, crash
from tests import command
from tests.command import SUITE, Place, bench, quick

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return command.place(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def finished(here: Place) -> subprocess.CompletedProcess[str]:
    return bench(here, "run", here.suite(SUITE), "--out", "done")


@pytest.fixture
def done(
    here: Place, finished: subprocess.CompletedProcess[str], request: pytest.FixtureRequest
) -> Path:
    """A copy of the finished run."""
    assert finished.returncode == 0, finished.stderr
    copy = here.folder / str(request.node.name)
    shutil.copytree(here.folder / "done", copy)
    return copy


# ---- a run ----------------------------------------------------------------------------------


def test_a_run_leaves_records_report_tables_and_plots(
    here: Place, finished: subprocess.CompletedProcess[str]
) -> None:
    assert (finished.returncode, finished.stderr) == (0, "")
    folder = here.folder / "done"
    assert [record.status for record in command.records(folder)] == ["ok", "ok"]
    assert command.run_of(folder).status == "finished"
    assert {path.name for path in folder.iterdir()} >= {
        *("run.json", "split.csv", "results.csv", "tables", "plots", "cells"),
        *("report.md", "report.html"),
    }
    assert (folder / "plots" / "accuracy.png").stat().st_size > 1000


def test_no_file_of_a_run_names_a_folder_of_the_machine(
    here: Place, finished: subprocess.CompletedProcess[str]
) -> None:
    for name, (_, content) in command.tree(here.folder / "done").items():
        assert str(here.folder).encode() not in content, name


def test_no_half_written_file_is_left(
    here: Place, finished: subprocess.CompletedProcess[str]
) -> None:
    hidden = [name for name in command.tree(here.folder / "done") if Path(name).name[0] == "."]
    assert set(hidden) <= {".lock"}


def test_the_split_is_a_partition_of_the_pictures(
    here: Place, finished: subprocess.CompletedProcess[str]
) -> None:
    with (here.folder / "done" / "split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["image"] for row in rows}) == len(rows) == 20
    assert sorted(row["part"] for row in rows) == ["test"] * 4 + ["train"] * 12 + ["val"] * 4


def test_what_is_said_in_a_pipe_is_plain_lines(
    finished: subprocess.CompletedProcess[str],
) -> None:
    lines = finished.stdout.splitlines()
    assert re.fullmatch(r"bench tiny · CPU profile · .*, 1 core", lines[0])
    assert lines[1:3] == [
        "run folder: done",
        "images: pictures, 2 classes, 12 train, 4 val, 4 test",
    ]
    assert [line[:5] for line in lines if line.startswith("[")] == ["[1/2]", "[2/2]"]
    assert lines[-3].startswith("done: 2 ok")
    assert lines[-2:] == ["report: done/report.html", "  done/report.md"]
    assert "\x1b" not in finished.stdout


def test_the_same_command_again_trains_nothing(here: Place, done: Path) -> None:
    before = command.tree(done / "cells")
    again = quick(here, "run", here.suite(SUITE), "--out", done.name)
    assert (again.returncode, again.stderr) == (0, "")
    assert "continuing: 2 of 2 cells are done; nothing is left to train" in again.stdout
    assert command.tree(done / "cells") == before


@pytest.mark.parametrize("change", ["the suite", "the images"])
def test_another_task_in_the_same_folder_is_refused(
    here: Place, done: Path, tmp_path: Path, change: str
) -> None:
    before = command.tree(done)
    other = command.place(tmp_path / "other")
    if change == "the images":
        Image.new("RGB", (40, 40), (1, 2, 3)).save(other.folder / "pictures" / "cat" / "1.png")
    text = SUITE.replace("epochs = 1", "epochs = 2") if change == "the suite" else SUITE
    refused = quick(other, "run", other.suite(text), "--out", done)
    assert refused.returncode == 6
    assert f"was another task: {change}" in refused.stderr
    assert command.tree(done) == before


def test_a_damaged_record_is_set_aside_and_its_cell_runs_again(here: Place, done: Path) -> None:
    before = command.scores(done)
    record = next((done / "cells").glob("*scratch*/record.json"))
    record.write_bytes(record.read_bytes()[:500])
    (done / "report.md").unlink()
    again = quick(here, "run", here.suite(SUITE), "--out", done.name)
    assert again.returncode == 0, again.stderr
    assert "was damaged" in again.stdout
    assert len(list(record.parent.glob("record.corrupt-*"))) == 1
    assert command.scores(done) == before


def test_a_cell_that_diverges_is_a_failure_and_the_others_go_on(here: Place) -> None:
    wild = SUITE.replace(
        '["feature_extraction"', '[{name = "wild", kind = "fine_tuning", lr = 1e30}'
    ).replace("epochs = 1", "epochs = 3")
    done = quick(here, "run", here.suite(wild, "wild"), "--out", "wild")
    assert done.returncode == 3, done.stderr
    assert [record.status for record in command.records(here.folder / "wild")] == ["diverged", "ok"]
    assert "mobilenet_v3_small · wild · s0: diverged (training):" in done.stdout
    log = next((here.folder / "wild" / "cells").glob("*wild*/log.txt"))
    assert "Traceback" in log.read_text()


def test_a_dry_run_writes_nothing_anywhere(here: Place, tmp_path: Path) -> None:
    other = command.place(tmp_path / "dry")
    suite = other.suite(SUITE.replace('["random"]', '["imagenet", "random"]'))
    before = command.tree(other.folder)
    done = quick(other, "run", suite, "--dry-run", "--offline")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 cells: 1 architecture x 2 strategies x 1 seed" in done.stdout
    assert "predicted time  about" in done.stdout
    assert command.tree(other.folder) == before
    assert not (other.folder / "results").exists()


def test_report_is_rebuilt_from_records_alone(here: Place, done: Path) -> None:
    before = (done / "report.md").read_bytes()
    shutil.rmtree(done / "tables")
    (done / "report.md").unlink()
    rebuilt = quick(here, "report", done)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert (done / "report.md").read_bytes() == before
    assert (done / "tables" / "main.csv").exists()


# ---- mistakes -------------------------------------------------------------------------------


def refused(here: Place, *arguments: object, code: int = 2) -> str:
    """What is said on standard error; nothing may be written and no traceback shown."""
    before = command.tree(here.folder)
    done = quick(here, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert command.tree(here.folder) == before
    return done.stderr


def test_a_mistaken_suite_is_said_with_place_and_way_out(here: Place) -> None:
    suite = here.suite(SUITE + "epocs = 3\n".join(["", ""]), "slip")
    said = refused(here, "run", suite)
    assert said.startswith(f"error[E-SUITE] {suite}\n  recipe.epocs  unknown key")
    assert 'did you mean "epochs"?' in said


def test_a_missing_suite_is_refused(here: Place) -> None:
    assert "no such file" in refused(here, "run", "nowhere.toml")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--dataset", "nowhere"], "nowhere: no such folder"),
        (["--device", "tpu"], "--device: expected auto, cpu, cuda or cuda:N"),
    ],
    ids=str,
)
def test_a_mistake_that_needs_a_look_at_the_machine(
    here: Place, arguments: list[str], text: str
) -> None:
    said = refused(here, "run", here.suite(SUITE), "--out", "never", *arguments)
    assert said.startswith("error[E-INPUT] nothing was trained\n")
    assert text in said


def test_a_run_does_not_go_into_a_file_or_among_foreign_files(here: Place) -> None:
    suite = here.suite(SUITE)
    assert "is a file" in refused(here, "run", suite, "--out", suite, code=6)
    said = refused(here, "run", suite, "--out", here.folder / "pictures", code=6)
    assert said.startswith("error[E-FOLDER] ")
    assert "holds other files" in said


def test_a_mistake_on_the_command_line_is_exit_2(here: Place) -> None:
    done = bench(here, "run", "x.toml", "--quick")  # as the shell sees it
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr
    assert "No such option" in refused(here, "run", "x.toml", "--quick")
    assert 'did you mean "resnet18"' in refused(here, "inspect", "resnet19")
    assert "holds no run" in refused(here, "report", "nowhere", code=6)


# ---- where it is read -----------------------------------------------------------------------


def test_an_encoding_without_our_letters_is_no_error(here: Place) -> None:
    done = bench(here, "list", "strategies", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "from_scratch" in done.stdout


def test_every_page_of_list_fits_80_columns(here: Place) -> None:
    for what in ("architectures", "strategies", "datasets"):
        done = bench(here, "list", what, COLUMNS="80")
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= 80


# ---- a bug ----------------------------------------------------------------------------------


def test_a_bug_is_saved_with_its_traceback_and_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyError) as caught:
        raise KeyError("no [such] key\x1b[2J")
    assert crash(caught.value) == 1
    (saved,) = tmp_path.iterdir()
    assert "Traceback" in saved.read_text()
    said = capsys.readouterr().err
    assert said.startswith("error[E-BUG] KeyError: ")
    assert str(saved) in said
    assert "\x1b[2J" not in said


@pytest.mark.slow
def test_a_stopped_run_says_how_to_go_on_and_resume_finds_it(here: Place, tmp_path: Path) -> None:
    suite = here.suite(command.LONG, "resumed")
    place = Place(tmp_path)
    (tmp_path / "home").mkdir()
    none = quick(place, "run", suite, "--resume")
    assert (none.returncode, "no run of tiny below results was stopped" in none.stderr) == (2, True)
    with command.running(place, "run", suite, "--offline") as process:
        command.wait_for(lambda: len([*tmp_path.glob("results/tiny/*/cells/*/record.json")]) == 1)
        process.terminate()
        said, err = process.communicate(timeout=60)
    (folder,) = tmp_path.glob("results/tiny/*")
    name = folder.relative_to(tmp_path)
    assert f"run folder: {name}" in said
    go_on = f"python -m bench run {suite} --out {name} --offline"
    assert err == f"stopped; go on with: {go_on}\n"
    both = quick(place, "run", suite, "--resume", "--out", name)
    assert (both.returncode, "name one of them" in both.stderr) == (2, True)
    short = here.suite(command.LONG.replace("epochs = 5000", "epochs = 1"), "resumed")
    other = quick(place, "run", short, "--resume")  # which is another task
    assert other.returncode == 6, other.stderr
    assert str(name) in other.stderr or "another task" in other.stderr
    assert list(tmp_path.glob("results/tiny/*")) == [folder]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--out=~/runs", "--out=/home/somebody/runs"),
        ("~/x.toml", "/home/somebody/x.toml"),
        ("--reason=better", "--reason=better"),
        ("a~b", "a~b"),
        ("--out", "--out"),
    ],
)
def test_the_users_home_is_known_where_no_shell_fills_it_in(
    monkeypatch: pytest.MonkeyPatch, word: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert at_home(word) == meant


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", LONG),
        ("run", "tiny.toml", "--out", LONG),
        ("run", "tiny.toml", "--dataset", LONG),
        ("report", LONG),
        ("predict", "run", LONG),
        ("compare", LONG, "run"),
        ("history", LONG),
        ("export", LONG),
        ("ab", LONG, LONG, "--suite", "tiny.toml"),
        ("baseline", "accept", LONG, "--reason", "x"),
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long_for_a_file_is_no_bug(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    here = command.place(tmp_path)
    here.suite(SUITE)
    said = quick(here, *arguments)
    assert said.returncode in (2, 6)
    assert "E-BUG" not in said.stderr


@pytest.mark.parametrize("text", ["[" * 5000, "{a=" * 5000, "[{a=" * 2500])
def test_brackets_in_too_many_brackets_are_no_bug(tmp_path: Path, text: str) -> None:
    here = command.place(tmp_path)
    (tmp_path / "deep.toml").write_text(f"seeds = {text}")
    said = quick(here, "run", tmp_path / "deep.toml")
    assert said.returncode == 2
    assert "E-BUG" not in said.stderr


@pytest.mark.slow
def test_a_folder_for_temporary_files_that_is_too_long_for_sockets_is_named(
    tmp_path: Path,
) -> None:
    here = command.place(tmp_path)
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    said = bench(here, "run", here.suite(SUITE), TMPDIR=str(folder))
    assert said.returncode == 2
    assert f"TMPDIR is too long for sockets: {folder}" in said.stderr
