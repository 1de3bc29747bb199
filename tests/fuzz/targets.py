"""What reads files of other people, each as a function of bytes."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from bench import folder, suite_file
from bench.analysis import baseline
from bench.data import sources
from bench.data.dataset import Dataset, Item
from bench.errors import DataError, FolderError, SuiteError
from bench.identity import digest

ENDINGS = ("jpg", "png", "webp", "gif", "bmp", "tif", "tga", "ppm", "avif", "jp2")


class Target(NamedTuple):
    read: Callable[[Path, bytes], object]  # in an empty folder
    declared: tuple[type[Exception], ...]


def read_suite(place: Path, data: bytes) -> object:
    """As `bench run FILE` reads it."""
    path = place / "suite.toml"
    path.write_bytes(data)
    return suite_file.read_suite(path)


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 2**70),
    *("", "AAAA", "x" * 300, "../..", "\0", [], [[]], {}, {"": 1}),
)


MOST_EDITS = 10


def script(sound: Path, data: bytes) -> Any:
    """A sound file with odd values: of each three bytes, two say where and one says which."""
    content = json.loads(sound.read_text("utf-8"))
    for at in range(0, min(len(data), MOST_EDITS * 3) - 2, 3):
        places = list(_places(content))
        if places:
            holder, key = places[int.from_bytes(data[at : at + 2], "big") % len(places)]
            holder[key] = deepcopy(ODD[data[at + 2] % len(ODD)])
    return content


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def as_json(name: str, data: bytes, seal: Callable[[Any], str]) -> bytes:
    """The bytes, if they are JSON; else a script that edits a sound file, with a sum that fits.

    So what lies behind the JSON and its checksum is reached.
    """
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        if data[:1] != b"[":
            content = script(CORPUS / name / "sound", data)
            return seal(content).encode(errors="surrogatepass")
    return data


def sealed(content: dict[str, Any]) -> str:
    """A record or run.json."""
    content.pop(folder.CHECKSUM, None)
    return folder.sealed(content)


def summed(content: dict[str, Any]) -> str:
    """A baseline."""
    content.pop("sum", None)
    return json.dumps({**content, "sum": digest(content, 16)})


def read_run(place: Path, data: bytes) -> object:
    """run.json, as everything that takes a run folder reads it."""
    (place / "run.json").write_bytes(as_json("run", data, sealed))
    return folder.read_run(place)


def read_record(place: Path, data: bytes) -> object:
    """A record, and why it does not count."""
    (place / "cells" / "cell").mkdir(parents=True)
    path = place / "cells" / "cell" / "record.json"
    path.write_bytes(as_json("record", data, sealed))
    return folder.damaged_records(place, ["cell"]) or folder.read_record(place, "cell")


def read_baseline(_place: Path, data: bytes) -> object:
    """A file of `bench baseline accept`."""
    return baseline.parsed(as_json("baseline", data, summed).decode(errors="replace"))


def scan_folder(place: Path, data: bytes) -> object:
    """A tree: each line is a path, made as a folder, a file, or a link to what follows `>`."""
    for line in data.split(b"\n")[:50]:
        name, _, target = line.partition(b">")
        try:
            path = place / "root" / name.decode().lstrip("/")
            if ".." in path.parts:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if target:
                path.symlink_to(target.decode())
            elif name.endswith(b"/"):
                path.mkdir()
            else:
                path.write_bytes(name)
        except (OSError, ValueError):
            continue
    return sources.scan(str(place / "root"))


def open_image(place: Path, data: bytes) -> object:
    """A picture; its first byte says which ending its name has."""
    ending = ENDINGS[data[0] % len(ENDINGS)] if data else "jpg"
    (place / f"x.{ending}").write_bytes(data[1:])
    item = Item(f"x.{ending}", 0, hashlib.sha256(data[1:]).hexdigest(), None)
    return sources.open_image(Dataset("x", str(place), ("a", "b"), (item,), True, ()), item)


TARGETS: dict[str, Target] = {
    "suite": Target(read_suite, (SuiteError,)),
    "run": Target(read_run, (FolderError,)),
    "record": Target(read_record, (FolderError,)),
    "baseline": Target(read_baseline, (ValueError,)),
    "folder": Target(scan_folder, (DataError,)),
    "image": Target(open_image, (DataError,)),
}

CORPUS = Path(__file__).parent / "corpus"
"""Inputs by target: where the search begins, and what it has found."""


@contextmanager
def _empty() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-fuzz-") as name:
        yield Path(name)


def accepts(name: str, data: bytes) -> bool:
    """Whether the target reads the bytes without an error. Any undeclared error passes."""
    target = TARGETS[name]
    with _empty() as place:
        try:
            target.read(place, data)
        except target.declared:
            return False
    return True
