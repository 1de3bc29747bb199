"""Where, in which arithmetic and in how many threads a cell runs on a CPU."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from bench.measure.cpu import cpu_favours_bf16, usable_cores
from bench.measure.device import Device
from bench.training.placement import (
    COMPILE_SECONDS,
    COMPILED_SPEEDUP,
    ONE_THREAD_MACS,
    placement,
    prepare_device,
    threads_for,
    worth_compiling,
)
from tests.training import cells


@pytest.mark.parametrize(("asked", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_arithmetic_that_a_suite_asks_for_is_used(asked: str, kind: torch.dtype) -> None:
    place = placement("resnet18", cells.recipe(precision=asked), 64, cells.CPU)
    assert place.execution.precision == asked
    with place.autocast():
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == kind


@pytest.mark.parametrize(
    ("architecture", "size", "dense"),
    [
        ("resnet18", 32, True),
        ("vit_b_16", 224, True),
        ("efficientnet_b0", 175, False),
        ("efficientnet_b0", 176, True),
        ("mobilenet_v3_small", 224, False),
        ("mobilenet_v2", 64, False),
        ("mobilenet_v2", 224, True),
        ("shufflenet_v2_x1_0", 224, False),
    ],
)
def test_auto_takes_bf16_where_the_cpu_has_it_and_the_network_gains(
    architecture: str, size: int, dense: bool
) -> None:
    place = placement(architecture, cells.recipe(precision="auto"), size, cells.CPU)
    assert place.execution.precision == ("bf16" if dense and cpu_favours_bf16() else "fp32")


def test_images_and_convolutions_lie_channels_last_and_features_as_they_are() -> None:
    place = cells.place()
    assert place.execution.channels_last
    network = place.place(nn.Conv2d(3, 4, 3))
    images_BCHW = place.lay_out(torch.rand(2, 3, 5, 5))
    features_BD = torch.rand(2, 6)
    assert network.get_parameter("weight").is_contiguous(memory_format=torch.channels_last)
    assert images_BCHW.is_contiguous(memory_format=torch.channels_last)
    assert place.lay_out(features_BD) is features_BD


def test_the_layout_changes_no_value() -> None:
    images_BCHW = torch.rand(2, 3, 5, 5)
    assert cells.place().lay_out(images_BCHW).equal(images_BCHW)


def test_threads_are_recorded_as_torch_has_them() -> None:
    assert cells.place().execution.threads == torch.get_num_threads()


def test_compiling_is_worth_it_only_where_it_saves_more_than_it_takes() -> None:
    even = COMPILE_SECONDS / (1 - 1 / COMPILED_SPEEDUP)
    assert even == pytest.approx(460, rel=1e-3)  # 60 s against 13 % of 460 s
    assert not worth_compiling(even * 0.99)
    assert worth_compiling(even * 1.01)


def test_fp32_is_asked_for_without_changing_the_rest() -> None:
    place = placement("resnet18", cells.recipe(precision="bf16"), 64, cells.CPU)
    plain = place.in_fp32()
    assert plain.execution.precision == "fp32"
    changed = plain.execution.model_copy(update={"precision": "bf16"})
    assert (changed, plain.device) == (place.execution, place.device)


# ---- threads --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """As on two cores, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("asked", "threads"),
    [("1", 1), ("3", 3), (" 3,2", 3), ("", None), ("0", None), ("-1", None), ("all", None)],
)
def test_the_threads_that_the_environment_asks_for_are_used_and_recorded(
    monkeypatch: pytest.MonkeyPatch, asked: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    prepare_device(Device("cpu", None))
    found = cells.place().execution
    assert torch.get_num_threads() == found.threads == (threads or usable_cores())
    assert found.omp_num_threads == (asked or "unset")


@pytest.mark.parametrize(("macs", "threads"), [(ONE_THREAD_MACS, 1), (ONE_THREAD_MACS + 1, 2)])
def test_only_small_work_is_done_by_one_thread(macs: int, threads: int) -> None:
    with threads_for(macs):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_work_that_fails_leaves_the_threads_as_they_were() -> None:
    with pytest.raises(ArithmeticError), threads_for(1):
        raise ArithmeticError
    assert torch.get_num_threads() == 2
