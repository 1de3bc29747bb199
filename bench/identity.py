"""Identity of a cell, and which facts of its record make it comparable with another.

`BUCKETS` puts each field of a record in exactly one bucket. Ids and keys are computed from that
table alone, so the cell to run and its record on disk always agree on them. `differences` says in
which fields two things differ.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from bench.record import PROTOCOL_VERSION, Cell, Execution, Keys, Machine, Recipe, Weights

Bucket = Literal["task", "numerics", "performance", "information", "outcome"]

NUMERICS = (
    *("device", "compute_capability", "cuda", "cudnn", "cpu_capability"),
    *("torch", "torchvision", "numpy", "pillow", "torch_commit", "torch_build"),
)
PERFORMANCE = (
    *("gpu_name", "gpu_memory_bytes", "gpu_multiprocessors", "mig", "ecc", "power_limit_watts"),
    *("driver_branch", "cpu_model", "cpu_signature", "usable_cores", "memory_gib"),
)
INFORMATION = (
    *("id", "python", "os", "container", "virtual", "wsl", "storage", "nccl"),
    *("gpu_count", "gpu_virtualization", "power_limit_default_watts", "power_limit_max_watts"),
    *("sm_clock_max_mhz", "memory_clock_max_mhz", "sm_clock_application_mhz"),
    *("pcie_generation_max", "pcie_width_max", "driver", "driver_cuda"),
    *("cpu_sockets", "cpu_physical_cores", "cpu_logical_cores", "numa_nodes"),
    *("cpu_max_mhz", "cpu_governor", "host_memory_gib", "swap_gib"),
)
"""Facts of a machine by bucket. No key depends on the last: others imply them, or few know them."""

OUTCOME = ("status", "kind", "reason", "quality", "curve", "cost", "memory", "energy", "seconds")

OPENED = ("weights", "recipe", "data")
"""Fields of a cell whose own fields are in the table one by one."""

BUCKETS: dict[str, Bucket] = {
    **{f"cell.{name}": "task" for name in Cell.model_fields if name not in OPENED},
    "cell.architecture_label": "information",
    **{f"cell.weights.{name}": "task" for name in Weights.model_fields},
    **{f"cell.recipe.{name}": "task" for name in Recipe.model_fields},
    **{f"cell.data.{name}": "task" for name in ("classes", "content_sha256", "split_sha256")},
    "cell.data.white": "task",
    **{f"cell.data.{name}": "information" for name in ("name", "num_train", "num_val", "num_test")},
    **{f"execution.{name}": "numerics" for name in Execution.model_fields},
    "execution.captured": "performance",  # the same kernels on the same values
    "execution.resident": "performance",
    "execution.hash_seed": "information",  # no computation depends on the order of a set
    "execution.omp_num_threads": "information",  # what comes of it is in execution.threads
    **{f"machine.{name}": "numerics" for name in NUMERICS},
    **{f"machine.{name}": "performance" for name in PERFORMANCE},
    **{f"machine.{name}": "information" for name in INFORMATION},
    **dict.fromkeys(("schema_version", "cell_id", "keys", "provenance"), "information"),
    **dict.fromkeys(OUTCOME, "outcome"),
}

OF_GPU = frozenset(
    {
        *("execution.cudnn_allow_tf32", "execution.cudnn_deterministic"),
        *("execution.cublas_workspace", "machine.compute_capability", "machine.cuda"),
        *("machine.cudnn", "machine.gpu_name", "machine.gpu_memory_bytes", "machine.mig"),
        *("machine.gpu_multiprocessors", "machine.ecc", "machine.power_limit_watts"),
        "machine.driver_branch",
    }
)
"""Facts of the keys that a CPU does not have: there, null does not mean unknown."""


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
    """Lower-case letters, digits, dot, dash and underscore only: a safe file name anywhere."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:limit] or "x"


def cell_identity(cell: Cell, protocol: int = PROTOCOL_VERSION) -> dict[str, Any]:
    """The task of a cell. Defaults are left out, so a field added later changes no id."""
    found = {path: value for path, value, is_default in leaves(cell, "cell.") if not is_default}
    task = {path: value for path, value in found.items() if BUCKETS[path] == "task"}
    return {"protocol": protocol, **task}


