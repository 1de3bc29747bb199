"""Text in figures: how wide it is, how it is cut and broken, and letters that no font has.

Widths are those of DejaVu Sans, which comes with matplotlib and is wider than the fonts of most
screens: what fits by it fits everywhere.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ft2font import LoadFlags

from bench.report.text import CLOSE, OPEN, plain, printable

TEXT, SMALL = 12.0, 11.0
LINE = 1.2
"""Distance between two baselines, in text sizes."""

FAMILY = "DejaVu Sans"


# ---- widths ---------------------------------------------------------------------------------


def width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """Width of one line of text, in the unit of `size`."""
    return size * sum(_advance(letter, bold) for letter in text)


@cache
def _advance(letter: str, bold: bool) -> float:
    weight = "bold" if bold else "normal"
    font = get_font(findfont(FontProperties(family=FAMILY, weight=weight)))
    if font.get_char_index(ord(letter)):
        return float(
            font.load_char(ord(letter), LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM
        )
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0.0
    # Wide letters fill their square; 1.1 is nearly the widest letter of DejaVu.
    return 1.0 if unicodedata.east_asian_width(letter) in "WF" else 1.1


def shorten(name: str, room: float, size: float = TEXT, *, bold: bool = False) -> str:
    """The name, cut in the middle where it does not fit: names often differ at one end only."""
    room += 1e-6  # the room may be the name's own width, summed in another order
    if width(name, size, bold=bold) <= room:
        return name
    room -= width("…", size, bold=bold)
    head = _fitting(name, 0.6 * room, size, bold)
    rest = name[len(head) :][::-1]
    tail = _fitting(rest, room - width(head, size, bold=bold), size, bold)[::-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def _fitting(name: str, room: float, size: float, bold: bool) -> str:
    for kept, letter in enumerate(name):
        room -= size * _advance(letter, bold)
        if room < 0:
            return name[:kept]
    return name


def joined(
    names: Sequence[str], joint: str, room: float, size: float = TEXT, *, bold: bool = False
) -> str:
    parts = [printable(name) for name in names]
    widths = [width(part, size, bold=bold) for part in parts]
    left = room - width(joint, size, bold=bold) * (len(parts) - 1)
    shortest_first = sorted(range(len(parts)), key=lambda i: widths[i])
    for place, i in enumerate(shortest_first):
        share = left / (len(parts) - place)
        parts[i] = shorten(parts[i], share, size, bold=bold)
        left -= min(widths[i], share)
    return joint.join(map(isolated, parts))


def wrap(text: str, room: float, size: float = TEXT, breaks: str = "_- ") -> list[str]:
    """The text on as few lines as it needs, broken after any of `breaks`."""
    lines = [""]
    for piece in _pieces(text, breaks):
        if not lines[-1] or width((lines[-1] + piece).rstrip(), size) <= room:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [shorten(line.rstrip(), room, size) for line in lines]


def _pieces(text: str, breaks: str) -> Iterator[str]:
    start = 0
    for place, letter in enumerate(text, 1):
        if letter in breaks:
            yield text[start:place]
            start = place
    yield text[start:]


def compact(count: int) -> str:
    """A count in at most four letters: `812`, `1.2k`, `34k`, `5.6M`."""
    for unit, symbol in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.1f}{symbol}" if value < 9.95 else f"{value:.0f}{symbol}"
    return str(count)


def isolated(name: str) -> str:
    """A name that keeps its direction: two Hebrew names around an arrow would change places."""
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"{OPEN}{name}{CLOSE}" if turned else name


# ---- fonts of this machine ------------------------------------------------------------------


def families(texts: Iterable[str]) -> list[str]:
    found = (family_of(letter) for letter in sorted(set("".join(texts))))
    return list(dict.fromkeys([FAMILY, *(family for family in found if family)]))


def drawable(text: str) -> str:
    r"""The text with `\u732b` for each letter that no font of this machine holds.

    A browser finds its own fonts; in a picture a missing letter would be an empty box.
    """
    shown = plain(text)
    return "".join(c if c == "\n" or family_of(c) else _code_point(c) for c in shown)


def _code_point(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode("ascii")


@cache
def family_of(letter: str) -> str | None:
    return next((family for family, letters in _fonts() if ord(letter) in letters), None)


def _fonts() -> Iterator[tuple[str, frozenset[int]]]:
    plain = (400, "normal", "regular", "book")
    upright = [f for f in fontManager.ttflist if f.style == "normal" and f.weight in plain]
    for font in sorted(upright, key=lambda f: (f.name != FAMILY, f.name)):
        if not font.name.startswith("Last Resort"):  # it has a box for every letter
            yield font.name, _letters(font.fname)


@cache
def _letters(path: str) -> frozenset[int]:
    font = get_font(path)
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
