"""Two runs of one suite: a verdict for each cell and metric.

What is not of one task is refused with the fields that differ; what ran under other conditions is
compared as far as that means something.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.analysis import drops
from bench.analysis.bounds import NEEDED
from bench.analysis.conditions import numerics_differences, short, untold
from bench.analysis.costing import (
    Judging,
    history,
    memory_verdicts,
    relevant,
    second_verdicts,
    unsteady,
)
from bench.analysis.digest import Digest, Facts, PastRun, RowDigest
from bench.analysis.matching import (
    Pair,
    alone,
    cell_verdict,
    count_verdict,
    matched,
    other_task,
    without_seeds,
)
from bench.analysis.point import past_run_of
from bench.analysis.stats import weights
from bench.analysis.verdict import ACCURACY, Comparison, Verdict
from bench.predictions import unpack_column
from bench.suite import CompareTable

MOST = 3
"""Facts that changed, to be named one by one."""

LEAST_DROP = 0.005
"""Half a point: no drop of accuracy below it is of interest, whatever the suite's margin."""


def compare(baseline: Digest, candidate: Digest, past: Sequence[PastRun]) -> Comparison:
    """The candidate against the baseline, costs with the help of past runs of any suite.

    The thresholds are the candidate's. Raises ValueError where a digest is damaged.
    """
    match = matched(baseline, candidate)
    cells = [cell_verdict(pair) for pair in match.pairs]
    sound = [pair for pair, one in zip(match.pairs, cells, strict=True) if one.word == "pass"]
    counts = [count_verdict(pair) for pair in sound]
    alike = [pair for pair, one in zip(sound, counts, strict=True) if one.word == "pass"]
    settings = CompareTable.model_validate(candidate.compare)
    own = past_run_of(baseline)
    before = history(own, candidate, past)
    judging = Judging(alike, baseline, candidate, before, own, settings)
    seconds, shift, away = second_verdicts(judging)
    return Comparison(
        verdicts=(
            *map(without_seeds, match.pairs, cells),
            *(other_task(pair) for pair in match.other_task),
            *(alone(row, "missing", "no longer asked for") for row in match.missing),
            *(alone(row, "new", "") for row in match.new),
            *counts,
            *accuracy_verdicts(judging),
            *seconds,
            *memory_verdicts(judging),
        ),
        shift=shift,
        elsewhere=away,
        num_past=relevant(judging),
        num_needed=NEEDED,
        unstable=unsteady(baseline, candidate),
        notes=(*notes(baseline, candidate, settings), *older(alike)),
    )


def notes(baseline: Digest, candidate: Digest, settings: CompareTable) -> tuple[str, ...]:
    """What must be known of the two runs."""
    sides = {"baseline": baseline, "candidate": candidate}
    found = [
        f"the {k} did not finish ({d.status})" for k, d in sides.items() if d.status != "finished"
    ]
    if baseline.suite_name != candidate.suite_name:
        found.append(f"suites of other names: {baseline.suite_name} and {candidate.suite_name}")
    mixed = [k for k, d in sides.items() if any(row.mixed for row in d.rows)]
    found += [f"the {k} ran under mixed conditions: their costs are not compared" for k in mixed]
    found += idle_thresholds(settings, candidate)
    if changed := also_changed(baseline.information, candidate.information):
        found.append(f"also changed: {changed}")
    return tuple(found)


def older(pairs: Sequence[Pair]) -> list[str]:
    """That the baseline lacks facts that the candidate has, so that no costs compare."""
    lacking = dict.fromkeys(path for pair in pairs for path in untold(*pair))
    if not lacking:
        return []
    return [
        f"the baseline does not tell {', '.join(lacking)}, as today's bench does and costs depend "
        "on: run its suite again for another"
    ]


def idle_thresholds(settings: CompareTable, candidate: Digest) -> list[str]:
    """Patterns that fit no cell of the candidate, a sentence each: misspelt, they do nothing."""
    cells = [(row.architecture, row.strategy) for row in candidate.rows]
    return [f"thresholds: no cell is called {pattern}" for pattern in settings.idle(cells)]


def also_changed(before: Facts, after: Facts) -> str:
    """The first few facts that are another: the code, which machine of its kind, and the rest.

    What only one side knows of is left out: an older file has fewer facts.
    """
    paths = sorted(before.keys() & after.keys(), key=_newsworthy)
    fields = [
        f"{path}: {_said(before[path])} and {_said(after[path])}"
        for path in paths
        if before[path] != after[path]
    ]
    more = [f"and {len(fields) - MOST} more"] if len(fields) > MOST else []
    return "; ".join([*fields[:MOST], *more])


def _newsworthy(path: str) -> tuple[bool, bool, str]:
    return not path.startswith("bench."), path != "machine.id", path


def _said(value: object) -> str:
    return "unknown" if value is None else short(value)


# ---- accuracy -------------------------------------------------------------------------------


def accuracy_verdicts(judging: Judging) -> list[Verdict]:
    """On test: comparing runs chooses nothing."""
    baseline, candidate, settings = judging.baseline, judging.candidate, judging.settings
    if not judging.pairs:
        return []
    if (baseline.labels, baseline.metric) != (candidate.labels, candidate.metric):
        labels = _labels(baseline), _labels(candidate)
        if not np.array_equal(*labels) or baseline.metric != candidate.metric:
            reason = "scored on other test images, or by another metric"
            return [
                Verdict(*pair.names, ACCURACY, "not_comparable", reason) for pair in judging.pairs
            ]
    least = max(LEAST_DROP, candidate.margin)
    found = drops.judge(
        [
            drops.Pair(
                pair.before.row,
                pair.after.row,
                judging.floor(ACCURACY, pair, least),
                bool(numerics_differences(*pair)),
            )
            for pair in judging.pairs
        ],
        candidate.num_images,
        weights(_labels(candidate), candidate.metric),
        settings.visible_drop,
        settings.equivalence,
    )
    return [
        Verdict(
            *pair.names, ACCURACY, one.word, one.reason,
            _score(pair.before.row), _score(pair.after.row),
            one.change, one.p_adjusted, one.visible,
            numerics_differences(*pair),
        )
        for pair, one in zip(judging.pairs, found, strict=True)
    ]  # fmt: skip


def _labels(digest: Digest) -> NDArray[np.uint16]:
    return unpack_column("labels", digest.labels, digest.num_images)


def _score(row: RowDigest) -> float:
    return float(np.mean([one.score for one in row.ok]))
