"""What a second run of the flagged cells makes of a comparison."""

from collections.abc import Collection, Mapping

import pytest

from bench.analysis import confirm
from bench.analysis.compare import compare
from bench.analysis.digest import Digest, RowDigest, SeedDigest
from bench.analysis.point import past_run_of
from bench.analysis.verdict import MEMORY, SECONDS, Comparison, Verdict, outcomes
from bench.record import Calibration, Sitting
from tests.analysis import sides
from tests.analysis.sides import digested

PAST = sides.past(8)
BASE = digested(7)
NAME = "vit_b_16 · feature_extraction"


def settled(candidate: Digest, second: Digest, base: Digest = BASE) -> Comparison:
    """The comparison of a candidate after that second run."""
    found = compare(base, candidate, PAST)
    doubted = confirm.doubts(found, candidate.device)
    past = confirm.past_of(candidate, PAST)
    other = compare(base, confirm.second_side(candidate, second), past)
    return confirm.confirmed(found, doubted, other, "again")


def only(run: Digest, architectures: Collection[str]) -> Digest:
    """The run of these alone."""
    rows = tuple(row for row in run.rows if row.architecture in architectures)
    return run.model_copy(update={"rows": rows})


def flagged(found: Comparison) -> list[Verdict]:
    return [one for one in found.verdicts if one.second is not None]


# ---- what it shows --------------------------------------------------------------------------

FAULTS = [(sides.slower(1.2), SECONDS), (sides.more_memory(80), MEMORY)]


@pytest.mark.parametrize(("change", "metric"), FAULTS)
def test_what_is_seen_again_stays_a_regression(change: sides.Change, metric: str) -> None:
    found = settled(digested(20, change, cells=[4]), digested(21, change, cells=[4]))
    (one,) = flagged(found)
    assert (one.name, one.metric, one.word) == (NAME, metric, "regressed")
    assert one.second is not None
    assert one.second.showed == "seen"
    assert one.second.change == pytest.approx(one.change, abs=0.1)
    assert outcomes(found) == {"regressed"}


def test_a_slower_machine_confirms_nothing_of_a_suite_of_two_cells() -> None:
    def two(number: int, change: sides.Change | None, speed: float) -> Digest:
        run = digested(number, change, cells=[0], sittings=(sides.sitting(speed),))
        return run.model_copy(update={"rows": run.rows[:2]})

    slow = sides.slower(1.2)
    found = settled(two(20, slow, 1.2e12), two(21, slow, 1e12), two(7, None, 1.2e12))
    (one,) = flagged(found)
    assert one.second is not None
    assert (one.word, one.second.showed) == ("inconclusive", "untold")
    assert one.second.why == "the machine itself was slower: run it again"
    (one,) = flagged(settled(two(20, slow, 1.2e12), two(21, slow, 1.2e12), two(7, None, 1.2e12)))
    assert one.word == "regressed"


@pytest.mark.parametrize(("change", "metric"), FAULTS)
def test_what_is_not_seen_again_is_inconclusive(change: sides.Change, metric: str) -> None:
    found = settled(digested(20, change, cells=[4]), digested(21))
    (one,) = flagged(found)
    assert (one.name, one.metric, one.word) == (NAME, metric, "inconclusive")
    assert one.second is not None
    assert one.second.showed == "unseen"
    assert one.second.change == pytest.approx(0, abs=0.05)
    assert outcomes(found) == {"inconclusive"}


def test_another_cell_that_is_slow_in_the_second_run_alone_is_no_regression() -> None:
    found = settled(
        digested(20, sides.slower(1.2), cells=[4]), digested(21, sides.slower(1.2), cells=[5])
    )
    assert [one.name for one in found.verdicts if one.word == "regressed"] == []
    assert outcomes(found) == {"inconclusive"}


def speed(seconds: float) -> Calibration:
    return Calibration(
        matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
        upload_bytes_per_second=None, conv_seconds=None, loop_seconds=seconds, seconds=1.0,
    )  # fmt: skip


UNSTEADY = (Sitting(start=speed(1.0), end=speed(1.2)),)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (digested(21, sittings=UNSTEADY), "speed changed"),
        (digested(21, sides.broken("failed"), cells=[4]), "seed 1 failed"),
        (digested(21, sides.with_machine(torch="3.0.0")), "machine.torch: 2.15.0 and 3.0.0"),
        (only(digested(21), ["resnet18"]), "no longer asked for"),
    ],
)
def test_where_a_second_run_cannot_tell_nothing_is_confirmed_nor_cleared(
    second: Digest, why: str
) -> None:
    found = settled(digested(20, sides.slower(1.2), cells=[4]), second)
    (one,) = flagged(found)
    assert one.word == "inconclusive"
    assert one.second is not None
    assert one.second.showed == "untold"
    assert why in one.second.why
    assert outcomes(found) == {"unconfirmed", "inconclusive"}


