"""From records to a choice: one row per architecture and strategy, and the winner among them.

Val chooses; test is carried along and never read by a choice. Rows whose Wilson intervals
overlap the winner's are not told apart from it, and among those the tie-break that the suite
declared picks a recommendation: a preference, not a finding about accuracy.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from bench.analysis.stats import Interval, Spread, spread, wilson
from bench.identity import slug
from bench.schema import Failure, Machine, Memory, Metric, Result, Run, Scores


class Score(NamedTuple):
    """The run's metric on one part over seeds; `interval` is Wilson's, 95 %, of the mean.

    The interval counts each image once, however many seeds scored it. For balanced accuracy,
    which is no proportion of the images, it is approximate.
    """

    seeds: Spread
    interval: Interval
    num_images: int


class Row(NamedTuple):
    """One architecture under one strategy; scores and costs are of its ok cells, None without."""

    architecture: str  # the label
    strategy: str
    statuses: tuple[str, ...]  # one per seed that the suite asks for; "missing" has no record
    val: Score | None
    test: Score | None
    train_seconds: Spread | None  # attributed, like wall_seconds
    wall_seconds: Spread | None
    peak_memory_bytes: int | None  # largest over seeds; see `peak_memory_bytes`
    total_parameters: int | None
    trainable_share: float | None
    forward_macs: int | None
    latency_seconds: float | None  # median at batch 1
    features_reused: bool  # of an earlier run, in a seed at least: see `comparable_cost`

    @property
    def complete(self) -> bool:
        """Whether every seed is ok: only then may the row win."""
        return self.val is not None and set(self.statuses) == {"ok"}

    @property
    def name(self) -> str:
        """Architecture and strategy."""
        return f"{self.architecture} · {self.strategy}"


class Missing(NamedTuple):
    """A cell that the suite asks for and no record answers."""

    cell_id: str
    architecture: str
    strategy: str
    seed: int


class Summary(NamedTuple):
    """Rows in the order of the suite, and what was chosen among them on val."""

    metric: Metric
    tie_break: tuple[str, ...]
    rows: tuple[Row, ...]
    winner: Row | None  # None where no row is complete
    not_told_apart: tuple[Row, ...]  # without the winner; by val score, best first
    recommended: Row | None
    best_by_strategy: Mapping[str, Row | None]
    best_by_architecture: Mapping[str, Row | None]
    failures: tuple[Failure, ...]
    missing: tuple[Missing, ...]

    @property
    def disqualified(self) -> tuple[Row, ...]:
        """Rows with a seed that is not ok."""
        return tuple(row for row in self.rows if not row.complete)

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows by mean val score, best first; the disqualified after the others."""
        return tuple(sorted(self.rows, key=lambda row: (not row.complete, -_val_mean(row))))


TIE_BREAKS = ("train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds")
"""What a suite may prefer; the lower the better, unknown last."""

LOWERED_BY_REUSE = ("train_seconds", "peak_memory_bytes")
"""Costs that are less than those of the whole cell where an earlier run's features were used."""


def summarise(run: Run, records: Sequence[Result | Failure]) -> Summary:
    """The summary of a run folder, finished or not.

    Raises ValueError if a record belongs to no cell of the run, or a tie-break is unknown.
    """
    metric: Metric = run.suite["metric"]
    tie_break = _checked(run.suite["tie_break"])
    missing = missing_cells(run, records)
    rows = tuple(_rows(run, records, missing))
    complete = [row for row in rows if row.complete]
    winner = best(complete, tie_break)
    tied = [] if winner is None else _overlapping(winner, complete)
    strategies = dict.fromkeys(row.strategy for row in rows)
    architectures = dict.fromkeys(row.architecture for row in rows)
    return Summary(
        metric=metric,
        tie_break=tie_break,
        rows=rows,
        winner=winner,
        not_told_apart=tuple(tied),
        recommended=None if winner is None else preferred([winner, *tied], tie_break),
        best_by_strategy={
            name: best([row for row in complete if row.strategy == name], tie_break)
            for name in strategies
        },
        best_by_architecture={
            name: best([row for row in complete if row.architecture == name], tie_break)
            for name in architectures
        },
        failures=tuple(record for record in in_order(run, records) if isinstance(record, Failure)),
        missing=missing,
    )


def best(complete: Sequence[Row], tie_break: Sequence[str]) -> Row | None:
    """The row with the highest mean val score; equal means are settled by the tie-break."""
    rows = sorted(complete, key=lambda row: _preference(row, tie_break))
    return max(rows, key=_val_mean, default=None)


def preferred(tied: Sequence[Row], tie_break: Sequence[str]) -> Row:
    """The row that the tie-break puts first; val settles what it leaves equal."""
    return min(tied, key=lambda row: (*_preference(row, tie_break), -_val_mean(row)))


def missing_cells(run: Run, records: Sequence[Result | Failure]) -> tuple[Missing, ...]:
    """Cells of the run without a record, in the order of the suite.

    A cell id is a hash and cannot be read back, so each id is matched through its readable part.
    """
    recorded = {record.cell_id for record in records}
    if unknown := recorded - set(run.cells):
        raise ValueError(
            f"{len(unknown)} records belong to no cell of this run, such as {min(unknown)}: "
            "move their folders out of cells/"
        )
    done = {(r.cell.architecture_label, r.cell.strategy, r.cell.seed) for r in records}
    strategies = [entry["name"] for entry in run.suite["strategies"]]
    open_cells: dict[str, list[tuple[str, str, int]]] = {}
    for asked in product(run.preprocessing, strategies, run.suite["seeds"]):
        if asked not in done:
            label, strategy, seed = asked
            open_cells.setdefault(slug(f"{label}-{strategy}-s{seed}"), []).append(asked)
    return tuple(
        Missing(cell_id, *open_cells[cell_id.rpartition("-")[0]].pop(0))
        for cell_id in run.cells
        if cell_id not in recorded
    )


