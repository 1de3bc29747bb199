"""Whether a change is real: the one test that `compare`, `ab` and the other analyses share.

A change counts that is significant over the whole suite (one-sided t, Holm's adjustment) and no
smaller than its floor. How uncertain a change is, its caller says: runs of the past, pairs of runs,
or images and seeds. Which runs of the past it is judged by, `on_level` says.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median
from typing import Final, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.paired import Z_POWER
from bench.analysis.stats import ROUNDING, Floats, Interval, holm, seed_variances, spread
from bench.suite import Judged

# Dimensions: P cells (an architecture and a strategy, all seeds together), H runs of the past.

Word = Literal[
    "pass",
    "improved",
    "regressed",
    "inconclusive",  # a drop that matters could have gone unseen
    "not_judged",  # too little history, features of an earlier run, or no result in either run
    "not_comparable",
    "failed",
    "missing",
    "new",
]
WORDS: tuple[Word, ...] = (
    *("regressed", "failed", "missing", "not_comparable", "inconclusive", "not_judged"),
    *("improved", "new", "pass"),
)
"""From bad news to none."""

CELL, COUNTS = "cell", "counts"
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
    alpha: float  # of a comparison with past runs, over all cells


MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        # Of suites without a change less than 5 % raise an alarm: variances are only estimated.
        Measure(ACCURACY, "test score", "%", 0.01, "test_score", fmean, 0.005, False, 0.045),
        Measure(SECONDS, "train time", "s", 1.0, "train_seconds", median, 0.05, True, 0.05),
        Measure(MEMORY, "peak memory", "MiB", MIB, "peak_memory_bytes", max, 0.05, True, 0.05),
    )
}

MEMORY_FLOORS = {"cuda": (0.02, 16 * MIB), "cpu": (0.10, 32 * MIB)}
"""The least change of memory that a comparison counts, relative and in bytes; the larger holds.

On a CPU this is half of a leak of 64 MiB, which must be found; past runs tell the scatter.
"""

TIMED_CHOICE = 0.10
"""The relative floor where cuDNN chooses its algorithms, and their workspace, by timing them."""


def memory_floor(baseline: float, device: str, timed_choice: bool) -> float:
    """The least change of a peak that counts, in bytes."""
    share, least = MEMORY_FLOORS[device]
    return max((TIMED_CHOICE if timed_choice else share) * baseline, least)


class Verdict(NamedTuple):
    """Of one metric of one cell; CELL is of the cell as such, COUNTS of its parameters and MACs.

    `change` is candidate minus baseline: a share for accuracy, relative for time and memory (of
    time, beyond what all cells have in common).
    """

    word: Word
    reason: str = ""
    change: float | None = None
    p_adjusted: float | None = None  # one-sided, Holm's adjustment over the suite
    visible: float | None = None  # the smallest change for the worse that 80 of 100 runs show
    beyond: float | None = None  # the change from the mean of the past runs
    interval: Interval | None = None  # 95 %, of this cell alone, where pairs of runs are judged
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
    def cell(self) -> tuple[str, str]:
        return self.architecture, self.strategy

    @property
    def name(self) -> str:
        return " · ".join(filter(None, self.cell))

    def of(self, cell: tuple[str, str], metric: str) -> "Verdict":
        return self._replace(architecture=cell[0], strategy=cell[1], metric=metric)


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda one: WORDS.index(one.word))


# ---- significance ---------------------------------------------------------------------------


class Estimate(NamedTuple):
    """Changes of P cells, up for the worse, and how sure they are; NaN where unknown."""

    changes_P: Floats
    errors_P: Floats
    freedoms_P: Floats

    def tails(self) -> tuple[Floats, Floats]:
        """One-sided p of changes so far up, and so far down."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t_P = np.where(self.changes_P == 0, 0.0, self.changes_P / self.errors_P)
        return special.stdtr(self.freedoms_P, -t_P), special.stdtr(self.freedoms_P, t_P)

    def limits(self, alpha: float) -> Floats:
        """The changes that chance exceeds with this probability."""
        return np.asarray(special.stdtrit(self.freedoms_P, 1 - alpha) * self.errors_P)

    def visible(self, floors_P: Floats, alpha: float) -> Floats:
        """The smallest changes for the worse that 80 of 100 runs show, at this level each."""
        return np.fmax(self.limits(alpha), floors_P) + Z_POWER * self.errors_P


class Findings(NamedTuple):
    words: list[Word]  # "inconclusive": as large as the floor, but not surely
    worse_P: Floats  # adjusted p that a change is up
    better_P: Floats  # and that it is down
    visible_P: Floats  # the smallest change for the worse that 80 of 100 runs show
    besides: Floats  # the adjusted p of the further tests

    def p_adjusted(self, place: int, change: float) -> float:
        """Of a change, in its own direction."""
        return float((self.worse_P if change > 0 else self.better_P)[place])


NONE: Floats = np.empty(0)


def judge(
    found: Estimate,
    floors_P: Floats,
    alpha: float,
    since_P: Floats | None = None,
    besides: Floats = NONE,
) -> Findings:
    """Whether each change is significant and no less than its floor.

    `since_P` is the change by a second yardstick, which must reach the floor too. `besides` are p
    of further one-sided tests in the same suite, for Holm's adjustment of what became worse.
    """
    worse_P, better_P = found.tails()
    worse = adjusted(np.append(worse_P, besides))
    worse_P, better_P = worse[: len(floors_P)], adjusted(better_P)
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
    visible_P = found.visible(floors_P, alpha / max(1, int(known_P.sum()) + len(besides)))
    words_ = cast("list[Word]", words.tolist())
    return Findings(words_, worse_P, better_P, visible_P, worse[len(floors_P) :])


