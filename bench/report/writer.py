"""The files that are derived from the records of runs, and can be written again.

Documents are templates; whatever they show is escaped for their format.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

import jinja2
from markupsafe import Markup

from bench.analysis.history import History, news
from bench.folder import check_no_links, disk_errors, write_text
from bench.report import history as texts
from bench.report import run_tables, tables, text
from bench.report.charts import figure
from bench.report.charts import history as drawing
from bench.report.charts.figure import Chart
from bench.report.context import Report, all_tables, context
from bench.report.figures import FIGURES, About, basis, charts, plot_paths, save
from bench.report.tables import Table

STEMS = (
    *("main", "comparisons", "front", "val-scores", "test-scores", "architectures", "classes"),
    *("pretraining", "repeated"),
)
"""The tables that are files; the others are on the page only."""

FORMATS = {"md": tables.as_markdown, "tex": tables.as_latex, "csv": tables.as_csv}


def write(folder: Path, report: Report) -> list[Path]:
    """Write results.csv, tables, plots, report.md and report.html; their paths.

    A plot or table of an earlier state that can no longer be made is removed. Raises FolderError
    where the disk refuses.
    """
    check_no_links(folder)
    made, figures = all_tables(report), all_figures(report)
    contents = {
        "results.csv": run_tables.results_csv(report.table),
        **{
            f"tables/{stem}.{ending}": form(made[stem]).rstrip("\n") + "\n"
            for stem in STEMS
            if made[stem].rows
            for ending, form in FORMATS.items()
        },
        **documents(report, made, figures),
    }
    plots = {folder / "plots" / chart.id: chart for found in figures.values() for chart in found}
    paths = [folder / name for name in contents]
    paths += [path for stem in plots for path in plot_paths(stem)]
    ours = [folder / "tables" / f"{stem}.{ending}" for stem in STEMS for ending in FORMATS]
    ours += [path for one in FIGURES for path in plot_paths(folder / "plots" / one.id)]
    with disk_errors(folder):
        for path in set(ours).difference(paths):
            path.unlink(missing_ok=True)
    for name, content in contents.items():
        write_text(folder / name, content)
    with disk_errors(folder):
        (folder / "plots").mkdir(exist_ok=True)
        for stem, chart in plots.items():
            save(chart, stem, basis(report.table.run))
    return paths


def all_figures(report: Report) -> dict[About, list[Chart]]:
    return {about: charts(report.table, report.summary, about) for about in get_args(About)}


def documents(
    report: Report, made: Mapping[str, Table], figures: Mapping[About, Sequence[Chart]]
) -> dict[str, str]:
    values = context(report, made, figures)
    return {name: render(name, values) for name in ("report.md", "report.html")}


LISTED, DRAWN = 200, 60
"""Cells, changes and runs of a history's page, and its charts: the newest ones."""


def history_page(found: History, reading: texts.Reading) -> str:
    """A suite over all its runs, without scripts and without anything from elsewhere."""
    headline = texts.headline(found)
    runs = [
        (run, ", ".join(texts.letter(i) for i, one in enumerate(found.setups) if place in one.runs))
        for place, run in enumerate(found.runs)
    ]
    drawn = found.cells[:DRAWN] if len(found.runs) > 1 else ()
    values = {
        "texts": texts,
        "found": found,
        "title": headline,
        "headline": text.name(found.suite_name) + headline.removeprefix(found.suite_name),
        "cautions": [f"{one[:1].upper()}{one[1:]}." for one in texts.remarks(found, reading)],
        "changes": news(found),
        "cells": texts.table(found.cells, found),
        "charts": [(cell, drawing.chart(cell, found, at)) for at, cell in enumerate(drawn)],
        "shown_runs": drawing.SHOWN,
        "key": lambda number: figure.key(drawing.colour(number)),
        "runs": runs[: -LISTED - 1 : -1],
        "listed": LISTED,
    }
    return render("history.html", values)


def render(file: str, context: Mapping[str, object]) -> str:
    made = environment(file.rpartition(".")[2]).get_template(file).render(context)
    return made if file.endswith(".html") else re.sub(r"\n{3,}", "\n\n", made).strip() + "\n"


@cache
def environment(ending: str) -> jinja2.Environment:
    """Templates in which text is escaped for a format, and markup is there as it is."""
    escape = text.html if ending == "html" else text.markdown

    def shown(value: object) -> object:
        if isinstance(value, str) and not isinstance(value, Markup):
            return Markup(escape(value))
        return value

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("bench.report"),
        autoescape=True,  # so that macros give markup, and nothing is escaped twice
        finalize=shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "markdown": lambda table, most: Markup(tables.as_markdown(table, most)),
        "named": text.name,
        "plain": text.plain,
    }
    made.globals["chart_style"] = Markup(figure.style())
    return made
