"""Everything a user can get wrong, each kind with its exit code.

Torch-free and cheap to import. Each error pickles with its fields, so a child process raises it
and the main process raises it again.
"""

import difflib
import errno
import tempfile
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import ClassVar, NamedTuple


class Exit(IntEnum):
    """Exit codes of `bench`; a signal adds its number to 128."""

    OK = 0
    BUG = 1
    INPUT = 2  # nothing was trained
    NOT_ALL_OK = 3  # finished, but a cell is not ok, or nothing could be judged
    REGRESSION = 4
    FOLDER = 6  # the folder or the host


class BenchError(ValueError):
    """A mistake of the user's or of the host: what is wrong, where, and what to do, by line."""

    exit_code: ClassVar[Exit] = Exit.INPUT
    code: ClassVar[str] = "E-INPUT"

    def __init__(self, problems: str | Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = problems.splitlines() if isinstance(problems, str) else list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class InputError(BenchError):
    """What was asked for cannot be done."""


class DataError(BenchError):
    """A data set has mistakes: all that could be found at once."""


class WeightsError(BenchError):
    """The weights asked for do not exist, cannot be fetched or cannot be used."""


class DeviceError(BenchError):
    """The device asked for cannot be used."""


class FolderError(BenchError):
    """The run folder or the disk below it cannot be used."""

    exit_code = Exit.FOLDER
    code = "E-FOLDER"


class Damaged(FolderError):
    """What bench wrote into a folder cannot be read back."""


class OutOfMemory(BenchError):
    """Main memory ran out, of the machine or of what it allows this process."""

    exit_code = Exit.FOLDER
    code = "E-MEMORY"

    def __init__(self, what: str) -> None:
        more = "free some, raise the limit of it, or ask for smaller images or batches"
        super().__init__([f"out of memory: {what}", more])
        self.args = (what,)


class NotOneTask(BenchError):
    """Runs do not belong together: every field that differs."""

    def __init__(self, first: str, other: str, differences: Sequence[str]) -> None:
        heading = f"{first} and {other} are not runs of one task:"
        super().__init__([heading, *(f"  {text}" for text in differences)])
        self.args = (first, other, differences)
        self.differences = list(differences)


class SideFailed(BenchError):
    """A side could not run, or its runs cannot be read: what, and its last lines."""

    exit_code = Exit.NOT_ALL_OK
    code = "E-SIDE"


class Problem(NamedTuple):
    """One mistake: the dotted key it was found at ("" for the file as a whole), and what to do."""

    key: str
    text: str


class SuiteError(BenchError):
    """A suite file has mistakes: all of them."""

    code = "E-SUITE"

    def __init__(self, place: str, mistakes: Sequence[Problem]) -> None:
        super().__init__([f"{key}  {text}".strip() for key, text in mistakes])
        self.args = (place, mistakes)
        self.place = place
        self.mistakes = list(mistakes)

    def __str__(self) -> str:
        return f"{self.place}: " + "; ".join(f"{key} {text}" for key, text in self.mistakes)


class Stopped(BaseException):
    """A signal asked bench to stop; not an Exception, so that nothing swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


NO_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "Cannot allocate memory",
    "std::bad_alloc",
    "can't start new thread",
    "failed to map segment",
)
"""What libraries say where main memory runs out; a thread needs room for its stack."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether main memory ran out."""
    match error:
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return True
        case RuntimeError() | ImportError():
            return any(mark in str(error) for mark in NO_MEMORY)
    return False


def as_ours(error: Exception) -> BenchError | None:
    """The error as one that says what to do; None where it is neither of memory nor of a name."""
    if is_out_of_memory(error):
        return OutOfMemory(first_line(error))
    if isinstance(error, OSError):
        if error.errno == errno.ENAMETOOLONG:
            return InputError([f"{str(error.filename)[:60]}...: is too long for a name of a file"])
        if "AF_UNIX path too long" in str(error):
            return InputError([f"TMPDIR is too long for sockets: {tempfile.gettempdir()}"])
    return None


def unknown(name: object, accepted: Sequence[str]) -> str:
    """Text for a name that is not among the accepted ones: the nearest, or all when few."""
    hint = meant(str(name).lower(), accepted)
    if len(accepted) <= 20:
        hint = f"{hint or ' –'} accepted are " + ", ".join(f'"{match}"' for match in accepted)
    return f"unknown{hint or ' – see `python -m bench list architectures`'}"


def meant(name: str, accepted: Iterable[str], most: int = 2) -> str:
    """Text that asks for the nearest names, to go behind others; empty where none is near."""
    near = [f'"{match}"' for match in difflib.get_close_matches(name, list(accepted), n=most)]
    return f" – did you mean {' or '.join(near)}?" if near else ""


def first_line(error: BaseException) -> str:
    """What an error says in its first line, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def lower(text: str) -> str:
    """The text with a small first letter, as our messages begin."""
    return text[:1].lower() + text[1:]


def first(texts: Sequence[str], most: int, comma: str = ",") -> str:
    """`a, b and 3 more`; with another comma `a; b; and 3 more`."""
    more = len(texts) - most
    rest = f"{comma.strip(',')} and {more:,} more" if more > 0 else ""
    return f"{comma} ".join(texts[:most]) + rest
