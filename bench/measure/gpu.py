"""What the NVIDIA driver and torch know of a GPU; a reading that is unknown is None.

A GPU is found by its UUID, because NVML counts all cards of the machine while CUDA counts those
that CUDA_VISIBLE_DEVICES shows, in another order. The UUID is used for that and never kept.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Literal, NamedTuple, TypeVar

import pynvml

T = TypeVar("T")
Clock = Literal["sm", "memory"]

refusal: ContextVar[str] = ContextVar("refusal", default="the driver does not say why")
"""What NVML said to the last reading that came out as None."""

CLOCKS: dict[Clock, int] = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM}


class Survey(NamedTuple):
    """The GPUs of the machine by name, or why the driver would not tell."""

    gpus: tuple[str, ...]
    error: str | None  # None also where no driver is installed: then there is nothing to break
    driver_loaded: bool  # False: the library is there and the kernel's part of it is not


@cache
def _open() -> None:
    pynvml.nvmlInit()


def survey() -> Survey:
    """Every GPU that the driver sees, whatever torch or CUDA_VISIBLE_DEVICES make of it."""
    try:
        _open()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(_count())]
        return Survey(tuple(_text(pynvml.nvmlDeviceGetName(h)) for h in handles), None, True)
    except pynvml.NVMLError_LibraryNotFound:
        return Survey((), None, False)
    except pynvml.NVMLError_DriverNotLoaded as error:
        return Survey((), str(error), False)
    except pynvml.NVMLError as error:
        return Survey((), str(error), True)


def by_uuid(uuid: str) -> Any | None:
    """The GPU, or the slice of one (MIG), whose CUDA UUID this is; None if it cannot be found."""
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    kinds = (f"{kind}-{bare}" for kind in ("GPU", "MIG"))
    found = (_known(partial(pynvml.nvmlDeviceGetHandleByUUID, name)) for name in kinds)
    return next((gpu for gpu in found if gpu is not None), None)


def whole_card(gpu: Any) -> Any | None:
    """The card that a slice is cut from; a whole card itself."""

    def read() -> Any:
        if pynvml.nvmlDeviceIsMigDeviceHandle(gpu):
            return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(gpu)
        return gpu

    return _known(read)


def driver() -> str | None:
    return _known(lambda: _text(pynvml.nvmlSystemGetDriverVersion()))


def power_limit_watts(gpu: Any) -> float | None:
    """The limit in force, which sets the clocks that a long run can hold."""
    return _known(lambda: float(pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu)) / 1000)


def mig(gpu: Any) -> bool | None:
    """Whether the card is cut into slices; False for a card that cannot be."""

    def read() -> bool:
        if pynvml.nvmlDeviceIsMigDeviceHandle(gpu):
            return True
        try:
            current, _pending = pynvml.nvmlDeviceGetMigMode(gpu)
        except pynvml.NVMLError_NotSupported:
            return False
        return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)

    return _known(read)


def used_bytes(gpu: Any) -> int | None:
    """Memory in use on the whole device at this moment, by all processes."""
    return _known(lambda: int(pynvml.nvmlDeviceGetMemoryInfo(gpu).used))


def energy_joules(gpu: Any) -> float | None:
    """Energy drawn since the driver was loaded; counters begin with the Volta cards."""
    return _known(lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000)


# ---- what stands still ----------------------------------------------------------------------


def driver_cuda() -> str | None:
    def read() -> str:
        number = int(pynvml.nvmlSystemGetCudaDriverVersion())
        return f"{number // 1000}.{number % 1000 // 10}"

    return _known(read)


def ecc(gpu: Any) -> bool | None:
    """Whether memory errors are corrected, at a cost in bandwidth; False for a card that cannot."""

    def read() -> bool:
        try:
            current, _pending = pynvml.nvmlDeviceGetEccMode(gpu)
        except pynvml.NVMLError_NotSupported:
            return False
        return bool(current == pynvml.NVML_FEATURE_ENABLED)

    return _known(read)


def virtualization(gpu: Any) -> str | None:
    """What stands between this system and the card: "none", "passthrough", "vgpu", ..."""
    return _known(lambda: VIRTUALIZATION.get(int(pynvml.nvmlDeviceGetVirtualizationMode(gpu))))


VIRTUALIZATION = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host of vgpu", 4: "host of vsga"}
"""NVML's nvmlGpuVirtualizationMode_t in words."""


def default_power_limit_watts(gpu: Any) -> float | None:
    return _known(lambda: float(pynvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu)) / 1000)


def max_power_limit_watts(gpu: Any) -> float | None:
    return _known(lambda: float(pynvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu)[1]) / 1000)


