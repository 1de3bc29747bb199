"""Child processes that have torch: forked from a server that imported it, and never by us.

The main process must stay without torch, so what runs in a child is named by text,
"package.module:function", and imported there. The server imports torch once and never touches
CUDA, so each child starts in a fraction of a second and may still use the GPU.
"""

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from bench.errors import BenchError

WARM = ["bench.running.worker"]
"""Modules whose imports children need."""


class ChildCrashed(RuntimeError):
    """A child ended without an answer, or raised what no user's mistake explains."""


class Child(NamedTuple):
    """A running child and the pipe that its messages come through."""

    process: BaseProcess
    messages: Connection


def context() -> BaseContext:
    """Fork from a server that imported torch; where the system has no fork, start afresh."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(WARM)
    resource_tracker.ensure_running()  # the server would start it, and it unblocks SIGINT
    with no_interrupt():
        forkserver.ensure_running()
    return chosen


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Let no process that starts inside see Ctrl-C, which is the main process's to handle.

    A blocked signal stays blocked in children and their children; ours is delivered afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(function: str, *arguments: object) -> Child:
    """Run "module:function" with a sender and the arguments in a child."""
    chosen = context()
    receiver, sender = chosen.Pipe(duplex=False)
    process = chosen.Process(  # type: ignore[attr-defined]
        target=_run, args=(sender, function, arguments), daemon=True
    )
    process.start()
    sender.close()  # so that the pipe ends when the child does
    return Child(process, receiver)


def call(function: str, *arguments: object, listen: Callable[[Any], None] | None = None) -> Any:
    """The value of "module:function" in a child.

    With `listen`, the function gets one more argument, to tell with: what it tells is heard here.
    Raises the BenchError that the child raised, and ChildCrashed where it raised anything else or
    ended without an answer.
    """
    child = start("bench.running.child:answer", function, arguments, listen is not None)
    try:
        outcome, value = child.messages.recv()
        while listen is not None and outcome == "told":
            listen(value)
            outcome, value = child.messages.recv()
    except (EOFError, OSError):  # OSError: it ended in the middle of its answer
        child.process.join()
        raise ChildCrashed(f"{function}: {exit_text(child.process.exitcode)}") from None
    except BaseException:  # nobody waits any longer, as when a signal stops the command
        child.process.kill()
        child.process.join()
        raise
    finally:
        child.messages.close()
    child.process.join()
    if outcome == "mistake":
        raise value
    if outcome == "bug":
        raise ChildCrashed(f"{function} failed in a child process:\n{value}")
    return value


def answer(sender: Connection, function: str, arguments: tuple[object, ...], tells: bool) -> None:
    """Send ("value", ...), ("mistake", error) for a user's mistake, or ("bug", traceback).

    Before that, ("told", ...) for what a function that tells has told.
    """
    message: tuple[str, object]
    try:
        if tells:
            arguments = (*arguments, lambda told: sender.send(("told", told)))
        message = ("value", _found(function)(*arguments))
    except BenchError as error:
        message = ("mistake", error)
    except Exception:  # told to the main process, which ends with it
        message = ("bug", traceback.format_exc())
    sender.send(message)


def _run(sender: Connection, function: str, arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where children are not forked, see no_interrupt
    _end_with_parent()
    _found(function)(sender, *arguments)


def _found(function: str) -> Callable[..., Any]:
    module, name = function.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _end_with_parent() -> None:
    """Leave when the main process is gone, even if it was killed: no orphan goes on training."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only ever called in a child"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def exit_text(exitcode: int | None) -> str:
    """How a process ended, in words: the signal by its name."""
    if exitcode is None:
        return "still running"
    if exitcode < 0:
        return f"was killed by {signal.Signals(-exitcode).name}"
    return f"ended with exit code {exitcode}"
