"""A run folder: records that are complete or absent, one writer at a time, and reading them back.

A file appears under its name only when it is complete: it is written under a temporary name,
synced, and renamed. Only run.json, split.csv and the records are ever read back as truth.
"""

import errno
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from bench import identity
from bench.damage import damage_in
from bench.errors import Damaged, FolderError, first_line, lower
from bench.identity import slug
from bench.metrics import METRICS
from bench.record import RECORD, SCHEMA_VERSION, Failure, Result, Run
from bench.strategies import STRATEGIES
from bench.suite import labels_of

# ---- names ----------------------------------------------------------------------------------


def new_folder(results: Path, suite_name: str) -> Path:
    """A fresh name below the results folder: UTC time and four hex digits. Creates nothing."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return results / slug(suite_name) / f"{stamp}-{secrets.token_hex(2)}"


def cell_folder(folder: Path, cell_id: str) -> Path:
    """Where the record and the log of a cell lie."""
    return folder / "cells" / cell_id


def weights_path(folder: Path, cell_id: str) -> Path:
    """Where the trained weights of a cell lie, if the suite's `keep_weights` keeps them."""
    return cell_folder(folder, cell_id) / "weights.safetensors"


# ---- before writing -------------------------------------------------------------------------

OWN_NAMES = (".lock", "cells", "split.csv", ".split.csv.", ".run.json.")
"""What an interrupted start may have left before run.json was written."""

REPORT_NAMES = (".lock", "results.csv", "report.", "tables", "plots", ".results.csv.", ".report.")
"""What an earlier report of several runs has left."""


def check_usable(folder: Path) -> None:
    """Raise FolderError where a run could not be written. Creates nothing."""
    _check_folder(folder, None if (folder / "run.json").exists() else OWN_NAMES)
    check_no_links(folder)


def check_report_folder(folder: Path) -> None:
    """Raise FolderError where a report of several runs could not be written. Creates nothing."""
    if (folder / "run.json").exists():
        raise FolderError(f"{folder}: holds a run; name another folder with --out")
    _check_folder(folder, REPORT_NAMES)


def _check_folder(folder: Path, own_names: tuple[str, ...] | None) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder}: is a file, not a folder; name another with --out")
    if folder.is_dir() and own_names is not None:
        others = sorted(c.name for c in folder.iterdir() if not c.name.startswith(own_names))
        if others:
            raise FolderError(
                f"{folder}: holds other files ({', '.join(others[:3])}, ...) and no run; "
                "name an empty or new folder with --out"
            )
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise FolderError(f"{folder}: {nearest} is not a writable folder; name another with --out")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one writer. The kernel frees the lock if the holder dies."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise FolderError(
                f"{folder}: is in use by another run; wait for it, or name another with --out"
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into a FolderError that says what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not folder.is_dir():
            raise gone(folder) from error
        hint = "free some space" if error.errno == errno.ENOSPC else "check the disk and its rights"
        text = error.strerror or type(error).__name__
        raise FolderError(f"{folder}: {text}; {hint}, then run the same command again") from error


# ---- writing --------------------------------------------------------------------------------

UMASK = os.umask(0o077)
"""Of the user; it can only be read by setting it, which is done before there are threads."""
os.umask(UMASK)


