"""report.html as text: well formed, alone, the numbers of the records, every name as it is."""

import base64
from collections.abc import Sequence

import pytest

from bench import predictions
from bench.record import Failure, Result, Run
from bench.report import run_tables, text
from tests import records
from tests.records import cell, failure, result, run
from tests.report.reading import Node, chosen, drawn_page_of, page_of, read

Found = Sequence[Result | Failure]

HOSTILE = (
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></title>", "&amp;"),
    *("$x^$", "a|b", "分類", "=cmd()", "{{ 7 * 7 }}", "{% raw %}"),
)


def page(asked: Run, found: Found) -> Node:
    thumbnails = {index: b"\xff\xd8 %d" % index for index in range(0, 1000, 2)}
    return read(page_of(asked, found, thumbnails=thumbnails))


def whole() -> tuple[Run, list[Result]]:
    ways = tuple(records.STRATEGIES)
    asked = run(tuple(records.ARCHITECTURES), ways, seeds=(0, 1, 2), source="imagenet")
    return asked, records.drawn(asked, ways, "imagenet")


def hostile() -> tuple[Run, Found]:
    asked = run(HOSTILE, HOSTILE[:3], seeds=(0,))
    data = records.data(HOSTILE).model_copy(update={"name": HOSTILE[0]})
    asked = asked.model_copy(
        update={"data": data, "suite_name": HOSTILE[2], "data_notes": (HOSTILE[1],)}
    )
    found: list[Result | Failure] = [*records.drawn(asked, HOSTILE[:3])]
    found[0] = failure(found[0].cell, reason=HOSTILE[0])
    return asked, found


def one_of(state: str) -> tuple[Run, Found]:
    asked, found = whole()
    few = run(["a", "b"], ["partial"])
    return {
        "whole": (asked, found),
        "hostile": hostile(),
        "empty": (asked, []),
        "all failed": (asked, [failure(one.cell) for one in found]),
        "some missing": (asked, found[::2]),
        "one cell": (run(["a"], ["partial"]), [result(cell("a", "partial", 0))]),
        "all equal": (few, [result(cell(name, "partial", 0)) for name in "ab"]),
        "all right": (few, [result(cell(name, "partial", 0), 400, 1000) for name in "ab"]),
        "all wrong": (few, [result(cell(name, "partial", 0), 0, 0) for name in "ab"]),
    }[state]


STATES = (
    *("whole", "hostile", "empty", "all failed", "some missing", "one cell"),
    *("all equal", "all right", "all wrong"),
)


