"""How wide a text will be, and names that no user can make dangerous or too long.

Widths are those of DejaVu Sans, which is wider than the fonts that most screens use: what fits
by this table fits everywhere.
"""

import unicodedata
from collections.abc import Sequence

TEXT = 12.0
"""Size of text in user units."""

SMALL = 11.0
"""Size of the smallest text; on a phone of 360 px a unit is a little less than a pixel."""

LINE = 1.2
"""Distance of two baselines, in sizes."""

# Advance widths in thousandths of the size, of the characters from space to tilde.
# fmt: off
REGULAR = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)
BOLD = (
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696,
    696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683,
    683, 821, 837, 372, 372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771,
    724, 725, 457, 365, 457, 838, 500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665,
    343, 1042, 712, 687, 716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
)
# fmt: on
DASHES = {"–": 500, "·": 380, "…": 1000}


def width(text: str, size: float = TEXT, *, bold: bool = False) -> float:
    """Width of one line of text, in the unit of `size`."""
    table = BOLD if bold else REGULAR
    return sum(_advance(character, table) for character in text) * size / 1000


def _advance(character: str, table: tuple[int, ...]) -> int:
    if " " <= character <= "~":
        return table[ord(character) - 32]
    if character in DASHES:
        return DASHES[character]
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    base = unicodedata.normalize("NFD", character)[0]
    if " " <= base <= "~":
        return table[ord(base) - 32]
    # Nearly the widest letter that DejaVu has; CJK fills its square.
    return 1000 if unicodedata.east_asian_width(character) in "WF" else 1100


def printable(name: str) -> str:
    """A name on one line, each character to be seen, none that turns the text around it.

    Line breaks and tabs become spaces; every other control character, those that set the
    direction of text, and what XML forbids become U+FFFD.
    """
    return " ".join("".join(map(_visible, name)).split())


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    joins = character in "\u200c\u200d"  # joiners belong to words of some scripts and to emoji
    hidden = category in ("Cc", "Cs", "Cn") or (category == "Cf" and not joins)
    return "\ufffd" if hidden else character


def shorten(name: str, room: float, size: float = TEXT, *, bold: bool = False) -> str:
    """A printable name that fits, with an ellipsis for its middle where it is cut.

    Both ends stay, the first a little longer: names that share one differ at the other.
    """
    room += 1e-6  # a name is given the room that was measured for it, in another order of sums
    if width(name, size, bold=bold) <= room:
        return name
    room -= width("…", size, bold=bold)
    table = BOLD if bold else REGULAR
    head = _fitting(name, 0.6 * room * 1000 / size, table)
    left = room - width(head, size, bold=bold)
    tail = _fitting(name[::-1][: len(name) - len(head)], left * 1000 / size, table)[::-1]
    return f"{head.rstrip()}…{tail.lstrip()}"


def _fitting(name: str, room: float, table: tuple[int, ...]) -> str:
    kept = 0
    for character in name:
        room -= _advance(character, table)
        if room < 0:
            break
        kept += 1
    return name[:kept]


def isolated(name: str) -> str:
    """A printable name whose direction stays its own.

    Two names in Hebrew with an arrow between them would otherwise change places.
    """
    turned = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    return f"\u2068{name}\u2069" if turned else name


def joined(
    names: Sequence[str], joint: str, room: float, size: float = TEXT, *, bold: bool = False
) -> str:
    """Names in one line, each shortened to a fair part of the room where they do not fit."""
    parts = [printable(name) for name in names]
    wide = {i: width(part, size, bold=bold) for i, part in enumerate(parts)}
    left = room - width(joint, size, bold=bold) * (len(parts) - 1)
    for place, i in enumerate(sorted(wide, key=lambda i: wide[i])):
        parts[i] = shorten(parts[i], left / (len(parts) - place), size, bold=bold)
        left -= min(wide[i], left / (len(parts) - place))
    return joint.join(map(isolated, parts))


def wrap(name: str, room: float, size: float = TEXT) -> list[str]:
    """A printable name on as few lines as it needs, broken after `_`, `-` and spaces."""
    lines = [""]
    for piece in _pieces(name):
        if not lines[-1] or width((lines[-1] + piece).rstrip(), size) <= room:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [shorten(line.rstrip(), room, size) for line in lines]


def _pieces(name: str) -> list[str]:
    pieces = [""]
    for character in name:
        pieces[-1] += character
        if character in "_- ":
            pieces.append("")
    return pieces


def compact(count: int) -> str:
    """A count in at most four characters: `812`, `1.2k`, `34k`, `5.6M`."""
    for unit, symbol in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            value = count / unit
            return f"{value:.1f}{symbol}" if value < 9.95 else f"{value:.0f}{symbol}"
    return str(count)
