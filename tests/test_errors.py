"""Each kind of mistake: its exit code, and that it passes between processes whole."""

import pickle

import pytest

from bench.errors import (
    BenchError,
    DataError,
    DeviceError,
    Exit,
    FolderError,
    InputError,
    NotOneTask,
    OutOfMemory,
    Problem,
    SideFailed,
    SuiteError,
    WeightsError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("one\ntwo"), Exit.INPUT),
        (DataError(["one", "two"]), Exit.INPUT),
        (WeightsError("one\ntwo"), Exit.INPUT),
        (DeviceError("one"), Exit.INPUT),
        (FolderError("one"), Exit.FOLDER),
        (OutOfMemory("one"), Exit.FOLDER),
        (SideFailed("one"), Exit.NOT_ALL_OK),
        (NotOneTask("a", "b", ["lr is 1 in a, 2 in b"]), Exit.INPUT),
        (SuiteError("x.toml", [Problem("recipe.lr", "must be positive")]), Exit.INPUT),
    ],
)
def test_an_error_pickles_with_its_fields(error: BenchError, code: int) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert again.exit_code == code


def test_every_kind_is_tried_above() -> None:
    (mark,) = test_an_error_pickles_with_its_fields.pytestmark  # type: ignore[attr-defined]
    assert {type(error) for error, _ in mark.args[1]} == set(BenchError.__subclasses__())


def test_lines_of_text_are_problems_of_their_own() -> None:
    assert InputError("one\ntwo").problems == InputError(["one", "two"]).problems == ["one", "two"]
