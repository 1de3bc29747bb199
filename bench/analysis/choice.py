"""From a run's table to a choice: which row leads, which are tied with it, and which to take.

A row is one architecture under one strategy, all its seeds together. Val chooses; test is carried
along and never read by a choice. Rows that cannot be told from the best are tied with it. Tied is
not equal: the tie-break that the suite declared picks among those that are shown to be as good as
the leader, and what is not surely better than guessing is never recommended.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.analysis import paired, pareto
from bench.analysis.pairs import Combination, combinations
from bench.analysis.pareto import COSTS
from bench.analysis.stats import ROUNDING, Interval, Spread, spread, wilson
from bench.analysis.table import RunTable
from bench.metrics import METRICS, Ints
from bench.record import Failure, Part


class Score(NamedTuple):
    """The run's metric on one part over seeds; `interval` is Wilson's, 95 %, of the mean.

    The interval counts each image once, however many seeds scored it. For balanced accuracy,
    which is no proportion of the images, it is approximate.
    """

    seeds: Spread
    interval: Interval
    num_images: int


OddCosts = Literal["reused", "passes"]
"""Why costs compare with nothing: features of an earlier run, or batches in several passes."""


class Row(NamedTuple):
    """One architecture under one strategy: means over its ok cells, None where there is none.

    Costs compare on one machine only, so they are of the cells on the reference machine, that of
    most ok cells. Parameters and MACs are the same everywhere.
    """

    architecture: str  # the label
    strategy: str
    statuses: tuple[str, ...]  # one per seed that the suite asks for; see the table's `status`
    val: Score | None
    test: Score | None
    train_seconds: Spread | None  # attributed, like wall_seconds
    wall_seconds: Spread | None
    peak_memory_bytes: int | None  # the largest over seeds
    total_parameters: int | None
    trainable_share: float | None
    forward_macs: int | None
    latency_seconds: float | None  # median at batch 1
    odd_costs: OddCosts | None  # of at least one seed: see `comparable_cost`
    ok: tuple[str, ...] = ()  # ids of its ok cells

    @property
    def complete(self) -> bool:
        """Whether every seed is ok: only then may the row win."""
        return self.val is not None and set(self.statuses) == {"ok"}

    @property
    def name(self) -> str:
        return f"{self.architecture} · {self.strategy}"


def rows_of(table: RunTable) -> tuple[Row, ...]:
    return tuple(map(_row, combinations(table)))


def _row(one: Combination) -> Row:
    here = replace(one, places=tuple(at for at in one.ok if one.run.columns["on_reference"][at]))
    peaks = here.column("peak_memory_bytes")
    return Row(
        architecture=one.architecture,
        strategy=one.strategy,
        statuses=tuple(one.column("status")),
        val=_score(one.ok_column("val_score"), one.ok_column("quality.val.num_images")),
        test=_score(one.ok_column("test_score"), one.ok_column("quality.test.num_images")),
        train_seconds=spread(here.column("train_seconds")) if here.places else None,
        wall_seconds=spread(here.column("wall_seconds")) if here.places else None,
        peak_memory_bytes=max(peaks) if peaks and None not in peaks else None,
        total_parameters=_first(one.ok_column("total_parameters")),
        trainable_share=_first(one.ok_column("trainable_share")),
        forward_macs=_first(one.ok_column("forward_macs")[:1]),
        latency_seconds=_first(here.column("latency_seconds")),
        odd_costs=_odd_costs(here),
        ok=tuple(one.ok_column("cell_id")),
    )


def _odd_costs(here: Combination) -> OddCosts | None:
    if "reused" in here.column("features"):
        return "reused"
    in_passes = any((passes or 1) > 1 for passes in here.column("execution.passes"))
    return "passes" if in_passes else None


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _score(scores: Sequence[float], counts: Sequence[int]) -> Score | None:
    if not scores:
        return None
    seeds = spread(scores)
    return Score(seeds, wilson(seeds.mean, counts[0]), counts[0])


def status_counts(row: Row) -> str:
    """Seeds of a row in words: `3/3`, or `2/3 (1 diverged)`."""
    counts = Counter(status for status in row.statuses if status != "ok")
    text = f"{row.statuses.count('ok')}/{len(row.statuses)}"
    return text + (f" ({', '.join(f'{n} {s}' for s, n in counts.items())})" if counts else "")


def val_mean(row: Row) -> float:
    """Mean val score; below every score where there is none."""
    return -1.0 if row.val is None else row.val.seeds.mean


def comparable_cost(row: Row, name: str) -> float | None:
    """A cost in COSTS; None where it is unknown or that of other work."""
    if row.odd_costs and COSTS[name].of_work:
        return None
    cost: Spread | float | None = getattr(row, name)
    return cost.mean if isinstance(cost, Spread) else cost


def preference(row: Row, tie_break: Sequence[str]) -> tuple[tuple[bool, float], ...]:
    """What the tie-break sorts by: the lower the better, unknown costs last."""
    costs = (comparable_cost(row, name) for name in tie_break)
    return tuple((cost is None, cost or 0.0) for cost in costs)


def best(complete: Iterable[Row], tie_break: Sequence[str]) -> Row | None:
    rows = sorted(complete, key=lambda row: preference(row, tie_break))
    return max(rows, key=val_mean, default=None)


def preferred(tied: Iterable[Row], tie_break: Sequence[str]) -> Row | None:
    """The row that the tie-break puts first; val settles what it leaves equal."""
    return min(tied, key=lambda row: (*preference(row, tie_break), -val_mean(row)), default=None)


def within(rows: Iterable[Row], leader: Row, share: float) -> list[Row]:
    lowest = val_mean(leader) - share - ROUNDING
    return [row for row in rows if row.complete and val_mean(row) >= lowest]


class AgainstLeader(NamedTuple):
    """One complete row against the leader on val.

    The p values are two-sided and take the leader as given; Holm's adjustment is over all
    comparisons of the summary. Ties come from the stricter simultaneous comparison, which
    allows for the choice of the leader.
    """

    row: Row
    behind: paired.Lead
    p_value: float
    p_adjusted: float
    tied: bool
    near: bool  # tied, and surely less than the margin behind
    settling: paired.Settling | None  # of tied rows only


class Guessing(NamedTuple):
    """What always answering the commonest class of a part's images scores there, 0 to 1.

    None without an ok cell.
    """

    val: float | None = None
    test: float | None = None


class Summary(NamedTuple):
    metric: str
    tie_break: tuple[str, ...]
    margin: float  # practical: a smaller difference counts as a tie
    rows: tuple[Row, ...]
    leader: Row | None  # highest mean val score of the complete rows
    tied: tuple[Row, ...]  # the leader first, then by val; empty without a leader
    winner: Row | None  # the leader, where nothing is tied with it and it does not guess
    near: tuple[Row, ...]  # the leader, then the tied that are surely less than the margin behind
    guessing: Guessing
    above_guessing: tuple[Row, ...]  # complete rows that are surely better than that on val
    recommended: Row | None  # of those near and above guessing, by the tie-break
    chosen: str | None  # cell_id of the recommended row's seed with the best val score
    kept: str | None  # the same; of the leader, where nothing is recommended
    cheapest: Row | None  # by the tie-break, of rows whose mean val is within the margin
    comparisons: tuple[AgainstLeader, ...]  # complete rows but the leader, by val, best first
    front: tuple[Row, ...]  # noise-aware: val score, train time, memory, parameters, latency
    visible_difference: float | None  # a share; see `bench.analysis.paired`
    best_by_strategy: Mapping[str, Row | None]
    best_by_architecture: Mapping[str, Row | None]
    failures: tuple[Failure, ...]
    missing: tuple[tuple[str, str, int], ...]  # architecture, strategy and seed
    mixed_machines: bool  # ok cells ran on more than one machine, or with other threads

    @property
    def disqualified(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.complete)

    @property
    def ranked(self) -> tuple[Row, ...]:
        return tuple(sorted(self.rows, key=lambda row: (not row.complete, -val_mean(row))))


def summarise(table: RunTable) -> Summary:
    tie_break = tuple(table.run.suite.tie_break)
    metric, margin = table.header.metric, table.header.margin
    rows = rows_of(table)
    leader = best((row for row in rows if row.complete), tie_break)
    standing = Standing() if leader is None else _compared(table, rows, leader)
    comparisons, able = standing.comparisons, standing.above_guessing
    tied = () if leader is None else (leader, *(one.row for one in comparisons if one.tied))
    near = tied[:1] + tuple(one.row for one in comparisons if one.near)
    worth = [row for row in near if row in able] if leader in able else []
    recommended = preferred(worth, tie_break)
    asked = zip(table.run.suite.asked, table.columns["status"], strict=True)
    machines = {key for key in table.columns["machine_key"] if key is not None}
    return Summary(
        metric=metric,
        tie_break=tie_break,
        margin=margin,
        rows=rows,
        leader=leader,
        tied=tied,
        winner=leader if len(tied) == 1 and leader in able else None,
        near=near,
        guessing=_guessing(table),
        above_guessing=able,
        recommended=recommended,
        chosen=recommended and best_seed(table, recommended),
        kept=leader and best_seed(table, recommended or leader),
        cheapest=leader and preferred(within(rows, leader, margin), tie_break),
        comparisons=comparisons,
        front=standing.front,
        visible_difference=standing.visible_difference,
        best_by_strategy=_best_by("strategy", rows, tie_break),
        best_by_architecture=_best_by("architecture", rows, tie_break),
        failures=tuple(one for one in table.records.values() if isinstance(one, Failure)),
        missing=tuple(cell for cell, status in asked if status == "missing"),
        mixed_machines=len(machines) > 1,
    )


def best_seed(table: RunTable, row: Row) -> str:
    """The cell_id of the ok seed with the best val score; of equal ones the earlier."""
    return max(row.ok, key=_scores(table, "val").__getitem__)


def _guessing(table: RunTable) -> Guessing:
    def score(labels_N: Ints) -> float:
        commonest = np.bincount(labels_N).argmax()
        return METRICS[table.header.metric].score(labels_N, np.full_like(labels_N, commonest))

    if not table.results:
        return Guessing()
    return Guessing(score(table.val.labels_N), score(table.labels_N))


class Standing(NamedTuple):
    """Where the complete rows stand; nothing where there is none."""

    comparisons: tuple[AgainstLeader, ...] = ()
    front: tuple[Row, ...] = ()
    visible_difference: float | None = None
    above_guessing: tuple[Row, ...] = ()


def _compared(table: RunTable, rows: Iterable[Row], leader: Row) -> Standing:
    margin = table.header.margin
    others = [row for row in rows if row.complete and row is not leader]
    complete = [leader, *sorted(others, key=val_mean, reverse=True)]
    found = hits_of(table, complete)
    behind = paired.contrasts(found)
    told = paired.simultaneous(found, behind, margin)
    near_R = paired.shown_near(found, behind, told.rows_R, margin)
    costs = [[comparable_cost(row, name) for name in COSTS] for row in complete]
    on_front = pareto.front(costs, found, told.limit, margin)
    p_values = behind.p_values_R[1:]
    held = zip(told.rows_R[1:], near_R[1:], strict=True)
    against = zip(complete[1:], p_values, told.p_R[1:], held, strict=True)
    comparisons = tuple(
        AgainstLeader(
            row=row,
            behind=paired.lead(found, behind, place),
            p_value=float(p_value),
            p_adjusted=float(p_adjusted),
            tied=bool(tied),
            near=bool(near),
            settling=paired.settling(found, behind, place, told.limit, margin) if tied else None,
        )
        for place, (row, p_value, p_adjusted, (tied, near)) in enumerate(against, start=1)
    )
    guess = _guessing(table).val
    assert guess is not None, "a complete row has ok cells"
    above_R = paired.better_than_guessing(found, guess)
    return Standing(
        comparisons=comparisons,
        front=tuple(complete[place] for place in on_front),
        visible_difference=paired.visible_difference(behind, told.rows_R, told.limit, margin),
        above_guessing=tuple(complete[place] for place in np.flatnonzero(above_R)),
    )


def hits_of(table: RunTable, rows: Sequence[Row], part: Part = "val") -> paired.Hits:
    scores = _scores(table, part)
    labels_N = table.val.labels_N if part == "val" else table.labels_N
    right_N = table.val.right.__getitem__ if part == "val" else table.right_N
    most = max(len(row.ok) for row in rows)
    hits_RN = np.zeros((len(rows), len(labels_N)), np.min_scalar_type(most))
    for place, row in enumerate(rows):
        for cell_id in row.ok:
            hits_RN[place] += right_N(cell_id)
    weights_N = METRICS[table.header.metric].weights(labels_N)
    by_seed = [[scores[cell_id] for cell_id in row.ok] for row in rows]
    return paired.with_seeds(hits_RN, weights_N, by_seed)


def _scores(table: RunTable, part: Part) -> dict[str, float]:
    return dict(zip(table.columns["cell_id"], table.columns[f"{part}_score"], strict=True))


def _best_by(
    field: Literal["architecture", "strategy"], rows: Sequence[Row], tie_break: Sequence[str]
) -> dict[str, Row | None]:
    names = dict.fromkeys(getattr(row, field) for row in rows)
    return {
        name: best((r for r in rows if r.complete and getattr(r, field) == name), tie_break)
        for name in names
    }


class Budget(NamedTuple):
    """The most of each cost, in the order of COSTS."""

    max_seconds: float | None = None  # of training, attributed, mean over seeds
    max_memory_bytes: float | None = None
    max_parameters: float | None = None  # trained or not
    max_latency_seconds: float | None = None  # of one image


def best_within(summary: Summary, budget: Budget) -> Row | None:
    affordable = [row for row in summary.rows if row.complete and fits(row, budget)]
    return best(affordable, summary.tie_break)


def fits(row: Row, budget: Budget) -> bool:
    """Whether each limited cost of the row is known and within its limit."""
    costs = zip(budget, (comparable_cost(row, name) for name in COSTS), strict=True)
    return all(limit is None or (cost is not None and cost <= limit) for limit, cost in costs)


def cheapest_within(summary: Summary, share: float) -> Row | None:
    if summary.leader is None:
        return None
    return preferred(within(summary.rows, summary.leader, share), summary.tie_break)
