"""A comparison for reading: a sentence, the rows that matter, and what was not judged and why."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bench.analysis.ab import ALL_CELLS, Alternation
from bench.analysis.compare import Comparison, outcomes
from bench.analysis.costs import Rates, Shift
from bench.analysis.judge import (
    ACCURACY,
    CELL,
    COUNTS,
    FEW_CELLS,
    MEASURES,
    SECONDS,
    WORDS,
    Verdict,
    Word,
    in_order,
)
from bench.analysis.pairs import sides_of
from bench.analysis.table import Snapshot
from bench.report import text, units
from bench.report.tables import Column, Table, as_markdown

TITLES = {CELL: "cell", COUNTS: "parameters and MACs"} | {
    name: metric.title for name, metric in MEASURES.items()
}
SAID: Mapping[str, str] = {"not_judged": "not judged", "not_comparable": "not comparable"}
"""Words that are written in another way than they are named."""

MOST_ROWS = 15
MOST_FIELDS, MOST_CELLS = 3, 6


class Sides(NamedTuple):
    baseline: str
    candidate: str  # or several, joined


def said(word: Word) -> str:
    return SAID.get(word, word)


# ---- the sentence ---------------------------------------------------------------------------

RESULT: Mapping[str, str] = {
    "regressed": "worse",
    "failed": "cells that were ok failed",
    "refused": "not comparable",
    "missing": "cells are missing",
    "unstable": "the machine was not steady",
    "nothing_judged": "nothing could be judged",
    "": "no regression",
}


def headline(found: Comparison, sides: Sides, beside: str = "") -> str:
    has = outcomes(found)
    result = next(text for name, text in RESULT.items() if name in has or not name)
    counts = [
        f"{count:,} {said(word)}"
        for word in WORDS
        if (count := found.count(word)) and word != "pass"
    ]
    passed = sum(one.word == "pass" and one.metric in MEASURES for one in found.verdicts)
    told = ", ".join([*counts, f"{passed:,} passed"])
    return f"{sides.candidate} against {sides.baseline}{beside}: {result} ({told})."


# ---- the rows that matter -------------------------------------------------------------------


RUNS, CODES = Sides("Baseline", "Candidate"), Sides("Old", "New")
"""How a table calls the two sides."""


def table(verdicts: Sequence[Verdict], sides: Sides = RUNS) -> Table:
    columns = (
        Column("cell", "Cell"),
        Column("metric", "Metric", format=TITLES.__getitem__),
        Column("verdict", "Verdict", format=said),
        Column("baseline", sides.baseline, format=amount, also=("metric",), align="right"),
        Column("candidate", sides.candidate, format=amount, also=("metric",), align="right"),
        Column("change", "Change", format=changed, also=("metric",), align="right"),
        Column("interval", "95 % interval", align="right"),
        Column("visible", "Visible", format=changed, also=("metric",), align="right"),
        Column("why", "Why"),
    )
    rows = tuple(
        (
            *(one.name, one.metric, one.word, one.baseline, one.candidate, one.change),
            _span(one),
            visible(one),
            why(one, fields=one.metric in (CELL, COUNTS)),
        )
        for one in verdicts
    )
    return Table("comparison", "Comparison", columns, rows).without_silent()


def matters(found: Comparison) -> list[Verdict]:
    """What is not as before, the worst and largest first; what was not judged is in `reasons`."""
    grouped = _grouped(found)
    shown = [
        one
        for one in in_order(found.verdicts)
        if one.word != "pass" and (one.word, one.reason) not in grouped
    ]
    return sorted(shown, key=lambda one: (WORDS.index(one.word), -abs(one.change or 0.0)))


FOLDED = ("not_judged", "not_comparable", "new", "missing")


class Group(NamedTuple):
    counts: Counter[str]  # of cells, by metric
    fields: dict[str, None]  # that differ in any of them


def _grouped(found: Comparison) -> dict[tuple[Word, str], Group]:
    """By word and reason; what only one cell has is a row of its own, unless a metric of it."""
    groups: dict[tuple[Word, str], Group] = {}
    for one in found.verdicts:
        if one.word in FOLDED:
            group = groups.setdefault((one.word, one.reason), Group(Counter(), {}))
            group.counts[one.metric] += 1
            group.fields.update(dict.fromkeys(one.fields))
    return {
        key: group
        for key, group in groups.items()
        if group.counts.total() > 1 or not {CELL, COUNTS} & group.counts.keys()
    }


def reasons(found: Comparison) -> Iterator[str]:
    for (word, reason), (counts, fields) in _grouped(found).items():
        same: dict[int, list[str]] = {}
        for metric, count in counts.items():
            same.setdefault(count, []).append("" if metric == CELL else f"{TITLES[metric]} of ")
        cells = [
            f"{' and '.join(titles).replace(' of  and', ' and')}{units.plural(count, 'cell')}"
            for count, titles in same.items()
        ]
        head = "" if reason.startswith(said(word)) else said(word)
        told = ", ".join(filter(None, (head, reason)))
        differ = f" ({listed([*fields])})" if fields else ""
        yield f"{', '.join(cells)}: {told}{differ}"


def visible(one: Verdict) -> float | None:
    """The smallest change for the worse that would have been seen, where none was."""
    if one.visible is None or one.word == "regressed":
        return None
    return -one.visible if one.metric == ACCURACY else one.visible


def amount(value: float | None, metric: str) -> str:
    if value is None:
        return units.UNKNOWN
    return f"{level(value, metric)} {MEASURES[metric].unit}"


def level(value: float | None, metric: str) -> str:
    match metric:
        case "accuracy":
            return units.percent(value)
        case "train_seconds":
            return units.three_digits(value)
        case _:
            return units.mebibytes(value)


def changed(share: float | None, metric: str) -> str:
    """Points of accuracy, percent of time and memory: `-1.2 points`, `+12.3 %`."""
    if share is None:
        return units.UNKNOWN
    return f"{_hundredths(share)} {'points' if metric == ACCURACY else '%'}"


def _hundredths(share: float) -> str:
    """`+12.3`; what rounds to zero has no minus."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def signed(share: float) -> str:
    return f"{_hundredths(share)} %"


