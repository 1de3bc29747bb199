"""What a run found, with its numbers, in every state of a run; and what limits it."""

import re

import pytest

from bench.analysis.choice import Summary
from bench.analysis.merge import NamedRun, merge
from bench.analysis.table import table
from bench.record import Calibration, Failure, MissingWeights, Result, Run, Sitting, UsedWeights
from bench.report import sentences, text
from bench.running import pool
from tests import records
from tests.records import cell, failure, result, run
from tests.report.reading import chosen

Found = list[Result | Failure]


def far(**changes: object) -> tuple[Run, Found]:
    """A run of pretrained networks in which one is far ahead: 360 of 400 val images, then 300."""
    asked = run(["a", "b"], ["partial"], source="imagenet").model_copy(update=changes)
    return asked, [
        result(cell("a", "partial", 0, "imagenet"), val=360, test=880, train_seconds=30.0),
        result(cell("b", "partial", 0, "imagenet"), val=300, test=760, train_seconds=20.0),
    ]


def near() -> tuple[Run, Found]:
    """A run in which three are shown to be within three points of each other, and one is not."""
    strategies = ["fine_tuning", "two_phase", "partial", "from_scratch"]
    asked = run(["a"], strategies, [0, 1], source="imagenet", margin=0.03)
    numbers = ((380, 60.0), (379, 30.0), (378, 20.0), (200, 5.0))
    return asked, [
        result(cell("a", way, seed, "imagenet"), val, test=900 + val % 10, train_seconds=seconds)
        for way, (val, seconds) in zip(strategies, numbers, strict=True)
        for seed in (0, 1)
    ]


def two_seeds() -> tuple[Run, Found]:
    """A run of pretrained networks with nothing to hold against it."""
    asked = run(["a", "b"], ["partial"], seeds=[0, 1], source="imagenet")
    return asked, [
        result(cell(name, "partial", seed, "imagenet"), val=val)
        for name, val in (("a", 360), ("b", 300))
        for seed in (0, 1)
    ]


def uneven_seeds() -> tuple[Run, Found]:
    """Three seeds under one strategy, one under the other."""
    ways, own = ["feature_extraction", "partial"], {"feature_extraction": [0, 1, 2]}
    asked = run(["a"], ways, source="imagenet", own_seeds=own)
    seeds = [("feature_extraction", seed) for seed in (0, 1, 2)] + [("partial", 0)]
    return asked, [
        result(cell("a", way, seed, "imagenet"), val=300 + seed + 40 * (way == "partial"))
        for way, seed in seeds
    ]


def headline(asked: Run, found: Found) -> str:
    return text.plain(sentences.headline(table(asked, found), chosen(asked, found)))


def cautions(asked: Run, found: Found) -> list[str]:
    said = sentences.cautions(table(asked, found), chosen(asked, found))
    return [text.plain(sentence) for sentence in said]


def has(sentence: str, *words: str) -> bool:
    """Whether the words stand there in this order."""
    return re.search(".*".join(map(re.escape, words)), sentence) is not None


# ---- the headline ---------------------------------------------------------------------------


def test_a_winner_is_named_with_both_scores_and_its_lead() -> None:
    # 60 images of 400 differ: the standard error is sqrt(0.15 * 0.85 / 399)
    said = headline(*far())
    assert has(said, "a · partial wins", "90.0 %", "88.0 %", "15.0 points", "b · partial", "1.8")


def test_a_tie_has_no_winner_but_a_recommendation_with_its_reason_and_the_highest() -> None:
    said = headline(*near())
    assert has(said, "No single winner: 400 val images cannot tell 3 of 4 apart")
    assert has(said, "Of the 3 shown to be within 3.0 points", "a · partial", "20.0 s")
    assert has(said, "recommended", "94.5 %", "90.8 %", "95.0 %", "a · fine_tuning")


def test_a_tie_in_which_none_is_shown_to_be_as_good_recommends_the_leader() -> None:
    asked, found = near()
    narrow = asked.suite.model_copy(update={"margin": 0.001})
    said = headline(asked.model_copy(update={"suite": narrow}), found)
    assert has(said, "3 of 4 apart. a · fine_tuning leads and is recommended: 95.0 %")