def check_no_links(folder: Path) -> None:
    """Raise FolderError where what is written into a run folder would land elsewhere."""
    for name in ("cells", "plots", "tables", "thumbnails"):
        if (folder / name).is_symlink():
            raise FolderError(f"{folder / name}: is a link to another folder; remove it")


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run the text of a CSV file as a formula (OWASP)."""
    may_be = bool(text) and not text[0].isalnum()
    return may_be and re.match(r"[\t\r]|\s*[=+\-@＝＋－＠]", text) is not None


def write_text(path: Path, text: str) -> None:
    """Write a file completely or not at all. Raises FolderError."""
    with disk_errors(path.parent), whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file to write to; it takes the name of `path` at the end of the block.

    Where the block or the disk fails, nothing is left of it. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        sync(temporary)
        temporary.chmod(0o666 & ~UMASK)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # a signal may come after the rename
        raise
    if os.name == "posix":  # only there can a folder be synced, so that the rename survives too
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until the file or folder is on the disk, so that it survives a power cut."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sealed(content: Mapping[str, Any]) -> str:
    """Content as JSON, with a checksum of it."""
    whole = {**content, CHECKSUM: identity.digest(content, 64)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def write_run(folder: Path, run: Run) -> None:
    """Write run.json."""
    write_text(folder / "run.json", sealed(run.model_dump(mode="json")))


def write_record(folder: Path, record: Result | Failure) -> None:
    """Write the record of one cell; beside the folder where that is gone. Raises FolderError."""
    try:
        check_there(folder)
    except FolderError as error:
        beside = folder.with_name(f"{folder.name}-rest")
        _write_record(beside, record)
        raise FolderError(f"{error}; the record of {record.cell_id} is in {beside}") from None
    _write_record(folder, record)


def _write_record(folder: Path, record: Result | Failure) -> None:
    path = cell_folder(folder, record.cell_id) / "record.json"
    write_text(path, sealed(record.model_dump(mode="json")))


def check_there(folder: Path) -> None:
    """Raise FolderError where a folder that was locked is gone, so that nothing makes it anew."""
    if not folder.is_dir():
        raise gone(folder)


def gone(folder: Path) -> FolderError:
    """The error where a run folder, or one below it, is no longer there."""
    return FolderError(
        f"{folder}: was deleted or renamed meanwhile; run the same command again, with its new "
        "name in --out if it was renamed"
    )


def write_thumbnails(folder: Path, jpegs: Mapping[int, bytes]) -> None:
    """Replace all thumbnails by these, keyed by the index of the test image. Raises FolderError."""
    place = folder / "thumbnails"
    with disk_errors(folder), tempfile.TemporaryDirectory(prefix=".thumbnails.", dir=folder) as new:
        made = Path(new) / place.name
        made.mkdir()
        for index, jpeg in jpegs.items():
            (made / f"test-{index:06d}.jpg").write_bytes(jpeg)
        if place.exists():
            place.rename(Path(new) / "old")
        made.rename(place)


# ---- removing -------------------------------------------------------------------------------


def remove_records(folder: Path, cell_ids: Iterable[str]) -> None:
    """Remove the records and weights of cells that are about to run again. Raises FolderError."""
    with disk_errors(folder):
        for cell_id in cell_ids:
            (cell_folder(folder, cell_id) / "record.json").unlink(missing_ok=True)
            remove_weights(folder, cell_id)


def remove_weights(folder: Path, cell_id: str) -> None:
    """Remove the kept weights of a cell, complete or half written. Raises OSError."""
    path = weights_path(folder, cell_id)
    for one in (path, *path.parent.glob(f".{path.name}.*")):
        one.unlink(missing_ok=True)


def remove_weights_but(folder: Path, cell_ids: Collection[str]) -> None:
    """Remove all kept weights but those of these cells. Raises FolderError."""
    with disk_errors(folder):
        for path in (folder / "cells").glob("*/.weights.safetensors.*"):
            path.unlink(missing_ok=True)
        for path in (folder / "cells").glob("*/weights.safetensors"):
            if path.parent.name not in cell_ids:
                path.unlink(missing_ok=True)


# ---- reading --------------------------------------------------------------------------------
# A run folder may be somebody else's. So nothing outside it is read, and nothing without an end.

MOST_BYTES = 1 << 30
"""Of one file of a run folder."""


def read_inside(folder: Path, name: str) -> bytes:
    """A regular file below the folder that is reached without links. Raises OSError."""
    path = folder.resolve() / name
    if path.resolve() != path:
        raise OSError(errno.ELOOP, "is or lies behind a link", str(path))
    # A pipe that nobody writes to would keep the reader for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        if found.st_size > MOST_BYTES:
            raise OSError(errno.EFBIG, f"holds more than {MOST_BYTES >> 20:,} MiB", str(path))
        return file.read(MOST_BYTES)


REBUILT = "bench run with the same suite and --out builds it anew from the records"


def read_run(folder: Path) -> Run:
    """The run of a folder.

    Raises FolderError where there is none that this bench knows, Damaged where it was edited.
    """
    path = folder / "run.json"
    try:
        run = Run.model_validate(upgraded(json.loads(read_inside(folder, path.name)), path))
    except FileNotFoundError:
        raise FolderError(f"{folder}: holds no run (there is no run.json)") from None
    except FolderError:
        raise
    except ValidationError as error:
        wrong = error.errors()[0]
        text = f"{'.'.join(map(str, wrong['loc']))}: {lower(wrong['msg'])}; was it edited?"
        raise Damaged(f"{path}: cannot be read: {text}; {REBUILT}") from error
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or first_line(error)
        raise Damaged(f"{path}: cannot be read: {why}; {REBUILT}") from error
    kinds = {entry.kind for entry in run.suite.strategies}
    if run.suite.metric not in METRICS:
        raise Damaged(f"{path}: suite.metric: {run.suite.metric} is unknown; was it edited?")
    if kinds - STRATEGIES.keys():
        raise Damaged(f"{path}: suite.strategies: one is unknown; was it edited?")
    asked = [slug(f"{label}-{strategy}-s{seed}") for label, strategy, seed in run.suite.asked]
    if asked != [cell_id.rpartition("-")[0] for cell_id in run.cells]:
        raise Damaged(f"{path}: its cells are not those of its suite; was it edited?")
    if run.preprocessing.keys() != labels_of(run.suite).keys():
        raise Damaged(f"{path}: its preprocessing is not of its architectures; was it edited?")
    return run


def read_records(folder: Path) -> list[Result | Failure]:
    """Every sound record, in the order of the run's cells; damaged ones are left out."""
    order = {cell_id: place for place, cell_id in enumerate(read_run(folder).cells)}
    found = (path.parent.name for path in (folder / "cells").glob("*/record.json"))
    names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    return [record for name in names if (record := read_record(folder, name))]