def cell_id(cell: Cell, protocol: int = PROTOCOL_VERSION) -> str:
    """Readable slug and 12 hex digits of the task, for a cell to run as for its record."""
    readable = f"{cell.architecture_label}-{cell.strategy}-s{cell.seed}"
    return f"{slug(readable)}-{digest(cell_identity(cell, protocol))}"


def protocol_of(cell: Cell, named: str) -> int | None:
    """The protocol under which a cell has this id; None if it has it under none."""
    versions = range(PROTOCOL_VERSION, 0, -1)
    return next((version for version in versions if cell_id(cell, version) == named), None)


ONCE = {"execution.passes": 1}
"""Facts that older records do not tell, as they were then. No key has them, so that keys last."""


def key_facts(execution: Execution, machine: Machine, bucket: Bucket) -> dict[str, Any]:
    """The facts that a key depends on, by dotted path; for the task, see `cell_identity`.

    Null is unknown; what a CPU does not have is left out, and so is what stands in ONCE. Whatever
    changes the numerics may change the speed too, so "performance" includes the facts of
    "numerics".
    """
    wanted, beside = {"numerics", bucket}, OF_GPU if machine.device == "cpu" else frozenset()
    found = (*leaves(execution, "execution."), *leaves(machine, "machine."))
    return {
        path: value
        for path, value, _ in found
        if BUCKETS[path] in wanted and (path, value) not in ONCE.items()
        if not (value is None and path in beside)
    }


def unknown_facts(facts: Mapping[str, Any]) -> list[str]:
    """The paths of facts that are unknown."""
    return [path for path, value in facts.items() if value is None]


def keys(
    cell: Cell, execution: Execution, machine: Machine, protocol: int = PROTOCOL_VERSION
) -> Keys:
    """Keys of a record; null if a fact is unknown, because unknown never equals unknown."""

    def key(bucket: Bucket) -> str | None:
        facts = key_facts(execution, machine, bucket)
        return None if unknown_facts(facts) else digest(facts)

    return Keys(
        task=digest(cell_identity(cell, protocol)),
        numerics=key("numerics"),
        performance=key("performance"),
    )


ABSENT = object()
"""Stands for the value of a field that one side does not have."""


class Difference(NamedTuple):
    """A field whose value is not the same on both sides; as text `recipe.epochs: 10 and 3`."""

    path: str
    before: object
    after: object

    def __str__(self) -> str:
        before, after = (self._shown(value) for value in (self.before, self.after))
        return f"{self.path.removeprefix('cell.')}: {before} and {after}"

    def _shown(self, value: object) -> str:
        if value is ABSENT:  # a task leaves out what is at its default
            return "the default" if BUCKETS.get(self.path) == "task" else "absent"
        return shown(value)

    @property
    def on_both_sides(self) -> bool:
        """Whether both sides have the field: files of an older bench have fewer."""
        return ABSENT not in (self.before, self.after)


def differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    buckets: Collection[Bucket] | None = None,
    unknown_differs: bool = False,
) -> tuple[Difference, ...]:
    """The fields, by dotted path, in which two mappings of facts differ; the device first.

    With `buckets`, only fields of these. With `unknown_differs`, what is null or absent on both
    sides counts as a difference: unknown never equals unknown.
    """
    paths = sorted(before.keys() | after.keys(), key=lambda path: (path != "machine.device", path))
    found = (Difference(path, before.get(path, ABSENT), after.get(path, ABSENT)) for path in paths)
    return tuple(
        one
        for one in found
        if buckets is None or BUCKETS.get(one.path) in buckets
        if one.before != one.after or (unknown_differs and one.before is None)
    )


def shown(value: object) -> str:
    """A value for a message: a commit by its first 12 digits, anything else long cut off."""
    if value is None:
        return "unknown"
    text = re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28}\b", r"\1", str(value))
    return text if len(text) <= 40 else f"{text[:39]}…"


def flat(path: str, value: object) -> dict[str, object]:
    """The leaves of nested tables and lists by dotted path, as in `suite.strategies[1].lr`."""
    if isinstance(value, Mapping):
        inner = {f"{path}.{key}": inside for key, inside in value.items()}
    elif isinstance(value, list | tuple):
        inner = {f"{path}[{index}]": inside for index, inside in enumerate(value)}
    else:
        return {path: value}
    return {key: leaf for name, inside in inner.items() for key, leaf in flat(name, inside).items()}
