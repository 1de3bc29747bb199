"""A table keeps every value, shows null as null, and survives any name in every format."""

import csv
import io
import math
import re

import pytest

from bench.report import text, units
from bench.report.tables import (
    Column,
    Table,
    Value,
    as_csv,
    as_latex,
    as_markdown,
)
from tests.report.reading import as_html, read

HOSTILE = ["a|b", "`x`", "two\nlines", "=1+1", "50%_&#$~^{}\\", "<b>", "_it_ *is*", "@cmd", "&lt;"]
HOSTILE += ["[/red]", "*star", "1. one", "$x^$", "<script>alert(1)</script>", "猫", "שלום"]


def table(*values: Value) -> Table:
    """One column that holds the values."""
    return Table("one", "", (Column("name", "name"),), tuple((value,) for value in values))


def scores() -> Table:
    """A column of names, one of scores with what belongs to them, and one for computing only."""
    columns = (
        Column("class", "Class", format=text.name),
        Column("mean", "Val", "%", format=units.mean_and_sd, also=("sd",), align="right"),
        Column("sd"),
        Column("low", "95 %", format=units.between, also=("high",), align="right", below=True),
        Column("high"),
    )
    rows = (("cat", 0.9425, 0.0125, 0.9, 0.96), ("dog_s", 1 / 3, None, None, None))
    return Table("scores", "Scores", columns, rows)


def read_csv(content: str) -> list[list[str]]:
    """CSV as Python's own reader sees it."""
    return list(csv.reader(io.StringIO(content)))


def test_one_declaration_gives_numbers_for_reading_and_unrounded_ones_for_computing() -> None:
    head, rule, *rows = [re.sub(" +", " ", line) for line in as_markdown(scores()).split("\n")]
    assert (head, re.sub("-+", "-", rule)) == ("| Class | Val % | 95 % |", "|:-|-:|-:|")
    assert rows == ["| cat | 94.2 ± 1.2 | 90.0–96.0 |", "| dog_s | 33.3 | - |"]
    header, cat, dog = read_csv(as_csv(scores()))
    assert header == ["class", "mean", "sd", "low", "high"]
    assert cat == ["cat", "0.9425", "0.0125", "0.9", "0.96"]
    assert (float(dog[1]), dog[2:]) == (1 / 3, [""] * 3)


def test_a_page_sets_names_apart_and_stacks_what_belongs_below() -> None:
    region = read(as_html(scores()))
    (head, *rows) = region.all("tr")
    assert [cell.text for cell in head.all("th")] == ["Class", "Val %, 95\u00a0%"]
    assert [[cell.text for cell in row.all("th", "td")] for row in rows] == [
        ["cat", "94.2\u00a0±\u00a01.290.0–96.0"],
        ["dog_s", "33.3-"],
    ]
    assert [one.text for one in region.all("bdi")] == ["cat", "dog_s"]
    assert region.all("caption")[0].text == "Scores"


def test_a_long_table_says_how_much_there_is_and_where() -> None:
    caption, *_ = read(as_html(scores(), 1, rest="all are in x.csv")).all("caption")
    assert caption.text == "Scores: the first 1 of 2, all are in x.csv"
    assert len(as_markdown(scores(), 1).split("\n")) == 3


def test_columns_that_say_nothing_are_left_out_for_reading_only() -> None:
    slim = scores()._replace(rows=(("dog", 0.5, None, None, None),)).without_silent()
    assert [column.title for column in slim.shown] == ["Class", "Val"]
    assert as_csv(slim).startswith("class,mean,sd,low,high\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_in_its_markdown_cell(name: str) -> None:
    columns = (Column("name", "name", format=text.name), Column("n", "n", align="right"))
    lines = as_markdown(Table("", "", columns, ((name, 1),))).split("\n")
    assert len(lines) == 3
    # Cells are divided by the pipes that no backslash escapes.
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3
    shown = re.sub(r"\\(.)", r"\1", lines[2].split(" | ")[0].removeprefix("| ")).strip()
    assert shown.replace("\u200c", "") == name.replace("\n", " ")
    assert re.search(r"(?<!\\)[`*<]", lines[2]) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_text_on_a_page(name: str) -> None:
    region = read(as_html(table(name)))
    assert {node.tag for node in region.all()} <= {
        *("div", "table", "caption", "span", "thead", "tbody", "tr", "th"),
    }
    assert region.all("tbody")[0].all("th")[0].text == name.replace("\n", " ")


def test_columns_are_aligned_in_a_terminal_where_chinese_letters_are_two_wide() -> None:
    head, _, *lines = as_markdown(table("猫犬鳥", "abcdef", "a")).split("\n")
    assert lines == ["| 猫犬鳥 |", "| abcdef |", "| a      |"]
    assert len(head) == len(lines[1])


TEX = {
    **{f"\\{special}": special for special in "%_&#${}"},
    **{r"\^{}": "^", r"\textasciitilde{}": "~", r"\textbackslash{}": "\\", r"\textbar{}": "|"},
    **{r"\ensuremath{<}": "<", r"\ensuremath{>}": ">", "{[}": "[", "{*}": "*"},
}


def set_by_tex(cell: str) -> str:
    """What TeX sets for a cell that uses no command but these."""
    pattern = "|".join(re.escape(command) for command in sorted(TEX, key=len, reverse=True))
    return re.sub(pattern, lambda found: TEX[found[0]], cell)


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_sets_each_name_as_it_is_also_at_the_start_of_a_row(name: str) -> None:
    body = as_latex(table("first", name)).split(r"\midrule")[1].split(r"\bottomrule")[0]
    row = body.strip().split("\n")[1].removesuffix(r"\\").strip()
    assert set_by_tex(row) == name.replace("\n", " ")
    assert row[0] not in "[*"  # the line break before it would take it for an argument


def test_latex_says_which_letters_need_another_engine() -> None:
    assert "xelatex" in as_latex(table("猫"))
    assert "xelatex" not in as_latex(table("größe – 93.1 ± 0.2 †", *HOSTILE[:12]))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ("''x''", "'{}'x'{}'"),
        ("``x`", "`{}`x`"),
        ("?`!`", "?{}`!{}`"),
        ("a-b 'c'", "a-b 'c'"),
    ],
)
def test_latex_makes_no_dashes_and_quotes_of_a_name(name: str, written: str) -> None:
    assert f" {written} " in as_latex(table(name))


def test_latex_rows_end_where_they_should_and_the_rules_are_booktabs() -> None:
    content = as_latex(table(*HOSTILE, None))
    body = content.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().split("\n")
    assert len(body) == len(HOSTILE) + 1
    for line in body:
        assert line.endswith(r"\\")
        assert re.search(r"(?<!\\)[%_&#$]", line.removesuffix(r"\\")) is None
    assert body[-1].split() == ["-", r"\\"]


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_numbers_do_not() -> None:
    run = ["=1+1", "+a", "-a", "@a", "\ta", "\n=cmd()", " =1", "＝1"]
    content = as_csv(table(*run, -1.5, -3, "a=b", None))
    found = [row[0] if row else "" for row in read_csv(content)[1:]]
    assert found == [*(f"'{value}" for value in run), "-1.5", "-3", "a=b", ""]


def test_csv_numbers_come_back_bit_for_bit() -> None:
    values = [0.1 + 0.2, math.pi, 1e-17, 5130]
    assert [float(row[0]) for row in read_csv(as_csv(table(*values)))[1:]] == values


def test_an_empty_table_has_its_heading_in_every_format() -> None:
    for form in (as_markdown, as_latex, as_csv, as_html):
        assert "name" in form(table())
