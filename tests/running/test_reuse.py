"""`--reuse-features` from outside: what one run keeps, a later one that asks for it uses."""

from pathlib import Path

import pytest

from bench.record import Result
from tests import command
from tests.command import SUITE, quick

pytestmark = pytest.mark.slow


def sources(folder: Path) -> dict[str, str | None]:
    """Where each cell has its features from, by strategy."""
    found = command.records(folder)
    return {r.cell.strategy: r.cost.features for r in found if isinstance(r, Result)}


def test_features_pass_from_run_to_run_only_where_both_ask_for_it(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    suite = here.suite(SUITE)
    said = {}
    for name, options in (
        ("first", ["--reuse-features"]),
        ("second", ["--reuse-features"]),
        ("plain", []),
    ):
        done = quick(here, "run", suite, "--out", name, *options)
        assert (done.returncode, done.stderr) == (0, "")
        said[name] = done.stdout
    told = {name: sources(here.folder / name)["feature_extraction"] for name in said}
    assert told == {"first": "computed", "second": "reused", "plain": "computed"}
    assert sources(here.folder / "second")["from_scratch"] is None
    assert command.scores(here.folder / "second") == command.scores(here.folder / "plain")
    assert {name for name, text in said.items() if "†" in text} == {"second"}
    assert "features kept by an earlier run †" in said["second"]
    report = (here.folder / "second" / "report.md").read_text(encoding="utf-8")
    assert "- Features of frozen backbones: kept by an earlier run †\n" in report
