"""The tables of a run, each declared once: what its columns are called, hold and look like."""

from collections.abc import Callable, Iterable, Mapping

from bench.analysis.choice import AgainstLeader, Row, Score, Summary, comparable_cost, status_counts
from bench.analysis.consistency import score_of
from bench.analysis.merge import Repeated
from bench.analysis.pareto import COSTS
from bench.analysis.table import SCALARS, RunTable
from bench.metrics import METRICS
from bench.record import Failure, Result
from bench.report import units
from bench.report.classes import Recall
from bench.report.sentences import on_reference, row_name, verdicts
from bench.report.tables import Column, Table, Value, as_text, csv_text
from bench.report.text import name

ARCHITECTURE = Column("architecture", "Architecture", format=name)
STRATEGY = Column("strategy", "Strategy", format=name)
REUSED = Column("features_reused")


def number(
    key: str,
    title: str,
    unit: str = "",
    form: Callable[..., str] = units.percent,
    *also: str,
    note: str = "",
) -> Column:
    return Column(key, title, unit, form, also, align="right", note=note)


def _cost(key: str, title: str, unit: str, form: Callable[[float | None], str]) -> Column:
    return number(key, title, unit, units.marked(form), "features_reused")


def _score_columns(part: str, title: str) -> tuple[Column, ...]:
    """Mean and standard deviation over seeds, and the interval of the mean over images."""
    low = number(f"{part}_wilson_low", "95 %", "", units.between, f"{part}_wilson_high")
    return (
        number(f"{part}_mean", title, "%", units.mean_and_sd, f"{part}_sd"),
        low._replace(below=True),
        *(Column(f"{part}_{key}") for key in ("wilson_high", "sd", "min", "max", "num_images")),
    )


def _means(row: Row) -> tuple[float | None, float | None]:
    return row.val and row.val.seeds.mean, row.test and row.test.seeds.mean


def _score_values(score: Score | None) -> tuple[Value, ...]:
    if score is None:
        return (None,) * 7
    seeds, interval = score.seeds, score.interval
    return (
        *(seeds.mean, interval.low, interval.high),
        *(seeds.sd, seeds.minimum, seeds.maximum, score.num_images),
    )


# ---- every row ------------------------------------------------------------------------------


def main(summary: Summary, memory: str) -> Table:
    """A row for each architecture and strategy, the best on val first; `memory` says of what."""
    val, *beside_val = _score_columns("val", "Val")
    columns = (
        *(ARCHITECTURE, STRATEGY._replace(below=True), Column("metric")),
        *(val._replace(note=OF_SCORES), *beside_val),
        Column("verdict", "Against the leader, points", note=OF_VERDICTS),
        *_score_columns("test", "Test"),
        _cost("train_seconds_mean", "Train", "s", units.three_digits)._replace(
            note="As if the cell ran alone."
        ),
        _cost("peak_memory_bytes", "Memory", "MiB", units.mebibytes)._replace(
            note=f"Peak, {memory}, largest over seeds."
        ),
        REUSED,
        number("total_parameters", "Params", "M", units.millions, note="Trained or not."),
        number("trainable_share", "Trained", "%", units.share, note=OF_TRAINED),
        number("latency_seconds", "Latency", "ms", units.milliseconds, note="One image, median."),
        *map(Column, ("train_seconds_sd", "wall_seconds_mean", "wall_seconds_sd", "forward_macs")),
        *map(Column, ("seeds_ok", "seeds_expected", "leader", "tied", "recommended", "on_front")),
    )
    title = f"Architectures and strategies by mean val {METRICS[summary.metric].title}, best first"
    rows = (_main_values(row, summary, said) for row, said in _verdicts(summary).items())
    return Table("main", title, columns, tuple(rows))


OF_SCORES = (
    "Mean over seeds, ± standard deviation where there are several; 95 %: Wilson interval of the "
    "mean over images. Likewise for test."
)
OF_VERDICTS = (
    "Points of val behind the leader on the same images, ± one standard error (the larger of that "
    "over images and that over seeds)."
)
OF_TRAINED = "Share of the parameters that the last phase trains."


def _main_values(row: Row, summary: Summary, verdict: str) -> tuple[Value, ...]:
    train, wall = row.train_seconds, row.wall_seconds
    return (
        *(row.architecture, row.strategy, summary.metric),
        *_score_values(row.val),
        verdict,
        *_score_values(row.test),
        *(train and train.mean, row.peak_memory_bytes, row.features_reused),
        *(row.total_parameters, row.trainable_share, row.latency_seconds),
        *(train and train.sd, wall and wall.mean, wall and wall.sd, row.forward_macs),
        *(row.statuses.count("ok"), len(row.statuses), row == summary.leader),
        *(row in summary.tied, row == summary.recommended, row in summary.front),
    )


