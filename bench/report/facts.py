"""The facts that a decision needs first, each fact with its numbers; and what was asked for."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from bench.analysis import choice
from bench.analysis.choice import Budget, Row, Score, Summary, comparable_cost, within
from bench.analysis.pareto import COSTS
from bench.analysis.table import RunTable
from bench.record import Run
from bench.report import sentences, units
from bench.report.charts.training import PARTS
from bench.report.sentences import row_name, unknown_for


class Fact(NamedTuple):
    title: str
    value: str
    notes: tuple[str, ...] = ()


MEMORY = {"gpu": "allocated on the GPU", "cpu": "RAM above the cell's start"}
"""What the peak is of, by profile."""


def of_recommended(run: Run, summary: Summary) -> list[Fact]:
    """Scores and costs of the row to take; empty where there is none."""
    row = summary.recommended
    if row is None:
        return []
    seconds, alone = row.train_seconds, []
    if seconds is not None and not row.odd_costs:
        alone.append("as if it ran alone")
        if seconds.n > 1:
            alone.append(f"mean of {units.plural(seconds.n, 'seed')}")
    trained = f"{units.share(row.trainable_share)} % trained"
    return [
        _score("Val", row.val, summary.guessing.val),
        _score("Test", row.test, summary.guessing.test),
        _cost("Train time", row, "train_seconds", *alone),
        _cost("Peak memory", row, "peak_memory_bytes", MEMORY[run.profile]),
        _cost("Parameters", row, "total_parameters", trained),
        _cost("Latency", row, "latency_seconds", "one image, median"),
    ]


def _cost(title: str, row: Row, cost: str, *notes: str) -> Fact:
    return Fact(title, units.amount(cost, comparable_cost(row, cost)), notes)


def _score(title: str, score: Score | None, guessing: float | None) -> Fact:
    assert score is not None
    sd, seeds = score.seeds.sd, units.plural(score.seeds.n, "seed")
    basis = (
        f"95 %: {units.between(*score.interval)}",
        units.plural(score.num_images, "image"),
        seeds if sd is None else f"± {units.percent(sd)} over {seeds}",
        f"guessing: {units.percent(guessing)} %",
    )
    return Fact(title, f"{units.percent(score.seeds.mean)} %", basis)


def of_certainty(run: Run, summary: Summary) -> list[Fact]:
    data = run.data
    parts = f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test"
    of_seeds = ["of every architecture and strategy, on one split"]
    of_visible = ["a lead this large over a close rival is found in about 80 of 100 such suites"]
    if run.suite.seed_counts == {1}:
        of_seeds.append("run-to-run variation is unknown")
        of_visible.append("run-to-run variation comes on top")
    share = summary.visible_difference
    known = f"about {units.points(share or 0.0)} points", tuple(of_visible)
    unknown = "unknown", ("nothing to compare with the leader",)
    found = [
        Fact("Images", f"{data.num_train + data.num_val + data.num_test:,}", (parts,)),
        Fact("Seeds", units.seeds(run.suite).rpartition(" ")[0], tuple(of_seeds)),
        Fact("Smallest visible difference", *(unknown if share is None else known)),
    ]
    return [*found, _settling(summary)] if len(summary.tied) > 1 else found


def _settling(summary: Summary) -> Fact:
    title, ways = "What would settle the tie", sentences.settling(summary)
    ties = len(summary.tied) - 1
    if not ways:
        neither = "neither alone would, at the differences seen"
        return Fact(title, "more seeds on more val images", (neither,))
    told = {
        what: "" if settled == ties else f"settles {settled} of {ties} ties"
        for what, settled in ways
    }
    first, *others = told
    notes = [told[first], *(f"or {what}{told[what] and f', {told[what]}'}" for what in others)]
    notes.append("at the differences seen, in 80 of 100 suites")
    return Fact(title, first, tuple(filter(None, notes)))


def of_alternatives(summary: Summary, answers: Sequence[str]) -> list[Fact]:
    found = []
    row, leader = summary.cheapest, summary.leader
    if leader is not None and leader is not summary.recommended:
        found.append(_row("Highest val", leader))
    if row is not None and leader is not None:
        title = f"Cheapest within {units.points(summary.margin)} points of the highest val"
        same = Fact(title, row_name(row), ("same as the recommendation",))
        near = within(summary.rows, leader, summary.margin)
        cost = summary.tie_break[0]
        lacking = unknown_for(cost, near) if len(near) > 1 else ""
        cheapest = same if row is summary.recommended else _row(title, row)
        found.append(_noted(cheapest, lacking and f"{COSTS[cost].title} {lacking}"))
    return found + [Fact("Asked for", "", (answer,)) for answer in answers]


def _noted(fact: Fact, note: str) -> Fact:
    return fact._replace(notes=(*fact.notes, note)) if note else fact


def _row(title: str, row: Row) -> Fact:
    costs = ("train_seconds", "peak_memory_bytes")
    numbers = ", ".join(units.amount(cost, comparable_cost(row, cost)) for cost in costs)
    return Fact(title, row_name(row), (*_scores(row), numbers))


def _scores(row: Row) -> tuple[str, str]:
    return f"val {units.score(row.val)} %", f"test {units.score(row.test)} %"


def of_costs(table: RunTable, summary: Summary) -> list[Fact]:
    marginal = [one.cost.marginal for one in table.results]
    spent = {part: sum(getattr(one, part) for one in marginal) for part in PARTS}
    split = ", ".join(f"{part} {units.duration(seconds)}" for part, seconds in spent.items())
    of_run = f"of this in ok cells, with shared work counted once: {split}" if marginal else ""
    return [
        _noted(Fact("Running time", units.duration(table.run.wall_seconds)), of_run),
        *_lowest(summary, "Quickest to train", "train_seconds"),
        *_lowest(summary, "Least memory", "peak_memory_bytes"),
        *_energy(table),
    ]


def _lowest(summary: Summary, title: str, cost: str) -> list[Fact]:
    """The complete row with the lowest of a cost; nothing where it is comparable in none."""
    complete = [row for row in summary.rows if row.complete]
    known = _known(complete, cost)
    if not known:
        return []
    lacking = unknown_for(cost, complete)
    note = lacking and f"{COSTS[cost].title} {lacking} complete"
    return [_noted(_row(title, min(known, key=known.__getitem__)), note)]


def _known(rows: Sequence[Row], cost: str) -> dict[Row, float]:
    costs = {row: comparable_cost(row, cost) for row in rows}
    return {row: value for row, value in costs.items() if value is not None}


def _energy(table: RunTable) -> list[Fact]:
    """Mean and range over the whole cells on the reference machine whose energy is known."""
    whole = [
        one for one in table.measured if one.cost.features != "reused" and one.execution.passes == 1
    ]
    known = [j for one in whole if (j := one.energy.attributed_joules) is not None]
    if not known:
        return []
    mean, least, most = map(units.three_digits, (fmean(known), min(known), max(known)))
    over = f"{len(known):,} of {units.plural(len(table.results), 'ok cell')}"
    return [Fact("GPU energy of a cell", f"mean {mean} J", (f"{least} to {most} J", over))]


class Limits(NamedTuple):
    """A budget, and how much of the val score may be given up, a share."""

    budget: Budget = Budget()
    within: float | None = None


def answers(summary: Summary, limits: Limits) -> list[str]:
    asked = []
    if any(limit is not None for limit in limits.budget):
        asked.append(_within_budget(summary, limits.budget))
    if limits.within is not None:
        asked.append(_within_margin(summary, limits.within))
    return asked


def _within_budget(summary: Summary, budget: Budget) -> str:
    """The best row within a budget; or that there is none, and what the least would be."""
    limits = {cost: limit for cost, limit in zip(COSTS, budget, strict=True) if limit is not None}
    said = [
        f"{limit / COSTS[cost].scale:,.6g} {COSTS[cost].unit}" for cost, limit in limits.items()
    ]
    asked = f"With at most {units.joined(said)}"
    complete = [row for row in summary.rows if row.complete]
    row = choice.best_within(summary, budget)
    if row is None:
        least = [_said(min(_known(complete, cost).values(), default=None), cost) for cost in limits]
        lowest = f"; the least of any is {units.joined(least)}" if complete else ""
        return f"{asked}, no complete row fits{lowest}."
    fitting = sum(choice.fits(one, budget) for one in complete)
    lacking = sum(any(comparable_cost(one, cost) is None for cost in limits) for one in complete)
    excluded = f"; {lacking:,} with an unknown cost excluded" if lacking else ""
    return (
        f"{asked}, the best on val is {row_name(row)}: {_numbers(row, list(limits))}. {fitting:,} "
        f"of {units.plural(len(complete), 'complete row')} fit{excluded}."
    )


def _within_margin(summary: Summary, share: float) -> str:
    asked = f"Within {100 * share:g} {'point' if share == 0.01 else 'points'} of the best val"
    row, leader = choice.cheapest_within(summary, share), summary.leader
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
    return ", ".join([*_scores(row), *(_said(comparable_cost(row, cost), cost) for cost in costs)])


def _said(value: float | None, cost: str) -> str:
    if value is None:
        return f"{COSTS[cost].title} unknown"
    return f"{units.scaled(value, cost)} {COSTS[cost].unit}"
