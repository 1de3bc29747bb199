"""How many of torch's threads a piece of work is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

ONE_THREAD_MACS = 4_000_000
"""Multiply-adds of a step up to which one thread does it.

Shared out, each of its operations waits for the slowest thread. That gains little where all cores
are free, and where another process has one of them it waits for the scheduler, many times a step:
of three heads on 512 features, on two cores beside a process that kept one busy, 1.1 ms in one
thread; in two 0.7 at one time and 42 at another.
"""


@contextmanager
def threads_for(step_macs: int) -> Iterator[None]:
    """Within, torch has one thread for steps as small as this, and else those that it had."""
    before = torch.get_num_threads()
    if step_macs <= ONE_THREAD_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
