"""Kills at random points of real runs, and what must hold after each.

    python -m tests.kill_points
    python -m tests.kill_points --kills 3 --seed 1

One suite is run in one folder until the main process was killed so many times with SIGKILL, and as
many workers, each at a moment drawn from a seed and while cells were left; then it is run to its
end. After each: no record of a finished cell has changed, and no process is left after 15 s. At
the end: every cell has one record, and scores and report are those of an undisturbed run, but for
times and for the rounding of heads that trained beside fewer others.
"""

import argparse
import csv
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.record import Failure, Result
from tests import command
from tests.command import Place

GRACE_SECONDS = 15.0

MEASURED = ("seconds", "memory", "latency", "front", "verdict", "recommended")
"""In names of columns that no two runs have alike, or that depend on such."""


# ---- faults -----------------------------------------------------------------------------------


def kill_main(process: subprocess.Popen[str], _out: Path) -> bool:
    """End the main process as a power cut would."""
    is_running = process.poll() is None
    process.kill()
    return is_running


def kill_worker(process: subprocess.Popen[str], _out: Path) -> bool:
    """End the process that the server forked, if there is one."""
    for child in _below(psutil.Process(process.pid)):
        with suppress(psutil.NoSuchProcess):
            if child.ppid() != process.pid:
                child.kill()
                return True
    return False


def stop(process: subprocess.Popen[str], _out: Path) -> bool:
    """Stop the run in order."""
    process.send_signal(signal.SIGTERM)
    return True


def damage(_process: subprocess.Popen[str], out: Path) -> bool:
    """Cut the newest record, which is read by nobody while the run goes on."""
    found = sorted(out.glob("cells/*/record.json"), key=lambda path: path.stat().st_mtime)
    for path in found[-1:]:
        path.write_text(path.read_text("utf-8")[:-40], encoding="utf-8")
    return bool(found)


FAULTS: dict[str, Callable[[subprocess.Popen[str], Path], bool]] = {
    "main killed": kill_main,
    "worker killed": kill_worker,
    "stopped": stop,
    "record damaged": damage,
}
"""Each says whether it found what it strikes."""

EXITS = {"main killed": -9, "stopped": 143}
"""Exit codes that a fault may lead to, beside 0 and 3."""


class Fault(NamedTuple):
    name: str  # of FAULTS
    seconds: float  # since this sitting has begun, for workers its first cell, or the one before


class Sitting(NamedTuple):
    code: int  # of its exit
    struck: tuple[bool, ...]  # whether each fault met cells that were still to be trained