def why(one: Verdict, *, fields: bool = True) -> str:
    reason = ": ".join(filter(None, (one.reason, listed(one.fields) if fields else "")))
    return "; ".join(filter(None, (reason, _showed(one))))


def _span(one: Verdict) -> str | None:
    """`+9.7 to +22.3 %`."""
    return one.interval and f"{_hundredths(one.interval.low)} to {signed(one.interval.high)}"


def _showed(one: Verdict) -> str:
    """`a regressed +12.3 %, b pass +0.4 %`."""
    if (
        all(change is None for _, _, change in one.showed)
        and len({w for _, w, _ in one.showed}) < 2
    ):
        return ""
    return ", ".join(
        f"{name} {said(word) if word else 'no result'}"
        + ("" if change is None else f" {changed(change, one.metric)}")
        for name, word, change in one.showed
    )


def listed(fields: Sequence[str]) -> str:
    return units.first(fields, MOST_FIELDS, ";")


# ---- what must be known beside them ---------------------------------------------------------


def remarks(found: Comparison) -> list[str]:
    lines = [found.unstable] if found.unstable else []
    if found.shift and (found.shift.blame != "none" or abs(found.shift.change) >= 0.05):
        lines.append(_of_shift(found.shift))
    lines += [line for line in reasons(found) if not (found.unstable and found.unstable in line)]
    lines += found.notes
    other = dict.fromkeys(f for v in found.verdicts if v.metric == ACCURACY for f in v.fields)
    if other:
        lines.append(
            "test scores are only shown to be equivalent or not, as the arithmetic differs "
            f"({listed([*other])})"
        )
    if away := found.elsewhere:
        ranks = "" if away.kendall is None else f", Kendall's τ of the ranks {away.kendall:.2f}"
        lines.append(
            f"under other conditions train times are × {away.ratio:.3g} (median){ranks}; they are "
            "not judged"
        )
        lines += [f"far off that ratio: {one}" for one in away.apart]
        lines += reached(away.rates)
    times = [one for one in found.verdicts if one.metric == SECONDS and one.change is not None]
    is_taken_off = found.shift is not None and found.shift.taken_off and len(times) >= FEW_CELLS
    if is_taken_off and any(one.word in ("regressed", "improved", "inconclusive") for one in times):
        lines.append("changes of train time are those beyond what all cells have in common")
    seen = [one.visible for one in found.verdicts if one.metric == ACCURACY and one.visible]
    if seen:
        lines.append(f"smallest drops of the test score that could be seen: {_range(seen)} points")
    return lines


