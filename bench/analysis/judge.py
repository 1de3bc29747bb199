"""Whether a change is real: the one test of accuracy, time and memory, by `judge`.

A change counts that is significant over the whole suite (one-sided t, Holm's adjustment) and no
smaller than its floor. How uncertain a change is, past runs say, or pairs of runs (`costs`, `ab`),
or, of accuracy, images and seeds (`accuracy`).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median, median_high, median_low
from typing import Final, Literal, NamedTuple, cast, get_args

import numpy as np
from scipy import special

from bench.analysis.paired import Z_POWER
from bench.analysis.stats import ROUNDING, Floats, Interval, holm, seed_variances, spread, tails
from bench.suite import Judged

# Dimensions: P combinations of an architecture and a strategy, H runs of the past.

Word = Literal[
    "regressed",
    "failed",
    "missing",
    "not_comparable",
    "inconclusive",  # a drop that matters could have gone unseen
    "not_judged",  # too little history, features of an earlier run, or no result in either run
    "improved",
    "new",
    "pass",
]
WORDS: tuple[Word, ...] = get_args(Word)
"""From bad news to none."""

CELL, SIZE = "cell", "counts"
ACCURACY: Final = "accuracy"
SECONDS: Final = "train_seconds"
MEMORY: Final = "peak_memory_bytes"
MIB = 2**20


class Measure(NamedTuple):
    """What is judged: where it stands in a run's table, and which change of it matters."""

    name: Judged
    title: str
    unit: str
    scale: float  # what one of the unit is
    column: str
    over_seeds: Callable[[Sequence[float]], float]
    floor: float  # the least change that counts: points as a share, or relative
    relative: bool
    alpha: float  # of a comparison with past runs, over all combinations


MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        # Of suites without a change less than 5 % raise an alarm: variances are only estimated.
        Measure(ACCURACY, "test score", "%", 0.01, "test_score", fmean, 0.005, False, 0.045),
        Measure(SECONDS, "train time", "s", 1.0, "train_seconds", median, 0.05, True, 0.05),
        Measure(MEMORY, "peak memory", "MiB", MIB, "peak_memory_bytes", max, 0.05, True, 0.05),
    )
}


class Verdict(NamedTuple):
    """Of one metric of a combination; CELL is of its results as such, SIZE of its network's size.

    `change` is candidate minus baseline: a share for accuracy, relative for time and memory (of
    time, beyond what all combinations have in common).
    """

    word: Word
    reason: str = ""
    change: float | None = None
    p_adjusted: float | None = None  # one-sided, Holm's adjustment over the suite
    visible: float | None = None  # the smallest change for the worse that 80 of 100 runs show
    beyond: float | None = None  # the change from the mean of the past runs
    interval: Interval | None = None  # 95 %, of this one alone, where pairs of runs are judged
    num_pairs: int | None = None
    floor: float | None = None  # the least change that counts
    baseline: float | None = None
    candidate: float | None = None
    fields: tuple[str, ...] = ()  # that differ
    showed: tuple[tuple[str, Word | None, float | None], ...] = ()  # word and change by candidate
    architecture: str = ""
    strategy: str = ""
    metric: str = ""

    @property
    def names(self) -> tuple[str, str]:
        return self.architecture, self.strategy

    @property
    def name(self) -> str:
        return " · ".join(filter(None, self.names))

    def of(self, names: tuple[str, str], metric: str) -> "Verdict":
        return self._replace(architecture=names[0], strategy=names[1], metric=metric)


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda one: WORDS.index(one.word))


class Estimate(NamedTuple):
    """Changes of P combinations, up for the worse, and how sure they are; NaN where unknown."""

    changes_P: Floats
    errors_P: Floats
    freedoms_P: Floats

    def tails(self) -> tuple[Floats, Floats]:
        """One-sided p of changes so far up, and so far down."""
        return tails(*self), tails(-self.changes_P, self.errors_P, self.freedoms_P)

    def limits(self, alpha: float) -> Floats:
        """The changes that chance exceeds with this probability."""
        return np.asarray(special.stdtrit(self.freedoms_P, 1 - alpha) * self.errors_P)

    def beyond_p(self, margin: float) -> Floats:
        """One-sided p of changes so far within a margin, in either direction.

        The larger p of two one-sided tests: Schuirmann 1987, doi:10.1007/BF01068419.
        """
        return self._replace(changes_P=np.abs(self.changes_P) - margin).tails()[1]

    def visible(self, floors_P: Floats, alpha: float) -> Floats:
        """The smallest changes for the worse that 80 of 100 runs show, at this level each."""
        return np.fmax(self.limits(alpha), floors_P) + Z_POWER * self.errors_P


