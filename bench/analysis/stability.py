"""Whether the machine stayed the same while a run was timed, as far as its two ends tell."""

from bench.schema import Calibration, Run, Sitting

UNSTABLE_ABOVE = 0.05
"""Share by which a probe may be faster at one end of a sitting than at the other."""

RATES = {
    "matmul_fp32_flops": "fp32 matmul",
    "matmul_bf16_flops": "bf16 matmul",
    "copy_bytes_per_second": "memory copy",
    "upload_bytes_per_second": "copy to the GPU",
}
TIMES = {"conv_seconds": "convolution", "loop_seconds": "Python loop"}


def unstable(run: Run) -> str | None:
    """Why the run's times are not to be relied on, in words; None where nothing says so."""
    found = [reason for sitting in run.sittings if (reason := _unsteady(sitting))]
    return "; ".join(found) or None


def _unsteady(sitting: Sitting) -> str | None:
    if sitting.foreign_gpu_processes:
        return f"the GPU was shared with {sitting.foreign_gpu_processes} other processes"
    if sitting.start is None or sitting.end is None:
        return None
    over = {
        name: change
        for name, change in changes(sitting.start, sitting.end).items()
        if max(1 + change, 1 / (1 + change)) > 1 + UNSTABLE_ABOVE
    }
    told = ", ".join(f"{name} {100 * change:+.0f} %" for name, change in over.items())
    return f"the machine's speed changed between start and end ({told})" if over else None


def changes(start: Calibration, end: Calibration) -> dict[str, float]:
    """By probe, the change of speed from start to end: -0.1 is a tenth slower at the end.

    Probes that either end lacks are left out.
    """
    found = {}
    for fields, power in ((RATES, 1), (TIMES, -1)):
        for field, name in fields.items():
            first, last = getattr(start, field), getattr(end, field)
            if first and last:
                found[name] = (last / first) ** power - 1
    return found
