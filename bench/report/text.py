"""Text as each format shows it: every name is escaped here, and nowhere else.

A sentence is a plain string; `name` sets a user's name apart inside it with Unicode's own isolate
characters, which a page turns into elements and every other format drops.
"""

import re
import unicodedata
from functools import lru_cache

from markupsafe import Markup

from bench.folder import is_formula

OPEN, CLOSE = "\u2068", "\u2069"


def name(text: str) -> str:
    """A user's name to be put into a sentence."""
    return f"{OPEN}{printable(text)}{CLOSE}"


def plain(sentence: str) -> str:
    return sentence.replace(OPEN, "").replace(CLOSE, "")


@lru_cache(maxsize=10_000)
def printable(text: str) -> str:
    """Text on one line that shows all its characters and turns none of the text around it.

    Line breaks and tabs become spaces; other control characters, those that set the direction of
    text, and what XML forbids become U+FFFD.
    """
    return " ".join("".join(map(_visible, text)).split())


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    joins = character in "\u200c\u200d"  # joiners belong to words of some scripts and to emoji
    hidden = category in ("Cc", "Cs", "Cn") or (category == "Cf" and not joins)
    return "\ufffd" if hidden else character


INTERPRETED = r"(:(?!\d\d:)(?=[\w+-]+:)|@(?=\w)|\b[wW]{3}(?=\.))"
"""What GitHub takes for a picture (but no time of day), a person or a link.

An invisible non-joiner keeps it from that.
"""


@lru_cache(maxsize=10_000)
def markdown(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table and at the start of a line."""
    special = r"([\\`*|>\[\]$]|<(?! )|~(?=~)|(?<=~)~|&(?=#?\w+;))"
    escaped = re.sub(special, r"\\\1", printable(plain(text)))
    escaped = re.sub(r"^([#+-])(?=[\s#])", r"\\\1", escaped)
    escaped = re.sub(r"^(\d+)([.)])(?=\s)", r"\1\\\2", escaped)  # no item of a list
    escaped = re.sub(INTERPRETED, "\\1\u200c", escaped)
    # Between letters an underscore is only an underscore.
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", escaped)


def html(text: str) -> Markup:
    """A sentence on a page: names apart, and every number on one line with its unit."""
    pieces = re.split(f"{OPEN}(.*?){CLOSE}", text)  # every second piece is a name
    return Markup("").join(
        _named(piece) if place % 2 else _beside_names(piece) for place, piece in enumerate(pieces)
    )


def _named(text: str) -> Markup:
    # A long name may be broken after an underscore.
    return Markup("<bdi>{}</bdi>").format(Markup("_<wbr>").join(printable(text).split("_")))


def _beside_names(text: str) -> str:
    ends = text[:1].isspace(), text[-1:].isspace() and len(text) > 1
    shown = f"{' ' * ends[0]}{printable(text)}{' ' * ends[1]}"
    return re.sub(rf"(?<=[\d±]) (?=(?:{UNITS})(?!\w)|\d)", "\u00a0", shown)


UNITS = "%|±|s|min|h|M|MiB|ms|points|images|seeds"


def latex(body: str) -> str:
    """A table of tabulate's with what its own escaping leaves open; and what it needs, as comments.

    A bar is set as a dash; after the end of a row a bracket or a star would be an argument of the
    line break.
    """
    for special, safe in (("|", r"\textbar{}"), ("[", "{[}"), ("*", "{*}")):
        body = body.replace(special, safe)
    body = re.sub(LIGATURES, r"\1{}", body)
    needs = ["% needs \\usepackage{booktabs}"]
    if re.search(f"[^\x00-\u024f{PUNCTUATION}]", body):
        needs.append("% needs lualatex or xelatex, and a font with these letters")
    return "\n".join([*needs, body])


LIGATURES = "(-(?=-)|'(?=')|`(?=`)|,(?=,)|[?!](?=`))"
"""What LaTeX would set together with its next as a dash, a quote or an upside-down mark."""

PUNCTUATION = "–—…·±×†"  # beyond Latin letters, what pdflatex sets by itself


def csv(text: str) -> str:
    """Text as it is; with an apostrophe where a spreadsheet would run it as a formula."""
    return f"'{text}" if is_formula(text) else text
