"""A comparison for reading: a headline, a table of what is not as before, and what limits it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.analysis.speed import FEW_CELLS
from bench.analysis.verdict import (
    ACCURACY,
    CELL,
    COUNTS,
    JUDGED,
    MEMORY,
    SECONDS,
    WORDS,
    Comparison,
    Elsewhere,
    Mean,
    Rates,
    Shift,
    Verdict,
    in_order,
    outcomes,
)
from bench.report import formats, units
from bench.report.formats import Table


class Sides(NamedTuple):
    """The names by which the two runs are called."""

    baseline: str
    candidate: str


TITLES = {
    CELL: "cell",
    COUNTS: "parameters and MACs",
    ACCURACY: "test score",
    SECONDS: "train time",
    MEMORY: "peak memory",
}
SAID = {"not_judged": "not judged", "not_comparable": "not comparable"}
"""Words that are written in another way than they are named."""

QUIET = ("pass",)
FOLDED = ("not_judged", "not_comparable", "new", "missing")
MOST_FIELDS, MOST_CELLS = 3, 6


def headline(found: Comparison, sides: Sides) -> str:
    """What came of it, in one sentence."""
    counts = [
        f"{count} {SAID.get(word, word)}"
        for word in WORDS
        if (count := found.count(word)) and word not in QUIET
    ]
    passed = sum(one.word == "pass" and one.metric in JUDGED for one in found.verdicts)
    told = ", ".join([*counts, f"{passed} passed"])
    return f"{sides.candidate} against {sides.baseline}: {RESULT[_worst(found)]} ({told})."


RESULT = {
    "regressed": "worse",
    "failed": "cells that were ok are not",
    "refused": "not one task",
    "missing": "not everything is there",
    "unstable": "the machine was not steady",
    "nothing_judged": "nothing could be judged",
    "": "no regression",
}


def _worst(found: Comparison) -> str:
    has = outcomes(found)
    return next((name for name in RESULT if name in has), "")


def remarks(found: Comparison) -> list[str]:
    """What must be known beside the table, a sentence each."""
    lines = [*found.notes]
    lines += folded(found)
    if found.unstable and all(one.reason != found.unstable for one in found.verdicts):
        lines.append(found.unstable)
    if (shift := found.shift) and (shift.blame != "none" or abs(shift.change) >= 0.05):
        own = (
            "" if shift.calibration is None else f", the machine itself {signed(shift.calibration)}"
        )
        blame = f"; {shift.blame} to blame" if shift.blame in ("code", "machine") else ""
        reason = f" – {shift.reason}" if shift.reason else ""
        lines.append(f"all cells together took {signed(shift.change)} time{own}{blame}{reason}")
    if away := found.elsewhere:
        ranks = "" if away.kendall is None else f", Kendall's τ of the ranks {away.kendall:.2f}"
        lines.append(
            f"under other conditions: train times × {away.ratio:.3g} (median){ranks}; judged by "
            f"nothing, for {listed(away.fields)}"
        )
        lines += [f"far off that ratio: {text}" for text in away.apart]
        lines += reached(away.rates)
    times = [one for one in found.verdicts if one.metric == SECONDS and one.change is not None]
    is_taken_off = found.shift is not None and found.shift.taken_off and len(times) >= FEW_CELLS
    if is_taken_off and any(one.word in ("regressed", "improved", "inconclusive") for one in times):
        lines.append("changes of train time are those beyond what all cells have in common")
    seen = [one.visible for one in found.verdicts if one.metric == ACCURACY and one.visible]
    if seen:
        lines.append(f"smallest drops of the test score that could be seen: {_range(seen)} points")
    return lines


def reached(rates: Sequence[Rates]) -> list[str]:
    """Shares of the roofline, those that fell most first."""
    known = [(one.name, *one.shares) for one in rates if one.shares]
    if not known:
        return []
    known.sort(key=lambda row: row[2] / row[1])
    told = "; ".join(f"{name} {a:.2f} and {b:.2f}" for name, a, b in known[:MOST_CELLS])
    more = f"; and {len(known) - MOST_CELLS} more" if len(known) > MOST_CELLS else ""
    return [
        "training images/s as a share of what the machine's own matrix products and copies would "
        f"allow, where the whole network trains: {told}{more}"
    ]


def _range(shares: Sequence[float]) -> str:
    low, high = units.percent(min(shares)), units.percent(max(shares))
    return low if low == high else f"{low} to {high}"


def listed(fields: Sequence[str]) -> str:
    """The first few fields that differ."""
    more = f"; and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
    return "; ".join(fields[:MOST_FIELDS]) + more


# ---- the table ------------------------------------------------------------------------------


def table(verdicts: Sequence[Verdict]) -> Table:
    """A row for each verdict; columns that would say nothing of any are left out."""
    header = ("Cell", "Metric", "Verdict", "Baseline", "Candidate", "Change", "Visible", "Why")
    rows = tuple(
        (
            one.name,
            TITLES[one.metric],
            SAID.get(one.word, one.word),
            amount(one, one.baseline),
            amount(one, one.candidate),
            changed(one),
            visible(one),
            why(one),
        )
        for one in verdicts
    )
    return spoken(Table(header, rows, "lllrrrrl"))


def spoken(whole: Table) -> Table:
    """The columns that say something of some row."""
    silent = {"", units.UNKNOWN}
    places = [
        place
        for place in range(len(whole.header))
        if any(row[place] not in silent for row in whole.rows)
    ]
    return Table(
        tuple(whole.header[place] for place in places),
        tuple(tuple(row[place] for place in places) for row in whole.rows),
        "".join(whole.align[place] for place in places),
    )


def news(found: Comparison) -> list[Verdict]:
    """What is not as before, or could not be judged; the worst first.

    What holds of many cells alike is left to a sentence: see `alike`.
    """
    common = alike(found)
    return [
        one
        for one in in_order(found.verdicts)
        if one.word not in QUIET and _said_of(one) not in common
    ]


def alike(found: Comparison) -> dict[tuple[str, str, str], int]:
    """Metric, word and reason of what was not judged, where several cells share it; their count."""
    counts = Counter(_said_of(one) for one in found.verdicts if one.word in FOLDED)
    return {said: count for said, count in counts.items() if count > 1}


def folded(found: Comparison) -> Iterator[str]:
    """What holds of many cells alike, a sentence each."""
    for (metric, word, reason), count in alike(found).items():
        what = f"{count:,} cells" if metric == CELL else f"{TITLES[metric]} of {count:,} cells"
        told = reason if reason.startswith("not judged") else f"{SAID.get(word, word)}: {reason}"
        yield f"{what} {told.removesuffix(': ')}"


def _said_of(one: Verdict) -> tuple[str, str, str]:
    return one.metric, one.word, why(one)


def amount(one: Verdict, value: float | None) -> str:
    """A value with its unit."""
    if value is None:
        return units.UNKNOWN
    match one.metric:
        case "accuracy":
            return f"{units.percent(value)} %"
        case "train_seconds":
            return f"{units.three_digits(value)} s"
        case _:
            return f"{units.mebibytes(value)} MiB"


def changed(one: Verdict) -> str:
    """Points of accuracy, percent of time and memory."""
    if one.change is None:
        return units.UNKNOWN
    return points(one.change) if one.metric == ACCURACY else signed(one.change)


def visible(one: Verdict) -> str:
    """The smallest change for the worse that would have been seen, where none was."""
    if one.visible is None or one.word == "regressed":
        return units.UNKNOWN
    return points(-one.visible) if one.metric == ACCURACY else signed(one.visible)


def points(share: float) -> str:
    """`-1.2 points`."""
    return f"{hundredths(share)} points"


def signed(share: float) -> str:
    """`+12.3 %`."""
    return f"{hundredths(share)} %"


def hundredths(share: float) -> str:
    """`+12.3`; what rounds to zero has no minus."""
    return f"{round(100 * share, 1) + 0.0:+.1f}"


def why(one: Verdict) -> str:
    """The reason, the fields that differ, and how sure a mean is."""
    reason = ": ".join(filter(None, (one.reason, listed(one.fields))))
    return "; ".join(filter(None, (reason, spanned(one.mean))))


def spanned(mean: Mean | None) -> str:
    """`+9.7 to +22.3 %, n = 5`."""
    if mean is None:
        return ""
    low, high = map(hundredths, mean.interval)
    return f"{low} to {high} %, n = {mean.num_pairs}"


# ---- whole documents ------------------------------------------------------------------------


def markdown(found: Comparison, sides: Sides) -> str:
    """For a pull request."""
    shown = news(found)
    parts = [
        f"### {formats.escape_markdown(headline(found, sides))}",
        *([formats.markdown(table(shown))] if shown else []),
        "\n".join(f"- {formats.escape_markdown(line)}" for line in remarks(found)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(found: Comparison, sides: Sides) -> str:
    """Everything, for a program."""
    content = {
        "baseline": sides.baseline,
        "candidate": sides.candidate,
        "outcomes": sorted(outcomes(found)),
        "verdicts": [_fields(one) for one in found.verdicts],
        "shift": _fields(found.shift) if found.shift else None,
        "elsewhere": _away(found.elsewhere) if found.elsewhere else None,
        "past_runs": found.num_past,
        "past_runs_needed": found.num_needed,
        "unstable": found.unstable,
        "notes": found.notes,
    }
    return json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n"


def _away(one: Elsewhere) -> dict[str, object]:
    return {**one._asdict(), "rates": [each._asdict() for each in one.rates]}


def _fields(one: Verdict | Shift) -> dict[str, object]:
    found = one._asdict()
    if found.get("mean"):
        found["mean"] = found["mean"]._asdict()
    return {"verdict" if key == "word" else key: value for key, value in found.items()}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
