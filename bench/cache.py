"""Arrays on disk that can be made again, and so may be deleted at any time.

An entry is a folder <cache>/<kind>/<key>/ of .npy files with their checksums in entry.json. One
process at a time makes it under another name and renames it into place; whoever opens it verifies
it once. Trouble here is no error to the user: the caller gets no entry and a line that says why,
and does without.
"""

import errno
import hashlib
import json
import mmap
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.folder import sync
from bench.identity import digest
from bench.measure.cpu import usable_cores

FORMAT = 2
"""Of an entry's folder; part of every key, so that versions of bench pass over each other's."""

RECORD = "entry.json"
BLOCK_BYTES = 4 << 20

WAIT_SECONDS = 900.0
UNUSED_SECONDS = 30 * 24 * 3600.0
SPARE_BYTES = 256 << 20
"""Left free on the disk, for records and reports."""

PART = ".part"
"""Ends the name of a folder in the making."""

NO_ROOM = (OSError, NotImplementedError)
"""Raised by a folder that cannot be written, a lock that stays taken, a disk without locks."""

MALFORMED = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading a damaged entry raises."""

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Make = Callable[[Mapping[str, Path]], None]
"""Writes the .npy files of each key into its empty folder."""

Tell = Callable[[str], None]
"""Takes a line for the user."""


class Damaged(Exception):
    """An entry is not what was written; the text says how."""


class Provided(NamedTuple):
    """Folders of entries by key, the keys of those made just now, and lines to say."""

    folders: Mapping[str, Path]  # without those that could be neither found nor made
    made: frozenset[str]
    notes: tuple[str, ...]


def root() -> Path:
    """$BENCH_CACHE, or bench below the user's folder for caches."""
    if said := os.environ.get("BENCH_CACHE"):
        return Path(said).absolute()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return Path(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache")) / "bench"


def key_of(facts: Mapping[str, Any]) -> str:
    """64 hex digits of the facts, which are plain JSON."""
    return digest({"format": FORMAT, "facts": facts}, length=64)


def silent(text: str) -> None:
    pass


def reason(error: BaseException | str) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def find(kind: str, key: str) -> Arrays | None:
    """The arrays of an entry, which is marked as used; None if there is none. Raises Damaged."""
    folder = root() / kind / key
    if not os.path.lexists(folder):
        return None
    arrays = load(folder)
    with suppress(OSError):  # another user's, or a read-only disk
        os.utime(folder)
    return arrays


def load(folder: Path) -> Arrays:
    """The arrays of an entry by name, verified and mapped into memory. Raises Damaged.

    They stay readable when their files are deleted. Bench never changes a file in place; should
    somebody cut one short from now on, reading the missing part kills the process with SIGBUS,
    which the run reports as the crash of a worker.
    """
    name, arrays = RECORD, {}
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["key"] != folder.name:
            raise Damaged("its folder was renamed")
        for name, expected in record["sums"].items():
            if checksum(folder / name) != expected:
                raise Damaged(f"{name} has changed")
            arrays[Path(name).stem] = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except MALFORMED as error:
        raise Damaged(f"{name}: {reason(error)}") from error
    return arrays


def checksum(path: Path) -> str:
    """SHA-256 over the SHA-256 of every block, so that all cores share the work.

    Read, not mapped: a bad sector is an OSError then, and not a SIGBUS.
    """

    def of_block(start: int) -> bytes:
        return hashlib.sha256(os.pread(file.fileno(), BLOCK_BYTES, start)).digest()

    with path.open("rb") as file, ThreadPoolExecutor(usable_cores()) as pool:
        starts = range(0, path.stat().st_size, BLOCK_BYTES)
        return hashlib.sha256(b"".join(pool.map(of_block, starts))).hexdigest()


def unmap_pages(array: Array) -> None:
    """Stop counting what was read of a mapped array as memory of this process.

    A cell's peak memory on a CPU is that of its process. The pages stay in the page cache.
    """
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)


