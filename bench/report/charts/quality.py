"""Figures of the recommended row on test: confusion, recall by class, reliability."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.analysis.choice import Summary
from bench.analysis.stats import Interval, wilson
from bench.analysis.table import RunTable
from bench.errors import first
from bench.predictions import Unpacked, unpack
from bench.record import Scores
from bench.report import units
from bench.report.charts import canvas
from bench.report.charts.canvas import Box, isolated, middle, text_width
from bench.report.charts.figure import AXIS, DESK, GRID, INK, MUTED, PHONE, SMALL, TEXT, Chart, told
from bench.report.charts.shown import look, named, seeds, sentences
from bench.report.run_tables import tested
from bench.report.text import printable

# K true classes, K predicted classes.
Counts = NDArray[np.int64]


class Share(NamedTuple):
    """One line: names joined by arrows, a share with its interval, from 0 to 1, and a count."""

    names: tuple[str, ...]
    share: float
    interval: Interval
    counted: str

    @property
    def name(self) -> str:
        return ARROW.join(isolated(printable(name)) for name in self.names)

    @property
    def percent(self) -> str:
        return f"{100 * self.share:.1f} %, {self.counted}"


ARROW = " → "
HEAD = 40.0  # height of the axis above the lines


def _shares(
    width: float, shares: Sequence[Share], colour: str, axis: str, mean: float | None = None
) -> Figure:
    longest = max(text_width(share.name) for share in shares)
    counts = max(text_width(share.counted, SMALL) for share in shares)
    # Where names are long and the figure is narrow, they stand above their line.
    above = width < 500 and longest > 0.34 * width
    room = width - 8 if above else min(longest, 0.34 * width)
    step, left = (36.0, 12.0) if above else (20.0, room + 14)
    bottom = HEAD + step * len(shares)
    figure = canvas.blank(width, bottom + 22)
    limits = canvas.percent_limits([100 * end for share in shares for end in share.interval])
    box = Box(left, HEAD, width - counts - 16, bottom)
    ax = canvas.axes(figure, box, limits, (len(shares) - 0.5, -0.5))
    ax.xaxis.tick_top()
    ax.spines["bottom"].set_visible(False)
    ax.xaxis.set_major_locator(canvas.ticks(4 if width < 500 else 6))
    ax.set_yticks([])
    canvas.write(figure, left, HEAD - 26, axis, color=MUTED)
    for i, share in enumerate(shares):
        y, low = i + (0.22 if above else 0), HEAD + step * i
        ax.axhline(y, color=GRID, linewidth=1)
        words = f"{share.name}: {share.percent}"
        canvas.plot(ax, [100 * end for end in share.interval], [y, y], words, color=colour)
        canvas.plot(ax, 100 * share.share, y, words, **canvas.look(colour))
        x, down, ha = (4.0, low + 12, "left") if above else (left - 8, low + 10, "right")
        short = canvas.joined(share.names, ARROW, room)
        canvas.write(figure, x, middle(down), short, full=share.name, halo=above, ha=ha,
                     fontsize=TEXT)  # fmt: skip
        down = low + (0.72 if above else 0.5) * step
        canvas.write(figure, box.right + 10, middle(down, SMALL), share.counted, color=MUTED)
    if mean is not None:
        ax.axvline(100 * mean, color=INK, linewidth=1, zorder=1.5)
        x = canvas.pixel(ax, 100 * mean, 0)[0]
        canvas.write(figure, x, bottom + 15, f"mean {100 * mean:.1f}", ha="center")
    return figure


LARGEST = 20  # classes of the largest matrix that is drawn whole
NARROWEST, WIDEST = 25.0, 46.0
PAIRS = 20  # most confused pairs that are listed


def confusion(table: RunTable, summary: Summary) -> Chart | None:
    """A matrix of counts up to 20 classes, else the most confused pairs; None without a row."""
    row, names = summary.recommended, table.run.data.classes
    scores = tested(table, row)
    if not scores or row is None:
        return None
    counts_KK = np.sum([np.array(s.confusion, dtype=np.int64) for s in scores], axis=0)
    pairs = confused(counts_KK, names, len(scores))
    colour, whole = look(summary).colours[row.architecture], len(names) <= LARGEST

    def draw(width: float) -> Figure:
        if whole and _cell_width(width, names) >= NARROWEST:
            return _matrix(width, counts_KK, names)
        if not pairs:
            return canvas.only_words(width, NOTHING)
        return _shares(width, pairs[:PAIRS], colour, "share of the images of the true class (%)")

    most = "; ".join(f"{pair.name}: {pair.counted}" for pair in pairs[:10]) or "nothing"
    return Chart(
        "confusion",
        "Confusion on test" if whole else "Most confused pairs on test",
        sentences(
            f"{named(row)}, counts summed over {units.plural(len(scores), 'seed')}.",
            _reading(names, len(pairs)),
        ),
        f"Most confused: {most}.",
        draw,
    )


NOTHING = "No image was taken for another class."


def _reading(names: Sequence[str], num_pairs: int) -> str:
    listed = (
        "Pairs are true → predicted; thin lines: 95 % Wilson intervals over the images of the true "
        "class."
    )
    if len(names) > LARGEST:
        return listed + (f" The first {PAIRS} of {num_pairs:,} pairs." if num_pairs > PAIRS else "")
    matrix = (
        "A row is a true class, a column a predicted one; right answers stand on the grey "
        "diagonal, an empty cell is none, and colour is the share of the true class."
    )
    if all(_cell_width(width, names) >= NARROWEST for width in (DESK, PHONE)):
        return matrix
    return f"{matrix} On a narrow screen: the most confused pairs. {listed}"


def confused(counts_KK: Counts, names: Sequence[str], num_seeds: int) -> list[Share]:
    """Pairs of different classes with a count, the largest first, then the largest share."""
    totals_K = counts_KK.sum(axis=1)
    wrong = [(int(i), int(j)) for i, j in np.argwhere(counts_KK > 0) if i != j]
    wrong.sort(key=lambda pair: (-counts_KK[pair], totals_K[pair[0]]))
    found = []
    for i, j in wrong:
        count, of = int(counts_KK[i, j]), int(totals_K[i])
        # Each image counts once, however many seeds saw it.
        interval = wilson(count / of, max(1, round(of / num_seeds)))
        found.append(Share((names[i], names[j]), count / of, interval, f"{count:,} of {of:,}"))
    return found


def _room(width: float, names: Sequence[str]) -> float:
    return max(40.0, min(canvas.longest(names), 0.24 * width) + 10)


def _cell_width(width: float, names: Sequence[str]) -> float:
    return min(WIDEST, (width - _room(width, names) - 4) / len(names))


def _matrix(width: float, counts_KK: Counts, names: Sequence[str]) -> Figure:
    figure, num = canvas.blank(width), len(names)
    left, wide = _room(width, names), _cell_width(width, names)
    high = max(24.0, 0.72 * wide)
    canvas.write(figure, left, 13, "predicted", color=MUTED)
    top = canvas.column_names(figure, names, left, wide, 20) + 6
    canvas.write(figure, left - 8, top - 6, "true", color=MUTED, ha="right")
    bottom = top + high * num
    ax = canvas.table(figure, Box(left, top, left + wide * num, bottom), num, num)
    wrong_KK = counts_KK - np.diag(np.diag(counts_KK))
    shares_KK = wrong_KK / np.maximum(1, counts_KK.sum(axis=1, keepdims=True))
    for i, name in enumerate(names):
        y = middle(top + high * (i + 0.5))
        canvas.name(figure, left - 8, y, name, left - 10, ha="right", fontsize=TEXT)
    shown = [isolated(printable(name)) for name in names]
    for i, j in np.ndindex(*counts_KK.shape):
        count = int(counts_KK[i, j])
        number, words = f"{count:,}", f"{shown[i]}{ARROW}{shown[j]}: {count:,}"
        if not count:
            canvas.fill(ax, (j, i), 0.02, words, facecolor="none", edgecolor=GRID)
            continue
        ground, ink = canvas.heat(float(shares_KK[i, j]), 0.0, float(shares_KK.max()))
        if i == j:
            ground, ink = GRID, INK
        canvas.fill(ax, (j, i), 0.02, words, facecolor=ground)
        number = number if text_width(number, SMALL) <= wide - 2.5 else canvas.compact(count)
        told(ax.text(j, i, number, color=ink, ha="center", va="center_baseline"), words)
    return canvas.resize(figure, bottom + 6)


CLASSES = 40  # so many classes are drawn; of more, the ones with the lowest recall


def recall(table: RunTable, summary: Summary) -> Chart | None:
    """The recall of each class with test images, the lowest first; None without a row."""
    row = summary.recommended
    scores = tested(table, row)
    shares = _recalls(scores, table.run.data.classes)
    if not shares or row is None:
        return None
    drawn, left_out = shares[:CLASSES], len(shares) - CLASSES
    mean, colour = fmean(each.share for each in shares), look(summary).colours[row.architecture]
    known = {each.names for each in shares}
    empty = [printable(name) for name in table.run.data.classes if (name,) not in known]
    return Chart(
        "recall",
        f"Recall by class{f', the lowest {CLASSES}' if left_out > 0 else ''}",
        sentences(
            f"{named(row)} on test, {seeds(units.plural(len(scores), 'seed'))}. "
            "Thin lines: 95 % Wilson intervals over the n test images of the class.",
            f"{left_out:,} classes with a higher recall are not drawn." if left_out > 0 else "",
            f"Without test images: {first(empty, 8)}." if empty else "",
        ),
        "; ".join(f"{each.name}: {each.percent}" for each in drawn) + ".",
        lambda width: _shares(width, drawn, colour, "recall (%)", mean),
    )


def _recalls(scores: Sequence[Scores], classes: Sequence[str]) -> list[Share]:
    found = []
    for k, name in enumerate(classes):
        known = [share for s in scores if (share := s.recall[k]) is not None]
        if known:
            share, count = fmean(known), sum(scores[0].confusion[k])
            found.append(Share((name,), share, wilson(share, count), f"n = {count:,}"))
    return sorted(found, key=lambda each: each.share)


BINS = 15  # as in the ECE of the records: equal widths, open on the left


class Bin(NamedTuple):
    """Predictions of like confidence, of all seeds together; shares from 0 to 1."""

    place: int  # 0 .. BINS - 1
    size: int
    confidence: float
    accuracy: float
    interval: Interval

    @property
    def words(self) -> str:
        return (
            f"{self.size:,} predictions at {100 * self.confidence:.1f} % confidence: "
            f"{100 * self.accuracy:.1f} % right"
        )


def reliability(table: RunTable, summary: Summary) -> Chart | None:
    """Accuracy by confidence, a mark per bin that holds predictions; None without a row."""
    row = summary.recommended
    scores = tested(table, row)
    if not scores or row is None:
        return None
    bins, colour = bins_of([unpack(s.predictions) for s in scores]), look(summary).colours
    values = [s.ece for s in scores]
    ece, several = f"ECE {fmean(values):.3f}", len(values) > 1
    spread = f" ({min(values):.3f} to {max(values):.3f} over seeds)" if several else ""
    return Chart(
        "reliability",
        "Confidence against accuracy on test",
        sentences(
            f"{named(row)}, {units.plural(len(scores), 'seed')} of {scores[0].num_images:,} "
            f"images, {BINS} bins of equal width. {ece}{spread}, the mean distance from the "
            "diagonal.",
            "Thin lines: 95 % Wilson intervals, each image counted once. Below: predictions in "
            "each bin.",
        ),
        f"{ece}{spread}. " + "; ".join(each.words for each in bins) + ".",
        lambda width: _reliability(width, bins, colour[row.architecture], ece),
    )


def bins_of(parts: Sequence[Unpacked]) -> list[Bin]:
    confidences_N = np.concatenate([part.confidences_N for part in parts])
    correct_N = np.concatenate([part.correct_N for part in parts])
    places_N = np.clip(np.ceil(confidences_N * BINS).astype(int) - 1, 0, BINS - 1)
    found = []
    for place in np.unique(places_N):
        inside_N = places_N == place
        count, accuracy = int(inside_N.sum()), float(correct_N[inside_N].mean())
        interval = wilson(accuracy, max(1, round(count / len(parts))))
        confidence = float(confidences_N[inside_N].mean())
        found.append(Bin(int(place), count, confidence, accuracy, interval))
    return found


def _reliability(width: float, bins: Sequence[Bin], colour: str, ece: str) -> Figure:
    side = width - 44 if width < 500 else 380.0
    bottom = 26 + 0.85 * side
    figure = canvas.blank(width, bottom + 126)
    ax = canvas.axes(figure, Box(30, 26, 30 + side, bottom), (0, 100), (0, 100))
    below = canvas.axes(figure, Box(30, bottom + 24, 30 + side, bottom + 84), (0, 100), (0, 1.12))
    canvas.write(figure, 4, 16, "accuracy (%)", color=MUTED)
    ax.spines["bottom"].set_visible(False)
    ax.grid(visible=False, axis="x")
    ax.tick_params(labelbottom=False)
    ax.set_xticks(range(0, 101, 20))
    ax.set_yticks(range(0, 101, 20))
    below.set_xticks(range(0, 101, 20))
    below.set_yticks([])
    below.set_xlabel("confidence in the predicted class (%)")
    ax.plot([0, 100], [0, 100], color=AXIS, linewidth=1, linestyle=(0, (4, 3)))
    for each in bins:
        x, y = 100 * each.confidence, 100 * each.accuracy
        ends = [100 * end for end in each.interval]
        canvas.plot(ax, [x, x], ends, each.words, color=colour)
        canvas.plot(ax, x, y, each.words, zorder=3, **canvas.look(colour))
    # What each side of the diagonal means.
    canvas.write(figure, 38, 44, ece, fontsize=TEXT, fontweight="bold", halo=True)
    canvas.write(figure, 38, 62, "more often right than sure", color=MUTED, halo=True)
    right = (30 + side - 6, bottom - 12)
    canvas.write(figure, *right, "more sure than right", color=MUTED, ha="right", halo=True)
    _sizes(below, bins, side)
    return figure


def _sizes(ax: Axes, bins: Sequence[Bin], width: float) -> None:
    """A column for each bin, under the number of its predictions where there is room."""
    largest, free_from = max(each.size for each in bins), 0.0
    for each in bins:
        x, high = 100 * (each.place + 0.5) / BINS, each.size / largest
        (column,) = ax.bar(x, high, 100 / BINS - 0.25, color=AXIS)
        told(column, each.words)
        number = canvas.compact(each.size)
        half = 100 * text_width(number, SMALL) / 2 / width
        if x - half > free_from:
            free_from = x + half + 0.5
            ax.annotate(number, (x, high), (0, 3), textcoords="offset points", ha="center",
                        color=MUTED)  # fmt: skip
