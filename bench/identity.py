"""Who a cell is, and which facts of its record make it comparable with another.

`BUCKETS` puts each field of a record in exactly one bucket; identities and keys are computed from
that table and from nothing else, so the cell to run and the record on disk cannot disagree about
who they are.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel

from bench.record import PROTOCOL_VERSION, Cell, Execution, Keys, Machine, Recipe

Bucket = Literal["task", "numerics", "performance", "information", "outcome"]

INFORMATION = (
    *("id", "python", "os", "container", "virtual", "wsl", "storage", "nccl"),
    *("gpu_count", "gpu_virtualization", "power_limit_default_watts", "power_limit_max_watts"),
    *("sm_clock_max_mhz", "memory_clock_max_mhz", "sm_clock_application_mhz"),
    *("pcie_generation_max", "pcie_width_max", "driver", "driver_cuda"),
    *("cpu_sockets", "cpu_physical_cores", "cpu_logical_cores", "numa_nodes"),
    *("cpu_max_mhz", "cpu_governor", "host_memory_gib", "swap_gib"),
)
"""Facts of a machine that no key depends on: they follow from others, or few machines tell them."""

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
    "execution.hash_seed": "information",  # nothing that is computed follows the order of a set
    "machine.device": "numerics",
    "machine.compute_capability": "numerics",
    "machine.cuda": "numerics",
    "machine.cudnn": "numerics",
    "machine.cpu_capability": "numerics",
    "machine.torch": "numerics",
    "machine.torchvision": "numerics",
    "machine.numpy": "numerics",
    "machine.pillow": "numerics",
    "machine.torch_commit": "numerics",
    "machine.torch_build": "numerics",
    "machine.gpu_name": "performance",
    "machine.gpu_memory_bytes": "performance",
    "machine.gpu_multiprocessors": "performance",
    "machine.mig": "performance",
    "machine.ecc": "performance",
    "machine.power_limit_watts": "performance",
    "machine.driver_branch": "performance",
    "machine.cpu_model": "performance",
    "machine.cpu_signature": "performance",
    "machine.usable_cores": "performance",
    "machine.memory_gib": "performance",
    **{f"machine.{name}": "information" for name in INFORMATION},
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
        *("execution.cudnn_allow_tf32", "execution.cudnn_deterministic"),
        *("execution.cublas_workspace", "machine.compute_capability", "machine.cuda"),
        *("machine.cudnn", "machine.gpu_name", "machine.gpu_memory_bytes", "machine.mig"),
        *("machine.gpu_multiprocessors", "machine.ecc", "machine.power_limit_watts"),
        "machine.driver_branch",
    }
)
"""Facts of the keys that a CPU does not have: there their null is no ignorance."""


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
    """What the key of a bucket is made of, by dotted path; for the task, see `cell_identity`.

    Null is unknown: what a CPU does not have is left out. Whatever changes the numerics may change
    the speed as well, so the facts of "performance" hold those of "numerics".
    """
    wanted, beside = {"numerics", bucket}, OF_GPU if machine.device == "cpu" else frozenset()
    found = (*leaves(execution, "execution."), *leaves(machine, "machine."))
    return {
        path: value
        for path, value, _ in found
        if BUCKETS[path] in wanted and not (value is None and path in beside)
    }


def unknown_facts(facts: Mapping[str, Any]) -> list[str]:
    """The paths of a key's facts that nobody could tell."""
    return [path for path, value in facts.items() if value is None]


def keys(cell: Cell, execution: Execution, machine: Machine) -> Keys:
    """Keys of a record; null where a fact is unknown, for unknown never equals unknown."""

    def key(bucket: Bucket) -> str | None:
        facts = key_facts(execution, machine, bucket)
        return None if unknown_facts(facts) else digest(facts)

    return Keys(
        task=digest(cell_identity(cell)), numerics=key("numerics"), performance=key("performance")
    )
