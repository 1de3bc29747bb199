"""What a run folder raises that contradicts itself, in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import FolderError

MALFORMED = (LookupError, TypeError, StopIteration, AttributeError, RecursionError)
"""What a run.json raises whose suite is not one that bench wrote."""


@contextmanager
def sound(folder: Path) -> Iterator[None]:
    """Turn what comes of records that are not of their run, or damaged, into a FolderError."""
    try:
        yield
    except FolderError:
        raise
    except ValueError as error:
        raise FolderError(f"{folder}: {error}") from error
    except MALFORMED as error:
        text = f"does not agree with itself ({type(error).__name__}: {error}); was it edited?"
        raise FolderError(f"{folder / 'run.json'}: {text}") from error
