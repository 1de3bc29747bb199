"""Where and in which arithmetic a cell runs: device, precision, memory layout, threads.

Every choice that the suite leaves to the machine is made here, once, and recorded.
"""

import gc
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from bench.measure import meters
from bench.measure.cpu import cpu_favours_bf16, gpu_has_bf16, usable_cores
from bench.measure.device import Device
from bench.record import Execution, Recipe

M = TypeVar("M", bound=nn.Module)

FP32_ON_CPU_BELOW: Mapping[str, float] = {
    "efficientnet": 176,
    "mobilenet_v2": 176,
    "mobilenet_v3": math.inf,
    "mnasnet": math.inf,
    "shufflenet": math.inf,
}
"""Image size below which a family of depthwise convolutions trains faster in fp32 than in bf16 on
a CPU that has both. Images/s of one core, Zen 5, channels_last, fp32 against bf16, at 64 px and at
224 px: efficientnet_b0 188 / 80 and 9.7 / 12.9 (53 / 34 at 128 px); mobilenet_v2 347 / 168 and
18 / 27; mobilenet_v3_small 672 / 279 and 117 / 71; mnasnet1_0 320 / 124 and 29 / 22;
shufflenet_v2_x1_0 600 / 293 and 66 / 52. Dense networks are faster in bf16 at every size (resnet18
at 64 px: 152 / 238)."""


COMPILED_SPEEDUP, COMPILE_SECONDS = 1.15, 60.0
"""Expected gain of torch.compile over a captured step on a GPU, and its cost, forward and backward.

The least of six published speed-ups of inference over the better eager layout (RTX 4090: 1.15
efficientnet_b4 to 1.62 resnet50), and a cold compilation of resnet50 on an A100. A CPU gains
nothing on resnet18, and vit_b_16 gets six times slower there."""


EVAL_PIXELS = 32 * 96**2
"""Of a batch on a CPU, which should stay in its cache; larger ones would set its peak memory."""

EVAL_MOST = 128
"""Images of a forward pass."""


