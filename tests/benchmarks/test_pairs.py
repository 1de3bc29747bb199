"""Turns, clocks and statistics of the benchmarks."""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from bench.measure.device import Device
from tests.benchmarks import commands
from tests.benchmarks.findings import Figure, Goal
from tests.benchmarks.pairs import Cost, alternate, cpu_seconds, spread
from tests.benchmarks.sides import difference
from tests.benchmarks.tutorial import Scored, Scores

CPU = Device("cpu", None)
BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_sides_take_turns() -> None:
    said: list[str] = []
    turns = alternate({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, 3, CPU)
    assert said == ["a", "b"] * 3
    assert [len(each) for each in turns.values()] == [3, 3]


def test_cpu_time_counts_work_and_not_waiting() -> None:
    turns = alternate({"wait": lambda: time.sleep(0.2), "work": burn}, 1, CPU)
    assert turns["wait"][0].cost.judged(CPU) < 0.1 < 0.2 <= turns["wait"][0].cost.wall_seconds
    assert turns["work"][0].cost.judged(CPU) >= 0.2


def burn() -> None:
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass


def test_cpu_time_counts_children_while_they_live_and_after() -> None:
    before = cpu_seconds()
    with subprocess.Popen([sys.executable, "-c", BURN + "\nprint(flush=True)\ninput()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds() - before >= 0.25, "ticks are 10 ms"
        child.kill()
    assert cpu_seconds() - before >= 0.25


def test_on_a_gpu_the_clock_on_the_wall_counts() -> None:
    assert Cost(cpu_seconds=1.0, wall_seconds=2.0).judged(Device("cuda", 0)) == 2.0


def test_a_launched_command_pays_for_orphans_too(tmp_path: Path) -> None:
    # The grandchild lives on when its parent ends, as a fork server does.
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"
    cost = commands.cost_of(["-c", orphan], tmp_path, {})
    assert cost.cpu_seconds >= 0.29


def test_a_command_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3:\nalas"):
        commands.cost_of(["-c", "print('alas'); raise SystemExit(3)"], tmp_path, {})


def test_a_suite_written_as_toml_reads_back_the_same() -> None:
    table = {"name": 'a "b"', "seeds": [0, 1], "recipe": {"epochs": 2, "lr": 0.01, "augment": "x"}}
    assert tomllib.loads(commands.toml(table)) == table
    assert json.loads(json.dumps(table)) == table


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_quartiles_are_numpys(number: int) -> None:
    values = np.random.default_rng(number).random(number)
    found = spread(values.tolist())
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    assert found.n == number
    assert np.allclose(found[:3], [median, lower, upper])


@pytest.mark.parametrize(
    ("goal", "met"),
    [(Goal("at least", 2.0), True), (Goal("at least", 2.1), False), (Goal("at most", 1.9), False)],
)
def test_a_goal_is_judged_by_the_median(goal: Goal, met: bool) -> None:
    assert Figure("", [1.0, 2.0, 9.0], goal=goal).as_json()["met"] is met


def test_accuracy_differences_are_paired_by_image() -> None:
    # Four images, one seed: we have 3 right, they have 2; the gaps are 0, 0, 1, 0.
    ours = [Scores(Scored([0, 0], [0, 0]), Scored([0, 1], [0, 0]))]
    theirs = [Scores(Scored([0, 0], [0, 0]), Scored([1, 1], [0, 0]))]
    found = difference(ours, theirs)
    assert (found.bench, found.opponent, found.num_images) == (0.75, 0.5, 4)
    assert found.standard_error == pytest.approx(0.5 / 4**0.5)  # sd of (0, 0, 1, 0) is 1/2
    assert found.same


def test_the_standard_error_over_seeds_counts_where_it_is_larger() -> None:
    right, wrong = Scored([0] * 8, [0] * 8), Scored([1] * 8, [0] * 8)
    ours = [Scores(right, right), Scores(wrong, wrong)]
    theirs = [Scores(wrong, wrong), Scores(wrong, wrong)]
    # Over images every gap is 1/2, which spreads by nothing; over seeds 1 and 0.
    assert difference(ours, theirs).standard_error == pytest.approx(0.5)
