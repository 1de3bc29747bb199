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
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any, Literal

from bench.errors import BenchError, first_line

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
Answer = tuple[Literal["told", "value", "mistake", "bug", "died"], Any]


class ChildCrashed(RuntimeError):
    """A child ended without an answer, or raised what is no mistake of the user's."""

    def __init__(self, function: str, how: str, exitcode: int | None, log: str = "") -> None:
        super().__init__(f"{function} {how}\n{log}".rstrip())
        self.how, self.exitcode = how, exitcode


def call(function: str, *arguments: object, listen: Listener | None = None) -> Any:
    """The value of "module:function" in a child.

    With `listen`, the function gets one more argument to tell with: what it tells is heard here.
    Raises the BenchError that the function raised, and ChildCrashed where it raised anything else
    or its process died. Where nobody waits any longer, as when a signal stops the command, the
    child is killed.
    """
    chosen = context()
    receiver, sender = chosen.Pipe(duplex=False)
    process = chosen.Process(  # type: ignore[attr-defined]
        target=_run, args=(sender, function, arguments, listen is not None), daemon=True
    )
    process.start()
    sender.close()  # so that the pipe ends when the child does
    try:
        outcome, value = _answer(receiver, listen)
    except BaseException:
        process.kill()
        with suppress(Exception):  # what it had told before that
            _answer(receiver, listen)
        raise
    finally:
        process.join()
        receiver.close()
    match outcome:
        case "value":
            return value
        case "mistake":
            raise value
        case "bug":
            error, log = value
            raise ChildCrashed(function, f"raised {error}", process.exitcode, log)
        case _:
            raise ChildCrashed(function, exit_text(process.exitcode), process.exitcode)


def _answer(receiver: Connection, listen: Listener | None) -> Answer:
    while True:
        try:
            outcome, value = receiver.recv()
        except (EOFError, OSError):  # OSError: it ended in the middle of a message
            return "died", None
        if outcome != "told" or listen is None:
            return outcome, value
        listen(value)


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
    _end_with_parent()
    if tells:
        arguments = (*arguments, lambda told: sender.send(("told", told)))
    module, name = function.split(":")
    answer: Answer
    try:
        answer = "value", getattr(importlib.import_module(module), name)(*arguments)
    except BenchError as error:
        answer = "mistake", error
    except Exception as error:  # told to the main process, which ends with it
        text = f"{type(error).__name__}: {first_line(error)}"
        answer = "bug", (text, traceback.format_exc())
    sender.send(answer)


def _end_with_parent() -> None:
    """Leave when the main process is gone, even if it was killed: no orphan goes on training."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only ever called in a child"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
