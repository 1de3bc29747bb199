"""What is said of a comparison, by whole sentences."""

import json
from collections.abc import Sequence

import pytest

from bench.analysis.compare import compare
from bench.analysis.verdict import (
    Comparison,
    Elsewhere,
    Rates,
    Shift,
    Verdict,
)
from bench.report.verdicts import (
    Sides,
    as_json,
    headline,
    markdown,
    news,
    points,
    remarks,
    signed,
    table,
)
from tests.analysis import sides
from tests.analysis.sides import digested

SIDES = Sides("old", "new")
PAST = sides.past(8)
NOTHING = Comparison((), None, None, 8, 5, None)


def verdicts(*words: str) -> Comparison:
    made = [Verdict(f"a{n}", "s", "accuracy", word) for n, word in enumerate(words)]  # type: ignore[arg-type]
    return NOTHING._replace(verdicts=tuple(made))


def test_the_headline_says_the_worst_and_counts_all() -> None:
    found = verdicts("pass", "pass", "regressed", "inconclusive", "improved")
    told = "worse (1 regressed, 1 inconclusive, 1 improved, 2 passed)."
    assert headline(found, SIDES) == f"new against old: {told}"
    assert "no regression (2 passed)" in headline(verdicts("pass", "pass"), SIDES)
    assert "nothing could be judged" in headline(verdicts("inconclusive"), SIDES)
    assert "nothing could be judged" in headline(NOTHING, SIDES)


def test_the_table_has_the_worst_first_and_leaves_out_what_passed() -> None:
    shown = table(news(verdicts("improved", "pass", "inconclusive", "regressed"))).rows
    assert [row[2] for row in shown] == ["regressed", "inconclusive", "improved"]


def rows(verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """The rows of the table, by its columns."""
    made = table(verdicts)
    return [dict(zip(made.header, map(str, row), strict=True)) for row in made.rows]


@pytest.mark.parametrize(
    ("share", "text"), [(-0.0, "+0.0"), (-0.0004, "+0.0"), (-0.0006, "-0.1"), (0.1234, "+12.3")]
)
def test_no_change_is_no_change_for_the_worse(share: float, text: str) -> None:
    assert (points(share), signed(share)) == (f"{text} points", f"{text} %")


def test_numbers_have_their_units() -> None:
    found = compare(digested(7), digested(20, sides.slower(1.2), cells=[4]), PAST)
    (row,) = rows(news(found))
    assert list(row) == ["Cell", "Metric", "Verdict", "Baseline", "Candidate", "Change"]
    cell = ["vit_b_16 · feature_extraction", "train time", "regressed"]
    assert list(row.values())[:3] == cell
    assert row["Baseline"].endswith(" s")
    assert row["Candidate"].endswith(" s")
    assert 15 < float(row["Change"].removesuffix(" %")) < 25
    (seen,) = (one for one in rows(found.verdicts) if list(one.values())[:3] == cell)
    assert (seen["Visible"], seen["Why"]) == ("-", "")  # which other rows have
    times = [one for one in rows(found.verdicts) if one["Metric"] == "train time"]
    others = [one for one in times if one["Verdict"] == "pass"]
    assert len(others) == 5
    assert all(5 < float(one["Visible"].removesuffix(" %")) < 10 for one in others)


def test_what_many_cells_share_is_one_sentence() -> None:
    found = compare(digested(7), digested(20), [])
    assert news(found) == []
    assert "train time of 6 cells not judged (1 of 5 runs)" in remarks(found)
    other = compare(digested(7), digested(20, sides.with_cell(image_size=64)), PAST)
    assert "6 cells not comparable: another task: image_size: 48 and 64" in remarks(other)


def test_who_is_to_blame_is_said() -> None:
    shift = Shift(0.3, 0.01, "code", "the machine was as quick as before")
    assert remarks(NOTHING._replace(shift=shift)) == [
        "all cells together took +30.0 % time, the machine itself +1.0 %; code to blame – the "
        "machine was as quick as before"
    ]
    assert remarks(NOTHING._replace(shift=Shift(0.02, 0.01, "none", ""))) == []


def test_another_machine_is_told_with_ratio_and_ranks() -> None:
    away = Elsewhere(0.5, 0.94, ("a · b ×1.2",), ("machine.gpu_name: X and Y",))
    assert remarks(NOTHING._replace(elsewhere=away)) == [
        "under other conditions: train times × 0.5 (median), Kendall's τ of the ranks 0.94; judged "
        "by nothing, for machine.gpu_name: X and Y",
        "far off that ratio: a · b ×1.2",
    ]


def test_shares_of_the_roofline_are_told_with_those_that_fell_most_first() -> None:
    known = [Rates(f"n{i} · s", (90, 50), (0.5, 0.1 * i)) for i in range(8, 0, -1)]
    away = Elsewhere(2, None, (), (), (Rates("unknown · s", (9, 5)), *known))
    line = remarks(NOTHING._replace(elsewhere=away))[-1]
    assert "n1 · s 0.50 and 0.10; n2 · s 0.50 and 0.20; " in line
    assert line.endswith("; n6 · s 0.50 and 0.60; and 2 more")
    told = json.loads(as_json(NOTHING._replace(elsewhere=away), SIDES))["elsewhere"]["rates"]
    assert told[0] == {"name": "unknown · s", "images_per_second": [9, 5], "shares": None}
    assert len(told) == 9


def test_markdown_shows_names_as_they_are() -> None:
    one = Verdict("a|b<script>", "s", "accuracy", "regressed", change=-0.1)
    text = markdown(NOTHING._replace(verdicts=(one,)), SIDES)
    assert "a\\|b\\<script\\> · s" in text
