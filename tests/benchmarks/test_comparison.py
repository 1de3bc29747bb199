"""The measurement of comparisons runs end to end at a tiny size, however fast."""

import pytest

from tests.benchmarks import comparison


def test_a_comparison_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    comparison.main(["--cells", "10", "--past", "6", "--rounds", "1"])
    assert capsys.readouterr().out.startswith("10 cells, 6 past runs: median ")
