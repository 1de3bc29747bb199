"""What the NVIDIA driver and torch know of a GPU; a reading that is unknown is None.

A GPU is found by its UUID, because NVML counts all cards of the machine while CUDA counts those
that CUDA_VISIBLE_DEVICES shows, in another order. The UUID is used for that and never kept.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import pynvml

T = TypeVar("T")

refusal: ContextVar[str] = ContextVar("refusal", default="the driver does not say why")
"""What NVML said to the last reading that came out as None."""


class Survey(NamedTuple):
    """The GPUs of the machine by name, or why the driver would not tell."""

    gpus: tuple[str, ...]
    error: str | None  # None also where no driver is installed: then there is nothing to break
    driver_loaded: bool  # False: the library is there and the kernel's part of it is not


@cache
def _open() -> None:
    pynvml.nvmlInit()


def _known(read: Callable[[], T | None]) -> T | None:
    """What `read` returns, or None where NVML cannot say."""
    try:
        _open()
        return read()
    except pynvml.NVMLError as error:
        refusal.set(str(error))
        return None


def reading(read: Callable[[Any], T | None]) -> Callable[[Any], T | None]:
    """A function of a handle that gives None where there is no handle or NVML cannot say."""
    return lambda gpu: None if gpu is None else _known(lambda: read(gpu))


def survey() -> Survey:
    """Every GPU that the driver sees, whatever torch or CUDA_VISIBLE_DEVICES make of it."""
    try:
        _open()
        indices = range(int(pynvml.nvmlDeviceGetCount()))
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in indices]
        return Survey(tuple(_text(pynvml.nvmlDeviceGetName(h)) for h in handles), None, True)
    except pynvml.NVMLError_LibraryNotFound:
        return Survey((), None, False)
    except pynvml.NVMLError_DriverNotLoaded as error:
        return Survey((), str(error), False)
    except pynvml.NVMLError as error:
        return Survey((), str(error), True)


def _text(value: str | bytes) -> str:
    # Older releases of the binding return bytes.
    return value.decode() if isinstance(value, bytes) else str(value)


def handle(index: int | None) -> Any | None:
    """NVML's handle of the GPU that CUDA counts as `index`; None if NVML does not know it."""
    if index is None:  # a CPU
        return None
    import torch

    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else by_uuid(str(uuid))


def by_uuid(uuid: str) -> Any | None:
    """The GPU, or the slice of one (MIG), whose CUDA UUID this is; None if it cannot be found."""
    bare, find = uuid.removeprefix("GPU-").removeprefix("MIG-"), pynvml.nvmlDeviceGetHandleByUUID
    found = (_known(partial(find, f"{kind}-{bare}")) for kind in ("GPU", "MIG"))
    return next((gpu for gpu in found if gpu is not None), None)


@reading
def whole_card(gpu: Any) -> Any:
    """The card that a slice is cut from; a whole card itself."""
    if pynvml.nvmlDeviceIsMigDeviceHandle(gpu):
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu)
    return gpu


def driver() -> str | None:
    return _known(lambda: _text(pynvml.nvmlSystemGetDriverVersion()))


def driver_cuda() -> str | None:
    """The newest CUDA that the driver serves, such as "13.0"."""
    number = _known(lambda: int(pynvml.nvmlSystemGetCudaDriverVersion()))
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


@reading
def mig(gpu: Any) -> bool:
    """Whether the card is cut into slices; False for a card that cannot be."""
    if pynvml.nvmlDeviceIsMigDeviceHandle(gpu):
        return True
    return _is_on(pynvml.nvmlDeviceGetMigMode, gpu, pynvml.NVML_DEVICE_MIG_ENABLE)


def _is_on(read: Callable[[Any], Any], gpu: Any, enabled: int) -> bool:
    """The mode now, not after the next start; False for a card without it."""
    try:
        current, _pending = read(gpu)
    except pynvml.NVMLError_NotSupported:
        return False
    return bool(current == enabled)


def _is_cut(gpu: Any) -> bool:
    """Whether this is a whole card of which others may use slices (MIG).

    CUDA may give the card's UUID for a slice of it; what the card takes is then not ours alone.
    """
    try:
        is_slice = pynvml.nvmlDeviceIsMigDeviceHandle(gpu)
    except pynvml.NVMLError_FunctionNotFound:
        return False  # a driver from before there were slices
    return not is_slice and _is_on(pynvml.nvmlDeviceGetMigMode, gpu, pynvml.NVML_DEVICE_MIG_ENABLE)


@reading
def used_bytes(gpu: Any) -> int | None:
    """Memory in use on the whole device, by all processes; None for a card that is cut (MIG)."""
    return None if _is_cut(gpu) else int(pynvml.nvmlDeviceGetMemoryInfo(gpu).used)


@reading
def energy_joules(gpu: Any) -> float | None:
    """Energy drawn since the driver was loaded; counters begin with the Volta cards.

    None for a slice of a card, and for a card that is cut (MIG).
    """
    if _is_cut(gpu):
        return None
    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000


