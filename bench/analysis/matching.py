"""Which cells of two runs belong together, and whether both have results to compare.

Cells pair by their identity without the seed; what is not of one task is told with the fields
that differ.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from bench.analysis.conditions import Side, count_differences, task_differences
from bench.analysis.digest import Digest, RowDigest
from bench.analysis.verdict import CELL, COUNTS, Verdict, Word

BROKEN = ("failed", "diverged", "timeout")
"""Ends of a cell that an ok one is not to come to; one that was stopped is only missing."""


class Pair(NamedTuple):
    """A row before and after."""

    before: Side
    after: Side

    @property
    def names(self) -> tuple[str, str]:
        """Architecture and strategy, as the candidate calls them: its thresholds count."""
        return _names(self.after.row)


class Match(NamedTuple):
    """The rows of two runs."""

    pairs: tuple[Pair, ...]  # of one task
    other_task: tuple[Pair, ...]  # of the same names only
    missing: tuple[RowDigest, ...]
    new: tuple[RowDigest, ...]


def matched(baseline: Digest, candidate: Digest) -> Match:
    """Rows by their task and, where several have the same one, their names; the rest by names."""
    left = list(candidate.rows)
    pairs: list[Pair] = []
    others: list[Pair] = []
    missing: list[RowDigest] = []
    for before, after in _nearest(baseline.rows, left):
        if after is None:
            missing.append(before)
            continue
        # A row without any record has no task to differ in.
        same = before.key == after.key or not (before.key and after.key)
        pair = Pair(Side(baseline, before), Side(candidate, after))
        (pairs if same else others).append(pair)
    return Match(tuple(pairs), tuple(others), tuple(missing), tuple(left))


def same_run(one: Digest, other: Digest) -> bool:
    """Whether two digests are of one run: a baseline file and the folder that it was made of."""
    took, took_too = (
        {(row.key, seed.seed): seed.train_seconds for row in run.rows for seed in row.ok}
        for run in (one, other)
    )
    return (one.started_at, took) == (other.started_at, took_too) and any(took.values())


def _nearest(
    rows: Sequence[RowDigest], left: list[RowDigest]
) -> list[tuple[RowDigest, RowDigest | None]]:
    """Each row with the one that belongs to it, which is taken out of what is left."""
    found: dict[int, RowDigest] = {}
    for likeness in LIKENESSES:
        there: dict[Hashable, list[RowDigest]] = {}
        for row in left:
            there.setdefault(likeness(row), []).append(row)
        for place, row in enumerate(rows):
            if place not in found and there.get(likeness(row)):
                found[place] = there[likeness(row)].pop(0)
        taken = set(map(id, found.values()))
        left[:] = [row for row in left if id(row) not in taken]
    return [(row, found.get(place)) for place, row in enumerate(rows)]


LIKENESSES: tuple[Callable[[RowDigest], Hashable], ...] = (
    lambda row: (row.key, row.architecture, row.strategy),
    lambda row: row.key or id(row),
    lambda row: (row.architecture, row.strategy),
)
"""What pairs two rows, the closest first."""


def _names(row: RowDigest) -> tuple[str, str]:
    return row.architecture, row.strategy


def cell_verdict(pair: Pair) -> Verdict:
    """Whether both sides have results, all of those that were asked for."""
    word, reason = _standing(pair.before.row, pair.after.row)
    return Verdict(*pair.names, CELL, word, reason)


def _standing(before: RowDigest, after: RowDigest) -> tuple[Word, str]:
    was = {one.seed: one.status for one in before.seeds}
    broken = [one for one in after.seeds if one.status in BROKEN]
    newly = [one for one in broken if was.get(one.seed, "ok") == "ok" and before.ok]
    lost = [one for one in after.seeds if one.status not in ("ok", *BROKEN)]
    if newly:
        return "failed", ", ".join(f"seed {one.seed} {one.status}" for one in newly)
    # Even if the baseline has no result either: of what did not run nobody knows that it fails.
    if lost:
        return "missing", ", ".join(f"seed {one.seed} {one.status}" for one in lost)
    if not before.ok and after.ok and not broken:
        return "improved", "has results now"
    known = all(was.get(one.seed) in BROKEN for one in broken)
    word: Word = "not_judged" if known else "not_comparable"
    if not before.ok:
        return word, "no result in the baseline"
    if not after.ok:
        return word, "no result in either run for the same seeds"
    if broken and not known:
        unknown = [one for one in broken if was.get(one.seed) not in BROKEN]
        told = ", ".join(f"seed {one.seed} {one.status}" for one in unknown)
        return "not_comparable", f"{told}, and without a result in the baseline"
    return "pass", ""


def without_seeds(pair: Pair, one: Verdict) -> Verdict:
    """The verdict on a cell; one that passes is not all there where seeds are no longer asked for.

    The seeds that are left are compared all the same.
    """
    gone = {seed.seed for seed in pair.before.row.ok} - {s.seed for s in pair.after.row.seeds}
    if one.word != "pass" or not gone:
        return one
    seeds = ", ".join(map(str, sorted(gone)))
    return one._replace(word="missing", reason=f"no longer asked for: seed {seeds}")


def count_verdict(pair: Pair) -> Verdict:
    """Whether the network is still the same."""
    fields = count_differences(*pair)
    if fields:
        return Verdict(*pair.names, COUNTS, "not_comparable", "another network", fields=fields)
    return Verdict(*pair.names, COUNTS, "pass")


def other_task(pair: Pair) -> Verdict:
    """A pair of the same names but of two tasks."""
    fields = task_differences(*pair)
    return Verdict(*pair.names, CELL, "not_comparable", "another task", fields=fields)


def alone(row: RowDigest, word: Word, reason: str) -> Verdict:
    """A row that only one of the runs has."""
    return Verdict(*_names(row), CELL, word, reason)
