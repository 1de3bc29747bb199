"""What holds for every chart, whatever the run: legible, well-formed, harmless, of one look."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

import bench.report.charts as package
from bench.analysis.summary import summarise
from bench.record import Failure, Run
from bench.report.charts.chart import Chart
from bench.report.charts.lettering import printable
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import Records

ALL, STRATEGIES = list(records.ARCHITECTURES), list(records.STRATEGIES)
TEN = [*ALL, "convnext_tiny", "swin_transformer_tiny", "densenet121", "regnet_y_400mf"]
EIGHT = [*STRATEGIES, "probe", "fine_tuning_slowly", "head_then_everything"]
IDS = {
    *("accuracy-train-time", "accuracy-memory", "heat-map", "learning-curves", "time-spent"),
    *("confusion", "recall", "reliability"),
}
CSS = Path(package.__path__[0], "style.css").read_text(encoding="utf-8")

RUNS: dict[str, Callable[[], tuple[Run, Records]]] = {
    "capstone": lambda: made.whole(ALL, STRATEGIES, [0, 1, 2]),
    "largest": lambda: made.whole(TEN, EIGHT, range(5), [f"breed {i}" for i in range(37)]),
    "one cell": lambda: made.whole(["resnet18"], ["partial"], [0], ["cat", "dog"]),
    "hostile": lambda: made.whole(made.HOSTILE, made.HOSTILE[:3], [0, 1], made.HOSTILE),
    "20 classes": lambda: made.whole(ALL[:2], STRATEGIES[:2], [0], [f"c{i}" for i in range(20)]),
    "1000 classes": lambda: made.whole(
        ALL[:2], STRATEGIES[:2], [0, 1], [f"n{i:05d} imagenet" for i in range(1000)], 9000
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def charts(request: pytest.FixtureRequest) -> dict[str, Chart]:
    return made.drawn(*RUNS[request.param]())


def test_every_chart_of_a_whole_run_is_there(charts: dict[str, Chart]) -> None:
    assert charts.keys() == IDS
    assert all(chart.title and chart.note for chart in charts.values())


@pytest.mark.parametrize("sheet", reading.SHEETS)
def test_no_text_covers_another_or_leaves_the_drawing(charts: dict[str, Chart], sheet: str) -> None:
    for chart in charts.values():
        svg = reading.drawing(chart, sheet)
        page, found = reading.view(svg), reading.texts(svg)
        assert found
        for text in found:
            assert page.x0 - 1 <= text.box.x0, (chart.id, text)
            assert text.box.x1 <= page.x1 + 1, (chart.id, text)
            assert page.y0 <= text.box.y0 < text.box.y1 <= page.y1, (chart.id, text)
        for one, other in combinations(found, 2):
            assert not one.box.overlaps(other.box), (chart.id, one, other)


def test_text_keeps_its_size_on_a_phone(charts: dict[str, Chart]) -> None:
    # A page of 360 px with margins of 16 leaves 328 px.
    for chart in charts.values():
        svg = reading.drawing(chart, "phone")
        smallest = min(float(e.get("font-size") or 12) for e in svg.iter(f"{reading.SVG}text"))
        assert smallest * 328 / reading.view(svg).x1 >= 10


def test_a_drawing_is_well_formed_and_says_what_it_is(charts: dict[str, Chart]) -> None:
    ids: list[str] = []
    for chart in charts.values():
        root = ElementTree.fromstring(chart.svg)
        ids += [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        for sheet in reading.SHEETS:
            svg = reading.drawing(chart, sheet)
            assert svg.get("role") == "img"
            named = (svg.get("aria-labelledby") or "").split()
            told = {
                e.get("id"): e.text for e in svg if e.tag[len(reading.SVG) :] in ("title", "desc")
            }
            assert list(told) == named
            assert all(told.values())
            assert told[named[0]] == chart.title
            assert {"width", "height"}.isdisjoint(svg.attrib)
    assert len(ids) == len(set(ids)) == 4 * len(charts)
    assert all(any(id_.startswith(f"{chart}-") for chart in charts) for id_ in ids)


def test_nothing_in_a_drawing_runs_or_is_fetched(charts: dict[str, Chart]) -> None:
    allowed = {"svg", "title", "desc", "g", "line", "path", "rect", "circle", "text"}
    for chart in charts.values():
        for e in ElementTree.fromstring(chart.svg).iter():
            assert e.tag == "div" or e.tag.removeprefix(reading.SVG) in allowed
            assert not [key for key in e.attrib if "href" in key or key.startswith(("on", "style"))]
            assert "url(" not in str(e.attrib)


def test_every_class_has_a_style(charts: dict[str, Chart]) -> None:
    styled = set(re.findall(r"\.([a-z][\w-]*)", CSS))
    for chart in charts.values():
        used = {c for e in ElementTree.fromstring(chart.svg).iter() for c in reading.classes(e)}
        assert used <= styled


def test_hostile_names_are_shown_literally_and_in_full_where_they_were_cut() -> None:
    run, found = RUNS["hostile"]()
    charts = made.drawn(run, found)
    for id_ in IDS - {"confusion", "recall", "reliability"}:
        svg = reading.drawing(charts[id_])
        shown = " ".join(t.words for t in reading.texts(svg))
        titles = " ".join(e.text or "" for e in svg.iter(f"{reading.SVG}title"))
        for name in made.HOSTILE[:9]:
            assert printable(name) in shown + titles, (id_, name)
        assert "z" * 200 not in shown
        assert "z" * 200 in titles
        assert "evil\ufffdgnp.exe" in shown + titles
        assert "\u202e" not in charts[id_].svg + charts[id_].note + charts[id_].title
    rows = [t.words for t in reading.texts(reading.drawing(charts["confusion"]))]
    assert rows.count(made.SCRIPT) == 2 or any(t.startswith("<script>") for t in rows)
    assert {"[/red]", "$x^$", "a|b", "new line", "שלום עולם", "=cmd()"} <= set(rows)


def test_an_architecture_has_one_colour_and_a_strategy_one_shape_everywhere() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    charts = made.drawn(run, found)
    expected = {name: f"a{i}" for i, name in enumerate(ALL)}
    seen: dict[str, set[str]] = {name: set() for name in ALL}
    for id_ in ("accuracy-train-time", "accuracy-memory"):
        for group in reading.drawing(charts[id_]).iter(f"{reading.SVG}g"):
            name = reading.title(group).partition(" · ")[0]
            seen[name] |= {c for e in group for c in reading.classes(e) if re.fullmatch(r"a\d+", c)}
    for id_ in ("heat-map", "time-spent"):
        svg = reading.drawing(charts[id_])
        dots = [(y, e) for x, y, e in reading.marks(svg, "mark") if x < 10]
        for text in reading.texts(svg):
            name = text.words.partition(" · ")[0]
            if name in ALL and text.box.x0 < 20:
                (dot,) = (e for y, e in dots if abs(y - text.y) < 4)
                seen[name] |= reading.classes(dot) - {"mark"}
    svg = reading.drawing(charts["learning-curves"])
    for lead in (e for e in svg.iter(f"{reading.SVG}path") if "lead" in reading.classes(e)):
        x, y = reading.points(lead)[-1]
        (text,) = (t for t in reading.texts(svg) if 0 < t.box.x0 - x < 5 and abs(t.y - y) < 3)
        seen[text.words] |= reading.classes(lead) - {"lead"}
    assert seen == {name: {colour} for name, colour in expected.items()}


def test_the_recommended_row_keeps_its_colour_in_the_charts_of_its_test_images() -> None:
    run, found = made.whole(ALL, STRATEGIES, [0])
    row = summarise(run, found).recommended
    assert row is not None
    colour = f"a{ALL.index(row.architecture)}"
    for id_ in ("recall", "reliability"):
        found_marks = list(reading.marks(reading.drawing(made.drawn(run, found)[id_]), "mark"))
        assert found_marks
        assert all(colour in reading.classes(e) for _, _, e in found_marks)


def test_without_an_ok_cell_there_is_no_chart() -> None:
    run = records.run(["a", "b"], ["partial"])
    found: list[Failure] = [failure(cell(name, "partial", 0)) for name in "ab"]
    assert made.drawn(run, found) == {}
    assert made.drawn(run, []) == {}


def test_what_no_seed_completed_is_recommended_nowhere() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    charts = made.drawn(run, [result(cell("a", "partial", 0))])
    assert charts.keys() == {"learning-curves"}


def test_a_run_of_thousands_of_rows_says_what_it_leaves_out() -> None:
    run, found = made.whole([f"net{i}" for i in range(17)], [f"way{i}" for i in range(25)], [0])
    for id_, chart in made.drawn(run, found).items():
        assert len(chart.svg) < 600_000, id_
        if id_ in IDS - {"confusion", "recall", "reliability"}:
            assert "Only" in chart.note, id_


def test_the_same_records_give_the_same_drawing() -> None:
    run, found = RUNS["capstone"]()
    assert made.drawn(run, found) == made.drawn(run, list(reversed(found)))
