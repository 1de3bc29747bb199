"""`bench compare --confirm` as a user has it: a real run, a made-up past, and a second run."""

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.analysis.stability import unstable
from bench.schema.record import Result
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
QUICK, LONG = 0, 1
"""Places of the two cells."""

Costs = Callable[[Result], Result]


def costing(seconds: float, mebibytes: float) -> Costs:
    """A record with other costs, of train time by a factor."""

    def change(one: Result) -> Result:
        attributed = one.cost.attributed
        times = attributed.model_copy(update={"train": attributed.train * seconds})
        peak = one.memory.model_copy(update={"cpu_rss_above_start_bytes": int(mebibytes * 2**20)})
        cost = one.cost.model_copy(update={"attributed": times})
        return one.model_copy(update={"cost": cost, "memory": peak})

    return change


def copied(source: Path, folder: Path, day: int, changes: Sequence[Costs]) -> Path:
    """The same run on that day, its cells at other costs."""
    start = (datetime(2026, 1, 1) + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = store.read_run(source)
    update: dict[str, Any] = {"started_at": start, "finished_at": start, "sittings": ()}
    store.write_run(folder, run.model_copy(update=update))
    for one, change in zip(store.read_records(source), changes, strict=True):
        assert isinstance(one, Result)
        store.write_record(folder, change(one))
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
    copied(source, here.folder / "bad", 20, (costing(2000, 2000), costing(1, 100)))
    copied(source, here.folder / "good", 20, (costing(1000, 1000), costing(0.001, 0.01)))
    return here


@pytest.fixture
def here(made: Place, tmp_path: Path) -> Place:
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    return Place(tmp_path)


def told(here: Place, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the comparison as JSON, and standard error."""
    given = ("results/tiny/r5", "bad", "--confirm", "tiny.toml", "--format", "json", *options)
    done = bench(here, "compare", *given)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_what_is_flagged_runs_again_and_only_what_is_seen_again_stays(here: Place) -> None:
    code, found, said = told(here)
    second = here.folder / "bad-again-1"
    assert code == 4, said
    assert "[2/2]" in said
    shown = {
        (one["strategy"], one["metric"]): (one["verdict"], one["second"]["showed"])
        for one in found["verdicts"]
        if one["second"]
    }
    memory = "peak_memory_bytes"
    assert shown["feature_extraction", memory] == ("inconclusive", "unseen")
    assert shown["long", memory] == ("regressed", "seen")
    if unstable(store.read_run(second)):
        times = [("inconclusive", "untold")] * 2
    else:
        times = [("inconclusive", "unseen"), ("regressed", "seen")]
    assert [shown[name, "train_seconds"] for name in ("feature_extraction", "long")] == times
    assert found["second_run"]["run"] == "bad-again-1"
    assert len(found["second_run"]["cells"]) == 2

    # The second run stands on its own, and is no past of the suite.
    assert store.read_run(second).suite_name == "tiny (again)"
    assert list(second.rglob("weights.safetensors")) == []
    assert bench(here, "report", "bad-again-1").returncode == 0
    before = command.tree(second / "cells")
    code, again, said = told(here)
    if unstable(store.read_run(second)):
        assert (here.folder / "bad-again-2").exists()
    else:
        assert (code, again["verdicts"]) == (4, found["verdicts"])
        assert "nothing is left to train" in said
    assert command.tree(second / "cells") == before


def test_nothing_flagged_trains_nothing(here: Place) -> None:
    done = bench(here, "compare", "results/tiny/r5", "good", "--confirm", "tiny.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to confirm" in done.stdout
    assert not (here.folder / "good-again-1").exists()


def test_stopped_by_ctrl_c_the_same_command_goes_on(here: Place) -> None:
    given = ("compare", "results/tiny/r5", "bad", "--confirm", "tiny.toml")
    with command.running(here, *given) as process:
        command.wait_for_cell(here.folder / "bad-again-1", 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    done = bench(here, *given)
    assert done.returncode == 4
    assert store.read_run(here.folder / "bad-again-1").status == "finished"
    assert not (here.folder / "bad-again-2").exists()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text.replace("epochs = 30", "epochs = 31"), "recipe.epochs: 30 then, 31 now"),
        (lambda text: text.replace("weights =", "seeds = [0, 1]\nweights ="), "2 cells of the"),
        (lambda text: text.replace("epochs = 30", "epochs = 0"), "epochs"),
    ],
)
def test_another_suite_is_refused_before_anything_trains(
    here: Place, edit: Callable[[str], str], said: str
) -> None:
    here.suite(edit(TEXT))
    code, _, err = told(here)
    assert code == 2
    assert said in err
    assert not (here.folder / "bad-again-1").exists()


def test_another_machine_or_bench_is_refused_with_the_fields_that_differ(here: Place) -> None:
    for path in (here.folder / "bad/cells").glob("*/record.json"):
        content = json.loads(path.read_text())
        content["machine"] |= {"usable_cores": 77}
        content["provenance"] |= {"bench": "0.0.1"}
        path.write_text(json.dumps(content))
    for path in (here.folder / "results/tiny").glob("*/cells/*/record.json"):
        content = json.loads(path.read_text())
        content["machine"] |= {"usable_cores": 77}
        path.write_text(json.dumps(content))
    code, _, err = told(here)
    assert code == 2
    assert "machine.usable_cores: 77 then, " in err
    assert "bench: 0.0.1 (" in err
    assert not (here.folder / "bad-again-1").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--device", "cpu", "--offline"), "--device, --offline: only with --confirm"),
        (("--confirm", "nowhere.toml"), "no such file"),
    ],
)
def test_bad_input_is_said(here: Place, options: tuple[str, ...], said: str) -> None:
    done = bench(here, "compare", "results/tiny/r5", "bad", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_baseline_file_cannot_run_again(here: Place) -> None:
    bench(here, "baseline", "accept", "bad", "--reason", "x")
    (path,) = (here.folder / "results/reference").glob("*.json")
    done = bench(here, "compare", "results/tiny/r5", path, "--confirm", "tiny.toml")
    assert done.returncode == 2
    assert "is no run folder, and cannot run again" in done.stderr
