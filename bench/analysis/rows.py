"""One row per architecture and strategy: its scores, its costs, and which of its seeds are ok."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, get_args

from bench.analysis.machines import reference
from bench.analysis.stats import Interval, Spread, spread, wilson
from bench.identity import slug
from bench.record import Failure, Machine, Memory, Metric, Result, Run, Scores
from bench.suite import TieBreak


class Score(NamedTuple):
    """The run's metric on one part over seeds; `interval` is Wilson's, 95 %, of the mean.

    The interval counts each image once, however many seeds scored it. For balanced accuracy,
    which is no proportion of the images, it is approximate.
    """

    seeds: Spread
    interval: Interval
    num_images: int


class Row(NamedTuple):
    """One architecture under one strategy; scores and costs are of its ok cells, None without.

    Costs are compared on one machine only: they are of the cells that ran on the machine of most
    ok cells, None where the row has none there. Parameters and MACs are the same everywhere.
    """

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


Cells = Mapping[tuple[str, str], Sequence[Result | Failure | None]]
"""By architecture and strategy, in the order of the suite; None where there is no record."""

TIE_BREAKS = get_args(TieBreak)
"""What a suite may prefer; the lower the better, unknown last."""

LOWERED_BY_REUSE = ("train_seconds", "peak_memory_bytes")
"""Costs that are less than those of the whole cell where an earlier run's features were used."""

ROUNDING = 1e-9
"""Shares that are equal on paper differ by less."""


# ---- from records to rows -------------------------------------------------------------------


def rows_of(cells: Cells, metric: Metric) -> tuple[Row, ...]:
    """The rows of grouped records."""
    found = {
        names: [r for r in records if isinstance(r, Result)] for names, records in cells.items()
    }
    measured = {result.cell_id for result in reference(chain.from_iterable(found.values()))}
    return tuple(
        _row(names, _statuses(records), found[names], measured, metric)
        for names, records in cells.items()
    )


def grouped(
    run: Run, records: Sequence[Result | Failure], missing: Sequence[Missing]
) -> dict[tuple[str, str], list[Result | Failure | None]]:
    """The cells of the run by architecture and strategy."""
    by_id = {record.cell_id: record for record in records}
    names = {r.cell_id: (r.cell.architecture_label, r.cell.strategy) for r in records}
    names |= {cell.cell_id: (cell.architecture, cell.strategy) for cell in missing}
    cells: dict[tuple[str, str], list[Result | Failure | None]] = {}
    for cell_id in run.cells:
        cells.setdefault(names[cell_id], []).append(by_id.get(cell_id))
    return cells


def missing_cells(run: Run, records: Sequence[Result | Failure]) -> tuple[Missing, ...]:
    """Cells of the run without a record, in the order of the suite.

    A cell id is a hash and cannot be read back, so each id is matched through its readable part.
    Raises ValueError if a record belongs to no cell of the run, or a cell has two.
    """
    recorded = {record.cell_id for record in records}
    if len(recorded) < len(records):
        (cell_id, count), *_ = Counter(record.cell_id for record in records).most_common(1)
        raise ValueError(f"{cell_id} has {count} records: a cell has one")
    if unknown := recorded - set(run.cells):
        raise ValueError(
            f"{len(unknown)} records belong to no cell of this run, such as {min(unknown)}: "
            "move their folders out of cells/"
        )
    done = {(r.cell.architecture_label, r.cell.strategy, r.cell.seed) for r in records}
    open_cells: dict[str, list[tuple[str, str, int]]] = {}
    for asked in run.suite.asked:
        if asked not in done:
            label, strategy, seed = asked
            open_cells.setdefault(slug(f"{label}-{strategy}-s{seed}"), []).append(asked)
    return tuple(
        Missing(cell_id, *open_cells[cell_id.rpartition("-")[0]].pop(0))
        for cell_id in run.cells
        if cell_id not in recorded
    )


