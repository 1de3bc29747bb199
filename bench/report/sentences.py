"""What a run found and what limits it, in sentences that every format says alike.

Names of users are set apart by `text.name`; each format escapes them in its own way.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.analysis.choice import Row, Summary, comparable_cost
from bench.analysis.merge import Merged, NamedRun
from bench.analysis.pareto import COSTS
from bench.analysis.stability import unstable
from bench.analysis.table import RunTable
from bench.errors import first
from bench.metrics import METRICS, only_answer
from bench.record import Run
from bench.report import units
from bench.report.text import name


def row_name(row: Row) -> str:
    return f"{name(row.architecture)} · {name(row.strategy)}"


def headline(table: RunTable, summary: Summary) -> str:
    """The finding, and what no number of the run may be quoted without."""
    found = _finding(table, summary)
    so_far = "so far, " if table.run.status != "finished" else ""
    weights = "from random weights, " if has_random_weights(table) else ""
    opening = (so_far + weights).capitalize()
    return f"{opening}{found[:1].lower()}{found[1:]}" if opening else found


def _finding(table: RunTable, summary: Summary) -> str:
    chosen = summary.recommended
    if summary.leader is not None and chosen is None:
        return (
            f"Nothing is recommended: on {units.plural(table.run.data.num_val, 'val image')} no "
            "architecture and strategy is surely better than always guessing the commonest class "
            f"({units.percent(summary.guessing.val)} %). {_highest(summary)}."
        )
    if chosen is None or chosen.val is None or chosen.test is None:
        ok = f"{len(table.results):,} of {len(table.run.cells):,} cells are ok"
        return f"No winner: no architecture and strategy has every seed ok ({ok})."
    val, test = (units.percent(score.seeds.mean) for score in (chosen.val, chosen.test))
    numbers = (
        f"{val} % {METRICS[summary.metric].title} on val and {test} % on test "
        f"(always guessing the commonest class: {units.percent(summary.guessing.test)} %)"
    )
    if not summary.comparisons:
        only = f"Only {row_name(chosen)} has every seed ok: {numbers}."
        return f"{only} There is nothing to compare it with."
    if summary.winner is not None:
        second = summary.comparisons[0]
        lead, error = units.points(second.behind.mean), units.points(second.behind.se)
        return (
            f"{row_name(chosen)} wins with {numbers}, {lead} points of val ahead of "
            f"{row_name(second.row)} (standard error {error})."
        )
    tied = (
        f"No single winner: {units.plural(table.run.data.num_val, 'val image')} cannot tell "
        f"{len(summary.tied)} of {len(summary.comparisons) + 1:,} apart."
    )
    if len(summary.near) == 1:
        return f"{tied} {row_name(chosen)} leads and is recommended: {numbers}."
    highest = "" if chosen is summary.leader else f" {_highest(summary)}."
    return f"{tied} {_reason(chosen, summary)}: {numbers}.{highest}"


def _highest(summary: Summary) -> str:
    leader = summary.leader
    assert leader is not None
    assert leader.val is not None
    return f"The highest on val is {units.percent(leader.val.seeds.mean)} % ({row_name(leader)})"


def _reason(chosen: Row, summary: Summary) -> str:
    """`Of the 3 shown to be as good as the best a · b has the lowest train time (20.0 s) ...`."""
    near = f"Of the {len(summary.near)} shown to be within {units.points(summary.margin)} points"
    others = [row for row in summary.near if row != chosen]
    for cost in summary.tie_break:
        own = comparable_cost(chosen, cost)
        known = [value for row in others if (value := comparable_cost(row, cost)) is not None]
        if own is not None and all(own < value for value in known):
            lacking = unknown_for(cost, summary.near)
            number = "; ".join(filter(None, (units.amount(cost, own), lacking)))
            return (
                f"{near}, {row_name(chosen)} has the lowest {_known(cost, summary.near)} "
                f"({number}) and is recommended"
            )
    order = lowest(summary, summary.near)
    return f"{near}, the suite's tie-break ({order}) recommends {row_name(chosen)}"


def lowest(summary: Summary, rows: Sequence[Row]) -> str:
    """What the tie-break prefers among rows: `lowest train time, then peak memory`."""
    return f"lowest {', then '.join(_known(cost, rows) for cost in summary.tie_break)}"


def _known(cost: str, rows: Sequence[Row]) -> str:
    """`known train time`, where it is not known of all."""
    return f"{'known ' if unknown_for(cost, rows) else ''}{COSTS[cost].title}"


def unknown_for(cost: str, rows: Sequence[Row]) -> str:
    """`unknown for 1 of 3`; empty where the cost is known of all."""
    count = sum(comparable_cost(row, cost) is None for row in rows)
    return f"unknown for {count:,} of {len(rows):,}" if count else ""


def cautions(table: RunTable, summary: Summary) -> list[str]:
    """What must be known before the finding is used, the gravest first."""
    run = table.run
    unfinished, done = "", f"{len(table.records):,} of {len(run.cells):,} cells have a record"
    if run.status != "finished":
        unfinished = f"This run is {run.status}: {done}. Everything below may change."
    elif len(table.records) < len(run.cells):
        unfinished = f"Only {done}."
    found = (
        *(RANDOM_WEIGHTS if has_random_weights(table) else ()),
        unfinished,
        _fallback(run),
        unequal_classes(table, summary),
        one_answer(table),
        one_seed(run, summary),
        _mixed_machines(table, summary),
        unstable_times(run),
        *units.odd_notes({row.odd_costs for row in summary.rows}),
    )
    return [sentence for sentence in found if sentence]


RANDOM_WEIGHTS = (
    "Random weights: this run does not tell which pretrained architecture to use.",
    "Backbones started from random values, so the ranking says nothing about pretraining.",
)


def has_random_weights(table: RunTable) -> bool:
    """Whether backbones that should bring knowledge were random."""
    used = {record.cell.weights.source for record in table.records.values()}
    return table.run.source.used == "random" and (not used or "random" in used)


def _fallback(run: Run) -> str:
    source = run.source
    if not source.fell_back:
        return ""
    return (
        f"The suite asks for {name(source.wanted[0])} weights first; the run used "
        f"{name(source.used)} because {units.plural(len(source.missing), 'file')} could not be "
        "found or fetched."
    )


def missing_files(run: Run) -> list[str]:
    return [
        f"{name(file.architecture)}: {name(file.file)} ({name(file.why)})"
        + (f"; put it into {name(file.folder)}" if file.folder else "")
        + (f", from {name(file.address)}" if file.address else "")
        for file in run.source.missing
    ]


def unequal_classes(table: RunTable, summary: Summary) -> str:
    """Which metric tells more where one class is most of the images; empty where none is."""
    sizes = np.bincount(table.labels_N, minlength=len(table.run.data.classes))
    if summary.metric != "top1" or summary.leader is None or sizes.max() < UNEQUAL * sizes.min():
        return ""
    commonest = name(table.run.data.classes[int(sizes.argmax())])
    return (
        f"The classes are unequal: {sizes.max():,} of {sizes.sum():,} test images are {commonest}, "
        f"so always answering that scores {units.percent(summary.guessing.test)} %. "
        'metric = "balanced_accuracy" in the suite would count every class alike.'
    )


def one_answer(table: RunTable) -> str:
    """Which networks learned to answer alike whatever they see; empty where none did."""
    found = []
    for one in table.results:
        only, cell = only_answer(one.quality.val.confusion), one.cell
        if only is not None:
            row = f"{name(cell.architecture_label)} · {name(cell.strategy)}"
            found.append(f"{row}, seed {cell.seed} (always {name(cell.data.classes[only])})")
    count = "1 network gives" if len(found) == 1 else f"{len(found):,} networks give"
    return f"{count} every val image the same class: {first(found, 3, ';')}." if found else ""


UNEQUAL = 2
"""Times as many images in the commonest class as in the rarest, from which it is told."""


def one_seed(run: Run, summary: Summary) -> str:
    """That luck was not measured, of some rows at least; empty where nothing is compared."""
    if min(run.suite.seed_counts) > 1 or not summary.comparisons:
        return ""
    if run.suite.seed_counts == {1}:
        return "With one seed, run-to-run variation is unknown: a winner or a tie may be luck."
    single = [one.name for one in run.suite.strategies if len(run.suite.seeds_for(one)) == 1]
    return (
        f"With one seed, the run-to-run variation of {units.joined([*map(name, single)])} is "
        "unknown, and is taken to be that of the rest."
    )


def _mixed_machines(table: RunTable, summary: Summary) -> str:
    """That costs of all cells do not compare, and whose are given; empty on one machine."""
    if not summary.mixed_machines:
        return ""
    machine, execution = table.measured[0].machine, table.measured[0].execution
    return (
        "Cells ran on different machines, or with different numbers of threads. Times and memory "
        f"are those of {len(table.measured):,} of {len(table.results):,} ok cells, on "
        f"{name(units.device(machine))}, {units.plural(execution.threads, 'thread')}; for the "
        "others they are unknown."
    )


def unstable_times(run: Run) -> str:
    """That the machine did not stay the same; empty where nothing says so."""
    why = unstable(run)
    return f"Times are unstable: {why}. Scores are not affected." if why else ""


def sources(parts: Sequence[NamedRun], merged: Merged) -> list[str]:
    """Which runs became one, and whose records were left out; nothing for one run."""
    if len(parts) < 2:
        return []
    told = []
    for part in parts:
        run = part.table.run
        seeds = sorted({seed for *_, seed in run.suite.asked})
        word = "seed" if len(seeds) == 1 else "seeds"
        listed = ", ".join(map(str, seeds))
        told.append(f"{name(part.name)} ({word} {listed}; {name(units.device(run.machine))})")
    found = [f"This report merges {len(parts)} runs of one task: {'; '.join(told)}."]
    if merged.repeated:
        cells = len({twice.counted.cell_id for twice in merged.repeated})
        found.append(
            f"{units.plural(cells, 'cell')} {'is' if cells == 1 else 'are'} in more than one run. "
            "An ok record counts before others, then that of the run named first: "
            f"{units.plural(len(merged.repeated), 'record')} left out, see tables/repeated.md."
        )
    return found


def rule(run: Run, summary: Summary) -> list[str]:
    metric, order = METRICS[summary.metric].title, lowest(summary, ())
    sentences = [
        f"The leader has the highest mean val {metric} over {units.seeds(run.suite)}. A row "
        "is disqualified if any of its seeds is not ok. Test was not used to choose.",
        "Tied with the leader is every row that an image-by-image comparison cannot tell from the "
        "best (max-T over all pairs, at 5 %), and every row less than "
        f"{units.points(summary.margin)} points behind.",
        _held(run.suite.seed_counts),
        f"Among the leader and those shown to be less than {units.points(summary.margin)} points "
        f"behind it, the suite's tie-break ({order}; unknown comes last) picks the recommendation. "
        "Where nothing else is shown to be as good, that is the leader.",
        "What is not surely better than always guessing the commonest class is never recommended.",
        "The best of many looks better than it is, because it was picked: trust its test score.",
    ]
    if not METRICS[summary.metric].is_proportion:
        sentences.append(
            f"{metric.capitalize()} is not a proportion of images: its intervals are approximate."
        )
    return sentences


def _held(seed_counts: set[int]) -> str:
    if min(seed_counts) > 1:
        return HELD
    return HELD_WITH_ONE_SEED if seed_counts == {1} else HELD_WITH_SOME_ALONE


HELD = (
    "In simulated suites whose rows all vary alike from run to run, the tied included every truly "
    "best row in 93 to 100 of 100; where they vary very differently, in about 89. The winner was "
    "wrong in up to 6 of 100."
)
HELD_WITH_ONE_SEED = (
    "With one seed, run-to-run variation is unknown and left out, so differences look surer than "
    "they are. In simulated suites that varied by 0.3 to 2 points, a truly best row was missing "
    "from the tied in 23 to 67 of 100, and the winner was wrong in up to 39."
)
"""What tests/analysis/test_error_rates.py finds."""

HELD_WITH_SOME_ALONE = (
    "Rows with one seed are taken to vary from run to run as much as those with several. Where "
    "they vary more, as fine-tuning does beside a frozen backbone, differences look surer than "
    "they are."
)


def verdicts(summary: Summary) -> dict[Row, str]:
    """Every row against the leader on val: `leader`, `tied, 0.3 ± 0.4 behind`.

    A leader that nothing is tied with is the winner; a tied row that is shown to be within the
    margin is as good; a row without each of its seeds is disqualified.
    """
    found = dict.fromkeys(summary.disqualified, "disqualified")
    if summary.leader is not None:
        of_leader = "leader" if summary.winner is None else "winner"
        found[summary.leader] = of_leader if summary.comparisons else "the only one"
    for one in summary.comparisons:
        behind = f"{units.points(one.behind.mean)} ± {units.points(one.behind.se)} behind"
        tied = "as good, " if one.near else "tied, " if one.tied else ""
        found[one.row] = f"{tied}{behind}"
    for row in summary.rows:
        if row.complete and row not in summary.above_guessing:
            found[row] += ", may be guessing"
    return found


def settling(summary: Summary) -> list[tuple[str, int]]:
    """What would tell some of the tied from the leader, and how many; the most first."""
    tied = [one.settling for one in summary.comparisons if one.tied and one.settling]
    ways = {
        "about {} more seeds each": [one.more_seeds for one in tied],
        "about {} val images in all": [one.val_images for one in tied],
    }
    found = []
    for way, counts in ways.items():
        if known := [count for count in counts if count is not None]:
            found.append((way.format(_rounded(max(known))), len(known)))
    return sorted(found, key=lambda way: -way[1])


def _rounded(count: int) -> str:
    """Two digits, rounded up: nobody knows it better."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // unit) * unit:,}"


