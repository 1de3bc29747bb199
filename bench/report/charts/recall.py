"""Recall of each class by the recommended row: which classes it knows, and how surely."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from bench.analysis.stats import wilson
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run, Scores
from bench.report.charts import dots, palette, wording
from bench.report.charts.chart import Chart
from bench.report.charts.chart import chart as finished
from bench.report.charts.dots import Dot
from bench.report.charts.lettering import printable
from bench.report.classes import tested

SHOWN = 40
"""So many classes are drawn; of more, the ones with the lowest recall."""


class Recall(NamedTuple):
    """Mean recall of a class over seeds, and its test images."""

    name: str
    share: float
    num_images: int


def chart(run: Run, records: Sequence[Result | Failure], summary: Summary) -> Chart | None:
    """A dot per class with test images, the lowest first; None without a recommended row."""
    scores = tested(records, summary.recommended)
    found = recalls(scores, run.data.classes)
    if not found or summary.recommended is None:
        return None
    shown = found[:SHOWN]
    colour = palette.look(summary).colours[summary.recommended.architecture]
    mean = fmean(each.share for each in found)
    rows = [
        Dot((r.name,), r.share, wilson(r.share, r.num_images), f"n = {r.num_images:,}")
        for r in shown
    ]
    left_out = len(found) - len(shown)
    empty = [name for name in run.data.classes if name not in {each.name for each in found}]
    return finished(
        "recall",
        f"Recall by class{f', the lowest {SHOWN}' if left_out else ''}",
        wording.sentences(
            f"{wording.named(summary.recommended)} on test, {wording.seeds(len(scores))}. "
            "Thin lines: 95 % Wilson intervals over the n test images of the class.",
            f"{left_out:,} classes with a higher recall are not drawn." if left_out else "",
            _without_images(empty),
        ),
        "; ".join(f"{printable(r.name)}: {100 * r.share:.1f} % of {r.num_images}" for r in shown),
        lambda sheet: dots.draw(
            sheet, rows, colour, "recall (%)", dots.Reference(mean, f"mean {100 * mean:.1f}")
        ),
    )


def recalls(scores: Sequence[Scores], classes: Sequence[str]) -> list[Recall]:
    """Recall of the classes that have images, the lowest first."""
    found = []
    for k, name in enumerate(classes):
        shares = [s.recall[k] for s in scores]
        known = [share for share in shares if share is not None]
        if known:
            found.append(Recall(name, fmean(known), sum(scores[0].confusion[k])))
    return sorted(found, key=lambda each: each.share)


def _without_images(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"Without test images: {', '.join(map(printable, names[:8]))}{more}."
