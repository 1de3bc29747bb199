"""What `bench ab` found, for reading: as a comparison reads, and by how many pairs of runs."""

import json
from collections.abc import Iterator

from bench.analysis import verdict
from bench.analysis.alternation import ALL_CELLS, Alternation
from bench.analysis.verdict import ACCURACY, JUDGED, MEMORY, SECONDS, Outcome, Verdict
from bench.report import formats, units, verdicts
from bench.report.formats import Table
from bench.report.verdicts import TITLES, Sides

MEANS = "changes of {what} are means over n pairs with their 95 % intervals"
PARTED = (
    "of a cell's train time, beyond what all cells have in common, but where Why says otherwise"
)


def headline(found: Alternation, sides: Sides) -> str:
    """What came of it, in one sentence."""
    mark = ", the machine not steady" if found.marked else ""
    pairs = f"{units.plural(found.num_pairs, 'pair')} of runs{mark}"
    named = sides._replace(baseline=f"{sides.baseline}, {pairs}")
    return verdicts.headline(found.comparison, named)


def outcomes(found: Alternation) -> set[Outcome]:
    """What the result has of each."""
    return verdict.outcomes(found.comparison) | ({"unstable"} if found.marked else set())


def table(shown: list[Verdict]) -> Table:
    """A row for each verdict."""
    made = verdicts.table(shown)
    names = {"Baseline": "Old", "Candidate": "New"}
    return made._replace(header=tuple(names.get(name, name) for name in made.header))


def news(found: Alternation) -> list[Verdict]:
    """What is not as before, or could not be judged; and what all cells have in common."""
    shown = verdicts.news(found.comparison)
    quiet = [one for one in found.comparison.verdicts if one.architecture == ALL_CELLS]
    return [*shown, *(one for one in quiet if one not in shown)]


def remarks(found: Alternation) -> list[str]:
    """What must be known beside the table, a sentence each."""
    return [
        *pairs_told(found),
        *found.comparison.notes,
        *verdicts.folded(found.comparison),
        *means(found),
        *seen(found),
    ]


def pairs_told(found: Alternation) -> Iterator[str]:
    """Which pairs were unsteady, and what became of them."""
    if found.unsteady:
        numbers = ", ".join(str(place + 1) for place in found.unsteady)
        end = "kept, for too few others are" if found.marked else "left out of times and memory"
        yield f"pairs in which the machine was not steady: {numbers}; {end}"


def means(found: Alternation) -> Iterator[str]:
    """What the changes are that were judged over the pairs."""
    metrics = [
        metric
        for metric in (SECONDS, MEMORY)
        if any(one.metric == metric and one.mean for one in found.comparison.verdicts)
    ]
    if metrics:
        told = MEANS.format(what=" and ".join(TITLES[metric] for metric in metrics))
        yield f"{told}; {PARTED}" if found.parted else told


def seen(found: Alternation) -> Iterator[str]:
    """The smallest changes for the worse that 80 of 100 such sittings show."""
    told = []
    for metric in JUDGED:
        visible = [
            one.visible
            for one in found.comparison.verdicts
            if one.metric == metric and one.visible and one.architecture != ALL_CELLS
        ]
        if visible:
            ends = dict.fromkeys(units.percent(share) for share in (min(visible), max(visible)))
            unit = "points" if metric == ACCURACY else "%"
            told.append(f"{TITLES[metric]} {' to '.join(ends)} {unit}")
    if told:
        yield f"smallest changes for the worse that could be seen: {', '.join(told)}"


# ---- whole documents ------------------------------------------------------------------------


def markdown(found: Alternation, sides: Sides) -> str:
    """For a pull request."""
    shown = news(found)
    parts = [
        f"### {formats.escape_markdown(headline(found, sides))}",
        formats.markdown(table(shown)) if shown else "",
        "\n".join(f"- {formats.escape_markdown(line)}" for line in remarks(found)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def as_json(found: Alternation, sides: Sides) -> str:
    """Everything, for a program; pairs are counted from 1."""
    told = json.loads(verdicts.as_json(found.comparison, sides))
    content = {
        "old": told["baseline"],
        "new": told["candidate"],
        "outcomes": sorted(outcomes(found)),
        "pairs": found.num_pairs,
        "pairs_judged": [place + 1 for place in found.judged],
        "pairs_unsteady": {place + 1: why for place, why in found.unsteady.items()},
        "verdicts": told["verdicts"],
        "notes": told["notes"],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
