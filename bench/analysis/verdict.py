"""What a comparison says: a verdict for each cell (its seeds together) and metric."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from bench.analysis.stats import Interval

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
JUDGED = (ACCURACY, SECONDS, MEMORY)
"""Metrics that are judged by more than equality."""


class Mean(NamedTuple):
    """That a change is a mean over pairs of runs."""

    interval: Interval  # 95 %, of this cell alone
    num_pairs: int


class Verdict(NamedTuple):
    """Of one metric of one cell; CELL is of the cell as such, COUNTS of its parameters and MACs.

    `change` is candidate minus baseline: a share for accuracy, relative for time and memory (of
    time, after the change that all cells have in common).
    """

    architecture: str
    strategy: str
    metric: str
    word: Word
    reason: str = ""
    baseline: float | None = None
    candidate: float | None = None
    change: float | None = None
    p_adjusted: float | None = None  # one-sided, Holm's adjustment over the suite
    visible: float | None = None  # the smallest change for the worse that 80 of 100 runs show
    fields: tuple[str, ...] = ()  # that differ
    beyond: float | None = None  # likewise, from the mean of the past runs
    floor: float | None = None  # the least change that counts
    mean: Mean | None = None  # where runs took turns

    @property
    def name(self) -> str:
        """Architecture and strategy; the one alone where the other is empty."""
        return " · ".join(filter(None, (self.architecture, self.strategy)))


class Shift(NamedTuple):
    """What became slower or quicker for all cells alike, and what is to blame."""

    change: float  # relative, candidate to baseline, of the median cell
    calibration: float | None  # the machine's own, likewise; None where it was not measured
    blame: Literal[
        "code",
        "machine",
        "unclear",  # one of these two, or both
        "neither",  # within the noise, or not judged
        "none",  # no change that counts
    ]
    reason: str
    taken_off: bool = True  # the changes of cells are without it


class Rates(NamedTuple):
    """Training images/s of a cell under two sets of conditions, and the share of the roofline.

    The roofline is what each run's own calibration would allow; 1 is all of it.
    """

    name: str
    images_per_second: tuple[float, float]
    shares: tuple[float, float] | None = None  # None: unknown on a side


class Elsewhere(NamedTuple):
    """Train times under other conditions: told, never judged."""

    ratio: float  # candidate to baseline, median over cells
    kendall: float | None  # rank correlation of the cells; None for fewer than three
    apart: tuple[str, ...]  # cells that are off the common ratio by a factor of two or more
    fields: tuple[str, ...]  # that differ
    rates: tuple[Rates, ...] = ()  # of cells that train their whole network


class Comparison(NamedTuple):
    """Of two runs of one suite."""

    verdicts: tuple[Verdict, ...]
    shift: Shift | None
    elsewhere: Elsewhere | None
    num_past: int  # runs of the same suite, tasks and machine
    num_needed: int
    unstable: str | None  # why times were not judged
    notes: tuple[str, ...] = ()

    def count(self, *words: Word) -> int:
        """Verdicts with one of these words."""
        return sum(one.word in words for one in self.verdicts)


Outcome = Literal[
    "regressed",
    "failed",
    "missing",
    "refused",
    "unstable",
    "nothing_judged",
    "inconclusive",
]
"""What an exit code may tell."""


def outcomes(found: Comparison) -> set[Outcome]:
    """What the comparison has of each; comparing nothing is never success."""
    cells = [one for one in found.verdicts if one.metric in (CELL, COUNTS)]
    judged = [one for one in found.verdicts if one.metric in JUDGED]
    slower = found.shift is not None and found.shift.blame == "code"
    drifted = found.shift is not None and found.shift.blame in ("machine", "unclear")
    has: dict[Outcome, bool] = {
        "regressed": slower or _any(judged, "regressed"),
        "failed": _any(cells, "failed"),
        "missing": _any(cells, "missing"),
        "refused": _any(cells, "not_comparable"),
        "unstable": found.unstable is not None or drifted,
        "nothing_judged": not _any(judged, "pass", "improved", "regressed"),
        "inconclusive": _any(judged, "inconclusive"),
    }
    return {outcome for outcome, is_so in has.items() if is_so}


def _any(verdicts: Iterable[Verdict], *words: Word) -> bool:
    return any(one.word in words for one in verdicts)


def in_order(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The worst news first, as they came within the same word."""
    return sorted(verdicts, key=lambda one: WORDS.index(one.word))


def of_metric(verdicts: Sequence[Verdict], metric: str) -> dict[tuple[str, str], Verdict]:
    """Verdicts of one metric by the names of the cell."""
    return {(v.architecture, v.strategy): v for v in verdicts if v.metric == metric}
