"""What is said of a history, by whole sentences."""

import json

import pytest

from bench.analysis.news import news
from bench.analysis.point import Point
from bench.report import histories as texts
from bench.report.histories import Reading
from bench.report.history_json import as_json
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, point, slowed, told

NOTHING = Reading()


def of(points: list[Point], reading: Reading = NOTHING) -> list[str]:
    return texts.remarks(told(points), reading)


def test_few_cells_are_named_and_many_counted() -> None:
    def changed(count: int) -> str:
        late = sides.slower(1.3)
        points = [point(n, late if n >= 6 else None, range(count)) for n in range(12)]
        found = told(points)
        (one,) = news(found)
        return texts.cells_of(one)

    assert changed(3).count("medians of 6 and 6 runs") == 3
    assert changed(4).startswith("4 of 6 cells, most of all ")


@pytest.mark.parametrize(("amount", "word"), [(0.1, "10.0 % slower"), (-0.02, "2.0 % quicker")])
def test_the_machine_itself_is_said_in_words(amount: float, word: str) -> None:
    (one,) = news(told(slowed(1.3)))
    change = one.changes[0]._replace(machine=amount, fields=("driver: 1 → 2",))
    said = texts.differing(one._replace(changes=(change,)))
    assert said == f"driver: 1 → 2; the machine itself was {word}"


def test_a_headline_says_how_many_changes_there_are() -> None:
    assert "2026-11-01, no change of level." in texts.headline(told(slowed(1.0)))
    assert ", one change of level: train time +" in texts.headline(told(slowed(1.3)))
    points = [point(n, sides.slower([1, 1.5, 1][n // 6]) if n else None) for n in range(18)]
    said = texts.headline(told(points))
    assert ", 2 changes of level, the newest of train time -3" in said


def test_what_stands_alone_is_said() -> None:
    nameless = sides.with_machine(cpu_model=None)
    unknown = [point(number, nameless, range(6)) for number in range(7)]
    assert of(unknown)[-1:] == [
        "in 7 runs a fact of the conditions is unknown, or seeds of a cell ran under different "
        "ones: their values are joined with nothing"
    ]


def test_machines_unstable_runs_and_cells_that_left_are_said() -> None:
    every = range(6)
    points = [point(n, BUSIER if n % 2 else None, every) for n in range(14)]
    points[3] = points[3].model_copy(update={"unstable": "too hot"})
    points[-1] = points[-1].model_copy(update={"rows": points[-1].rows[1:]})
    assert of(points) == [
        "not asked for by the newest run: resnet18 · fine_tuning",
        "1 run unstable: times take no part in changes of level",
        "2 kinds of machine and software: times and memory are joined within each only, scores "
        "where the arithmetic is the same",
    ]


def test_a_short_history_says_what_it_lacks() -> None:
    assert of([point(number) for number in range(5)]) == [
        "too short for changes of level: at least 7 runs of one task, machine and software are "
        "needed, the longest series has 5"
    ]


def test_what_could_not_be_read_is_counted_and_the_first_are_named() -> None:
    reading = Reading(2, ("a", "b", "c", "d", "e"), 1)
    assert of(slowed(1.3), reading) == [
        "5 runs could not be read and are left out: a; b; c; and 2 more",
        "2 runs did not finish, left out",
        "1 folder left out: the same run as another",
    ]


def test_json_holds_no_nan_and_every_run() -> None:
    points = slowed(1.3)
    content = json.loads(as_json(told(points), NOTHING), parse_constant=pytest.fail)
    assert len(content["runs"]) == len(points)
    (changed,) = [s for c in content["cells"] for s in c["series"] if s["changes"]]
    assert changed["changes"][0]["runs_before"] == 6