def _row(
    names: tuple[str, str],
    statuses: tuple[str, ...],
    ok: Sequence[Result],
    measured: Collection[str],
    metric: Metric,
) -> Row:
    first = ok[0].cost if ok else None
    here = [result for result in ok if result.cell_id in measured]
    peaks = [peak_memory_bytes(result.memory, result.machine) for result in here]
    known = [peak for peak in peaks if peak is not None]
    latencies = [r.cost.latency.batch1_p50_seconds for r in here if r.cost.latency is not None]
    attributed = [result.cost.attributed for result in here]
    return Row(
        *names,
        statuses=statuses,
        val=_score([result.quality.val for result in ok], metric),
        test=_score([result.quality.test for result in ok], metric),
        train_seconds=spread([seconds.train for seconds in attributed]) if here else None,
        wall_seconds=spread([seconds.wall for seconds in attributed]) if here else None,
        peak_memory_bytes=max(known) if known and len(known) == len(peaks) else None,
        total_parameters=first.total_parameters if first else None,
        trainable_share=first.trainable_share if first else None,
        forward_macs=first.forward_macs if first else None,
        latency_seconds=latencies[0] if latencies else None,
        features_reused=any(result.cost.features == "reused" for result in here),
    )


def _statuses(records: Sequence[Result | Failure | None]) -> tuple[str, ...]:
    return tuple("missing" if record is None else record.status for record in records)


def _score(scores: Sequence[Scores], metric: Metric) -> Score | None:
    if not scores:
        return None
    seeds = spread([score_of(part, metric) for part in scores])
    num_images = scores[0].num_images
    return Score(seeds, wilson(seeds.mean, num_images), num_images)


# ---- facts of records -----------------------------------------------------------------------


def results(records: Iterable[Result | Failure]) -> list[Result]:
    """The ok records."""
    return [record for record in records if isinstance(record, Result)]


def in_order(run: Run, records: Iterable[Result | Failure]) -> list[Result | Failure]:
    """Records in the order in which the suite asks for their cells."""
    place = {cell_id: index for index, cell_id in enumerate(run.cells)}
    return sorted(records, key=lambda record: place[record.cell_id])


def score_of(scores: Scores, metric: Metric) -> float:
    """The run's metric, 0 to 1."""
    return scores.top1 if metric == "top1" else scores.balanced_accuracy


def peak_memory_bytes(memory: Memory, machine: Machine) -> int | None:
    """The headline peak: allocated on a GPU, RSS above the cell's start on a CPU."""
    if machine.device == "cuda":
        return memory.gpu_allocated_bytes
    return memory.cpu_rss_above_start_bytes


# ---- reading rows ---------------------------------------------------------------------------


def val_mean(row: Row) -> float:
    """Mean val score; below every score where there is none."""
    return -1.0 if row.val is None else row.val.seeds.mean


def comparable_cost(row: Row, name: str) -> float | None:
    """A cost by its name in TIE_BREAKS; None where it is unknown, or part of it was not spent."""
    if row.features_reused and name in LOWERED_BY_REUSE:
        return None
    if name == "train_seconds":
        return None if row.train_seconds is None else row.train_seconds.mean
    cost: float | None = getattr(row, name)
    return cost


def preference(row: Row, tie_break: Sequence[str]) -> tuple[tuple[bool, float], ...]:
    """What the tie-break sorts by: the lower the better, unknown costs last."""
    costs = (comparable_cost(row, name) for name in tie_break)
    return tuple((cost is None, cost or 0.0) for cost in costs)


def best(complete: Iterable[Row], tie_break: Sequence[str]) -> Row | None:
    """The row with the highest mean val score; equal means are settled by the tie-break."""
    rows = sorted(complete, key=lambda row: preference(row, tie_break))
    return max(rows, key=val_mean, default=None)


def preferred(tied: Iterable[Row], tie_break: Sequence[str]) -> Row | None:
    """The row that the tie-break puts first; val settles what it leaves equal."""
    return min(tied, key=lambda row: (*preference(row, tie_break), -val_mean(row)), default=None)


def within(rows: Iterable[Row], leader: Row, share: float) -> list[Row]:
    """Complete rows whose mean val score is at most `share` below the leader's."""
    lowest = val_mean(leader) - share - ROUNDING
    return [row for row in rows if row.complete and val_mean(row) >= lowest]


def status_counts(row: Row) -> str:
    """Seeds of a row in words: `3/3`, or `2/3 (1 diverged)`."""
    counts = Counter(status for status in row.statuses if status != "ok")
    text = f"{row.statuses.count('ok')}/{len(row.statuses)}"
    return text + (f" ({', '.join(f'{n} {s}' for s, n in counts.items())})" if counts else "")
