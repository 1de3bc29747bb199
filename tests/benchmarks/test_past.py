"""The measurement of histories runs end to end at a tiny size, however fast."""

import pytest

from tests.benchmarks import past


def test_a_history_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    past.main(["--cells", "15", "--runs", "8", "--rounds", "1"])
    assert capsys.readouterr().out.startswith("8 runs of 15 cells: the first time ")
