"""Made-up runs with test predictions that can be counted by hand."""

from collections.abc import Sequence

import numpy as np

from bench import predictions
from bench.analysis.choice import Summary, summarise
from bench.analysis.table import RunTable, table
from bench.record import Failure, Quality, Result, Run, Scores
from bench.report import figures
from bench.report.charts.figure import Chart
from tests import records

Records = Sequence[Result | Failure]
ALL, STRATEGIES = list(records.ARCHITECTURES), list(records.STRATEGIES)
SCRIPT, TURNED = "<script>alert(1)</script>", "evil\u202egnp.exe"
HOSTILE = (
    *(SCRIPT, "[/red]", "$x^$", "a|b", "new\nline", "שלום עולם", TURNED, "猫と犬の画像"),
    *("=cmd()", "z" * 200, "</svg><!--", "\x00\x01"),
)


def drawn(run: Run, found: Records) -> dict[str, Chart]:
    """Every figure that the records give, by its id."""
    return {chart.id: chart for chart in figures.charts(*read(run, found))}


def read(run: Run, found: Records) -> tuple[RunTable, Summary]:
    """What figures are made from."""
    made = table(run, found)
    return made, summarise(made)


def tested(labels: Sequence[int], predicted: Sequence[int], num_classes: int) -> Scores:
    """Scores of these predictions, with a confidence of 0.9 in each."""
    counts = np.zeros((num_classes, num_classes), dtype=int)
    for label, guess in zip(labels, predicted, strict=True):
        counts[label, guess] += 1
    shares = [row[k] / row.sum() if row.sum() else None for k, row in enumerate(counts)]
    top1 = float(np.mean(np.equal(labels, predicted)))
    return records.scores(950, 1000).model_copy(
        update={
            "num_images": len(labels),
            "top1": top1,
            "recall": tuple(None if share is None else float(share) for share in shares),
            "confusion": tuple(tuple(map(int, row)) for row in counts),
            "predictions": predictions.pack(labels, predicted, np.full(len(labels), 0.9)),
        }
    )


def with_test(result: Result, scores: Scores, classes: Sequence[str]) -> Result:
    """The record with other test scores, on images of these classes."""
    # Val stays on ten classes.
    data = records.data(classes) if len(classes) > 10 else result.cell.data
    cell = result.cell.model_copy(update={"data": data})
    quality = Quality(val=result.quality.val, test=scores)
    return result.model_copy(update={"cell": cell, "quality": quality})


def guesses(num_classes: int, num_images: int, seed: int) -> Scores:
    """Scores of a network that is often right and else takes a class for one that follows it."""
    labels = np.random.default_rng(0).integers(0, num_classes, num_images)
    draw = np.random.default_rng(seed + 1)
    off = np.where(draw.uniform(size=num_images) < 0.85, 0, draw.geometric(0.4, num_images))
    return tested(labels.tolist(), ((labels + off) % num_classes).tolist(), num_classes)


def whole(
    architectures: Sequence[str],
    strategies: Sequence[str],
    seeds: Sequence[int],
    classes: Sequence[str] = tuple("0123456789"),
    num_images: int = 1000,
) -> tuple[Run, list[Result]]:
    """A run with every cell ok, on images of these classes."""
    run = records.run(architectures, strategies, seeds)
    run = run.model_copy(update={"data": records.data(classes)})
    found = records.drawn(run, strategies)
    return run, [
        with_test(result, guesses(len(classes), num_images, i), classes)
        for i, result in enumerate(found)
    ]