def provide(
    kind: str,
    wanted: Mapping[str, int],
    make: Make,
    tell: Tell = silent,
    wait_seconds: float | None = None,
) -> Provided:
    """The entries that are wanted: found, or made in one go by `make`.

    `wanted` holds the key of each and its approximate size in bytes. Where another process is
    making one, it is waited for, at most so long (None: WAIT_SECONDS). What `make` raises passes,
    except OSError, which means that the disk did not take its files.
    """
    patience = WAIT_SECONDS if wait_seconds is None else wait_seconds
    found, damaged = _find(kind, wanted)
    made: dict[str, Path] = {}
    notes = []
    if missing := wanted.keys() - found:
        try:
            prune()
            with _locked(kind, missing, tell, patience):
                others, damaged = _find(kind, missing)  # made while this process waited
                found |= others
                if left := {key: wanted[key] for key in missing - others.keys()}:
                    made = _make(root() / kind, left, make)
        except NO_ROOM as error:
            busy = f"another run is making the same (waited {patience:.0f} s)"
            why = busy if isinstance(error, Timeout) else reason(error)
            notes = [f"the cache in {root()} is not used for {kind}: {why}"]
    for key, why in damaged.items():
        end = "made again" if key in made else "not used"
        notes.append(f"cached {kind} were damaged, {end}: {why}")
    return Provided(found | made, frozenset(made), tuple(notes))


def _find(kind: str, keys: Iterable[str]) -> tuple[dict[str, Path], dict[str, str]]:
    found, damaged = {}, {}
    for key in keys:
        try:
            if find(kind, key) is not None:
                found[key] = root() / kind / key
        except Damaged as damage:
            damaged[key] = str(damage)
    return found, damaged


def _make(folder: Path, wanted: Mapping[str, int], make: Make) -> dict[str, Path]:
    """New entries in place of whatever is there; the keys must be locked. Raises OSError."""
    need, free = sum(wanted.values()), shutil.disk_usage(folder).free
    if need + SPARE_BYTES > free:
        text = f"it needs {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        raise OSError(errno.ENOSPC, text)
    parts = {key: folder / f"{key}{PART}" for key in wanted}
    try:
        for part in parts.values():
            remove(part)
            part.mkdir()
        make(parts)
        for key, part in parts.items():
            _seal(part, key)
        for key, part in parts.items():
            remove(folder / key)
            part.rename(folder / key)
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)
    return {key: folder / key for key in wanted}


def _seal(folder: Path, key: str) -> None:
    """Write entry.json, and wait for the disk: it must be quiet while cells are timed."""
    paths = sorted(folder.iterdir())
    record = {"key": key, "sums": {path.name: checksum(path) for path in paths}}
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")
    for path in (*paths, folder / RECORD, folder):
        sync(path)


@contextmanager
def _locked(kind: str, keys: Iterable[str], tell: Tell, patience: float) -> Iterator[None]:
    """Hold the locks of all keys, always taken in the same order. Raises OSError and Timeout."""
    folder = root() / kind
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for key in sorted(keys):
            lock = FileLock(folder / f"{key}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                tell(f"waiting for another run that makes the same {kind}")
                lock.acquire(timeout=patience)
            stack.callback(lock.release)
        yield


def prune() -> None:
    """Remove what no run used for 30 days and what killed runs left, unless it is being made."""
    for folder in root().glob("*/*"):
        name = re.fullmatch(rf"([0-9a-f]{{64}})({re.escape(PART)})?", folder.name)
        with suppress(*NO_ROOM):
            if name and (name[2] or time.time() - folder.stat().st_mtime > UNUSED_SECONDS):
                with FileLock(folder.parent / f"{name[1]}.lock").acquire(timeout=0):
                    remove(folder)


def remove(path: Path) -> None:
    """Remove whatever lies there, if anything does. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
