"""What a worker tells the main process while it runs."""

from typing import NamedTuple

from bench.record import EpochPoint


class CellStarted(NamedTuple):
    """A cell begins."""

    cell_id: str


class EpochEnded(NamedTuple):
    """One epoch of the cell that runs is over."""

    cell_id: str
    point: EpochPoint
    images_per_second: float


class CellEnded(NamedTuple):
    """The record of a cell is on the disk."""

    cell_id: str
    status: str
    summary: str  # one line: the scores, or what went wrong


class GroupRetried(NamedTuple):
    """The worker died that trained the heads of several seeds together: each runs alone, once."""

    strategy: str  # with its architecture
    num_seeds: int
    death: str  # how the worker ended


class Noted(NamedTuple):
    """Something that a person should know, such as a cache that could not be used."""

    text: str


Event = CellStarted | EpochEnded | CellEnded | GroupRetried | Noted
