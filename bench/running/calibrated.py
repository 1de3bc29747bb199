"""What the machine can do and is doing at one end of a sitting: runs in children."""

import time
from collections.abc import Mapping
from typing import Any

import psutil
import torch

from bench.measure import card
from bench.measure.calibration import calibrate
from bench.measure.device import Device
from bench.measure.hardware import usable_cores
from bench.record import Readings
from bench.running.findings import End
from bench.training.placement import prepare_device


def measure(device: Device, sizes: Mapping[str, int] | None) -> End:
    """Load first, before the probes add to it; clocks and the like after they have warmed it up.

    `sizes` are those of the other end's probes; None: to be found.
    """
    load = load_per_core()
    prepare_device(device)
    foreign = None
    if device.index is not None:
        torch.ones(1, device=str(device)).item()  # now this process is one of those on the GPU
        foreign = card.foreign_processes(device.index)
    calibration, problems = calibrate(device, sizes)
    return End(calibration, readings(device), load, foreign, problems)


def load_per_core() -> float | None:
    """The 1-minute load average, as a share of the usable cores."""
    return psutil.getloadavg()[0] / usable_cores() if hasattr(psutil, "getloadavg") else None


def readings(device: Device) -> Readings:
    """What stands still at no moment."""
    of_card: dict[str, Any] = {} if device.index is None else card.readings(device.index)
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
