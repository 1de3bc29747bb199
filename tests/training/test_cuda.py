"""Cells on a GPU: what the CPU computes, within rounding, and peaks that do not depend on company.

resnet18 has no dropout, whose draws would differ between the devices.
"""

import pytest
import torch

from bench.measure.device import Device
from bench.schema import Kind
from bench.training.cell import Outcome
from bench.training.placement import prepare_device
from tests.training import cells

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

GPU = Device("cuda", 0)
KINDS: tuple[Kind, ...] = (
    "feature_extraction",
    "fine_tuning",
    "two_phase",
    "partial",
    "from_scratch",
)


def outcomes(device: Device, *kinds: Kind, precision: str = "fp32") -> list[Outcome]:
    """One cell of each kind, in one worker on the device."""
    asked = [cells.cell(kind, precision=precision) for kind in kinds]
    prepare_device(device)
    worker = cells.Worker(cells.context("resnet18")._replace(device=device), asked)
    found = []
    for one in asked:
        found.append(cells.run(one, worker))
        worker.release(one)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_in_fp32_learns_what_it_learns_on_the_cpu(kind: Kind) -> None:
    (there,) = outcomes(GPU, kind)
    (here,) = outcomes(Device("cpu", None), kind)
    # A few steps: rounding (1e-7) is amplified by AdamW's division, but not to per cent.
    losses = [[point.train_loss for point in outcome.curve] for outcome in (there, here)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert there.quality.test.nll == pytest.approx(here.quality.test.nll, rel=5e-2)


def test_auto_runs_in_bf16_where_the_gpu_has_it_and_memory_is_known() -> None:
    (found,) = outcomes(GPU, "fine_tuning", precision="auto")
    modern = torch.cuda.get_device_capability(0) >= (8, 0)
    assert found.execution.precision == ("bf16" if modern else "fp32")
    # 11.2 million parameters: fp32 values, gradients and two moments of AdamW.
    assert (found.memory.gpu_allocated_bytes or 0) > 4 * 4 * 11_000_000
    assert (found.memory.gpu_reserved_bytes or 0) >= (found.memory.gpu_allocated_bytes or 0)


def test_a_cell_has_the_same_peak_alone_and_last_in_its_worker() -> None:
    alone = outcomes(GPU, "from_scratch")[0].memory.gpu_allocated_bytes
    last = outcomes(GPU, *KINDS)[-1].memory.gpu_allocated_bytes
    assert last == pytest.approx(alone, rel=0.02)
