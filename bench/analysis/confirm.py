"""A second run of what a comparison flagged, so that bad luck alone makes no regression.

Only what luck can touch runs again: times, and peaks of memory on a CPU. The same seeds give the
same accuracy and the same counts, and on a GPU the same peak, so a second run would say nothing.

What a cell takes, and its peak above all, depends on what its process did before. So an
architecture runs whole, as it did in the first run. And what all cells have in common can only be
taken off in company: the cheapest architectures come along until steady cells that are not flagged
are more than twice as many as those that are, or all of the suite runs. (Simulated, 1 % of
noise, 10 % slower: with one more than the flagged 93 of 100 are seen again, with twice as many
all.) The past is taken of the same cells, so what so few of them scatter is known.

A cell is seen again where it is above the past runs by the floor once more. That it is beyond
chance, among all cells, was for the first run to show, and so was the difference to the baseline,
whose own luck is in it both times.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from bench.analysis.digest import Digest, PastRun, cost_of
from bench.analysis.speed import DRIFTED
from bench.analysis.verdict import (
    CELL,
    COUNTS,
    MEMORY,
    SECONDS,
    Again,
    Comparison,
    Second,
    Shift,
    Verdict,
    Word,
    of_metric,
    outcomes,
)


class Doubts(NamedTuple):
    """What of a comparison may be bad luck."""

    verdicts: tuple[Verdict, ...]
    common: bool  # what all cells lost, and what was laid on the code

    def __bool__(self) -> bool:
        return bool(self.verdicts) or self.common


def doubts(found: Comparison, device: str) -> Doubts:
    """The regressions that a second run may show or not."""
    chancy = (SECONDS, MEMORY) if device == "cpu" else (SECONDS,)
    flagged = [one for one in found.verdicts if one.metric in chancy and one.word == "regressed"]
    return Doubts(tuple(flagged), found.shift is not None and found.shift.blame == "code")


# ---- what runs again ------------------------------------------------------------------------

UNFLAGGED: tuple[Word, ...] = ("pass", "improved", "inconclusive")
"""Words of what was judged and is not said to be worse."""

COMPANY = 2
"""For each flagged cell there are more than so many others."""

STEADY = 0.10
"""Cells in which a smaller change of time would be seen tell what all have in common."""


def again(doubted: Doubts, found: Comparison, candidate: Digest) -> list[str]:
    """The architectures that run once more, in the order of the suite."""
    everything = list(dict.fromkeys(row.architecture for row in candidate.rows))
    if doubted.common:
        return everything
    chosen = {one.architecture for one in doubted.verdicts}
    num_flagged = sum(one.metric == SECONDS for one in doubted.verdicts)
    others = [name for name in everything if name not in chosen]
    others.sort(key=lambda name: (company(found, [name]) == 0, seconds(candidate, name)))
    while num_flagged and others and company(found, chosen) <= COMPANY * num_flagged:
        chosen.add(others.pop(0))
    return [name for name in everything if name in chosen]


def company(found: Comparison, architectures: Collection[str]) -> int:
    """Steady cells of these architectures that are not flagged."""
    return sum(
        one.metric == SECONDS
        and one.word in UNFLAGGED
        and one.visible is not None
        and one.visible <= STEADY
        for one in found.verdicts
        if one.architecture in architectures
    )


def seconds(run: Digest, architecture: str) -> float:
    """What the cells of an architecture took to train, as far as that is known."""
    rows = [row for row in run.rows if row.architecture == architecture]
    return sum((cost_of(row, SECONDS) or 0.0) * len(row.seeds) for row in rows)


# ---- by what it is judged -------------------------------------------------------------------


def second_side(candidate: Digest, second: Digest) -> Digest:
    """The second run as a candidate: held to the thresholds of the first."""
    return second.model_copy(update={"compare": candidate.compare, "margin": candidate.margin})


def past_of(candidate: Digest, past: Iterable[PastRun]) -> list[PastRun]:
    """The past of the first run: the first itself and all after it are no part of it."""
    return [one for one in past if one.started_at < candidate.started_at]


# ---- what it shows --------------------------------------------------------------------------


def confirmed(found: Comparison, doubted: Doubts, second: Comparison, run: str) -> Comparison:
    """The comparison after a second run, which was held against the same baseline and past.

    What is flagged stays so where it is seen again, and else is inconclusive. Where that run could
    not tell, for it was unstable, ended badly or ran under other conditions, nothing is confirmed
    and nothing cleared: `outcomes` has "unconfirmed". `run` names it.
    """
    settled = {one: _settled(one, second) for one in doubted.verdicts}
    ran = {one.name for one in second.verdicts if one.metric == COUNTS}
    cells = [
        one.name
        for one in second.verdicts
        if one.metric == CELL and (one.word != "missing" or one.name in ran)
    ]
    return found._replace(
        verdicts=tuple(settled.get(one, one) for one in found.verdicts),
        shift=_settled_shift(found.shift, second) if doubted.common else found.shift,
        again=Again(run, tuple(cells)),
    )


def is_told(found: Comparison) -> bool:
    """Whether the second run of a comparison could tell of all that it was made for."""
    return "unconfirmed" not in outcomes(found)


def _settled(one: Verdict, second: Comparison) -> Verdict:
    found = _showed(one, second)
    word: Word = "regressed" if found.showed == "seen" else "inconclusive"
    return one._replace(word=word, second=found)


def _showed(one: Verdict, second: Comparison) -> Second:
    names = (one.architecture, one.strategy)
    other = of_metric(second.verdicts, one.metric).get(names)
    if other is None:
        cell = of_metric(second.verdicts, CELL).get(names)
        return Second("untold", why=cell.reason if cell and cell.reason else "no result")
    if other.reason == DRIFTED:
        return Second("untold", why=DRIFTED)
    if other.beyond is None or other.floor is None:
        unstable = second.unstable if one.metric == SECONDS else None
        return Second("untold", why=unstable or "; ".join((other.reason, *other.fields)))
    return Second("seen" if other.beyond >= other.floor else "unseen", other.beyond)


def _settled_shift(shift: Shift | None, second: Comparison) -> Shift | None:
    if shift is None:
        return None
    other = second.shift
    if other is None:
        return shift._replace(
            blame="neither", second=Second("untold", why=second.unstable or "no times")
        )
    if other.blame == "code":
        return shift._replace(second=Second("seen", other.change))
    if other.blame == "none":
        return shift._replace(blame="neither", second=Second("unseen", other.change))
    return shift._replace(blame="neither", second=Second("untold", other.change, other.reason))
