"""The command line: its verbs, signals, and an exit code for every way to end.

Nothing here imports torch; what only torch can tell is asked of a child process. Imports stand
inside the verbs, so that --help answers at once.
"""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from bench.errors import BenchError, Exit, FolderError, Stopped, SuiteError, as_ours
from bench.terminal import complain, open_outputs
from bench.verbs.ab import ab
from bench.verbs.baseline import baseline
from bench.verbs.compare import compare
from bench.verbs.doctor import doctor
from bench.verbs.export import export
from bench.verbs.history import history
from bench.verbs.list import inspect, list_
from bench.verbs.predict import predict
from bench.verbs.report import report
from bench.verbs.run import run

app = typer.Typer(
    name="bench",
    help="Which pretrained architecture should I use for my images, trained how?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (run, list_, inspect, report, export, predict, compare, ab, history, doctor):
    app.command(verb.__name__.rstrip("_"))(verb)
app.add_typer(baseline, name="baseline")


STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_ignored(number: signal.Signals) -> bool:
    """Whether it was decided before that this is no reason to stop, as `nohup` does."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the signals of `STOPS` end the work in good order: they raise Stopped."""

    def stop(number: int, frame: FrameType | None) -> None:
        # A second one ends it at once; but a terminal that closes is told by shell and kernel.
        once = signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL
        signal.signal(number, once)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in STOPS if not is_ignored(number)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def at_home(word: str) -> str:
    """The word with `~` filled in, which no shell does in --out=~/runs or between quotes."""
    option, equals, value = word.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(word) if word.startswith("~/") else word


UNHEARD = (["run"], ["ab"])
"""What goes on where nobody reads what it says: it takes hours, and writes files."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every way to end has its exit code and no user sees a traceback."""
    given = [at_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    if arguments is None:
        open_outputs(must_be_heard=given[:1] not in UNHEARD)
    try:
        with stoppable():
            app(given)
    except BenchError as error:
        sys.exit(refuse(error, given[0]))
    except Stopped as stop:
        sys.exit(128 + stop.signal_number)
    except Exception as error:
        if ours := as_ours(error):
            sys.exit(refuse(ours, given[0]))
        sys.exit(crash(error))  # a bug: its traceback is saved, never shown


def refuse(error: BenchError, verb: str) -> Exit:
    rest = [] if isinstance(error, FolderError) else error.problems
    complain(error.code, heading(error, verb), rest)
    return error.exit_code


UNDONE: Mapping[str, str] = {
    "run": "nothing was trained",
    "inspect": "nothing was inspected",
    "report": "nothing was reported",
    "export": "nothing was exported",
    "predict": "nothing was predicted",
    "compare": "nothing was compared",
    "ab": "nothing was compared",
    "history": "nothing was shown",
    "baseline": "nothing was accepted or shown",
}
"""What did not happen, by verb."""


def heading(error: BenchError, verb: str) -> str:
    match error:
        case SuiteError():
            count = len(error.mistakes)
            return error.place if count == 1 else f"{error.place}: {count} problems"
        case FolderError():
            return str(error)
        case _:
            return UNDONE.get(verb, "nothing was done")


def crash(error: BaseException) -> Exit:
    with tempfile.NamedTemporaryFile(
        "w", prefix="bench-crash-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
    text = (str(error).strip().splitlines() or [""])[0]
    please = f"this is a bug in bench; please report it with {file.name}"
    complain("E-BUG", f"{type(error).__name__}: {text}", [please])
    return Exit.BUG
