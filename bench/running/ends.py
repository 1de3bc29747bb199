"""A sitting is calibrated before its first cell and after its last, in a child each time.

No cell runs meanwhile, and the time counts neither for a cell nor for the run. A calibration that
fails costs the run nothing but the knowledge.
"""

from collections.abc import Callable, Mapping

from bench.measure.device import Device
from bench.record import Sitting
from bench.running import child
from bench.running.findings import End

Tell = Callable[[str], None]


def begun(device: Device, tell: Tell) -> Sitting:
    """A sitting at its start."""
    end = _measured(device, None, tell)
    if end is None:
        return Sitting(start=None)
    return Sitting(
        start=end.calibration,
        load=end.load,
        foreign_gpu_processes=end.foreign_gpu_processes,
        before=end.readings,
    )


def ended(sitting: Sitting, device: Device, tell: Tell) -> Sitting:
    """The sitting at its end, by probes of the same sizes."""
    if sitting.start is None:
        return sitting
    end = _measured(device, sitting.start.sizes, tell)
    return sitting if end is None else completed(sitting, end)


def completed(sitting: Sitting, end: End) -> Sitting:
    """A sitting with its end; of processes that came or went meanwhile, the larger count."""
    counts = (sitting.foreign_gpu_processes, end.foreign_gpu_processes)
    return sitting.model_copy(
        update={
            "end": end.calibration,
            "after": end.readings,
            "foreign_gpu_processes": max((n for n in counts if n is not None), default=None),
        }
    )


def _measured(device: Device, sizes: Mapping[str, int] | None, tell: Tell) -> End | None:
    try:
        end: End = child.call("bench.running.calibrated:measure", device, sizes)
    except child.ChildCrashed as error:
        tell(f"calibration failed: {str(error).strip().splitlines()[-1]}")
        return None
    for problem in end.problems:
        tell(f"calibration without {problem}")
    return end
