"""Calibrations as people read them."""

from bench.analysis.stability import unstable
from bench.record import Calibration, Run, Sitting
from bench.report import units


def told(found: Calibration) -> dict[str, str]:
    """What each probe came to, with its size; those that there are."""
    rates = {
        "fp32 matmul": (found.matmul_fp32_flops, 1e9, "GFLOP/s", "matmul_fp32", side),
        "bf16 matmul": (found.matmul_bf16_flops, 1e9, "GFLOP/s", "matmul_bf16", side),
        "memory copy": (found.copy_bytes_per_second, 1e9, "GB/s", "copy", mebibytes),
        "copy to the GPU": (found.upload_bytes_per_second, 1e9, "GB/s", "upload", mebibytes),
    }
    lines = {
        name: f"{units.three_digits(value / unit)} {word} ({size_of(found.sizes[size])})"
        for name, (value, unit, word, size, size_of) in rates.items()
        if value is not None
    }
    times = {"convolution": found.conv_seconds, "Python loop": found.loop_seconds}
    known = {name: value for name, value in times.items() if value is not None}
    return lines | {name: f"{units.milliseconds(value)} ms" for name, value in known.items()}


def side(size: int) -> str:
    """A matrix."""
    return f"{size} x {size}"


def mebibytes(size: int) -> str:
    """A copy."""
    return f"{size >> 20} MiB"


def facts(run: Run) -> list[tuple[str, str]]:
    """What each sitting was calibrated to, for the protocol."""
    many = len(run.sittings) > 1
    return [
        (f"Calibration of sitting {number}" if many else "Calibration", _of_sitting(sitting))
        for number, sitting in enumerate(run.sittings, start=1)
    ]


def _of_sitting(sitting: Sitting) -> str:
    ends = {"at the start": sitting.start, "at the end": sitting.end}
    parts = [f"{when} {_in_a_line(found)}" for when, found in ends.items()]
    if sitting.load is not None:
        parts.append(f"load before it {sitting.load:.2f} per usable core")
    if sitting.foreign_gpu_processes is not None:
        parts.append(f"other processes on the GPU: {sitting.foreign_gpu_processes}")
    return "; ".join(parts)


def _in_a_line(found: Calibration | None) -> str:
    if found is None:
        return "unknown"
    return ", ".join(f"{name} {value}" for name, value in told(found).items())


def unstable_times(run: Run) -> tuple[str, ...]:
    """That the machine did not stay the same; empty where nothing says so."""
    why = unstable(run)
    return (f"Times are unstable: {why}. Scores are not affected.",) if why else ()
