"""Who a cell is, and which facts of its record make it comparable with another.

`BUCKETS` puts each field of a record in exactly one bucket; identities and keys are computed from
that table and from nothing else, so the cell to run and the record on disk cannot disagree about
who they are.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from bench.schema import PROTOCOL_VERSION, Cell, Execution, Keys, Machine, Recipe

Bucket = Literal["task", "numerics", "performance", "information", "outcome"]

BUCKETS: dict[str, Bucket] = {
    **{f"cell.{name}": "task" for name in Cell.model_fields},
    "cell.architecture_label": "information",
    "cell.weights.source": "task",
    "cell.weights.name": "task",
    "cell.weights.sha256": "task",
    "cell.weights.init_seed": "task",
    **{f"cell.recipe.{name}": "task" for name in Recipe.model_fields},
    "cell.data.name": "information",
    "cell.data.classes": "task",
    "cell.data.content_sha256": "task",
    "cell.data.split_sha256": "task",
    "cell.data.num_train": "information",
    "cell.data.num_val": "information",
    "cell.data.num_test": "information",
    **{f"execution.{name}": "numerics" for name in Execution.model_fields},
    "execution.captured": "performance",  # the same kernels on the same values
    "execution.resident": "performance",
    "machine.device": "numerics",
    "machine.compute_capability": "numerics",
    "machine.cuda": "numerics",
    "machine.cudnn": "numerics",
    "machine.cpu_capability": "numerics",
    "machine.torch": "numerics",
    "machine.torchvision": "numerics",
    "machine.numpy": "numerics",
    "machine.pillow": "numerics",
    "machine.gpu_name": "performance",
    "machine.gpu_memory_bytes": "performance",
    "machine.gpu_count": "information",
    "machine.mig": "performance",
    "machine.power_limit_watts": "performance",
    "machine.driver": "performance",
    "machine.cpu_model": "performance",
    "machine.usable_cores": "performance",
    "machine.memory_gib": "performance",
    "machine.python": "information",
    "machine.os": "information",
    "machine.container": "information",
    "schema_version": "information",
    "cell_id": "information",
    "status": "outcome",
    "kind": "outcome",
    "reason": "outcome",
    "keys": "information",
    "provenance": "information",
    "quality": "outcome",
    "curve": "outcome",
    "cost": "outcome",
    "memory": "outcome",
    "energy": "outcome",
    "seconds": "outcome",
}
for _opened in ("cell.weights", "cell.recipe", "cell.data"):
    del BUCKETS[_opened]  # their fields stand in the table one by one

OF_GPU = frozenset(
    {
        *("execution.allow_tf32", "execution.cudnn_allow_tf32", "execution.cudnn_benchmark"),
        *("execution.cudnn_deterministic", "execution.cublas_workspace", "execution.captured"),
        *("machine.compute_capability", "machine.cuda", "machine.cudnn", "machine.gpu_name"),
        *("machine.gpu_memory_bytes", "machine.gpu_multiprocessors", "machine.mig", "machine.ecc"),
        *("machine.power_limit_watts", "machine.driver_branch", "machine.driver"),
    }
)
"""Facts of the keys that a CPU does not have: there they are neither known nor unknown."""


def leaves(value: BaseModel, prefix: str) -> Iterator[tuple[str, Any, bool]]:
    """(dotted path, value, whether it equals its default) of each field that `BUCKETS` names."""
    for name, field in type(value).model_fields.items():
        path, inner = f"{prefix}{name}", getattr(value, name)
        if path not in BUCKETS and isinstance(inner, BaseModel):
            yield from leaves(inner, f"{path}.")
        else:
            yield path, inner, not field.is_required() and inner == field.default


def digest(value: object, length: int = 12) -> str:
    """First hex digits of the SHA-256 of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def slug(text: str, limit: int = 60) -> str:
    """Lower-case letters, digits, dot, dash and underscore only: safe as a file name anywhere."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:limit] or "x"


def cell_identity(cell: Cell) -> dict[str, Any]:
    """The task of a cell. Defaults are left out, so a field added later changes no identity."""
    found = {path: value for path, value, is_default in leaves(cell, "cell.") if not is_default}
    task = {path: value for path, value in found.items() if BUCKETS[path] == "task"}
    return {"protocol": PROTOCOL_VERSION, **task}


def cell_id(cell: Cell) -> str:
    """Readable slug and 12 hex digits of the task: the same for the cell and for its record."""
    readable = f"{cell.architecture_label}-{cell.strategy}-s{cell.seed}"
    return f"{slug(readable)}-{digest(cell_identity(cell))}"


def key_facts(execution: Execution, machine: Machine, bucket: Bucket) -> dict[str, Any]:
    """What a key of these buckets is made of, by dotted path; the task is `cell_identity`.

    Whatever changes the numerics may change the speed as well, so the facts of "performance" hold
    those of "numerics".
    """
    wanted = {"numerics", bucket}
    return {
        path: value
        for path, value, _ in (*leaves(execution, "execution."), *leaves(machine, "machine."))
        if BUCKETS[path] in wanted and (machine.device == "cuda" or path not in OF_GPU)
    }


def keys(cell: Cell, execution: Execution, machine: Machine) -> Keys:
    """Keys of a record. Whatever changes the numerics may change the speed as well."""
    facts = [*leaves(execution, "execution."), *leaves(machine, "machine.")]
    numerics = {path: value for path, value, _ in facts if BUCKETS[path] == "numerics"}
    hardware = {path: value for path, value, _ in facts if BUCKETS[path] == "performance"}
    return Keys(
        task=digest(cell_identity(cell)),
        numerics=digest(numerics),
        performance=digest({**numerics, **hardware}),
    )
