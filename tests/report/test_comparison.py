"""What is said of a comparison, by whole sentences."""

import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from bench.analysis.ab import Alternation, Sided, alternation
from bench.analysis.compare import Comparison, compare, outcomes, together
from bench.analysis.costs import OtherConditions, Rates, Shift
from bench.analysis.judge import Verdict
from bench.analysis.table import Snapshot
from bench.record import Calibration, Sitting
from bench.report.comparison import (
    CODES,
    MOST_ROWS,
    Sides,
    ab_headline,
    ab_json,
    ab_markdown,
    ab_matters,
    ab_remarks,
    as_json,
    changed,
    headline,
    markdown,
    matters,
    remarks,
    signed,
    table,
)
from bench.report.junit import junit
from tests.analysis import sides
from tests.analysis.sides import tabled

SIDES = Sides("old", "new")
PAST = sides.past(8)
NOTHING = Comparison((), None, None, 8, None)


def verdicts(*words: str) -> Comparison:
    made = [Verdict(word).of((f"a{n}", "s"), "accuracy") for n, word in enumerate(words)]  # type: ignore[arg-type]
    return NOTHING._replace(verdicts=tuple(made))


def test_the_headline_says_the_worst_and_counts_all() -> None:
    found = verdicts("pass", "pass", "regressed", "inconclusive", "improved")
    told = "worse (1 regressed, 1 inconclusive, 1 improved, 2 passed)."
    assert headline(found, SIDES) == f"new against old: {told}"
    assert "no regression (2 passed)" in headline(verdicts("pass", "pass"), SIDES)
    assert "nothing could be judged" in headline(verdicts("inconclusive"), SIDES)
    assert "nothing could be judged" in headline(NOTHING, SIDES)


def test_the_table_has_the_worst_first_and_leaves_out_what_passed() -> None:
    found = verdicts("improved", "pass", "inconclusive", "regressed")
    assert [one.word for one in matters(found)] == ["regressed", "inconclusive", "improved"]