def test_every_headline_says_what_guessing_scores() -> None:
    for asked, found in (near(), far(), (far()[0], far()[1][:1])):
        assert "(always guessing the commonest class: 10.0 %)" in headline(asked, found)


def test_where_all_may_be_guessing_nothing_is_recommended_and_the_reason_is_said() -> None:
    found: Found = [result(cell(name, "partial", 0, "imagenet"), val=45) for name in "ab"]
    said = headline(far()[0], found)
    assert has(said, "Nothing is recommended: on 400 val images", "(10.0 %)", "is 11.2 % (a")
    told = sentences.verdicts(chosen(far()[0], found))
    assert all("may be guessing" in words for words in told.values())


def test_unequal_classes_are_named_with_the_metric_that_shows_them() -> None:
    asked, found = far()
    assert sentences.unequal_classes(table(asked, found), chosen(asked, found)) == ""
    labels = [0] * 950 + [1 + i % 9 for i in range(50)]
    unequal = [records.with_test(one, labels) for one in found if isinstance(one, Result)]
    (said,) = [one for one in cautions(asked, list(unequal)) if "unequal" in one]
    assert has(said, "950 of 1,000 test images", "95.0 %", 'metric = "balanced_accuracy"')
    balanced = run(["a", "b"], ["partial"], source="imagenet", metric="balanced_accuracy")
    told = chosen(balanced, list(unequal))
    assert sentences.unequal_classes(table(balanced, list(unequal)), told) == ""


def test_networks_that_answer_alike_are_named_with_their_answer_and_are_no_result() -> None:
    asked, found = far()
    assert sentences.one_answer(table(asked, found)) == ""
    labels = [0] * 30 + [9] * 10  # what is not right is answered with the next class: 0
    asked = run(["a", "b"], ["partial"], [0, 1], source="imagenet")
    cells = [cell(name, "partial", seed, "imagenet") for name in "ab" for seed in (0, 1)]
    alike = [records.answered(one, [label == 0 for label in labels], labels) for one in cells]
    name = asked.data.classes[0]
    (said,) = [one for one in cautions(asked, list(alike)) if "same class" in one]
    assert said == (
        f"4 networks give every val image the same class: a · partial, seed 0 (always {name}); "
        f"a · partial, seed 1 (always {name}); b · partial, seed 0 (always {name}); and 1 more."
    )
    assert pool.summary(alike[0]).endswith(f" s  always {name}")
    assert "always" not in pool.summary(next(one for one in found if isinstance(one, Result)))
    assert chosen(asked, list(alike)).recommended is None
    right = records.answered(cells[0], [True] * 40, [0] * 40)
    assert sentences.one_answer(table(asked, [right])) == "", "there was one class to answer"


def test_the_highest_is_not_named_again_where_it_is_the_recommendation() -> None:
    asked = run(["a", "b"], ["partial"], source="imagenet")
    found: Found = [
        result(cell("a", "partial", 0, "imagenet"), val=380, train_seconds=5.0),
        result(cell("b", "partial", 0, "imagenet"), val=379, train_seconds=9.0),
    ]
    assert "highest" not in headline(asked, found)


@pytest.mark.parametrize("reused", [[], [2], [0, 2]])
def test_the_lowest_of_costs_that_are_not_all_known_is_called_so(reused: list[int]) -> None:
    asked, found = near()
    for index in reused:
        one = found[index]
        assert isinstance(one, Result)
        found[index] = records.reused(one)
    lacking = f"; unknown for {len(reused)} of 3" if reused else ""
    known = "known " if reused else ""
    assert f"the lowest {known}train time (20.0 s{lacking})" in headline(asked, found)


@pytest.mark.parametrize(
    ("peaks", "reason"),
    [
        ((300, 200), "b · partial has the lowest peak memory (200 MiB)"),
        ((200, 200), "tie-break (lowest train time, then peak memory)"),
    ],
)
def test_where_costs_are_equal_the_next_one_or_the_rule_is_the_reason(
    peaks: tuple[int, int], reason: str
) -> None:
    asked = run(["a", "b"], ["partial"], [0, 1], source="imagenet")
    found: Found = [
        result(cell(name, "partial", seed, "imagenet"), peak_memory_bytes=peak * 2**20)
        for name, peak in zip("ab", peaks, strict=True)
        for seed in (0, 1)
    ]
    assert reason in headline(asked, found)


