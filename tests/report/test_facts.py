"""What is at a glance, and the answers to what was asked for."""

from collections.abc import Sequence

import pytest

from bench.analysis.choice import Budget
from bench.analysis.paired import Settling
from bench.analysis.table import table
from bench.record import Energy, Failure, Result, Run
from bench.report import facts, text
from bench.report.facts import Limits, answers
from tests import records
from tests.records import cell, result, run
from tests.report.reading import chosen
from tests.report.test_sentences import far, has, near


def by_title(found: Sequence[facts.Fact]) -> dict[str, str]:
    return {text.plain(one.title): text.plain(" | ".join([one.value, *one.notes])) for one in found}


# ---- at a glance ----------------------------------------------------------------------------


def test_facts_of_the_recommendation_are_its_scores_and_costs() -> None:
    asked, found = near()
    told = by_title(facts.of_recommended(asked, chosen(asked, found)))
    assert told["Val"].startswith("94.5 % | 95 %: 91.8–96.3 | 400 images")
    assert told["Val"].endswith("guessing: 10.0 %")
    assert told["Train time"] == "20.0 s | as if it ran alone | mean of 2 seeds"
    assert has(told["Peak memory"], "200 MiB", "above the cell's start")
    assert told["Parameters"] == "11.2 M | 60.0 % trained"
    assert told["Latency"].startswith("6.00 ms")


def test_an_unknown_cost_is_unknown_and_never_zero() -> None:
    asked, found = far()
    found[0] = result(found[0].cell, val=360, peak_memory_bytes=None)
    told = by_title(facts.of_recommended(asked, chosen(asked, found)))
    assert told["Peak memory"].startswith("unknown")


def test_alternatives_name_the_leader_the_cheapest_and_what_was_asked() -> None:
    asked, found = near()
    told = by_title(facts.of_alternatives(chosen(asked, found), ["With at most 5 s, none."]))
    assert told["Highest val"].startswith("a · fine_tuning | val 95.0 ± 0.0 % | test 90.0")
    cheapest = told["Cheapest within 3.0 points of the highest val"]
    assert cheapest == "a · partial | same as the recommendation"
    assert told["Asked for"] == " | With at most 5 s, none."


def test_a_cheapest_of_costs_that_are_not_all_known_says_so() -> None:
    asked, found = near()
    assert isinstance(found[1], Result)
    found[1] = records.reused(found[1])
    told = by_title(facts.of_alternatives(chosen(asked, found), []))
    cheapest = told["Cheapest within 3.0 points of the highest val"]
    assert cheapest.endswith("train time unknown for 1 of 3")


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_how_sure_it_is_depends_on_images_and_seeds(seeds: list[int]) -> None:
    asked = run(["a", "b"], ["partial"], seeds=seeds, source="imagenet")
    found = [
        result(cell(name, "partial", seed, "imagenet"), val=val)
        for name, val in (("a", 360), ("b", 300))
        for seed in seeds
    ]
    told = by_title(facts.of_certainty(asked, chosen(asked, found)))
    assert has(told["Images"], "1,700", "300 train, 400 val, 1,000 test")
    assert told["Seeds"].startswith(f"{len(seeds)} | ")
    for title in ("Seeds", "Smallest visible difference"):
        assert ("run-to-run variation" in told[title]) == (len(seeds) == 1)
    assert "What would settle the tie" not in told


@pytest.mark.parametrize(
    ("settlings", "told"),
    [
        (
            [Settling(2, 1234), Settling(13, 561)],
            ["about 13 more seeds each", "or about 1,300 val images in all"],
        ),
        (
            [Settling(None, 1234), Settling(13, 561)],
            ["about 1,300 val images in all", "or about 13 more seeds each", "1 of 2 ties"],
        ),
        ([Settling(None, None), Settling(9, None)], ["about 9 more seeds each", "1 of 2 ties"]),
    ],
)
def test_what_settles_a_tie_is_rounded_up_and_says_of_how_much(
    settlings: list[Settling], told: list[str]
) -> None:
    asked, found = near()
    summary = chosen(asked, found)
    ties = [one for one in summary.comparisons if one.tied]
    changed = [one._replace(settling=way) for one, way in zip(ties, settlings, strict=True)]
    certain = facts.of_certainty(asked, summary._replace(comparisons=tuple(changed)))
    assert has(by_title(certain)["What would settle the tie"], *told, "80 of 100")


def test_a_tie_that_neither_seeds_nor_images_would_settle_says_so() -> None:
    asked, found = near()
    summary = chosen(asked, found)
    nothing = [one._replace(settling=Settling(None, None)) for one in summary.comparisons]
    told = by_title(facts.of_certainty(asked, summary._replace(comparisons=tuple(nothing))))
    assert has(told["What would settle the tie"], "more seeds on more val images", "neither alone")


