"""Looking after a worker: that its cells do not hang or take too long, and that logs stay small."""

import time
from pathlib import Path
from typing import NamedTuple

from bench.folder import cell_folder
from bench.record import FailureKind
from bench.running.child import LOOK_SECONDS

LOG_BYTES = 10 << 20
"""Of a cell's log; of a longer one, the beginning and the end stay."""

KEPT_BYTES = 1 << 20
"""Of each end of a log that was too long."""


class Limits(NamedTuple):
    """Seconds that a cell may be silent and may take; None: for ever."""

    stall: float | None = None
    timeout: float | None = None


class Overdue(NamedTuple):
    kind: FailureKind
    reason: str


class Watch:
    """Counts the seconds of a worker in which this process ran as well.

    A machine that slept, or a job that was stopped and went on, makes no cell overdue.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._looked = time.monotonic()
        self._silent = self._running = 0.0
        self._cell_id: str | None = None
        self.overdue: Overdue | None = None

    def heard(self) -> None:
        self._silent = self._looked - time.monotonic()  # the next look counts from the last

    def begins(self, cell_id: str) -> None:
        self._running, self._cell_id = self._looked - time.monotonic(), cell_id

    def look(self) -> str | None:
        """Why the worker is to be ended, if it is."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 2 * LOOK_SECONDS), now
        self._silent, self._running = self._silent + passed, self._running + passed
        if self._cell_id is not None:
            shorten(cell_folder(self._folder, self._cell_id) / "log.txt")
        stall, timeout = self._limits
        if timeout is not None and self._running > timeout:
            text = f"took longer than timeout = {time_text(timeout)}"
            self.overdue = Overdue("time_limit", text)
        elif stall is not None and self._silent > stall:
            text = f"gave no sign of life for {time_text(stall)}; log.txt says where it was"
            self.overdue = Overdue("stalled", text)
        return None if self.overdue is None else self.overdue.reason


def shorten(log: Path) -> None:
    """Take out the middle of a log that is too long; whoever appends to it goes on."""
    try:
        size = log.stat().st_size
        if size <= LOG_BYTES:
            return
        with log.open("r+b") as file:
            head = file.read(KEPT_BYTES)
            file.seek(-KEPT_BYTES, 2)
            tail = file.read()
            left_out = size - len(head) - len(tail)
            file.seek(0)
            file.write(head + f"\n... {left_out:,} bytes left out ...\n".encode() + tail)
            file.truncate()
    except OSError:
        return  # the log is a help, and no result


def time_text(seconds: float) -> str:
    """`90 s`, `10 min` or `2.5 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
