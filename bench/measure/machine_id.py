"""A random name for this machine: tells two of a kind apart, and says nothing about either.

It is drawn once for a user, kept in the user's configuration, and never derived from anything.
$BENCH_MACHINE_ID takes its place; set to nothing, the machine has no name.
"""

import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.errors import InputError

VARIABLE = "BENCH_MACHINE_ID"
GIVEN = r"[A-Za-z0-9._-]{1,64}"
DRAWN = r"[0-9a-f]{16}"


class Found(NamedTuple):
    """The name, or why there is none."""

    id: str | None
    why: str | None = None


def path() -> Path:
    """$XDG_CONFIG_HOME/bench/machine-id, or the same below ~/.config."""
    said = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(said if os.path.isabs(said) else os.path.expanduser("~/.config"))
    return folder / "bench" / "machine-id"


def read_or_make() -> Found:
    """The name of this machine, drawn now if there is none yet. Raises InputError."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        if given and not re.fullmatch(GIVEN, given):
            raise InputError(
                f"{VARIABLE}: expected up to 64 letters, digits, dots and dashes, got {given!r}"
            )
        return Found(given or None, None if given else f"{VARIABLE} is set to nothing")
    try:
        if not path().exists():
            _make(path())
        found = path().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        return Found(None, f"{path()}: {reason}")
    if not re.fullmatch(DRAWN, found):
        return Found(None, f"{path()}: holds something else than 16 hex digits; delete it")
    return Found(found)


def _make(place: Path) -> None:
    """Draw a name; of processes that do so at once, one wins. Raises OSError."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".machine-id.")  # 0600
    try:
        os.write(handle, f"{secrets.token_hex(8)}\n".encode())
        with suppress(FileExistsError):
            os.link(temporary, place)  # whole, or not at all
    finally:
        os.close(handle)
        os.unlink(temporary)
