"""report.md: what was found, how sure that is, and what it cost.

The first line names the machine. The choice is explained before the numbers, and what was not
measured is said as plainly as what was.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean

from bench.analysis.summary import Row, Summary, comparable_cost, results, status_counts
from bench.report import formats, protocol, tables, units
from bench.report.formats import escape_markdown as name
from bench.schema import Failure, Result, Run

PLOTS = {
    "accuracy": "Test score by architecture and strategy",
    "accuracy-vs-train-time": "Test score against train time",
    "accuracy-vs-memory": "Test score against peak memory",
    "learning-curves": "Learning curves",
}
"""Title of each plot by file stem."""


def document(
    run: Run, records: Sequence[Result | Failure], summary: Summary, plots: Iterable[str]
) -> str:
    """The report as Markdown, lists in the order of `records`; `plots` are the drawn stems."""
    parts = [
        f"# bench {name(run.suite_name)} · {name(units.setting(run))}",
        *headline(run, records, summary),
        *("## Why", *reasons(run, summary)),
        *("## All scores", *scores(run, summary)),
        *("## Best of each", *best_of_each(summary)),
        *("## Costs", *costs(run, records, summary)),
        *("## Plots", *pictures(plots)),
        *("## Failed, missing, not measured", not_measured(run, records, summary)),
        *("## Protocol", listed(protocol.protocol(run, records))),
        *("## Machine and versions", *machines(run, records)),
        *("## Files", FILES),
    ]
    return "\n\n".join(parts) + "\n"


# ---- the finding ----------------------------------------------------------------------------


def headline(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """The finding in a sentence, and whatever limits it."""
    limits = [*unfinished(run, records), *random_weights(run, records), *fallback(run)]
    if summary.winner is None:
        found = f"{len(results(records)):,} of {len(run.cells):,} cells"
        return [
            f"**No winner.** No architecture under any strategy has an ok record for each of its "
            f"seeds ({found} ok).",
            *limits,
        ]
    return [
        f"**{row_name(summary.winner)} has the highest mean val {units.METRICS[summary.metric]}: "
        f"{val_and_test(summary.winner)}.**",
        *limits,
    ]


def val_and_test(row: Row) -> str:
    """Both scores of a row with their intervals, seeds and images."""
    assert row.val is not None
    assert row.test is not None
    return (
        f"{units.score(row.val)} % ({units.plural(row.val.num_images, 'val image')}, "
        f"{units.plural(row.val.seeds.n, 'seed')}); on test it reaches {units.score(row.test)} % "
        f"({units.plural(row.test.num_images, 'image')}, 95 % interval "
        f"{units.interval(row.test.interval)} %)"
    )


def unfinished(run: Run, records: Sequence[Result | Failure]) -> list[str]:
    """A warning while cells have no record."""
    done = f"{len(records):,} of {len(run.cells):,} cells have a record"
    if run.status != "finished":
        return [f"> **This run is {run.status}: {done}.** Everything below may change."]
    return [f"> Only {done}."] if len(records) < len(run.cells) else []


def random_weights(run: Run, records: Sequence[Result | Failure]) -> list[str]:
    """A warning where a backbone that should bring knowledge was random."""
    used = {record.cell.weights.source for record in records}
    if run.source.used != "random" or (records and "random" not in used):
        return []
    return [
        "> **Random weights: this run does not tell which pretrained architecture to use.** "
        "Backbones started from random values, so the ranking says nothing about pretraining."
    ]


def fallback(run: Run) -> list[str]:
    """What the first choice of weights lacked, where all architectures fell back from it."""
    if not run.source.fell_back:
        return []
    files = units.plural(len(run.source.missing), "file")
    lines = [
        f"> The suite asks for {name(run.source.wanted[0])} weights first; the run used "
        f"{name(run.source.used)} because {files} could not be had:",
        ">",
    ]
    lines += [
        f"> - {name(file.architecture)}: {name(file.file)} ({name(file.why)}); put it into "
        f"{name(file.folder)}" + (f", from {name(file.address)}" if file.address else "")
        for file in run.source.missing
    ]
    return ["\n".join(lines)]


def reasons(run: Run, summary: Summary) -> list[str]:
    """The rule of the choice, who is not told apart, and what the tie-break makes of that."""
    metric = units.METRICS[summary.metric]
    rule = (
        f"The winner is the architecture and strategy with the highest mean val {metric} over "
        f"{units.plural(len(run.suite['seeds']), 'seed')}; a seed that is not ok disqualifies. "
        f"Test was not used to choose. Another is *not told apart* where its 95 % Wilson "
        f"interval overlaps the winner's. The interval counts each of the "
        f"{units.plural(run.data.num_val, 'val image')} once, however many seeds scored it, which "
        "errs on the side of not telling apart. The best of many is flattered by having been "
        "picked: believe its test score."
    )
    if summary.metric == "balanced_accuracy":
        rule += " Balanced accuracy is not a proportion of images: its intervals are approximate."
    return [rule, *outcome(summary), *disqualified(summary)]


def outcome(summary: Summary) -> list[str]:
    """Who is not told apart from the winner, and the recommendation among them."""
    if summary.winner is None or summary.recommended is None:
        return []
    if not summary.not_told_apart:
        return [f"Nothing else overlaps it: use **{row_name(summary.winner)}**."]
    order = ", then ".join(units.COSTS[cost] for cost in summary.tie_break)
    count = len(summary.not_told_apart)
    tied = f"{count} other{' is' if count == 1 else 's are'} not told apart from the winner:"
    lines = [f"- {row_name(row)} ({tie_numbers(row)})" for row in summary.not_told_apart[:12]]
    lines += [f"- and {count - 12} more: see the table"] if count > 12 else []
    choice = (
        f"Among these {count + 1} the suite's tie-break (lowest {order}) recommends "
        f"**{row_name(summary.recommended)}** ({tie_numbers(summary.recommended)}; the winner: "
        f"{tie_numbers(summary.winner)}). That is a preference for what is cheap, not a finding "
        "about accuracy."
    )
    if summary.recommended == summary.winner:
        choice = (
            f"Among these {count + 1} the suite's tie-break (lowest {order}) recommends the "
            f"winner itself ({tie_numbers(summary.winner)})."
        )
    return [tied, "\n".join(lines), choice]


def tie_numbers(row: Row) -> str:
    """Val score, train time and memory of a row."""
    seconds = row.train_seconds.mean if row.train_seconds else None
    return (
        f"val {units.score(row.val)} %, train {units.three_digits(seconds)} s, "
        f"{units.mebibytes(row.peak_memory_bytes)} MiB"
        + (f" {units.REUSED}" if row.features_reused else "")
    )


def disqualified(summary: Summary) -> list[str]:
    """The rows that could not win, and by how many seeds."""
    rows = [f"- {row_name(row)}: {status_counts(row)}" for row in summary.disqualified]
    return ["Disqualified, because not every seed is ok:", "\n".join(rows)] if rows else []


def row_name(row: Row) -> str:
    """Architecture and strategy."""
    return name(row.name)


# ---- the numbers ----------------------------------------------------------------------------


def scores(run: Run, summary: Summary) -> list[str]:
    """The main table with its legend, and the matrix of test scores."""
    what = units.METRICS[summary.metric]
    on_gpu = run.machine.device == "cuda"
    memory = "allocated on the GPU" if on_gpu else "resident above the cell's start"
    several = "mean ± standard deviation over seeds" if len(run.suite["seeds"]) > 1 else "one seed"
    legend = (
        f"Val and Test: {what} in percent, {several}; 95 %: Wilson interval of the mean. Train s: "
        f"as if the cell ran alone. Memory: peak {memory}, largest over seeds. Trainable: share of "
        "all parameters in the last phase. Sorted by val."
    )
    if any(row.features_reused for row in summary.rows):
        legend += f" {units.REUSED_NOTE}"
    matrix = tables.matrix({(row.architecture, row.strategy): row.test for row in summary.rows})
    return [
        formats.markdown(tables.main(summary)),
        legend,
        f"Mean test {what} in percent:",
        formats.markdown(matrix),
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


def costs(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[str]:
    """Where the time of the run went, what was cheapest, and what each architecture costs."""
    ok = results(records)
    lines = [f"- The run took {units.duration(run.wall_seconds)}."]
    if ok:
        marginal = [result.cost.marginal for result in ok]
        split = ", ".join(
            f"{part} {units.duration(sum(getattr(seconds, part) for seconds in marginal))}"
            for part in ("data", "build", "warmup", "train", "eval")
        )
        lines.append(f"- Its ok cells, with shared work counted once: {split}.")
    for title, cost in (
        ("Quickest to train", "train_seconds"),
        ("Least memory", "peak_memory_bytes"),
    ):
        if row := lowest(summary, cost):
            lines.append(f"- {title}: {row_name(row)} ({tie_numbers(row)}).")
    whole = [result.energy.attributed_joules for result in ok if result.cost.features != "reused"]
    joules = [energy for energy in whole if energy is not None]
    if joules:
        lines.append(f"- GPU energy, mean per cell: {units.three_digits(fmean(joules))} J.")
    table = formats.markdown(tables.architectures(run, records))
    return ["\n".join(lines), table, "MACs and latency: forward pass of one image."]


def lowest(summary: Summary, cost: str) -> Row | None:
    """The complete row with the lowest of a cost; None where it is comparable in none."""
    costs = {row: comparable_cost(row, cost) for row in summary.rows if row.complete}
    known = {row: value for row, value in costs.items() if value is not None}
    return min(known, key=known.__getitem__, default=None)


def pictures(plots: Iterable[str]) -> list[str]:
    """The plots that were drawn, embedded by relative path."""
    drawn = set(plots)
    found = [f"![{title}](plots/{stem}.png)" for stem, title in PLOTS.items() if stem in drawn]
    return found or ["None: no cell is ok."]


# ---- what limits it -------------------------------------------------------------------------


def not_measured(run: Run, records: Sequence[Result | Failure], summary: Summary) -> str:
    """Failures, missing cells, and quantities that this machine could not give."""
    lines = [
        f"- {name(failure.cell.architecture_label)} · {name(failure.cell.strategy)}, seed "
        f"{failure.cell.seed}: {failure.status} ({failure.kind}) after "
        f"{units.duration(failure.seconds)}: {name(failure.reason)}"
        for failure in summary.failures
    ]
    lines += [
        f"- {name(cell.architecture)} · {name(cell.strategy)}, seed {cell.seed}: no record"
        for cell in summary.missing
    ]
    lines += [f"- {quantity}: unknown in {count} ok cells" for quantity, count in unknown(records)]
    if len(run.suite["seeds"]) == 1:
        lines.append("- Spread over seeds: one seed only.")
    lines.append("- Spread over other splits and other data sets: one split of one data set only.")
    return "\n".join(lines)


def unknown(records: Sequence[Result | Failure]) -> list[tuple[str, int]]:
    """Quantities that are null in ok records, and in how many."""
    ok = results(records)
    on_gpu = [result for result in ok if result.machine.device == "cuda"]
    counts = {
        "Energy": sum(result.energy.attributed_joules is None for result in ok),
        "Peak GPU memory": sum(result.memory.gpu_allocated_bytes is None for result in on_gpu),
        "Peak CPU memory": sum(result.memory.cpu_rss_above_start_bytes is None for result in ok),
        "Latency": sum(result.cost.latency is None for result in ok),
        "MACs": sum(result.cost.forward_macs is None for result in ok),
    }
    return [(quantity, count) for quantity, count in counts.items() if count]


def machines(run: Run, records: Sequence[Result | Failure]) -> list[str]:
    """What the cells ran on; more than one machine is said first."""
    ok = results(records)
    # Precision may differ between architectures on one machine: it is part of how each is run.
    mixed = len({(result.machine, result.execution.threads) for result in ok}) > 1
    warning = (
        "**The cells ran on different machines or versions** (see keys.performance in "
        "results.csv): their times and memory do not compare."
    )
    return [*([warning] if mixed else []), listed(protocol.machines(run, records))]


def listed(facts: Iterable[protocol.Fact]) -> str:
    """Facts as a list."""
    return "\n".join(f"- {name(title)}: {name(text)}." for title, text in facts)


FILES = """\
- `results.csv`: one row per cell, every number of its record; `tables/`: the tables of this report
  as Markdown, CSV (unrounded) and LaTeX; `plots/`: the plots as PNG and SVG.
- `run.json`, `split.csv` and `cells/*/record.json` are what was measured. Everything else here is
  derived from them and can be written again at any time."""
