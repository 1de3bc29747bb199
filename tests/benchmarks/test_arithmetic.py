"""The changes of arithmetic and the faults that are planted in copies of bench."""

import ast
from pathlib import Path

import pytest

from tests.benchmarks import faults
from tests.benchmarks.arithmetic import (
    PLACE,
    SOUND_FAULTS,
    Judgement,
    changes,
    fault_texts,
    parse,
    table,
)


def test_there_are_more_than_twenty_changes_each_another() -> None:
    found = changes()
    assert len({(*one.environment.items(), *one.texts.items()) for one in found}) == len(found)
    assert len(found) > 20
    assert all(one.environment or one.texts for one in found)
    assert 20 < parse(["--out", "x"]).changes < len(found)


@pytest.mark.parametrize("name", SOUND_FAULTS)
def test_every_fault_and_change_has_its_place_in_the_code(name: str, tmp_path: Path) -> None:
    faults.copied(tmp_path)
    faults.replace(tmp_path, SOUND_FAULTS[name].file, fault_texts(name))
    faults.replace(tmp_path, PLACE, {k: v for one in changes() for k, v in one.texts.items()})
    for file in (SOUND_FAULTS[name].file, PLACE):
        ast.parse((tmp_path / "bench" / file).read_text())
    with pytest.raises(ValueError, match="not there once"):
        faults.replace(tmp_path, PLACE, {"no such text": ""})


def test_a_cell_that_is_worse_is_false_where_nothing_was_planted_in_it() -> None:
    cells = frozenset({("a", "x"), ("b", "x")})
    clean = Judgement("", "one thread", {("a", "x")}, {"regressed": 1, "pass": 3}, frozenset())
    planted = Judgement("labels", "", {("a", "x"), ("c", "x")}, {"regressed": 2}, cells)
    assert (clean.false, clean.found, planted.false, planted.found) == (1, 0, 1, 1)
    rows = [line.split("|")[1:-1] for line in table([clean, planted]).splitlines()[2:]]
    assert [[word.strip() for word in row] for row in rows] == [
        ["none", "other", "1", "4", "1", "0", ""],
        ["labels", "the same", "1", "2", "1", "0", "1 of 2"],
    ]
