"""The command line: its verbs, signals, and an exit code for every way to end.

Nothing here imports torch; what only torch can tell is asked of a child process. Imports stand
inside the verbs, so that --help answers at once.
"""

import io
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from bench.verbs.ab import ab
from bench.verbs.baseline import baseline
from bench.verbs.compare import compare
from bench.verbs.doctor import doctor
from bench.verbs.exits import UNDONE, Exit, InputError, complain, crash
from bench.verbs.export import export
from bench.verbs.history import history
from bench.verbs.inspect import inspect
from bench.verbs.list import list_
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


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the work in good order: they raise Stopped."""
    from bench.running.local import Stopped

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every way to end has its exit code and no user sees a traceback."""
    from bench.data.dataset import DataError
    from bench.errors import SuiteError
    from bench.folder import FolderError
    from bench.running.child import Refused
    from bench.running.local import Stopped

    write_any_letter()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stoppable():
            app(given)
    except SuiteError as error:
        count = f": {len(error.problems)} problems" if len(error.problems) > 1 else ""
        problems = [f"{key}  {text}".strip() for key, text in error.problems]
        complain("E-SUITE", f"{error.place}{count}", problems)
        sys.exit(Exit.INPUT)
    except (DataError, InputError, Refused) as error:
        complain("E-INPUT", UNDONE.get(given[0], "nothing was done"), error.problems)
        sys.exit(Exit.INPUT)
    except FolderError as error:
        complain("E-FOLDER", str(error), [])
        sys.exit(Exit.FOLDER)
    except Stopped as stop:
        sys.exit(128 + stop.signal_number)
    except Exception as error:  # a bug: its traceback is saved, never shown
        sys.exit(crash(error))


def write_any_letter() -> None:
    """Print a question mark for what the locale's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
