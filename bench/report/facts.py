"""The facts that a decision needs first, each fact with its numbers; and what was asked for."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from bench.analysis.choice import (
    Budget,
    Row,
    Score,
    Summary,
    best_within,
    cheapest_within,
    comparable_cost,
    fits,
    within,
)
from bench.analysis.pareto import COSTS
from bench.analysis.table import RunTable
from bench.record import Run
from bench.report import sentences, units
from bench.report.sentences import on_reference, row_name, unknown_for


class Fact(NamedTuple):
    title: str
    value: str
    notes: tuple[str, ...] = ()


MEMORY = {"gpu": "allocated on the GPU", "cpu": "RAM above the cell's start"}
"""What the peak is of, by profile."""


# ---- the recommendation ---------------------------------------------------------------------


def of_recommended(run: Run, summary: Summary) -> list[Fact]:
    """Scores and costs of the row to take; empty where there is none."""
    row = summary.recommended
    if row is None:
        return []
    trained = f"{units.share(row.trainable_share)} % trained"
    return [
        _score("Val", row.val),
        _score("Test", row.test),
        _cost("Train time", row, "train_seconds", *_over(row)),
        _cost("Peak memory", row, "peak_memory_bytes", MEMORY[run.profile]),
        _cost("Parameters", row, "total_parameters", trained),
        _cost("Latency", row, "latency_seconds", "one image, median"),
    ]


def _cost(title: str, row: Row, cost: str, *notes: str) -> Fact:
    return Fact(title, units.amount(cost, comparable_cost(row, cost)), notes)


def _score(title: str, score: Score | None) -> Fact:
    assert score is not None
    sd, seeds = score.seeds.sd, units.plural(score.seeds.n, "seed")
    basis = (
        f"95 %: {units.interval(score.interval)}",
        units.plural(score.num_images, "image"),
        seeds if sd is None else f"± {units.percent(sd)} over {seeds}",
    )
    return Fact(title, f"{units.percent(score.seeds.mean)} %", basis)


def _over(row: Row) -> list[str]:
    seconds = row.train_seconds
    if seconds is None or row.features_reused:
        return []
    mean = [] if seconds.n == 1 else [f"mean of {units.plural(seconds.n, 'seed')}"]
    return ["as if it ran alone", *mean]


# ---- how sure it is -------------------------------------------------------------------------


def of_certainty(run: Run, summary: Summary) -> list[Fact]:
    data, seeds = run.data, len(run.suite.seeds)
    parts = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test"
    of_seeds = ["of every architecture and strategy, on one split"]
    if seeds == 1:
        of_seeds.append("run-to-run variation is unknown")
    found = [
        Fact("Images", f"{data.num_train + data.num_val + data.num_test:,}", (parts,)),
        Fact("Seeds", f"{seeds}", tuple(of_seeds)),
        _visible(summary, seeds),
    ]
    return [*found, _settling(summary)] if len(summary.tied) > 1 else found


def _visible(summary: Summary, seeds: int) -> Fact:
    title, share = "Smallest visible difference", summary.visible_difference
    if share is None:
        return Fact(title, "unknown", ("nothing to compare with the leader",))
    found = "a lead this large over a close rival would be found in about 80 of 100 such suites"
    variation = "run-to-run variation comes on top" if seeds == 1 else ""
    return Fact(
        title, f"about {units.points(share)} points", tuple(filter(None, (found, variation)))
    )


def _settling(summary: Summary) -> Fact:
    title, ways = "What would settle the tie", sentences.settling(summary)
    ties = len(summary.tied) - 1
    if not ways:
        least = f"the margin of {units.points(summary.margin)} points"
        return Fact(title, "nothing", (f"the differences are too small to tell, or below {least}",))
    first, *others = [
        (what, "" if settled == ties else f"settles {settled} of {ties} ties")
        for what, settled in ways
    ]
    notes = [first[1], *(f"or {what}{of and f', {of}'}" for what, of in others)]
    notes.append("at the differences seen, in 80 of 100 suites")
    return Fact(title, first[0], tuple(filter(None, notes)))


# ---- what else to think of ------------------------------------------------------------------


def of_alternatives(summary: Summary, answers: Sequence[str]) -> list[Fact]:
    found = []
    row, leader = summary.cheapest, summary.leader
    if leader is not None and leader is not summary.recommended:
        found.append(_row("Highest val", leader))
    if row is not None and leader is not None:
        title = f"Cheapest within {units.points(summary.margin)} points of the highest val"
        same = Fact(title, row_name(row), ("same as the recommendation",))
        cheapest = same if row is summary.recommended else _row(title, row)
        near = within(summary.rows, leader, summary.margin)
        cost = summary.tie_break[0]
        lacking = unknown_for(cost, near) if len(near) > 1 else ""
        notes = (f"{COSTS[cost].title} {lacking}",) if lacking else ()
        found.append(cheapest._replace(notes=(*cheapest.notes, *notes)))
    return found + [Fact("Asked for", "", (answer,)) for answer in answers]


def _row(title: str, row: Row) -> Fact:
    costs = ("train_seconds", "peak_memory_bytes")
    numbers = ", ".join(units.amount(cost, comparable_cost(row, cost)) for cost in costs)
    return Fact(title, row_name(row), (*_scores(row), numbers))


def _scores(row: Row) -> tuple[str, str]:
    return f"val {units.score(row.val)} %", f"test {units.score(row.test)} %"


# ---- costs ----------------------------------------------------------------------------------


def of_costs(table: RunTable, summary: Summary) -> list[Fact]:
    ok = table.results
    marginal = [one.cost.marginal for one in ok]
    parts = {part: sum(getattr(one, part) for one in marginal) for part in PARTS} if ok else {}
    split = ", ".join(f"{part} {units.duration(seconds)}" for part, seconds in parts.items())
    of_run = (f"of this in ok cells, with shared work counted once: {split}",) if split else ()
    return [
        Fact("Running time", units.duration(table.run.wall_seconds), of_run),
        *_lowest(summary, "Quickest to train", "train_seconds"),
        *_lowest(summary, "Least memory", "peak_memory_bytes"),
        *_energy(table),
    ]


PARTS = ("data", "build", "warmup", "train", "eval")


def _lowest(summary: Summary, title: str, cost: str) -> list[Fact]:
    """The complete row with the lowest of a cost; nothing where it is comparable in none."""
    complete = [row for row in summary.rows if row.complete]
    costs = {row: comparable_cost(row, cost) for row in complete}
    known = {row: value for row, value in costs.items() if value is not None}
    if not known:
        return []
    fact = _row(title, min(known, key=known.__getitem__))
    lacking = unknown_for(cost, complete)
    others = (f"{COSTS[cost].title} {lacking} complete",) if lacking else ()
    return [fact._replace(notes=(*fact.notes, *others))]


def _energy(table: RunTable) -> list[Fact]:
    """Mean and range over the whole cells on the reference machine whose energy is known."""
    whole = [one for one in on_reference(table) if one.cost.features != "reused"]
    known = [j for one in whole if (j := one.energy.attributed_joules) is not None]
    if not known:
        return []
    mean, least, most = map(units.three_digits, (fmean(known), min(known), max(known)))
    over = f"{len(known):,} of {units.plural(len(table.results), 'ok cell')}"
    return [Fact("GPU energy of a cell", f"mean {mean} J", (f"{least} to {most} J", over))]


# ---- what was asked for ---------------------------------------------------------------------


class Limits(NamedTuple):
    """A budget, and how much of the val score may be given up, a share."""

    budget: Budget = Budget()
    within: float | None = None


def answers(summary: Summary, limits: Limits) -> list[str]:
    asked = []
    if any(limit is not None for limit in limits.budget):
        asked.append(within_budget(summary, limits.budget))
    if limits.within is not None:
        asked.append(within_margin(summary, limits.within))
    return asked


def within_budget(summary: Summary, budget: Budget) -> str:
    """The best row within a budget; or that there is none, and what the least would be."""
    limits = {name: limit for name, limit in zip(COSTS, budget, strict=True) if limit is not None}
    asked = f"With at most {units.joined([_limit(name, limit) for name, limit in limits.items()])}"
    complete = [row for row in summary.rows if row.complete]
    row = best_within(summary, budget)
    if row is None:
        return f"{asked}, no complete row fits{_least(complete, list(limits))}."
    fitting = sum(fits(one, budget) for one in complete)
    return (
        f"{asked}, the best on val is {row_name(row)}: {_numbers(row, list(limits))}. {fitting:,} "
        f"of {units.plural(len(complete), 'complete row')} fit{_excluded(complete, list(limits))}."
    )


def _least(complete: Sequence[Row], costs: Sequence[str]) -> str:
    lowest = []
    for name in costs:
        known = [cost for row in complete if (cost := comparable_cost(row, name)) is not None]
        lowest.append(_measured(name, min(known, default=None)))
    return f"; the least of any is {units.joined(lowest)}" if complete else ""


def _excluded(complete: Sequence[Row], costs: Sequence[str]) -> str:
    count = sum(any(comparable_cost(row, name) is None for name in costs) for row in complete)
    return f"; {count:,} with an unknown cost excluded" if count else ""


def within_margin(summary: Summary, share: float) -> str:
    asked = f"Within {100 * share:g} {'point' if share == 0.01 else 'points'} of the best val"
    row, leader = cheapest_within(summary, share), summary.leader
    if row is None or leader is None:
        return f"{asked}, there is nothing: no row is complete."
    near = within(summary.rows, leader, share)
    order = sentences.lowest(summary, near)
    lacking = {cost: unknown_for(cost, near) for cost in summary.tie_break}
    unknown = "".join(f"; {COSTS[cost].title} {text}" for cost, text in lacking.items() if text)
    if row == leader:
        return f"{asked}, the best itself has the {order}: {row_name(row)}{unknown}."
    return (
        f"{asked}, {row_name(row)} has the {order}: {_numbers(row, summary.tie_break)}. The best "
        f"is {row_name(leader)}: {_numbers(leader, summary.tie_break)}{unknown}."
    )


def _numbers(row: Row, costs: Sequence[str]) -> str:
    return ", ".join(
        [*_scores(row), *(_measured(name, comparable_cost(row, name)) for name in costs)]
    )


def _measured(name: str, value: float | None) -> str:
    cost = COSTS[name]
    if value is None:
        return f"{cost.title} unknown"
    return f"{units.three_digits(value / cost.scale)} {cost.unit}"


def _limit(name: str, value: float) -> str:
    return f"{value / COSTS[name].scale:,.6g} {COSTS[name].unit}"