def read_record(folder: Path, cell_id: str) -> Result | Failure | None:
    """The record of one cell; None where it is missing or damaged.

    Raises FolderError where a newer bench wrote it.
    """
    found = _read(folder, cell_id)
    return None if isinstance(found, str) else found


def _read(folder: Path, cell_id: str) -> Result | Failure | str | None:
    """The record; what is damaged in it; or None where there is none. Raises FolderError."""
    path = cell_folder(folder, cell_id) / "record.json"
    try:
        written = json.loads(read_inside(folder, f"cells/{cell_id}/record.json"))
        record = RECORD.validate_python(upgraded(written, path))
    except FolderError:
        raise
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        return "it was edited" if "checksum" in str(error) else "it cannot be read"
    protocol = identity.protocol_of(record.cell, cell_id)
    if record.cell_id != cell_id or protocol is None:
        return "it is of another cell"
    if problem := damage_in(record):
        return problem
    if written["schema_version"] < SCHEMA_VERSION and isinstance(record, Result):
        # Fields that came later are part of the keys.
        found = identity.keys(record.cell, record.execution, record.machine, protocol)
        return record.model_copy(update={"keys": found})
    return record


def damaged_records(folder: Path, cell_ids: Iterable[str]) -> dict[str, str]:
    """What is damaged in the records of these cells, by cell. Raises FolderError."""
    found = {cell_id: _read(folder, cell_id) for cell_id in cell_ids}
    return {cell_id: problem for cell_id, problem in found.items() if isinstance(problem, str)}