# ---- the page as such -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_every_state_gives_a_well_formed_page_that_asks_for_nothing(state: str) -> None:
    root = read(drawn_page_of(*one_of(state)))
    assert not root.all("script", "iframe", "object", "embed", "form", "base")
    (policy,) = [m for m in root.all("meta") if m.attrs.get("http-equiv")]
    assert policy.attrs["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    )
    for node in root.all():
        assert not any(name.startswith("on") for name in node.attrs), node.attrs
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            assert (node.attrs.get(name) or "#").startswith(("#", "data:")), node.attrs
    style = "".join(node.text for node in root.all("style"))
    assert style
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_read_aloud(state: str) -> None:
    root = page(*one_of(state))
    assert [html.attrs["lang"] for html in root.all("html")] == ["en"]
    assert len(root.all("h1")) == len(root.all("main")) == 1
    ids = [id_ for node in root.all() if (id_ := node.attrs.get("id"))]
    assert len(ids) == len(set(ids))
    for node in root.all():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((node.attrs.get(name) or "").split()) <= set(ids), node.attrs
        if (link := node.attrs.get("href") or "").startswith("#"):
            assert link[1:] in ids
    for table in root.all("table"):
        assert [caption.text.strip() != "" for caption in table.all("caption")] == [True]
        assert {head.attrs.get("scope") for head in table.all("th")} <= {"row", "col"}
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1
    for region in root.of_class("scroll"):
        assert region.attrs["tabindex"] == "0"
        assert region.attrs["role"] == "region"
        assert region.attrs["aria-labelledby"]
    assert all(image.attrs.get("alt") for image in root.all("img"))
    assert all(root.by_id(name).text for name in ("comparison", "unmeasured", "method"))


def test_the_page_is_the_same_each_time() -> None:
    asked, found = whole()
    assert page_of(asked, found) == page_of(asked, found)


# ---- names ----------------------------------------------------------------------------------


def test_names_are_shown_as_they_are() -> None:
    root = page(*hostile())
    bodies = root.by_id("comparison").all("tbody")
    shown = {head.all("bdi")[0].text for head in bodies[0].all("th")}
    assert shown == set(HOSTILE)
    assert HOSTILE[0] in root.by_id("unmeasured").text  # the reason of a failure
    assert HOSTILE[1] in root.by_id("method").text  # a note on the data
    assert HOSTILE[2] in root.all("title")[0].text


@pytest.mark.parametrize("control", ["\u202e", "\u2066", "\u200f", "\x00", "\x1b"])
def test_no_name_holds_a_character_that_hides_or_turns_what_follows(control: str) -> None:
    asked = run([f"a{control}b"], ["partial"])
    found = [result(cell(f"a{control}b", "partial", 0))]
    text = page(asked, found).text
    assert control not in text
    assert "a\ufffdb" in text


def test_a_line_break_in_a_name_is_a_space() -> None:
    asked = run(["a\nb\u2028c"], ["partial"])
    found = [result(cell("a\nb\u2028c", "partial", 0))]
    assert "a b c" in page(asked, found).by_id("comparison").text


# ---- numbers --------------------------------------------------------------------------------


def cells(row: Node) -> list[str]:
    return [" ".join(one.text.split()) for one in row.all("th", "td")]


def test_the_table_has_the_numbers_of_the_records() -> None:
    asked, found = whole()
    body, *_ = page(asked, found).by_id("comparison").all("tbody")
    lines = [cells(row) for row in body.all("tr")]
    assert len(lines) == 30
    vals = [float(line[1].split()[0]) for line in lines]
    assert vals == sorted(vals, reverse=True)
    seeds = [
        one
        for one in found
        if (one.cell.architecture, one.cell.strategy) == ("vit_b_16", "partial")
    ]
    (line,) = [line for line in lines if line[0] == "vit_b_16partial"]
    mean = sum(one.quality.val.top1 for one in seeds) / 3
    assert line[1].startswith(f"{100 * mean:.1f} ± ")
    mean = sum(one.quality.test.top1 for one in seeds) / 3
    assert line[3].startswith(f"{100 * mean:.1f} ± ")
    assert float(line[4]) == pytest.approx(
        sum(one.cost.attributed.train for one in seeds) / 3, rel=0.01
    )
    peaks = [one.memory.cpu_rss_above_start_bytes or 0 for one in seeds]
    assert float(line[5]) == pytest.approx(max(peaks) / 2**20, rel=0.01)
    assert line[6:] == ["85.8", "60.0", "39.0"]


def test_tied_rows_are_marked_and_only_they() -> None:
    asked, found = whole()
    summary = chosen(asked, found)
    body, *_ = page(asked, found).by_id("comparison").all("tbody")
    marked = [cells(row)[0] for row in body.of_class("tied")]
    assert marked == [row.architecture + row.strategy for row in summary.tied]
    assert len(marked) > 1
    (recommended,) = body.of_class("recommended")
    assert summary.recommended is not None
    assert cells(recommended)[0].startswith(summary.recommended.architecture)
    assert "recommended" in cells(recommended)[2]


def test_the_tables_of_the_choice_are_those_of_the_text() -> None:
    asked, found = whole()
    summary = chosen(asked, found)
    section = page(asked, found).by_id("comparison")
    _, compared, front = section.all("tbody")
    made = (run_tables.comparisons(summary), run_tables.front(summary))
    for body, table in zip((compared, front), made, strict=True):
        shown = [[text.plain(value) for value in row] for row in table.texts()]
        assert [[with_spaces(cell_) for cell_ in cells(row)] for row in body.all("tr")] == shown
        assert shown


def test_architectures_beyond_those_shown_are_counted() -> None:
    asked = run([f"net_{i}" for i in range(201)], ["partial"])
    found = [result(cell(f"net_{i}", "partial", 0)) for i in range(201)]
    (caption,) = [
        one for one in page(asked, found).by_id("costs").all("caption") if "MACs" in one.text
    ]
    assert caption.text.endswith("the first 200 of 201, all are in tables/architectures.csv")


def test_an_incomplete_row_is_disqualified_with_its_seeds() -> None:
    asked = run(["a", "b"], ["partial"], seeds=(0, 1))
    found = [result(cell(name, "partial", seed)) for name in "ab" for seed in (0, 1)]
    body, *_ = page(asked, [*found[:3], failure(found[3].cell)]).by_id("comparison").all("tbody")
    (row,) = body.of_class("disqualified")
    assert cells(row)[0] == "bpartial"
    assert "seeds ok: 1/2 (1 diverged)" in cells(row)[2]


def test_a_long_table_ends_early_and_says_where_the_rest_is() -> None:
    ways = tuple(f"way_{i}" for i in range(30))
    asked = run([f"net_{i}" for i in range(5)], ways)
    section = page(asked, records.drawn(asked, ways)).by_id("comparison")
    assert len(section.all("tbody")[0].all("tr")) == 100
    assert "the first 100 of 150, all are in tables/main.csv" in section.all("caption")[0].text


def with_spaces(text: str) -> str:
    return text.replace("\u00a0", " ")


# ---- the gallery ----------------------------------------------------------------------------


def test_the_gallery_has_the_surest_mistakes_of_the_best_seed_of_the_recommended() -> None:
    classes = ("cat", "dog", "<b>", *"3456789")
    asked = run(["a"], ["partial"], seeds=(0, 1))
    asked = asked.model_copy(update={"data": records.data(classes)})
    found = []
    for seed, val, predicted in ((0, 300, [0, 1, 2, 0]), (1, 390, [0, 2, 1, 2])):
        one = result(cell("a", "partial", seed), val=val)
        packed = predictions.pack([0, 1, 2, 0], predicted, [1.0, 0.4, 0.75, 0.99999])
        right = sum(p == t for p, t in zip(predicted, [0, 1, 2, 0], strict=True)) / 4
        test = one.quality.test.model_copy(update={"predictions": packed, "top1": right})
        quality = one.quality.model_copy(update={"test": test})
        found.append(one.model_copy(update={"quality": quality}))
    section = page(asked, found).by_id("recommended")
    (gallery,) = section.of_class("gallery")
    told = [[one.text for one in item.all("dd")] for item in gallery.all("li")]
    assert told == [
        ["cat", "<b>", "> 99.9\u00a0%", "3"],
        ["<b>", "dog", "75.0\u00a0%", "2"],
        ["dog", "<b>", "40.0\u00a0%", "1"],
    ]
    (image,) = gallery.all("img")  # only even places have a thumbnail
    assert image.attrs["alt"] == "Test image 2: <b>, taken for dog"
    kind, _, code = (image.attrs["src"] or "").partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(code) == b"\xff\xd8 2"


def test_a_cell_without_mistakes_has_no_gallery() -> None:
    root = page(*one_of("all right"))
    assert not root.of_class("gallery")
    assert "None among 1,000 test images." in root.by_id("recommended").text
