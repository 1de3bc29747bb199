"""What a run found, in sentences that the report says alike in every format.

A text comes in pieces, so that a format can set names apart; it escapes every piece, names and
all. `plain` joins the pieces of formats that set nothing apart.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.analysis.machines import reference
from bench.analysis.rows import Row, comparable_cost, results
from bench.analysis.summary import Comparison, Summary
from bench.report import units
from bench.schema import Failure, Result, Run


class Name(str):
    """A name that a user gave, in a text."""

    __slots__ = ()


Text = tuple[str, ...]
"""Pieces of a text, to be joined as they are."""


def plain(text: Text) -> str:
    """The text as one string."""
    return "".join(text)


def named(row: Row) -> Text:
    """Architecture and strategy."""
    return (Name(row.architecture), " · ", Name(row.strategy))


def points(difference: float) -> str:
    """A difference of shares in percentage points: `1.2`, `0.04`."""
    value = 100 * difference
    return f"{value:.1f}" if abs(value) >= 0.095 or value == 0 else f"{value:.2f}"


# ---- the finding ----------------------------------------------------------------------------


def headline(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Text:
    """The finding in one sentence with its numbers."""
    opening, chosen = reservation(run, records), summary.recommended
    if chosen is None:
        found = f"{len(results(records)):,} of {len(run.cells):,} cells are ok"
        return _opened(
            opening,
            "No winner: no architecture under any strategy has an ok record for each of its seeds "
            f"({found}).",
        )
    if not summary.comparisons:
        return _opened(
            opening,
            *named(chosen),
            f" is the only one with every seed ok: {val_and_test(chosen, summary)}. There is "
            "nothing to compare it with.",
        )
    if summary.winner is not None:
        return _opened(opening, *_won(summary.winner, summary))
    complete = len(summary.comparisons) + 1
    return _opened(
        opening,
        f"No single winner: {len(summary.tied)} of {complete:,} are tied. Recommended: ",
        *named(chosen),
        f", {because(summary)}, with {val_and_test(chosen, summary)}.",
    )


def _won(winner: Row, summary: Summary) -> Text:
    second = summary.comparisons[0]
    return (
        *named(winner),
        f" wins with {val_and_test(winner, summary)}, {_behind(second)} points of val ahead of ",
        *named(second.row),
        ".",
    )


def _opened(opening: str, first: str, *rest: str) -> Text:
    if not opening:
        return (first, *rest)
    lowered = first if isinstance(first, Name) else first[0].lower() + first[1:]
    return (opening, lowered, *rest)


def reservation(run: Run, records: Sequence[Result | Failure]) -> str:
    """What no number of the run may be quoted without; empty where there is nothing."""
    so_far = "so far, " if run.status != "finished" else ""
    weights = "from random weights, " if random_weights(run, records) else ""
    return (so_far + weights).capitalize()


def val_and_test(row: Row, summary: Summary) -> str:
    """`95.2 % top-1 accuracy on val and 94.8 % on test`."""
    assert row.val is not None
    assert row.test is not None
    return (
        f"{units.percent(row.val.seeds.mean)} % {units.METRICS[summary.metric]} on val and "
        f"{units.percent(row.test.seeds.mean)} % on test"
    )


def because(summary: Summary) -> str:
    """Why the recommended row was taken of those that are tied."""
    chosen = summary.recommended
    assert chosen is not None
    others = [row for row in summary.tied if row != chosen]
    for cost in summary.tie_break:
        own = comparable_cost(chosen, cost)
        known = [value for row in others if (value := comparable_cost(row, cost)) is not None]
        if own is not None and all(own < value for value in known):
            return f"because it has the lowest {units.COSTS[cost]} of these ({amount(cost, own)})"
    order = ", then ".join(units.COSTS[cost] for cost in summary.tie_break)
    return f"by the suite's tie-break (lowest {order})"


def amount(cost: str, value: float | None) -> str:
    """A cost with its unit, by its name in the tie-breaks."""
    if value is None:
        return "unknown"
    return {
        "train_seconds": lambda: units.duration(value),
        "peak_memory_bytes": lambda: f"{units.mebibytes(value)} MiB",
        "total_parameters": lambda: f"{units.millions(value)} M",
        "latency_seconds": lambda: f"{units.milliseconds(value)} ms",
    }[cost]()


# ---- what limits it -------------------------------------------------------------------------


def limits(run: Run, records: Sequence[Result | Failure], summary: Summary) -> list[Text]:
    """What must be known before the finding is used, the gravest first."""
    found = [unfinished(run, records), fallback(run), mixed_machines(records, summary)]
    return [*random_weights(run, records), *(text for text in (*found, reused(summary)) if text)]


def random_weights(run: Run, records: Sequence[Result | Failure]) -> list[Text]:
    """That a backbone which should bring knowledge was random; empty where none was."""
    used = {record.cell.weights.source for record in records}
    if run.source.used != "random" or (records and "random" not in used):
        return []
    return [
        ("Random weights: this run does not tell which pretrained architecture to use.",),
        ("Backbones started from random values, so the ranking says nothing about pretraining.",),
    ]


def unfinished(run: Run, records: Sequence[Result | Failure]) -> Text:
    """That cells have no record yet; empty where all have one."""
    done = f"{len(records):,} of {len(run.cells):,} cells have a record"
    if run.status != "finished":
        return (f"This run is {run.status}: {done}. Everything below may change.",)
    return (f"Only {done}.",) if len(records) < len(run.cells) else ()


def fallback(run: Run) -> Text:
    """That an earlier choice of weights could not be had; `missing_files` says what it lacked."""
    if not run.source.fell_back:
        return ()
    files = units.plural(len(run.source.missing), "file")
    return (
        "The suite asks for ",
        Name(run.source.wanted[0]),
        " weights first; the run used ",
        Name(run.source.used),
        f" because {files} could not be had.",
    )


def missing_files(run: Run) -> list[Text]:
    """Each file of weights that could not be had, and where to put it."""
    return [
        (
            Name(file.architecture),
            ": ",
            Name(file.file),
            " (",
            Name(file.why),
            "); put it into ",
            Name(file.folder),
            *((", from ", Name(file.address)) if file.address else ()),
        )
        for file in run.source.missing
    ]


def mixed_machines(records: Sequence[Result | Failure], summary: Summary) -> Text:
    """That costs of all cells do not compare, and whose are given; empty on one machine."""
    if not summary.mixed_machines:
        return ()
    ok = results(records)
    measured = reference(ok)
    threads = units.plural(measured[0].execution.threads, "thread")
    return (
        "The cells ran on different machines, or with different numbers of threads: times and "
        f"memory are of the {len(measured):,} of {len(ok):,} ok cells on ",
        Name(units.device(measured[0].machine)),
        f", {threads}, and unknown for what did not run there.",
    )


def reused(summary: Summary) -> Text:
    """That some costs are not whole; empty where all are."""
    return (units.REUSED_NOTE,) if any(row.features_reused for row in summary.rows) else ()


# ---- why, and how sure ----------------------------------------------------------------------


def rule(run: Run, summary: Summary) -> Text:
    """How the choice was made."""
    order = ", then ".join(units.COSTS[cost] for cost in summary.tie_break)
    sentences = [
        f"The leader has the highest mean val {units.METRICS[summary.metric]} over "
        f"{units.plural(len(run.suite['seeds']), 'seed')}; a seed that is not ok disqualifies. "
        "Test was not used to choose.",
        "Tied is what a comparison of all with the best, image by image, cannot tell from the "
        "leader (max-T over all pairs: in at most 5 of 100 suites it leaves out one that is truly "
        f"as good), and whatever is less than {points(summary.margin)} points behind it.",
        f"Among the tied the suite's tie-break (lowest {order}) recommends: a preference for what "
        "is cheap, not a finding about accuracy.",
        "The best of many is flattered by having been picked: believe its test score.",
    ]
    if len(run.suite["seeds"]) == 1:
        sentences.append(
            "With one seed the luck of a training is unknown and left out: differences look surer "
            "than they are."
        )
    return (" ".join(sentences),)


def verdicts(summary: Summary) -> dict[Row, str]:
    """Every row against the leader on val: `leader`, `tied, 0.3 ± 0.4 behind`, `2.1 ± 0.6 behind`.

    A leader of others that nothing is tied with is the winner; a row without each of its seeds is
    disqualified.
    """
    found = dict.fromkeys(summary.disqualified, "disqualified")
    if summary.leader is not None:
        found[summary.leader] = _of_leader(summary)
    for one in summary.comparisons:
        found[one.row] = f"{'tied, ' if one.tied else ''}{_behind(one)} behind"
    return found


def _of_leader(summary: Summary) -> str:
    if not summary.comparisons:
        return "the only one"
    return "leader" if summary.winner is None else "winner"


def _behind(comparison: Comparison) -> str:
    return f"{points(comparison.behind.mean)} ± {points(comparison.behind.se)}"


BEHIND = (
    "Behind: mean difference from the leader on the same val images, in percentage points, ± one "
    "standard error (the larger of that over images and that over seeds)."
)


VISIBLE = "A true difference from the leader of this size is found in 80 of 100 suites like this."


class Way(NamedTuple):
    """What would tell some of the tied from the leader, and how many of them."""

    what: str
    ties: int


def settling(summary: Summary) -> list[Way]:
    """What would settle the tie, the more of it the earlier; empty where nothing would."""
    tied = [one.settling for one in summary.comparisons if one.tied and one.settling]
    seeds = [one.more_seeds for one in tied if one.more_seeds is not None]
    images = [one.val_images for one in tied if one.val_images is not None]
    ways = []
    if seeds:
        ways.append(Way(f"about {_rounded(max(seeds))} more seeds each", len(seeds)))
    if images:
        ways.append(Way(f"about {_rounded(max(images))} val images in all", len(images)))
    return sorted(ways, key=lambda way: -way.ties)


def _rounded(count: int) -> str:
    """Two digits: nobody knows it better."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // unit) * unit:,}"