def _verdicts(summary: Summary) -> dict[Row, str]:
    """By row, the best on val first: `recommended, tied, 0.3 ± 0.4 behind, on the front`."""
    found, front = verdicts(summary), set(summary.front)
    told = {}
    for row in summary.ranked:
        is_chosen = row is summary.recommended and row is not summary.winner
        told[row] = ", ".join(
            [
                *(["recommended"] if is_chosen else []),
                found[row] if row.complete else f"{found[row]}, seeds ok: {status_counts(row)}",
                *(["on the front"] if row in front else []),
            ]
        )
    return told


def matrix(part: str, summary: Summary) -> Table:
    scores = {
        (row.architecture, row.strategy): row.val if part == "val" else row.test
        for row in summary.rows
    }
    strategies = dict.fromkeys(strategy for _, strategy in scores)

    def mean(architecture: str, strategy: str) -> float | None:
        score = scores.get((architecture, strategy))
        return score.seeds.mean if score else None

    rows = (
        (architecture, *(mean(architecture, strategy) for strategy in strategies))
        for architecture in dict.fromkeys(architecture for architecture, _ in scores)
    )
    columns = (ARCHITECTURE, *(number(strategy, name(strategy)) for strategy in strategies))
    title = f"Mean {part} {METRICS[summary.metric].title} in percent"
    return Table(f"{part}-scores", title, columns, tuple(rows))


# ---- the choice -----------------------------------------------------------------------------


def comparisons(summary: Summary) -> Table:
    columns = (
        *(Column("leader_architecture"), Column("leader_strategy"), ARCHITECTURE, STRATEGY),
        number("behind", "Behind", "points", units.points),
        number("se", "SE", "points", units.points),
        *map(Column, ("se_items", "se_seeds", "val_num_images", "leader_num_seeds", "num_seeds")),
        Column("p_value"),
        number("p_adjusted", "p, adjusted", "", units.probability, note=OF_P),
        Column("tied", "Tied", format=lambda tied: "yes" if tied else "no"),
        number("more_seeds_to_settle", "Seeds to settle", "", _settled, "tied", note=OF_SETTLED),
        number("val_images_to_settle", "Val images to settle", "", _settled, "tied"),
    )
    leader = summary.leader
    title = f"Behind the leader, {row_name(leader)}" if leader else "Behind the leader"
    rows = (_comparison(one, leader) for one in summary.comparisons if leader)
    return Table("comparisons", title, columns, tuple(rows))


OF_P = (
    "Two-sided, with the leader taken as given and Holm's adjustment over this table; the stricter "
    "comparison of all with the best decides who is tied."
)
OF_SETTLED = (
    "More seeds for each row on the same images, or val images in all with the same seeds; a dash "
    "where that alone is not enough."
)


def _settled(count: int | None, tied: bool) -> str:
    return (units.UNKNOWN if count is None else f"{count:,}") if tied else ""


def _comparison(one: AgainstLeader, leader: Row) -> tuple[Value, ...]:
    behind = one.behind
    return (
        *(leader.architecture, leader.strategy, one.row.architecture, one.row.strategy),
        *(behind.mean, behind.se, behind.se_items, behind.se_seeds, behind.num_images),
        *(*behind.num_seeds, one.p_value, one.p_adjusted, one.tied),
        *(one.settling or (None, None)),
    )


FRONT = (
    "No other row is, beyond noise, better in one of val score, train time, memory, parameters and "
    "latency and worse in none. A row with an unknown cost cannot be ruled out."
)


def front(summary: Summary) -> Table:
    """The Pareto front, the best on val first; costs that compare with nothing are null."""
    columns = (
        *(ARCHITECTURE, STRATEGY),
        number("val_mean", "Val", "%", units.mean_and_sd, "val_sd"),
        number("test_mean", "Test", "%", units.mean_and_sd, "test_sd"),
        _cost("train_seconds", "Train", "s", units.three_digits),
        _cost("peak_memory_bytes", "Memory", "MiB", units.mebibytes),
        number("total_parameters", "Params", "M", units.millions),
        number("latency_seconds", "Latency", "ms", units.milliseconds),
        Column("verdict", "Against the leader, points"),
        *(Column("val_sd"), Column("test_sd"), REUSED),
    )
    rows = (
        (
            *(row.architecture, row.strategy),
            *_means(row),
            *(comparable_cost(row, cost) for cost in COSTS),
            said.removesuffix(", on the front"),
            *(score and score.seeds.sd for score in (row.val, row.test)),
            row.features_reused,
        )
        for row, said in _verdicts(summary).items()
        if row in summary.front
    )
    return Table("front", "Worth a choice, best on val first", columns, tuple(rows))