# ---- costs ----------------------------------------------------------------------------------


def spent(one: Failure | Result, joules: float) -> Result:
    energy = Energy(attributed_joules=joules, marginal_joules=joules)
    return Result.model_validate({**one.model_dump(), "energy": energy})


def costs(asked: Run, found: Sequence[Failure | Result]) -> dict[str, str]:
    return by_title(facts.of_costs(table(asked, found), chosen(asked, found)))


def test_costs_name_the_quickest_and_the_smallest_and_where_the_time_went() -> None:
    asked, found = far()
    told = costs(asked, found)
    assert has(told["Running time"], "8 min 32 s", "data 0.800 s", "train 50.0 s")
    assert told["Quickest to train"].startswith("b · partial | val 75.0 %")
    assert "unknown" not in " ".join(told.values())


def test_reused_features_are_never_the_cheapest_and_the_unknown_are_counted() -> None:
    asked, (slow, quick) = far()
    assert isinstance(quick, Result)
    told = costs(asked, [slow, records.reused(quick)])
    for title in ("Quickest to train", "Least memory"):
        assert has(told[title], "a · partial", "unknown for 1 of 2 complete")


def test_a_mean_of_energies_comes_with_its_range_and_leaves_out_what_was_saved() -> None:
    asked, (slow, quick) = far()
    told = costs(asked, [spent(slow, 100.0), spent(quick, 9000.0)])
    assert told["GPU energy of a cell"] == "mean 4,550 J | 100 to 9,000 J | 2 of 2 ok cells"
    both = [spent(slow, 500.0), records.reused(spent(quick, 3.0))]
    assert costs(asked, both)["GPU energy of a cell"].startswith("mean 500 J")
    assert "GPU energy of a cell" not in costs(asked, [slow, both[1]])


# ---- what was asked for ---------------------------------------------------------------------


def grid() -> tuple[Run, list[Result | Failure]]:
    """Three rows: 95 % in 30 s, 94 % in 20 s, 80 % in 5 s."""
    asked = run(["slow", "quick", "poor"], ["partial"])
    numbers = (("slow", 380, 30.0), ("quick", 376, 20.0), ("poor", 320, 5.0))
    return asked, [
        result(cell(name, "partial", 0), val=val, test=900, train_seconds=seconds)
        for name, val, seconds in numbers
    ]


def answer(limits: Limits, found: Sequence[Result | Failure] | None = None) -> str:
    asked, all_ = grid()
    (said,) = answers(chosen(asked, all_ if found is None else found), limits)
    return text.plain(said)


def test_without_a_question_there_is_no_answer() -> None:
    assert answers(chosen(*grid()), Limits()) == []


def test_the_best_within_a_budget_is_named_with_its_numbers_and_how_many_fit() -> None:
    said = answer(Limits(Budget(max_seconds=20.0)))
    assert has(said, "at most 20 s of training", "quick · partial", "94.0 %", "20.0 s of training")
    assert "2 of 3 complete rows fit" in said
    limits = Budget(30.0, 800 * 2**20, 12e6, 0.02)
    assert has(
        answer(Limits(limits)),
        "30 s of training, 800 MiB of memory, 12 M parameters and 20 ms of latency",
        "slow · partial",
    )


def test_a_budget_that_nothing_fits_says_what_the_least_would_be() -> None:
    said = answer(Limits(Budget(max_seconds=1.0)))
    assert has(said, "no complete row fits", "5.00 s of training")


def test_rows_of_unknown_cost_do_not_fit_and_are_counted() -> None:
    _, found = grid()
    found[1] = result(found[1].cell, val=376, peak_memory_bytes=None)
    said = answer(Limits(Budget(max_memory_bytes=2**30)), found)
    assert has(said, "slow · partial", "2 of 3", "1 with an unknown cost")


def test_the_cheapest_within_a_margin_is_set_against_the_best() -> None:
    said = answer(Limits(within=0.01))
    assert has(said, "Within 1 point of", "quick · partial", "20.0 s", "slow · partial", "30.0 s")
    assert has(answer(Limits(within=0.005)), "0.5 points", "best itself", "slow · partial")


def test_a_margin_of_nothing_complete_names_nothing() -> None:
    _, found = grid()
    said = answer(Limits(within=0.01), [records.failure(one.cell) for one in found])
    assert "no row is complete" in said
    assert "·" not in said


def test_a_name_in_an_answer_is_on_one_line() -> None:
    asked = run(["two\nlines"], ["partial"])
    found = [result(cell("two\nlines", "partial", 0))]
    (said,) = answers(chosen(asked, found), Limits(Budget(max_seconds=60.0)))
    assert text.plain(said).isprintable()
