"""Tables of a run.

A table for reading holds text, rounded; a table for computing holds numbers, unrounded. Null
is a dash in the one and an empty field in the other, never 0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel

from bench.analysis.machines import reference
from bench.analysis.rows import Missing, Row, Score, results, status_counts
from bench.analysis.summary import Summary
from bench.record import Failure, Predictions, Result, Run
from bench.report import standings, units
from bench.report.formats import Table, Value, text_of

# ---- the tables -----------------------------------------------------------------------------


def main(summary: Summary) -> Table:
    """One row per architecture and strategy for reading, the best val score first."""
    header = (
        *("Architecture", "Strategy", "Val %", "Val 95 %", "Test %", "Test 95 %"),
        *("Train s", "Memory MiB", "Trainable %", "Seeds ok", "Verdict"),
    )
    verdicts = standings.verdicts(summary)
    rows = tuple(
        (
            *(row.architecture, row.strategy, *_score_texts(row.val), *_score_texts(row.test)),
            units.train_seconds(row),
            units.memory(row),
            units.share(row.trainable_share),
            *(status_counts(row), verdicts[row]),
        )
        for row in summary.ranked
    )
    return Table(header, rows, align="ll" + "r" * 8 + "l")


def _score_texts(score: Score | None) -> tuple[str, str]:
    return units.score(score), units.interval(score.interval if score else None)


def main_numbers(summary: Summary) -> Table:
    """One row per architecture and strategy for computing; scores 0 to 1, seconds, bytes."""
    tied, front = set(summary.tied), set(summary.front)
    rows = [
        {
            **_numbers(row, summary.metric),
            "leader": row == summary.leader,
            "tied": row in tied,
            "recommended": row == summary.recommended,
            "on_front": row in front,
        }
        for row in summary.ranked
    ]
    header = tuple(rows[0]) if rows else ()
    return Table(header, tuple(tuple(row.values()) for row in rows), "l" * len(header))


def _numbers(row: Row, metric: str) -> dict[str, Value]:
    return {
        "architecture": row.architecture,
        "strategy": row.strategy,
        "metric": metric,
        "seeds_ok": row.statuses.count("ok"),
        "seeds_expected": len(row.statuses),
        **_score_numbers("val", row.val),
        **_score_numbers("test", row.test),
        "train_seconds_mean": row.train_seconds.mean if row.train_seconds else None,
        "train_seconds_sd": row.train_seconds.sd if row.train_seconds else None,
        "wall_seconds_mean": row.wall_seconds.mean if row.wall_seconds else None,
        "wall_seconds_sd": row.wall_seconds.sd if row.wall_seconds else None,
        "peak_memory_bytes": row.peak_memory_bytes,
        "total_parameters": row.total_parameters,
        "trainable_share": row.trainable_share,
        "forward_macs": row.forward_macs,
        "latency_seconds": row.latency_seconds,
        "features_reused": row.features_reused,
    }


def _score_numbers(part: str, score: Score | None) -> dict[str, Value]:
    seeds, interval = (score.seeds, score.interval) if score else (None, None)
    return {
        f"{part}_mean": seeds.mean if seeds else None,
        f"{part}_sd": seeds.sd if seeds else None,
        f"{part}_min": seeds.minimum if seeds else None,
        f"{part}_max": seeds.maximum if seeds else None,
        f"{part}_wilson_low": interval.low if interval else None,
        f"{part}_wilson_high": interval.high if interval else None,
        f"{part}_num_images": score.num_images if score else None,
    }


def matrix(scores: Mapping[tuple[str, str], Score | None]) -> Table:
    """Mean scores in percent, by (architecture, strategy); a dash where none is ok."""
    numbers = matrix_numbers(scores)
    rows = tuple((row[0], *(_percent(value) for value in row[1:])) for row in numbers.rows)
    return Table(("Architecture", *numbers.header[1:]), rows, numbers.align)


def _percent(value: Value) -> str:
    return units.percent(value if isinstance(value, float) else None)


def matrix_numbers(scores: Mapping[tuple[str, str], Score | None]) -> Table:
    """Mean scores 0 to 1: a row per architecture, a column per strategy."""
    strategies = tuple(dict.fromkeys(strategy for _, strategy in scores))

    def mean(architecture: str, strategy: str) -> float | None:
        score = scores.get((architecture, strategy))
        return score.seeds.mean if score else None

    rows = tuple(
        (architecture, *(mean(architecture, strategy) for strategy in strategies))
        for architecture in dict.fromkeys(architecture for architecture, _ in scores)
    )
    return Table(("architecture", *strategies), rows, "l" + "r" * len(strategies))


def architectures(run: Run, records: Sequence[Result | Failure]) -> Table:
    """What an architecture costs whichever way it is trained, one row each, for reading."""
    header = (
        *("Architecture", "Image px", "Params M", "MACs M", "Latency p50 ms", "p95 ms"),
        "Inference images/s",
    )
    forms: tuple[Callable[[Any], str], ...] = (
        *(str, text_of, units.millions, units.millions),
        *(units.milliseconds, units.milliseconds, units.three_digits),
    )
    rows = tuple(
        tuple(form(value) for form, value in zip(forms, row, strict=True))
        for row in _architecture_rows(run, records)
    )
    return Table(header, rows, align="l" + "r" * 6)


def architecture_numbers(run: Run, records: Sequence[Result | Failure]) -> Table:
    """The same for computing: pixels, counts, seconds."""
    header = (
        *("architecture", "image_size", "total_parameters", "forward_macs"),
        *("latency_p50_seconds", "latency_p95_seconds", "inference_images_per_second"),
    )
    return Table(header, tuple(_architecture_rows(run, records)), align="l" + "r" * 6)


def _architecture_rows(run: Run, records: Sequence[Result | Failure]) -> Iterator[tuple[Any, ...]]:
    first: dict[str, Result] = {}
    measured: dict[str, Result] = {}
    for result in results(records):
        first.setdefault(result.cell.architecture_label, result)
    for result in reference(results(records)):
        if result.cost.latency is not None:
            measured.setdefault(result.cell.architecture_label, result)
    for label in run.preprocessing:
        counts = (at(first.get(label), path) for path in ARCHITECTURE_COUNTS)
        yield (label, *counts, *(at(measured.get(label), path) for path in ARCHITECTURE_TIMES))


ARCHITECTURE_COUNTS = ("cell.image_size", "cost.total_parameters", "cost.forward_macs")
ARCHITECTURE_TIMES = (
    "cost.latency.batch1_p50_seconds",
    "cost.latency.batch1_p95_seconds",
    "cost.latency.images_per_second",
)


# ---- every scalar of every record -----------------------------------------------------------


def cells(run: Run, records: Sequence[Result | Failure], missing: Iterable[Missing]) -> Table:
    """One row per cell of the run; the columns are the dotted paths of record.json.

    Lists (curve, confusion matrix, recall, phases) and packed predictions stay in the records.
    """
    header = tuple(dict.fromkeys([*scalar_paths(Result), *scalar_paths(Failure)]))
    rows: dict[str, Mapping[str, Value]] = {
        cell.cell_id: {
            "cell_id": cell.cell_id,
            "status": "missing",
            "cell.architecture_label": cell.architecture,
            "cell.strategy": cell.strategy,
            "cell.seed": cell.seed,
        }
        for cell in missing
    }
    for record in records:
        rows[record.cell_id] = dict(scalars(record))
    values = (rows[cell_id] for cell_id in run.cells)
    return Table(header, tuple(tuple(map(row.get, header)) for row in values), "l" * len(header))


def scalar_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of the fields that hold one value, in the order of declaration."""
    for name, inner in _fields(model):
        if inner is None:
            yield f"{prefix}{name}"
        else:
            yield from scalar_paths(inner, f"{prefix}{name}.")


def scalars(value: BaseModel, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """The values at these paths; nothing below a field that is null."""
    for name, inner in _fields(type(value)):
        held = getattr(value, name)
        if inner is None:
            yield f"{prefix}{name}", held
        elif held is not None:
            yield from scalars(held, f"{prefix}{name}.")


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, type[BaseModel] | None], ...]:
    """Each field but lists and predictions, and the model that it holds, if it holds one."""
    found = []
    for name, field in model.model_fields.items():
        arms = get_args(field.annotation) or (field.annotation,)
        inner = next((arm for arm in arms if _is_model(arm)), None)
        if get_origin(field.annotation) is not tuple and inner is not Predictions:
            found.append((name, inner))
    return tuple(found)


def _is_model(arm: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(arm, type) and issubclass(arm, BaseModel)


def at(value: object, path: str) -> Value:
    """The value at a dotted path; None below a field that is null."""
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    assert value is None or isinstance(value, str | int | float)
    return value
