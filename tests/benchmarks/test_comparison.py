"""The measurement of comparisons runs end to end at a tiny size, however fast."""

from pathlib import Path

import pytest

from bench.analysis.snapshot import NAME
from tests.benchmarks import comparison


def test_a_comparison_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    comparison.main(["--cells", "10", "--past", "6", "--rounds", "1"])
    assert capsys.readouterr().out.startswith("10 cells, 6 past runs: median ")


def test_a_comparison_without_its_past_runs_is_not_timed(tmp_path: Path) -> None:
    baseline = comparison.write(tmp_path, 10, 6)
    assert comparison.timed(tmp_path, baseline, 6) > 0
    for path in tmp_path.glob(f"results/*/*/{NAME}"):
        path.unlink()
    with pytest.raises(RuntimeError, match="1 of 6 past runs"):
        comparison.timed(tmp_path, baseline, 6)
