"""Where --out may write: nowhere that something is lost."""

import os
from collections.abc import Sequence
from pathlib import Path

from bench.errors import InputError

RECORDS = ("run.json", "record.json", "split.csv")
"""Files of a run folder that cannot be made again."""


def check_file(place: Path | None, given: Sequence[Path] = ()) -> None:
    """Raise InputError where a file cannot be meant: a folder, records, or what is read."""
    if place is None:
        return
    if place.is_dir():
        raise InputError([f"--out: {place} is a folder; name a file"])
    if place.name in RECORDS or os.path.realpath(place) in map(os.path.realpath, given):
        raise InputError([f"--out: {place} holds what would be lost; name another file"])
