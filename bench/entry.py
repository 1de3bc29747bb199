"""An entry of the cache: a folder of data files, and entry.json with a checksum for every chunk.

entry.json is written last and carries its own checksum; what is not as it was written is never
used, and a reader hears so by `Damaged`.
"""

import hashlib
import json
import os
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure.hardware import usable_cores

FORMAT = 1
"""Of the folder and its entry.json; what the files hold is for the entry's key to tell."""

CHUNK_BYTES = 1 << 20
RECORD = "entry.json"

MALFORMED = (OSError, ValueError, TypeError, LookupError, RecursionError)
"""What reading an entry.json raises that is not as it was written."""


class Damaged(Exception):
    """An entry, or a chunk of one, is not what was written; the text says how."""


class File(NamedTuple):
    """Size of a data file, and the checksums of its chunks in order; the last may be shorter."""

    size: int
    chunk_bytes: int
    sums: list[str]


class Contents(NamedTuple):
    """What the maker of an entry says of the files that it wrote."""

    chunk_bytes: Mapping[str, int] = {}  # by file name, where another size than CHUNK_BYTES suits


class Chunks:
    """An open data file whose chunks are verified as they are read, by any thread.

    It is closed with its last user, if not before.
    """

    def __init__(self, path: Path, file: File) -> None:
        self._path, self._file = path, file
        self._descriptor = os.open(path, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self._file.sums)

    def read(self, number: int) -> bytearray:
        """One chunk. Raises Damaged."""
        size, chunk_bytes, sums = self._file
        start = number * chunk_bytes
        chunk = bytearray(min(chunk_bytes, size - start))
        try:
            os.preadv(self._descriptor, [chunk], start)
        except OSError as error:
            raise Damaged(f"{self._path.name}: {reason(error)}") from error
        if checksum(chunk) != sums[number]:
            raise Damaged(f"{self._path.name} has changed {start} bytes from its start")
        return chunk


class Entry(NamedTuple):
    """An entry on disk, as its entry.json tells; pickles."""

    folder: Path
    files: Mapping[str, File]

    def open(self, name: str) -> Chunks:
        """A data file to be read chunk by chunk. Raises Damaged."""
        try:
            return Chunks(self.folder / name, self.files[name])
        except OSError as error:
            raise Damaged(f"{name}: {reason(error)}") from error

    def content(self, name: str) -> bytes:
        """All of a data file. Raises Damaged."""
        with closing(self.open(name)) as chunks:
            return b"".join(map(chunks.read, range(len(chunks))))

    def check(self) -> None:
        """Read everything once. Raises Damaged."""
        for name in self.files:
            with closing(self.open(name)) as chunks, ThreadPoolExecutor(usable_cores()) as pool:
                for _ in pool.map(lambda n, c=chunks: len(c.read(n)), range(len(chunks))):
                    pass  # raises what the thread raised


def read(folder: Path) -> Entry:
    """The entry that entry.json tells of, its data unread. Raises Damaged."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise Damaged(f"of format {found['format']}, where {FORMAT} is known")
        record = found["entry"]
        if found["sum"] != key_of(record):
            raise Damaged(f"{RECORD} has changed")
        if record["key"] != folder.name:
            raise Damaged("renamed")
        files = {name: File(*file) for name, file in record["files"].items()}
        for name, file in files.items():
            if (size := (folder / name).stat().st_size) != file.size:
                raise Damaged(f"{name} has {size} bytes instead of {file.size}")
    except MALFORMED as error:
        raise Damaged(f"{RECORD}: {reason(error)}") from error
    return Entry(folder, files)


def seal(folder: Path, key: str, contents: Contents) -> None:
    """Write entry.json over the files of a folder, and wait for the disk. Raises OSError.

    Waiting is not for safety, which checksums see to: the disk is to be quiet while cells are
    timed.
    """
    paths = sorted(folder.iterdir())
    files = {path.name: _summed(path, contents) for path in paths}
    record = {"key": key, "files": files}
    sealed = {"format": FORMAT, "sum": key_of(record), "entry": record}
    (folder / RECORD).write_text(json.dumps(sealed), encoding="utf-8")
    for path in (*paths, folder / RECORD, folder):
        _sync(path)


def _summed(path: Path, contents: Contents) -> File:
    size, chunk_bytes = path.stat().st_size, contents.chunk_bytes.get(path.name, CHUNK_BYTES)

    def sum_at(start: int) -> str:
        return checksum(os.pread(file.fileno(), chunk_bytes, start))

    with path.open("rb") as file, ThreadPoolExecutor(usable_cores()) as pool:
        return File(size, chunk_bytes, list(pool.map(sum_at, range(0, size, chunk_bytes))))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def key_of(facts: Mapping[str, Any]) -> str:
    """64 hex digits that differ where the facts do; the facts are plain JSON."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(chunk: bytes | bytearray) -> str:
    """16 hex digits of SHA-256: against accidents, not against attackers."""
    return hashlib.sha256(chunk).hexdigest()[:16]


def reason(error: BaseException) -> str:
    """The cause in plain words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
