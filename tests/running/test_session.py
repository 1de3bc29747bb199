"""A sitting: what it continues, and real calibrations at both of its ends."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import FolderError
from bench.measure.device import Device
from bench.record import Calibration, Readings, Run, Sitting
from bench.running import earlier, session
from bench.running.plan import End
from bench.suite import Suite
from tests import command, records
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


# ---- going on ---------------------------------------------------------------------------------

EARLIER = records.run(["resnet18"], ["fine_tuning", "partial"]).model_copy(
    update={"status": "interrupted", "wall_seconds": 12.0}
)


def changed(**update: Any) -> Run:
    return EARLIER.model_copy(update=update)


def test_a_run_that_goes_on_keeps_its_start_its_time_and_its_source() -> None:
    fresh = changed(started_at="later", wall_seconds=0.0)
    assert earlier.go_on(EARLIER, fresh) == EARLIER


def test_another_list_of_weights_alone_is_no_other_task() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, weights=["random"]))
    assert earlier.go_on(EARLIER, fresh) == EARLIER


def test_what_is_kept_may_change_and_is_then_what_the_run_says() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, keep_weights="all"))
    gone_on = earlier.go_on(EARLIER, fresh)
    assert gone_on.suite.keep_weights == "all"
    assert gone_on.model_copy(update={"suite": EARLIER.suite}) == EARLIER


def test_a_run_of_an_older_bench_goes_on_where_new_keys_are_at_their_default() -> None:
    older = {key: value for key, value in EARLIER.suite.model_dump().items() if key != "target"}
    assert EARLIER.suite.target == 0.9
    older_run = changed(suite=Suite.model_validate(older))
    assert earlier.go_on(older_run, EARLIER).started_at == EARLIER.started_at
    with pytest.raises(FolderError, match=r"the suite changed since \(suite.target: 0.9 and 0.5\)"):
        earlier.go_on(older_run, changed(suite=records.suite_of(EARLIER, target=0.5)))


@pytest.mark.parametrize(
    ("fresh", "name"),
    [
        (changed(profile="gpu"), "the device profile"),
        (changed(suite=records.suite_of(EARLIER, target=0.5)), "the suite"),
        (
            changed(data=EARLIER.data.model_copy(update={"split_sha256": "e" * 64})),
            "the images or their split",
        ),
        (changed(protocol_version=EARLIER.protocol_version + 1), "bench's protocol"),
        (changed(cells=EARLIER.cells[:1]), "the weights or a default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_change_of_the_task_is_refused_by_name(fresh: Run, name: str) -> None:
    with pytest.raises(FolderError, match=f"{name} changed since .*; name a new folder"):
        earlier.go_on(EARLIER, fresh)
