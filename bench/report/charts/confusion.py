"""Which classes the recommended row takes for which: every pair, or the worst of very many."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.analysis.stats import wilson
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report.charts import dots, lettering, palette, svg, wording
from bench.report.charts.chart import SHEETS, Chart, Drawing, Sheet, plain
from bench.report.charts.chart import chart as finished
from bench.report.charts.dots import Dot
from bench.report.charts.lettering import SMALL, printable
from bench.report.charts.svg import Box, Label, group, joined, rectangle
from bench.report.classes import tested

# K true classes, K predicted classes.
Counts = NDArray[np.int64]

LARGEST = 20
"""Classes of the largest matrix that is drawn whole."""
NARROWEST, WIDEST = 25.0, 46.0
TURNED = 110.0
"""Room for a name that is turned to stand above its column."""
PAIRS = 20
"""Most confused pairs that are listed."""


class Pair(NamedTuple):
    """Images of one class taken for another, summed over seeds."""

    true: int
    predicted: int
    images: int
    of: int  # images of the true class, summed over seeds


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """A matrix of counts up to 20 classes, else the most confused pairs; None without a row."""
    scores = tested(records, summary.recommended)
    if not scores or summary.recommended is None:
        return None
    counts_KK = np.sum([np.array(s.confusion, dtype=np.int64) for s in scores], axis=0)
    found = pairs(counts_KK)
    title = "Confusion on test" if len(counts_KK) <= LARGEST else "Most confused pairs on test"
    who = f"{wording.named(summary.recommended)}, counts summed over {_seeds(len(scores))}."
    if not found and len(counts_KK) > LARGEST:
        return plain("confusion", title, f"{who} No image was taken for another class.")
    names = run.data.classes
    rows = [_dot(pair, names, len(scores)) for pair in found[:PAIRS]]
    colour = palette.look(summary).colours[summary.recommended.architecture]

    def draw(sheet: Sheet) -> Drawing:
        width = _cell_width(sheet, names)
        if len(names) <= LARGEST and width >= NARROWEST:
            return _matrix(sheet, counts_KK, names, width)
        if not rows:
            return Drawing(30, [Label(4, 18, "No image was taken for another class.").svg])
        return dots.draw(sheet, rows, colour, "share of the images of the true class (%)")

    return finished(
        "confusion",
        title,
        wording.sentences(who, _reading(names, len(found))),
        "Most confused: "
        + ("; ".join(f"{dot.name}: {dot.counted}" for dot in rows[:10]) if rows else "nothing")
        + ".",
        draw,
    )


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _reading(names: Sequence[str], num_pairs: int) -> str:
    listed = (
        "Pairs are written true → predicted; thin lines: 95 % Wilson intervals over the images "
        "of the true class."
    )
    if len(names) > LARGEST:
        more = f" The first {PAIRS} of {num_pairs:,} pairs." if num_pairs > PAIRS else ""
        return listed + more
    matrix = (
        "A row is a true class, a column a predicted one; right answers stand on the grey "
        "diagonal, an empty cell is none, and colour is the share of the true class."
    )
    if all(_cell_width(sheet, names) >= NARROWEST for sheet in SHEETS):
        return matrix
    return f"{matrix} On a narrow screen: the most confused pairs. {listed}"


def pairs(counts_KK: Counts) -> list[Pair]:
    """Pairs of different classes with a count, the largest first, then the largest share."""
    wrong_KK = counts_KK.copy()
    np.fill_diagonal(wrong_KK, 0)
    totals_K = counts_KK.sum(axis=1)
    found = [
        Pair(int(i), int(j), int(wrong_KK[i, j]), int(totals_K[i]))
        for i, j in np.argwhere(wrong_KK > 0)
    ]
    return sorted(found, key=lambda pair: (-pair.images, pair.of))


def _dot(pair: Pair, names: Sequence[str], num_seeds: int) -> Dot:
    share = pair.images / pair.of
    # Each image counts once, however many seeds saw it.
    interval = wilson(share, max(1, round(pair.of / num_seeds)))
    return Dot(
        (names[pair.true], names[pair.predicted]),
        share,
        interval,
        f"{pair.images:,} of {pair.of:,}",
    )


# ---- the matrix -----------------------------------------------------------------------------


def _room(sheet: Sheet, names: Sequence[str]) -> float:
    longest = max(lettering.width(printable(name)) for name in names)
    return max(40.0, min(longest, 0.24 * sheet.width) + 10)


def _cell_width(sheet: Sheet, names: Sequence[str]) -> float:
    return min(WIDEST, (sheet.width - _room(sheet, names) - 4) / len(names))


class Grid(NamedTuple):
    """Where the cells lie: their corner at the left above, and the size of each."""

    left: float
    top: float
    width: float
    height: float

    def box(self, i: int, j: int) -> Box:
        """The cell of row i and column j, a hair of paper around it."""
        x, y = self.left + self.width * j, self.top + self.height * i
        return Box(x + 0.75, y + 0.75, x + self.width - 0.75, y + self.height - 0.75)


def _matrix(sheet: Sheet, counts_KK: Counts, names: Sequence[str], width: float) -> Drawing:
    longest = max(lettering.width(printable(name), SMALL) for name in names)
    upright = longest <= width - 6
    high = 14.0 if upright else min(TURNED, longest)
    grid = Grid(_room(sheet, names), 28 + high, width, max(24.0, 0.72 * width))
    wrong_KK = counts_KK - np.diag(np.diag(counts_KK))
    shares_KK = wrong_KK / np.maximum(1, counts_KK.sum(axis=1, keepdims=True))
    told = [lettering.isolated(printable(name)) for name in names]
    marks = [*_sides(grid), *(_name(grid, k, n, upright=upright) for k, n in enumerate(names))]
    for i, j in np.ndindex(*counts_KK.shape):
        count, share = int(counts_KK[i, j]), float(shares_KK[i, j])
        step = palette.heat(share, 0.0, float(shares_KK.max()))
        title = f"{told[i]}{dots.ARROW}{told[j]}: {count:,}"
        marks.append(_cell(grid.box(i, j), count, step, title, right=i == j))
    return Drawing(grid.top + grid.height * len(names) + 6, marks)


def _sides(grid: Grid) -> list[Markup]:
    across = Label(grid.left, 13, "predicted", "muted", size=SMALL)
    return [across.svg, Label(grid.left - 8, grid.top - 6, "true", "muted", "end", SMALL).svg]


def _name(grid: Grid, k: int, name: str, *, upright: bool) -> Markup:
    """The name of a class beside its row and above its column."""
    middle = grid.left + grid.width * (k + 0.5)
    y = svg.middle(grid.top + grid.height * (k + 0.5))
    beside = svg.name(grid.left - 8, y, name, grid.left - 10, anchor="end")
    if upright:
        room = grid.width - 6
        above = svg.name(middle, grid.top - 5, name, room, size=SMALL, anchor="middle")
    else:
        above = svg.name(middle + 4, grid.top - 5, name, TURNED, size=SMALL, turned=-90.0)
    return joined([beside.svg, above.svg])


def _cell(box: Box, count: int, step: int, told: str, *, right: bool) -> Markup:
    if not count:
        return group(rectangle(box, "empty"), title=told)
    text = f"{count:,}"
    if lettering.width(text, SMALL) > box.right - box.left - 1:
        text = lettering.compact(count)
    x, y = (box.left + box.right) / 2, svg.middle((box.top + box.bottom) / 2, SMALL)
    classes = ("quiet", "") if right else (f"h{step}", f"on{step}")
    label = Label(x, y, text, classes[1], "middle", SMALL)
    return group(joined([rectangle(box, classes[0]), label.svg]), title=told)
