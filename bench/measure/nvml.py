"""What the NVIDIA driver knows of its GPUs: every reading is a value, or None where it is unknown.

A GPU is found by its UUID, because NVML counts all cards of the machine while CUDA counts those
that CUDA_VISIBLE_DEVICES shows, in another order. The UUID serves for that and is never kept.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import pynvml

T = TypeVar("T")


class Survey(NamedTuple):
    """The GPUs of the machine by name, or why the driver would not tell."""

    gpus: tuple[str, ...]
    error: str | None  # None also where no driver is installed: then there is nothing to break
    driver_loaded: bool  # False: the library is there and the kernel's part of it is not


@cache
def _open() -> None:
    """Connect to the driver, once per process; NVMLError where that fails."""
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


def handle(uuid: str) -> Any | None:
    """The GPU, or the slice of one (MIG), whose CUDA UUID this is; None if it cannot be found."""
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    kinds = (f"{kind}-{bare}" for kind in ("GPU", "MIG"))
    found = (_known(partial(pynvml.nvmlDeviceGetHandleByUUID, name)) for name in kinds)
    return next((gpu for gpu in found if gpu is not None), None)


def driver() -> str | None:
    """Version of the driver, such as "580.82.07"."""
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
    except pynvml.NVMLError:
        return None
