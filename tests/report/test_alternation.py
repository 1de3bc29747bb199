"""What is said of runs that took turns, by whole sentences."""

import json
import re

from bench.analysis.alternation import Alternation, Sided, alternation
from bench.analysis.digest import Digest
from bench.report.alternation import as_json, headline, markdown, news, outcomes, remarks, table
from bench.report.verdicts import Sides
from tests.analysis import sides
from tests.analysis.sides import digested

SIDES = Sides("old", "new")


def made(factor: float = 1.0, unsteady: int = 0, cells: tuple[int, ...] = (4,)) -> Alternation:
    """Four pairs, the first so many of them unsteady; some cells slower by a factor."""

    def shaken(number: int, run: Digest) -> Digest:
        why = "the loop was 9 % slower" if number < unsteady else None
        return run.model_copy(update={"unstable": why})

    olds = [shaken(number, digested(number)) for number in range(4)]
    news_ = [digested(20 + number, sides.slower(factor), cells) for number in range(4)]
    return alternation(Sided(olds, news_))


def test_the_headline_names_the_sides_and_the_number_of_pairs() -> None:
    assert headline(made(), SIDES) == "new against old, 4 pairs of runs: no regression (19 passed)."
    assert headline(made(1.2), SIDES) == (
        "new against old, 4 pairs of runs: worse (1 regressed, 18 passed)."
    )


def test_what_all_cells_have_in_common_is_shown_even_where_it_passed() -> None:
    assert [one.name for one in news(made())] == ["all cells"]
    only = table(news(made()))
    assert only.header == ("Cell", "Metric", "Verdict", "Change", "Visible", "Why")
    ((*names, change, _, why),) = only.rows
    assert names == ["all cells", "train time", "pass"]
    assert str(change).endswith(" %")
    assert re.fullmatch(r"-\d\.\d to \+\d\.\d %, n = 4", str(why))
    slow = made(1.2, cells=tuple(range(6)))
    assert table(list(slow.comparison.verdicts)).header[3:5] == ("Old", "New")
    shown = table(news(slow))
    assert [row[:3] for row in shown.rows] == [("all cells", "train time", "regressed")]


def test_unsteady_pairs_are_told_and_mark_the_result_where_they_stay() -> None:
    told = "pairs in which the machine was not steady: "
    left_out, kept = made(unsteady=1), made(unsteady=2)
    assert remarks(left_out)[0] == f"{told}1; left out of times and memory"
    assert remarks(kept)[0] == f"{told}1, 2; kept, for too few others are"
    assert not [line for line in remarks(made()) if line.startswith(told)]
    assert (outcomes(left_out), outcomes(kept)) == (set(), {"unstable"})
    assert headline(left_out, SIDES) == headline(made(), SIDES)
    assert headline(kept, SIDES).startswith(
        "new against old, 4 pairs of runs, the machine not steady: no regression"
    )


def test_json_counts_pairs_from_one_and_gives_the_reasons() -> None:
    found = json.loads(as_json(made(unsteady=1), SIDES))
    assert (found["old"], found["new"], found["pairs"]) == ("old", "new", 4)
    assert found["pairs_judged"] == [2, 3, 4]
    assert found["pairs_unsteady"] == {"1": "old: the loop was 9 % slower"}
    assert "past_runs" not in found
    assert len(found["verdicts"]) == 6 * 5 + 1
    of_times = [one for one in found["verdicts"] if one["metric"] == "train_seconds"]
    assert {one["mean"]["num_pairs"] for one in of_times} == {3}
    assert all(
        one["mean"]["interval"][0] < one["change"] < one["mean"]["interval"][1] for one in of_times
    )
    assert {one["mean"] for one in found["verdicts"] if one["metric"] == "accuracy"} == {None}


def test_markdown_has_the_headline_the_table_and_the_remarks() -> None:
    lines = markdown(made(1.2), SIDES).splitlines()
    assert lines[0].startswith("### new against old, 4 pairs of runs: worse")
    assert lines[4].startswith("| vit_b_16 · feature_extraction | train time | regressed |")
    assert lines[-2].startswith(
        "- changes of train time and peak memory are means over n pairs with their 95 % intervals; "
    )
    assert lines[-1].startswith("- smallest changes for the worse that could be seen: test score")
