"""`bench doctor`: what this machine is, what cannot be told of it and why, and what it can do."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from bench import __version__
from bench.terminal import add, out, plain, status, table
from bench.verbs.options import Device

if TYPE_CHECKING:
    from bench.running.answers import Examination


def doctor(
    device: Device = "auto",
) -> None:
    """Print what results of this machine will say of it, what is missing and why."""
    from bench.report import units
    from bench.running import child

    with status(out, "looking at the machine"):
        found: Examination = child.call("bench.running.examine:examine", device)
    who = f"bench {__version__} on {found.device}: {units.device(found.machine)}"
    out.print(Text(plain(who), style="bold"))
    for title, made in pages(found).items():
        out.print(Text(f"\n{title}", style="bold"))
        out.print(made)
    for line in remarks(found):
        out.print(Text(plain(line)))


def pages(found: "Examination") -> dict[str, RenderableType]:
    """Every table by its title."""
    from bench import identity
    from bench.report import calibration

    execution, machine = found.execution, found.machine
    numerics = identity.key_facts(execution, machine, "numerics")
    performance = identity.key_facts(execution, machine, "performance")
    beyond = {path: value for path, value in performance.items() if path not in numerics}
    facts = {f"machine.{name}": value for name, value in machine.model_dump().items()}
    facts |= {f"execution.{name}": value for name, value in execution.model_dump().items()}
    rest = {path: value for path, value in facts.items() if path not in performance}
    keys = {"numerics": numerics, "performance": performance}
    parts = {
        "Task key: what a suite asks of a cell": {"fields": ", ".join(task_fields())},
        "Numerics key: accuracy of equal numerics compares directly": numerics,
        "Performance key: these and the numerics must agree for times to compare": beyond,
        "Information: splits no history": rest,
        "At this moment: in no key": found.end.readings.model_dump() | moment(found),
    }
    shown = {title: page(values, found.missing) for title, values in parts.items()}
    shown["Keys"] = page({name: key(facts_) for name, facts_ in keys.items()}, {})
    taken = found.end.calibration
    title = f"Calibration, {taken.seconds:.2f} s"
    return shown | {
        title: page(calibration.told(taken), {}),
        "Folders": page(folders(found.weights_folder), {}),
    }


def page(values: Mapping[str, Any], missing: Mapping[str, str]) -> RenderableType:
    """Two columns: what is known, then what is not, by the reason."""
    made = table("", "")
    made.show_header = False
    for path, value in values.items():
        if value is not None:
            add(made, path, text_of(value))
    for why, names in unknown(values, missing).items():
        add(made, "unknown", f"{', '.join(names)}: {why}")
    return made


def unknown(values: Mapping[str, Any], missing: Mapping[str, str]) -> dict[str, list[str]]:
    """By the reason, the names of the fields that are null."""
    found: dict[str, list[str]] = {}
    for path, value in values.items():
        if value is None:
            name = path.rpartition(".")[2]
            found.setdefault(missing.get(name, "not available on this machine"), []).append(name)
    return found


def text_of(value: object) -> str:
    """A value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "nothing"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def task_fields() -> list[str]:
    """The fields of a cell that make its task."""
    from bench.identity import BUCKETS

    return [path.removeprefix("cell.") for path, bucket in BUCKETS.items() if bucket == "task"]


def key(facts: Mapping[str, Any]) -> str:
    """A key as records would hold it but for the precision of the cell, or why it is null."""
    from bench.identity import unknown_facts

    if unknown := unknown_facts(facts):
        return f"null, and so equal to no other: {', '.join(unknown)} unknown"
    return "complete"


def moment(found: "Examination") -> dict[str, Any]:
    """Load, and who else is on the GPU."""
    return {
        "load": found.end.load,
        "foreign_gpu_processes": found.end.foreign_gpu_processes,
    }


def remarks(found: "Examination") -> list[str]:
    """What went wrong with the calibration."""
    return [f"calibration without {problem}" for problem in found.end.problems]


# ---- folders --------------------------------------------------------------------------------


def folders(weights: Path) -> dict[str, str]:
    """Where images, weights and the machine's name are kept, and how much lies there."""
    from bench import cache
    from bench.measure import machine_id

    return {
        "cache": state(cache.root(), "*/*/entry.json", "entry", "entries"),
        "weights": state(weights, "*.pth", "file", "files"),
        "machine id": str(machine_id.path()),
    }


def state(folder: Path, pattern: str, one: str, many: str) -> str:
    """`/home/jane/.cache/bench: 3 entries, 120 MB; 45 GB free`."""
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    free = f"{shutil.disk_usage(nearest).free / 1e9:.0f} GB free"
    if not os.access(nearest, os.W_OK | os.X_OK):
        free += ", not writable"
    if not folder.exists():
        return f"{folder}: not made yet; {free}"
    count = sum(1 for _ in folder.glob(pattern))
    size = sum(sizes(folder)) / 1e6
    return f"{folder}: {count} {one if count == 1 else many}, {size:,.0f} MB; {free}"


def sizes(folder: Path) -> Iterable[int]:
    """Bytes of every file below a folder; one that goes meanwhile counts nothing."""
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
