"""Functions run in child processes that have torch, which the main process never imports.

A function is named by text, "package.module:function", and imported in the child. Children are
forked from a server that imported torch and never touched CUDA, so each starts in a fraction of a
second and may still use the GPU.
"""

import importlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Literal, NamedTuple

import psutil

from bench.errors import BenchError, OutOfMemory, as_ours, first_line
from bench.measure.cpu import address_space_limit, oom_kills

WARM = ["bench.running.worker"]
"""Modules that the server imports before it forks."""

WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
"""What tells GNU's OpenMP, which torch brings along on Linux, how threads wait."""

SPINS = "1000"
"""Looks before a thread sleeps; OpenMP's own number is 300,000.

resnet18, 48 px, batch 16, two threads on two cores of an AMD EPYC, training images/s: by default
25 to 29 and so 24 to 29 with both cores free, 9.5 to 12.4 and 18 to 22 beside a process that keeps
one busy, where one thread reaches 24. OMP_WAIT_POLICY=passive does about the same."""

Listener = Callable[[Any], None]
Watch = Callable[[], str | None]
"""Asked about every second; an answer, such as "took too long", ends the child."""

Answer = tuple[Literal["told", "value", "mistake", "bug", "died", "ended"], Any]

LOOK_SECONDS = 1.0
"""From one look at a child to the next."""

SERVER_PAUSES = (0.0, 0.2, 2.0)
"""Before each try to start a child; a server that was killed is missed a moment later."""

NO_ROOM = (1, -signal.SIGABRT)
"""How processes end in which a library, such as OpenBLAS or C++'s, gets no memory."""

GRACE_SECONDS = 5.0
"""For a child to write down where it hangs, or to leave once it has answered."""


class ChildCrashed(RuntimeError):
    """A child ended without an answer, or raised what is no mistake of the user's."""

    def __init__(self, function: str, how: str, exitcode: int | None, log: str = "") -> None:
        super().__init__(f"{function} {how}\n{log}".rstrip())
        self.how, self.exitcode = how, exitcode


def call(
    function: str,
    *arguments: object,
    listen: Listener | None = None,
    watch: Watch = lambda: None,
) -> Any:
    """The value of "module:function" in a child.

    With `listen`, the function gets one more argument to tell with: what it tells is heard here.
    Raises the BenchError that the function raised, OutOfMemory where it had too little, and
    ChildCrashed where it raised anything else, or its process died or was ended by `watch`. Where
    nobody waits any longer, as when a signal stops the command, the child is killed.
    """
    kills_before = oom_kills()
    child = _started(function, arguments, tells=listen is not None)
    process, receiver = child.process, child.receiver
    try:
        outcome, value = _answer(child, listen, watch)
        if outcome == "ended":
            _abort(child)
    except BaseException:
        _kill(child)
        with suppress(Exception):  # what it had told before that
            while receiver.poll():
                _take(receiver, listen)
        raise
    finally:
        process.join(GRACE_SECONDS)
        _kill(child)  # it may hang on its way out, or have lost its server
        process.join(GRACE_SECONDS)
        receiver.close()
    match outcome:
        case "value":
            return value
        case "mistake":
            raise value
        case "bug":
            error, log = value
            raise ChildCrashed(function, f"raised {error}", process.exitcode, log)
        case "ended":
            raise ChildCrashed(function, value, process.exitcode)
    how = exit_text(process.exitcode)
    if oom_kills() > kills_before:
        raise OutOfMemory(f"a process {how}")
    if process.exitcode in NO_ROOM:
        _blame_the_limit(how)
    raise ChildCrashed(function, how, process.exitcode)


def _blame_the_limit(how: str) -> None:
    """Raise OutOfMemory where processes have a limit of address space."""
    if most := address_space_limit():
        gib = f"{most / (1 << 30):.3g} GiB"
        raise OutOfMemory(f"a process {how}, and may have {gib} of address space (ulimit -v)")


class _Child(NamedTuple):
    process: BaseProcess
    known: psutil.Process | None  # the same, told apart from others that get its number later
    receiver: Connection  # of what it tells


