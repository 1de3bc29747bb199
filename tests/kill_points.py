"""Kills at random points of real runs, and what must hold after each.

    python -m tests.kill_points
    python -m tests.kill_points --kills 3 --seed 1

One suite is run in one folder until the main process was killed so many times with SIGKILL, and as
many workers, each at a moment drawn from a seed; then it is run to its end. After each: no record
of a finished cell has changed, and no process is left after 15 s. At the end: every cell has one
record, and the report is that of an undisturbed run but for times.
"""

import argparse
import csv
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.record import Result
from tests import command
from tests.command import Place

SUITE = """
name = "killed"
architectures = [{architectures}]
strategies = [{strategies}]
seeds = [{seeds}]
weights = ["random"]
[recipe]
image_size = 32
epochs = {epochs}
batch_size = 4
precision = "fp32"
"""

GRACE_SECONDS = 15.0

MEASURED = ("seconds", "memory", "latency", "front", "verdict", "recommended")
"""In names of columns that no two runs have alike, or that depend on such."""


def suite(
    architectures: Sequence[str], strategies: Sequence[str], seeds: int, epochs: int = 1
) -> str:
    """A suite of so many cells as these make, for `Place.suite`."""
    quoted = (", ".join(f'"{name}"' for name in names) for names in (architectures, strategies))
    numbers = ", ".join(map(str, range(seeds)))
    a, s = quoted
    return SUITE.format(architectures=a, strategies=s, seeds=numbers, epochs=epochs)


# ---- faults -----------------------------------------------------------------------------------


def kill_main(process: subprocess.Popen[str], _out: Path) -> None:
    """End the main process as a power cut would."""
    process.kill()


def kill_worker(process: subprocess.Popen[str], _out: Path) -> None:
    """End a process that the server forked, if there is one at the moment."""
    for child in command.descendants(process):
        if child.ppid() != process.pid:
            child.kill()
            return


def stop(process: subprocess.Popen[str], _out: Path) -> None:
    """Stop the run in order."""
    process.send_signal(signal.SIGTERM)


def damage(_process: subprocess.Popen[str], out: Path) -> None:
    """Cut the newest record, which is read by nobody while the run goes on."""
    found = sorted(out.glob("cells/*/record.json"), key=lambda path: path.stat().st_mtime)
    for path in found[-1:]:
        path.write_text(path.read_text("utf-8")[:-40], encoding="utf-8")


FAULTS: dict[str, Callable[[subprocess.Popen[str], Path], None]] = {
    "main killed": kill_main,
    "worker killed": kill_worker,
    "stopped": stop,
    "record damaged": damage,
}


class Fault(NamedTuple):
    name: str  # of FAULTS
    seconds: float  # since the run folder has a run


def sitting(here: Place, path: Path, out: Path, fault: Fault | None = None) -> int:
    """One run of the suite into the folder, with a fault; what must hold then is checked."""
    before = finished(out)
    with (
        (here.folder / "log.txt").open("a", encoding="utf-8") as heard,
        command.running(here, "run", path, "--out", out, stdout=heard) as process,
    ):
        known = psutil.Process(process.pid)
        below: set[psutil.Process] = set()
        until = None if fault is None else _moment(process, out, fault)
        while process.poll() is None:
            below |= set(_below(known))
            if until is not None and time.monotonic() >= until:
                until = None
                FAULTS[fault.name](process, out)  # type: ignore[union-attr]
            time.sleep(0.02)
        code = process.wait()
    _, alive = psutil.wait_procs(below, timeout=GRACE_SECONDS)
    left = [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not left, f"{left} still run"
    after = finished(out)
    changed = [name for name in before if after.get(name) != before[name]]
    may_change = 1 if fault is not None and fault.name == "record damaged" else 0
    assert len(changed) <= may_change, changed
    return code


def _moment(process: subprocess.Popen[str], out: Path, fault: Fault) -> float:
    """When it is time for the fault: so many seconds after the sitting has begun its work."""
    began = time.time()
    path = out / "run.json"
    while process.poll() is None and not (path.exists() and path.stat().st_mtime >= began):
        time.sleep(0.01)
    return time.monotonic() + fault.seconds


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def finished(out: Path) -> dict[str, bytes]:
    """The records of cells that are ok, byte for byte."""
    if not (out / "run.json").exists():
        return {}
    names = [record.cell_id for record in command.records(out) if isinstance(record, Result)]
    return {name: (out / "cells" / name / "record.json").read_bytes() for name in names}


# ---- the end ----------------------------------------------------------------------------------


def survives(here: Place, text: str, faults: Sequence[Fault], quiet: Path) -> None:
    """Run the suite with these faults one after the other, then to its end, and check that."""
    path, out = here.suite(text, "killed"), here.folder / "out"
    for fault in faults:
        code = sitting(here, path, out, fault)
        expected = {"main killed": (0, -9), "stopped": (0, 143)}.get(fault.name, (0, 3))
        assert code in expected, f"{fault}: exit code {code}"
    code = sitting(here, path, out)
    assert code == 0, f"at the end: exit code {code}"
    run, found = command.run_of(out), command.records(out)
    assert [record.cell_id for record in found] == list(run.cells)
    assert (run.status, {record.status for record in found}) == ("finished", {"ok"})
    assert command.scores(out) == command.scores(quiet)
    assert told(out) == told(quiet)


def told(out: Path) -> dict[str, list[dict[str, str]]]:
    """The tables of scores of the report, without what no two runs have alike."""
    found = {}
    for path in (out / "tables").glob("*.csv"):
        if path.stem not in ("main", "val-scores", "test-scores", "comparisons"):
            continue
        with path.open(encoding="utf-8", newline="") as file:
            found[path.stem] = [
                {key: value for key, value in row.items() if not any(m in key for m in MEASURED)}
                for row in csv.DictReader(file)
            ]
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Kill and run, and print how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=12, help="of the main process, and of workers")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(words)
    text = suite(
        ["mobilenet_v3_small", "resnet18"], ["feature_extraction", "partial", "fine_tuning"],
        seeds=asked.kills, epochs=2,
    )  # fmt: skip
    draw = random.Random(asked.seed)
    names = ["main killed", "worker killed"] * asked.kills
    draw.shuffle(names)
    faults = [Fault(name, draw.uniform(0, 8)) for name in names]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-kills-") as name:
        here = command.place(Path(name))
        quiet = here.folder / "quiet"
        assert sitting(here, here.suite(text, "killed"), quiet) == 0
        survives(here, text, faults, quiet)
        cells = len(finished(quiet))
    sys.stdout.write(
        f"{cells} cells, {asked.kills} kills of the main process and {asked.kills} of workers "
        f"(seed {asked.seed}), {time.monotonic() - began:.0f} s: no finished cell ran again, no "
        "process was left, the report is that of an undisturbed run but for times\n"
    )


if __name__ == "__main__":
    main()
