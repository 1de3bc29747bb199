"""history.html: a suite over all its runs, without scripts and without anything from elsewhere."""

from bench.analysis.history import History, News, news
from bench.analysis.judge import SECONDS
from bench.report import history as texts
from bench.report import units
from bench.report.charts import history as drawing
from bench.report.charts.figure import key
from bench.report.comparison import TITLES
from bench.report.render import render
from bench.report.tables import as_html
from bench.report.text import name

LISTED = 200
"""Cells, changes and runs that the page has: the newest, and those with the newest changes."""


def document(found: History, reading: texts.Reading) -> str:
    changes = news(found)
    headline = texts.headline(found)
    values = {
        "title": headline,
        "headline": name(found.suite_name) + headline.removeprefix(found.suite_name),
        "suite": found.suite_name,
        "limits": [f"{text[:1].upper()}{text[1:]}." for text in texts.remarks(found, reading)],
        "num_runs": len(found.runs),
        "changes": [_line(found, one) for one in changes[:LISTED]],
        "num_changes": len(changes),
        "timed": any(one.metric == SECONDS for one in changes),
        "table": as_html(texts.table(found.cells, found), LISTED),
        "num_cells": len(found.cells),
        "pictures": _pictures(found),
        "shown_runs": drawing.SHOWN,
        "kinds": _kinds(found),
        "runs": _runs(found),
        "listed": LISTED,
    }
    return render("history.html", values)


def _line(found: History, one: News) -> dict[str, str]:
    return {
        "date": texts.day(found.runs[one.run].started_at),
        "metric": TITLES[one.metric],
        "cells": texts.cells_of(one),
        "before": found.runs[one.before].name,  # the last run before
        "run": found.runs[one.run].name,
        "fields": texts.differing(one),
    }


def _pictures(found: History) -> list[dict[str, object]]:
    if len(found.runs) == 1:
        return []
    return [
        {
            "name": cell.name,
            "news": texts.newest_change(cell, found),
            "chart": drawing.chart(cell, found, number),
            "open": bool(cell.changes) or number < FEW,
        }
        for number, cell in enumerate(found.cells[:DRAWN])
    ]


DRAWN = 60
"""Cells with a figure: those with the newest changes come first."""

FEW = 6
"""Cells that are shown whether or not they have changed."""


def _kinds(found: History) -> list[dict[str, object]]:
    return [
        {
            "letter": texts.letter(number),
            "key": key(drawing.colour(number)),
            "machine": texts.machine(setup),
            "versions": texts.versions(setup),
            "num_runs": len(setup.runs),
            "since": texts.day(found.runs[setup.runs[0]].started_at),
            "fields": texts.other_than(setup),
        }
        for number, setup in enumerate(found.setups)
    ]


def _runs(found: History) -> list[tuple[str, str, str, str]]:
    setups: dict[int, list[str]] = {}
    for number, setup in enumerate(found.setups):
        for run in setup.runs:
            setups.setdefault(run, []).append(texts.letter(number))
    return [
        (
            run.started_at.replace("T", " ").removesuffix("Z"),
            run.name,
            ", ".join(setups.get(place, [])) or units.UNKNOWN,
            "; ".join([*run.changed, *([f"unstable: {run.unstable}"] if run.unstable else [])]),
        )
        for place, run in reversed(list(enumerate(found.runs)))
    ][:LISTED]
