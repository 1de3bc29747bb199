"""Whether a change is real: the one test of accuracy, time and memory, by `judge`.

A change counts that is significant over the whole suite (one-sided t, Holm's adjustment) and no
smaller than its floor. How uncertain a change is, past runs say, or pairs of runs, or, of accuracy,
images and seeds.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median, median_high, median_low
from typing import Final, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.paired import Z_POWER, between, with_seeds
from bench.analysis.stats import ROUNDING, Floats, Interval, holm, seed_variances, spread, tails
from bench.suite import CompareTable, Judged

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


# Images pair, seeds do not: the larger of the two standard errors counts (see `paired`). A single
# seed that fell far counts too: one training of three that goes wrong hides in the mean, because it
# widens the spread that the mean is tested against. Under another arithmetic every training goes
# another way, so only what a combination's own seeds show counts there.

ALPHA = MEASURES[ACCURACY].alpha

MANY_IMAGES = 5000
"""From here on, half the equivalence margin is asked for."""

LUCK = 0.01
"""Standard deviation over whole trainings, assumed where nothing has a second seed."""

FALL_ALPHA = 0.005
"""Significance level for single seeds; low, as the test of the mean has false alarms of its own."""

SURE = 1e9
"""Degrees of freedom of a spread that is assumed and not estimated."""


class Scored(NamedTuple):
    """The ok seeds of a combination in one run, S of them, on N test images."""

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    right_SN: NDArray[np.bool_]


def judge_accuracy(
    before: Sequence[Scored],
    after: Sequence[Scored],
    floors_P: Floats,
    crosses_P: NDArray[np.bool_],
    weights_N: Floats,
    settings: CompareTable,
) -> list[Verdict]:
    """A verdict for each of P combinations, by the weights of the images in the score.

    `crosses_P` says which ran under another arithmetic. There results differ a little, and the
    claim is that they are equivalent; a single seed shows neither that nor a change.
    """
    found, has_spread = compared(before, after, weights_N, crosses_P)
    margin = settings.equivalence / (2 if len(weights_N) >= MANY_IMAGES else 1)
    floors_P = np.fmax(floors_P, np.where(crosses_P, margin, 0.0))
    findings = judge(found, floors_P, ALPHA)
    untold_P = crosses_P & ~have_spread(before, after)
    needed_P = seeds_needed(found, floors_P, ALPHA / len(before))
    visible_P = found.visible(floors_P, ALPHA / len(before))
    is_equivalent_P = found.beyond_p(margin) < ALPHA
    within = f"equivalent within {_points(margin)}"
    assumed = "" if has_spread else f"one seed: a spread of {_points(LUCK)} is assumed"
    fallen = fallen_seeds(before, after, len(weights_N), settings.visible_drop, crosses_P)
    verdicts = []
    for place in range(len(before)):
        word, reason = findings.words[place], ""
        if untold_P[place]:
            seeds = f"about {needed_P[place]:,.0f} seeds in each run would tell"
            word, reason = "inconclusive", f"one seed under other arithmetic: {seeds}"
        elif word in ("regressed", "improved"):
            if crosses_P[place] and word == "regressed":
                reason = "other arithmetic: look at precision and TF32 first"
        elif crosses_P[place]:
            word, reason = "inconclusive", f"not shown to be {within}"
            if is_equivalent_P[place]:
                word, reason = "pass", within
        elif visible_P[place] > settings.visible_drop:
            word, reason = "inconclusive", "too few images or seeds"
        else:
            word = "pass"
        reasons = [reason, "" if untold_P[place] else assumed]
        if is_same := same_answers(before[place], after[place]):
            word, reasons = "pass", ["the same images right"]
        if seed := fallen[place]:  # named, but for one that fell with all others
            known = reasons if word == "regressed" else []
            word, reasons = "regressed", [seed.told if seed.alone or not known else "", *known]
        verdicts.append(
            Verdict(
                word,
                "; ".join(filter(None, reasons)),
                change=-float(found.changes_P[place]),
                p_adjusted=1.0 if is_same else findings.p_adjusted(place),
                visible=float(visible_P[place]),
            )
        )
    return verdicts


def have_spread(before: Sequence[Scored], after: Sequence[Scored]) -> NDArray[np.bool_]:
    """Which combinations have a second seed in both runs."""
    pairs = zip(before, after, strict=True)
    return np.array([min(len(one.scores), len(other.scores)) > 1 for one, other in pairs])


def seeds_needed(found: Estimate, floors_P: Floats, alpha: float) -> Floats:
    """Seeds in each run that would show changes as large as those seen, or the floors.

    In 80 of 100 runs, where one seed each has these errors.
    """
    sizes_P = np.fmax(np.abs(found.changes_P), floors_P)
    deviate = Z_POWER - special.ndtri(alpha)
    return np.asarray(np.fmax(2, np.ceil((deviate * found.errors_P / sizes_P) ** 2)))


def own_variances(before: Sequence[Scored], after: Sequence[Scored]) -> Floats:
    """Of a single training, as the seeds of each combination show it in both runs; else 0."""
    found = []
    for one, other in zip(before, after, strict=True):
        freedom = len(one.scores) + len(other.scores) - 2
        squares = [np.var(scores) * len(scores) for scores in (one.scores, other.scores)]
        found.append(sum(squares) / freedom if freedom else 0.0)
    return np.array(found)


def compared(
    before: Sequence[Scored],
    after: Sequence[Scored],
    weights_N: Floats,
    crosses_P: NDArray[np.bool_],
) -> tuple[Estimate, bool]:
    """The drops, and whether anything has a second seed to tell how trainings vary.

    Variances are shrunk towards what all combinations have in common. Where arithmetic is another,
    one whose own seeds vary more, such as a network that is far from converged, keeps its own.
    """
    both, count = [*before, *after], len(before)
    hits_RN = np.stack([one.right_SN.sum(axis=0, dtype=np.uint16) for one in both])
    found = with_seeds(hits_RN, weights_N, [one.scores for one in both])
    has_spread = bool((found.num_seeds_R > 1).any())
    if not has_spread:
        ones_R = np.ones(2 * count)
        found = found._replace(seed_variances_R=LUCK**2 * ones_R, freedoms_R=SURE * ones_R)
    own_R = np.tile(own_variances(before, after) * crosses_P, 2) / found.num_seeds_R
    own_freedoms_R = np.tile(found.num_seeds_R[:count] + found.num_seeds_R[count:] - 2, 2)
    varies_more_R = own_R > found.seed_variances_R
    found = found._replace(
        seed_variances_R=np.where(varies_more_R, own_R, found.seed_variances_R),
        freedoms_R=np.where(varies_more_R, own_freedoms_R, found.freedoms_R),
    )
    places_P: NDArray[np.intp] = np.arange(count)
    behind = between(found, places_P, places_P + count)
    limited_P = behind.freedoms_R if has_spread else np.full(count, found.num_images - 1.0)
    return Estimate(behind.means_R, behind.errors_R, np.maximum(limited_P, 1)), has_spread


def same_answers(before: Scored, after: Scored) -> bool:
    first, second = (dict(zip(one.seeds, one.right_SN, strict=True)) for one in (before, after))
    return first.keys() == second.keys() and all(
        np.array_equal(right_N, second[seed]) for seed, right_N in first.items()
    )


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


class Fallen(NamedTuple):
    """The worst seed of a combination, which fell."""

    told: str
    alone: bool  # the other seeds are nearer to the baseline than to it


def fallen_seeds(
    before: Sequence[Scored],
    after: Sequence[Scored],
    num_images: int,
    least: float,
    crosses_P: NDArray[np.bool_],
) -> list[Fallen | None]:
    """The worst seed of each; None where it did not fall by `least`, or maybe by chance.

    Under another arithmetic, one seed of a baseline does not tell how far another may fall.
    Each is held against the spread of the baseline's seeds; Holm's adjustment is over all seeds of
    all combinations.
    """
    spreads = [spread(one.scores) for one in before]
    errors, freedoms = [], []
    for seen, variance, crosses in zip(spreads, seed_variances(spreads), crosses_P, strict=True):
        of_one = LUCK**2 if variance.of_mean is None else variance.of_mean * seen.n
        if crosses:
            of_one = max(of_one, math.inf if seen.sd is None else seen.sd**2)
        # Few seeds may happen to agree; the images alone make them differ.
        images = seen.mean * (1 - seen.mean) / num_images
        errors.append(math.sqrt(max(of_one, images) * (1 + 1 / seen.n)))  # of one new seed
        freedoms.append(variance.degrees_of_freedom or SURE)
    falls_P = np.array([seen.mean for seen in spreads]) - [min(one.scores) for one in after]
    counts_P = np.array([len(one.scores) for one in after])
    p_P = holm(np.minimum(1.0, counts_P * tails(falls_P, np.array(errors), np.array(freedoms))))
    found = list[Fallen | None]()
    for one, seen, fall, p in zip(after, spreads, falls_P, p_P, strict=True):
        if not (p < FALL_ALPHA and fall >= least):
            found.append(None)
            continue
        score, worst = min(zip(one.scores, range(len(one.scores)), strict=True))
        others = [*one.scores[:worst], *one.scores[worst + 1 :]]
        alone = bool(others) and seen.mean - fmean(others) < fmean(others) - score
        found.append(Fallen(f"seed {one.seeds[worst]} fell to {100 * score:.1f} %", alone))
    return found
