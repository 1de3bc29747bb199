"""`bench doctor`: what this machine is and can do, and what is unknown about it and why."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from bench import __version__
from bench.terminal import add, out, say, status, table
from bench.verbs.options import Device

if TYPE_CHECKING:
    from bench.running.plan import Examination


def doctor(device: Device = "auto") -> None:
    """Print what this machine is and does, and what is unknown."""
    from bench.report import units
    from bench.running import child

    with status(out, "looking at the machine"):
        found: Examination = child.call("bench.running.examine:examine", device)
    machine = units.device(found.machine)
    say(f"bench {__version__} on {found.device}: {machine}", "bold")
    for title, values in tables(found).items():
        say("")
        say(title, "bold")
        out.print(page(values, found.missing))
    for problem in found.end.problems:
        say(f"calibration without {problem}")


def tables(found: "Examination") -> dict[str, Mapping[str, Any]]:
    from bench import cache, identity
    from bench.measure import machine as machines
    from bench.report import protocol

    execution, machine = found.execution, found.machine
    numerics = identity.key_facts(execution, machine, "numerics")
    performance = identity.key_facts(execution, machine, "performance")
    facts = {f"machine.{name}": value for name, value in machine.model_dump().items()}
    facts |= {f"execution.{name}": value for name, value in execution.model_dump().items()}
    of_task = [path for path, bucket in identity.BUCKETS.items() if bucket == "task"]
    return {
        "Task key: what the suite asks for": {
            "fields": ", ".join(path.removeprefix("cell.") for path in of_task)
        },
        "Numerics key: where these agree, accuracy compares directly": numerics,
        "Performance key: where these and the numerics agree, times compare": {
            path: value for path, value in performance.items() if path not in numerics
        },
        "Information: in no key": {
            path: value for path, value in facts.items() if path not in performance
        },
        "At this moment: in no key": {
            **found.end.readings.model_dump(),
            "load": found.end.load,
            "foreign_gpu_processes": found.end.foreign_gpu_processes,
        },
        "Keys": {"numerics": key(numerics), "performance": key(performance)},
        f"Calibration, {found.end.calibration.seconds:.2f} s": protocol.calibrated(
            found.end.calibration
        ),
        "Folders": {
            "cache": state(cache.root(), "*/*/entry.json", "entry", "entries"),
            "weights": state(found.weights_folder, "*.pth", "file", "files"),
            "machine id": str(machines.id_path()),
        },
    }


def page(values: Mapping[str, Any], missing: Mapping[str, str]) -> RenderableType:
    """Two columns: what is known, then what is not, by the reason."""
    made = table("", "")
    for path, value in values.items():
        if value is not None:
            add(made, path, text_of(value))
    for why, names in unknown(values, missing).items():
        add(made, "unknown", f"{', '.join(names)}: {why}")
    return made


def unknown(values: Mapping[str, Any], missing: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, value in values.items():
        if value is None:
            name = path.rpartition(".")[2]
            found.setdefault(missing.get(name, "not available on this machine"), []).append(name)
    return found


def text_of(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def key(facts: Mapping[str, Any]) -> str:
    """Whether records of this machine have the key; if not, why."""
    from bench.identity import unknown_facts

    if unknown := unknown_facts(facts):
        return f"null, so it equals no other: {', '.join(unknown)} unknown"
    return "complete"


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
