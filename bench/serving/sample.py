"""Images to check an export on: of the run's val part where they can be found. Without torch."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from bench.data.folder import list_tree
from bench.data.split import Row
from bench.record import Part
from bench.serving.findings import Images

NUM_IMAGES = 32
"""Enough to meet every class of most data sets, and quick on any network."""

VAL: Part = "val"
T = TypeVar("T")


def images_of(run_folder: Path, name: str, asked: Path | None) -> Images:
    """Images of the val part below the folder asked for, or below one of the data set's name.

    Where those of a folder asked for are other images, some of these. No image where none is
    found: a record holds no path.
    """
    rows = val_rows(run_folder)
    # A folder may be called digits as well; its images lie in folders of their classes.
    if name == "digits" and asked is None and rows and "/" not in rows[0].key:
        return chosen("digits", rows, range(len(rows)))
    place = asked or Path(name)
    present = [n for n, row in enumerate(rows) if (place / row.key).is_file()]
    if present:
        return chosen(str(place), rows, present)
    if asked is not None:
        keys = evenly(list_tree(asked, "").images)
        return Images(str(asked), tuple(keys), (None,) * len(keys), (), f"images of {asked}")
    return Images(None, (), (), (), f"the images of {name} are not here: name them by --images DIR")


def chosen(source: str, rows: Sequence[Row], present: Sequence[int]) -> Images:
    """Some of the val images that are there, which must be those of the split."""
    positions = evenly(present)
    return Images(
        source,
        tuple(rows[n].key for n in positions),
        tuple(rows[n].sha256 for n in positions),
        tuple(positions),
        "images of the run's val part",
    )


def evenly(all_of_them: Sequence[T]) -> list[T]:
    """At most so many, evenly spaced: images are listed class by class."""
    step = max(1.0, len(all_of_them) / NUM_IMAGES)
    return [all_of_them[int(n * step)] for n in range(min(NUM_IMAGES, len(all_of_them)))]


def val_rows(run_folder: Path) -> list[Row]:
    """The rows of val in split.csv, in order; none where the file is missing or damaged."""
    try:
        with (run_folder / "split.csv").open(encoding="utf-8", newline="") as file:
            return [Row(r[0], r[1], VAL, r[3]) for r in csv.reader(file) if r[2] == VAL]
    except (OSError, ValueError, IndexError, csv.Error):
        return []
