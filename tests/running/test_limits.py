"""Cells that hang or take too long, in real runs."""

import time
from pathlib import Path

import psutil
import pytest

from bench.record import Failure
from tests import command
from tests.command import LONG, Place

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return command.place(tmp_path)


def limited(here: Place, limits: str) -> Path:
    """A suite whose second cell trains until it is ended, under these limits."""
    return here.suite(f"{LONG}\n[run]\n{limits}\n")


def lost(folder: Path) -> Failure:
    """The record of the second cell; the first is ok."""
    ok, failure = command.records(folder)
    assert ok.status == "ok"
    assert isinstance(failure, Failure)
    return failure


def test_a_cell_that_takes_too_long_is_ended_and_costs_no_other(here: Place) -> None:
    folder = here.folder / "out"
    ended = command.bench(here, "run", limited(here, 'timeout = "15s"'), "--out", folder)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "without a sign of life, or 15 s in all" in ended.stdout
    failure = lost(folder)
    assert (failure.status, failure.kind) == ("timeout", "time_limit")
    assert failure.reason == "took longer than timeout = 15 s"
    assert 15 <= failure.seconds < 40
    assert (folder / "report.html").exists()


def test_a_worker_that_stands_still_is_ended_and_its_log_says_where_it_was(here: Place) -> None:
    folder = here.folder / "out"
    suite = limited(here, 'stall = "10s"')
    with command.running(here, "run", suite, "--out", folder) as process:
        command.wait_for_cell(folder, 2)
        worker = command.worker_of(process)
        worker.suspend()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, ""), out
    failure = lost(folder)
    assert (failure.status, failure.kind) == ("timeout", "stalled")
    assert failure.reason == "gave no sign of life for 10 s; log.txt says where it was"
    log = (folder / "cells" / failure.cell_id / "log.txt").read_text()
    assert "most recent call first" in log
    assert not worker.is_running()


def test_a_signal_ends_a_run_whose_worker_stands_still(here: Place) -> None:
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(LONG), "--out", folder) as process:
        command.wait_for_cell(folder, 2)
        below = command.descendants(process)
        command.worker_of(process).suspend()
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert time.monotonic() - began < 15
    _, alive = psutil.wait_procs(below, timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
    assert lost(folder).status == "interrupted"
