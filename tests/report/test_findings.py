"""The sentences of the report in every state of a run, against numbers counted by hand."""

from collections.abc import Sequence

import pytest

from bench.analysis.power import Settling
from bench.analysis.summary import summarise
from bench.record import Failure, MissingWeights, Result, Run, Source
from bench.report import certainty, facts, findings, gaps
from bench.report.findings import Name, plain
from tests import records
from tests.records import cell, failure, result, run

Found = list[Result | Failure]


def far(**changes: object) -> tuple[Run, Found]:
    """A run of pretrained networks in which one is far ahead: 360 of 400 val images, then 300."""
    asked = run(["a", "b"], ["partial"], source="imagenet").model_copy(update=changes)
    return asked, [
        result(cell("a", "partial", 0, "imagenet"), val=360, test=880, train_seconds=30.0),
        result(cell("b", "partial", 0, "imagenet"), val=300, test=760, train_seconds=20.0),
    ]


def near() -> tuple[Run, Found]:
    """A run in which three are as good as the images can tell, and one is not."""
    strategies = ["fine_tuning", "two_phase", "partial", "from_scratch"]
    asked = run(["a"], strategies, source="imagenet")
    numbers = ((380, 60.0), (379, 30.0), (378, 20.0), (200, 5.0))
    return asked, [
        result(cell("a", way, 0, "imagenet"), val=val, test=900 + val % 10, train_seconds=seconds)
        for way, (val, seconds) in zip(strategies, numbers, strict=True)
    ]


def headline(asked: Run, found: Found) -> str:
    return plain(findings.headline(asked, found, summarise(asked, found)))


def limits(asked: Run, found: Found) -> list[str]:
    return [plain(text) for text in findings.limits(asked, found, summarise(asked, found))]


# ---- the headline ---------------------------------------------------------------------------


def test_a_winner_is_named_with_both_scores_and_its_lead() -> None:
    assert headline(*far()) == (
        "a · partial wins with 90.0 % top-1 accuracy on val and 88.0 % on test, 15.0 points of "
        "val ahead of b · partial (standard error 1.8)."
    )  # 60 images of 400 differ: the standard error is sqrt(0.15 * 0.85 / 399)


def test_a_tie_has_no_winner_but_a_recommendation_with_its_reason() -> None:
    assert headline(*near()) == (
        "No single winner: 3 of 4 are tied. Recommended: a · partial, because it has the lowest "
        "train time of these (20.0 s), with 94.5 % top-1 accuracy on val and 90.8 % on test; the "
        "highest on val is 95.0 % (a · fine_tuning)."
    )


def test_the_highest_is_not_named_again_where_it_is_the_recommended() -> None:
    asked = run(["a", "b"], ["partial"], source="imagenet")
    found: Found = [
        result(cell("a", "partial", 0, "imagenet"), val=380, train_seconds=5.0),
        result(cell("b", "partial", 0, "imagenet"), val=379, train_seconds=9.0),
    ]
    assert "Recommended: a · partial" in headline(asked, found)
    assert "highest" not in headline(asked, found)


@pytest.mark.parametrize(
    ("reused", "reason"),
    [
        ([1], "the lowest known train time of these (20.0 s; unknown for 1 of 3)"),
        ([0, 1], "the lowest known train time of these (20.0 s; unknown for 2 of 3)"),
        ([], "the lowest train time of these (20.0 s)"),
    ],
)
def test_the_lowest_of_costs_that_are_not_all_known_is_called_so(
    reused: list[int], reason: str
) -> None:
    asked, found = near()
    for index in reused:
        one = found[index]
        assert isinstance(one, Result)
        found[index] = records.reused(one)
    assert f"because it has {reason}, with" in headline(asked, found)
    summary = summarise(asked, found)
    told = by_title(facts.of_alternatives(summary, []))[
        "Cheapest within 0.5 points of the highest val"
    ]
    lacking = f" | train time unknown for {len(reused)} of 3" if reused else ""
    assert told == f"a · partial | the recommended itself{lacking}"


