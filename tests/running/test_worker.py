"""A cell that goes wrong becomes a record, whatever it was that went wrong."""

from pathlib import Path

import pytest
import torch

from bench.data import sources
from bench.data.split import make_split
from bench.errors import DataError, WeightsError
from bench.measure.device import Device
from bench.record import Failure, UsedWeights
from bench.running import worker
from bench.running.pool import Job
from bench.running.worker import Keeper, cause_of
from bench.training.context import Context
from bench.training.evaluate import Diverged
from bench.training.shared import Shared
from tests import command, records


def test_a_picture_that_is_gone_since_the_check_fails_the_cell_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = command.place(tmp_path).folder / "pictures"
    dataset = sources.scan(str(pictures))
    split = make_split(dataset, None, None, 0)
    cell = records.cell("mobilenet_v3_small", "from_scratch", 0)
    files, pipelines = {cell.architecture: None}, {cell.architecture: "IMAGENET1K_V1"}
    context = Context(Device("cpu", None), dataset, split, files, pipelines)
    (pictures / "cat" / "0.png").unlink()

    job = Job(
        tmp_path / "out",
        context,
        records.CPU,
        None,
        UsedWeights(wanted=("random",), used="random"),
    )
    shared = Shared(context, (cell,))
    record = worker.attempt(
        cell, shared, job, lambda event: None, Keeper(job, shared, lambda text: None)
    )

    assert isinstance(record, Failure)
    assert (record.status, record.kind) == ("failed", "data")
    assert "cat/0.png: cannot be read (No such file or directory)" in record.reason
    assert 0 < record.seconds < 60
    assert "Traceback" in capsys.readouterr().err, "the log must hold the traceback"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Diverged("loss is nan"), "diverged", "training"),
        (DataError(["x.png: is empty"]), "failed", "data"),
        (WeightsError("no such member"), "failed", "weights"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed", "oom_gpu"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), "failed", "oom_gpu"),
        (MemoryError(), "failed", "oom_host"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
         "failed", "oom_host"),
        (RuntimeError("CUDA error: device-side assert triggered"), "failed", "cuda"),
        (KeyError("layer"), "failed", "training"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_each_error_has_its_kind(error: Exception, status: str, kind: str) -> None:
    cause = cause_of(error)
    assert (cause.status, cause.kind) == (status, kind)
    assert cause.reason
    assert "\n" not in cause.reason


def test_a_reason_is_one_line_of_bounded_length() -> None:
    cause = cause_of(RuntimeError("x" * 1000 + "\nsecond line"))
    assert cause.reason == "RuntimeError: " + "x" * 300
