"""Derived data on disk, which may be deleted at any time: it is made again when it is wanted.

An entry is a folder <cache>/<kind>/<key>/ of data files and entry.json, which is written last and
holds the checksum of every chunk of them. Entries appear by one rename, made by one process at a
time, and are verified whenever they are read. Nothing here is an error to the user: where an
entry cannot be had, the caller gets none, with a line that says why, and does without.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from bench.measure.hardware import usable_cores

FORMAT = 1
"""Of an entry and its entry.json; what the files hold is for the key to tell apart."""

CHUNK_BYTES = 1 << 20
WAIT_SECONDS = 900.0
UNUSED_SECONDS = 30 * 24 * 3600.0
SPARE_BYTES = 256 << 20
"""Left free on the disk, for records and reports."""

RECORD = "entry.json"
PART = ".part"
"""Ends the name of a folder in the making."""

DAMAGE = (OSError, ValueError, TypeError, LookupError, RecursionError)
"""What reading an entry.json raises that is not as it was written."""

NO_ROOM = (OSError, NotImplementedError)
"""What a folder raises that cannot be written; the latter where the disk has no locks."""


class Damaged(Exception):
    """An entry, or a chunk of one, is not what was written; the text says how."""


class File(NamedTuple):
    """Size of a data file, and the checksums of its chunks in order; the last may be shorter."""

    size: int
    chunk_bytes: int
    sums: list[str]


class Contents(NamedTuple):
    """What the maker of an entry says of it, besides the files that it wrote."""

    facts: Mapping[str, Any]  # whatever its readers want to know; plain JSON
    chunk_bytes: Mapping[str, int] = {}  # by file name, where another size than CHUNK_BYTES suits


class Chunks:
    """An open data file whose chunks are verified as they are read, by any thread."""

    def __init__(self, path: Path, file: File) -> None:
        self._path, self._file = path, file
        self._open = path.open("rb", buffering=0)

    def __len__(self) -> int:
        return len(self._file.sums)

    def read(self, number: int) -> bytearray:
        """One chunk. Raises Damaged."""
        size, chunk_bytes, sums = self._file
        start = number * chunk_bytes
        chunk = bytearray(min(chunk_bytes, size - start))
        try:
            num_read = os.preadv(self._open.fileno(), [chunk], start)
        except OSError as error:
            raise Damaged(f"{self._path.name}: {reason(error)}") from error
        if num_read != len(chunk) or checksum(chunk) != sums[number]:
            raise Damaged(f"{self._path.name} has changed {start} bytes from its start")
        return chunk

    def close(self) -> None:
        """Close the file."""
        self._open.close()


class Entry(NamedTuple):
    """An entry on disk, as its entry.json tells; pickles."""

    folder: Path
    facts: Mapping[str, Any]
    files: Mapping[str, File]

    def open(self, name: str) -> Chunks:
        """A data file to be read chunk by chunk. Raises Damaged."""
        try:
            return Chunks(self.folder / name, self.files[name])
        except OSError as error:
            raise Damaged(f"{name}: {reason(error)}") from error

    def check(self) -> None:
        """Read everything once. Raises Damaged."""
        for name in self.files:
            chunks = self.open(name)
            try:
                with ThreadPoolExecutor(usable_cores()) as pool:
                    for _ in pool.map(lambda n, c=chunks: len(c.read(n)), range(len(chunks))):
                        pass  # raises what the thread raised
            finally:
                chunks.close()


Make = Callable[[Mapping[str, Path]], Mapping[str, Contents]]
"""From an empty folder for each key to what was written into it."""

Tell = Callable[[str], None]
"""Hears what is going on, while it does."""


class Provided(NamedTuple):
    """Entries by key, the keys of those that were made just now, and lines to say."""

    entries: Mapping[str, Entry]  # without those that could be neither found nor made
    made: frozenset[str]
    notes: tuple[str, ...]


# ---- where, and under which name ------------------------------------------------------------


def root() -> Path:
    """$BENCH_CACHE, or bench below the user's folder for caches."""
    if said := os.environ.get("BENCH_CACHE"):
        return Path(said).absolute()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return Path(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache")) / "bench"


def key_of(facts: Mapping[str, Any]) -> str:
    """64 hex digits that differ where the facts do; the facts are plain JSON."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def checksum(chunk: bytes | bytearray) -> str:
    """16 hex digits of SHA-256: against accidents, not against attackers."""
    return hashlib.sha256(chunk).hexdigest()[:16]


# ---- reading --------------------------------------------------------------------------------


def find(kind: str, key: str) -> Entry | None:
    """The entry, all of it checked, and marked as used; None if there is none. Raises Damaged."""
    folder = root() / kind / key
    if not os.path.lexists(folder):
        return None
    entry = read(folder)
    entry.check()
    with suppress(OSError):  # of another user, or on a disk that is not to be written
        os.utime(folder)
    return entry


def read(folder: Path) -> Entry:
    """What entry.json tells, the data unread. Raises Damaged."""
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
    except DAMAGE as error:
        raise Damaged(f"{RECORD}: {reason(error)}") from error
    return Entry(folder, record["facts"], files)


# ---- making ---------------------------------------------------------------------------------


def silent(text: str) -> None:
    """Tell nobody."""


def provide(kind: str, wanted: Mapping[str, int], make: Make, tell: Tell = silent) -> Provided:
    """The entries that are wanted: found, or made in one go by `make`.

    `wanted` holds the key of each and its size on disk in bytes, about. Where another process
    makes one of them, it is waited for. What `make` raises passes, but for OSError, which means
    that the disk did not take its files.
    """
    found, damaged = _find(kind, wanted)
    made: dict[str, Entry] = {}
    notes = []
    if missing := _without(wanted, found):
        try:
            prune()
            with _locked(kind, missing, tell):
                others, damaged = _find(kind, missing)  # made while this process waited
                found |= others
                if missing := _without(missing, others):
                    made = _make(root() / kind, missing, make)
        except NO_ROOM as error:
            notes = [f"the cache in {root()} is not used for {kind}: {reason(error)}"]
    for key, why in damaged.items():
        end = "made again" if key in made else "not used"
        notes.append(f"cached {kind} were damaged, {end}: {why}")
    return Provided(found | made, frozenset(made), tuple(notes))


def _find(kind: str, keys: Iterable[str]) -> tuple[dict[str, Entry], dict[str, str]]:
    """The entries that are there, and what is wrong with those that are damaged."""
    found, damaged = {}, {}
    for key in keys:
        try:
            if entry := find(kind, key):
                found[key] = entry
        except Damaged as damage:
            damaged[key] = str(damage)
    return found, damaged


def _without(wanted: Mapping[str, int], found: Mapping[str, Entry]) -> dict[str, int]:
    return {key: size for key, size in wanted.items() if key not in found}


def _make(folder: Path, wanted: Mapping[str, int], make: Make) -> dict[str, Entry]:
    """New entries in place of whatever is there. The keys must be locked. Raises OSError."""
    need, free = sum(wanted.values()), shutil.disk_usage(folder).free
    if need + SPARE_BYTES > free:
        text = f"they need {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise OSError(errno.ENOSPC, text)
    parts = {key: folder / f"{key}{PART}" for key in wanted}
    try:
        for part in parts.values():
            remove(part)
            part.mkdir()
        for key, contents in make(parts).items():
            _seal(parts[key], key, contents)
        return {key: _publish(part, folder / key) for key, part in parts.items()}
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def _seal(part: Path, key: str, contents: Contents) -> None:
    """Write entry.json, and wait for the disk, which is to be quiet while cells are timed."""
    paths = sorted(part.iterdir())
    files = {path.name: _summed(path, contents) for path in paths}
    record = {"key": key, "facts": dict(contents.facts), "files": files}
    sealed = {"format": FORMAT, "sum": key_of(record), "entry": record}
    (part / RECORD).write_text(json.dumps(sealed), encoding="utf-8")
    for path in (*paths, part / RECORD, part):
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


def _publish(part: Path, folder: Path) -> Entry:
    remove(folder)
    part.rename(folder)
    try:
        return read(folder)
    except Damaged as damage:
        raise OSError(errno.EIO, str(damage)) from damage


@contextmanager
def _locked(kind: str, keys: Mapping[str, int], tell: Tell) -> Iterator[None]:
    """Hold the locks of all keys, always taken in the same order. Raises OSError."""
    folder = root() / kind
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for key in sorted(keys):
            lock = _lock(folder, key)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                tell(f"waiting for another run that makes the same {kind}")
                _wait_for(lock)
            stack.callback(lock.release)
        yield


def _wait_for(lock: FileLock) -> None:
    try:
        lock.acquire(timeout=WAIT_SECONDS)
    except Timeout:
        text = f"another run has been making the same for {WAIT_SECONDS / 60:.0f} minutes"
        raise OSError(errno.EBUSY, text) from None


def _lock(folder: Path, key: str) -> FileLock:
    return FileLock(folder / f"{key}.lock")


# ---- cleaning -------------------------------------------------------------------------------


def prune() -> None:
    """Remove what no run used for 30 days and what killed runs left, unless it is being made."""
    for folder in root().glob("*/*"):
        name = re.fullmatch(rf"([0-9a-f]{{64}})({re.escape(PART)})?", folder.name)
        with suppress(*NO_ROOM, Timeout):
            if name and (name[2] or time.time() - folder.stat().st_mtime > UNUSED_SECONDS):
                with _lock(folder.parent, name[1]).acquire(timeout=0):
                    remove(folder)


def remove(path: Path) -> None:
    """Remove whatever lies there, if anything does. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """The cause in plain words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
