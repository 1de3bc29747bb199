"""`bench compare --confirm` as a user has it: a real run, a made-up past, and a second run."""

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.stability import unstable
from bench.folder import read_records, read_run, write_record, write_run
from bench.record import Result
from bench.verbs import sides
from tests import command
from tests.command import SUITE, Place, bench

TEXT = (
    SUITE.replace('"from_scratch"', '{name = "long", kind = "from_scratch", epochs = 30}')
    + """
[[compare.thresholds]]
metric = "peak_memory_bytes"
floor = 0.5
"""
)
Costs = Callable[[Result], Result]


def costing(seconds: float, mebibytes: float) -> Costs:
    """A record with other costs, of train time by a factor."""

    def change(one: Result) -> Result:
        attributed = one.cost.attributed
        train = attributed.train * seconds
        wall = attributed.wall - attributed.train + train
        times = attributed.model_copy(update={"train": train, "wall": wall})
        peak = one.memory.model_copy(update={"cpu_rss_above_start_bytes": int(mebibytes * 2**20)})
        cost = one.cost.model_copy(update={"attributed": times})
        return one.model_copy(update={"cost": cost, "memory": peak})

    return change


def copied(source: Path, folder: Path, day: int, changes: Sequence[Costs]) -> Path:
    """The same run on that day, its cells at other costs."""
    start = (datetime(2026, 1, 1) + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = read_run(source)
    update: dict[str, Any] = {"started_at": start, "finished_at": start, "sittings": ()}
    write_run(folder, run.model_copy(update=update))
    for one, change in zip(read_records(source), changes, strict=True):
        assert isinstance(one, Result)
        write_record(folder, change(one))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run; six past ones, much dearer in the quick cell, much cheaper in the long one."""
    here = command.place(tmp_path_factory.mktemp("confirm"))
    done = bench(here, "run", here.suite(TEXT), "--out", "run")
    assert done.returncode == 0, done.stderr
    source, past = here.folder / "run", here.folder / "results" / "tiny"
    for day in range(6):
        noise = 1 + 0.01 * (-1) ** day
        changes = (costing(1000 * noise, 1000 * noise), costing(0.001 * noise, 0.01 * noise))
        copied(source, past / f"r{day}", day, changes)
    # Of what is worse in both cells, a second run will show that of the long one alone.
    copied(source, past / "bad", 20, (costing(2000, 2000), costing(1, 100)))
    copied(source, here.folder / "good", 20, (costing(1000, 1000), costing(0.001, 0.01)))
    return here


@pytest.fixture
def here(made: Place, tmp_path: Path) -> Place:
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)


COMPARED = ("results/tiny/r5", "results/tiny/bad")
AGAIN = "results/tiny/bad-again-1"
SECONDS, MEMORY = "train_seconds", "peak_memory_bytes"


def told(here: Place) -> tuple[int, dict[str, Any], str]:
    """Exit code, the comparison as JSON, and standard error."""
    given = (*COMPARED, "--confirm", "tiny.toml", "--format", "json")
    done = bench(here, "compare", *given)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_what_is_flagged_runs_again_and_only_what_is_seen_again_stays(here: Place) -> None:
    folder = here.folder / AGAIN
    stop_in_the_first_cell(here, folder)
    code, found, said = told(here)
    assert code == 4, said
    assert "[2/2]" in said
    shown = {
        (one["strategy"], one["metric"]): (one["verdict"], one["second"]["showed"])
        for one in found["verdicts"]
        if one["second"]
    }
    assert shown["feature_extraction", MEMORY] == ("inconclusive", "unseen")
    assert shown["long", MEMORY] == ("regressed", "seen")
    is_unstable = unstable(read_run(folder)) is not None
    times = [("inconclusive", "unseen"), ("regressed", "seen")]
    assert [shown[name, SECONDS] for name in ("feature_extraction", "long")] == (
        [("inconclusive", "untold")] * 2 if is_unstable else times
    )
    assert found["second_run"]["run"] == "bad-again-1"
    assert len(found["second_run"]["cells"]) == 2

    # The second run stands on its own, and is no past of the suite.
    assert len(sides.history(here.folder / "results", "tiny").runs) == 7
    assert list(folder.rglob("weights.safetensors")) == []
    assert bench(here, "report", folder).returncode == 0
    before = command.tree(folder / "cells")
    code, again, said = told(here)
    assert command.tree(folder / "cells") == before
    if is_unstable:
        assert (here.folder / "results/tiny/bad-again-2").exists()
    else:
        assert (code, again["verdicts"]) == (4, found["verdicts"])
        assert f"the second run is there already: {AGAIN}" in said


def stop_in_the_first_cell(here: Place, folder: Path) -> None:
    with command.running(here, "compare", *COMPARED, "--confirm", "tiny.toml") as process:
        command.wait_for_cell(folder, 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said


def test_nothing_flagged_trains_nothing(here: Place) -> None:
    done = bench(here, "compare", "results/tiny/r5", "good", "--confirm", "tiny.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to confirm" in done.stdout
    assert not (here.folder / "good-again-1").exists()


def test_another_suite_is_refused_before_anything_trains(here: Place) -> None:
    here.suite(TEXT.replace("epochs = 30", "epochs = 31"))
    code, _, said = told(here)
    assert code == 2
    assert "recipe.epochs: 30 then, 31 now" in said
    assert not (here.folder / AGAIN).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--device", "cpu", "--offline"), "--device, --offline: only with --confirm"),
        (("--confirm", "nowhere.toml"), "no such file"),
    ],
)
def test_bad_input_is_said(here: Place, options: tuple[str, ...], said: str) -> None:
    done = bench(here, "compare", *COMPARED, *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_baseline_file_cannot_run_again(here: Place) -> None:
    bench(here, "baseline", "accept", COMPARED[1], "--reason", "x")
    (path,) = (here.folder / "results/reference").glob("*.json")
    done = bench(here, "compare", "results/tiny/r5", path, "--confirm", "tiny.toml")
    assert done.returncode == 2
    assert "is no run folder, and cannot run again" in done.stderr
