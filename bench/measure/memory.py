"""Resident memory of this process: now, at its peak, the peak's height above a start, and its heap.

The kernel keeps the peak (VmHWM) and lets a process lower its own to the present size. Linux
only; elsewhere everything is unknown.
"""

import ctypes
import re
import sys
from pathlib import Path
from typing import NamedTuple

PROCESS = Path("/proc/self")
LOWER_PEAK = "5"  # what clear_refs takes to mean: the peak is now the present size
SLACK_BYTES = 4 * 2**20  # the kernel counts pages per core and adds them up late


class Resident(NamedTuple):
    """Resident size and its peak so far, in bytes; None where the kernel does not tell."""

    present: int | None
    peak: int | None


def resident() -> Resident:
    status = PROCESS / "status"
    text = status.read_text() if sys.platform == "linux" and status.exists() else ""
    return Resident(_kib_line(text, "VmRSS"), _kib_line(text, "VmHWM"))


def above(start: Resident, end: Resident) -> int | None:
    """Bytes by which the peak between the two lies above the resident size at `start`.

    None where the peak at `start` could not be lowered to the present size (some sandboxes
    refuse) and was not passed since: the true peak may then be anything below it.
    """
    if start.present is None or start.peak is None or end.peak is None:
        return None
    if start.peak - start.present > SLACK_BYTES and end.peak <= start.peak:
        return None
    return max(0, end.peak - start.present)


def lower_peak() -> None:
    """Bring the peak down to the present size. Where that is refused, `above` notices."""
    try:
        (PROCESS / "clear_refs").write_text(LOWER_PEAK)
    except OSError:
        return


class HeapPolicy(NamedTuple):
    mmap_max: int  # how many blocks may be mapped by themselves
    mmap_threshold: int  # bytes from which they are
    trim_threshold: int  # unused bytes at the heap's end from which it is given back


KEPT_HEAP = HeapPolicy(0, 32 << 20, 2**31 - 1)
"""Freed memory stays with the process. Else the kernel maps and clears the pages of every large
tensor anew: resnet18 at 224 px on two Xeon cores runs forward at 169 images/s instead of 259, and
trains at 52 instead of 64."""

DEFAULT_HEAP = HeapPolicy(65_536, 32 << 20, 64 << 20)
"""What glibc's own thresholds, which follow the sizes that are freed, come to under torch."""


def set_heap_policy(policy: HeapPolicy) -> None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "gnu_get_libc_version"):
        for option, value in zip((-4, -3, -1), policy, strict=True):  # as in malloc.h
            libc.mallopt(option, value)


def trim_heap() -> None:
    """Hand freed heap back to the system: work that reuses it would look as if it took none."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc has it, musl does not
        libc.malloc_trim(0)


def _kib_line(status: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None
