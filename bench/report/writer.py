"""The files of a run folder that are derived from its records, and can be written again."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import get_args

from bench.folder import disk_errors, write_text
from bench.report import run_tables, tables
from bench.report.charts import figure
from bench.report.charts.figure import Chart
from bench.report.context import Report, all_tables, context
from bench.report.figures import FIGURES, About, basis, charts
from bench.report.render import render
from bench.report.tables import Table

STEMS = (
    *("main", "comparisons", "front", "val-scores", "test-scores", "architectures", "classes"),
    "repeated",
)
"""The tables that are files; the others are on the page only."""


def write(folder: Path, report: Report) -> list[Path]:
    """Write results.csv, tables, plots, report.md and report.html; their paths.

    A plot or table of an earlier state that can no longer be made is removed. Raises FolderError
    where the disk refuses.
    """
    made, figures = all_tables(report), all_figures(report)
    texts = {
        "results.csv": run_tables.results_csv(report.table),
        **table_texts([made[stem] for stem in STEMS]),
        **documents(report, made, figures),
    }
    plots = {folder / "plots" / chart.id: chart for found in figures.values() for chart in found}
    paths = [*(folder / name for name in texts), *(p for stem in plots for p in figure.paths(stem))]
    remove_stale(folder, set(paths))
    for name, content in texts.items():
        write_text(folder / name, content)
    with disk_errors(folder):
        (folder / "plots").mkdir(exist_ok=True)
        for stem, chart in plots.items():
            figure.save(chart, stem, basis(report.table.run))
    return paths


def all_figures(report: Report) -> dict[About, list[Chart]]:
    return {about: charts(report.table, report.summary, about) for about in get_args(About)}


def documents(
    report: Report, made: Mapping[str, Table], figures: Mapping[About, Sequence[Chart]]
) -> dict[str, str]:
    values = context(report, made, figures)
    return {name: render(name, values) for name in ("report.md", "report.html")}


def table_texts(made: list[Table]) -> dict[str, str]:
    texts = {}
    for table in made:
        if table.rows:
            texts[f"tables/{table.name}.md"] = tables.as_markdown(table) + "\n"
            texts[f"tables/{table.name}.tex"] = tables.as_latex(table) + "\n"
            texts[f"tables/{table.name}.csv"] = tables.as_csv(table)
    return texts


def remove_stale(folder: Path, written: Container[Path]) -> None:
    ours = [folder / "tables" / f"{stem}.{end}" for stem in STEMS for end in ("md", "tex", "csv")]
    ours += [path for one in FIGURES for path in figure.paths(folder / "plots" / one.id)]
    with disk_errors(folder):
        for path in ours:
            if path not in written:
                path.unlink(missing_ok=True)
