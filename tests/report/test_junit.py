"""A comparison as JUnit XML: green only where the exit code is 0."""

from xml.etree import ElementTree

import pytest

from bench.analysis.compare import compare
from bench.analysis.verdict import Comparison, Shift, Verdict, outcomes
from bench.record import Calibration, Sitting
from bench.report.junit import junit
from bench.report.verdicts import Sides
from tests.analysis import sides
from tests.analysis.sides import digested

SIDES = Sides("old", "new")
PAST = sides.past(8)
BASE = digested(7)


def errors(found: Comparison) -> list[tuple[str | None, str | None, str | None]]:
    """Class, name and message of each case that is an error; the count in the head is theirs."""
    suite = ElementTree.fromstring(junit(found, SIDES))
    told = [
        (case.get("classname"), case.get("name"), error.get("message"))
        for case in suite.iterfind("testcase")
        for error in case.iterfind("error")
    ]
    assert suite.get("errors") == str(len(told))
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    return told


def test_a_clean_repeat_has_no_error() -> None:
    assert errors(compare(BASE, digested(20), PAST)) == []


def test_another_task_is_an_error_of_the_comparison_with_the_field() -> None:
    found = compare(BASE, digested(20, sides.with_cell(image_size=64), cells=[0, 1]), PAST)
    message = "another task: image_size: 48 and 64"
    assert errors(found) == [("comparison", "not one task", message)]


def test_an_unsteady_machine_is_an_error_with_the_reason() -> None:
    start, end = (
        Calibration(
            matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
            upload_bytes_per_second=None, conv_seconds=None, loop_seconds=seconds, seconds=1.0,
        )
        for seconds in (1.0, 1.5)
    )  # fmt: skip
    found = compare(BASE, digested(20, sittings=(Sitting(start=start, end=end),)), PAST)
    assert found.unstable
    assert errors(found) == [("comparison", "the machine was not steady", found.unstable)]
    drifted = Shift(0.3, 0.3, "machine", "the machine itself was slower")
    found = compare(BASE, digested(20), PAST)._replace(shift=drifted)
    assert errors(found) == [("comparison", "the machine was not steady", drifted.reason)]


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [
        ((), "nothing could be judged"),
        ((Verdict("a", "s", "accuracy", "inconclusive", "too few images"),), "too few images"),
    ],
)
def test_nothing_judged_is_an_error(verdicts: tuple[Verdict, ...], why: str) -> None:
    found = Comparison(verdicts, None, None, 8, 5, None)
    assert outcomes(found) >= {"nothing_judged"}
    assert errors(found) == [("comparison", "nothing could be judged", why)]


def test_what_a_cell_shows_is_told_by_that_cell_alone() -> None:
    found = compare(BASE, digested(20, sides.gone, cells=[0]), PAST)
    assert errors(found) == [("resnet18 · fine_tuning", "cell", "missing; seed 1 missing")]
