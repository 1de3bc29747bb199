"""What a benchmark found: figures with their spread, on which machine, with which versions.

Printed as a table for people, written as JSON for everything else.
"""

import argparse
import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tabulate import tabulate

from bench.measure import device as devices
from bench.measure import machine as machines
from bench.measure.device import Device
from bench.record import Machine
from bench.training.placement import prepare_device
from tests.benchmarks.pairs import spread


class Goal(NamedTuple):
    """The value that a median is to reach, or not to exceed."""

    kind: Literal["at least", "at most"]
    value: float

    def met_by(self, median: float) -> bool:
        """Whether a median reaches the goal."""
        return median >= self.value if self.kind == "at least" else median <= self.value


class Figure(NamedTuple):
    """One measured quantity: a value for each round."""

    what: str
    values: Sequence[float]
    unit: str = "x"
    goal: Goal | None = None

    def as_json(self) -> dict[str, Any]:
        """The figure with its spread; `met` is null where there is no goal."""
        found = spread(self.values)
        return {
            "what": self.what,
            "unit": self.unit,
            **found._asdict(),
            "values": list(self.values),
            "goal": None if self.goal is None else f"{self.goal.kind} {self.goal.value:g}",
            "met": None if self.goal is None else self.goal.met_by(found.median),
        }


class Place(NamedTuple):
    """Where a benchmark runs."""

    device: Device
    machine: Machine
    threads: int
    load: float | None  # mean number of running processes in the minute before


class Findings(NamedTuple):
    """Everything that a benchmark has to say."""

    benchmark: str
    options: Mapping[str, Any]
    place: Place
    figures: Sequence[Figure]
    notes: Sequence[str]
    details: Mapping[str, Any]  # the raw measurements


LIBRARIES = ("bench", "timm", "lightning", "transformers", "accelerate")


def arguments(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=rounds, help="rounds A B A B ...")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, help="torch's threads; default: the usable cores")
    parser.add_argument("--json", type=Path, help="file to write the findings to")
    return parser


@contextmanager
def placed(asked: argparse.Namespace) -> Iterator[Place]:
    """The device, chosen and prepared as by a worker of bench. Raises DeviceError."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    device = devices.choose(asked.device)
    prepare_device(device)
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    machine = machines.machine(device.type, device.index)
    try:
        yield Place(device, machine, torch.get_num_threads(), load)
    finally:
        gc.unfreeze()  # what stays frozen is reported as leaked when the process ends


def versions() -> dict[str, str]:
    """Versions of bench and of those it is compared with, where installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def as_json(found: Findings) -> dict[str, Any]:
    """The findings as plain values."""
    clock = "CPU time" if found.place.device.type == "cpu" else "wall time, device awaited"
    return {
        "benchmark": found.benchmark,
        "options": {key: _plain(value) for key, value in found.options.items() if key != "json"},
        "clock": clock,
        "machine": found.place.machine.model_dump(),
        "versions": versions(),
        "commit": machines.commit(),
        "threads": found.place.threads,
        "load_before": found.place.load,
        "figures": [figure.as_json() for figure in found.figures],
        "notes": list(found.notes),
        "details": dict(found.details),
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def show(found: Findings, path: Path | None) -> None:
    """Print the table, and write the JSON where a file is named."""
    content = as_json(found)
    print(text(content))
    if path is not None:
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def text(content: Mapping[str, Any]) -> str:
    """The findings for a person: table, notes, machine."""
    rows = [
        [
            figure["what"],
            *(f"{figure[key]:.4g}" for key in ("median", "lower_quartile", "upper_quartile")),
            figure["n"],
            figure["unit"],
            figure["goal"] or "",
            {None: "", True: "yes", False: "NO"}[figure["met"]],
        ]
        for figure in content["figures"]
    ]
    headings = ["", "median", "lower quartile", "upper quartile", "n", "unit", "goal", "met"]
    table = tabulate(rows, headings, tablefmt="github", disable_numparse=True)
    title = f"{content['benchmark']} ({content['clock']})"
    return "\n".join([title, "", table, "", *content["notes"], machine_line(content)])


def machine_line(content: Mapping[str, Any]) -> str:
    """The machine, its load and the versions: without them a time means nothing."""
    machine = content["machine"]
    load = content["load_before"]
    name = machine["gpu_name"] or machine["cpu_model"] or "unknown CPU"
    parts = [
        name,
        f"{machine['usable_cores']} cores",
        f"{content['threads']} threads",
        f"load {'unknown' if load is None else format(load, '.1f')} before",
        f"Python {machine['python']}",
        f"torch {machine['torch']}",
        f"torchvision {machine['torchvision']}",
        *(f"{library} {number}" for library, number in content["versions"].items()),
    ]
    return ", ".join(parts)
