"""Everything that a report says of a run, as plain values: what both templates read."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.choice import Row, Summary
from bench.analysis.merge import Repeated
from bench.analysis.pretraining import gains
from bench.analysis.stats import spread
from bench.analysis.table import RunTable
from bench.predictions import confident_mistakes
from bench.report import facts, protocol, run_tables, sentences, units
from bench.report.charts import figure, shown
from bench.report.charts.figure import Chart
from bench.report.facts import Limits
from bench.report.figures import About
from bench.report.sentences import row_name
from bench.report.tables import Table
from bench.report.text import name


class Report(NamedTuple):
    table: RunTable
    summary: Summary  # of the same
    limits: Limits = Limits()
    notes: Sequence[str] = ()  # what must be known of the records
    repeated: Sequence[Repeated] = ()  # cells of several runs, of which another record counts
    thumbnails: Mapping[int, bytes] = MappingProxyType({})  # JPEG by place in the test part


def context(
    report: Report, tables: Mapping[str, Table], figures: Mapping[About, Sequence[Chart]]
) -> dict[str, object]:
    table, summary = report.table, report.summary
    run, row = table.run, summary.recommended
    headline = sentences.headline(table, summary)
    return {
        "suite": name(run.suite_name),
        "data": name(run.data.name),
        "setting": units.setting(run),
        "title": f"{run.suite_name}: {headline}",
        "headline": headline,
        "cautions": [*sentences.cautions(table, summary), *report.notes],
        "missing_files": sentences.missing_files(run),
        "standing": "Winner" if summary.winner and summary.comparisons else "Recommended",
        "recommended": row_name(row) if row else "",
        "glance": glance(report),
        "tables": tables,
        "looks": _looks(summary),
        "front_is": run_tables.FRONT,
        "gain_is": run_tables.GAIN,
        "figures": figures,
        "confidence": _confidence(table, row) if row else "",
        "gallery": _gallery(report),
        "costs": facts.of_costs(table, summary),
        "num_cells": len(run.cells),
        "failures": sentences.failures(summary),
        "missing": sentences.missing(summary),
        "unmeasured": list(sentences.unmeasured(table)),
        "rule": sentences.rule(run, summary),
        "columns": [
            (column.title, column.note)
            for one in tables.values()
            for column in one.shown
            if column.note
        ],
        "protocol": protocol.protocol(table),
        "machines": protocol.machines(table),
    }


def glance(report: Report) -> list[tuple[str, list[facts.Fact]]]:
    run, summary = report.table.run, report.summary
    row = summary.recommended
    asked = facts.answers(summary, report.limits)
    groups = [
        (row_name(row) if row else "", facts.of_recommended(run, summary)),
        ("Alternatives", facts.of_alternatives(summary, asked)),
        ("How sure this is", facts.of_certainty(run, summary)),
    ]
    return [(title, found) for title, found in groups if found]


def all_tables(report: Report) -> dict[str, Table]:
    table, summary = report.table, report.summary
    tested = run_tables.tested(table, summary.recommended)
    made = (
        run_tables.main(summary, facts.MEMORY[table.run.profile]),
        run_tables.comparisons(summary),
        run_tables.front(summary),
        run_tables.pretraining(gains(table, summary)),
        run_tables.matrix("val", summary),
        run_tables.matrix("test", summary),
        run_tables.best("strategy", summary.best_by_strategy),
        run_tables.best("architecture", summary.best_by_architecture),
        run_tables.architectures(table),
        run_tables.classes(table.run.data.classes, tested),
        run_tables.repeated(report.repeated),
    )
    return {one.name: one for one in made}


def _confidence(table: RunTable, row: Row) -> str:
    error = spread([scores.ece for scores in run_tables.tested(table, row)])
    mean, least, most = (
        units.three_digits(100 * value) for value in (error.mean, error.minimum, error.maximum)
    )
    seeds = "one seed" if error.n == 1 else f"{least} to {most} over {error.n} seeds"
    return (
        f"Its confidence is off by {mean} points on average (expected calibration error on test, "
        f"15 bins; {seeds})."
    )


def _looks(summary: Summary) -> dict[str, dict[str, object]]:
    """By table: the classes of its rows, and the colour and shape of each row in the charts."""
    look = shown.look(summary)

    def key(row: Row) -> Markup:
        return figure.key(look.colours[row.architecture], look.shapes[row.strategy])

    def keys(rows: Iterable[Row | None]) -> list[Markup]:
        return [key(row) if row else Markup() for row in rows]

    classes = [_standing(row, summary) for row in summary.ranked]
    return {
        "main": {"classes": classes, "keys": keys(summary.ranked)},
        "best-strategy": {"keys": keys(summary.best_by_strategy.values())},
        "best-architecture": {"keys": keys(summary.best_by_architecture.values())},
    }


def _standing(row: Row, summary: Summary) -> str:
    standing = "disqualified"
    if row.complete:
        standing = "tied" if row in summary.tied else "behind"
    return f"{standing} recommended" if row is summary.recommended else standing


def _gallery(report: Report) -> dict[str, object] | None:
    """The surest mistakes of the recommended row's best seed; places are in the test part."""
    table, chosen = report.table, report.summary.chosen
    if chosen is None:
        return None
    labels = [name(label) for label in table.run.data.classes]
    found = table.predictions(chosen, "test")
    mistakes = [
        {
            "place": place,
            "shows": labels[found.labels_N[place]],
            "taken_for": labels[found.predicted_N[place]],
            "confidence": _sure(found.confidences_N[place]),
            "jpeg": Markup(base64.b64encode(report.thumbnails.get(place, b"")).decode()),
        }
        for place in confident_mistakes(table.result(chosen).quality.test.predictions)
    ]
    return {
        "mistakes": mistakes,
        "num_mistakes": int((~found.correct_N).sum()),
        "num_images": len(found.labels_N),
    }


def _sure(confidence: float) -> str:
    """A confidence in percent that is never rounded up to certainty."""
    return "> 99.9 %" if confidence >= 0.9995 else f"{100 * confidence:.1f} %"
