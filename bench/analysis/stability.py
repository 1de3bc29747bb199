"""Whether the machine kept its pace while a run was timed."""

from bench.schema import Calibration, Run, Sitting

APART = 0.05
"""Start and end of a sitting may differ by so much."""

PROBES = tuple(name for name in Calibration.model_fields if name != "seconds")


def unstable(run: Run) -> str | None:
    """Why the run's times are good for nothing, or None."""
    found = (reason for sitting in run.sittings if (reason := _unsteady(sitting)))
    return next(found, None)


def _unsteady(sitting: Sitting) -> str | None:
    if sitting.foreign_gpu_processes:
        return f"{sitting.foreign_gpu_processes} other processes were on the GPU"
    if sitting.start is None or sitting.end is None:
        return None
    for name in PROBES:
        start, end = getattr(sitting.start, name), getattr(sitting.end, name)
        if start and end and abs(end / start - 1) > APART:
            change = f"{100 * (end / start - 1):+.0f} %"
            return f"the machine changed its pace: {name} {change} from start to end"
    return None
