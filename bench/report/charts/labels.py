"""Where labels go so that none covers another, or what is drawn."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bench.report.charts import lettering
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import Box, Label


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart, in the order of the wanted ones and as near to them as can be.

    They stay within low..high where there is room. Least squares: neighbours that would be too
    close form a block around their common mean (pool adjacent violators).
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[float]] = []  # [sum of wanted starts, number of labels]
    for place, i in enumerate(order):
        blocks.append([wanted[i] - place * gap, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    last = high - (len(wanted) - 1) * gap
    places = [0.0] * len(wanted)
    for place, i in enumerate(order):
        places[i] = max(low, min(starts[place], last)) + place * gap
    return places


class Note(NamedTuple):
    """Lines of text with the class of each, to stand beside a point."""

    at: tuple[float, float]
    lines: tuple[tuple[str, str], ...]  # text, class
    full: str = ""


class Placed(NamedTuple):
    """A note in its place; `leader` is the end of the line that leads to its point, if far off."""

    labels: tuple[Label, ...]
    box: Box
    leader: tuple[float, float] | None


SIDES = ((-0.8, -0.8), (-1, 0), (0, -1), (0.8, 0.8), (1, 0), (0, 1), (0.8, -0.8), (-0.8, 0.8))
"""Directions from a point to its note as they are tried: first away from what a front bounds."""

NEAR, FAR = (10.0,), (10.0, 22.0, 36.0, 52.0)
"""Distances from a point to its note, in the same order."""


def place(
    note: Note, taken: Iterable[Box], inside: Box, distances: Sequence[float]
) -> Placed | None:
    """The first place beside the point where the note covers nothing; None if there is none."""
    taken = tuple(taken)
    for placed in _places(note, distances):
        free = placed.box.inside(inside) and not any(placed.box.overlaps(box) for box in taken)
        if free and (placed.leader is None or not _crosses(note.at, placed.leader, taken)):
            return placed
    return None


def _places(note: Note, distances: Sequence[float]) -> Iterator[Placed]:
    wide = max(lettering.width(text, SMALL, bold="bold" in c) for text, c in note.lines)
    high = SMALL * lettering.LINE * len(note.lines)
    for distance in distances:
        for right, down in SIDES:
            x, y = note.at[0] + distance * right, note.at[1] + distance * down
            left = x - wide * (0.5 - _sign(right) / 2)
            top = y - high * (0.5 - _sign(down) / 2)
            box = Box(left, top, left + wide, top + high)
            anchor = ("end", "middle", "start")[1 + _sign(right)]
            labels = tuple(
                Label(x, top + SMALL * (0.95 + lettering.LINE * i), text, c, anchor, SMALL)
                for i, (text, c) in enumerate(note.lines)
            )
            yield Placed(labels, box, (x, y) if distance > NEAR[0] else None)


def _crosses(start: tuple[float, float], end: tuple[float, float], taken: Iterable[Box]) -> bool:
    """Whether a leader passes over a box other than those that its point lies in."""
    samples = [
        (start[0] + (end[0] - start[0]) * t / 12, start[1] + (end[1] - start[1]) * t / 12)
        for t in range(1, 12)
    ]
    return any(
        box.left < x < box.right and box.top < y < box.bottom
        for box in taken
        if not (box.left <= start[0] <= box.right and box.top <= start[1] <= box.bottom)
        for x, y in samples
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
