"""Whether the machine stayed the same while a run was timed, as far as its two ends tell."""

from collections.abc import Iterator, Mapping

from bench.schema.machine import Calibration, Sitting
from bench.schema.run import Run

UNSTABLE_ABOVE = 0.05
"""Share by which a probe may be faster at one end of a sitting than at the other."""

RATES = {
    "matmul_fp32_flops": "fp32 matmul",
    "matmul_bf16_flops": "bf16 matmul",
    "copy_bytes_per_second": "memory copy",
    "upload_bytes_per_second": "copy to the GPU",
}
TIMES = {"conv_seconds": "convolution", "loop_seconds": "Python loop"}

SLOWDOWNS = frozenset(
    {"hardware slowdown", "too hot (software)", "too hot (hardware)", "power supply"}
)
"""What holds clocks down against everybody's will; a power limit is how a card is run."""


def unstable(run: Run) -> str | None:
    """Why the run's times are not to be relied on, in words; None where nothing says so.

    Silence is no proof: nothing is known of a sitting that was killed, nor of what passed between
    the ends.
    """
    several = len(run.sittings) > 1
    found = [
        f"in sitting {number}, {reason}" if several else reason
        for number, sitting in enumerate(run.sittings, start=1)
        for reason in reasons(sitting)
    ]
    return "; ".join(found) or None


def reasons(sitting: Sitting) -> Iterator[str]:
    """What speaks against the times of one sitting."""
    if sitting.start is not None and sitting.end is not None:
        over = beyond_noise(changes(sitting.start, sitting.end))
        if over:
            told = ", ".join(f"{name} {_signed(change)}" for name, change in over.items())
            yield f"the machine's speed changed between start and end ({told})"
    slowed = [
        reason
        for readings in (sitting.before, sitting.after)
        for reason in (readings.throttled or () if readings is not None else ())
        if reason in SLOWDOWNS
    ]
    if slowed:
        yield f"the GPU's clocks were held down ({', '.join(dict.fromkeys(slowed))})"
    if others := sitting.foreign_gpu_processes:
        yield f"the GPU was shared with {others} other process{'es' if others > 1 else ''}"


def changes(start: Calibration, end: Calibration) -> dict[str, float]:
    """By probe, the change of speed from start to end: -0.1 is a tenth slower at the end.

    Probes that either end lacks are left out, and so are those of different sizes.
    """
    same = start.sizes == end.sizes
    found = {}
    for fields, power in ((RATES, 1), (TIMES, -1)):
        for field, name in fields.items():
            first, last = getattr(start, field), getattr(end, field)
            if first and last and (same or power < 0):
                found[name] = (last / first) ** power - 1
    return found


def beyond_noise(changes_: Mapping[str, float]) -> dict[str, float]:
    """Those by which the faster end is more than UNSTABLE_ABOVE ahead of the slower one."""
    return {
        name: change
        for name, change in changes_.items()
        if max(1 + change, 1 / (1 + change)) > 1 + UNSTABLE_ABOVE
    }


def _signed(change: float) -> str:
    return f"{100 * change:+.0f} %"