def sitting(here: Place, path: Path, out: Path, faults: Sequence[Fault] = ()) -> Sitting:
    """One run of the suite into the folder, with faults; what must hold then is checked."""
    before = finished(out)
    with (
        (here.folder / "log.txt").open("a", encoding="utf-8") as heard,
        command.running(here, "run", path, "--out", out, stdout=heard) as process,
    ):
        known, below = psutil.Process(process.pid), set[psutil.Process]()
        struck = [strike(process, out, fault, below) for fault in _timed(process, out, faults)]
        while process.poll() is None:
            below |= set(_below(known))
            time.sleep(0.02)
        code = process.wait()
    _, alive = psutil.wait_procs(below, timeout=GRACE_SECONDS)
    running = [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert not running, f"{running} still run"
    after, names = finished(out), {fault.name for fault in faults}
    changed = [name for name in before if after.get(name) != before[name]]
    assert len(changed) <= sum(fault.name == "record damaged" for fault in faults), changed
    assert code in {0, 3} | {EXITS[name] for name in names & EXITS.keys()}, f"{faults}: {code}"
    return Sitting(code, tuple(struck))


def strike(
    process: subprocess.Popen[str], out: Path, fault: Fault, below: set[psutil.Process]
) -> bool:
    """Whether the fault met what it strikes, with cells left; `below` learns who lived then."""
    if process.poll() is not None:
        return False
    below |= set(_below(psutil.Process(process.pid)))
    has_cells = len(finished(out)) < len(command.run_of(out).cells)
    return FAULTS[fault.name](process, out) and has_cells


def _timed(process: subprocess.Popen[str], out: Path, faults: Sequence[Fault]) -> Iterator[Fault]:
    """Each fault at its moment; at once where the process has ended."""
    began = time.time()
    for fault in faults:
        # Workers come after the first seconds, in which the machine is calibrated.
        signs = "cells/*/log.txt" if fault.name == "worker killed" else "run.json"
        while process.poll() is None and not any(
            path.stat().st_mtime >= began for path in out.glob(signs)
        ):
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(fault.seconds)
        yield fault


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


def survives(here: Place, path: Path, out: Path, quiet: Path) -> None:
    """Run the suite to its end, whatever befell it before, and check that."""
    code = sitting(here, path, out).code
    assert code == 0, f"at the end: exit code {code}"
    run, found = command.run_of(out), command.records(out)
    assert [record.cell_id for record in found] == list(run.cells)
    assert (run.status, {record.status for record in found}) == ("finished", {"ok"})
    expected = {record.cell_id: record for record in command.records(quiet)}
    assert [one.cell_id for one in found if differs(one, expected[one.cell_id])] == []
    assert told(out) == told(quiet)


def differs(one: Result | Failure, quiet: Result | Failure) -> bool:
    """Whether the scores are others, bit by bit.

    Heads of all seeds train as one batch, and how many they are rounds them: what is computed of
    their probabilities has to agree in five digits.
    """
    assert isinstance(one, Result)
    assert isinstance(quiet, Result)
    if one.cell.kind != "feature_extraction":
        return one.quality != quiet.quality
    return any(
        (a.predictions.classes, a.confusion) != (b.predictions.classes, b.confusion)
        or not all(math.isclose(x, y, rel_tol=1e-5) for x, y in ((a.nll, b.nll), (a.ece, b.ece)))
        for a, b in ((one.quality.val, quiet.quality.val), (one.quality.test, quiet.quality.test))
    )


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
    text = command.tiny(
        ["feature_extraction", "partial", "fine_tuning"], seeds=2 * asked.kills, epochs=3,
        architectures=["mobilenet_v3_small", "resnet18"],
    )  # fmt: skip
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-kills-") as name:
        here = command.place(Path(name))
        path, quiet, out = here.suite(text), here.folder / "quiet", here.folder / "out"
        assert sitting(here, path, quiet).code == 0
        struck = kill(here, path, out, asked.kills, random.Random(asked.seed))
        done = len(finished(out))
        survives(here, path, out, quiet)
        cells = len(finished(quiet))
    kills = ", ".join(f"{count} times {what}" for what, count in struck.items())
    sys.stdout.write(
        f"{cells} cells, {done} done when the last kill had struck; {kills} (seed {asked.seed}), "
        f"{time.monotonic() - began:.0f} s: no finished cell ran again, no process was left, the "
        "report is that of an undisturbed run but for times and the rounding of heads\n"
    )
    if min(struck.values()) < asked.kills or not done:
        sys.exit("the kills came too late to strike, or too early for any cell to be done")


def kill(here: Place, path: Path, out: Path, times: int, draw: random.Random) -> Mapping[str, int]:
    """How often each kill struck while cells were left: at least so many times, if they last.

    A run outlives its workers, so most sittings kill one of them before the main process.
    """
    struck = dict.fromkeys(("worker killed", "main killed"), 0)
    while min(struck.values()) < times:
        of_worker = [Fault("worker killed", draw.uniform(0, 5))] if draw.random() < 0.8 else []
        faults = [*of_worker, Fault("main killed", draw.uniform(0, 8))]
        ended = sitting(here, path, out, faults)
        for fault, has_struck in zip(faults, ended.struck, strict=True):
            struck[fault.name] += has_struck
        if ended.code != -signal.SIGKILL:
            break
    return struck


if __name__ == "__main__":
    main()
