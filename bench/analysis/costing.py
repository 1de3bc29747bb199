"""Verdicts on what cells cost: under the same conditions judged, under others only told."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.analysis import peaks, speed
from bench.analysis.conditions import Side, performance_differences
from bench.analysis.digest import Digest, PastRun, conditions_of, cost_of, past_key
from bench.analysis.elsewhere import elsewhere
from bench.analysis.matching import Pair
from bench.analysis.paired import Floats
from bench.analysis.point import distinct, is_same
from bench.analysis.verdict import MEMORY, SECONDS, Elsewhere, Shift, Verdict
from bench.suite import CompareTable, Judged


class Judging(NamedTuple):
    """What verdicts are made of."""

    pairs: Sequence[Pair]
    baseline: Digest
    candidate: Digest
    past: Sequence[PastRun]
    own: PastRun | None  # the baseline's part in the past; None where it has not finished
    settings: CompareTable

    def floor(self, metric: Judged, pair: Pair, default: float) -> float:
        """The least change that counts for a pair."""
        return self.settings.floor(metric, pair.names, default)


def second_verdicts(
    judging: Judging,
) -> tuple[list[Verdict], Shift | None, Elsewhere | None]:
    """Train times: judged under the same conditions, told under others."""
    told, here, away = _sorted_out(judging, SECONDS)
    why = unsteady(judging.baseline, judging.candidate)
    if why:
        told += [
            Verdict(*pair.names, SECONDS, "not_judged", why, *_costs(pair, SECONDS))
            for pair in here
        ]
        return told, None, None
    there = elsewhere(
        [" · ".join(pair.names) for pair in away],
        [_cost(pair.before, SECONDS) for pair in away],
        [_cost(pair.after, SECONDS) for pair in away],
        _all_fields(away),
    )
    floors = [judging.floor(SECONDS, pair, speed.FLOOR) for pair in here]
    past = past_costs(judging, here, SECONDS)
    times = speed.Times(
        speed.logarithms([_cost(pair.before, SECONDS) for pair in here]),
        speed.logarithms([_cost(pair.after, SECONDS) for pair in here]),
        np.log(past.costs_HP),
        np.array(floors),
        past.place,
    )
    found, shift = speed.judge(times, slowdown(judging))
    told += [
        _judged(pair, SECONDS, one, floor)
        for pair, one, floor in zip(here, found, floors, strict=True)
    ]
    return told, shift, there


def slowdown(judging: Judging) -> float | None:
    """How much slower the machine itself was for the candidate."""
    return speed.slowdown(judging.baseline.calibration, judging.candidate.calibration)


def memory_verdicts(judging: Judging) -> list[Verdict]:
    """Peaks: judged under the same conditions only."""
    told, here, _ = _sorted_out(judging, MEMORY)
    device = judging.candidate.device
    floors = [_memory_floor(judging, pair) for pair in here]
    past = past_costs(judging, here, MEMORY)
    found = peaks.judge(
        peaks.Peaks(
            np.array([_cost(pair.before, MEMORY) for pair in here]),
            np.array([_cost(pair.after, MEMORY) for pair in here]),
            past.costs_HP,
            np.array(floors),
            past.place,
        ),
        device,
    )
    return told + [
        _judged(pair, MEMORY, one, floor / _cost(pair.before, MEMORY))
        for pair, one, floor in zip(here, found, floors, strict=True)
    ]


def _memory_floor(judging: Judging, pair: Pair) -> float:
    asked = judging.floor(MEMORY, pair, -1.0)
    return peaks.floor_bytes(
        _cost(pair.before, MEMORY),
        judging.candidate.device,
        bool(conditions_of(*pair.after).get("execution.cudnn_benchmark")),
        None if asked < 0 else asked,
    )


def _sorted_out(judging: Judging, metric: str) -> tuple[list[Verdict], list[Pair], list[Pair]]:
    """Verdicts of what cannot be judged; pairs under one set of conditions; and under others."""
    told, here, away = [], [], []
    for pair in judging.pairs:
        costs = cost_of(pair.before.row, metric), cost_of(pair.after.row, metric)
        if not all(cost is not None and cost > 0 for cost in costs):
            reason = "unknown, with features of an earlier run, or of heads from several sittings"
            told.append(Verdict(*pair.names, metric, "not_judged", reason, *costs))
        elif seeds := other_seeds(pair):
            reason = "not of the same seeds"
            told.append(
                Verdict(*pair.names, metric, "not_comparable", reason, *costs, fields=(seeds,))
            )
        elif fields := performance_differences(*pair):
            away.append(pair)
            reason = "under other conditions"
            told.append(
                Verdict(*pair.names, metric, "not_comparable", reason, *costs, fields=fields)
            )
        else:
            here.append(pair)
    return told, here, away


def other_seeds(pair: Pair) -> str:
    """The seeds of both sides where they are not the same: heads of all seeds train together."""
    before, after = ({one.seed for one in side.row.ok} for side in pair)
    told = (", ".join(map(str, sorted(seeds))) for seeds in (before, after))
    return "" if before == after else f"seeds: {' and '.join(told)}"


def _cost(side: Side, metric: str) -> float:
    return cost_of(side.row, metric) or float("nan")


def _costs(pair: Pair, metric: str) -> tuple[float, float]:
    return _cost(pair.before, metric), _cost(pair.after, metric)


def _judged(pair: Pair, metric: str, one: speed.Timing | peaks.Peak, floor: float) -> Verdict:
    return Verdict(
        *pair.names, metric, one.word, one.reason, *_costs(pair, metric),
        one.change, one.p_adjusted, one.visible, beyond=one.beyond, floor=floor,
    )  # fmt: skip


def _all_fields(pairs: Sequence[Pair]) -> tuple[str, ...]:
    fields = (field for pair in pairs for field in performance_differences(*pair))
    return tuple(dict.fromkeys(fields))


def unsteady(baseline: Digest, candidate: Digest) -> str | None:
    """Why times are not judged."""
    sides = {"baseline": baseline, "candidate": candidate}
    found = [
        f"the {name} is unstable: {one.unstable}" for name, one in sides.items() if one.unstable
    ]
    return "; ".join(found) or None


# ---- the past -------------------------------------------------------------------------------


def history(own: PastRun | None, candidate: Digest, past: Sequence[PastRun]) -> list[PastRun]:
    """Runs that began before the candidate, the baseline's own among them, each once."""
    found = distinct((*past, *([own] if own else [])))
    return [run for run in found if run.started_at < candidate.started_at]


class Past(NamedTuple):
    """What H past runs took for P pairs, NaN where unknown; and which of them is the baseline."""

    costs_HP: Floats
    place: int | None


def past_costs(judging: Judging, pairs: Sequence[Pair], metric: str) -> Past:
    """Of the past runs with any of the pairs: the same task, seeds and conditions."""
    keys, own = [past_key(*pair.after) for pair in pairs], judging.own
    rows: list[list[float]] = []
    place = None
    for run in judging.past:
        found = [run.rows.get(key) for key in keys]
        costs = [None if row is None else getattr(row, metric) for row in found]
        if any(costs):
            place = len(rows) if own and is_same(run, own) else place
            rows.append([cost or np.nan for cost in costs])
    return Past(np.array(rows, dtype=np.float64).reshape(len(rows), len(keys)), place)


def relevant(judging: Judging) -> int:
    """Past runs with one of the cells under the candidate's conditions."""
    keys = {past_key(*pair.after) for pair in judging.pairs}
    return sum(not keys.isdisjoint(run.rows) for run in judging.past)