def _started(function: str, arguments: tuple[object, ...], *, tells: bool) -> _Child:
    """A child that runs the function; of a new server where the old one is gone."""
    for pause in SERVER_PAUSES:
        time.sleep(pause)
        chosen = context()
        receiver, sender = chosen.Pipe(duplex=False)
        process = chosen.Process(  # type: ignore[attr-defined]
            target=_run, args=(sender, function, arguments, tells), daemon=True
        )
        try:
            process.start()
        except (EOFError, ConnectionError) as error:
            receiver.close()
            why = type(error).__name__
        else:
            with suppress(psutil.NoSuchProcess):
                return _Child(process, psutil.Process(process.pid), receiver)
            return _Child(process, None, receiver)
        finally:
            sender.close()  # so that the pipe ends when the child does
    how = f"could not be started ({why})"
    _blame_the_limit(how)
    raise ChildCrashed(function, how, None)


def _answer(child: _Child, listen: Listener | None, watch: Watch) -> Answer:
    receiver, looked = child.receiver, time.monotonic()
    while True:
        # Not the end of the pipe alone: what the child started may hold it open.
        ready = wait([receiver, child.process.sentinel], LOOK_SECONDS)
        if receiver in ready:
            if answer := _take(receiver, listen):
                return answer
        elif ready:
            return "died", None
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            if reason := watch():
                return "ended", reason


def _take(receiver: Connection, listen: Listener | None) -> Answer | None:
    """The answer, if it is the next message; else it is heard."""
    try:
        outcome, value = receiver.recv()
    except (EOFError, OSError):  # OSError: it ended in the middle of a message
        return "died", None
    if outcome != "told" or listen is None:
        return outcome, value
    listen(value)
    return None


def _abort(child: _Child) -> None:
    """Let a child write down where each of its threads is, and end."""
    if child.known is not None:
        with suppress(psutil.NoSuchProcess):
            for number in (signal.SIGABRT, signal.SIGCONT):  # it may have been stopped
                child.known.send_signal(number)
    child.process.join(GRACE_SECONDS)
    _kill(child)


def _kill(child: _Child) -> None:
    """End a child that still runs, and all that it started."""
    with suppress(psutil.NoSuchProcess):
        if child.known is not None and child.known.is_running():
            for one in (child.known, *child.known.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.kill()


def context() -> BaseContext:
    """Fork from a server that imported torch; where the system has no fork, start afresh."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(WARM)
    resource_tracker.ensure_running()  # the server would start it, and it unblocks SIGINT
    with unheard(signal.SIGINT, signal.SIGTERM, signal.SIGHUP), short_spinning():
        forkserver.ensure_running()
    return chosen


@contextmanager
def unheard(*numbers: signal.Signals) -> Iterator[None]:
    """Let no process that starts inside see signals that are the main process's to handle.

    Terminals and batch systems send them to all processes. A blocked signal stays blocked in
    children and their children; ours is delivered afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def short_spinning() -> Iterator[None]:
    """Let threads of processes that start inside sleep soon while they wait for each other.

    A thread that spins takes the core from the one that it waits for, where other processes keep
    cores busy too. OpenMP reads its variables as a process starts; what the user said stands.
    """
    said = WAITING & os.environ.keys()
    if not said:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        if not said:
            del os.environ["GOMP_SPINCOUNT"]


def exit_text(exitcode: int | None) -> str:
    if exitcode is None:
        return "still running"
    if exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"


def _run(sender: Connection, function: str, arguments: tuple[object, ...], tells: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where children are not forked, see unheard
    if tells:
        arguments = (*arguments, lambda told: sender.send(("told", told)))
    module, name = function.split(":")
    answer: Answer
    try:
        _end_with_parent()
        answer = "value", getattr(importlib.import_module(module), name)(*arguments)
    except BenchError as error:
        answer = "mistake", error
    except Exception as error:  # told to the main process, which ends with it
        text = f"{type(error).__name__}: {first_line(error)}"
        ours = as_ours(error)
        answer = ("mistake", ours) if ours else ("bug", (text, traceback.format_exc()))
    sender.send(answer)


def _end_with_parent() -> None:
    """Leave when the main process is gone, even if it was killed: no orphan goes on training."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only ever called in a child"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
