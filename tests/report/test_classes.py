"""Recall by class, against a count over the predictions themselves."""

from typing import Any

import numpy as np
import pytest

from bench.analysis.stats import wilson
from bench.analysis.table import table
from bench.predictions import pack, unpack
from bench.record import Result
from bench.report import run_tables
from bench.report.tables import Table
from tests.records import cell, result, run
from tests.report.reading import chosen


def guessed(one: Result, seed: int, num_classes: int = 10) -> Result:
    """The record of a network that is right on 70 % of the test images and guesses the others."""
    draw = np.random.default_rng(seed)
    labels = np.arange(1000) % num_classes
    predicted = np.where(draw.random(1000) < 0.7, labels, draw.integers(0, num_classes, 1000))
    test = one.quality.test
    confusion = np.zeros((num_classes, num_classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    made = test.model_copy(
        update={
            "confusion": tuple(tuple(map(int, row)) for row in confusion),
            "top1": float((predicted == labels).mean()),
            "predictions": pack(labels, predicted, np.full(1000, 0.5)),
        }
    )
    return one.model_copy(update={"quality": one.quality.model_copy(update={"test": made})})


def read(made: Table) -> list[dict[str, Any]]:
    """The rows by column."""
    names = [column.name for column in made.columns]
    return [dict(zip(names, row, strict=True)) for row in made.rows]


LABELS = tuple("0123456789")


def test_recall_is_a_mean_over_the_seeds_of_one_row_the_worst_class_first() -> None:
    asked = run(["good", "poor"], ["partial"], seeds=[0, 1])
    good = [guessed(result(cell("good", "partial", seed), val=390), seed) for seed in (0, 1)]
    poor = [result(cell("poor", "partial", seed), val=100) for seed in (0, 1)]
    made = table(asked, [*good, *poor])
    scores = run_tables.tested(made, chosen(asked, [*good, *poor]).recommended)
    recalls = read(run_tables.classes(LABELS, scores))
    seen = [unpack(one.quality.test.predictions) for one in good]
    expected = {
        str(k): float(np.mean([one.correct_N[one.labels_N == k].mean() for one in seen]))
        for k in range(10)
    }
    assert {one["class"]: one["recall"] for one in recalls} == pytest.approx(expected)
    assert [one["recall"] for one in recalls] == pytest.approx(sorted(expected.values()))
    worst = recalls[0]
    label, num_images = worst["class"], worst["num_images"]
    assert num_images == int((seen[0].labels_N == int(label)).sum())
    interval = (worst["wilson_low"], worst["wilson_high"])
    assert interval == pytest.approx(wilson(expected[label], num_images))
    wrong = [one.predicted_N[(one.labels_N == int(label)) & ~one.correct_N] for one in seen]
    counts = np.bincount(np.concatenate(wrong), minlength=10)
    assert counts[int(worst["most_often_taken_for"])] == counts.max()
    assert worst["taken_for_share"] == pytest.approx(counts.max() / 2 / num_images)


def test_a_class_without_test_images_has_no_recall_and_comes_last() -> None:
    test = result(cell("a", "partial", 0), test=1000).quality.test
    padded = (*((*row, 0) for row in test.confusion), (0,) * 11)
    found = [test.model_copy(update={"confusion": padded})]
    made = run_tables.classes("abcdefghijk", found)
    *others, _ = read(made)
    assert {one["most_often_taken_for"] for one in others} == {None}
    assert made.texts()[-1][1:] == ["0", "-", "-", "-", "-"]
    assert made.rows[-1] == ("k", 0, None, None, None, None, None)


def test_without_a_recommendation_there_are_no_classes() -> None:
    made = table(run(["a"], ["partial"]), [result(cell("a", "partial", 0))])
    assert run_tables.classes(LABELS, run_tables.tested(made, None)).rows == ()
