"""The second run that `bench compare --confirm` makes of what it flagged."""

import os
from collections.abc import Callable, Collection, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from bench.terminal import plain, status
from bench.verbs.consoles import beside, err
from bench.verbs.exits import InputError

if TYPE_CHECKING:
    from bench.analysis.verdict import Comparison
    from bench.record import Run
    from bench.running.again import Record
    from bench.running.sitting import Assignment
    from bench.suite import SuiteFile
    from bench.verbs.comparing import Given


class Asked(NamedTuple):
    """What the second run is made by."""

    file: "SuiteFile"
    device: str
    offline: bool


def asked_again(
    candidate: Path, suite: Path | None, device: str | None, dataset: str | None, *, offline: bool
) -> Asked | None:
    """How a second run is to be made, if it is asked for. Raises InputError or SuiteError."""
    from bench.suite import read_suite

    given = {"--device": device, "--dataset": dataset, "--offline": offline}
    if suite is None:
        if alone := [name for name, value in given.items() if value]:
            raise InputError([f"{', '.join(alone)}: only with --confirm SUITE"])
        return None
    if candidate.is_file():
        raise InputError([f"--confirm: {candidate} is no run folder, and cannot run again"])
    return Asked(read_suite(suite, dataset), device or "auto", offline)


def confirmed(found: "Comparison", given: "Given", how: Asked) -> "Comparison":
    """The comparison after a second run of what is flagged. Raises InputError or FolderError."""
    from bench.analysis import confirm
    from bench.verbs import sides
    from bench.verbs.comparing import compared

    doubted = confirm.doubts(found, given.candidate.device)
    if not doubted:
        note = "nothing to confirm: nothing is flagged that a second run could show otherwise"
        return found._replace(notes=(*found.notes, note))
    candidate = given.candidate

    def shown(folder: Path) -> "Comparison":
        other = given._replace(
            candidate=confirm.second_side(candidate, sides.read_folder(folder)),
            past=confirm.past_of(candidate, given.past),
            places=(given.places[0], folder),
        )
        return confirm.confirmed(found, doubted, compared(other), folder.name)

    labels = confirm.again(doubted, found, candidate)
    return shown(second_run(given.places[1], labels, how, lambda f: confirm.is_told(shown(f))))


# ---- making it ------------------------------------------------------------------------------


def second_run(
    candidate: Path, labels: Collection[str], asked: Asked, tells: Callable[[Path], bool]
) -> Path:
    """Run these architectures of a run once more; the folder beside it that holds them.

    An earlier second run is not repeated if it `tells` of all that is flagged. What is done is said
    on standard error: a program may be reading the comparison. Raises InputError where this is not
    the candidate's task on the candidate's machine, or FolderError.
    """
    from bench.folder import locked, read_records, read_run, remove_weights_but
    from bench.running import again
    from bench.running.local import Stopped
    from bench.verbs.run import decode, train_in

    run, records = read_run(candidate), read_records(candidate)
    whole = assigned(candidate, run, records, asked)
    part = again.of_architectures(whole, labels, f"{run.suite_name} (again)")
    folder = place(candidate, part, records, tells)
    if is_finished(folder):
        err.print(Text(plain(f"the second run is there already: {folder}")))
        return folder
    names = ", ".join(sorted(labels))
    err.print(Text(plain(f"a second run, of {names}, to confirm what is flagged: {folder}")))
    if (part.hardware.commit or "").endswith("+dirty"):
        note = "bench has changes that are not committed: whether the first run had them is unknown"
        err.print(Text(f"note: {note}"))
    made = decode(part, beside)
    with locked(folder):
        again.begin_architectures_anew(folder, part.cells)
        try:
            train_in(folder, part, made, beside)
        except Stopped:
            err.print(Text("stopped; the same command goes on from here"))
            raise
        # Kept while it ran, so that each process does what it did before.
        remove_weights_but(folder, ())
    return folder


def assigned(
    candidate: Path, run: "Run", records: "Sequence[Record]", asked: Asked
) -> "Assignment":
    """All cells of the suite, known to be those of the candidate. Raises InputError."""
    from bench.running import again, sitting

    with status(beside, "looking at the device"):
        hardware = sitting.find_hardware(asked.device)
    if problems := again.other_conditions(hardware, records):
        raise InputError([f"{candidate} cannot run again here, for costs would differ:", *problems])
    suite = asked.file.profiles[hardware.device.profile]
    with status(beside, "looking at the images"):
        images = sitting.open_images(suite)
    used = run.source.used
    wanted = sitting.wanted_weights(suite, offline=asked.offline, pinned_source=used)
    with status(beside, "looking for weights"):
        prepared = sitting.fetch_weights(wanted)
        found = sitting.assign(suite, asked.file.place, hardware, images, prepared)
    if problems := again.other_cells(found.cells, run, records):
        raise InputError([f"{asked.file.place} is not the suite of {candidate}:", *problems])
    return found


# ---- where it lies --------------------------------------------------------------------------


def place(
    candidate: Path,
    part: "Assignment",
    records: "Sequence[Record]",
    tells: Callable[[Path], bool],
) -> Path:
    """The folder beside the candidate where this second run is, goes on, or begins."""
    first = candidate if candidate.name not in ("", "..") else candidate.resolve()
    if not os.access(first.absolute().parent, os.W_OK | os.X_OK):
        raise InputError([f"{first.parent}: is not writable; the second run would lie there"])
    numbered = (first.with_name(f"{first.name}-again-{number}") for number in count(1))
    return next(folder for folder in numbered if serves(folder, part, records, tells))


def is_finished(folder: Path) -> bool:
    """Whether a second run that serves has come to its end, and so tells what it can."""
    from bench.folder import read_run

    return (folder / "run.json").exists() and read_run(folder).status == "finished"


def serves(
    folder: Path,
    part: "Assignment",
    records: "Sequence[Record]",
    tells: Callable[[Path], bool],
) -> bool:
    """Whether a folder is free, or holds a run of these cells that tells something or may yet.

    One that could not tell, or was made in another way than the first, is left alone: another is
    begun.
    """
    from bench.analysis.stability import unstable
    from bench.folder import FolderError, read_records
    from bench.running import again, sitting

    first = {record.cell_id: record for record in records}
    try:
        earlier = sitting.earlier_run(folder)
        if earlier is None:
            return True
        sitting.begin(part, earlier)
        done = [one for one in read_records(folder) if one.status == "ok"]
        if not all(again.is_like(one, first.get(one.cell_id)) for one in done):
            return False
        return tells(folder) if earlier.status == "finished" else unstable(earlier) is None
    except FolderError:
        return False
