"""A suite that needs no weights."""

from pathlib import Path

from tests.command import SUITE, place, quick


def test_a_suite_that_only_trains_from_scratch_is_run_and_reported(tmp_path: Path) -> None:
    here = place(tmp_path)
    suite = SUITE.replace('["feature_extraction", "from_scratch"]', '["from_scratch"]')
    done = quick(here, "run", here.suite(suite), "--out", "run")
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / "run" / "report.md").is_file()
    again = quick(here, "report", "run")
    assert again.returncode == 0, again.stderr
