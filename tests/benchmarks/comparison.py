"""How long `bench compare` takes where there are many cells and many past runs.

    python -m tests.benchmarks.comparison
    python -m tests.benchmarks.comparison --cells 100 --past 10

Runs of made-up records in a temporary folder, the newest of the past ones the baseline; the whole
command, from its start to its exit, with a table.json in each past run, as every comparison after
the first finds them. Goal: less than 5 s for 1,000 cells and 100 past runs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from bench.analysis.snapshot import keep, stamp_of
from bench.analysis.table import table
from bench.folder import write_record, write_run
from bench.record import Run
from tests import records

ROOT = Path(__file__).parent.parent.parent
STRATEGIES = [f"strategy{number}" for number in range(5)]
SEEDS = (0, 1)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="of each run, a multiple of 10")
    parser.add_argument("--past", type=int, default=100, help="runs")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bench-comparison-") as folder:
        baseline = write(Path(folder), asked.cells, asked.past)
        seconds = sorted(timed(Path(folder), baseline, asked.past) for _ in range(asked.rounds))
    median, low, high = seconds[len(seconds) // 2], seconds[0], seconds[-1]
    sys.stdout.write(
        f"{asked.cells:,} cells, {asked.past:,} past runs: median {median:.2f} s of "
        f"{asked.rounds} ({low:.2f} to {high:.2f})\n"
    )


def timed(folder: Path, baseline: Path, past: int) -> float:
    """Seconds of one comparison.

    Raises CalledProcessError where it does not pass, or RuntimeError where it judges by another
    number of past runs: it would be measured without reading them.
    """
    told = folder / "told.json"
    form = ("--format", "json", "--out", told)  # the table is printed all the same
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench", "compare", baseline, "after", *form],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        check=True,
        capture_output=True,
    )
    took = time.perf_counter() - start
    if (used := json.loads(told.read_bytes())["past_runs"]) != past:
        raise RuntimeError(f"{used} of {past} past runs were used")
    return took


def write(folder: Path, cells: int, past: int) -> Path:
    """The past runs and one of the same records after them; the folder of the newest past one."""
    architectures = [f"made-up{number}" for number in range(cells // 10)]
    run = records.run(architectures, STRATEGIES, seeds=SEEDS)
    found = records.drawn(run, STRATEGIES)
    results = folder / "results"
    places = [results / run.suite_name / f"{number:04}" for number in range(past)]
    for number, place in enumerate([*places, folder / "after"]):
        write_run(place, at(run, number))
    for place in (places[-1], folder / "after"):
        for record in found:
            write_record(place, record)
    took = table(run, found)
    for number, place in enumerate(places):
        earlier = at(run, number)
        times = {"started_at": earlier.started_at, "finished_at": earlier.finished_at}
        header = took.header.model_copy(update=times)
        keep(place, replace(took, header=header), stamp_of(place))
    return places[-1]


def at(run: Run, number: int) -> Run:
    """The run of this hour."""
    start = (datetime(2026, 1, 1) + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return run.model_copy(update={"started_at": start, "finished_at": start})


if __name__ == "__main__":
    main()
