"""A run kept as one small JSON value, for baselines and for a quick look at past runs.

`past` keeps it in the run folder as table.json: a derived file that may be deleted at any time.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.analysis.table import COLUMNS, CONDITIONS, TASK, Header, Snapshot, read, scalar_fields
from bench.errors import FolderError
from bench.folder import read_inside, write_text
from bench.identity import BUCKETS, ONCE, digest, slug
from bench.record import PROTOCOL_VERSION, SCHEMA_VERSION, Cell

NAME = "table.json"
SNAPSHOT_VERSION = 1

STORED = tuple(dict.fromkeys(["cell_id", *COLUMNS, *TASK, *CONDITIONS]))
"""Columns that a snapshot keeps."""

MEANING = digest([SNAPSHOT_VERSION, SCHEMA_VERSION, PROTOCOL_VERSION, BUCKETS, STORED])
"""Of a kept snapshot: another bench may read the same records in another way."""


def snapshot(table: Snapshot) -> dict[str, Any]:
    """The table as JSON: columns that are the same in every row stand once."""
    columns = {name: list(table.columns[name]) for name in STORED if name in table.columns}
    same = (name for name, v in columns.items() if v and all(value == v[0] for value in v))
    constants = {name: columns[name][0] for name in same}
    return {
        "snapshot": SNAPSHOT_VERSION,
        "header": table.header.model_dump(mode="json"),
        "num_cells": len(columns["cell_id"]),
        "constants": constants,
        "columns": {name: v for name, v in columns.items() if name not in constants},
        "labels": table.labels,
        "num_images": table.num_images,
        "right": dict(table.right),
    }


MOST_CELLS = 1_000_000
"""Of a table that is read; each column of equal values becomes so long."""


def from_snapshot(content: Mapping[str, Any]) -> Snapshot:
    """The table of a snapshot. Raises ValueError where it is not whole."""
    try:
        count: int = content["num_cells"]
        if not 0 <= count <= MOST_CELLS:
            raise ValueError(f"has {count} cells")
        constants = {name: [value] * count for name, value in content["constants"].items()}
        later = {name: [value] * count for name, value in ONCE.items()}
        columns = {**later, **constants, **content["columns"]}
        if not columns.keys() >= {"cell_id", *COLUMNS}:
            raise ValueError(f"lacks columns: {sorted({'cell_id', *COLUMNS} - columns.keys())}")
        if any(len(values) != count for values in columns.values()):
            raise ValueError(f"has columns of other lengths than {count}")
        return Snapshot(
            header=Header.model_validate(content["header"]),
            columns=columns,
            labels=content["labels"],
            num_images=content["num_images"],
            right=content["right"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is not a whole snapshot ({type(error).__name__}: {error})") from error


def past(folder: Path) -> Snapshot:
    """The run of a folder, from its table.json where that is up to date.

    Else from the records, and table.json is written anew where the disk allows.
    Raises FolderError as `read` does.
    """
    stamp = stamp_of(folder)
    with suppress(OSError, ValueError, RecursionError):
        return _kept(read_inside(folder, NAME).decode(), stamp)
    found = read(folder)
    with suppress(FolderError):
        keep(folder, found, stamp)
    return found


def keep(folder: Path, run: Snapshot, stamp: str) -> None:
    """Write the table.json of a folder in this state. Raises FolderError.

    It is one JSON object, whose first line holds the checksum of all that follows it.
    """
    content = {"stamp": stamp, **snapshot(run)}
    body = json.dumps(content, separators=(",", ":")).removeprefix("{")
    write_text(folder / NAME, _first_line(body) + body)


def stamp_of(folder: Path) -> str:
    """Tells this state of a run folder from any other: run.json whole, and the records by their
    size and the time of their last change.
    """
    found = hashlib.sha256(MEANING.encode())
    with suppress(OSError):
        found.update(read_inside(folder, "run.json"))
        with os.scandir(folder / "cells") as cells:
            for cell in sorted(cells, key=lambda entry: entry.name):
                with suppress(OSError):
                    stat = os.stat(f"{cell.path}/record.json")
                    found.update(f"{cell.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()


def _first_line(body: str) -> str:
    return f'{{"sum": "{hashlib.sha256(body.encode()).hexdigest()}",\n'


def _kept(text: str, stamp: str) -> Snapshot:
    """Raises ValueError where it is none of this state of the folder."""
    first, _, body = text.partition("\n")
    content = json.loads(text)
    if f"{first}\n" != _first_line(body) or content.get("stamp") != stamp:
        raise ValueError("is damaged, or of another state of the folder")
    return from_snapshot(content)


def from_digest(content: Mapping[str, Any]) -> Snapshot:
    """The table of a run as baselines of schema 1 to 3 hold it.

    A fact that the older bench did not look at is None, and a key of the suite that it did not
    have is at its default. Raises ValueError where it is not whole.
    """
    try:
        fields = Header.model_fields.keys() - {"protocol"}
        cells = [cell for row in content["rows"] for cell in _digested(content, row)]
        known = {"cell_id", *COLUMNS}.union(*cells)  # others did not exist then
        columns = {name: [cell.get(name) for cell in cells] for name in STORED if name in known}
        ok = [cell for cell in cells if cell["status"] == "ok"]
        return Snapshot(
            header=Header.model_validate(
                {
                    **{k: content[k] for k in fields & content.keys()},
                    "protocol": content["task"]["protocol"],
                }
            ),
            columns=columns,
            labels=content["labels"],
            num_images=content["num_images"],
            right={cell["cell_id"]: cell["right"] for cell in ok},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"is not a whole run ({type(error).__name__}: {error})") from error


def _digested(run: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    sizes = {"preprocessing.resize_size", "preprocessing.crop_size"}  # before schema 3
    task = {k: v for k, v in {**run["task"], **row["task"]}.items() if k not in sizes}
    conditions = {**run["conditions"], **row["conditions"]}
    asked = {**DEFAULTS, **task} if row["key"] else {}
    own = {k: v for k, v in task.items() if not k.startswith("preprocessing.")}
    whole = any(seed["train_seconds"] is not None for seed in row["seeds"])
    for seed in row["seeds"]:
        is_ok = seed["status"] == "ok"
        name = slug(f"{row['architecture']}-{row['strategy']}-s{seed['seed']}")
        key = digest(conditions) if is_ok else None
        yield {
            "images_per_second": None,  # before schema 2
            **asked,
            **(ONCE | conditions | row["counts"] if is_ok else {}),
            **seed,
            "cell_id": f"{name}-{digest({**own, 'cell.seed': seed['seed']})}",
            "architecture": row["architecture"],
            "strategy": row["strategy"],
            "test_score": seed["score"],
            "trains_all": seed.get("images_per_second") is not None if is_ok else None,
            "whole_costs": whole,
            "machine_key": key,
            "on_reference": is_ok,
            "task_key": digest(task) if row["key"] else "",
            "conditions_key": key,
        }


DEFAULTS = {
    path: field.default for path, field in scalar_fields(Cell, "cell.") if not field.is_required()
}
"""What a digest of a task leaves out."""
