"""Derived data on disk, which may be deleted at any time: it is made again when it is wanted.

Entries lie under <cache>/<kind>/<key>/, appear by one rename, are made by one process at a time
and verified whenever they are read. Nothing here is an error to the user: where an entry cannot
be had, the caller gets none, with a line that says why, and does without.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from bench.entry import Contents, Damaged, Entry, read, reason, seal

WAIT_SECONDS = 900.0
UNUSED_SECONDS = 30 * 24 * 3600.0
SPARE_BYTES = 256 << 20
"""Left free on the disk, for records and reports."""

PART = ".part"
"""Ends the name of a folder in the making."""

NO_ROOM = (OSError, NotImplementedError)
"""What a folder raises that cannot be written; the latter where the disk has no locks."""

Make = Callable[[Mapping[str, Path]], Mapping[str, Contents]]
"""From an empty folder for each key to what was written into it."""

Tell = Callable[[str], None]
"""Hears what is going on, while it does."""


class Provided(NamedTuple):
    """Entries by key, the keys of those that were made just now, and lines to say."""

    entries: Mapping[str, Entry]  # without those that could be neither found nor made
    made: frozenset[str]
    notes: tuple[str, ...]


def root() -> Path:
    """$BENCH_CACHE, or bench below the user's folder for caches."""
    if said := os.environ.get("BENCH_CACHE"):
        return Path(said).absolute()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return Path(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache")) / "bench"


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


# ---- making ---------------------------------------------------------------------------------


def silent(text: str) -> None:
    """Tell nobody."""


def provide(
    kind: str,
    wanted: Mapping[str, int],
    make: Make,
    tell: Tell = silent,
    wait_seconds: float | None = None,
) -> Provided:
    """The entries that are wanted: found, or made in one go by `make`.

    `wanted` holds the key of each and its size on disk in bytes, about. Where another process
    makes one of them, it is waited for, at most so long (None: WAIT_SECONDS). What `make` raises
    passes, but for OSError, which means that the disk did not take its files.
    """
    found, damaged = _find(kind, wanted)
    made: dict[str, Entry] = {}
    notes = []
    if missing := _without(wanted, found):
        try:
            prune()
            patience = WAIT_SECONDS if wait_seconds is None else wait_seconds
            with _locked(kind, missing, tell, patience):
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
            seal(parts[key], key, contents)
        return {key: _publish(part, folder / key) for key, part in parts.items()}
    finally:
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)


def _publish(part: Path, folder: Path) -> Entry:
    remove(folder)
    part.rename(folder)
    try:
        return read(folder)
    except Damaged as damage:
        raise OSError(errno.EIO, str(damage)) from damage


@contextmanager
def _locked(kind: str, keys: Mapping[str, int], tell: Tell, patience: float) -> Iterator[None]:
    """Hold the locks of all keys, always taken in the same order. Raises OSError."""
    folder = root() / kind
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for key in sorted(keys):
            lock = _lock(folder, key)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if patience:
                    tell(f"waiting for another run that makes the same {kind}")
                _wait_for(lock, patience)
            stack.callback(lock.release)
        yield


def _wait_for(lock: FileLock, patience: float) -> None:
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        since = f" has been making the same for {patience / 60:.0f} minutes"
        text = "another run" + (since if patience else " makes the same just now")
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
