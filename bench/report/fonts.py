"""Letters that a plot can show: fonts of this machine, and code points where no font has one.

A page leaves its fonts to the browser; a picture must find them here. A missing letter would be
an empty box, the same for every name, with a warning for each.
"""

from collections.abc import Iterable, Iterator
from functools import cache

from matplotlib.font_manager import fontManager, get_font

FIRST = "DejaVu Sans"  # comes with matplotlib
PLAIN_WEIGHTS = (400, "normal", "regular", "book")
BOXES = "Last Resort"  # has a box for every letter there is


def families(texts: Iterable[str]) -> list[str]:
    """Font families that hold every letter of the texts that any font of this machine holds."""
    letters = sorted(set("".join(texts)))
    found = (family_of(letter) for letter in letters)
    return list(dict.fromkeys([FIRST, *(family for family in found if family)]))


def drawable(text: str) -> str:
    r"""The text with `\u732b` in place of each letter that no font of this machine holds."""
    return "".join(letter if family_of(letter) else code_point(letter) for letter in text)


def code_point(letter: str) -> str:
    r"""`\u732b`, or `\U0001f600` for what needs more digits."""
    number = ord(letter)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


@cache
def family_of(letter: str) -> str | None:
    """The first family with a glyph for the letter; None where no font has one."""
    return next((family for family, holds in _fonts() if ord(letter) in holds), None)


def _fonts() -> Iterator[tuple[str, frozenset[int]]]:
    upright = [e for e in fontManager.ttflist if e.style == "normal" and e.weight in PLAIN_WEIGHTS]
    first = [entry for entry in upright if entry.name == FIRST]
    others = sorted((entry for entry in upright if entry.name != FIRST), key=lambda e: e.name)
    for entry in (*first, *others):
        if not entry.name.startswith(BOXES):
            yield entry.name, _letters(entry.fname)


@cache
def _letters(path: str) -> frozenset[int]:
    font = get_font(path)
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
