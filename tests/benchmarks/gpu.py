"""What only a GPU can tell, in one table and under ten minutes on one of them.

    python -m tests.benchmarks.gpu
    python -m tests.benchmarks.gpu --json gpu.json --device cuda:1

what        on the GPU                              beside it
class, nll  a short fp32 cell of each strategy      the same cell on the CPU
captured    cells whose steps are replayed          the same, launched one by one: losses, times
peak        the allocated peak on record            torch.cuda.max_memory_allocated
images/s    training of six networks, batch 128     the goals of roofline.py for one H200
capstone    suites/capstone.toml by `bench run`     its 90 cells, all of which are to be ok

Without a GPU it says so and exits with 2. Correctness in full: `python -m pytest -m cuda -rs`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

from bench import predictions
from bench.errors import DeviceError, first_line
from bench.measure.device import Device
from bench.suite import Kind
from bench.training.run_cell import Outcome
from tests.benchmarks import engine, roofline
from tests.benchmarks.commands import ROOT
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show
from tests.training import cells
from tests.training.test_cuda import KINDS, Uncaptured, losses, outcomes

CPU = Device("cpu", None)
SECONDS = 580
"""That everything may take; the capstone is stopped then, and what it finished is counted."""


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = arguments(__doc__, rounds=3)
    parser.set_defaults(device="cuda")
    return parser.parse_args(words)


def agreement(kind: Kind, device: Device) -> list[Figure]:
    """A cell there and here."""
    one = cells.cell(kind)
    (there,), (here,) = outcomes(device, one), outcomes(CPU, one)
    same = np.equal(*(predicted(outcome) for outcome in (there, here))).mean()
    apart = abs(there.quality.test.nll / here.quality.test.nll - 1)
    return [
        Figure(f"{kind}: same class as on the CPU", [float(same)], "", Goal("at least", 0.9)),
        Figure(f"{kind}: nll off from the CPU's", [apart], "", Goal("at most", 0.05)),
    ]


def predicted(outcome: Outcome) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """The class of every test image."""
    return np.asarray(predictions.unpack(outcome.quality.test.predictions).predicted_N)


def capturing(kind: Kind, device: Device) -> list[Figure]:
    """Replays and single launches of the same steps, one after another in one worker each."""
    asked = [cells.cell(kind, seed=seed, epochs=10) for seed in (0, 1)]
    replayed = outcomes(device, *asked)
    launched = outcomes(device, *asked, worker=Uncaptured)
    pairs = list(zip(replayed, launched, strict=True))
    apart = max(
        abs(loss / other - 1)
        for one, another in pairs
        for loss, other in zip(losses(one), losses(another), strict=True)
    )
    ratios = [b.cost.attributed.train / a.cost.attributed.train for a, b in pairs]
    count = fmean(one.execution.captured for one in replayed)
    return [
        Figure(f"{kind}: cells that are captured", [count], "", Goal("at least", 1)),
        Figure(f"{kind}: losses off when captured", [apart], "", Goal("at most", 0.02)),
        Figure(f"{kind}: time one by one / captured", ratios),
    ]


def peak(kind: Kind, device: Device) -> Figure:
    """Of a cell: what its record says and what torch counted."""
    with highest_peak(device) as peaks:
        (outcome,) = outcomes(device, cells.cell(kind, batch_size=16))
    on_record = outcome.memory.gpu_allocated_bytes or 0
    return Figure(f"{kind}: peak on record / torch's", [on_record / max(peaks)])


@contextmanager
def highest_peak(device: Device) -> Iterator[list[int]]:
    """Peaks above the present use, noted whenever a meter begins anew."""
    torch.cuda.empty_cache()
    before, peaks = torch.cuda.memory_allocated(device.index), list[int]()
    reset = torch.cuda.reset_peak_memory_stats
    reset(device.index)

    def note(index: int | None = None) -> None:
        peaks.append(torch.cuda.max_memory_allocated(device.index) - before)
        reset(index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "reset_peak_memory_stats", note)
        yield peaks
        note(device.index)


def rates(place: Place, pairs: int, folder: Path) -> list[Figure]:
    """Training images/s of the six networks."""
    asked = roofline.parse(["--pairs", str(pairs)])
    return [roofline.measure(asked, place, name, folder)[0] for name in asked.architecture]


def capstone(device: Device, folder: Path, seconds: float) -> list[Figure]:
    """The command from its start to its report, and the cells that came out of it."""
    words = ["run", "suites/capstone.toml", "--device", str(device), "--offline"]
    before = time.monotonic()
    with (folder / "capstone.txt").open("w") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "bench", *words, "--out", str(folder / "run")],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            run.wait(timeout=max(1.0, seconds))
        except subprocess.TimeoutExpired:
            run.terminate()
            run.wait()
    taken = time.monotonic() - before
    records = [json.loads(path.read_text()) for path in folder.glob("run/cells/*/record.json")]
    ok = sum(record["status"] == "ok" for record in records)
    return [
        Figure("capstone: cells that are ok", [float(ok)], "", Goal("at least", 90)),
        Figure(f"capstone: exit code {run.returncode}", [taken], "s"),
    ]


def measure(asked: argparse.Namespace, place: Place, folder: Path) -> list[Figure]:
    """Everything, the capstone last, in the time that is left."""
    begun, device = time.monotonic(), place.device
    figures = [figure for kind in KINDS for figure in agreement(kind, device)]
    figures += [figure for kind in KINDS for figure in capturing(kind, device)]
    figures += [peak(kind, device) for kind in KINDS]
    figures += rates(place, asked.pairs, folder)
    torch.cuda.empty_cache()
    return figures + capstone(device, folder, SECONDS - (time.monotonic() - begun))


def main(words: Sequence[str] | None = None) -> int:
    """The exit code: 2 without a GPU."""
    asked = parse(words)
    try:
        with (
            engine.own_cache(),
            placed(asked) as place,
            tempfile.TemporaryDirectory(prefix="gpu-") as folder,
        ):
            figures = measure(asked, place, Path(folder))
    except DeviceError as error:
        sys.stderr.write(f"{first_line(error)}\n")
        return int(error.exit_code)
    show(Findings("gpu", vars(asked), place, figures, [], {}), asked.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
