"""Very many tiny cells in one run: what the main process takes, and whether the end is right.

    python -m tests.soak
    python -m tests.soak --cells 100

A real suite on made pictures, run by the command line in a process of its own. Its memory, open
files and processes are looked at twice a second. Goals for 1,000 cells: while they train, less than
50 MB more than after the first 20, and no more open files and processes; each record readable,
every cell in the report. What the report takes at the end, with the libraries that it loads, is
printed beside that.
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from tests import command

STRATEGIES = 4


class Look(NamedTuple):
    done: int  # records
    megabytes: float  # of the main process
    files: int  # that the main process has open
    processes: int  # below the main process


def suite(cells: int) -> str:
    """A quarter of the cells trains its last stage, the others train heads at various rates."""
    heads = (
        f'{{name = "heads {n}", kind = "feature_extraction", lr = 1e-{n}}}'
        for n in range(2, STRATEGIES + 1)
    )
    return command.tiny(["partial", *heads], seeds=cells // STRATEGIES)


def main(words: Sequence[str] | None = None) -> None:
    """Run it and print; exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="a multiple of 4")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as name:
        here, out = command.place(Path(name)), Path(name) / "out"
        began = time.monotonic()
        looks, code = run(here, asked.cells, out)
        seconds = time.monotonic() - began
        problems = [*grown(looks), *wrong(out, asked.cells, code)]
    first, *_, last = while_training(looks)
    sys.stdout.write(
        f"{asked.cells:,} cells in {seconds:.0f} s: main process {first.megabytes:.0f} MB after "
        f"{first.done} cells, {last.megabytes:.0f} MB after {last.done}, at most "
        f"{max(look.megabytes for look in looks):.0f} MB with the report; open files "
        f"{first.files} to {max(look.files for look in looks)}; processes below it at most "
        f"{max(look.processes for look in looks)}\n"
    )
    sys.exit("\n".join(problems) or 0)


def run(here: command.Place, cells: int, out: Path) -> tuple[list[Look], int]:
    """What was seen, and the exit code."""
    looks = []
    words = ("run", here.suite(suite(cells)), "--out", out)
    with (
        (here.folder / "log.txt").open("w") as heard,
        command.running(here, *words, stdout=heard) as process,
    ):
        known = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                looks.append(look(known, out))
            except psutil.Error:
                break
            time.sleep(0.5)
        return looks, process.wait()


def look(process: psutil.Process, out: Path) -> Look:
    """The process and its run as they are."""
    return Look(
        done=len(list(out.glob("cells/*/record.json"))),
        megabytes=process.memory_info().rss / 1e6,
        files=process.num_fds(),
        processes=len(process.children(recursive=True)),
    )


def while_training(looks: Sequence[Look]) -> list[Look]:
    """From the first cells on, when all is loaded that a cell needs, to the last one."""
    cells = max(one.done for one in looks)
    return [one for one in looks if 20 <= one.done < cells]


def grown(looks: Sequence[Look]) -> list[str]:
    """What became larger than it may."""
    first, *later = while_training(looks)
    limits = {
        "megabytes": (max(one.megabytes for one in later), first.megabytes + 50),
        "open files": (max(one.files for one in later), first.files + 8),
        "processes": (max(one.processes for one in later), first.processes + 2),
    }
    return [f"{what}: {most:.0f}, over {limit:.0f}" for what, (most, limit) in limits.items()
            if most > limit]  # fmt: skip


def wrong(out: Path, cells: int, code: int) -> list[str]:
    """What is not as it should be when the run has ended."""
    found = command.records(out)
    with (out / "tables" / "main.csv").open(encoding="utf-8", newline="") as file:
        told = sum(int(row["seeds_ok"]) for row in csv.DictReader(file))
    checks = {
        f"exit code {code}": code == 0,
        f"{len(found)} records": len(found) == cells,
        "a record is not ok": all(record.status == "ok" for record in found),
        f"the report counts {told} cells": told == cells,
    }
    return [text for text, is_right in checks.items() if not is_right]


if __name__ == "__main__":
    main()