class EnergyMeter:
    """Energy that a whole GPU drew between `start` and `read`; the counter steps in ~0.1 s.

    It does not wait for the GPU.
    """

    def __init__(self, index: int | None) -> None:
        self._gpu = handle(index)

    def start(self) -> None:
        self._start = energy_joules(self._gpu)

    def read(self) -> float | None:
        """Joules since `start`; None on a CPU, a slice of a GPU (MIG) or a card without counter."""
        now = energy_joules(self._gpu)
        return None if now is None or self._start is None else now - self._start


@reading
def other_processes(gpu: Any) -> int | None:
    """Processes that compute on the device besides this one, which uses CUDA already.

    None where the list lacks this one, as in some containers: it may then lack others too.
    """
    count = len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu))
    return count - 1 if count else None


VIRTUALIZATION = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host of vgpu", 4: "host of vsga"}
"""NVML's nvmlGpuVirtualizationMode_t in words."""

REASONS = {
    2: "clocks set by an administrator",
    4: "power limit",
    8: "hardware slowdown",
    16: "clocks of linked cards",
    32: "too hot (software)",
    64: "too hot (hardware)",
    128: "power supply",
    256: "display clocks",
}
"""NVML's nvmlClocksEventReasons in words, without idleness; later bits have no name here."""


def _throttled(gpu: Any) -> tuple[str, ...]:
    """What holds the clocks down; idleness does not."""
    bits = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
    return tuple(name for bit, name in REASONS.items() if bits & bit)


SM, MEMORY = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM

_CARD: dict[str, Callable[[Any], Any]] = {
    # Whether memory errors are corrected, at a cost in bandwidth.
    "ecc": lambda gpu: _is_on(pynvml.nvmlDeviceGetEccMode, gpu, pynvml.NVML_FEATURE_ENABLED),
    # The limit in force, which sets the clocks that a long run can hold.
    "power_limit_watts": lambda gpu: pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
    "gpu_virtualization": lambda gpu: VIRTUALIZATION.get(
        pynvml.nvmlDeviceGetVirtualizationMode(gpu)
    ),
    "power_limit_default_watts": lambda gpu: (
        pynvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1000
    ),
    "power_limit_max_watts": lambda gpu: (
        pynvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu)[1] / 1000
    ),
    "sm_clock_max_mhz": lambda gpu: pynvml.nvmlDeviceGetMaxClockInfo(gpu, SM),
    "memory_clock_max_mhz": lambda gpu: pynvml.nvmlDeviceGetMaxClockInfo(gpu, MEMORY),
    # Set by an administrator; newer drivers do not tell.
    "sm_clock_application_mhz": lambda gpu: pynvml.nvmlDeviceGetApplicationsClock(gpu, SM),
    "pcie_generation_max": pynvml.nvmlDeviceGetMaxPcieLinkGeneration,
    "pcie_width_max": pynvml.nvmlDeviceGetMaxPcieLinkWidth,
}
_MOMENT: dict[str, Callable[[Any], Any]] = {
    "sm_clock_mhz": lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, SM),
    "memory_clock_mhz": lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, MEMORY),
    "gpu_celsius": lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU),
    "throttled": _throttled,
    # Cards lower their link while they idle.
    "pcie_generation": pynvml.nvmlDeviceGetCurrPcieLinkGeneration,
    "pcie_width": pynvml.nvmlDeviceGetCurrPcieLinkWidth,
}
CARD = {name: reading(read) for name, read in _CARD.items()}
"""Readings of a card that stand still, by the names of a `Machine`."""
MOMENT = {name: reading(read) for name, read in _MOMENT.items()}
"""Readings that change from moment to moment, by the names of `Readings`."""

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
    cudnn, driver_ = read_cudnn(), driver()
    gpu = handle(index)
    card = whole_card(gpu)  # of a slice, what holds for its card
    return {
        "gpu_name": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_multiprocessors": properties.multi_processor_count,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": driver_,
        "driver_branch": None if driver_ is None else driver_.partition(".")[0],
        "driver_cuda": driver_cuda(),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "nccl": _nccl(),
        "mig": mig(gpu),
        **{name: read(card) for name, read in CARD.items()},
    }


def _nccl() -> str | None:
    import torch

    if not (torch.distributed.is_available() and torch.distributed.is_nccl_available()):
        return None
    from torch.cuda import nccl

    read: Callable[[], tuple[int, ...]] = nccl.version
    return ".".join(map(str, read()))


def readings(index: int) -> dict[str, Any]:
    """Clocks, temperature and the like by the names of `Readings`."""
    card = whole_card(handle(index))
    return {name: read(card) for name, read in MOMENT.items()}


def refusals(index: int) -> dict[str, str]:
    """Why the driver does not tell what it does not tell, by the names of the fields."""
    gpu = handle(index)
    if gpu is None:
        why = survey().error or "NVML does not know this GPU"
        return dict.fromkeys(["mig", *CARD, *MOMENT, "driver", "driver_branch"], why)
    card = whole_card(gpu)
    read_of = {"mig": (mig, gpu), **{n: (read, card) for n, read in (CARD | MOMENT).items()}}
    return {name: refusal.get() for name, (read, of) in read_of.items() if read(of) is None}
