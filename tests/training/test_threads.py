"""Threads of small and large work."""

from collections.abc import Iterator

import pytest
import torch

from bench.training.threads import ONE_THREAD_MACS, threads_for


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """As on two cores, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("macs", "threads"), [(ONE_THREAD_MACS, 1), (ONE_THREAD_MACS + 1, 2)])
def test_only_small_work_is_done_by_one_thread(macs: int, threads: int) -> None:
    with threads_for(macs):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_work_that_fails_leaves_the_threads_as_they_were() -> None:
    with pytest.raises(ArithmeticError), threads_for(1):
        raise ArithmeticError
    assert torch.get_num_threads() == 2
