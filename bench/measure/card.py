"""One GPU: what torch and the driver tell of it, for good and at a moment."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bench.measure import nvml

ALWAYS_TOLD = (
    *("gpu_name", "gpu_memory_bytes", "compute_capability", "mig", "power_limit_watts"),
    *("driver", "cuda", "cudnn"),
)
"""What a `Machine` always says of a GPU; null on a CPU."""


def facts(index: int) -> dict[str, Any]:
    """What torch and the driver tell of a GPU, by the names of a `Machine`."""
    import torch

    properties = torch.cuda.get_device_properties(index)
    read_cudnn: Callable[[], int | None] = torch.backends.cudnn.version
    cudnn, driver = read_cudnn(), nvml.driver()
    return {
        "gpu_name": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_multiprocessors": properties.multi_processor_count,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": driver,
        "driver_branch": None if driver is None else driver.partition(".")[0],
        "driver_cuda": nvml.driver_cuda(),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "nccl": _nccl(),
        **_card_facts(handle(index)),
    }


def _card_facts(gpu: object | None) -> dict[str, Any]:
    """What only the driver tells of a card; of a slice, what holds for its card."""
    card = None if gpu is None else nvml.whole_card(gpu)
    told = {name: None if card is None else read(card) for name, read in CARD.items()}
    return {"mig": None if gpu is None else nvml.mig(gpu), **told}


Reading = Callable[[Any], Any]

CARD: dict[str, Reading] = {
    "ecc": nvml.ecc,
    "power_limit_watts": nvml.power_limit_watts,
    "gpu_virtualization": nvml.virtualization,
    "power_limit_default_watts": nvml.default_power_limit_watts,
    "power_limit_max_watts": nvml.max_power_limit_watts,
    "sm_clock_max_mhz": partial(nvml.max_clock_mhz, clock="sm"),
    "memory_clock_max_mhz": partial(nvml.max_clock_mhz, clock="memory"),
    "sm_clock_application_mhz": partial(nvml.application_clock_mhz, clock="sm"),
    "pcie_generation_max": nvml.max_pcie_generation,
    "pcie_width_max": nvml.max_pcie_width,
}


def _nccl() -> str | None:
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_nccl_available()):
        return None
    from torch.cuda import nccl

    read: Callable[[], tuple[int, ...]] = nccl.version
    return ".".join(map(str, read()))


# ---- at a moment ----------------------------------------------------------------------------


def readings(index: int) -> dict[str, Any]:
    """Clocks, temperature and the like by the names of `Readings`; nothing where NVML is not."""
    gpu = handle(index)
    whole = None if gpu is None else nvml.whole_card(gpu)
    return {} if whole is None else {name: read(whole) for name, read in MOMENT.items()}


MOMENT: dict[str, Reading] = {
    "sm_clock_mhz": partial(nvml.clock_mhz, clock="sm"),
    "memory_clock_mhz": partial(nvml.clock_mhz, clock="memory"),
    "gpu_celsius": nvml.celsius,
    "throttled": nvml.throttled,
    "pcie_generation": nvml.pcie_generation,
    "pcie_width": nvml.pcie_width,
}


def refusals(index: int) -> dict[str, str]:
    """Why the driver does not tell what it does not tell, by the names of the fields."""
    gpu = handle(index)
    if gpu is None:
        why = nvml.survey().error or "NVML does not know this GPU"
        return dict.fromkeys(["mig", *CARD, *MOMENT, "driver", "driver_branch"], why)
    card = nvml.whole_card(gpu)
    readings_ = {"mig": (nvml.mig, gpu), **{n: (r, card) for n, r in (CARD | MOMENT).items()}}
    return {name: nvml.refusal.get() for name, (read, of) in readings_.items() if read(of) is None}


def foreign_processes(index: int) -> int | None:
    """Processes on the GPU besides this one, which must be using it; None if not to be told."""
    gpu = handle(index)
    return others(None if gpu is None else nvml.processes(gpu))


def others(count: int | None) -> int | None:
    """Of so many processes, those besides this one: a list without it is no list of all."""
    return count - 1 if count else None


def handle(index: int) -> object | None:
    """NVML's handle of the GPU that CUDA counts as `index`; None if NVML does not know it."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else nvml.handle(str(uuid))
