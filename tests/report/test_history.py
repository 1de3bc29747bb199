"""What is said of a history, by whole sentences."""

import json

import pytest

from bench.analysis.history import news
from bench.analysis.table import Snapshot
from bench.report import history as texts
from bench.report.history import Reading, as_json
from bench.report.writer import history_page
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, NEWER, point, slowed, told
from tests.report.reading import Tree
from tests.report.test_page import HOSTILE

NOTHING = Reading()


def of(points: list[Snapshot], reading: Reading = NOTHING) -> list[str]:
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
    change = one.changes[0]._replace(machine=amount, fields=("driver: 1 and 2",))
    said = texts.differing(one._replace(changes=(change,)))
    assert said == f"driver: 1 and 2; the machine itself was {word}"


@pytest.mark.slow
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
        "in 7 runs a fact of the conditions is unknown, or the seeds of a cell ran under different "
        "ones: these values are joined to no others"
    ]


def test_machines_unstable_runs_and_cells_that_left_are_said() -> None:
    every = range(6)
    points = [point(n, BUSIER if n % 2 else None, every) for n in range(14)]
    points[3] = sides.headed(points[3], unstable="too hot")
    points[-1] = sides.only(points[-1], lambda *cell: cell[:2] != ("resnet18", "fine_tuning"))
    assert of(points) == [
        "not asked for by the newest run: resnet18 · fine_tuning",
        "1 run unstable: times take no part in changes of level",
        "2 kinds of machine and software: times and memory are joined only within each, scores "
        "where the arithmetic is the same",
    ]


def test_a_short_history_says_what_it_lacks() -> None:
    assert of([point(number) for number in range(5)]) == [
        "too short for changes of level: they need at least 7 runs of one task, machine and "
        "software, and the longest series has 5"
    ]


def test_what_could_not_be_read_is_counted_and_the_first_are_named() -> None:
    reading = Reading(2, ("a", "b", "c", "d", "e"), 1)
    assert of(slowed(1.3), reading) == [
        "5 runs left out, could not be read: a; b; c; and 2 more",
        "2 runs left out, did not finish",
        "1 folder left out, the same run as another",
    ]


def test_json_holds_no_nan_and_every_run() -> None:
    points = slowed(1.3)
    content = json.loads(as_json(told(points), NOTHING), parse_constant=pytest.fail)
    assert len(content["runs"]) == len(points)
    (changed,) = [s for c in content["cells"] for s in c["series"] if s["changes"]]
    assert changed["changes"][0]["runs_before"] == 6


# ---- the page -------------------------------------------------------------------------------


def test_the_page_stands_alone() -> None:
    text = history_page(told(slowed(1.3)), NOTHING)
    tree = Tree(text).root
    assert not tree.all("script", "iframe", "img", "object")
    assert [link.attrs["href"] for link in tree.all("link")] == ["data:,"]
    anchors = [a.attrs["href"] or "" for a in tree.all("a")]
    ids = {node.attrs["id"] for node in tree.all() if "id" in node.attrs}
    assert {href.removeprefix("#") for href in anchors} <= ids
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "@import" not in text


def test_no_two_elements_have_one_id() -> None:
    nodes = Tree(history_page(told(slowed(1.3)), NOTHING)).root.all()
    ids = [node.attrs["id"] for node in nodes if "id" in node.attrs]
    assert len(ids) == len(set(ids))


def test_a_change_is_in_the_table_and_its_cell_is_first_and_open() -> None:
    tree = Tree(history_page(told(slowed(1.3, information={"machine.driver": "2"})), NOTHING)).root
    (row,) = tree.by_id("changes").all("tbody")[0].all("tr")
    said = [cell.text.split() for cell in row.all("th", "td")]
    assert said[0] == ["2026-11-01"]
    assert said[1] == ["train", "time"]
    assert said[3] == ["r5", "r6"]
    assert "driver: 1 and 2" in row.text
    first = tree.by_id("cells").all("tbody")[0].all("tr")[0]
    assert first.all("th")[0].text == "resnet18 · fine_tuning"
    details = tree.by_id("charts").all("details")
    assert len(details) == 6
    assert "open" in details[0].attrs


@pytest.mark.slow
def test_machines_are_listed_with_what_sets_them_apart() -> None:
    every = range(6)
    points = [point(0), point(1, NEWER, every), point(2, BUSIER, every)]
    rows = (
        Tree(history_page(told(points), NOTHING)).root.by_id("machines").all("tbody")[0].all("tr")
    )
    assert [row.all("th")[0].text for row in rows] == ["A", "B", "C"]
    assert "torch: 2.15.0 and 2.16.0" in rows[1].text
    assert "Intel Xeon" in rows[2].text


def test_what_was_left_out_is_said() -> None:
    reading = Reading(2, ("a/run.json: is not JSON",), 1)
    text = Tree(history_page(told(slowed(1.3)), reading)).root.by_id("content").text
    assert "1 run left out, could not be read: a/run.json: is not JSON" in text
    assert "2 runs left out, did not finish" in text


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_history_too_short_says_so(count: int) -> None:
    tree = Tree(history_page(told([point(number) for number in range(count)]), NOTHING)).root
    text = tree.by_id("content").text
    assert "at least 7 runs" in text
    assert bool(tree.all("figure")) == (count > 1)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    made = slowed(1.3, information={"bench.commit": name})
    named = [sides.only(one, lambda *cell: True, architecture=name) for one in made]
    points = [sides.headed(one, suite_name=name) for one in named]
    tree = Tree(history_page(told(points), Reading(0, (name,), 0))).root
    assert not tree.all("script", "img", "b")
    (heading,) = tree.all("h1")
    assert heading.text.startswith(f"{name}:")
    assert tree.by_id("cells").all("tbody")[0].all("th")[0].text.startswith(name)


def test_a_cell_that_never_had_a_value_is_on_the_page() -> None:
    def change(one: object) -> sides.Record | None:
        return None

    tree = Tree(history_page(told([point(n, change) for n in range(3)]), NOTHING)).root
    row = next(r for r in tree.by_id("cells").all("tr") if "resnet18 · fine_tuning" in r.text)
    assert [cell.text for cell in row.all("td")][:4] == ["0/3", "-", "-", "-"]
