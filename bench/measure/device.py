"""Which device to run on. A GPU that is there and cannot be used never passes as a CPU run.

`probe` and `prove` touch the hardware; `decide` is the rule, and only looks at `DeviceFacts`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from bench.errors import DeviceError, first_line
from bench.measure import gpu
from bench.record import Profile

PCI = Path("/sys/bus/pci/devices")
INSTEAD = "or run on the CPU with --device cpu"


@dataclass(frozen=True)
class Device:
    type: Literal["cpu", "cuda"]
    index: int | None  # CUDA's number; None on a CPU

    @property
    def profile(self) -> Profile:
        return "gpu" if self.type == "cuda" else "cpu"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"


class DeviceFacts(NamedTuple):
    torch_cuda_built: bool
    torch_devices: tuple[str, ...]  # names, in CUDA's order
    torch_error: str | None  # why torch cannot use CUDA; None if it can
    nvml_gpus: tuple[str, ...]  # names, in NVML's order
    nvml_error: str | None  # None where no driver is installed
    visible_devices: str | None = None  # CUDA_VISIBLE_DEVICES; None: not set

    @property
    def hidden(self) -> bool:
        """Whether CUDA_VISIBLE_DEVICES hides every GPU, which nobody does by accident."""
        return self.visible_devices is not None and self.visible_devices.strip() in ("", "-1")


def choose(asked: str) -> Device:
    """The device to run on, proven by one small kernel. Imports torch: for child processes.

    `asked` is auto, cpu, cuda or cuda:N; DeviceError otherwise, and if it cannot be used.
    """
    if asked == "cpu":
        return Device("cpu", None)
    if not re.fullmatch(r"auto|cuda(:\d+)?", asked):
        raise DeviceError(f"--device: expected auto, cpu, cuda or cuda:N, got {asked!r}")
    device = decide(asked, probe())
    if device.type == "cuda":
        prove(device)
    return device


def decide(asked: str, facts: DeviceFacts) -> Device:
    """The device for auto, cuda or cuda:N, from facts alone; DeviceError if there is none.

    Auto takes the first GPU, and the CPU only where nothing hints at a GPU or
    CUDA_VISIBLE_DEVICES is set to hide them all.
    """
    if not facts.torch_devices:
        no_hint = facts.hidden or (not facts.nvml_gpus and facts.nvml_error is None)
        if asked == "auto" and no_hint:
            return Device("cpu", None)
        raise DeviceError(f"--device {asked}: {_seen(facts)} {_why(facts)}, {INSTEAD}")
    index = int(asked.partition(":")[2] or 0)
    if index >= len(facts.torch_devices):
        known = ", ".join(f"cuda:{i} ({name})" for i, name in enumerate(facts.torch_devices))
        raise DeviceError(f"--device {asked}: there is no such GPU, torch sees {known}")
    return Device("cuda", index)


def _seen(facts: DeviceFacts) -> str:
    if facts.nvml_gpus:
        return f"the driver sees {', '.join(facts.nvml_gpus)}, but torch cannot use a GPU:"
    if facts.nvml_error:
        return f"the NVIDIA driver does not work ({facts.nvml_error}):"
    return "no GPU was found:"


def _why(facts: DeviceFacts) -> str:
    if not facts.torch_cuda_built:
        return "this torch was built without CUDA; install a build with CUDA"
    if facts.hidden:
        return "CUDA_VISIBLE_DEVICES hides every GPU; unset it"
    reason = facts.torch_error or "torch gives no reason"
    if facts.visible_devices is not None:
        reason += f" (CUDA_VISIBLE_DEVICES={facts.visible_devices})"
    return f"{reason}; repair the driver" if facts.nvml_error else reason


def probe() -> DeviceFacts:
    """Asks torch and the driver. Initialises CUDA, after which this process must not fork."""
    import torch

    names: tuple[str, ...] = ()
    reason: str | None = None
    try:
        torch.cuda.current_device()  # initialises CUDA, and raises with the reason
        names = tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    except (RuntimeError, AssertionError) as error:  # the latter from a build without CUDA
        reason = first_line(error).rstrip(".")
    seen = gpu.survey()
    # An idle driver library is common on machines that never had a card, so the bus decides.
    broken = seen.error is not None and (seen.driver_loaded or has_nvidia_card(PCI))
    return DeviceFacts(
        torch_cuda_built=torch.version.cuda is not None or torch.version.hip is not None,
        torch_devices=names,
        torch_error=reason,
        nvml_gpus=seen.gpus,
        nvml_error=seen.error if broken else None,
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def has_nvidia_card(bus: Path) -> bool:
    """Whether the PCI bus lists a display controller of NVIDIA; False where there is no list."""
    return any(
        (entry / "vendor").read_text().strip() == "0x10de"
        and (entry / "class").read_text().startswith("0x03")
        for entry in (bus.iterdir() if bus.exists() else ())
    )


def prove(device: Device) -> None:
    """Runs one kernel; DeviceError if the GPU is too old or too new for this torch, or full."""
    import torch

    try:
        total = torch.ones(64, device=str(device)).add(1).sum().item()
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error).rstrip(".")
        raise DeviceError(
            f"--device {device}: no kernel runs there: {reason}; {INSTEAD}"
        ) from error
    if total != 128:
        raise DeviceError(f"--device {device}: 64 x (1 + 1) came out as {total}; {INSTEAD}")