def test_where_the_first_cost_is_equal_the_next_one_is_the_reason() -> None:
    asked = run(["a", "b"], ["partial"], source="imagenet")
    found: Found = [
        result(cell("a", "partial", 0, "imagenet"), peak_memory_bytes=300 * 2**20),
        result(cell("b", "partial", 0, "imagenet"), peak_memory_bytes=200 * 2**20),
    ]
    assert "b · partial, because it has the lowest peak memory of these (200 MiB)," in headline(
        asked, found
    )


def test_where_all_costs_are_equal_the_rule_is_the_reason() -> None:
    asked = run(["a", "b"], ["partial"], source="imagenet")
    found: Found = [result(cell(name, "partial", 0, "imagenet")) for name in "ab"]
    assert "by the suite's tie-break (lowest train time, then peak memory)" in headline(
        asked, found
    )


def test_one_complete_row_is_compared_with_nothing() -> None:
    asked, found = far()
    found[1] = failure(found[1].cell)
    text = headline(asked, found)
    assert text.startswith("a · partial is the only one with every seed ok: 90.0 % ")
    assert text.endswith("There is nothing to compare it with.")
    summary = summarise(asked, found)
    assert list(certainty.verdicts(summary).values()) == ["disqualified", "the only one"]


@pytest.mark.parametrize("state", ["nothing recorded", "all failed"])
def test_no_complete_row_is_said_plainly(state: str) -> None:
    asked, found = far()
    found = [] if state == "nothing recorded" else [failure(one.cell) for one in found]
    assert headline(asked, found) == (
        "No winner: no architecture under any strategy has an ok record for each of its seeds "
        "(0 of 2 cells are ok)."
    )


@pytest.mark.parametrize(
    ("status", "source", "opening"),
    [
        ("running", "imagenet", "So far, a · partial wins"),
        ("finished", "random", "From random weights, a · partial wins"),
        ("interrupted", "random", "So far, from random weights, a · partial wins"),
    ],
)
def test_the_headline_cannot_be_quoted_without_what_limits_it(
    status: str, source: str, opening: str
) -> None:
    asked = run(["a", "b"], ["partial"], source=source).model_copy(update={"status": status})
    found: Found = [
        result(cell(name, "partial", 0, source), val=val) for name, val in (("a", 380), ("b", 300))
    ]
    assert headline(asked, found).startswith(opening)


def test_a_name_is_told_from_the_words_around_it() -> None:
    asked, found = far()
    text = findings.headline(asked, found, summarise(asked, found))
    assert [piece for piece in text if isinstance(piece, Name)] == ["a", "partial", "b", "partial"]


# ---- limits ---------------------------------------------------------------------------------


ONE_SEED = (
    "One seed: how much a training varies is unknown, so a winner or a tie may be the luck of this "
    "seed."
)


def two_seeds() -> tuple[Run, Found]:
    """A run of pretrained networks with nothing to hold against it."""
    asked = run(["a", "b"], ["partial"], seeds=[0, 1], source="imagenet")
    scores = (("a", 360), ("b", 300))
    return asked, [
        result(cell(name, "partial", seed, "imagenet"), val=val)
        for name, val in scores
        for seed in (0, 1)
    ]


def test_a_whole_run_of_pretrained_networks_on_one_machine_has_no_limits() -> None:
    assert limits(*two_seeds()) == []


def test_one_seed_limits_every_comparison_and_promises_no_rate() -> None:
    asked, found = far()
    assert limits(asked, found) == [ONE_SEED]
    rule = plain(certainty.rule(asked, summarise(asked, found)))
    assert "in 93 to 100 of 100" not in rule
    assert "missing from the tied in 23 to 67 of 100" in rule
    certain = by_title(facts.of_certainty(asked, summarise(asked, found)))
    assert certain["Seeds"] == (
        "1 | asked of every architecture and strategy, on one split | how much a training varies "
        "is unknown"
    )
    assert certain["Smallest visible difference"].endswith("unknown here, adds to it.")


