"""Whether the machine stayed the same while a run was timed, as far as its two ends tell."""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from math import expm1, log1p
from statistics import median

from bench.record import Calibration, Run, Sitting

UNSTABLE_ABOVE = 0.05
"""Share by which the machine may be faster at one end of a sitting than at the other.

The machine is the median of its probes. Each of them for itself scatters by more where cores are
shared: of 120 pairs of calibrations on two idle virtual cores, a second apart, 37 % differ by over
5 % in some probe, and 10 % in the median; of 106 half a minute apart 58 % and 23 %.
"""

PROBES = {
    "matmul_fp32_flops": ("fp32 matmul", "matmul_fp32"),
    "matmul_bf16_flops": ("bf16 matmul", "matmul_bf16"),
    "copy_bytes_per_second": ("memory copy", "copy"),
    "upload_bytes_per_second": ("copy to the GPU", "upload"),
    "conv_seconds": ("convolution", ""),
    "loop_seconds": ("Python loop", ""),
}
"""Their names, and those of their sizes; rates, and times of one size."""

SLOWDOWNS = frozenset(
    {"hardware slowdown", "too hot (software)", "too hot (hardware)", "power supply"}
)
"""Throttling that nobody asked for; a power limit is a setting."""


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
    return "; ".join([*found, *between(run.sittings)]) or None


def between(sittings: Sequence[Sitting]) -> Iterator[str]:
    """What speaks against times of several sittings, their starts side by side."""
    starts = [(number, one.start) for number, one in enumerate(sittings, start=1) if one.start]
    for (first, began), (number, start) in combinations(starts, 2):
        if (change := change_of(began, start)) and is_beyond(change):
            yield f"the machine's speed was {_signed(change)} in sitting {number} against {first}"


def reasons(sitting: Sitting) -> Iterator[str]:
    start, end = sitting.start, sitting.end
    if start and end and (change := change_of(start, end)) and is_beyond(change):
        told = ", ".join(f"{name} {_signed(by)}" for name, by in changes(start, end).items())
        speed = f"the machine's speed changed by {_signed(change)}"
        yield f"{speed} between start and end ({told})"
    readings = [one.throttled or () for one in (sitting.before, sitting.after) if one is not None]
    if slowed := [reason for reason in dict.fromkeys(chain(*readings)) if reason in SLOWDOWNS]:
        yield f"the GPU's clocks were held down ({', '.join(slowed)})"
    if others := sitting.foreign_gpu_processes:
        yield f"the GPU was shared with {others} other process{'es' if others > 1 else ''}"


def changes(start: Calibration, end: Calibration) -> dict[str, float]:
    """By probe, the change of speed from start to end: -0.1 is a tenth slower at the end.

    Probes that either end lacks are left out, and so are those of different sizes.
    """
    found = {}
    for field, (name, size) in PROBES.items():
        first, last = getattr(start, field), getattr(end, field)
        if first and last and start.sizes.get(size) == end.sizes.get(size):
            found[name] = (first / last if field.endswith("_seconds") else last / first) - 1
    return found


def change_of(start: Calibration, end: Calibration) -> float | None:
    """The change of the machine's speed by those of its probes: their median, on a log scale.

    Of a machine with a GPU, the GPU's: what its host does in a loop is left out. None where no
    probe is to be compared.
    """
    has_gpu = start.upload_bytes_per_second or end.upload_bytes_per_second
    host = {"Python loop"} if has_gpu else set()
    found = [log1p(x) for name, x in changes(start, end).items() if name not in host]
    return expm1(median(found)) if found else None


def is_beyond(change: float) -> bool:
    """Whether the faster end is more than UNSTABLE_ABOVE ahead of the slower one."""
    return abs(log1p(change)) > log1p(UNSTABLE_ABOVE)


def _signed(change: float) -> str:
    return f"{100 * change:+.0f} %"