class Findings(NamedTuple):
    of: Estimate
    words: list[Word]  # "inconclusive": as large as the floor, but not surely
    worse_P: Floats  # adjusted p that a change is up
    better_P: Floats  # and that it is down
    visible_P: Floats  # the smallest change for the worse that 80 of 100 runs show
    further_p: Floats  # the adjusted p of the further tests

    def p_adjusted(self, place: int) -> float:
        return float((self.worse_P if self.of.changes_P[place] > 0 else self.better_P)[place])

    def verdicts(self, noise: str, baseline_P: Floats | None = None) -> list[Verdict]:
        """Changes as shares of the baseline; without one they are logarithms of ratios.

        `noise` is the reason where a change is as large as the floor, but not surely.
        """

        def share(change: float, place: int) -> float:
            return math.expm1(change) if baseline_P is None else change / float(baseline_P[place])

        return [
            Verdict(word)
            if word == "not_judged"
            else Verdict(
                word,
                noise if word == "inconclusive" else "",
                change=share(float(self.of.changes_P[place]), place),
                p_adjusted=self.p_adjusted(place),
                visible=share(float(self.visible_P[place]), place),
            )
            for place, word in enumerate(self.words)
        ]


def judge(
    found: Estimate,
    floors_P: Floats,
    alpha: float,
    since_P: Floats | None = None,
    further_p: Sequence[float] = (),
) -> Findings:
    """Whether each change is significant and no less than its floor.

    `since_P` is the change by a second yardstick, which must reach the floor too. `further_p` are p
    of further one-sided tests in the same suite, for Holm's adjustment of what became worse.
    """
    worse_P, better_P = found.tails()
    worse = holm(np.append(worse_P, further_p))
    worse_P, better_P = worse[: len(floors_P)], holm(better_P)
    seconds_P = found.changes_P if since_P is None else since_P
    least_P, most_P = np.fmin(found.changes_P, seconds_P), np.fmax(found.changes_P, seconds_P)
    known_P = ~np.isnan(worse_P)
    reached_P = (least_P >= floors_P - ROUNDING) & (least_P > 0)
    words = np.select(
        [
            ~known_P,
            reached_P & (worse_P < alpha),
            (most_P <= ROUNDING - floors_P) & (better_P < alpha),
            reached_P,
        ],
        ["not_judged", "regressed", "improved", "inconclusive"],
        "pass",
    )
    visible_P = found.visible(floors_P, alpha / max(1, int(known_P.sum()) + len(further_p)))
    words_ = cast("list[Word]", words.tolist())
    return Findings(found, words_, worse_P, better_P, visible_P, worse[len(floors_P) :])


def estimate(values_HP: Floats, needed: int, *, of_new: bool = False) -> Estimate:
    """Means over H runs, NaN where a value is unknown; NaN with fewer than `needed` values.

    The error is that of the mean, or, `of_new`, of one new value about it. The variance of each
    one is shrunk towards that of all (see `bench.analysis.stats`): few runs hardly tell it.
    """
    counts_P = (~np.isnan(values_HP)).sum(axis=0)
    means_P, errors_P, freedoms_P = (np.full(len(counts_P), np.nan) for _ in range(3))
    places = np.flatnonzero(counts_P >= needed)
    columns = (values_HP[:, place] for place in places)
    spreads = [spread(column[~np.isnan(column)].tolist()) for column in columns]
    for place, seen, variance in zip(places, spreads, seed_variances(spreads), strict=True):
        of_mean = cast("float", variance.of_mean)
        means_P[place] = seen.mean
        errors_P[place] = math.sqrt(of_mean * (seen.n + 1 if of_new else 1))
        freedoms_P[place] = variance.degrees_of_freedom
    return Estimate(means_P, errors_P, freedoms_P)


FEW_CELLS = 3
"""Fewer combinations have a median that is hardly more than they are themselves."""


def nearest_median(values_P: Floats) -> float:
    """The median; of an even number, the one of all medians that is nearest to zero.

    So that where half of them changed, those are the ones that did.
    """
    values = values_P.tolist()
    return float(min(max(0.0, median_low(values)), median_high(values)))