def test_a_peak_is_judged_in_an_unstable_run_too() -> None:
    more = sides.more_memory(80)
    found = settled(digested(20, more, cells=[4]), digested(21, more, cells=[4], sittings=UNSTEADY))
    (one,) = flagged(found)
    assert (one.metric, one.word) == (MEMORY, "regressed")


@pytest.mark.parametrize(
    ("factor", "machine", "showed", "outcome"),
    [
        (1.3, 1.0, "seen", "regressed"),
        (1.0, 1.0, "unseen", None),
        (1.3, 1.3, "untold", "unconfirmed"),
    ],
)
def test_what_all_cells_lost_is_laid_on_the_code_only_if_it_is_again(
    factor: float, machine: float, showed: str, outcome: str | None
) -> None:
    def run(number: int, factor: float, machine: float) -> Digest:
        sitting = Sitting(start=speed(machine), end=speed(machine))
        return digested(number, sides.slower(factor), sittings=(sitting,))

    before, candidate = run(7, 1.0, 1.0), run(20, 1.3, 1.0)
    found = compare(before, candidate, PAST)
    doubted = confirm.doubts(found, "cpu")
    assert doubted.common
    assert confirm.again(doubted, found, candidate) == ["resnet18", "vit_b_16"]
    second = compare(before, run(21, factor, machine), PAST)
    told = confirm.confirmed(found, doubted, second, "again")
    assert told.shift is not None
    assert told.shift.second is not None
    assert told.shift.second.showed == showed
    assert outcomes(told) == ({outcome} if outcome else set())


def test_thresholds_and_past_of_the_second_run_are_those_of_the_first() -> None:
    candidate, second = digested(20), digested(21, suite={**sides.asked().suite, "margin": 0.3})
    assert confirm.second_side(candidate, second).margin == candidate.margin
    after = past_run_of(candidate)
    assert after is not None
    assert confirm.past_of(candidate, [*PAST, after]) == PAST


# ---- what runs again ------------------------------------------------------------------------


def test_what_the_same_seeds_repeat_is_not_doubted() -> None:
    assert not confirm.doubts(compare(BASE, digested(20, sides.right(700)), PAST), "cpu")
    found = compare(BASE, digested(20, sides.more_memory(80), cells=[4]), PAST)
    assert confirm.doubts(found, "cpu").verdicts[0].metric == MEMORY
    assert not confirm.doubts(found, "cuda")


@pytest.mark.parametrize(
    ("words", "seconds", "ran"),
    [
        ({"a": "fppp", "b": "ppp", "c": "ppp"}, (1, 2, 3), "a"),  # three for company are there
        ({"a": "fpp", "b": "pp", "c": "pp"}, (1, 3, 2), "ac"),  # the cheapest comes along
        ({"a": "ff", "b": "pp", "c": "ppp"}, (1, 3, 2), "abc"),  # two flagged need five
        ({"a": "fp", "b": "fp", "c": "p", "d": "pp"}, (1, 1, 1, 2), "abcd"),
        ({"a": "ff", "b": "ff", "c": "p"}, (1, 1, 1), "abc"),  # all there are
        ({"a": "fp", "b": "nu", "c": "pp"}, (1, 1, 2), "ac"),  # noise is no company
        ({"a": "f", "b": "n"}, (1, 1), "ab"),  # but better than none
        ({"a": "f"}, (1,), "a"),
    ],
)
def test_whole_architectures_run_and_the_flagged_are_few_among_them(
    words: Mapping[str, str], seconds: tuple[float, ...], ran: str
) -> None:
    costs = dict(zip(words, seconds, strict=True))
    rows = tuple(
        RowDigest(
            architecture=name, strategy=str(place), key="", task={}, conditions={}, counts={},
            seeds=(SeedDigest(seed=0, status="ok", train_seconds=costs[name]),),
        )
        for name, letters in words.items()
        for place in range(len(letters))
    )  # fmt: skip
    # A letter for each strategy: flagged, passed, passed but noisy, unknown.
    told = {"f": "regressed", "p": "pass", "n": "pass", "u": "not_judged"}
    verdicts = [
        Verdict(
            name, str(place), SECONDS, told[letter],  # type: ignore[arg-type]
            visible=None if letter == "u" else 0.3 if letter == "n" else 0.07,
        )
        for name, letters in words.items()
        for place, letter in enumerate(letters)
    ]  # fmt: skip
    found = Comparison(tuple(verdicts), None, None, 8, 5, None)
    candidate = BASE.model_copy(update={"rows": rows})
    assert confirm.again(confirm.doubts(found, "cpu"), found, candidate) == list(ran)


def test_a_peak_alone_needs_no_company() -> None:
    found = compare(BASE, digested(20, sides.more_memory(80), cells=[4]), PAST)
    assert confirm.again(confirm.doubts(found, "cpu"), found, BASE) == ["vit_b_16"]