def set_aside_damaged(folder: Path, cell_ids: Iterable[str]) -> dict[str, str]:
    """Rename each damaged record, so that its cell runs again; new names by cell."""
    renamed = {}
    for cell_id in damaged_records(folder, cell_ids):
        renamed[cell_id] = set_aside(cell_folder(folder, cell_id) / "record.json")
    return renamed


def set_aside(path: Path) -> str:
    """Rename a damaged file, and say how it is called now. Raises FolderError."""
    aside = path.with_suffix(f".corrupt-{secrets.token_hex(2)}")
    with disk_errors(path.parent):
        path.rename(aside)
    return aside.name


def read_thumbnails(folder: Path) -> dict[int, bytes]:
    """The thumbnails of a run by the index of the test image; those that can be read."""
    found = {}
    for path in sorted((folder / "thumbnails").glob("test-*.jpg")):
        if name := re.fullmatch(r"test-(\d{6,})\.jpg", path.name, re.ASCII):
            with suppress(OSError):
                found[int(name[1])] = read_inside(folder, f"thumbnails/{path.name}")
    return found


# ---- older schemas --------------------------------------------------------------------------
# One step from each version to the next. A step says what was true of the older bench and nothing
# more: what that bench did not look at is null.

Content = dict[str, Any]

CHECKSUM, FIRST_SEALED = "sha256", 6
"""The key of a file's checksum, and the schema that brought it."""


def upgrade_1_to_2(content: Content) -> Content:
    """A cell decoded its images itself, and no step was captured or compiled."""
    if content.get("status") != "ok":
        return content  # a failure, or run.json
    starts_frozen = content["cell"]["kind"] in ("feature_extraction", "two_phase")
    features = "computed" if starts_frozen else None
    execution = {"captured": False, "compiled": False, "resident": True}
    return {
        **content,
        "cost": {**content["cost"], "images": "bypassed", "features": features},
        "execution": {**content["execution"], **execution},
    }


def upgrade_2_to_3(content: Content) -> Content:
    """Of the new facts of a machine, only the driver's branch was known."""
    machine = content["machine"]
    driver = machine["driver"]
    branch = None if driver is None else driver.partition(".")[0]
    return {**content, "machine": {**machine, "driver_branch": branch}}


def upgrade_4_to_5(content: Content) -> Content:
    """Architectures were labels; before `keep_weights` existed, no weights were kept."""
    suite = content.get("suite")
    if suite is None:
        return content  # a record
    labels = (label.partition(":") for label in suite["architectures"])
    entries = [{"name": name, "weights": weights or None} for name, _, weights in labels]
    return {**content, "suite": {"keep_weights": "none", **suite, "architectures": entries}}


UPGRADES: Mapping[int, Callable[[Content], Content]] = {
    1: upgrade_1_to_2,
    2: upgrade_2_to_3,
    3: lambda content: content,  # a processor was known by its name only
    4: upgrade_4_to_5,
    5: lambda content: content,  # there were no checksums, and cells ran without limits
}
"""From each older schema version to the next one."""


def upgraded(data: Any, path: Path) -> Content:
    """The data in today's schema.

    Raises FolderError where a newer bench wrote it, ValueError where it is damaged or not ours.
    """
    content: Content = data if isinstance(data, dict) else {}
    version = content.get("schema_version")
    if not isinstance(version, int):
        text = f"{path}: has no schema_version; it was not written by bench"
        raise ValueError(text)  # noqa: TRY004 - the file is wrong, not an argument
    if version > SCHEMA_VERSION:
        raise FolderError(
            f"{path}: was written by a newer bench (schema {version}, this one knows "
            f"{SCHEMA_VERSION}); update bench to read it"
        )
    if version >= FIRST_SEALED:
        content = dict(content)
        if content.pop(CHECKSUM, None) != identity.digest(content, 64):
            raise ValueError("its checksum is not that of its content")
    try:
        for older in range(version, SCHEMA_VERSION):
            content = {**UPGRADES[older](content), "schema_version": older + 1}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: is incomplete") from error
    return content
