"""history.html as text: well formed, alone, the changes that there are, every name as it is."""

import pytest

from bench.report.histories import Reading
from bench.report.page.history import document
from tests.analysis import sides
from tests.analysis.timelines import BUSIER, NEWER, point, slowed, told
from tests.report.reading import Tree
from tests.report.test_page import HOSTILE

NOTHING = Reading()


def test_the_page_stands_alone() -> None:
    text = document(told(slowed(1.3)), NOTHING)
    tree = Tree(text).root
    assert not tree.all("script", "iframe", "img", "object")
    assert [link.attrs["href"] for link in tree.all("link")] == ["data:,"]
    anchors = [a.attrs["href"] or "" for a in tree.all("a")]
    ids = {node.attrs["id"] for node in tree.all() if "id" in node.attrs}
    assert {href.removeprefix("#") for href in anchors} <= ids
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "@import" not in text


def test_no_two_elements_have_one_id() -> None:
    nodes = Tree(document(told(slowed(1.3)), NOTHING)).root.all()
    ids = [node.attrs["id"] for node in nodes if "id" in node.attrs]
    assert len(ids) == len(set(ids))


def test_a_change_is_in_the_table_and_its_cell_is_first_and_open() -> None:
    tree = Tree(document(told(slowed(1.3, information={"machine.driver": "2"})), NOTHING)).root
    (row,) = tree.by_id("changes").all("tbody")[0].all("tr")
    said = [cell.text.split() for cell in row.all("th", "td")]
    assert said[0] == ["2026-11-01"]
    assert said[1] == ["train", "time"]
    assert said[3] == ["r5", "r6"]
    assert "driver: 1 → 2" in row.text
    first = tree.by_id("cells").all("tbody")[0].all("tr")[0]
    assert first.all("th")[0].text == "resnet18 · fine_tuning"
    details = tree.by_id("charts").all("details")
    assert len(details) == 6
    assert "open" in details[0].attrs


def test_machines_are_listed_with_what_sets_them_apart() -> None:
    every = range(6)
    points = [point(0), point(1, NEWER, every), point(2, BUSIER, every)]
    rows = Tree(document(told(points), NOTHING)).root.by_id("machines").all("tbody")[0].all("tr")
    assert [row.all("th")[0].text for row in rows] == ["A", "B", "C"]
    assert "torch: 2.15.0 → 2.16.0" in rows[1].text
    assert "Intel Xeon" in rows[2].text


def test_what_was_left_out_is_said() -> None:
    reading = Reading(2, ("a/run.json: is not JSON",), 1)
    text = Tree(document(told(slowed(1.3)), reading)).root.by_id("content").text
    assert "1 run could not be read and is left out: a/run.json: is not JSON" in text
    assert "2 runs did not finish" in text


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_history_too_short_says_so(count: int) -> None:
    tree = Tree(document(told([point(number) for number in range(count)]), NOTHING)).root
    text = tree.by_id("content").text
    assert "at least 7 runs" in text
    assert bool(tree.all("figure")) == (count > 1)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    made = slowed(1.3, information={"bench.commit": name})
    rows = [row.model_copy(update={"architecture": name}) for row in made[0].rows]
    points = [one.model_copy(update={"rows": rows, "suite_name": name}) for one in made]
    tree = Tree(document(told(points), Reading(0, (name,), 0))).root
    assert not tree.all("script", "img", "b")
    (heading,) = tree.all("h1")
    assert heading.text.startswith(f"{name}:")
    assert tree.by_id("cells").all("tbody")[0].all("th")[0].text.startswith(name)


def test_a_cell_that_never_had_a_value_is_on_the_page() -> None:
    def change(one: object) -> sides.Record | None:
        return None

    tree = Tree(document(told([point(n, change) for n in range(3)]), NOTHING)).root
    row = next(r for r in tree.by_id("cells").all("tr") if "resnet18 · fine_tuning" in r.text)
    assert [cell.text for cell in row.all("td")][:4] == ["0/3", "-", "-", "-"]
