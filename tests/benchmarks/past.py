"""How long `bench history` takes where there are many runs: the first time, and again.

    python -m tests.benchmarks.past
    python -m tests.benchmarks.past --runs 50

Runs of made-up records in a temporary folder, 1 % of noise in their times, which rise by 10 % after
every 500; the whole command, from its start to its exit. Goal: a few seconds where each run has its
table.json.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.folder import sealed
from bench.record import Run
from tests import records
from tests.benchmarks.comparison import ROOT, STRATEGIES, at

SEEDS = (0, 1, 2)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=30, help="of each run, a multiple of 15")
    parser.add_argument("--rounds", type=int, default=3, help="calls after the first")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-past-") as folder:
        write(Path(folder), asked.cells, asked.runs)
        first, *again = [timed(Path(folder)) for _ in range(asked.rounds + 1)]
        tables = sum(path.stat().st_size for path in Path(folder).rglob("table.json")) / 1e6
        page = next(Path(folder).rglob("history.html")).stat().st_size / 1e6
    again.sort()
    sys.stdout.write(
        f"{asked.runs:,} runs of {asked.cells:,} cells: the first time {first:.2f} s, then median "
        f"{again[len(again) // 2]:.2f} s of {asked.rounds} ({again[0]:.2f} to {again[-1]:.2f}); "
        f"tables {tables:.1f} MB, page {page:.1f} MB\n"
    )


def timed(folder: Path) -> float:
    """Seconds of one call. Raises CalledProcessError where it does not end well."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", "history", "capstone"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start


def write(folder: Path, cells: int, count: int) -> None:
    """So many runs below results; nothing waits for the disk."""
    architectures = [f"made-up{number}" for number in range(cells // 15)]
    run = records.run(architectures, STRATEGIES, seeds=SEEDS)
    found = [
        records.result(records.cell(a, s, seed), train_seconds=10.0)
        for a in architectures
        for s in STRATEGIES
        for seed in SEEDS
    ]
    contents = [record.model_dump(mode="json") for record in found]
    for number in range(count):
        write_run(folder / "results" / run.suite_name / f"{number:05}", at(run, number), contents)


def write_run(place: Path, run: Run, contents: Sequence[dict[str, Any]]) -> None:
    """One run; its place in the order is its name."""
    number = int(place.name)
    draw = np.random.default_rng(number)
    level = 10 * 1.1 ** (number // 500)
    place.mkdir(parents=True)
    (place / "run.json").write_text(sealed(run.model_dump(mode="json")))
    for content in contents:
        seconds = round(level * float(np.exp(draw.normal(0, 0.01))), 4)
        spent = records.seconds(seconds).model_dump()
        cost = {**content["cost"], "attributed": spent, "marginal": spent}
        cell = place / "cells" / content["cell_id"]
        cell.mkdir(parents=True)
        (cell / "record.json").write_text(sealed({**content, "cost": cost}))


if __name__ == "__main__":
    main()
