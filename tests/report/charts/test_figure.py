"""What holds for every figure: legible, named, harmless, the same each time."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bench.record import Failure, Run
from bench.report import figures
from bench.report.charts import figure
from bench.report.charts.figure import COLOURS, SERIES, Chart
from bench.report.figures import FIGURES
from tests import records
from tests.records import cell, failure, result
from tests.report.charts import made, reading
from tests.report.charts.made import ALL, STRATEGIES, Records

TEN = [*ALL, "convnext_tiny", "swin_transformer_tiny", "densenet121", "regnet_y_400mf"]
EIGHT = [*STRATEGIES, "probe", "fine_tuning_slowly", "head_then_everything"]
OF_CHOSEN = {one.id for one in FIGURES if one.about == "recommended"}

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


@pytest.fixture(scope="module")
def hostile() -> dict[str, Chart]:
    return made.drawn(*RUNS["hostile"]())


@pytest.mark.slow
def test_every_figure_of_a_whole_run_is_there_under_its_listed_id(charts: dict[str, Chart]) -> None:
    assert list(charts) == [one.id for one in FIGURES]
    assert all(chart.title and chart.note and chart.description for chart in charts.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph")  # of this machine's fonts; a browser has its own
@pytest.mark.parametrize("width", reading.WIDTHS)
def test_no_text_covers_another_or_leaves_the_page(charts: dict[str, Chart], width: float) -> None:
    found = {id_: reading.collisions(reading.figure(c, width)) for id_, c in charts.items()}
    assert {id_: texts for id_, texts in found.items() if texts} == {}


@pytest.mark.slow
def test_a_page_gets_named_drawings_that_run_and_fetch_nothing(hostile: dict[str, Chart]) -> None:
    allowed = {"svg", "title", "desc", "g", "defs", "clipPath", "path", "rect", "use", "text"}
    ids: list[str] = []
    for chart in hostile.values():
        for name, svg in reading.drawings(chart).items():
            assert name in ("desk", "phone")
            assert svg.get("role") == "img"
            label, description = (svg.get("aria-labelledby") or "").split()
            by_id = {e.attrib["id"]: e for e in svg.iter() if "id" in e.attrib}
            assert (by_id[label].text, by_id[description].text) == (chart.title, chart.description)
            assert {"width", "height"}.isdisjoint(svg.attrib)
            ids += by_id
            for e in svg.iter():
                assert e.tag.removeprefix(reading.SVG) in allowed
                assert not [key for key in e.attrib if key.startswith("on")]
                links = [e.get("href") or "", *re.findall(r"url\((.*?)\)", str(e.attrib))]
                assert {link.removeprefix("#") for link in links if link} <= set(by_id)
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_names_stay_text_and_marks_say_what_they_stand_for(hostile: dict[str, Chart]) -> None:
    for id_, chart in hostile.items():
        for svg in reading.drawings(chart).values():
            texts = " ".join(e.text or "" for e in svg.iter(f"{reading.SVG}text"))
            assert "猫と犬の画像" in texts or id_.startswith(("accuracy-vs", "reliability"))
            assert reading.titles(svg)
            assert all(title.strip() for title in reading.titles(svg))
            assert "\u202e" not in texts


def test_every_colour_is_a_variable_of_the_style(hostile: dict[str, Chart]) -> None:
    style, svg = figure.style(), str(hostile["heat-map"].svg)
    used = set(re.findall(r"var\(--([\w-]+), (#\w{6})\)", svg))
    assert len(used) > 12
    assert all(COLOURS[name][0] == light for name, light in used)
    assert re.sub(r"var\(--[\w-]+, #\w{6}\)", "", svg).count(": #") == 0
    for name, (light, dark) in COLOURS.items():
        assert style.count(f"--{name}: {light};") == style.count(f"--{name}: {dark};") == 1
    assert len({light for light, _ in COLOURS.values()}) == len(COLOURS)


def test_an_architecture_has_one_colour_in_every_figure_and_in_the_table() -> None:
    run, found = made.whole(["resnet18", "vit_b_16"], ["partial"], [0])
    assert str(figure.key(SERIES[1])).count("var(--a1, ") == 1
    for id_, chart in made.drawn(run, found).items():
        used = set(re.findall(r"var\(--(a\d+)", str(chart.svg)))
        assert used == ({"a0", "a1"} if id_ not in OF_CHOSEN else used & {"a0", "a1"})


def test_without_an_ok_cell_there_is_no_figure() -> None:
    run = records.run(["a", "b"], ["partial"])
    found: list[Failure] = [failure(cell(name, "partial", 0)) for name in "ab"]
    assert made.drawn(run, found) == {}
    assert made.drawn(run, []) == {}


def test_what_no_seed_completed_is_recommended_nowhere() -> None:
    run = records.run(["a"], ["partial"], [0, 1])
    charts = made.drawn(run, [result(cell("a", "partial", 0))])
    assert charts.keys() == {"learning-curves", "accuracy"}


def test_a_run_of_hundreds_of_rows_says_what_it_leaves_out() -> None:
    run, found = made.whole([f"net{i}" for i in range(18)], [f"way{i}" for i in range(25)], [0])
    for id_, chart in made.drawn(run, found).items():
        if id_ not in OF_CHOSEN:
            assert "Only" in chart.note, id_


@pytest.mark.slow
def test_files_hold_the_figure_with_its_title_its_note_and_where_it_comes_from(
    tmp_path: Path,
) -> None:
    run, found = made.whole(["猫", "$x^2$", "<b>--&"], ["a\nb", "\U0003fffd"], [0])
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        chart = made.drawn(run, found)["accuracy"]
        figures.save(chart, folder / "accuracy", figures.basis(run))
        png, svg = figures.plot_paths(folder / "accuracy")
        written.append((png.read_bytes(), svg.read_bytes()))
        with Image.open(png) as picture:
            assert picture.width >= 1440
    assert written[0] == written[1]
    root = ElementTree.fromstring(written[0][1])
    texts = [e.text or "" for e in root.iter(f"{reading.SVG}text")]
    assert {"猫", "$x^2$", "<b>--&", "a b", chart.title} <= set(texts)
    assert "AMD EPYC" in " ".join(texts)
    assert "Wilson" in " ".join(texts)
    assert reading.titles(root)


def test_any_figure_of_matplotlib_can_be_shown() -> None:
    def draw(width: float) -> Figure:
        drawn = Figure(figsize=(width / 72, 2))
        axes = drawn.subplots()
        figure.told(axes.plot([1, 2], [3, 4], color=SERIES[0])[0], "a line")
        figure.told(axes.scatter([1, 2], [3, 4]), "one", "two")
        return drawn

    svg = reading.drawings(Chart("mine", "Mine", "", "a description", draw))["phone"]
    assert sorted(reading.titles(svg)) == ["a line", "one", "two"]
    assert "var(--a0, #056faf)" in ElementTree.tostring(svg, encoding="unicode")


@pytest.mark.parametrize("name", ["猫と犬", "cat 😀", "ประเทศไทย", "a\u200db", "\U0003fffd"])
def test_nothing_warns_of_a_missing_letter_in_a_png(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with mpl.rc_context({**figure.STYLE, "font.family": figures.families(name)}):
        drawn = Figure()
        drawn.text(0.1, 0.5, figures.drawable(name))
        drawn.savefig(tmp_path / "x.png")
    assert [str(one.message) for one in recwarn] == []


def test_a_letter_without_a_font_is_written_as_its_code_point() -> None:
    assert figures.drawable("a\U0003fffdb") == r"a\U0003fffdb"
    for name in ("mobilenet_v3_small", "größe – ±½", "Ελληνικά", "שלום"):
        assert figures.drawable(name) == name
        assert figures.families(name) == ["DejaVu Sans"]
