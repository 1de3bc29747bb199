"""The command line in the process of a test, and what it says."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import cli


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Bench = Callable[..., Said]


@pytest.fixture
def bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Bench:
    """The command line in this process, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return spoken_by(capsys)


def spoken_by(capsys: pytest.CaptureFixture[str]) -> Bench:
    """`bench` with these arguments; paths must be absolute where it has children."""

    def bench(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    return bench