def rows(verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """The rows of the table, by its columns."""
    made = table(verdicts)
    names = [column.heading for column in made.shown]
    return [dict(zip(names, row, strict=True)) for row in made.texts()]


@pytest.mark.parametrize(
    ("share", "text"), [(-0.0, "+0.0"), (-0.0004, "+0.0"), (-0.0006, "-0.1"), (0.1234, "+12.3")]
)
def test_no_change_is_no_change_for_the_worse(share: float, text: str) -> None:
    assert (changed(share, "accuracy"), signed(share)) == (f"{text} points", f"{text} %")


def test_numbers_have_their_units() -> None:
    found = compare(tabled(7), tabled(20, sides.slower(1.2), cells=[4]), PAST)
    (row,) = rows(matters(found))
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


def test_what_was_not_judged_is_a_line_for_each_reason() -> None:
    found = compare(tabled(7), tabled(20), [])
    assert matters(found) == []
    told = [line for line in remarks(found) if "not judged" in line]
    assert told == ["train time and peak memory of 6 cells: not judged (1 of 5 runs)"]
    other = compare(tabled(7), tabled(20, sides.with_cell(image_size=64)), PAST)
    assert matters(other) == []
    assert "6 cells: not comparable, another task (image_size: 48 and 64)" in remarks(other)


def test_one_refused_cell_is_a_row_of_its_own() -> None:
    found = compare(tabled(7), tabled(20, sides.with_cell(image_size=64), cells=[0]), PAST)
    (row,) = rows(matters(found))
    assert row["Why"] == "another task: image_size: 48 and 64"


def test_a_comparison_shows_no_more_than_fifteen_rows_the_largest_first() -> None:
    made = [
        Verdict("regressed", change=0.01 * n).of((f"a{n}", "s"), "train_seconds") for n in range(20)
    ]
    found = NOTHING._replace(verdicts=tuple(made))
    assert matters(found)[0].change == pytest.approx(0.19)
    text = markdown(found, SIDES)
    assert text.count("| regressed") == MOST_ROWS
    assert "5 more rows" in text


def test_of_several_candidates_each_is_told() -> None:
    after = [tabled(20, sides.slower(1.2), cells=[4]), tabled(21)]
    each = {name: compare(tabled(7), run, PAST) for name, run in zip("ab", after, strict=True)}
    (row,) = rows(matters(together(each)))
    assert row["Verdict"] == "inconclusive"
    assert re.search(r"a regressed \+\d+\.\d %, b pass [+-]\d\.\d %", row["Why"])
    content = json.loads(as_json(together(each), SIDES))
    assert content["candidates"]["a"]["outcomes"] == ["regressed"]
    assert content["candidates"]["b"]["outcomes"] == []
    assert content["outcomes"] == ["inconclusive"]


def test_who_is_to_blame_is_said() -> None:
    shift = Shift(0.3, 0.01, "code", "the machine was as quick as before")
    assert remarks(NOTHING._replace(shift=shift)) == [
        "train time of all cells changed by +30.0 %, the machine itself by +1.0 %; the code is to "
        "blame: the machine was as quick as before"
    ]
    assert remarks(NOTHING._replace(shift=Shift(0.02, 0.01, "none", ""))) == []


def test_another_machine_is_told_with_ratio_and_ranks() -> None:
    away = OtherConditions(0.5, 0.94, ("a · b ×1.2",), ("machine.gpu_name: X and Y",))
    ratio, far = remarks(NOTHING._replace(elsewhere=away))
    assert "× 0.5 " in ratio
    assert "0.94" in ratio
    assert far.endswith("a · b ×1.2")


def test_shares_of_the_roofline_are_told_with_those_that_fell_most_first() -> None:
    known = [Rates(f"n{i} · s", (90, 50), (0.5, 0.1 * i)) for i in range(8, 0, -1)]
    away = OtherConditions(2, None, (), (), (Rates("unknown · s", (9, 5)), *known))
    line = remarks(NOTHING._replace(elsewhere=away))[-1]
    assert "n1 · s 0.50 and 0.10; n2 · s 0.50 and 0.20; " in line
    assert line.endswith("; n6 · s 0.50 and 0.60; and 2 more")
    told = json.loads(as_json(NOTHING._replace(elsewhere=away), SIDES))["elsewhere"]["rates"]
    assert told[0] == {"name": "unknown · s", "images_per_second": [9, 5], "shares": None}
    assert len(told) == 9


def test_markdown_shows_names_as_they_are() -> None:
    one = Verdict("regressed", change=-0.1).of(("a|b<script>", "s"), "accuracy")
    text = markdown(NOTHING._replace(verdicts=(one,)), SIDES)
    assert "a\\|b\\<script\\> · s" in text


# ---- runs that took turns -------------------------------------------------------------------


def made(factor: float = 1.0, unsteady: int = 0, cells: tuple[int, ...] = (4,)) -> Alternation:
    """Four pairs, the first so many of them unsteady; some cells slower by a factor."""

    def shaken(number: int, run: Snapshot) -> Snapshot:
        why = "the loop was 9 % slower" if number < unsteady else None
        return sides.headed(run, unstable=why)

    olds = [shaken(number, tabled(number)) for number in range(4)]
    news_ = [tabled(20 + number, sides.slower(factor), cells) for number in range(4)]
    return alternation(Sided(olds, news_))


def test_the_headline_names_the_sides_and_the_number_of_pairs() -> None:
    assert (
        ab_headline(made(), SIDES) == "new against old, 4 pairs of runs: no regression (19 passed)."
    )
    assert ab_headline(made(1.2), SIDES) == (
        "new against old, 4 pairs of runs: worse (1 regressed, 18 passed)."
    )


def test_what_all_cells_have_in_common_is_shown_even_where_it_passed() -> None:
    assert [one.name for one in ab_matters(made())] == ["all cells"]
    only = table(ab_matters(made()), CODES)
    names = [column.heading for column in only.shown]
    assert names == ["Cell", "Metric", "Verdict", "Change", "95 % interval", "Visible"]
    ((*said, change, interval, _),) = only.texts()
    assert said == ["all cells", "train time", "pass"]
    assert change.endswith(" %")
    assert re.fullmatch(r"-\d\.\d to \+\d\.\d %", interval)
    slow = made(1.2, cells=tuple(range(6)))
    shown = table(list(slow.comparison.verdicts), CODES).shown
    assert [column.heading for column in shown][3:5] == ["Old", "New"]
    assert [one.name for one in ab_matters(slow)] == ["all cells"]


@pytest.mark.slow
def test_unsteady_pairs_are_told_and_mark_the_result_where_they_stay() -> None:
    told = "pairs in which the machine was not steady: "
    left_out, kept = made(unsteady=1), made(unsteady=2)
    assert ab_remarks(left_out)[0] == f"{told}1; left out of times and memory"
    assert ab_remarks(kept)[0] == f"{told}1, 2; kept, as too few others are left"
    assert not [line for line in ab_remarks(made()) if line.startswith(told)]
    assert (left_out.outcomes, kept.outcomes) == (set(), {"unstable"})
    assert ab_headline(left_out, SIDES) == ab_headline(made(), SIDES)
    assert ab_headline(kept, SIDES).startswith(
        "new against old, 4 pairs of runs, the machine not steady: no regression"
    )


def test_json_counts_pairs_from_one_and_gives_the_reasons() -> None:
    found = json.loads(ab_json(made(unsteady=1), SIDES))
    assert (found["old"], found["new"], found["pairs"]) == ("old", "new", 4)
    assert found["pairs_judged"] == [2, 3, 4]
    assert found["pairs_unsteady"] == {"1": "old: the loop was 9 % slower"}
    assert "past_runs" not in found
    assert len(found["verdicts"]) == 6 * 5 + 1
    of_times = [one for one in found["verdicts"] if one["metric"] == "train_seconds"]
    assert {one["num_pairs"] for one in of_times} == {3}
    assert all(one["interval"][0] < one["change"] < one["interval"][1] for one in of_times)
    assert {one["interval"] for one in found["verdicts"] if one["metric"] == "accuracy"} == {None}


def test_markdown_has_the_headline_the_table_and_the_ab_remarks() -> None:
    lines = ab_markdown(made(1.2), SIDES).splitlines()
    assert lines[0].startswith("### new against old, 4 pairs of runs: worse")
    assert re.match(r"\| vit_b_16 · feature_extraction +\| train time +\| regressed", lines[4])
    assert "means over 4 pairs" in lines[-2]
    assert "could be seen: test score" in lines[-1]


# ---- JUnit: green only where the exit code is 0 ---------------------------------------------


def errors(found: Comparison) -> list[tuple[str | None, str | None, str | None]]:
    """Class, name and message of each case that is an error; the count in the head is theirs."""
    suite = ElementTree.fromstring(junit(found, SIDES))
    told = [
        (case.get("classname"), case.get("name"), error.get("message"))
        for case in suite.iterfind("testcase")
        for error in case.iterfind("error")
    ]
    assert suite.get("errors") == str(len(told))
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    return told


def test_a_clean_repeat_has_no_error() -> None:
    assert errors(compare(tabled(7), tabled(20), PAST)) == []


def test_another_task_is_an_error_of_the_comparison_with_the_field() -> None:
    found = compare(tabled(7), tabled(20, sides.with_cell(image_size=64), cells=[0, 1]), PAST)
    message = "another task: image_size: 48 and 64"
    assert errors(found) == [("comparison", "not comparable", message)]


def test_an_unsteady_machine_is_an_error_with_the_reason() -> None:
    start, end = (
        Calibration(
            matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
            upload_bytes_per_second=None, conv_seconds=None, loop_seconds=seconds, seconds=1.0,
        )
        for seconds in (1.0, 1.5)
    )  # fmt: skip
    found = compare(tabled(7), tabled(20, sittings=(Sitting(start=start, end=end),)), PAST)
    assert found.unstable
    assert errors(found) == [("comparison", "the machine was not steady", found.unstable)]
    drifted = Shift(0.3, 0.3, "machine", "the machine itself was slower")
    found = compare(tabled(7), tabled(20), PAST)._replace(shift=drifted)
    assert errors(found) == [("comparison", "the machine was not steady", drifted.reason)]


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        ((), "nothing could be judged"),
        ((Verdict("inconclusive", "too few images").of(("a", "s"), "accuracy"),), "too few images"),
    ],
)
def test_nothing_judged_is_an_error(verdicts: tuple[Verdict, ...], why: str) -> None:
    found = Comparison(verdicts, None, None, 8, None)
    assert outcomes(found) >= {"nothing_judged"}
    assert errors(found) == [("comparison", "nothing could be judged", why)]


def test_what_a_cell_shows_is_told_by_that_cell_alone() -> None:
    found = compare(tabled(7), tabled(20, sides.gone, cells=[0]), PAST)
    assert errors(found) == [("resnet18 · fine_tuning", "cell", "missing; seed 1 missing")]
