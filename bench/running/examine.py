"""The state of the machine, for `bench doctor` and at both ends of a sitting: found in a child."""

import time
from collections.abc import Mapping
from typing import Any

import psutil
import torch

from bench import cache
from bench.measure import device as devices
from bench.measure import gpu
from bench.measure import machine as machines
from bench.measure.calibration import calibrate
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.models.files import torch_cache
from bench.record import Readings
from bench.running.plan import End, Examination
from bench.training.placement import execution, precision_of_dense, prepare_device

NO_FREQUENCY = "the kernel shows no frequency control, as in most virtual machines"
NOT_LISTED = "only Linux lists it, below /sys and /proc"

WHY = {
    "cpu_max_mhz": NO_FREQUENCY,
    "cpu_governor": NO_FREQUENCY,
    "cpu_celsius": "no sensor is shown, as in most virtual machines",
    **dict.fromkeys(("cpu_model", "cpu_signature"), "the system does not name it"),
    "container": "there is no sign either way",
    "virtual": "this kind of processor does not say",
    "load": "the system keeps no load average",
    "nccl": "this torch was built without it",
    "torch_commit": "this build of torch does not say",
    **dict.fromkeys(
        ("cpu_sockets", "cpu_physical_cores", "cpu_logical_cores", "numa_nodes", "storage"),
        NOT_LISTED,
    ),
    "foreign_gpu_processes": "the driver lists no processes here, as in some containers",
}
"""Why a fact is unknown, apart from what a GPU's driver refuses."""

GPU_FACTS = (
    *gpu.ALWAYS_TOLD,
    *gpu.CARD,
    *gpu.MOMENT,
    *("gpu_multiprocessors", "driver_branch", "driver_cuda", "nccl", "foreign_gpu_processes"),
)


def examine(asked: str) -> Examination:
    """The device for --device and everything about it, with a calibration. Raises DeviceError."""
    device = devices.choose(asked)
    end = measure(device, None)
    return Examination(
        device=device,
        machine=machines.machine(device.type, device.index, cache.root()),
        execution=execution(precision_of_dense(device)),
        end=end,
        missing=missing(device),
        weights_folder=torch_cache(),
    )


def measure(device: Device, sizes: Mapping[str, int] | None) -> End:
    """One end of a sitting. Load is read before the probes add to it, clocks after they warm it up.

    `sizes` are those of the other end's probes; None: to be found.
    """
    load = psutil.getloadavg()[0] / usable_cores() if hasattr(psutil, "getloadavg") else None
    prepare_device(device)
    foreign = None
    if device.index is not None:
        torch.ones(1, device=str(device)).item()  # now this process is one of those on the GPU
        foreign = gpu.other_processes(gpu.handle(device.index))
    calibration, problems = calibrate(device, sizes)
    return End(calibration, readings(device), load, foreign, problems)


def readings(device: Device) -> Readings:
    of_card: dict[str, Any] = {} if device.index is None else gpu.readings(device.index)
    return Readings(
        cpu_celsius=cpu_celsius(), uptime_seconds=time.time() - psutil.boot_time(), **of_card
    )


def cpu_celsius() -> float | None:
    """The hottest sensor of the processor; few virtual machines have one."""
    if not hasattr(psutil, "sensors_temperatures"):
        return None
    found = psutil.sensors_temperatures()
    chips = (found.get(name, []) for name in ("coretemp", "k10temp", "zenpower", "cpu_thermal"))
    return max((sensor.current for chip in chips for sensor in chip), default=None)


def missing(device: Device) -> dict[str, str]:
    why = dict(WHY)
    if name := machines.machine_id().why:
        why["id"] = name
    if device.index is None:
        return why | dict.fromkeys(GPU_FACTS, without_gpu())
    return why | gpu.refusals(device.index)


def without_gpu() -> str:
    facts = devices.probe()
    if facts.torch_devices:
        return "this looks at the CPU; --device cuda looks at the GPU"
    if facts.nvml_gpus:
        return f"torch cannot use the GPU: {facts.torch_error}"
    if facts.nvml_error:
        return f"the NVIDIA driver does not work ({facts.nvml_error})"
    return "there is no GPU, or no NVIDIA driver"