def test_one_complete_row_is_compared_with_nothing() -> None:
    asked, found = far()
    found[1] = failure(found[1].cell)
    assert has(headline(asked, found), "Only a · partial", "90.0 %", "nothing to compare")
    told = sentences.verdicts(chosen(asked, found))
    assert list(told.values()) == ["disqualified", "the only one"]


@pytest.mark.parametrize("state", ["nothing recorded", "all failed"])
def test_no_complete_row_is_said_plainly(state: str) -> None:
    asked, found = far()
    found = [] if state == "nothing recorded" else [failure(one.cell) for one in found]
    assert has(headline(asked, found), "No winner", "0 of 2 cells are ok")


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


# ---- cautions -------------------------------------------------------------------------------


def test_a_whole_run_of_pretrained_networks_on_one_machine_has_no_limits() -> None:
    assert cautions(*two_seeds()) == []


def test_one_seed_limits_every_comparison_and_promises_its_own_error_rate() -> None:
    asked, found = far()
    (said,) = cautions(asked, found)
    assert has(said, "one seed", "run-to-run variation", "luck")
    assert sentences.HELD_WITH_ONE_SEED in sentences.rule(asked, chosen(asked, found))
    asked, found = two_seeds()
    assert sentences.HELD in sentences.rule(asked, chosen(asked, found))


def test_rows_with_one_seed_among_others_are_named() -> None:
    asked, found = uneven_seeds()
    (said,) = cautions(asked, found)
    assert has(said, "one seed", "run-to-run variation of partial is unknown")
    rule = sentences.rule(asked, chosen(asked, found))
    assert sentences.HELD_WITH_SOME_ALONE in rule
    assert "over 1 to 3 seeds" in rule[0]


def test_one_seed_of_the_only_row_limits_no_comparison() -> None:
    asked = run(["a"], ["partial"], source="imagenet")
    assert cautions(asked, [result(cell("a", "partial", 0, "imagenet"))]) == []


def test_balanced_accuracy_has_intervals_that_are_approximate() -> None:
    def told(summary: Summary) -> bool:
        return "approximate" in " ".join(sentences.rule(asked, summary))

    asked, found = far()
    summary = chosen(asked, found)
    assert not told(summary)
    assert told(summary._replace(metric="balanced_accuracy"))


def test_a_fallback_to_random_says_first_that_it_does_not_answer_and_names_every_file() -> None:
    file = MissingWeights(
        architecture="a", file="a.pth", address="https://x/a.pth", folder="~/w", why="no network"
    )
    unnamed = file.model_copy(update={"architecture": "b", "file": "b.pth", "address": None})
    source = UsedWeights(wanted=("imagenet", "random"), used="random", missing=(file, unnamed))
    asked = run(["a", "b"], ["partial"]).model_copy(update={"source": source})
    first, _, fallback, _ = cautions(asked, [result(cell(name, "partial", 0)) for name in "ab"])
    assert has(first, "Random weights", "does not tell which pretrained architecture to use")
    assert has(fallback, "imagenet", "random", "2 files")
    files = [text.plain(one) for one in sentences.missing_files(asked)]
    assert has(files[0], "a: a.pth", "no network", "~/w", "https://x/a.pth")
    assert has(files[1], "b: b.pth", "no network", "~/w")


def test_a_fallback_to_pretrained_weights_is_not_called_random() -> None:
    asked, found = far(source=UsedWeights(wanted=("mine/", "imagenet"), used="imagenet"))
    said = " ".join(cautions(asked, found))
    assert has(said, "mine/ weights first", "used imagenet")
    assert "andom" not in said


def test_networks_that_are_all_trained_from_scratch_are_no_fallback() -> None:
    assert cautions(run(["a"], ["from_scratch"]), [result(cell("a", "from_scratch", 0))]) == []


