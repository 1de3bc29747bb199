"""The files of a run folder that are derived from its records, and can be written again."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.analysis.summary import Summary, in_order, summarise
from bench.report import formats, markdown, plots, tables
from bench.report.formats import Table
from bench.schema import Failure, Result, Run
from bench.store import disk_errors, write_text

FORMATS: Mapping[str, Callable[[Table], str]] = {
    "md": lambda table: formats.markdown(table) + "\n",
    "tex": lambda table: formats.latex(table) + "\n",
}


def write(folder: Path, run: Run, records: Sequence[Result | Failure]) -> list[Path]:
    """Write results.csv, tables, plots and report.md from records in any order; their paths.

    A plot of an earlier state that can no longer be drawn is removed. Raises FolderError where
    the disk refuses, ValueError where the records are not of this run.
    """
    summary = summarise(run, records)
    records = in_order(run, records)
    texts = {
        "results.csv": formats.csv_text(tables.cells(run, records, summary.missing)),
        **table_texts(run, records, summary),
    }
    figures = plots.draw(run, records, summary)
    texts["report.md"] = markdown.document(run, records, summary, list(figures))
    for name, text in texts.items():
        write_text(folder / name, text)
    pictures: list[Path] = []
    with disk_errors(folder):
        (folder / "plots").mkdir(exist_ok=True)
        for stem in markdown.PLOTS.keys() - figures.keys():
            for suffix in ("png", "svg"):
                (folder / "plots" / f"{stem}.{suffix}").unlink(missing_ok=True)
        for stem, figure in figures.items():
            pictures += plots.save(figure, folder / "plots" / stem)
    return [*(folder / name for name in texts), *pictures]


def table_texts(run: Run, records: Sequence[Result | Failure], summary: Summary) -> dict[str, str]:
    """Every table in every format, by its path in the run folder."""
    by_part = {
        "val": {(row.architecture, row.strategy): row.val for row in summary.rows},
        "test": {(row.architecture, row.strategy): row.test for row in summary.rows},
    }
    reading = {
        "main": tables.main(summary),
        "architectures": tables.architectures(run, records),
        **{f"{part}-scores": tables.matrix(scores) for part, scores in by_part.items()},
    }
    computing = {
        "main": tables.main_numbers(summary),
        "architectures": tables.architecture_numbers(run, records),
        **{f"{part}-scores": tables.matrix_numbers(scores) for part, scores in by_part.items()},
    }
    texts = {
        f"tables/{stem}.{suffix}": form(table)
        for stem, table in reading.items()
        for suffix, form in FORMATS.items()
    }
    return texts | {
        f"tables/{stem}.csv": formats.csv_text(table) for stem, table in computing.items()
    }
