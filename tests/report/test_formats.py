"""Whatever a name is, it stays in its cell and is read back, or shown, as it was given."""

import csv
import io
import math
import re

import pytest

from bench.report import formats
from bench.report.formats import Table, Value

HOSTILE = ["a|b", "`x`", "two\nlines", "=1+1", "50%_&#$~^{}\\", "<b>", "_it_ *is*", "@cmd", "&lt;"]
HOSTILE += ["[/red]", "*star", "1. one", "$x^$", "<script>alert(1)</script>", "猫", "שלום"]


def table(*values: Value) -> Table:
    """One column that holds the values."""
    return Table(("name",), tuple((value,) for value in values), "l")


def read_csv(text: str) -> list[list[str]]:
    """CSV as Python's own reader sees it."""
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_in_its_markdown_cell(name: str) -> None:
    lines = formats.markdown(Table(("name", "n"), ((name, 1),), "lr")).split("\n")
    assert len(lines) == 3
    # Cells are divided by the pipes that no backslash escapes.
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == 3
    shown = re.sub(r"\\(.)", r"\1", lines[2].split(" | ")[0].removeprefix("| ")).strip()
    shown = shown.replace("\u200c", "")
    assert shown == name.replace("\n", " ")
    assert re.search(r"(?<!\\)[`*<]", lines[2]) is None


def test_usual_names_read_unchanged_in_markdown() -> None:
    for name in ("mobilenet_v3_small", "resnet50:IMAGENET1K_V2", "-", "3/3 (1 diverged)", "a & b"):
        assert formats.escape_markdown(name) == name
    assert formats.escape_markdown("__init__") == r"\_\_init\_\_"
    assert formats.escape_markdown("# title") == r"\# title"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (":smile:", ":\u200csmile:"),
        ("a:+1:", "a:\u200c+1:"),
        ("@bob", "@\u200cbob"),
        ("www.x.org", "www\u200c.x.org"),
        *((same, same) for same in ("09:50:00", "a: b: c", "x @ y", "wwww.x", "resnet50:V2")),
    ],
)
def test_what_github_would_interpret_is_broken_where_it_is_not_seen(
    name: str, written: str
) -> None:
    assert formats.escape_markdown(name) == written


def test_markdown_columns_are_aligned() -> None:
    text = formats.markdown(Table(("name", "n"), (("long name", 1), ("x", 1000)), "lr"))
    assert text.split("\n") == [
        "| name      |    n |",
        "| --------- | ---: |",
        "| long name |    1 |",
        "| x         | 1000 |",
    ]


def test_columns_are_aligned_in_a_terminal_where_chinese_letters_are_two_wide() -> None:
    lines = formats.markdown(table("猫犬鳥", "abcdef", "a")).split("\n")
    assert lines[2:] == ["| 猫犬鳥 |", "| abcdef |", "| a      |"]


def test_what_turns_the_writing_round_is_left_out_and_what_is_written_from_the_right_stays() -> (
    None
):
    assert formats.one_line("\u202eevil\u202c \u2067x\u2069") == "evil x"
    assert formats.one_line("שלום") == "שלום"


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
    body = formats.latex(table("first", name)).split(r"\midrule")[1].split(r"\bottomrule")[0]
    row = body.strip().split("\n")[1].removesuffix(r"\\").strip()
    assert set_by_tex(row) == name.replace("\n", " ")
    assert row[0] not in "[*"  # the line break before it would take it for an argument


def test_latex_says_which_letters_need_another_engine() -> None:
    assert "xelatex" in formats.latex(table("猫"))
    assert "xelatex" not in formats.latex(table("größe – 93.1 ± 0.2 †", *HOSTILE[:12]))


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
    assert f" {written} " in formats.latex(table(name))


def test_latex_specials_are_escaped_and_the_rules_are_booktabs() -> None:
    text = formats.latex(table(*HOSTILE, None))
    assert r"\toprule" in text
    assert r"\bottomrule" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().split("\n")
    assert len(body) == len(HOSTILE) + 1
    specials = body[HOSTILE.index("50%_&#$~^{}\\")]
    assert specials.startswith(r" 50\%\_\&\#\$")
    for line in body:
        assert line.endswith(r"\\")
        assert re.search(r"(?<!\\)[%_&#$]", line.removesuffix(r"\\")) is None
    assert body[-1].split() == ["-", r"\\"]


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_numbers_do_not() -> None:
    run = ["=1+1", "+a", "-a", "@a", "\ta", "\n=cmd()", " =1", "＝1"]
    text = formats.csv_text(table(*run, -1.5, -3, "a=b", None))
    found = [row[0] if row else "" for row in read_csv(text)[1:]]
    assert found == [*(f"'{value}" for value in run), "-1.5", "-3", "a=b", ""]


def test_csv_numbers_come_back_bit_for_bit() -> None:
    values = [0.1 + 0.2, math.pi, 1e-17, 5130]
    assert [float(row[0]) for row in read_csv(formats.csv_text(table(*values)))[1:]] == values