def eval_batch_size(device: torch.device, image_size: int) -> int:
    """Images of a forward pass that are run fast, 32 to 128: few large ones on a CPU.

    Small images leave most of a small batch's time to what each layer costs once: at 32 px on two
    AVX2 cores, 128 at a time take 0.4 (mobilenet_v3_small) to 0.8 (vit_b_16) of the time of 32.
    """
    if device.type == "cuda":
        return EVAL_MOST
    return min(EVAL_MOST, max(32, EVAL_PIXELS // image_size**2))


SMALL_PIXELS = 128 * 32**2
"""Of a batch whose maps take little memory beside the network."""


def untrained_batch(batch_size: int, image_size: int) -> int:
    """Images of a forward pass that takes no more memory than training `batch_size` of them.

    Small images may be more: each layer costs the same for one of them as for dozens.
    """
    return min(EVAL_MOST, max(batch_size, SMALL_PIXELS // image_size**2))


class Placement(NamedTuple):
    device: torch.device
    execution: Execution
    eval_batch: int = 32  # images of a forward pass without training; changes no result

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.execution.precision == "bf16"
        )

    def lay_out(self, inputs: Tensor) -> Tensor:
        """Images and maps in the memory layout of this cell; rows of features as they are."""
        if not self.execution.channels_last or inputs.ndim != 4:
            return inputs
        return inputs.contiguous(memory_format=torch.channels_last)

    def in_fp32(self) -> "Placement":
        """The same for heads, whose features take little memory."""
        fp32 = self.execution.model_copy(update={"precision": "fp32"})
        return Placement(self.device, fp32, EVAL_MOST)

    def in_passes(self, passes: int) -> "Placement":
        """The same with each batch in so many passes, and forward passes as much smaller."""
        return self._replace(
            execution=self.execution.model_copy(update={"passes": passes}),
            eval_batch=max(1, self.eval_batch // passes),
        )

    def place(self, network: M) -> M:
        network.to(self.device)
        if self.execution.channels_last:
            network.to(memory_format=torch.channels_last)
        return network


def placement(
    architecture: str, recipe: Recipe, image_size: int, device: torch.device
) -> Placement:
    precision = recipe.precision
    if precision == "auto":
        families = (name for name in FP32_ON_CPU_BELOW if architecture.startswith(name))
        fp32_below = max((FP32_ON_CPU_BELOW[name] for name in families), default=0.0)
        if device.type == "cpu" and image_size < fp32_below:
            precision = "fp32"
        else:
            kind: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
            precision = precision_of_dense(Device(kind, device.index))
    # So that a smaller batch lowers the peak of a cell: where every stage trains, a step keeps all
    # maps that it makes, and a forward pass of twice the images keeps two at a time.
    times = 2 if recipe.stages is None else 1
    room = untrained_batch(times * recipe.batch_size, image_size)
    return Placement(device, execution(precision), min(eval_batch_size(device, image_size), room))


def execution(precision: Literal["fp32", "bf16"]) -> Execution:
    """How this process computes as it is set now, before anything is captured or compiled."""
    return Execution(
        precision=precision,
        channels_last=True,
        threads=torch.get_num_threads(),
        allow_tf32=torch.backends.cuda.matmul.allow_tf32,
        deterministic=torch.are_deterministic_algorithms_enabled(),
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        captured=False,
        compiled=False,
        resident=True,
        cudnn_allow_tf32=torch.backends.cudnn.allow_tf32,
        cudnn_deterministic=torch.backends.cudnn.deterministic,
        float32_matmul_precision=torch.get_float32_matmul_precision(),
        cublas_workspace=os.environ.get("CUBLAS_WORKSPACE_CONFIG") or "unset",
        hash_seed=os.environ.get("PYTHONHASHSEED") or "unset",
        omp_num_threads=os.environ.get("OMP_NUM_THREADS") or "unset",
    )


def precision_of_dense(device: Device) -> Literal["fp32", "bf16"]:
    """The precision in which dense networks train faster on a device."""
    has_bf16 = gpu_has_bf16(device.index or 0) if device.type == "cuda" else cpu_favours_bf16()
    return "bf16" if has_bf16 else "fp32"


def worth_compiling(training_seconds: float) -> bool:
    """Whether a captured step, which would train for so long, saves more than compiling takes."""
    return training_seconds * (1 - 1 / COMPILED_SPEEDUP) > COMPILE_SECONDS


def wanted_threads() -> int:
    """As many as OMP_NUM_THREADS asks for at the outermost level, else one for each usable core."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if re.fullmatch("0*[1-9][0-9]{0,3}", asked) else usable_cores()


def prepare_device(device: Device) -> None:
    """Process-wide settings: threads, a heap that is kept, and fp32 that is fp32.

    Convolutions are not autotuned: the choice would differ from one process to the next.
    """
    # Meters collect garbage before each cell: 0.3 s a time over all that torch has imported.
    gc.freeze()
    torch.set_num_threads(wanted_threads())
    meters.set_heap_policy(meters.KEPT_HEAP)
    if device.type == "cuda":
        torch.cuda.set_device(device.index)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False


ONE_THREAD_MACS = 4_000_000
"""Multiply-adds of a step up to which one thread does it.

Shared out, each operation waits for the slowest thread. That gains little where all cores are free,
and where another process keeps one busy it waits for the scheduler, many times a step: three heads
on 512 features, on two cores beside a busy process, took 1.1 ms in one thread; in two 0.7 at one
time and 42 at another.
"""


@contextmanager
def threads_for(step_macs: int) -> Iterator[None]:
    """Within, torch has one thread for steps as small as this, and else as many as before."""
    before = torch.get_num_threads()
    if step_macs <= ONE_THREAD_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
