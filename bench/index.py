"""What was read of run folders, kept in one file so that it need not be read again.

The file is derived: it may be deleted at any time, is made anew where it is damaged or of another
meaning, and is done without where it cannot be read or written. It knows nothing of what it keeps
but a stamp of its source: what has another stamp counts as not there.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

NAME = ".history.sqlite"
"""The file, in the folder of all runs."""

WAIT_SECONDS = 10.0
"""How long another process is waited for; each of its writes takes milliseconds."""

BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""Errors of a file that is to be made anew; the others are of the disk, or of its rights."""


class Index:
    """Texts by name and stamp. No method raises for the file's sake."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None) -> None:
        self._path, self._readable, self._writable = path, connection, connection

    def get(self, name: str, stamp: str) -> str | None:
        """What was kept under the name for this state of its source, as it was."""
        query = "SELECT sum, packed FROM kept WHERE name = ? AND stamp = ?"
        for sum_, packed in self._read(query, name, stamp):
            if isinstance(packed, bytes) and sum_ == checksum(name, stamp, packed):
                return zlib.decompress(packed).decode("utf-8")
        return None

    def put(self, name: str, stamp: str, text: str) -> None:
        """Keep a text, in place of what there was under the name."""
        packed = zlib.compress(text.encode("utf-8"), 1)
        row = (name, stamp, checksum(name, stamp, packed), packed)
        self._write("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", *row)

    def forget(self, is_gone: Callable[[str], bool]) -> None:
        """Take out what has no source any more."""
        for (name,) in self._read("SELECT name FROM kept"):
            if is_gone(name):
                self._write("DELETE FROM kept WHERE name = ?", name)

    def _read(self, command: str, *values: str) -> list[tuple[Any, ...]]:
        if self._readable is not None:
            try:
                return self._readable.execute(command, values).fetchall()
            except sqlite3.Error as error:
                self._do_without(error)
        return []

    def _write(self, command: str, *values: str | bytes) -> None:
        if self._writable is not None:
            try:
                self._writable.execute(command, values)
            except sqlite3.Error as error:
                self._writable = None  # read-only, full, deleted meanwhile: it can still be read
                if is_broken(error):
                    self._do_without(error)

    def _do_without(self, error: sqlite3.Error) -> None:
        self._readable = self._writable = None
        if is_broken(error):
            remove(self._path)


def checksum(name: str, stamp: str, packed: bytes) -> str:
    """16 hex digits: a damaged page must not become a number of a history."""
    return hashlib.sha256(f"{name}\0{stamp}\0".encode() + packed).hexdigest()[:16]


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in BROKEN


def remove(path: Path) -> None:
    """Take the file away where that can be done, and what a killed writer has left of it."""
    for one in (path, path.with_name(f"{path.name}-journal")):
        with suppress(OSError):
            one.unlink()


# ---- opening --------------------------------------------------------------------------------


@contextmanager
def opened(folder: Path, meaning: str) -> Iterator[Index]:
    """The index of a folder of runs, for texts of this meaning.

    A damaged file, or one of another meaning, is made anew.
    """
    path = folder / NAME
    connection = _usable(path, meaning)
    if connection is None:
        yield Index(path, None)
        return
    with closing(connection):
        yield Index(path, connection)


def _usable(path: Path, meaning: str) -> sqlite3.Connection | None:
    """A connection to tables of this meaning; None where there can be none."""
    for _ in range(2):  # the second time on a new file
        try:
            return _connected(path, meaning)
        except sqlite3.Error as error:
            if not is_broken(error):
                return None
            remove(path)
    return None


def _connected(path: Path, meaning: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA synchronous = OFF")  # nothing in it is worth waiting for
        if not _means(connection, meaning):
            _make(connection, meaning)
        connection.execute("SELECT name, stamp, sum, packed FROM kept LIMIT 1").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _means(connection: sqlite3.Connection, meaning: str) -> bool:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meaning'").fetchall():
        return False
    return connection.execute("SELECT text FROM meaning").fetchall() == [(meaning,)]


def _make(connection: sqlite3.Connection, meaning: str) -> None:
    """Empty tables in place of all that there were; of two processes the second finds them."""
    connection.execute("BEGIN IMMEDIATE")
    if not _means(connection, meaning):
        for table in ("kept", "meaning"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            "CREATE TABLE kept (name TEXT PRIMARY KEY, stamp TEXT, sum TEXT, packed BLOB)"
        )
        connection.execute("CREATE TABLE meaning (text TEXT)")
        connection.execute("INSERT INTO meaning VALUES (?)", (meaning,))
    connection.execute("COMMIT")
