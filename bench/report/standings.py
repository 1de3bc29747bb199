"""Tables of the choice: every row against the leader, the Pareto front, cells of several runs."""

from collections.abc import Iterable

from bench.analysis.merge import Repeated
from bench.analysis.rows import Row, comparable_cost, score_of
from bench.analysis.summary import Comparison, Summary
from bench.record import Failure, Result
from bench.report import certainty, findings, units
from bench.report.formats import Table, Value

# ---- against the leader ---------------------------------------------------------------------


def comparisons(summary: Summary) -> Table:
    """One row per complete row but the leader, the best first, for reading."""
    header = (
        *("Architecture", "Strategy", "Behind, points", "SE", "p, adjusted", "Tied"),
        *("Settled by more seeds each", "or by val images in all"),
    )
    rows = tuple(
        (
            *(one.row.architecture, one.row.strategy),
            *(findings.points(one.behind.mean), findings.points(one.behind.se)),
            *(probability(one.p_adjusted), "yes" if one.tied else "no"),
            *_settled(one),
        )
        for one in summary.comparisons
    )
    return Table(header, rows, "ll" + "rrr" + "l" + "rr")


def _settled(one: Comparison) -> tuple[str, str]:
    if not one.tied:
        return "", ""
    needed = one.settling or (None, None)
    seeds, images = (units.UNKNOWN if count is None else f"{count:,}" for count in needed)
    return seeds, images


def probability(value: float) -> str:
    """`0.43`, `0.012`, `< 0.001`."""
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def comparison_numbers(summary: Summary) -> Table:
    """The same for computing; differences are shares, the leader minus the row."""
    header = (
        *("leader_architecture", "leader_strategy", "architecture", "strategy"),
        *("behind", "se", "se_items", "se_seeds", "val_num_images"),
        *("leader_num_seeds", "num_seeds", "p_value", "p_adjusted", "tied"),
        *("more_seeds_to_settle", "val_images_to_settle"),
    )
    rows = tuple(_numbers(one, summary.leader) for one in summary.comparisons if summary.leader)
    return Table(header, rows, "l" * 4 + "r" * 9 + "l" + "rr")


def _numbers(one: Comparison, leader: Row) -> tuple[Value, ...]:
    behind = one.behind
    return (
        *(leader.architecture, leader.strategy, one.row.architecture, one.row.strategy),
        *(behind.mean, behind.se, behind.se_items, behind.se_seeds, behind.num_images),
        *(*behind.num_seeds, one.p_value, one.p_adjusted, one.tied),
        *(one.settling or (None, None)),
    )


# ---- the front ------------------------------------------------------------------------------


def front(summary: Summary) -> Table:
    """The rows worth a choice, the best val score first, for reading."""
    header = (
        *("Architecture", "Strategy", "Val %", "Test %", "Train s", "Memory MiB"),
        *("Params M", "Latency ms", "Verdict"),
    )
    said = verdicts(summary)
    rows = tuple(
        (
            *(row.architecture, row.strategy, units.score(row.val), units.score(row.test)),
            *(units.train_seconds(row), units.memory(row), units.millions(row.total_parameters)),
            *(units.milliseconds(row.latency_seconds), said[row]),
        )
        for row in _by_val(summary)
    )
    return Table(header, rows, "ll" + "r" * 6 + "l")


def front_numbers(summary: Summary) -> Table:
    """The same for computing: shares, seconds, bytes; costs that compare with nothing are null."""
    costs = ("train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds")
    rows = tuple(
        (
            *(row.architecture, row.strategy),
            *(score.seeds.mean if score else None for score in (row.val, row.test)),
            *(comparable_cost(row, cost) for cost in costs),
        )
        for row in _by_val(summary)
    )
    header = ("architecture", "strategy", "val_mean", "test_mean", *costs)
    return Table(header, rows, "ll" + "r" * 6)


def _by_val(summary: Summary) -> list[Row]:
    on_front = set(summary.front)
    return [row for row in summary.ranked if row in on_front]


def verdicts(summary: Summary) -> dict[Row, str]:
    """What the choice on val made of each row, and which is the recommended one."""
    return {
        row: f"{said}, recommended" if row is summary.recommended else said
        for row, said in certainty.verdicts(summary).items()
    }


# ---- cells that several runs have -----------------------------------------------------------


def repeated(cells: Iterable[Repeated]) -> Table:
    """The cells that more than one of the merged runs has, whose record counts, and the other."""
    header = (
        *("Architecture", "Strategy", "Seed", "Counts", "Its val %"),
        *("Left out", "Its val %"),
    )
    rows = tuple(
        (
            *(one.counted.cell.architecture_label, one.counted.cell.strategy),
            *(str(one.counted.cell.seed), one.counted_name, _val(one.counted)),
            *(one.left_out_name, _val(one.left_out)),
        )
        for one in cells
    )
    return Table(header, rows, "llrlrlr")


def _val(record: Result | Failure) -> str:
    if isinstance(record, Failure):
        return record.status
    return units.percent(score_of(record.quality.val, record.cell.metric))
