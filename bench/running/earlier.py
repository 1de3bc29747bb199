"""The run that a folder holds already: which one it is, and whether it may be continued."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.errors import Damaged, FolderError, InputError, first
from bench.folder import check_usable, read_inside, read_run
from bench.identity import Difference, differences, flat, leaves, slug
from bench.record import Machine, Run


def earlier_run(folder: Path) -> Run | None:
    """The run of the folder; None where there is none, or it is damaged. Raises FolderError."""
    check_usable(folder)
    with suppress(Damaged):
        return read_run(folder) if (folder / "run.json").exists() else None
    return None


def newest_stopped(results: Path, suite_name: str, folder: Path | None) -> Path:
    """The newest run of a suite below the results that did not end. Raises InputError.

    A folder that was named as well is one too many.
    """
    if folder is not None:
        raise InputError([f"--resume and --out {folder}: name one of them"])
    found = sorted((results / slug(suite_name)).glob("*/run.json"), reverse=True)
    for path in found:
        with suppress(FolderError):
            if read_run(path.parent).status != "finished":
                return path.parent
    raise InputError([f"--resume: no run of {suite_name} below {results} was stopped"])


TASK = {
    "profile": "the device profile",
    "suite": "the suite",
    "data": "the images or their split",
    "protocol_version": "bench's protocol",
    "cells": "the weights or a default",
}
"""Fields of run.json that both sittings must agree on."""

NO_CELL = ("keep_weights", "compare", "run")
"""Keys of a suite that change no cell: the later sitting's count."""

LONGER = ("architectures", "strategies", "seeds")
"""Keys of a suite that may become longer."""


def go_on(earlier: Run, fresh: Run, images: Sequence[str] = ()) -> Run:
    """The earlier run, to be continued; with what its suite has more by now.

    `images` says in which images the two differ. Raises FolderError where it was another task.
    """
    # Of the list of weights, a run keeps what it found first.
    fresh = fresh.model_copy(
        update={"suite": fresh.suite.model_copy(update={"weights": earlier.suite.weights})}
    )
    new = [name for name in fresh.cells if name not in set(earlier.cells)]
    is_longer = bool(new) and set(earlier.cells) <= set(fresh.cells)
    taken = {key: getattr(fresh.suite, key) for key in (*NO_CELL, *LONGER * is_longer)}
    suite = earlier.suite.model_copy(update=taken)
    continued = earlier.model_copy(update={"suite": suite})
    if is_longer:
        fields = ("cells", "preprocessing", "pretrained_on")
        grown = {name: getattr(fresh, name) for name in fields}
        continued = continued.model_copy(update={**grown, "added": (*earlier.added, *new)})
    then, asked = (run.model_dump(include=set(TASK)) for run in (continued, fresh))
    for field, name in TASK.items():
        if changes := differences(flat(field, then[field]), flat(field, asked[field])):
            texts = images if field == "data" and images else [*map(str, changes)]
            raise FolderError(
                f"--out: the run in this folder was another task: {name} changed since "
                f"({first(texts, 3, ';')}); name a new folder"
            )
    return continued


def other_machine(run: Run, machine: Machine) -> list[Difference]:
    """What tells the machine from that on which the run began, where both are known."""
    then, now = (
        {path: value for path, value, _ in leaves(one, "machine.") if value is not None}
        for one in (run.machine, machine)
    )
    found = differences(then, now, buckets=("numerics", "performance"))
    return [one for one in found if one.on_both_sides]


# ---- its images --------------------------------------------------------------------------------


class Row(NamedTuple):
    """An image as split.csv tells it."""

    key: str
    class_name: str
    part: str
    sha256: str


def earlier_rows(folder: Path) -> list[Row]:
    """The images of the folder's split.csv; none where it is missing or damaged."""
    with suppress(OSError, ValueError, TypeError):
        text = read_inside(folder, "split.csv").decode()
        _heading, *lines = csv.reader(io.StringIO(text, newline=""))
        rows = [Row(*line) for line in lines]
        return [  # without what keeps spreadsheets from running names
            row._replace(
                key=row.key.removeprefix("./"), class_name=row.class_name.removeprefix("'")
            )
            for row in rows
        ]
    return []


def image_changes(before: Iterable[Row], after: Iterable[Row]) -> list[str]:
    """In words which images were added, removed or changed, or are of another class or part.

    Where an image has another name, it is known by its content.
    """
    then, now = ({row.key: row for row in rows} for rows in (before, after))
    gone = {row.sha256: row for key, row in then.items() if key not in now}
    new = {row.sha256: row for key, row in now.items() if key not in then}
    renamed = [(gone[sha256], new[sha256]) for sha256 in gone.keys() & new.keys()]
    pairs = [*((then[key], now[key]) for key in then.keys() & now.keys()), *renamed]
    named = {
        "added": [row.key for sha256, row in new.items() if sha256 not in gone],
        "removed": [row.key for sha256, row in gone.items() if sha256 not in new],
        "changed": [a.key for a, b in pairs if a.sha256 != b.sha256],
        "now in another part": [
            b.key for a, b in pairs if a.part != b.part and a.class_name == b.class_name
        ],
    }
    classes = Counter((a.class_name, b.class_name) for a, b in pairs)
    return [
        *(f"{how_many(len(keys))} {what}: {first(sorted(keys), 3)}"
          for what, keys in named.items() if keys),
        *(f"class {a} is now {b}, {how_many(number)}"
          for (a, b), number in sorted(classes.items()) if a != b),
    ]  # fmt: skip


def how_many(images: int) -> str:
    return "1 image" if images == 1 else f"{images:,} images"
