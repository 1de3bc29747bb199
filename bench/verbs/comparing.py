"""What is compared: two sides and the past, read from where they lie."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bench.analysis.digest import Digest, PastRun
    from bench.analysis.verdict import Comparison, Rates
    from bench.record import Calibration


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
        (*before.notes, *after.notes, *((note,) if past.unreadable else ())),
    )


def compared(given: Given) -> "Comparison":
    """The comparison of it. Raises FolderError where a side is damaged."""
    from bench.analysis.compare import compare as compare_
    from bench.errors import FolderError

    try:
        found = compare_(given.baseline, given.candidate, given.past)
    except ValueError as error:
        raise FolderError(f"{' and '.join(map(str, given.places))}: {error}") from error
    if away := found.elsewhere:
        found = found._replace(elsewhere=away._replace(rates=rates(given)))
    return found._replace(notes=(*found.notes, *given.notes))


def rates(given: Given) -> "tuple[Rates, ...]":
    """What cells reached of what their machines allow."""
    from bench.analysis import elsewhere

    def floor(work: elsewhere.Work, calibration: "Calibration") -> float | None:
        from bench.models.roofline import image_seconds  # torch: only where there is work

        return image_seconds(*work, calibration)

    return elsewhere.rates(given.baseline, given.candidate, floor)