def failures(summary: Summary) -> list[str]:
    return [
        f"{name(one.cell.architecture_label)} · {name(one.cell.strategy)}, seed {one.cell.seed}: "
        f"{one.status} ({one.kind}) after {units.duration(one.seconds)}: {name(one.reason)}"
        for one in summary.failures
    ]


def missing(summary: Summary) -> list[str]:
    return [
        f"{name(architecture)} · {name(strategy)}, seed {seed}: no record"
        for architecture, strategy, seed in summary.missing
    ]


def unmeasured(table: RunTable) -> Iterator[str]:
    ok = table.results
    on_gpu = [one for one in ok if one.machine.device == "cuda"]
    unknown = {
        "Energy": sum(one.energy.attributed_joules is None for one in ok),
        "Peak GPU memory": sum(one.memory.gpu_allocated_bytes is None for one in on_gpu),
        "Peak CPU memory": sum(one.memory.cpu_rss_above_start_bytes is None for one in ok),
        "Latency": sum(one.cost.latency is None for one in ok),
        "MACs": sum(one.cost.forward_macs is None for one in ok),
    }
    for quantity, count in unknown.items():
        if count:
            yield f"{quantity}: unknown in {count:,} of {len(ok):,} ok cells"
    if table.run.suite.seed_counts == {1}:
        yield "Spread over seeds: only one seed"
    yield "Spread over other splits and data sets: only one split of one data set"
