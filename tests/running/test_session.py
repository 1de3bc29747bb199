"""A sitting: what it continues, and real calibrations at both of its ends."""

from pathlib import Path

import pytest
import torch

from bench.measure.device import Device
from bench.record import Calibration, Readings, Sitting
from bench.running import session
from bench.running.plan import End
from tests import command
from tests.command import SUITE, quick


@pytest.mark.slow
def test_the_end_is_measured_by_the_sizes_of_the_start() -> None:
    said: list[str] = []
    start = session.begun(Device("cpu", None), said.append)
    assert start.start is not None
    assert (start.end, start.after) == (None, None)
    assert start.foreign_gpu_processes is None
    whole = session.ended(start, Device("cpu", None), said.append)
    assert whole.end is not None
    assert whole.end.sizes == start.start.sizes
    assert whole.end != start.start
    assert whole.start == start.start
    assert whole.before is not None
    assert whole.after is not None
    assert whole.before.uptime_seconds is not None
    assert whole.after.uptime_seconds is not None
    assert 0 < whole.after.uptime_seconds - whole.before.uptime_seconds < 60
    assert said == []


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [(0, 2, 2), (3, 1, 3), (None, 1, 1), (1, None, 1), (0, 0, 0), (None, None, None)],
)
def test_the_larger_count_of_other_processes_on_the_gpu_is_kept(
    before: int | None, after: int | None, kept: int | None
) -> None:
    calibration = Calibration(
        matmul_fp32_flops=1e12, matmul_bf16_flops=None, copy_bytes_per_second=None,
        upload_bytes_per_second=None, conv_seconds=None, loop_seconds=None, seconds=1,
    )  # fmt: skip
    end = End(calibration, Readings(uptime_seconds=9), None, after, ())
    whole = session.completed(Sitting(start=calibration, foreign_gpu_processes=before), end)
    assert whole.foreign_gpu_processes == kept
    assert (whole.end, whole.after) == (calibration, Readings(uptime_seconds=9))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a GPU that is not there")
def test_a_calibration_that_fails_is_said_and_leaves_the_run_alone() -> None:
    said: list[str] = []
    sitting = session.begun(Device("cuda", 0), said.append)
    assert sitting.start is None
    assert len(said) == 1
    assert said[0].startswith("calibration failed: ")
    assert session.ended(sitting, Device("cuda", 0), said.append) == sitting
    assert len(said) == 1


@pytest.mark.slow
def test_every_start_that_trains_is_a_sitting_and_one_that_does_not_is_none(
    tmp_path: Path,
) -> None:
    here = command.place(tmp_path)
    folder = here.folder / "out"
    suite = here.suite(SUITE)
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    first = command.run_of(folder)
    assert len(first.sittings) == 1
    assert first.sittings[0].end is not None
    record = min((folder / "cells").glob("*/record.json"))
    record.unlink()
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    second = command.run_of(folder)
    assert (second.sittings[0], len(second.sittings)) == (first.sittings[0], 2)
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    assert command.run_of(folder).sittings == second.sittings


@pytest.mark.slow
def test_a_sitting_that_is_killed_has_a_start_and_no_end(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    folder = here.folder / "out"
    with command.running(here, "run", here.suite(command.LONG), "--out", folder) as process:
        command.wait_for_cell(folder, 2)
        process.kill()
        process.wait()
    (sitting,) = command.run_of(folder).sittings
    assert sitting.start is not None
    assert sitting.end is None