def _name_or(none: str) -> Callable[[str | None], str]:
    return lambda found: none if found is None else name(found)


def best(of: str, rows: Mapping[str, Row | None]) -> Table:
    own, other = (STRATEGY, ARCHITECTURE) if of == "strategy" else (ARCHITECTURE, STRATEGY)
    columns = (
        own,
        other._replace(format=_name_or("none: not every seed is ok")),
        *(number(part, part.capitalize(), "%") for part in ("val", "test")),
    )
    title = f"The best of each {of}, by mean val score"
    found = (
        (
            value,
            row and getattr(row, other.name),
            *(_means(row) if row else (None, None)),
        )
        for value, row in rows.items()
    )
    return Table(f"best-{of}", title, columns, tuple(found))


# ---- costs, classes, cells ------------------------------------------------------------------


def architectures(table: RunTable) -> Table:
    columns = (
        ARCHITECTURE,
        number("image_size", "Image", "px", as_text),
        number("total_parameters", "Params", "M", units.millions),
        number("forward_macs", "MACs", "M", units.millions),
        number("latency_p50_seconds", "Latency p50", "ms", units.milliseconds),
        number("latency_p95_seconds", "p95", "ms", units.milliseconds),
        number("inference_images_per_second", "Inference", "images/s", units.three_digits),
    )
    first: dict[str, Result] = {}
    measured: dict[str, Result] = {}
    for one in table.results:
        first.setdefault(one.cell.architecture_label, one)
    for one in on_reference(table):
        if one.cost.latency is not None:
            measured.setdefault(one.cell.architecture_label, one)
    title = "Costs of each architecture: MACs and latency of a forward pass of one image"
    rows = (
        (label, *_counts(first.get(label)), *_times(measured.get(label)))
        for label in table.run.preprocessing
    )
    return Table("architectures", title, columns, tuple(rows))


def _counts(one: Result | None) -> tuple[Value, ...]:
    if one is None:
        return (None,) * 3
    return one.cell.image_size, one.cost.total_parameters, one.cost.forward_macs


def _times(one: Result | None) -> tuple[Value, ...]:
    latency = one.cost.latency if one else None
    if latency is None:
        return (None,) * 3
    return latency.batch1_p50_seconds, latency.batch1_p95_seconds, latency.images_per_second


def classes(found: Iterable[Recall]) -> Table:
    columns = (
        Column("class", "Class", format=name),
        number("num_images", "Images", "", lambda count: f"{count:,}"),
        number("recall", "Recall", "%"),
        number("wilson_low", "95 %", "", units.between, "wilson_high"),
        Column("wilson_high"),
        Column("most_often_taken_for", "Most often taken for", format=_name_or(units.UNKNOWN)),
        number("taken_for_share", "in", "%"),
    )
    rows = (
        (
            *(one.label, one.num_images, one.share),
            *(one.interval or (None, None)),
            *(one.mistaken_for, one.mistaken_share),
        )
        for one in found
    )
    return Table("classes", "Recall by class on test, the worst first", columns, tuple(rows))


def repeated(cells: Iterable[Repeated]) -> Table:
    """The cells that more than one of the merged runs has, whose record counts, and the other."""
    columns = (
        *(ARCHITECTURE, STRATEGY, number("seed", "Seed", "", str)),
        *(Column("counts", "Counts", format=name), number("counts_val", "Its val %", "", _val)),
        Column("left_out", "Left out", format=name),
        number("left_out_val", "Its val %", "", _val),
    )
    rows = (
        (
            *(one.counted.cell.architecture_label, one.counted.cell.strategy),
            *(one.counted.cell.seed, one.counted_name, _score_or_status(one.counted)),
            *(one.left_out_name, _score_or_status(one.left_out)),
        )
        for one in cells
    )
    return Table("repeated", "Cells of more than one run", columns, tuple(rows))


def _score_or_status(record: Result | Failure) -> float | str:
    if isinstance(record, Failure):
        return record.status
    return score_of(record.quality.val, record.cell.metric)


def _val(found: float | str) -> str:
    return found if isinstance(found, str) else units.percent(found)


def results_csv(table: RunTable) -> str:
    """One row per cell, the columns the dotted paths of record.json.

    Lists (curve, confusion matrix, recall, phases) and packed predictions stay in the records.
    """
    return csv_text(SCALARS, zip(*(table.columns[path] for path in SCALARS), strict=True))
