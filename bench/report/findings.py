"""What a run found, in sentences that the report says alike in every format.

A text comes in pieces, so that a format can set names apart; it escapes every piece, names and
all. `plain` joins the pieces of formats that set nothing apart.
"""

from collections.abc import Sequence

from bench.analysis.machines import reference
from bench.analysis.rows import Row, comparable_cost, results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import calibration, units


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
        f", {because(summary)}, with {val_and_test(chosen, summary)}",
        *_highest(summary),
        ".",
    )


def _highest(summary: Summary) -> Text:
    leader = summary.leader
    if leader is None or leader.val is None or leader is summary.recommended:
        return ()
    score = f"{units.percent(leader.val.seeds.mean)} %"
    return (f"; the highest on val is {score} (", *named(leader), ")")


def _won(winner: Row, summary: Summary) -> Text:
    second = summary.comparisons[0]
    return (
        *named(winner),
        f" wins with {val_and_test(winner, summary)}, {points(second.behind.mean)} points of val "
        "ahead of ",
        *named(second.row),
        f" (standard error {points(second.behind.se)}).",
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
            lacking = unknown_for(cost, summary.tied)
            number = "; ".join(filter(None, (amount(cost, own), lacking)))
            known_ = "known " if lacking else ""
            return f"because it has the lowest {known_}{units.COSTS[cost]} of these ({number})"
    return f"by the suite's tie-break ({lowest(summary, summary.tied)})"


def lowest(summary: Summary, rows: Sequence[Row]) -> str:
    """What the tie-break prefers among rows: `lowest train time, then peak memory`."""
    costs = (
        f"{'known ' if unknown_for(cost, rows) else ''}{units.COSTS[cost]}"
        for cost in summary.tie_break
    )
    return f"lowest {', then '.join(costs)}"


def unknown_for(cost: str, rows: Sequence[Row]) -> str:
    """`unknown for 1 of 3`; empty where the cost is known of all."""
    count = sum(comparable_cost(row, cost) is None for row in rows)
    return f"unknown for {count:,} of {len(rows):,}" if count else ""


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
    found = [
        *random_weights(run, records),
        *(unfinished(run, records), fallback(run), one_seed(run, summary)),
        *(mixed_machines(records, summary), calibration.unstable_times(run), reused(summary)),
    ]
    return [text for text in found if text]


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


def one_seed(run: Run, summary: Summary) -> Text:
    """That luck was not measured; empty with more seeds, or nothing to compare."""
    if len(run.suite.seeds) > 1 or not summary.comparisons:
        return ()
    return (
        "One seed: how much a training varies is unknown, so a winner or a tie may be the luck of "
        "this seed.",
    )


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
