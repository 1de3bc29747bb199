"""The files of a run folder that are derived from its records, and can be written again."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bench.analysis.merge import Repeated
from bench.analysis.rows import in_order
from bench.analysis.summary import Summary
from bench.folder import disk_errors, write_text
from bench.record import Failure, Result, Run
from bench.report import classes, formats, limits, markdown, run_tables, standings
from bench.report.charts import figure
from bench.report.charts.figure import Chart
from bench.report.figures import FIGURES, basis, charts
from bench.report.formats import Table
from bench.report.limits import Limits
from bench.report.page import document as page

FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": lambda table: formats.markdown(table) + "\n",
    "tex": lambda table: formats.latex(table) + "\n",
}


class Report(NamedTuple):
    """What a report is made of."""

    run: Run
    records: Sequence[Result | Failure]  # in any order
    summary: Summary  # of these
    limits: Limits = Limits()
    notes: Sequence[str] = ()  # what must be known of the records
    repeated: Sequence[Repeated] = ()  # cells of several runs, of which another record counts
    thumbnails: Mapping[int, bytes] = MappingProxyType({})  # JPEG by place in the test part


def write(folder: Path, report: Report) -> list[Path]:
    """Write results.csv, tables, plots, report.md and report.html; their paths.

    A plot or table of an earlier state that can no longer be made is removed. Raises FolderError
    where the disk refuses.
    """
    run, summary = report.run, report.summary
    report = report._replace(records=in_order(run, report.records))
    drawn = charts(run, report.records, summary)
    texts = {
        "results.csv": formats.csv_text(run_tables.cells(run, report.records, summary.missing)),
        **table_texts(report),
        **documents(report, drawn),
    }
    written = [figure.paths(folder / "plots" / chart.id) for chart in drawn]
    paths = [*(folder / name for name in texts), *(path for pair in written for path in pair)]
    remove_stale(folder, set(paths))
    for name, text in texts.items():
        write_text(folder / name, text)
    with disk_errors(folder):
        (folder / "plots").mkdir(exist_ok=True)
        for chart in drawn:
            figure.save(chart, folder / "plots" / chart.id, basis(run))
    return paths


def documents(report: Report, drawn: Sequence[Chart]) -> dict[str, str]:
    """The report for a terminal and as a page."""
    run, records, summary = report.run, report.records, report.summary
    asked = (limits.answers(summary, report.limits), report.notes)
    return {
        "report.md": markdown.document(run, records, summary, drawn, *asked),
        "report.html": page.document(run, records, summary, report.thumbnails, *asked),
    }


def remove_stale(folder: Path, written: Container[Path]) -> None:
    """Remove tables and plots of ours that are not written again."""
    tables_ = [folder / "tables" / f"{stem}.{suffix}" for stem in STEMS for suffix in SUFFIXES]
    pictures = [path for one in FIGURES for path in figure.paths(folder / "plots" / one.id)]
    with disk_errors(folder):
        for path in (*tables_, *pictures):
            if path not in written:
                path.unlink(missing_ok=True)


# ---- tables ---------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A table for reading, and the same for computing."""

    reading: Table
    computing: Table


STEMS = (
    *("main", "comparisons", "front", "val-scores", "test-scores", "architectures", "classes"),
    "repeated",
)
SUFFIXES = (*FORMATS, "csv")


def table_texts(report: Report) -> dict[str, str]:
    """Every table that has a row in every format, by its path in the run folder."""
    texts = {}
    for stem, pair in zip(STEMS, pairs(report), strict=True):
        if pair.reading.rows:
            for suffix, form in FORMATS.items():
                texts[f"tables/{stem}.{suffix}"] = form(pair.reading)
            texts[f"tables/{stem}.csv"] = formats.csv_text(pair.computing)
    return texts


def pairs(report: Report) -> list[Pair]:
    """The tables, in the order of their stems."""
    run, records, summary = report.run, report.records, report.summary
    val = {(row.architecture, row.strategy): row.val for row in summary.rows}
    test = {(row.architecture, row.strategy): row.test for row in summary.rows}
    recalls = classes.recalls(run, records, summary)
    repeated = standings.repeated(report.repeated)
    return [
        Pair(run_tables.main(summary), run_tables.main_numbers(summary)),
        Pair(standings.comparisons(summary), standings.comparison_numbers(summary)),
        Pair(standings.front(summary), standings.front_numbers(summary)),
        Pair(run_tables.matrix(val), run_tables.matrix_numbers(val)),
        Pair(run_tables.matrix(test), run_tables.matrix_numbers(test)),
        Pair(run_tables.architectures(run, records), run_tables.architecture_numbers(run, records)),
        Pair(classes.table(recalls), classes.numbers(recalls)),
        Pair(repeated, repeated),
    ]