def in_order(run: Run, records: Iterable[Result | Failure]) -> list[Result | Failure]:
    """Records in the order in which the suite asks for their cells."""
    place = {cell_id: index for index, cell_id in enumerate(run.cells)}
    return sorted(records, key=lambda record: place[record.cell_id])


def peak_memory_bytes(memory: Memory, machine: Machine) -> int | None:
    """The headline peak: allocated on a GPU, RSS above the cell's start on a CPU."""
    if machine.device == "cuda":
        return memory.gpu_allocated_bytes
    return memory.cpu_rss_above_start_bytes


def score_of(scores: Scores, metric: Metric) -> float:
    """The run's metric, 0 to 1."""
    return scores.top1 if metric == "top1" else scores.balanced_accuracy


def results(records: Iterable[Result | Failure]) -> list[Result]:
    """The ok records."""
    return [record for record in records if isinstance(record, Result)]


def _rows(
    run: Run, records: Sequence[Result | Failure], missing: Sequence[Missing]
) -> Iterable[Row]:
    by_id = {record.cell_id: record for record in records}
    names = {r.cell_id: (r.cell.architecture_label, r.cell.strategy) for r in records}
    names |= {cell.cell_id: (cell.architecture, cell.strategy) for cell in missing}
    cells: dict[tuple[str, str], list[Result | Failure | None]] = {}
    for cell_id in run.cells:
        cells.setdefault(names[cell_id], []).append(by_id.get(cell_id))
    for (architecture, strategy), found in cells.items():
        statuses = tuple("missing" if record is None else record.status for record in found)
        ok = [record for record in found if isinstance(record, Result)]
        yield _row(architecture, strategy, statuses, ok, run.suite["metric"])


def _row(
    architecture: str, strategy: str, statuses: tuple[str, ...], ok: list[Result], metric: Metric
) -> Row:
    first = ok[0].cost if ok else None
    peaks = [peak_memory_bytes(result.memory, result.machine) for result in ok]
    known = [peak for peak in peaks if peak is not None]
    latencies = [r.cost.latency.batch1_p50_seconds for r in ok if r.cost.latency is not None]
    attributed = [result.cost.attributed for result in ok]
    return Row(
        architecture=architecture,
        strategy=strategy,
        statuses=statuses,
        val=_score([result.quality.val for result in ok], metric),
        test=_score([result.quality.test for result in ok], metric),
        train_seconds=spread([seconds.train for seconds in attributed]) if ok else None,
        wall_seconds=spread([seconds.wall for seconds in attributed]) if ok else None,
        peak_memory_bytes=max(known) if known and len(known) == len(peaks) else None,
        total_parameters=first.total_parameters if first else None,
        trainable_share=first.trainable_share if first else None,
        forward_macs=first.forward_macs if first else None,
        latency_seconds=latencies[0] if latencies else None,
        features_reused=any(result.cost.features == "reused" for result in ok),
    )


def _score(scores: Sequence[Scores], metric: Metric) -> Score | None:
    if not scores:
        return None
    seeds = spread([score_of(part, metric) for part in scores])
    num_images = scores[0].num_images
    return Score(seeds, wilson(seeds.mean, num_images), num_images)


def _overlapping(winner: Row, complete: Sequence[Row]) -> list[Row]:
    assert winner.val is not None
    interval = winner.val.interval
    others = [row for row in complete if row is not winner and row.val is not None]
    tied = [row for row in others if row.val is not None and interval.overlaps(row.val.interval)]
    return sorted(tied, key=_val_mean, reverse=True)


def _val_mean(row: Row) -> float:
    return -1.0 if row.val is None else row.val.seeds.mean


def _preference(row: Row, tie_break: Sequence[str]) -> tuple[tuple[bool, float], ...]:
    costs = (comparable_cost(row, name) for name in tie_break)
    return tuple((cost is None, cost or 0.0) for cost in costs)


def comparable_cost(row: Row, name: str) -> float | None:
    """A cost by its name in TIE_BREAKS; None where it is unknown, or part of it was not spent."""
    if row.features_reused and name in LOWERED_BY_REUSE:
        return None
    if name == "train_seconds":
        return None if row.train_seconds is None else row.train_seconds.mean
    cost: float | None = getattr(row, name)
    return cost


def _checked(tie_break: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in tie_break if name not in TIE_BREAKS]
    if unknown:
        raise ValueError(f"tie_break: unknown {unknown} - accepted are {', '.join(TIE_BREAKS)}")
    return tuple(tie_break)


def status_counts(row: Row) -> str:
    """Seeds of a row in words: `3/3`, or `2/3 (1 diverged)`."""
    counts = Counter(status for status in row.statuses if status != "ok")
    text = f"{row.statuses.count('ok')}/{len(row.statuses)}"
    return text + (f" ({', '.join(f'{n} {s}' for s, n in counts.items())})" if counts else "")