def _of_shift(shift: Shift) -> str:
    own = "" if shift.calibration is None else f", the machine itself {signed(shift.calibration)}"
    blame = f"; the {shift.blame} is to blame" if shift.blame in ("code", "machine") else ""
    reason = f": {shift.reason}" if shift.reason else ""
    return f"all cells together took {signed(shift.change)} time{own}{blame}{reason}"


def reached(rates: Sequence[Rates]) -> list[str]:
    known = [(one.name, *one.shares) for one in rates if one.shares]
    if not known:
        return []
    known.sort(key=lambda row: row[2] / row[1])
    told = [f"{name} {a:.2f} and {b:.2f}" for name, a, b in known]
    return [
        "training images/s as a share of what each machine's own matrix products and copies would "
        f"allow, of cells that train the whole network: {units.first(told, MOST_CELLS, ';')}"
    ]


def _range(shares: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(units.percent(one) for one in (min(shares), max(shares))))


# ---- runs that took turns -------------------------------------------------------------------


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
    means = [one for one in verdicts if one.interval]
    if means:
        of = " and ".join(dict.fromkeys(TITLES[one.metric] for one in means))
        counts = sorted({one.num_pairs or 0 for one in means})
        pairs = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        beyond = (
            "; train times of cells are beyond what all cells have in common, unless Why says so"
            if found.parted
            else ""
        )
        lines.append(f"changes of {of} are means over {pairs} pairs{beyond}")
    told = []
    for metric in MEASURES:
        of_metric = (v for v in verdicts if v.metric == metric and v.architecture != ALL_CELLS)
        if seen := [one.visible for one in of_metric if one.visible]:
            unit = "points" if metric == ACCURACY else "%"
            told.append(f"{TITLES[metric]} {_range(seen)} {unit}")
    if told:
        lines.append(f"smallest changes for the worse that could be seen: {', '.join(told)}")
    return lines


# ---- whole documents ------------------------------------------------------------------------


def markdown(found: Comparison, sides: Sides) -> str:
    return _document(headline(found, sides), table(matters(found)), remarks(found))


def ab_markdown(found: Alternation, sides: Sides) -> str:
    shown = table(ab_matters(found), CODES)
    return _document(ab_headline(found, sides), shown, ab_remarks(found))


def _document(title: str, shown: Table, lines: Iterable[str]) -> str:
    parts = [
        f"### {text.markdown(title)}",
        as_markdown(shown, MOST_ROWS) if shown.rows else "",
        "\n".join(f"- {text.markdown(line)}" for line in (*left_out(shown), *lines)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def left_out(shown: Table) -> list[str]:
    more = len(shown.rows) - MOST_ROWS
    return [f"and {units.plural(more, 'row')} more: see --all or --format json"] if more > 0 else []


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
    return json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n"


def _fields(one: Verdict) -> dict[str, object]:
    names = ("architecture", "strategy", "metric")
    found = {**{name: getattr(one, name) for name in names}, **one._asdict()}
    return {"verdict" if key == "word" else key: value for key, value in found.items()}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value


# ---- a baseline -----------------------------------------------------------------------------


def baseline_table(run: Snapshot) -> Table:
    metrics = [
        Column(one.name, one.title.capitalize(), one.unit, partial(level, metric=one.name))
        for one in MEASURES.values()
    ]
    rows = tuple(
        (
            " · ".join(side.cell),
            f"{len(side.ok)}/{len(side.places)}",
            *(side.value(metric) for metric in MEASURES),
        )
        for side in sides_of(run)
    )
    right = (one._replace(align="right") for one in (Column("ok", "Seeds ok"), *metrics))
    columns = Column("cell", "Cell"), *right
    return Table("baseline", "Baseline", columns, rows)
