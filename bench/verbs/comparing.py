"""What is compared: two sides and the past, read from where they lie."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.analysis.digest import Digest, PastRun
    from bench.analysis.verdict import Comparison


class Given(NamedTuple):
    """What is compared, and where it was read."""

    baseline: "Digest"
    candidate: "Digest"
    past: "list[PastRun]"
    places: tuple[Path, Path]
    notes: tuple[str, ...]


def read(baseline: Path, candidate: Path, results: Path) -> Given:
    """What lies there. Raises InputError or FolderError."""
    from bench.verbs import sides

    before, after = sides.read(baseline), sides.read(candidate)
    past = sides.history(results, after.run.suite_name)
    note = f"past runs below {results} that could not be read: {past.unreadable}"
    return Given(
        before.run,
        after.run,
        [*before.past, *after.past, *past.runs],
        (baseline, candidate),
        (note,) if past.unreadable else (),
    )


def compared(given: Given) -> "Comparison":
    """The comparison of it. Raises FolderError where a side is damaged."""
    from bench.analysis.compare import compare as compare_
    from bench.store import FolderError

    try:
        found = compare_(given.baseline, given.candidate, given.past)
    except ValueError as error:
        raise FolderError(f"{' and '.join(map(str, given.places))}: {error}") from error
    return found._replace(notes=(*found.notes, *given.notes))
