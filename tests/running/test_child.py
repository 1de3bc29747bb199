"""Asking a child process: its answer, its refusal, its end."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any, NoReturn

import numpy as np
import psutil
import pytest
import torch

from bench.errors import DeviceError, OutOfMemory
from bench.running import child
from bench.running.child import ChildCrashed

HERE = "tests.running.test_child"


def double(number: int) -> int:
    return 2 * number


def interrupts_blocked() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def slip() -> NoReturn:
    raise ValueError("a ValueError of numpy's is no mistake of the user's")


def test_the_value_of_a_function_comes_back() -> None:
    assert child.call(f"{HERE}:double", 21) == 42


def count(number: int, tell: Callable[[str], None]) -> int:
    for n in range(number):
        tell(f"{n} of {number}")
    return number


def test_what_a_function_tells_is_heard_before_its_value() -> None:
    heard: list[str] = []
    assert child.call(f"{HERE}:count", 3, listen=heard.append) == 3
    assert heard == ["0 of 3", "1 of 3", "2 of 3"]


def test_a_mistake_of_the_users_comes_back_line_by_line() -> None:
    with pytest.raises(DeviceError) as caught:
        child.call("bench.running.examine:examine", "tpu")
    assert caught.value.problems == ["--device: expected auto, cpu, cuda or cuda:N, got 'tpu'"]


def test_a_bug_is_not_taken_for_a_mistake_of_the_users() -> None:
    with pytest.raises(ChildCrashed, match=r"(?s)slip raised ValueError: .*Traceback.*numpy's"):
        child.call(f"{HERE}:slip")


def test_a_child_that_dies_is_named_with_its_signal() -> None:
    with pytest.raises(ChildCrashed, match="die was killed by SIGKILL"):
        child.call(f"{HERE}:die", signal.SIGKILL)


def stay(tell: Callable[[int], None]) -> None:
    tell(os.getpid())
    signal.pause()


def test_a_child_ends_where_nobody_waits_for_it_any_longer() -> None:
    heard: list[int] = []

    def stop(number: int) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.call(f"{HERE}:stay", listen=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(heard[0], 0)


def leave_one_behind(tell: Callable[[int], None]) -> None:
    """Die, while a child of this child keeps the pipe open."""
    if grandchild := os.fork():
        tell(grandchild)
        os._exit(7)
    time.sleep(60)
    os._exit(0)


def test_a_child_has_ended_though_a_child_of_its_own_keeps_its_pipe_open() -> None:
    heard: list[int] = []
    began = time.monotonic()
    with pytest.raises(ChildCrashed, match="leave_one_behind ended with exit code 7"):
        child.call(f"{HERE}:leave_one_behind", listen=heard.append)
    assert time.monotonic() - began < 20
    os.kill(heard[0], signal.SIGKILL)


def stop_for_good(tell: Callable[[tuple[int, int]], None]) -> None:
    """Stand still and do not mind SIGABRT, and a child of this child with it."""
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    if grandchild := os.fork():
        tell((os.getpid(), grandchild))
        while True:
            os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


@pytest.mark.slow
def test_a_child_that_stands_still_is_ended_with_its_children_when_the_watch_says_so() -> None:
    heard: list[tuple[int, int]] = []

    def watch() -> str | None:
        return "took too long" if heard else None

    with pytest.raises(ChildCrashed, match="stop_for_good took too long") as caught:
        child.call(f"{HERE}:stop_for_good", listen=heard.append, watch=watch)
    assert caught.value.how == "took too long"
    known = [psutil.Process(one) for one in heard[0] if psutil.pid_exists(one)]
    _, alive = psutil.wait_procs(known, timeout=10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_where_the_server_was_killed_another_takes_its_place() -> None:
    assert child.call(f"{HERE}:double", 1) == 2
    server: Any = forkserver._forkserver
    os.kill(server._forkserver_pid, signal.SIGKILL)
    assert child.call(f"{HERE}:double", 2) == 4


def ask_for_too_much() -> float:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
    return float(np.ones(1 << 30).sum())


def ask_torch_for_too_much() -> float:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
    return float(torch.ones(1 << 40).sum())


def end_as_a_library_without_memory() -> None:
    os.abort()


@pytest.mark.parametrize("function", [ask_for_too_much, ask_torch_for_too_much])
def test_too_little_memory_is_no_bug(function: Callable[[], float]) -> None:
    with pytest.raises(OutOfMemory) as caught:
        child.call(f"{HERE}:{function.__name__}")
    assert caught.value.problems[0].startswith("out of memory: ")


def test_under_a_limit_an_abort_is_for_want_of_memory() -> None:
    name = f"{HERE}:end_as_a_library_without_memory"
    with pytest.raises(ChildCrashed, match="was killed by SIGABRT"):
        child.call(name)
    with limited(), pytest.raises(OutOfMemory, match=r"SIGABRT, .* address space \(ulimit -v\)"):
        child.call(name)


@contextmanager
def limited() -> Iterator[None]:
    """A limit of address space that nothing meets."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 46, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_under_a_limit_a_server_that_does_not_live_is_for_want_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_process: object) -> None:
        raise EOFError

    # As the server's socket answers when its process dies of std::bad_alloc at each start.
    monkeypatch.setattr(ForkServerProcess, "start", refused)
    with pytest.raises(ChildCrashed, match="could not be started"):
        child.call(f"{HERE}:double", 1)
    with limited(), pytest.raises(OutOfMemory, match=r"could not be started \(EOFError\), and may"):
        child.call(f"{HERE}:double", 1)


def test_ctrl_c_does_not_reach_children() -> None:
    assert child.call(f"{HERE}:interrupts_blocked")
    assert not interrupts_blocked()


def waiting() -> str | None:
    return os.environ.get("GOMP_SPINCOUNT")


def test_threads_of_children_sleep_soon_and_this_process_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in child.WAITING:
        monkeypatch.delenv(name, raising=False)
    assert child.call(f"{HERE}:waiting") == child.SPINS
    assert waiting() is None


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_how_threads_wait_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for one in child.WAITING:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, "active" if name == "OMP_WAIT_POLICY" else "100")
    before = dict(os.environ)
    with child.short_spinning():
        assert dict(os.environ) == before
    assert dict(os.environ) == before


def touched_cuda() -> bool:
    here: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return here or torch.cuda._is_in_bad_fork()  # the latter if the server did


def test_the_server_has_not_touched_cuda_when_a_child_is_forked() -> None:
    assert not child.call(f"{HERE}:touched_cuda")


def double_on_gpu(number: int) -> int:
    return int(torch.tensor(number, device="cuda").mul(2).item())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_each_child_may_use_the_gpu() -> None:
    assert [child.call(f"{HERE}:double_on_gpu", number) for number in (1, 2)] == [2, 4]


@pytest.mark.parametrize(
    ("code", "text"),
    [(None, "still running"), (-11, "was killed by SIGSEGV"), (3, "ended with exit code 3")],
)
def test_the_end_of_a_process_in_words(code: int | None, text: str) -> None:
    assert child.exit_text(code) == text