def max_clock_mhz(gpu: Any, clock: Clock) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetMaxClockInfo(gpu, CLOCKS[clock])))


def application_clock_mhz(gpu: Any, clock: Clock) -> int | None:
    """The clock that an administrator has set; newer drivers do not tell."""
    return _known(lambda: int(pynvml.nvmlDeviceGetApplicationsClock(gpu, CLOCKS[clock])))


def max_pcie_generation(gpu: Any) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu)))


def max_pcie_width(gpu: Any) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetMaxPcieLinkWidth(gpu)))


# ---- what changes from moment to moment -----------------------------------------------------


def clock_mhz(gpu: Any, clock: Clock) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetClockInfo(gpu, CLOCKS[clock])))


def celsius(gpu: Any) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)))


def pcie_generation(gpu: Any) -> int | None:
    """Generation of the link at this moment: cards lower it while they idle."""
    return _known(lambda: int(pynvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu)))


def pcie_width(gpu: Any) -> int | None:
    return _known(lambda: int(pynvml.nvmlDeviceGetCurrPcieLinkWidth(gpu)))


def throttled(gpu: Any) -> tuple[str, ...] | None:
    """What holds the clocks down at this moment, by its names in `REASONS`; idleness does not."""

    def read() -> tuple[str, ...]:
        bits = int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        return tuple(name for bit, name in REASONS.items() if bits & bit)

    return _known(read)


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


def processes(gpu: Any) -> int | None:
    """Processes that compute on the device, this one among them once it uses CUDA.

    Their numbers say nothing in a container, which counts its processes anew.
    """
    return _known(lambda: len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)))


def _count() -> int:
    return int(pynvml.nvmlDeviceGetCount())


def _text(value: str | bytes) -> str:
    # Older releases of the binding return bytes.
    return value.decode() if isinstance(value, bytes) else str(value)


def _known(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None where NVML cannot say."""
    try:
        _open()
        return read()
    except pynvml.NVMLError as error:
        refusal.set(str(error))
        return None


# ---- one GPU, by CUDA's index ---------------------------------------------------------------


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
        **_card_facts(handle(index)),
    }


def _card_facts(gpu: object | None) -> dict[str, Any]:
    """What only the driver tells of a card; of a slice, what holds for its card."""
    card = None if gpu is None else whole_card(gpu)
    told = {name: None if card is None else read(card) for name, read in CARD.items()}
    return {"mig": None if gpu is None else mig(gpu), **told}


Reading = Callable[[Any], Any]

CARD: dict[str, Reading] = {
    "ecc": ecc,
    "power_limit_watts": power_limit_watts,
    "gpu_virtualization": virtualization,
    "power_limit_default_watts": default_power_limit_watts,
    "power_limit_max_watts": max_power_limit_watts,
    "sm_clock_max_mhz": partial(max_clock_mhz, clock="sm"),
    "memory_clock_max_mhz": partial(max_clock_mhz, clock="memory"),
    "sm_clock_application_mhz": partial(application_clock_mhz, clock="sm"),
    "pcie_generation_max": max_pcie_generation,
    "pcie_width_max": max_pcie_width,
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
    whole = None if gpu is None else whole_card(gpu)
    return {} if whole is None else {name: read(whole) for name, read in MOMENT.items()}


MOMENT: dict[str, Reading] = {
    "sm_clock_mhz": partial(clock_mhz, clock="sm"),
    "memory_clock_mhz": partial(clock_mhz, clock="memory"),
    "gpu_celsius": celsius,
    "throttled": throttled,
    "pcie_generation": pcie_generation,
    "pcie_width": pcie_width,
}


def refusals(index: int) -> dict[str, str]:
    """Why the driver does not tell what it does not tell, by the names of the fields."""
    gpu = handle(index)
    if gpu is None:
        why = survey().error or "NVML does not know this GPU"
        return dict.fromkeys(["mig", *CARD, *MOMENT, "driver", "driver_branch"], why)
    card = whole_card(gpu)
    readings_ = {"mig": (mig, gpu), **{n: (r, card) for n, r in (CARD | MOMENT).items()}}
    return {name: refusal.get() for name, (read, of) in readings_.items() if read(of) is None}


def foreign_processes(index: int) -> int | None:
    gpu = handle(index)
    return others(None if gpu is None else processes(gpu))


def others(count: int | None) -> int | None:
    """Of so many processes, those besides this one: a list without it is no list of all."""
    return count - 1 if count else None


def handle(index: int) -> object | None:
    """NVML's handle of the GPU that CUDA counts as `index`; None if NVML does not know it."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else by_uuid(str(uuid))
