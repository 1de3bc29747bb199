"""What somebody who decides looks for first, each with its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.rows import Row, Score, comparable_cost, within
from bench.analysis.summary import Summary
from bench.record import Run
from bench.report import certainty, findings, units
from bench.report.findings import Text, amount, named


class Fact(NamedTuple):
    """A title, what is large, and lines of what is to be known about it."""

    title: str
    value: Text
    notes: tuple[Text, ...] = ()


MEMORY = {"gpu": "allocated on the GPU", "cpu": "resident above the cell's start"}
"""What the peak is of, by profile."""


def of_recommended(run: Run, summary: Summary) -> list[Fact]:
    """Scores and costs of the row to take; empty where there is none."""
    row = summary.recommended
    if row is None:
        return []
    return [
        *_scores(row),
        _fact("Train time", row, "train_seconds", *_over(row)),
        _fact("Peak memory", row, "peak_memory_bytes", MEMORY[run.profile]),
        _fact(
            "Parameters", row, "total_parameters", f"{units.share(row.trainable_share)} % trained"
        ),
        _fact("Latency", row, "latency_seconds", "median of one image"),
    ]


def _fact(title: str, row: Row, cost: str, *notes: str) -> Fact:
    return Fact(title, (amount(cost, comparable_cost(row, cost)),), tuple((n,) for n in notes))


def _scores(row: Row) -> list[Fact]:
    assert row.val is not None
    assert row.test is not None
    return [
        Fact("Val", _share(row.val), _basis(row.val)),
        Fact("Test", _share(row.test), _basis(row.test)),
    ]


def _share(score: Score) -> Text:
    return (f"{units.percent(score.seeds.mean)} %",)


def _basis(score: Score) -> tuple[Text, ...]:
    sd, seeds = score.seeds.sd, units.plural(score.seeds.n, "seed")
    return (
        (f"95 %: {units.interval(score.interval)}",),
        (units.plural(score.num_images, "image"),),
        (seeds if sd is None else f"± {units.percent(sd)} over {seeds}",),
    )


def _over(row: Row) -> list[str]:
    seconds = row.train_seconds
    if seconds is None or row.features_reused:
        return []
    mean = [] if seconds.n == 1 else [f"mean of {units.plural(seconds.n, 'seed')}"]
    return ["as if it ran alone", *mean]


def of_certainty(run: Run, summary: Summary) -> list[Fact]:
    """How much stands behind the choice, and how small a difference could have been seen."""
    data, seeds = run.data, len(run.suite.seeds)
    found = [
        Fact(
            "Images",
            (f"{data.num_train + data.num_val + data.num_test:,}",),
            ((f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test",),),
        ),
        Fact("Seeds", (f"{seeds}",), tuple((note,) for note in _of_seeds(seeds))),
        _visible(summary, seeds),
    ]
    return [*found, _settling(summary)] if len(summary.tied) > 1 else found


def _of_seeds(count: int) -> list[str]:
    asked = "asked of every architecture and strategy, on one split"
    return [asked, "how much a training varies is unknown"] if count == 1 else [asked]


def _visible(summary: Summary, seeds: int) -> Fact:
    title, share = "Smallest visible difference", summary.visible_difference
    if share is None:
        return Fact(title, ("unknown",), (("nothing to compare with the leader",),))
    notes = [(certainty.VISIBLE,), *([(certainty.VISIBLE_WITH_ONE_SEED,)] if seeds == 1 else [])]
    return Fact(title, (f"about {findings.points(share)} points",), tuple(notes))


def _settling(summary: Summary) -> Fact:
    title, ways, ties = (
        "What would settle the tie",
        certainty.settling(summary),
        len(summary.tied) - 1,
    )
    if not ways:
        least = f"the margin of {findings.points(summary.margin)} points"
        return Fact(title, ("nothing",), ((f"they differ by less than can be told, or {least}",),))
    first, *others = [
        (way.what, "" if way.ties == ties else f"settles {way.ties} of {ties} ties") for way in ways
    ]
    notes = [first[1], *(f"or {what}{of and f', {of}'}" for what, of in others)]
    notes.append("at the differences seen, in 80 of 100 suites")
    return Fact(title, (first[0],), tuple((note,) for note in notes if note))


def of_alternatives(summary: Summary, answers: Sequence[str]) -> list[Fact]:
    """What else to think of: the best on val, the cheapest that is as good, the affordable."""
    found = []
    row = summary.cheapest
    if summary.leader is not None and summary.leader is not summary.recommended:
        found.append(_row("Highest val", summary.leader))
    if row is not None:
        title = f"Cheapest within {findings.points(summary.margin)} points of the highest val"
        itself = Fact(title, named(row), (("the recommended itself",),))
        cheapest = itself if row is summary.recommended else _row(title, row)
        found.append(cheapest._replace(notes=(*cheapest.notes, *_unknown(summary))))
    return found + [Fact("Asked for", (), ((answer,),)) for answer in answers]


def _unknown(summary: Summary) -> list[Text]:
    """That others may be cheaper still, for nobody knows what they cost."""
    assert summary.leader is not None
    near = within(summary.rows, summary.leader, summary.margin)
    cost = summary.tie_break[0]
    lacking = findings.unknown_for(cost, near)
    return [(f"{units.COSTS[cost]} {lacking}",)] if lacking and len(near) > 1 else []


def _row(title: str, row: Row) -> Fact:
    costs = ("train_seconds", "peak_memory_bytes")
    numbers = ", ".join(amount(cost, comparable_cost(row, cost)) for cost in costs)
    scores = (f"val {units.score(row.val)} %", f"test {units.score(row.test)} %")
    return Fact(title, named(row), tuple((note,) for note in (*scores, numbers)))
