"""Whether the recommended row is right as often as it is sure: confidence against accuracy."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from bench.analysis.stats import Interval, wilson
from bench.analysis.summary import Summary
from bench.predictions import Unpacked, unpack
from bench.record import Failure, Result, Run, Scores
from bench.report.charts import axes, lettering, palette, scales, wording
from bench.report.charts.axes import Frame
from bench.report.charts.chart import Chart, Drawing, Sheet
from bench.report.charts.chart import chart as finished
from bench.report.charts.lettering import SMALL
from bench.report.charts.svg import Box, Label, group, joined, line, rectangle
from bench.report.classes import tested

BINS = 15
"""As in the ECE of the records: equal widths, open on the left."""


class Bin(NamedTuple):
    """Predictions of like confidence, of all seeds together; shares from 0 to 1."""

    place: int  # 0 .. BINS - 1
    size: int
    confidence: float
    accuracy: float
    interval: Interval


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """A mark per bin that holds predictions; None without a recommended row."""
    scores = tested(records, summary.recommended)
    if not scores or summary.recommended is None:
        return None
    bins = bins_of([unpack(s.predictions) for s in scores])
    colour = palette.look(summary).colours[summary.recommended.architecture]
    return finished(
        "reliability",
        "Confidence against accuracy on test",
        wording.sentences(
            f"{wording.named(summary.recommended)}, {len(scores)} "
            f"seed{'s' if len(scores) > 1 else ''} of {scores[0].num_images:,} images, "
            f"{BINS} bins of equal width. {_ece(scores)}, the mean distance from the diagonal.",
            "Thin lines: 95 % Wilson intervals, each image counted once. Below: predictions in "
            "each bin.",
        ),
        f"{_ece(scores)}. " + "; ".join(map(_told, bins)) + ".",
        lambda sheet: _draw(sheet, bins, colour, _ece(scores)),
    )


def _ece(scores: Sequence[Scores]) -> str:
    values = [s.ece for s in scores]
    if len(values) == 1:
        return f"ECE {values[0]:.3f}"
    return f"ECE {fmean(values):.3f} ({min(values):.3f} to {max(values):.3f} over seeds)"


def bins_of(parts: Sequence[Unpacked]) -> list[Bin]:
    """The bins that hold predictions, by confidence."""
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


def _told(each: Bin) -> str:
    return (
        f"{each.size:,} predictions at {100 * each.confidence:.1f} % confidence: "
        f"{100 * each.accuracy:.1f} % right"
    )


def _draw(sheet: Sheet, bins: Sequence[Bin], colour: str, ece: str) -> Drawing:
    ticks = scales.linear_ticks(0, 100, 5)
    left = axes.margin(ticks)
    side = sheet.width - left - 14 if sheet.narrow else 380.0
    box = Box(left, 26, left + side, 26 + 0.85 * side)
    below = Box(left, box.bottom + 24, left + side, box.bottom + 24 + 60)
    x = scales.Linear(0, 100, left, left + side)
    frame = Frame(box, x, scales.Linear(0, 100, box.bottom, box.top))
    marks = [
        axes.left(frame, ticks, "accuracy (%)"),
        line((box.left, box.bottom), (box.right, box.top), "phase"),
        *(_mark(each, frame, colour) for each in bins),
        *_words(box, ece),
        _counts(bins, below, x),
        axes.bottom(Frame(below, x, x), ticks, "confidence in the predicted class (%)"),
    ]
    return Drawing(below.bottom + 42, marks)


def _words(box: Box, ece: str) -> list[Markup]:
    """What each side of the diagonal means."""
    return [
        Label(box.left + 8, box.top + 18, ece.partition(" (")[0], "halo bold").svg,
        Label(
            box.left + 8, box.top + 36, "more often right than sure", "halo muted", size=SMALL
        ).svg,
        Label(
            box.right - 6, box.bottom - 12, "more sure than right", "halo muted", "end", SMALL
        ).svg,
    ]


def _mark(each: Bin, frame: Frame, colour: str) -> Markup:
    x = frame.x(100 * each.confidence)
    low, high = (frame.y(100 * end) for end in each.interval)
    dot = palette.mark(0, x, frame.y(100 * each.accuracy), 4.5, f"mark {colour}")
    return group(line((x, low), (x, high), f"range {colour}"), dot, title=_told(each))


def _counts(bins: Sequence[Bin], box: Box, x: scales.Linear) -> Markup:
    """A column per bin, with its count where the columns are wide enough."""
    largest = max((each.size for each in bins), default=1)
    high = scales.Linear(0, largest, box.bottom, box.top + 4)
    marks: list[Markup] = []
    written: list[Box] = []
    for each in bins:
        left, right = x(100 * each.place / BINS), x(100 * (each.place + 1) / BINS)
        column = Box(left + 0.5, high(each.size), right - 0.5, box.bottom)
        text = lettering.compact(each.size)
        label = Label((left + right) / 2, column.top - 3, text, "muted", "middle", SMALL)
        marks.append(rectangle(column, "bar"))
        if not any(label.box.overlaps(other) for other in written):
            written.append(label.box._replace(right=label.box.right + 2))
            marks.append(label.svg)
    return joined(marks)
