"""Tables of the choice, against the records that they are made of."""

import csv
import io
import math

import pytest

from bench.analysis.merge import Part, merge
from bench.analysis.summary import summarise
from bench.record import Failure, Result
from bench.report import formats, standings
from bench.report.formats import Table
from tests import records
from tests.records import cell, failure, result, run


def by_name(table: Table) -> dict[str, dict[str, str]]:
    """The rows of a table as CSV readers see them, by architecture."""
    rows = csv.DictReader(io.StringIO(formats.csv_text(table)))
    return {row["architecture"]: row for row in rows}


def test_a_comparison_holds_the_difference_its_error_and_what_would_settle_it() -> None:
    asked = run(["best", "near", "far", "lost"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("best", "partial", 0), val=380),
        records.wrong_on_val(result(cell("near", "partial", 0)), slice(0, 24)),
        records.wrong_on_val(result(cell("far", "partial", 0)), slice(0, 120)),
        failure(cell("lost", "partial", 0)),
    ]
    summary = summarise(asked, found)
    rows = by_name(standings.comparison_numbers(summary))
    assert list(rows) == ["near", "far"]
    near, far = rows["near"], rows["far"]
    # The leader alone is right on 24 images, the other alone on 20.
    variance = (44 - 4**2 / 400) / (400 * 399)
    assert float(near["behind"]) == pytest.approx(0.01)
    assert float(near["se"]) == float(near["se_items"]) == pytest.approx(math.sqrt(variance))
    assert (near["se_seeds"], near["leader_num_seeds"], near["num_seeds"]) == ("", "1", "1")
    assert (near["tied"], far["tied"]) == ("True", "False")
    assert int(near["val_images_to_settle"]) > 400
    assert (near["more_seeds_to_settle"], far["val_images_to_settle"]) == ("", "")
    assert near["leader_architecture"] == "best"
    reading = standings.comparisons(summary).rows
    assert reading[0][:4] == ("near", "partial", "1.0", "1.7")
    assert reading[1][2:] == ("25.0", "2.7", "< 0.001", "no", "", "")


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.00"), (0.1, "0.10"), (0.0449, "0.045"), (0.00099, "< 0.001")]
)
def test_probabilities_for_reading(value: float, text: str) -> None:
    assert standings.probability(value) == text


def test_the_front_is_sorted_by_val_and_leaves_out_what_is_beaten_in_everything() -> None:
    asked = run(["resnet18", "resnet50", "mobilenet_v3_small"], ["partial"])
    found = [
        result(cell("resnet18", "partial", 0), val=320, train_seconds=9.0),
        result(cell("resnet50", "partial", 0), val=300, train_seconds=30.0),
        result(cell("mobilenet_v3_small", "partial", 0), val=380, train_seconds=20.0),
    ]
    summary = summarise(asked, found)
    names = [row[0] for row in standings.front(summary).rows]
    assert names == ["mobilenet_v3_small", "resnet18"]
    rows = by_name(standings.front_numbers(summary))
    assert rows["resnet18"]["train_seconds"] == "9.0"
    assert rows["resnet18"]["val_mean"] == "0.8"
    assert rows["mobilenet_v3_small"]["latency_seconds"] == str(0.006 * 0.7)


def test_costs_that_compare_with_nothing_are_null_on_the_front_and_marked_for_reading() -> None:
    asked = run(["a"], ["partial"])
    summary = summarise(asked, [records.reused(result(cell("a", "partial", 0)))])
    assert by_name(standings.front_numbers(summary))["a"]["train_seconds"] == ""
    assert standings.front(summary).rows[0][4:6] == ("10.0 †", "200 †")


def test_a_cell_of_two_runs_is_listed_with_both_its_records() -> None:
    asked = run(["a", "b"], ["partial"])
    one: list[Result | Failure] = [
        failure(cell("a", "partial", 0)),
        result(cell("b", "partial", 0), val=380),
    ]
    other = [result(cell("a", "partial", 0), val=300), result(cell("b", "partial", 0), val=200)]
    merged = merge([Part("x", asked, one), Part("y", asked, other)])
    assert standings.repeated(merged.repeated).rows == (
        ("a", "partial", "0", "y", "75.0", "x", "diverged"),
        ("b", "partial", "0", "x", "95.0", "y", "50.0"),
    )
