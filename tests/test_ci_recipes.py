"""The nightly job runs a suite again only after a regression, and ends as the comparison does."""

import subprocess
import textwrap
from pathlib import Path

import pytest

NIGHTLY = Path(__file__).parent.parent / "suites" / "ci" / "nightly.yml"

PYTHON = """#!/bin/sh
echo "$@" >> calls
case "$3" in
  run) exit {run} ;;
  compare) [ -e compared ] && exit {second}; touch compared; exit {first} ;;
esac
"""


def script() -> str:
    """The commands of the step that runs and compares."""
    text = NIGHTLY.read_text("utf-8")
    block = text[text.index("name: run and compare\n") :].split("run: |\n")[1]
    return textwrap.dedent(block.split("      - {uses")[0])


@pytest.mark.parametrize(
    ("run", "first", "second", "code", "verbs"),
    [
        (0, 0, 9, 0, ["run", "compare"]),
        (3, 0, 9, 0, ["run", "compare"]),  # a cell failed: the comparison says so
        (2, 0, 9, 1, ["run"]),
        (0, 3, 9, 3, ["run", "compare"]),
        (0, 4, 0, 0, ["run", "compare", "run", "compare"]),
        (0, 4, 4, 4, ["run", "compare", "run", "compare"]),
        (0, 4, 3, 3, ["run", "compare", "run", "compare"]),
    ],
)
def test_how_a_night_ends(
    tmp_path: Path, run: int, first: int, second: int, code: int, verbs: list[str]
) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON.format(run=run, first=first, second=second))
    python.chmod(0o755)
    names = {"SUITE": "s.toml", "BASELINE": "b.json", "RUN": "results/s/7"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script()],  # as GitHub runs it
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", **names},
        check=False,
    )
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert (done.returncode, [words[2] for words in calls]) == (code, verbs)
    if len(verbs) == 4:
        assert calls[3][3:6] == ["b.json", "results/s/7", "results/s/7-2"]