def adjusted(p_values: Floats) -> Floats:
    """Holm's adjustment over those that are known; NaN stays."""
    known = ~np.isnan(p_values)
    found = np.full(len(p_values), np.nan)
    found[known] = holm(p_values[known].tolist())
    return found


def estimate(values_HP: Floats, needed: int, *, of_new: bool = False) -> Estimate:
    """Means over H runs, NaN where a cell is not in one; unknown with fewer than `needed` values.

    The error is that of the mean, or, `of_new`, of one new value about it. The variance of each
    cell is shrunk towards that of all (see `bench.analysis.stats`): few runs hardly tell it.
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
"""Fewer cells have a median that is hardly more than the cells themselves."""


def nearest_median(values_P: Floats) -> float:
    """The median; of an even number, the one of all medians that is nearest to zero.

    So that where half of the cells changed, those are the ones that did.
    """
    ordered_P, half = np.sort(values_P), len(values_P) // 2
    low, high = ordered_P[(len(values_P) - 1) // 2], ordered_P[half]
    return float(np.clip(0.0, low, high))


# ---- which past runs judge ------------------------------------------------------------------

NEEDED = 5
"""Past runs without which nothing is predicted."""

STRAY = 0.001
"""Two-sided false-positive rate for excluding a run of the same level."""

LASTING = 3
"""Values in a row, near each other, that start a level of their own, before the baseline."""

FAR, VERY_FAR = 3, 6
"""Floors from the baseline beyond which a later, or an earlier value is not of a young level.

Earlier values are all that tells the scatter of a young baseline.
"""


def on_level(past_HP: Floats, place: int | None, floors_P: Floats) -> Floats:
    """The past runs comparable to the baseline: H values in order of time, NaN for the others.

    Runs before an accepted change, and runs that went wrong since, would hide the next change. The
    baseline is the run at `place`; all values stay where it is None, for it is not in the past. A
    value is of another level if it differs from the mean of those before by the floor, and by more
    than they scatter. (`history.steps` asks another question: where did the level change, seen
    from the end? It needs three runs on each side, and may not leave out single bad ones.)
    """
    if place is None:
        return past_HP
    limits = special.stdtrit(np.arange(len(past_HP) + 1) - 1.0, 1 - STRAY).tolist()
    found = np.full_like(past_HP, np.nan)
    for row, floor in enumerate(floors_P):
        kept = _kept(past_HP[:, row].tolist(), place, float(floor), limits)
        found[kept, row] = past_HP[kept, row]
    return found


def too_few(kept_H: Floats, past_H: Floats) -> str:
    count, others = (int((~np.isnan(one)).sum()) for one in (kept_H, past_H))
    away = f"; {others - count} others are of another level" if others - count > 1 else ""
    return f"not judged ({count} of {NEEDED} runs{away})"


def _kept(values: list[float], place: int, floor: float, limits: list[float]) -> list[int]:
    """Places of the values of the baseline's level."""
    levels, aside = [_Level(floor, limits)], list[int]()
    for row, value in enumerate(values):
        if math.isnan(value):
            continue
        if row == place:
            levels += [one for one in levels if not one.is_beyond(value)][-1:]
            if not levels[-1].is_beyond(value) and levels[-1].is_young:
                levels[-1] = levels[-1].near(value, VERY_FAR * floor)
        is_far = row > place and abs(value - values[place]) >= FAR * floor
        if not levels[-1].is_beyond(value) and not (is_far and levels[-1].is_young):
            levels[-1].add(row, value)
            aside = []
            continue
        aside.append(row)
        near = [other for other in aside if abs(values[other] - value) < floor]
        if row == place or (row < place and len(near) >= LASTING):
            levels.append(_Level(floor, limits))
            for other in near:
                levels[-1].add(other, values[other])
            aside = []
    return list(levels[-1].values)


class _Level:
    """Values about a mean, by their places (Welford 1962, doi:10.1080/00401706.1962.10490022)."""

    def __init__(self, floor: float, limits: list[float]) -> None:
        self.values: dict[int, float] = {}
        self._floor, self._limits = floor, limits
        self._mean = self._squares = 0.0

    def add(self, place: int, value: float) -> None:
        self.values[place] = value
        apart = value - self._mean
        self._mean += apart / len(self.values)
        self._squares += apart * (value - self._mean)

    def near(self, value: float, reach: float) -> "_Level":
        """The same without the values that are so far from one."""
        found = _Level(self._floor, self._limits)
        for place, other in self.values.items():
            if abs(other - value) < reach:
                found.add(place, other)
        return found

    @property
    def is_young(self) -> bool:
        return len(self.values) < NEEDED

    def is_beyond(self, value: float) -> bool:
        """Whether a value is of another level; two values tell of none."""
        count = len(self.values)
        if count < LASTING:
            return False
        scatter = math.sqrt(self._squares / (count - 1) * (1 + 1 / count))
        return abs(value - self._mean) >= max(self._floor, self._limits[count] * scatter)


def is_long(past_HP: Floats) -> NDArray[np.bool_]:
    """Cells whose past is long enough, [P]."""
    return np.asarray((~np.isnan(past_HP)).sum(axis=0) >= NEEDED)
