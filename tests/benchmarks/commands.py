"""Whole commands side by side: `bench run` to its report, a tutorial's script to its scores."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measure.device import Device
from tests.benchmarks import tutorial
from tests.benchmarks.match import Match
from tests.benchmarks.pairs import Cost

ROOT = Path(__file__).parent.parent.parent
LAUNCH = Path(__file__).with_name("launch.py")


def costs(match: Match, rounds: int, device: Device, folder: Path) -> dict[str, list[Cost]]:
    """Both commands by turns; bench with an empty cache and a new run folder each time."""
    task = folder / "task.json"
    task.write_text(json.dumps(match.task._asdict()), encoding="utf-8")
    suite = folder / "suite.toml"
    suite.write_text(toml(match.table), encoding="utf-8")
    found: dict[str, list[Cost]] = {"bench": [], "tutorial": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-whole-") as fresh:
            out = ["--out", f"{fresh}/run", "--device", str(device), "--offline"]
            run = ["-m", "bench", "run", str(suite), *out]
            found["bench"].append(cost_of(run, folder, {"BENCH_CACHE": f"{fresh}/cache"}))
        found["tutorial"].append(cost_of([tutorial.__file__, str(task)], folder, {}))
    return found


def cost_of(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """What a Python command took, with everything below it. Raises RuntimeError where it fails."""
    result, log = folder / "cost.json", folder / "log.txt"
    with log.open("w") as output:
        code = subprocess.call(
            [sys.executable, str(LAUNCH), str(result), sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if code != 0:
        text = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(words)} ended with exit code {code}:\n{text}")
    return Cost(**json.loads(result.read_text(encoding="utf-8")))


def toml(table: Mapping[str, Any]) -> str:
    """A suite of plain values and one level of tables; JSON writes these as TOML does."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, values in inner.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
