"""A piece of work that cells share: what it came to, what it cost, and how many cells use it."""

from typing import Generic, NamedTuple, TypeVar

from bench.measure.device import Device
from bench.measure.meters import Clock, EnergyMeter, MemoryMeter, Spent
from bench.record import Memory

T = TypeVar("T")

UNCOUNTED = Memory(
    gpu_allocated_bytes=None,
    gpu_reserved_bytes=None,
    gpu_device_bytes=None,
    cpu_rss_above_start_bytes=None,
)
"""The memory of work that no cell is charged for."""


class Piece(NamedTuple, Generic[T]):
    """Something shared, what it cost, and how many cells of this worker use it."""

    value: T
    spent: Spent
    sharers: int


class Meters:
    """Clock, memory and energy over one piece of work, started together."""

    def __init__(self, device: Device) -> None:
        self._memory = MemoryMeter(device)
        self._energy = EnergyMeter(device)
        self.clock = Clock(device, at_boundary=self._memory.sample)
        self._memory.start()
        self._energy.start()

    def spent(self) -> Spent:
        """What was spent since the start."""
        seconds, memory = dict(self.clock.seconds), self._memory.read()
        return Spent(seconds, memory, self._energy.read(), self._memory.held())
