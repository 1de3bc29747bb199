"""A comparison for reading: a sentence, the rows that matter, and what was not judged and why."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bench.analysis import judge
from bench.analysis.ab import ALL_CELLS, Alternation
from bench.analysis.compare import Comparison, outcomes
from bench.analysis.costs import OtherConditions, Shift
from bench.analysis.judge import ACCURACY, CELL, MEASURES, SECONDS, SIZE, WORDS, Verdict, Word
from bench.analysis.pairs import combinations
from bench.analysis.table import Snapshot
from bench.errors import first
from bench.report import text, units
from bench.report.tables import Column, Table, as_markdown

TITLES = {CELL: "cell", SIZE: "parameters and MACs"} | {
    name: metric.title for name, metric in MEASURES.items()
}
MOST_ROWS = 15


class Sides(NamedTuple):
    baseline: str
    candidate: str  # or several, joined


def said(word: str) -> str:
    return word.replace("_", " ")


RESULT: Mapping[str, str] = {
    "regressed": "worse",
    "failed": "cells that were ok failed",
    "refused": "not comparable",
    "missing": "cells are missing",
    "unstable": "the machine was not steady",
    "nothing_judged": "nothing could be judged",
}


def headline(found: Comparison, sides: Sides, beside: str = "") -> str:
    has = outcomes(found)
    result = next((told for outcome, told in RESULT.items() if outcome in has), "no regression")
    counts = Counter(one.word for one in found.verdicts)
    told = [f"{counts[word]:,} {said(word)}" for word in WORDS if counts[word] and word != "pass"]
    passed = sum(one.word == "pass" and one.metric in MEASURES for one in found.verdicts)
    told.append(f"{passed:,} passed")
    return f"{sides.candidate} against {sides.baseline}{beside}: {result} ({', '.join(told)})."


RUNS, CODES = Sides("Baseline", "Candidate"), Sides("Old", "New")  # how a table calls the two sides


def table(verdicts: Sequence[Verdict], sides: Sides = RUNS) -> Table:
    of_metric = Column("", also=("metric",), align="right")
    columns = (
        Column("cell", "Cell"),
        Column("metric", "Metric", format=TITLES.__getitem__),
        Column("verdict", "Verdict", format=said),
        of_metric._replace(name="baseline", title=sides.baseline, format=amount),
        of_metric._replace(name="candidate", title=sides.candidate, format=amount),
        of_metric._replace(name="change", title="Change", format=changed),
        Column("interval", "95 % interval", align="right"),
        of_metric._replace(name="visible", title="Visible", format=changed),
        Column("why", "Why"),
    )
    rows = tuple(
        (
            *(one.name, one.metric, one.word, one.baseline, one.candidate, one.change),
            one.interval and f"{signed(one.interval.low, 'to')} {signed(one.interval.high)}",
            visible(one),
            why(one, fields=one.metric in (CELL, SIZE)),
        )
        for one in verdicts
    )
    return Table("comparison", "Comparison", columns, rows).without_silent()


def matters(found: Comparison) -> list[Verdict]:
    """What is not as before, the worst and largest first; what was not judged is in `reasons`."""
    grouped = _grouped(found)
    shown = [
        one
        for one in found.verdicts
        if one.word != "pass" and (one.word, one.reason) not in grouped
    ]
    return sorted(shown, key=lambda one: (WORDS.index(one.word), -abs(one.change or 0.0)))


class Group(NamedTuple):
    counts: Counter[str]  # of cells, by metric
    fields: dict[str, None]  # that differ in any of them


def _grouped(found: Comparison) -> dict[tuple[Word, str], Group]:
    """By word and reason; what only one cell has is a row of its own, unless a metric of it."""
    groups: dict[tuple[Word, str], Group] = {}
    for one in found.verdicts:
        if one.word in ("not_judged", "not_comparable", "new", "missing"):
            group = groups.setdefault((one.word, one.reason), Group(Counter(), {}))
            group.counts[one.metric] += 1
            group.fields.update(dict.fromkeys(one.fields))
    return {
        key: group
        for key, group in groups.items()
        if group.counts.total() > 1 or not {CELL, SIZE} & group.counts.keys()
    }


def reasons(found: Comparison) -> Iterator[str]:
    """`train time and peak memory of 6 cells: not judged (1 of 5 runs)`."""
    for (word, reason), (counts, fields) in _grouped(found).items():
        cells = []
        for count in dict.fromkeys(counts.values()):
            titles = [TITLES[of] for of, n in counts.items() if n == count and of != CELL]
            of_titles = f"{units.joined(titles)} of " if titles else ""
            cells.append(of_titles + units.plural(count, "cell"))
        told = reason if reason.startswith(said(word)) else f"{said(word)}, {reason}"
        differ = f" ({listed([*fields])})" if fields else ""
        yield f"{', '.join(cells)}: {told.removesuffix(', ')}{differ}"


def visible(one: Verdict) -> float | None:
    """The smallest change for the worse that would have been seen, where none was."""
    if one.visible is None or one.word == "regressed":
        return None
    return -one.visible if one.metric == ACCURACY else one.visible


def amount(value: float | None, metric: str) -> str:
    return units.UNKNOWN if value is None else f"{level(value, metric)} {MEASURES[metric].unit}"


def level(value: float | None, metric: str) -> str:
    return units.percent(value) if metric == ACCURACY else units.scaled(value, metric)


def changed(share: float | None, metric: str) -> str:
    """Points of accuracy, percent of time and memory: `-1.2 points`, `+12.3 %`."""
    if share is None:
        return units.UNKNOWN
    return signed(share, "points" if metric == ACCURACY else "%")


def signed(share: float, unit: str = "%") -> str:
    """`+12.3 %`; what rounds to zero has no minus."""
    return f"{round(100 * share, 1) + 0.0:+.1f} {unit}"


def why(one: Verdict, *, fields: bool = True) -> str:
    reason = ": ".join(filter(None, (one.reason, listed(one.fields) if fields else "")))
    return "; ".join(filter(None, (reason, _showed(one))))


def _showed(one: Verdict) -> str:
    """`a regressed +12.3 %, b pass +0.4 %`; empty where all candidates show the same."""
    words = {word for _, word, _ in one.showed}
    if len(words) < 2 and all(change is None for *_, change in one.showed):
        return ""
    return ", ".join(
        f"{name} {said(word) if word else 'no result'}"
        + ("" if change is None else f" {changed(change, one.metric)}")
        for name, word, change in one.showed
    )


def listed(fields: Sequence[str]) -> str:
    return first(fields, 3, ";")


def remarks(found: Comparison) -> list[str]:
    lines = [found.unstable] if found.unstable else []
    shift = found.shift
    if shift and (shift.blame != "none" or abs(shift.change) >= 0.05):
        lines.append(_of_shift(shift))
    lines += [line for line in reasons(found) if not (found.unstable and found.unstable in line)]
    lines += found.notes
    scores = [one for one in found.verdicts if one.metric == ACCURACY]
    if other := dict.fromkeys(field for one in scores for field in one.fields):
        lines.append(
            "test scores can only be shown to be equivalent or not, as the arithmetic differs "
            f"({listed([*other])})"
        )
    if found.elsewhere:
        lines += _of_elsewhere(found.elsewhere)
    times = [one for one in found.verdicts if one.metric == SECONDS and one.change is not None]
    is_taken_off = shift is not None and shift.taken_off and len(times) >= judge.FEW_CELLS
    if is_taken_off and any(one.word in ("regressed", "improved", "inconclusive") for one in times):
        lines.append("changes of train time are beyond what all cells have in common")
    if seen := [one.visible for one in scores if one.visible]:
        lines.append(f"smallest drops of the test score that could be seen: {_range(seen)} points")
    return lines


def _of_shift(shift: Shift) -> str:
    told = f"train time of all cells changed by {signed(shift.change)}"
    if shift.calibration is not None:
        told += f", the machine itself by {signed(shift.calibration)}"
    if shift.blame in ("code", "machine"):
        told += f"; the {shift.blame} is to blame"
    return told + (f": {shift.reason}" if shift.reason else "")


def _of_elsewhere(away: OtherConditions) -> list[str]:
    ranks = "" if away.kendall is None else f", Kendall's τ of the ranks {away.kendall:.2f}"
    lines = [
        f"train times under other conditions are not judged: × {away.ratio:.3g} (median){ranks}",
        *(f"far off that ratio: {one}" for one in away.apart),
    ]
    known = [(one.name, *one.shares) for one in away.rates if one.shares]
    if known:
        known.sort(key=lambda row: row[2] / row[1])
        told = [f"{name} {a:.2f} and {b:.2f}" for name, a, b in known]
        lines.append(
            "training images/s as a share of what each machine's own matrix products and copies "
            f"would allow, of cells that train the whole network: {first(told, 6, ';')}"
        )
    return lines


def _range(shares: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(units.percent(one) for one in (min(shares), max(shares))))


def ab_headline(found: Alternation, sides: Sides) -> str:
    mark = ", the machine not steady" if found.marked else ""
    pairs = units.plural(found.num_pairs, "pair")
    return headline(found.comparison, sides, f", {pairs} of runs{mark}")


def ab_matters(found: Alternation) -> list[Verdict]:
    shown = matters(found.comparison)
    quiet = [one for one in found.comparison.verdicts if one.architecture == ALL_CELLS]
    return [*shown, *(one for one in quiet if one not in shown)]


def ab_remarks(found: Alternation) -> list[str]:
    lines = []
    if found.unsteady:
        numbers = ", ".join(str(place + 1) for place in found.unsteady)
        end = "kept, as too few others are left" if found.marked else "left out of times and memory"
        lines.append(f"pairs in which the machine was not steady: {numbers}; {end}")
    lines += [*found.comparison.notes, *reasons(found.comparison)]
    verdicts = found.comparison.verdicts
    if means := [one for one in verdicts if one.interval]:
        of = " and ".join(dict.fromkeys(TITLES[one.metric] for one in means))
        counts = sorted({one.num_pairs or 0 for one in means})
        pairs = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        lines.append(f"changes of {of} are means over {pairs} pairs")
        if found.parted:
            beyond = "train times of cells are beyond what all cells have in common"
            lines[-1] += f"; {beyond}, unless Why says so"
    told = []
    for metric in MEASURES:
        of_metric = (v for v in verdicts if v.metric == metric and v.architecture != ALL_CELLS)
        if seen := [one.visible for one in of_metric if one.visible]:
            unit = "points" if metric == ACCURACY else "%"
            told.append(f"{TITLES[metric]} {_range(seen)} {unit}")
    if told:
        lines.append(f"smallest changes for the worse that could be seen: {', '.join(told)}")
    return lines


def markdown(found: Comparison, sides: Sides) -> str:
    return _document(headline(found, sides), table(matters(found)), remarks(found))


def ab_markdown(found: Alternation, sides: Sides) -> str:
    shown = table(ab_matters(found), CODES)
    return _document(ab_headline(found, sides), shown, ab_remarks(found))


def _document(title: str, shown: Table, lines: Iterable[str]) -> str:
    if (more := len(shown.rows) - MOST_ROWS) > 0:
        lines = [f"and {units.plural(more, 'more row')}: see --all or --format json", *lines]
    parts = [
        f"### {text.markdown(title)}",
        as_markdown(shown, MOST_ROWS) if shown.rows else "",
        "\n".join(f"- {text.markdown(line)}" for line in lines),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def as_json(found: Comparison, sides: Sides) -> str:
    each = {name: _content(one) for name, one in found.each.items()}
    content = {"baseline": sides.baseline, "candidate": sides.candidate, **_content(found)}
    return _json({**content, "candidates": each} if each else content)


def _content(found: Comparison) -> dict[str, object]:
    away = found.elsewhere
    return {
        "outcomes": sorted(outcomes(found)),
        "verdicts": [_fields(one) for one in found.verdicts],
        "shift": found.shift and found.shift._asdict(),
        "elsewhere": away and {**away._asdict(), "rates": [one._asdict() for one in away.rates]},
        "past_runs": found.num_past,
        "unstable": found.unstable,
        "notes": found.notes,
    }


def ab_json(found: Alternation, sides: Sides) -> str:
    """Everything, for a program; pairs are counted from 1."""
    content = _content(found.comparison)
    return _json(
        {
            "old": sides.baseline,
            "new": sides.candidate,
            "outcomes": sorted(found.outcomes),
            "pairs": found.num_pairs,
            "pairs_judged": [place + 1 for place in found.judged],
            "pairs_unsteady": {place + 1: why for place, why in found.unsteady.items()},
            "verdicts": content["verdicts"],
            "notes": content["notes"],
        }
    )


def _json(content: object) -> str:
    without_nan = json.loads(json.dumps(content), parse_constant=lambda _: None)
    return json.dumps(without_nan, indent=1) + "\n"


def _fields(one: Verdict) -> dict[str, object]:
    found = one._asdict()
    names = {key: found.pop(key) for key in ("architecture", "strategy", "metric")}
    return {**names, "verdict": found.pop("word"), **found}


def baseline_table(run: Snapshot) -> Table:
    titles = {name: measure.title.capitalize() for name, measure in MEASURES.items()}
    seeds = Column("ok", "Seeds ok", align="right")
    rows = (
        (side.name, f"{len(side.ok)}/{len(side.places)}", *map(side.value, MEASURES))
        for side in combinations(run)
    )
    columns = (Column("cell", "Cell"), seeds, *measure_columns(titles))
    return Table("baseline", "Baseline", columns, tuple(rows))


def measure_columns(titles: Mapping[str, str]) -> list[Column]:
    return [
        Column(name, title, MEASURES[name].unit, partial(level, metric=name), align="right")
        for name, title in titles.items()
    ]
