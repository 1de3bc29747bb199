"""The tables of a run, each declared once: what its columns are called, hold and look like."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.analysis.choice import OddCosts, Row, Score, Summary, comparable_cost, status_counts
from bench.analysis.consistency import score_of
from bench.analysis.merge import Repeated
from bench.analysis.pareto import COSTS
from bench.analysis.pretraining import Gain
from bench.analysis.stats import Spread, wilson
from bench.analysis.table import SCALARS, RunTable
from bench.metrics import METRICS
from bench.record import Failure, Record, Scores
from bench.report import units
from bench.report.sentences import row_name, verdicts
from bench.report.tables import Column, Table, Value, as_text, csv_text
from bench.report.text import name

ARCHITECTURE = Column("architecture", "Architecture", format=name)
STRATEGY = Column("strategy", "Strategy", format=name)
ODD = Column("odd_costs")
VERDICT = Column("verdict", "Against the leader, points")


def number(
    key: str,
    title: str,
    unit: str = "",
    form: Callable[..., str] = units.percent,
    *also: str,
    note: str = "",
) -> Column:
    return Column(key, title, unit, form, also, "right", note=note)


def _cost(cost: str, title: str) -> Column:
    """A cost, marked where part of it was not spent: `20.0 †`."""

    def shown(value: float | None, odd: OddCosts | None = None) -> str:
        if odd and value is None:
            return units.odd_mark(odd)
        return f"{units.scaled(value, cost)} {units.odd_mark(odd)}".rstrip()

    also = ("odd_costs",) if COSTS[cost].of_work else ()
    return number(cost, title, units.unit_of(cost), shown, *also)


TRAIN = _cost("train_seconds", "Train")
MEMORY = _cost("peak_memory_bytes", "Memory")
PARAMETERS = _cost("total_parameters", "Params")
LATENCY = _cost("latency_seconds", "Latency")
OF_TRAINED = "Share of the parameters that the last phase trains."
TRAINED = number("trainable_share", "Trained", "%", units.share, note=OF_TRAINED)


def _score(part: str) -> tuple[Column, ...]:
    """Mean and standard deviation over seeds, and the interval of the mean over images."""
    return (
        number(f"{part}_mean", part.capitalize(), "%", units.mean_and_sd, f"{part}_sd"),
        number(f"{part}_wilson_low", "95 %", "", units.between, f"{part}_wilson_high")._replace(
            below=True
        ),
        *(Column(f"{part}_{key}") for key in ("wilson_high", "sd", "min", "max", "num_images")),
    )


def _of_row(row: Row) -> dict[str, Any]:
    return {**row._asdict(), **_of_score("val", row.val), **_of_score("test", row.test)}


def _of_score(part: str, score: Score | None) -> dict[str, Value]:
    seeds, interval = (score.seeds, score.interval) if score else (None, None)
    return {
        f"{part}_mean": seeds and seeds.mean,
        f"{part}_wilson_low": interval and interval.low,
        f"{part}_wilson_high": interval and interval.high,
        f"{part}_sd": seeds and seeds.sd,
        f"{part}_min": seeds and seeds.minimum,
        f"{part}_max": seeds and seeds.maximum,
        f"{part}_num_images": score and score.num_images,
    }


def _table(
    key: str, title: str, columns: tuple[Column, ...], rows: Iterable[Mapping[str, Any]]
) -> Table:
    values = (tuple(row[column.name] for column in columns) for row in rows)
    return Table(key, title, columns, tuple(values))


def main(summary: Summary, memory: str) -> Table:
    """A row for each architecture and strategy, the best on val first; `memory` says of what."""
    val, *beside_val = _score("val")
    columns = (
        *(ARCHITECTURE, STRATEGY._replace(below=True), Column("metric")),
        val._replace(
            note="Mean over seeds, ± standard deviation where there are several; 95 %: Wilson "
            "interval of the mean over images. Likewise for test."
        ),
        *beside_val,
        VERDICT._replace(
            note="Points of val behind the leader on the same images, ± one standard error (the "
            "larger of that over images and that over seeds)."
        ),
        *_score("test"),
        TRAIN._replace(name="train_seconds_mean", note="As if the cell ran alone."),
        MEMORY._replace(note=f"Peak, {memory}, largest over seeds."),
        ODD,
        PARAMETERS._replace(note="Trained or not."),
        TRAINED,
        LATENCY._replace(note="One image, median."),
        *map(Column, ("train_seconds_sd", "wall_seconds_mean", "wall_seconds_sd", "forward_macs")),
        *map(Column, ("seeds_ok", "seeds_expected", "leader", "tied", "recommended", "on_front")),
    )
    rows = (
        {
            **_of_row(row),
            **_of_seconds("train_seconds", row.train_seconds),
            **_of_seconds("wall_seconds", row.wall_seconds),
            "metric": summary.metric,
            "verdict": verdict,
            "seeds_ok": row.statuses.count("ok"),
            "seeds_expected": len(row.statuses),
            "leader": row == summary.leader,
            "tied": row in summary.tied,
            "recommended": row == summary.recommended,
            "on_front": row in summary.front,
        }
        for row, verdict in _verdicts(summary).items()
    )
    by = f"Architectures and strategies by mean val {METRICS[summary.metric].title}, best first"
    on_test = f"{units.percent(summary.guessing.test)} % on test"
    title = f"{by} ({guessing(summary.guessing.val)} on val, {on_test})"
    return _table("main", title, columns, rows)


def guessing(score: float | None) -> str:
    return f"always guessing the commonest class: {units.percent(score)} %"


def _of_seconds(key: str, found: Spread | None) -> dict[str, Value]:
    return {f"{key}_mean": found and found.mean, f"{key}_sd": found and found.sd}


def _verdicts(summary: Summary) -> dict[Row, str]:
    """By row, the best on val first: `recommended, tied, 0.3 ± 0.4 behind, on the front`."""
    found, told = verdicts(summary), {}
    for row in summary.ranked:
        parts = [found[row]]
        if row is summary.recommended and row is not summary.winner:
            parts.insert(0, "recommended")
        if not row.complete:
            parts.append(f"seeds ok: {status_counts(row)}")
        if row in summary.front:
            parts.append("on the front")
        told[row] = ", ".join(parts)
    return told


def matrix(part: str, summary: Summary) -> Table:
    scores = {
        (row.architecture, row.strategy): row.val if part == "val" else row.test
        for row in summary.rows
    }
    strategies = dict.fromkeys(strategy for _, strategy in scores)
    rows = []
    for architecture in dict.fromkeys(architecture for architecture, _ in scores):
        found = [scores.get((architecture, strategy)) for strategy in strategies]
        rows.append((architecture, *(score and score.seeds.mean for score in found)))
    columns = (ARCHITECTURE, *(number(strategy, name(strategy)) for strategy in strategies))
    score = summary.guessing.val if part == "val" else summary.guessing.test
    title = f"Mean {part} {METRICS[summary.metric].title} in percent ({guessing(score)})"
    return Table(f"{part}-scores", title, columns, tuple(rows))


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
    rows = (
        (
            *(leader.architecture, leader.strategy, one.row.architecture, one.row.strategy),
            *(one.behind.mean, one.behind.se, one.behind.se_items, one.behind.se_seeds),
            *(one.behind.num_images, *one.behind.num_seeds),
            *(one.p_value, one.p_adjusted, one.tied, *(one.settling or (None, None))),
        )
        for one in summary.comparisons
        if leader
    )
    return Table("comparisons", title, columns, tuple(rows))


OF_P = (
    "Two-sided, of all rows compared with each other at once: a row that is at least the margin "
    "behind is tied from 0.05 up."
)
OF_SETTLED = (
    "More seeds for each row on the same images, or val images in all with the same seeds; a dash "
    "where that alone is not enough."
)


def _settled(count: int | None, tied: bool) -> str:
    return (units.UNKNOWN if count is None else f"{count:,}") if tied else ""


def pretraining(gains: Iterable[Gain]) -> Table:
    """The best row of each architecture from pretrained weights beside its best from scratch."""
    columns = (
        ARCHITECTURE,
        Column("pretrained", "Pretrained", format=name),
        *_scores_of("pretrained"),
        Column("scratch", "From scratch", format=name),
        *_scores_of("scratch"),
        number("gain", "Gain", "points", units.points),
        number("se", "SE", "points", units.points),
        number("images", "Images", "", lambda count: f"{count:+,.0f}"),
        number("num_images", "of", "", lambda count: f"{count:,}"),
    )
    rows = (
        (
            *(one.pretrained.architecture, one.pretrained.strategy, *_test_of(one.pretrained)),
            *(one.scratch.strategy, *_test_of(one.scratch)),
            *(one.ahead.mean, one.ahead.se, one.images, one.ahead.num_images),
        )
        for one in gains
    )
    return Table(
        "pretraining",
        "The best pretrained row and the best from scratch, on test",
        columns,
        tuple(rows),
    )


GAIN = (
    "The best row of each architecture from pretrained weights beside its best from scratch, both "
    "chosen on val and compared on the same test images. Images: how many more of them are right."
)


def _scores_of(key: str) -> tuple[Column, ...]:
    test = number(f"{key}_test_mean", "Test", "%", units.mean_and_sd, f"{key}_test_sd")
    return test, Column(f"{key}_test_sd"), Column(f"{key}_seeds")


def _test_of(row: Row) -> tuple[Value, ...]:
    return (row.test.seeds.mean, row.test.seeds.sd, row.test.seeds.n) if row.test else (None,) * 3


FRONT = (
    "No other row is, beyond noise, better in one of val score, train time, memory, parameters and "
    "latency and worse in none. A row with an unknown cost cannot be ruled out."
)


def front(summary: Summary) -> Table:
    """The Pareto front, the best on val first; costs that compare with nothing are null."""
    columns = (
        *(ARCHITECTURE, STRATEGY),
        *(_score("val")[0], _score("test")[0]),
        *(TRAIN, MEMORY, PARAMETERS, LATENCY),
        VERDICT,
        *(Column("val_sd"), Column("test_sd"), ODD),
    )
    rows = (
        {
            **_of_row(row),
            **{cost: comparable_cost(row, cost) for cost in COSTS},
            "verdict": said.removesuffix(", on the front"),
        }
        for row, said in _verdicts(summary).items()
        if row in summary.front
    )
    return _table("front", "Worth a choice, best on val first", columns, rows)


def _name_or(none: str) -> Callable[[str | None], str]:
    return lambda found: none if found is None else name(found)


def best(of: str, rows: Mapping[str, Row | None]) -> Table:
    own, other = (STRATEGY, ARCHITECTURE) if of == "strategy" else (ARCHITECTURE, STRATEGY)
    columns = (
        own,
        other._replace(format=_name_or("none: not every seed is ok")),
        *(number(f"{part}_mean", part.capitalize(), "%") for part in ("val", "test")),
    )
    values = (
        {
            own.name: label,
            other.name: row and getattr(row, other.name),
            **_of_score("val", row and row.val),
            **_of_score("test", row and row.test),
        }
        for label, row in rows.items()
    )
    return _table(f"best-{of}", f"The best of each {of}, by mean val score", columns, values)


def architectures(table: RunTable) -> Table:
    columns = (
        ARCHITECTURE,
        number("image_size", "Image", "px", as_text),
        PARAMETERS,
        number("forward_macs", "MACs", "M", units.millions),
        number("latency_p50_seconds", "Latency p50", "ms", units.milliseconds),
        number("latency_p95_seconds", "p95", "ms", units.milliseconds),
        number("inference_images_per_second", "Inference", "images/s", units.three_digits),
    )
    counts: dict[str, tuple[Value, ...]] = {}
    times: dict[str, tuple[Value, ...]] = {}
    for one in table.results:
        cost = one.cost
        found = (one.cell.image_size, cost.total_parameters, cost.forward_macs)
        counts.setdefault(one.cell.architecture_label, found)
    for one in table.measured:
        if speed := one.cost.latency:
            seconds = (speed.batch1_p50_seconds, speed.batch1_p95_seconds)
            times.setdefault(one.cell.architecture_label, (*seconds, speed.images_per_second))
    none = (None,) * 3
    title = "Costs of each architecture: MACs and latency of a forward pass of one image"
    rows = ((of, *counts.get(of, none), *times.get(of, none)) for of in table.run.preprocessing)
    return Table("architectures", title, columns, tuple(rows))


def tested(table: RunTable, row: Row | None) -> list[Scores]:
    """The test scores of a row, one for each seed that is ok; empty without a row."""
    return [table.result(cell_id).quality.test for cell_id in row.ok] if row else []


def classes(labels: Sequence[str], scores: Sequence[Scores]) -> Table:
    """The share of each class's test images that were recognised, a mean over seeds.

    In Wilson's interval each image counts once, however many seeds saw it.
    """
    columns = (
        Column("class", "Class", format=name),
        number("num_images", "Images", "", lambda count: f"{count:,}"),
        number("recall", "Recall", "%"),
        number("wilson_low", "95 %", "", units.between, "wilson_high"),
        Column("wilson_high"),
        Column("most_often_taken_for", "Most often taken for", format=_name_or(units.UNKNOWN)),
        number("taken_for_share", "in", "%"),
    )
    rows: list[tuple[Value, ...]] = []
    counts_KK = np.mean([one.confusion for one in scores], axis=0) if scores else np.empty((0, 0))
    for k, counts_K in enumerate(counts_KK):
        total, right = float(counts_K.sum()), float(counts_K[k])
        if not total:
            rows.append((labels[k], 0, *(None,) * 5))
            continue
        others_K = np.where(np.arange(len(labels)) == k, 0.0, counts_K)
        most = int(others_K.argmax())
        mistaken = labels[most], float(others_K[most]) / total
        rows.append(
            (
                *(labels[k], round(total), right / total),
                *wilson(min(right / total, 1.0), round(total)),
                *(mistaken if others_K.any() else (None, None)),
            )
        )
    rows.sort(key=lambda row: 2.0 if row[2] is None else row[2])
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


def _score_or_status(record: Record) -> float | str:
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
