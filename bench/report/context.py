"""Everything that a report says of a run, as plain values: what both templates read."""

import base64
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from markupsafe import Markup

from bench.analysis.choice import Row, Summary
from bench.analysis.merge import Repeated
from bench.analysis.table import RunTable
from bench.predictions import confident_mistakes
from bench.report import classes, facts, protocol, run_tables, sentences, units
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
        "figures": figures,
        "confidence": _confidence(table, row) if row else "",
        "gallery": _gallery(report),
        "costs": facts.of_costs(table, summary),
        "num_cells": len(run.cells),
        "failures": sentences.failures(summary),
        "missing": sentences.missing(summary),
        "unmeasured": list(sentences.unmeasured(table)),
        "rule": sentences.rule(run, summary),
        "columns": _column_notes(tables),
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
    tested = classes.tested(table.results, summary.recommended)
    made = (
        run_tables.main(summary, facts.MEMORY[table.run.profile]),
        run_tables.comparisons(summary),
        run_tables.front(summary),
        run_tables.matrix("val", summary),
        run_tables.matrix("test", summary),
        run_tables.best("strategy", summary.best_by_strategy),
        run_tables.best("architecture", summary.best_by_architecture),
        run_tables.architectures(table),
        run_tables.classes(classes.recalls(table.run.data.classes, tested)),
        run_tables.repeated(report.repeated),
    )
    return {one.name: one for one in made}


def _column_notes(tables: Mapping[str, Table]) -> list[tuple[str, str]]:
    columns = [column for table in tables.values() for column in table.shown if column.note]
    return [(column.title, column.note) for column in columns]


def _confidence(table: RunTable, row: Row) -> str:
    error = classes.calibration_error(classes.tested(table.results, row))
    mean, least, most = (
        units.three_digits(100 * value) for value in (error.mean, error.minimum, error.maximum)
    )
    seeds = "one seed" if error.n == 1 else f"{least} to {most} over {error.n} seeds"
    return (
        f"Its confidence is off by {mean} points on average (expected calibration error on test, "
        f"15 bins; {seeds})."
    )


# ---- how rows look on the page --------------------------------------------------------------


def _looks(summary: Summary) -> dict[str, dict[str, object]]:
    key = _key_of(summary)
    best = {"strategy": summary.best_by_strategy, "architecture": summary.best_by_architecture}
    return {
        "main": {
            "classes": [_standing(row, summary) for row in summary.ranked],
            "keys": [key(row) for row in summary.ranked],
        },
        **{
            f"best-{of}": {"keys": [key(row) for row in found.values()]}
            for of, found in best.items()
        },
    }


def _standing(row: Row, summary: Summary) -> str:
    standing = "disqualified"
    if row.complete:
        standing = "tied" if row in summary.tied else "behind"
    return f"{standing} recommended" if row is summary.recommended else standing


def _key_of(summary: Summary) -> Callable[[Row | None], Markup]:
    look = shown.look(summary)

    def key(row: Row | None) -> Markup:
        if row is None:
            return Markup()
        return figure.key(look.colours[row.architecture], look.shapes[row.strategy])

    return key


# ---- the gallery ----------------------------------------------------------------------------


def _gallery(report: Report) -> dict[str, object] | None:
    table, chosen = report.table, report.summary.chosen
    if chosen is None:
        return None
    labels = table.run.data.classes
    found = table.predictions(chosen, "test")
    mistakes = [
        {
            "place": index,  # in the test part
            "shows": name(labels[found.labels_N[index]]),
            "taken_for": name(labels[found.predicted_N[index]]),
            "confidence": _sure(found.confidences_N[index]),
            "jpeg": Markup(base64.b64encode(report.thumbnails.get(index, b"")).decode()),
        }
        for index in confident_mistakes(table.result(chosen).quality.test.predictions)
    ]
    return {
        "mistakes": mistakes,  # the surest first
        "num_mistakes": int((~found.correct_N).sum()),
        "num_images": len(found.labels_N),
    }


def _sure(confidence: float) -> str:
    """A confidence in percent that is never rounded up to certainty."""
    return "> 99.9 %" if confidence >= 0.9995 else f"{100 * confidence:.1f} %"
