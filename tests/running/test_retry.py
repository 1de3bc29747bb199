"""Seeds that fail together and not alone, in real workers whose torch fails as on a full device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.folder import read_record
from bench.identity import cell_id
from bench.record import Cell, FailureKind, Result, UsedWeights
from bench.running import child, pool
from bench.running.child import ChildCrashed
from bench.running.pool import EXITS, Batch, BatchHalved, Event, GroupRetried, Job
from tests import records
from tests.training import cells

pytestmark = pytest.mark.slow

SMALL = "mobilenet_v3_small"
SEEDS = [cells.cell("feature_extraction", SMALL, seed=seed) for seed in (0, 1)]
PARTIAL = cells.cell("partial", SMALL)  # trains after heads, in the same worker if that lives
GPU_FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB.")
HOST_FULL = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")
LOST = RuntimeError("CUDA error: device-side assert triggered")


class Fault:
    """Planted in the process that it is sent to: more heads than `most` cannot train together."""

    def __init__(self, most: int, error: Exception) -> None:
        self.most, self.error = most, error

    def __reduce__(self) -> tuple[Callable[[int, Exception], str], tuple[int, Exception]]:
        return plant, (self.most, self.error)


def plant(most: int, error: Exception) -> str:
    """Spoil the product of several heads; after a CUDA error nothing runs in the process."""
    product = torch.bmm

    def fail(*arguments: object) -> Any:
        raise error

    def bmm(left_SMD: torch.Tensor, right_SDK: torch.Tensor) -> torch.Tensor:
        if len(left_SMD) <= most:
            return product(left_SMD, right_SDK)
        if error.args == LOST.args:
            nn.Conv2d.forward = fail  # type: ignore[assignment,method-assign]
        raise error

    torch.bmm = bmm  # type: ignore[assignment]
    return "planted"


def job(folder: Path, most: int, error: Exception) -> Job:
    """A job whose workers have the fault in them, and its name for a commit."""
    commit: Any = Fault(most, error)
    source = UsedWeights(wanted=("random",), used="random")
    return Job(folder, cells.context(SMALL), records.CPU, commit, source)


def run(
    asked: Sequence[Cell], folder: Path, most: int, error: Exception
) -> tuple[list[str | None], list[GroupRetried]]:
    """How each cell failed, None for those that were scored; and which groups were divided."""
    heard: list[Event] = []
    pool.run_cells(asked, job(folder, most, error), heard.append)
    found = [read_record(folder, cell_id(one)) for one in asked]
    divided = [event for event in heard if isinstance(event, GroupRetried)]
    return [one.kind for one in found if one and one.provenance.commit == "planted"], divided


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (GPU_FULL, "oom_gpu", "out of GPU memory"),
        (HOST_FULL, "oom_host", "out of memory"),
        (LOST, "cuda", "its process lost its GPU"),
    ],
    ids=["gpu", "host", "lost"],
)
def test_a_worker_whose_seeds_fail_together_leaves_without_a_record(
    error: Exception, kind: FailureKind, text: str, tmp_path: Path
) -> None:
    told: list[Event] = []
    left = pool.run_worker(Batch((*SEEDS, PARTIAL)), job(tmp_path, 1, error), told.append)
    assert [batch.cells for batch in left] == [(SEEDS[0],), (SEEDS[1],), (PARTIAL,)]
    assert told[-1] == GroupRetried(f"{SMALL} · feature_extraction", 2, text)
    assert not any(read_record(tmp_path, cell_id(seed)) for seed in SEEDS)
    with pytest.raises(ChildCrashed) as crash:
        child.call(
            "bench.running.worker:main", job(tmp_path, 1, error), tuple(SEEDS), listen=told.append
        )
    assert crash.value.exitcode == EXITS[kind]


def test_seeds_that_have_no_memory_together_are_scored_alone(tmp_path: Path) -> None:
    kinds, divided = run(SEEDS, tmp_path, 1, GPU_FULL)
    assert kinds == [None, None]
    assert len(divided) == 1


def test_a_seed_that_has_no_memory_alone_has_failed_and_its_worker_goes_on(tmp_path: Path) -> None:
    assert run([SEEDS[0], PARTIAL], tmp_path, 0, GPU_FULL) == (["oom_gpu", None], [])


def test_a_lost_gpu_costs_one_cell_and_a_fresh_worker_takes_over(tmp_path: Path) -> None:
    assert run([SEEDS[0], PARTIAL], tmp_path, 0, LOST) == (["cuda", None], [])


# ---- batches in several passes ----------------------------------------------------------------

LIVE = cells.cell("from_scratch", SMALL, batch_size=16, precise_bn=False)


class FullFrom:
    """Planted likewise: a training pass of more images than `most` finds no memory."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __reduce__(self) -> tuple[Callable[[int], str], tuple[int]]:
        return limit_passes, (self.most,)


def limit_passes(most: int) -> str:
    forward = nn.Conv2d.forward

    def limited(module: nn.Conv2d, maps_BCHW: torch.Tensor) -> torch.Tensor:
        if module.training and len(maps_BCHW) > most:
            raise HOST_FULL
        return forward(module, maps_BCHW)

    nn.Conv2d.forward = limited  # type: ignore[method-assign,assignment]
    return "planted"


def halving(folder: Path, most: int) -> tuple[list[int], list[Event]]:
    """The numbers of passes that were tried after the first, and what was heard."""
    commit: Any = FullFrom(most)
    source = UsedWeights(wanted=("random",), used="random")
    context = cells.context(SMALL)
    heard: list[Event] = []
    pool.run_cells(
        [LIVE], Job(folder, context, records.CPU, commit, source, oom="halve"), heard.append
    )
    return [event.passes for event in heard if isinstance(event, BatchHalved)], heard


def test_where_memory_runs_out_a_cell_is_halved_until_it_fits(tmp_path: Path) -> None:
    tried, _ = halving(tmp_path, most=8)
    assert tried == [2]
    record = read_record(tmp_path, cell_id(LIVE))
    assert isinstance(record, Result)
    assert record.execution.passes == 2
    assert record.cell.recipe.batch_size == 16


def test_where_no_batch_fits_a_cell_has_failed_and_says_what_was_tried(tmp_path: Path) -> None:
    tried, _ = halving(tmp_path, most=1)
    assert tried == [2, 4, 8]
    record = read_record(tmp_path, cell_id(LIVE))
    assert record is not None
    assert (record.status, record.kind) == ("failed", "oom_host")


def test_a_cell_fails_at_once_where_the_suite_does_not_ask_for_halves(tmp_path: Path) -> None:
    commit: Any = FullFrom(8)
    source = UsedWeights(wanted=("random",), used="random")
    heard: list[Event] = []
    job_of_it = Job(tmp_path, cells.context(SMALL), records.CPU, commit, source)
    pool.run_cells([LIVE], job_of_it, heard.append)
    record = read_record(tmp_path, cell_id(LIVE))
    assert record is not None
    assert record.kind == "oom_host"
    assert not any(isinstance(event, BatchHalved) for event in heard)