def test_more_seeds_promise_what_was_simulated() -> None:
    asked, found = two_seeds()
    rule = plain(certainty.rule(asked, summarise(asked, found)))
    assert "in 93 to 100 of 100 where the trainings of all rows vary alike" in rule
    assert "about 89 where they vary very differently" in rule
    assert "one seed" not in rule
    certain = by_title(facts.of_certainty(asked, summarise(asked, found)))
    assert certain["Seeds"] == "2 | asked of every architecture and strategy, on one split"


def test_one_seed_of_the_only_row_limits_no_comparison() -> None:
    asked = run(["a"], ["partial"], source="imagenet")
    assert limits(asked, [result(cell("a", "partial", 0, "imagenet"))]) == []


def test_balanced_accuracy_has_intervals_that_are_approximate() -> None:
    asked, found = far()
    summary = summarise(asked, found)
    caveat = "Balanced accuracy is no proportion of images: its intervals are approximate."
    assert caveat not in plain(certainty.rule(asked, summary))
    assert caveat in plain(certainty.rule(asked, summary._replace(metric="balanced_accuracy")))


def test_a_fallback_says_first_that_it_does_not_answer_and_names_every_file() -> None:
    file = MissingWeights(
        architecture="a", file="a.pth", address="https://x/a.pth", folder="~/w", why="no network"
    )
    unnamed = file.model_copy(update={"architecture": "b", "file": "b.pth", "address": None})
    source = Source(wanted=("imagenet", "random"), used="random", missing=(file, unnamed))
    asked = run(["a", "b"], ["partial"]).model_copy(update={"source": source})
    found: Found = [result(cell(name, "partial", 0)) for name in "ab"]
    first, _, last, _ = limits(asked, found)
    assert first.endswith("this run does not tell which pretrained architecture to use.")
    assert last.startswith("The suite asks for imagenet weights first; the run used random")
    assert [plain(text) for text in findings.missing_files(asked)] == [
        "a: a.pth (no network); put it into ~/w, from https://x/a.pth",
        "b: b.pth (no network); put it into ~/w",
    ]


def test_networks_that_are_all_trained_from_scratch_are_no_fallback() -> None:
    asked = run(["a"], ["from_scratch"])
    assert limits(asked, [result(cell("a", "from_scratch", 0))]) == []


def test_an_unfinished_run_says_how_far_it_is() -> None:
    asked, found = far(status="running")
    assert limits(asked, found[:1]) == [
        "This run is running: 1 of 2 cells have a record. Everything below may change."
    ]


def test_costs_of_several_machines_are_those_of_the_one_with_most_cells() -> None:
    asked, found = far()
    asked = asked.model_copy(update={"cells": (*asked.cells,)})
    on_gpu = result(found[1].cell, val=300, machine=records.GPU)
    _, text = limits(asked, [found[0], on_gpu])
    assert "different machines" in text
    assert "1 of 2 ok cells on AMD EPYC, 2 cores, 2 threads" in text


# ---- verdicts and facts ---------------------------------------------------------------------


def test_verdicts_give_the_distance_and_its_standard_error() -> None:
    asked, found = near()
    summary = summarise(asked, found)
    verdicts = {row.strategy: text for row, text in certainty.verdicts(summary).items()}
    assert verdicts["fine_tuning"] == "leader"
    # 1 image of 400 differs: 0.25 points, and sqrt((1/400) (399/400) / 399) is 0.25 points too.
    assert verdicts["two_phase"] == "tied, 0.2 ± 0.2 behind"
    assert verdicts["from_scratch"] == "45.0 ± 2.5 behind"


def by_title(found: Sequence[facts.Fact]) -> dict[str, str]:
    return {fact.title: " | ".join([plain(fact.value), *map(plain, fact.notes)]) for fact in found}