def test_an_unfinished_run_says_how_far_it_is() -> None:
    asked, found = far(status="running")
    (said,) = cautions(asked, found[:1])
    assert has(said, "running", "1 of 2 cells have a record")
    (said,) = cautions(far()[0], found[:1])
    assert has(said, "Only 1 of 2 cells have a record")


def test_costs_of_several_machines_are_those_of_the_one_with_most_cells() -> None:
    asked, found = far()
    on_gpu = result(found[1].cell, val=300, machine=records.GPU)
    _, said = cautions(asked, [found[0], on_gpu])
    assert has(said, "different machines", "1 of 2 ok cells", "AMD EPYC, 2 cores", "2 threads")


def test_unstable_times_are_said_with_their_reason() -> None:
    start = Calibration(
        matmul_fp32_flops=2e12, matmul_bf16_flops=None, copy_bytes_per_second=4e10,
        upload_bytes_per_second=None, conv_seconds=0.010, loop_seconds=0.020, seconds=0.8,
        sizes={"matmul_fp32": 2048, "matmul_bf16": 4096, "copy": 1 << 26},
    )  # fmt: skip
    end = start.model_copy(update={"copy_bytes_per_second": 3e10, "conv_seconds": 0.02})
    asked, found = two_seeds()
    shaky = asked.model_copy(update={"sittings": (Sitting(start=start, end=end),)})
    (said,) = cautions(shaky, found)
    assert has(said, "unstable", "convolution -50 %", "Scores are not affected")
    steady = asked.model_copy(update={"sittings": (Sitting(start=start, end=start),)})
    assert cautions(steady, found) == []


def test_reused_features_are_explained() -> None:
    asked, found = far()
    assert isinstance(found[1], Result)
    found[1] = records.reused(found[1])
    assert has(cautions(asked, found)[-1], "†", "earlier run", "compared with nothing")


def test_runs_that_became_one_are_named_with_their_seeds_and_what_was_left_out() -> None:
    asked, found = two_seeds()
    parts = [NamedRun("x", table(asked, found)), NamedRun("y", table(asked, found[:1]))]
    said = sentences.sources(parts, merge(parts))
    assert has(text.plain(said[0]), "2 runs", "x (seeds 0, 1; AMD EPYC, 2 cores)", "y (")
    assert has(said[1], "1 cell is in more than one run", "1 record left out", "repeated")
    assert sentences.sources(parts[:1], merge(parts[:1])) == []


# ---- verdicts, and what is not there ---------------------------------------------------------


def test_verdicts_give_the_distance_and_its_standard_error() -> None:
    told = {row.strategy: said for row, said in sentences.verdicts(chosen(*near())).items()}
    assert told["fine_tuning"] == "leader"
    # 1 image of 400 differs: 0.25 points, and sqrt((1/400) (399/400) / 399) is 0.25 points too.
    assert told["two_phase"] == "as good, 0.2 ± 0.2 behind"
    assert told["from_scratch"] == "45.0 ± 2.5 behind"
    assert sentences.verdicts(chosen(*far()))[chosen(*far()).rows[0]] == "winner"


def test_failures_and_missing_cells_are_named_with_their_reasons() -> None:
    asked, found = far()
    summary = chosen(asked, [failure(found[1].cell, reason="loss is NaN in epoch 3")])
    (failed,), (lost,) = sentences.failures(summary), sentences.missing(summary)
    assert has(text.plain(failed), "b · partial, seed 0", "diverged", "3.00 s", "loss is NaN")
    assert has(text.plain(lost), "a · partial, seed 0", "no record")


def test_what_no_cell_could_measure_is_counted() -> None:
    asked, found = far()
    one = found[0]
    assert isinstance(one, Result)
    cost = one.cost.model_copy(update={"latency": None, "forward_macs": None})
    lacking = [one.model_copy(update={"cost": cost}), found[1]]
    told = " ".join(sentences.unmeasured(table(asked, lacking)))
    assert has(told, "Energy: unknown in 2 of 2", "Latency: unknown in 1 of 2", "MACs: unknown")
    assert has(told, "seeds: only one", "splits and data sets")
    assert "memory" not in told
