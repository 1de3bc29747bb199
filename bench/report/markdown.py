"""report.md: what was found, how sure that is, and what it cost, as report.html says it.

The first line names the machine. The choice is explained before the numbers, and what was not
measured is said as plainly as what was. Long tables end early: the files have them whole.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean

from bench.analysis.machines import reference
from bench.analysis.rows import Row, comparable_cost, results, status_counts
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import (
    certainty,
    classes,
    facts,
    findings,
    formats,
    gaps,
    protocol,
    run_tables,
    standings,
    units,
)
from bench.report.charts.figure import Chart
from bench.report.findings import Text, plain
from bench.report.formats import Table
from bench.report.formats import escape_markdown as name

MOST_ROWS = 50
"""Of a table in the report."""

MOST_ITEMS = 20
"""Of a list in the report."""


def document(
    run: Run,
    records: Sequence[Result | Failure],
    summary: Summary,
    charts: Sequence[Chart],
    answers: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """The report as Markdown, lists in the order of `records`; `charts` are the figures in plots/.

    `answers` are what was asked beyond the choice, `notes` what must be known of the records.
    """
    parts = [
        f"# bench {name(run.suite_name)} · {name(units.setting(run))}",
        f"**{said(findings.headline(run, records, summary))}**",
        *cautions(run, records, summary),
        *(f"> {name(note)}" for note in notes),
        *("## At a glance", *glance(run, summary, answers)),
        *("## Why", *reasons(run, summary)),
        *("## Compared with the leader", *compared(summary)),
        *("## All scores", *scores(run, summary)),
        *("## Worth a choice", *front(summary)),
        *("## Best of each", *best_of_each(summary)),
        *("## What the recommended gets wrong", *mistakes(run, records, summary)),
        *("## Costs", *costs(run, records, summary)),
        *("## Plots", *pictures(charts)),
        *("## Failed, missing, not measured", *not_measured(run, records, summary)),
        *("## Protocol", listed(protocol.protocol(run, records))),
        *("## Machine and versions", listed(protocol.machines(run, records))),
        *("## Files", FILES),
    ]
    return "\n\n".join(parts) + "\n"


def said(text: Text) -> str:
    """A text of several pieces, names and all, as Markdown shows it."""
    return name(plain(text))


def items(texts: Sequence[Text]) -> list[str]:
    """A list of texts, the last ones only counted where there are many."""
    lines = [f"- {said(text)}" for text in texts[:MOST_ITEMS]]
    lines += [f"- and {len(texts) - MOST_ITEMS:,} more"] if len(texts) > MOST_ITEMS else []
    return ["\n".join(lines)] if lines else []


def listed(facts: Iterable[protocol.Fact]) -> str:
    """Facts as a list."""
    return "\n".join(f"- {name(title)}: {name(text)}." for title, text in facts)


def shown(table: Table, file: str) -> list[str]:
    """A table; where it is long its first rows, and the file that has all."""
    lines = [formats.markdown(table._replace(rows=table.rows[:MOST_ROWS]))]
    left_out = len(table.rows) - MOST_ROWS
    return [*lines, *([f"And {left_out:,} more: see `tables/{file}.csv`."] if left_out > 0 else [])]


# ---- the finding ----------------------------------------------------------------------------


def cautions(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """What must be known before the finding is used; after a fallback, the files that lacked."""
    found = [f"> {said(text)}" for text in findings.limits(run, records, summary)]
    files = "\n".join(f"> - {said(text)}" for text in findings.missing_files(run)[:MOST_ITEMS])
    return [*found, *([f"> Missing files:\n>\n{files}"] if files else [])]


def glance(run: Run, summary: Summary, answers: Sequence[str]) -> list[str]:
    """The recommended row with its numbers, what else to think of, and how sure that is."""
    row = summary.recommended
    groups = {
        f"Recommended: {row_name(row)}" if row else "": facts.of_recommended(run, summary),
        "Alternatives": facts.of_alternatives(summary, answers),
        "How sure this is": facts.of_certainty(run, summary),
    }
    return [
        part
        for title, found in groups.items()
        if found
        for part in (f"**{title}**", "\n".join(f"- {fact_text(fact)}" for fact in found))
    ]


def fact_text(fact: facts.Fact) -> str:
    """`Val: 94.1 % (95 %: 91.3–96.0, 400 images, ± 0.3 over 3 seeds)`."""
    value, notes = said(fact.value), ", ".join(map(said, fact.notes))
    return f"{name(fact.title)}: {f'{value} ({notes})' if value and notes else value or notes}"


def reasons(run: Run, summary: Summary) -> list[str]:
    """The rule of the choice, who is tied, and who could not win."""
    tied = [(f"{row.name} ({numbers(row, summary)})",) for row in summary.tied]
    named = ["Tied, the leader first:", *items(tied)] if len(tied) > 1 else []
    return [said(certainty.rule(run, summary)), *named, *disqualified(summary)]


def numbers(row: Row, summary: Summary) -> str:
    """Val score, train time and memory of a row, and what the choice made of it."""
    seconds = row.train_seconds.mean if row.train_seconds else None
    marked = f" {units.REUSED}" if row.features_reused else ""
    return (
        f"val {units.score(row.val)} %, test {units.score(row.test)} %, train "
        f"{units.three_digits(seconds)} s, {units.mebibytes(row.peak_memory_bytes)} MiB{marked}"
        f"{'; recommended' if row is summary.recommended else ''}"
    )


def disqualified(summary: Summary) -> list[str]:
    """The rows that could not win, and by how many seeds."""
    rows = items([(f"{row.name}: {status_counts(row)}",) for row in summary.disqualified])
    return ["Disqualified, because not every seed is ok:", *rows] if rows else []


# ---- the numbers ----------------------------------------------------------------------------


def compared(summary: Summary) -> list[str]:
    """Every complete row against the leader."""
    if summary.leader is None or not summary.comparisons:
        return ["Nothing to compare: fewer than two rows are complete."]
    return [
        f"Leader: {name(summary.leader.name)}. {certainty.BEHIND} {certainty.COMPARED}",
        *shown(standings.comparisons(summary), "comparisons"),
    ]


def scores(run: Run, summary: Summary) -> list[str]:
    """The main table with its legend, and the matrix of test scores."""
    what = units.METRICS[summary.metric]
    on_gpu = run.machine.device == "cuda"
    memory = "allocated on the GPU" if on_gpu else "resident above the cell's start"
    several = "mean ± standard deviation over seeds" if len(run.suite.seeds) > 1 else "one seed"
    legend = (
        f"Val and Test: {what} in percent, {several}; 95 %: Wilson interval of the mean. Train s: "
        f"as if the cell ran alone. Memory: peak {memory}, largest over seeds. Trainable: share of "
        "all parameters in the last phase. Sorted by val."
    )
    if summary.comparisons:
        legend += " Verdict: percentage points behind the leader on val, ± one standard error."
    if any(row.features_reused for row in summary.rows):
        legend += f" {units.REUSED_NOTE}"
    matrix = run_tables.matrix({(row.architecture, row.strategy): row.test for row in summary.rows})
    return [
        *shown(run_tables.main(summary), "main"),
        legend,
        f"Mean test {what} in percent:",
        *shown(matrix, "test-scores"),
    ]


def front(summary: Summary) -> list[str]:
    """The rows that no other beats in everything."""
    if not summary.front:
        return ["None: no row is complete."]
    return [
        certainty.FRONT,
        *shown(standings.front(summary), "front"),
    ]


def best_of_each(summary: Summary) -> list[str]:
    """The best on val of each strategy and of each architecture."""
    by_strategy = [
        f"- {name(strategy)}: {name(row.architecture)} ({best_numbers(row)})"
        if row
        else f"- {name(strategy)}: none (no architecture has every seed ok)"
        for strategy, row in summary.best_by_strategy.items()
    ]
    by_architecture = [
        f"- {name(architecture)}: {name(row.strategy)} ({best_numbers(row)})"
        if row
        else f"- {name(architecture)}: none (no strategy has every seed ok)"
        for architecture, row in summary.best_by_architecture.items()
    ]
    return [
        "Architecture with the highest mean val score, for each strategy:",
        "\n".join(by_strategy) or "- none",
        "Strategy with the highest mean val score, for each architecture:",
        "\n".join(by_architecture) or "- none",
    ]


def best_numbers(row: Row) -> str:
    """Val and test of a row, short."""
    return f"val {units.score(row.val)} %, test {units.score(row.test)} %"


def mistakes(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """The classes that the recommended row recognises least."""
    found = classes.recalls(run, records, summary)
    if summary.recommended is None or not found:
        return ["Nothing is recommended."]
    which = f"the {WORST} worst of {len(found):,} classes" if len(found) > WORST else "by class"
    where = ": see `tables/classes.csv` for all" if len(found) > WORST else ", the worst first"
    calibration = calibration_error(records, summary.recommended)
    return [
        f"{row_name(summary.recommended)} on test, {which}{where}; means over its seeds, 95 %: "
        "Wilson interval.",
        formats.markdown(classes.table(found[:WORST])),
        f"Its confidence is off by {calibration}.",
    ]


def calibration_error(records: Sequence[Result | Failure], row: Row) -> str:
    """How far the confidence is off, with its range over seeds."""
    found = classes.calibration_error(records, row)
    mean, least, most = (
        units.three_digits(100 * value) for value in (found.mean, found.minimum, found.maximum)
    )
    seeds = "one seed" if found.n == 1 else f"{least} to {most} over {found.n} seeds"
    return f"{mean} points on average (expected calibration error on test, 15 bins; {seeds})"


WORST = 10
"""Classes shown."""


def costs(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """Where the time of the run went, what was cheapest, and what each architecture costs."""
    ok = results(records)
    lines = [f"- Running took {units.duration(run.wall_seconds)}."]
    if ok:
        marginal = [result.cost.marginal for result in ok]
        split = ", ".join(
            f"{part} {units.duration(sum(getattr(seconds, part) for seconds in marginal))}"
            for part in ("data", "build", "warmup", "train", "eval")
        )
        lines.append(f"- Of this the ok cells, with shared work counted once: {split}.")
    for title, cost in (
        ("Quickest to train", "train_seconds"),
        ("Least memory", "peak_memory_bytes"),
    ):
        if row := lowest(summary, cost):
            complete = [one for one in summary.rows if one.complete]
            lacking = findings.unknown_for(cost, complete)
            others = f"; {units.COSTS[cost]} is {lacking} complete" if lacking else ""
            lines.append(f"- {title}: {row_name(row)} ({numbers(row, summary)}){others}.")
    lines += energy(ok)
    table = formats.markdown(run_tables.architectures(run, records))
    return ["\n".join(lines), table, "MACs and latency: forward pass of one image."]


def energy(ok: Sequence[Result]) -> list[str]:
    """Mean and range over the whole cells on the reference machine whose energy is known."""
    whole = [one.energy.attributed_joules for one in reference(ok) if one.cost.features != "reused"]
    known = [joules for joules in whole if joules is not None]
    if not known:
        return []
    mean, least, most = map(units.three_digits, (fmean(known), min(known), max(known)))
    over = f"of {len(known):,} of {units.plural(len(ok), 'ok cell')}"
    return [f"- GPU energy of a cell: mean {mean} J ({least} to {most} J), {over}."]


def lowest(summary: Summary, cost: str) -> Row | None:
    """The complete row with the lowest of a cost; None where it is comparable in none."""
    costs = {row: comparable_cost(row, cost) for row in summary.rows if row.complete}
    known = {row: value for row, value in costs.items() if value is not None}
    return min(known, key=known.__getitem__, default=None)


def pictures(charts: Sequence[Chart]) -> list[str]:
    """The figures in plots/, by relative path."""
    found = [f"![{chart.title}](plots/{chart.id}.png)" for chart in charts]
    return found or ["None: no cell is ok."]


# ---- what limits it -------------------------------------------------------------------------


def not_measured(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """Failures, missing cells, and quantities that this run could not give."""
    return [
        *items(gaps.failures(summary)),
        *items(gaps.missing(summary)),
        *items([(line,) for line in gaps.unmeasured(run, records)]),
    ]


def row_name(row: Row) -> str:
    """Architecture and strategy."""
    return name(row.name)


FILES = """\
- `report.html`: this report as a page, with its charts and the images that were mistaken.
- `results.csv`: one row per cell, the single numbers of its record (curves and confusion matrices
  stay there); `tables/`: the tables of this report, whole, as Markdown, CSV (unrounded) and LaTeX;
  `plots/`: the plots as PNG and SVG.
- `run.json`, `split.csv` and `cells/*/record.json` of a run folder are what was measured.
  Everything else is derived from them and can be written again at any time."""