def test_facts_of_the_recommended_are_its_scores_and_costs() -> None:
    asked, found = near()
    told = by_title(facts.of_recommended(asked, summarise(asked, found)))
    assert told["Val"].startswith("94.5 % | 95 %: 91.8–96.3 | 400 images")
    assert told["Train time"] == "20.0 s | as if it ran alone"
    assert told["Peak memory"] == "200 MiB | resident above the cell's start"
    assert told["Parameters"] == "11.2 M | 60.0 % trained"
    assert told["Latency"] == "6.00 ms | median of one image"


def test_an_unknown_cost_is_unknown_and_never_zero() -> None:
    asked, found = far()
    found[0] = result(found[0].cell, val=360, peak_memory_bytes=None)
    told = by_title(facts.of_recommended(asked, summarise(asked, found)))
    assert told["Peak memory"].startswith("unknown")


def test_alternatives_name_the_leader_the_cheapest_and_what_was_asked() -> None:
    asked, found = near()
    told = by_title(facts.of_alternatives(summarise(asked, found), ["With at most 5 s, none."]))
    assert told["Highest val"].startswith("a · fine_tuning | val 95.0 % | test 90.0 %")
    # 378 of 400 are 0.5 points below 380: just within.
    assert told["Cheapest within 0.5 points of the highest val"] == (
        "a · partial | the recommended itself"
    )
    assert told["Asked for"] == " | With at most 5 s, none."


@pytest.mark.parametrize(
    ("settlings", "told"),
    [
        (
            [Settling(2, 1234), Settling(13, 561)],
            "about 13 more seeds each | or about 1,300 val images in all",
        ),
        (
            [Settling(None, 1234), Settling(13, 561)],
            "about 1,300 val images in all | or about 13 more seeds each, settles 1 of 2 ties",
        ),
        (
            [Settling(None, None), Settling(9, None)],
            "about 9 more seeds each | settles 1 of 2 ties",
        ),
    ],
)
def test_what_settles_a_tie_is_rounded_up_and_says_of_how_much(
    settlings: list[Settling], told: str
) -> None:
    asked, found = near()
    summary = summarise(asked, found)
    ties = [one for one in summary.comparisons if one.tied]
    changed = [one._replace(settling=way) for one, way in zip(ties, settlings, strict=True)]
    certain = facts.of_certainty(asked, summary._replace(comparisons=tuple(changed)))
    assert by_title(certain)["What would settle the tie"] == (
        f"{told} | at the differences seen, in 80 of 100 suites"
    )


def test_a_tie_within_the_margin_cannot_be_settled() -> None:
    asked = run(["a", "b"], ["partial"], source="imagenet")
    found: Found = [result(cell(name, "partial", 0, "imagenet")) for name in "ab"]
    told = by_title(facts.of_certainty(asked, summarise(asked, found)))
    assert told["What would settle the tie"] == (
        "nothing | they differ by less than can be told, or the margin of 0.5 points"
    )


def test_without_a_tie_nothing_is_to_be_settled() -> None:
    asked, found = far()
    assert "What would settle the tie" not in by_title(
        facts.of_certainty(asked, summarise(asked, found))
    )


# ---- what is not there ----------------------------------------------------------------------


def test_failures_and_missing_cells_are_named_with_their_reasons() -> None:
    asked, found = far()
    summary = summarise(asked, [failure(found[1].cell, reason="loss is NaN in epoch 3")])
    assert [plain(text) for text in gaps.failures(summary)] == [
        "b · partial, seed 0: diverged (training) after 3.00 s: loss is NaN in epoch 3"
    ]
    assert [plain(text) for text in gaps.missing(summary)] == ["a · partial, seed 0: no record"]


def test_what_no_cell_could_measure_is_counted() -> None:
    asked, found = far()
    told = gaps.unmeasured(asked, found)
    assert told[0] == "Energy: unknown in 2 of 2 ok cells"
    assert "Spread over seeds: one seed only" in told
    assert not any("memory" in text for text in told)
