"""The faults that are planted, and when a judgement of them is right."""

import ast
from pathlib import Path

import pytest

from tests.benchmarks.commands import ROOT
from tests.benchmarks.faults import FAULTS, Judgement, planted


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_planted_in_one_file_that_is_still_python(name: str, tmp_path: Path) -> None:
    copy = planted(name, tmp_path / "copy")
    changed = [
        path.relative_to(ROOT / "bench").as_posix()
        for path in (ROOT / "bench").rglob("*.py")
        if path.read_text() != (copy / path.relative_to(ROOT)).read_text()
    ]
    assert changed == [FAULTS[name].file]
    ast.parse((copy / "bench" / changed[0]).read_text())


FOUND = {("resnet18", "fine_tuning", "accuracy")}


@pytest.mark.parametrize(
    ("regressed", "expected", "code", "unsteady", "judged", "right"),
    [
        (FOUND, FOUND, 4, False, 12, True),
        (FOUND, FOUND, 0, False, 12, False),
        (FOUND, set(), 4, False, 12, False),
        (set(), FOUND, 0, False, 12, False),
        (set(), set(), 0, False, 12, True),
        (set(), set(), 0, False, 0, False),  # nothing judged
        (set(), set(), 3, False, 12, False),
        (set(), set(), 3, True, 8, False),  # to be repeated
        (set(), set(), 0, True, 12, False),
        (FOUND, FOUND, 4, True, 12, False),
    ],
)
def test_a_judgement_is_right_where_all_that_is_wrong_was_found_and_nothing_else(
    regressed: set[tuple[str, str, str]],
    expected: set[tuple[str, str, str]],
    code: int,
    unsteady: bool,
    judged: int,
    right: bool,
) -> None:
    assert Judgement("x", 0, unsteady, code, regressed, expected, judged).right == right
