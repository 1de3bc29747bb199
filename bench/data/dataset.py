"""A data set as a list of labelled, hashed images; nothing here reads a pixel."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.record import Part


class Item(NamedTuple):
    """One image: `part` is that of an official split, None where the data set has none."""

    key: str  # digits: "0007"; folder: the path below its root, with forward slashes
    label: int  # index into the classes of the data set
    sha256: str  # of the file's bytes; of the pixels for digits
    part: Part | None
    white: int = 65535  # the value that is white in 16-bit grey, of all items alike


@dataclass(frozen=True)
class Dataset:
    """Classes and items, both in a fixed sorted order. Pickles; holds no open file."""

    name: str  # "digits", or the folder's own last name
    source: str  # opens the same data set again: "digits", or the path as it was given
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    photographs: bool  # whether a mirrored image is still of its class
    notes: tuple[str, ...]  # what was left out, for the report

    @property
    def content_sha256(self) -> str:
        """Hash of every image with its class and official part; file names do not enter it."""
        return digest_lines(
            sorted(f"{i.part}\0{self.classes[i.label]}\0{i.sha256}" for i in self.items)
        )


def digest_lines(lines: Iterable[str]) -> str:
    """SHA-256 of the lines, each ended by a newline, in UTF-8."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def shortened(problems: Sequence[str], limit: int = 20) -> list[str]:
    rest = len(problems) - limit
    return [*problems[:limit], *([f"and {rest} more like these"] if rest > 0 else [])]