# ---- what was not measured ------------------------------------------------------------------


def failures(summary: Summary) -> list[Text]:
    """Each cell that failed, and why."""
    return [
        (
            Name(f"{failure.cell.architecture_label} · {failure.cell.strategy}"),
            f", seed {failure.cell.seed}: {failure.status} ({failure.kind}) after "
            f"{units.duration(failure.seconds)}: ",
            Name(failure.reason),
        )
        for failure in summary.failures
    ]


def missing(summary: Summary) -> list[Text]:
    """Each cell without a record."""
    return [
        (Name(f"{cell.architecture} · {cell.strategy}"), f", seed {cell.seed}: no record")
        for cell in summary.missing
    ]


def unmeasured(run: Run, records: Sequence[Result | Failure]) -> list[str]:
    """Quantities that this run could not give."""
    lines = [
        f"{quantity}: unknown in {count:,} of {len(results(records)):,} ok cells"
        for quantity, count in unknown(results(records))
    ]
    if len(run.suite["seeds"]) == 1:
        lines.append("Spread over seeds: one seed only")
    return [*lines, "Spread over other splits and other data sets: one split of one data set only"]


def unknown(ok: Iterable[Result]) -> list[tuple[str, int]]:
    """Quantities that are null in ok records, and in how many."""
    ok = list(ok)
    on_gpu = [result for result in ok if result.machine.device == "cuda"]
    counts = {
        "Energy": sum(result.energy.attributed_joules is None for result in ok),
        "Peak GPU memory": sum(result.memory.gpu_allocated_bytes is None for result in on_gpu),
        "Peak CPU memory": sum(result.memory.cpu_rss_above_start_bytes is None for result in ok),
        "Latency": sum(result.cost.latency is None for result in ok),
        "MACs": sum(result.cost.forward_macs is None for result in ok),
    }
    return [(quantity, count) for quantity, count in counts.items() if count]
