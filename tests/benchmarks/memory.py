"""How much memory of the host a whole `bench run` takes on many images.

    python -m tests.benchmarks.memory
    python -m tests.benchmarks.memory --images 500 --size 64

`bench run`, in processes of its own, on a folder of JPEGs with an empty cache, a cell of
feature_extraction and one of fine_tuning. What is counted is the proportional set size (PSS) of all
its processes together, by which a page that several share counts once, read four times a second;
pages of the disk cache that belong to no process are not in it. On Linux only.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bench.architectures import ARCHITECTURES
from tests.benchmarks import photographs
from tests.benchmarks.commands import ROOT, toml
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show

INTERVAL = 0.25
GOAL_IMAGES, GOAL_SIZE, GOAL_GB = 5000, 224, 4.0


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = arguments(__doc__, rounds=1)
    add = parser.add_argument
    names = sorted(name for name, row in ARCHITECTURES.items() if not row.auxiliary)
    add("--architecture", choices=names, default="resnet18", metavar="NAME")
    add("--images", type=int, default=GOAL_IMAGES, help="JPEG files in all: 60/20/20")
    add("--classes", type=int, default=5)
    add("--picture", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    add("--size", type=int, default=GOAL_SIZE, help="of the network's input, in pixels")
    add("--batch", type=int, default=32)
    add("--epochs", type=int, default=1)
    return parser.parse_args(words)


def measure(asked: argparse.Namespace, place: Place, folder: Path) -> list[float]:
    """The peak of each round, in GB. Raises RuntimeError where the run fails."""
    width, height = asked.picture
    pictures = photographs.write(
        folder / "pictures", asked.images, num_classes=asked.classes, width=width, height=height
    )
    suite = folder / "suite.toml"
    suite.write_text(toml(table(asked, pictures)), encoding="utf-8")
    peaks = []
    for number in range(asked.pairs):
        out = folder / str(number)
        words = ["run", str(suite), "--device", str(place.device), "--offline", "--out", str(out)]
        peaks.append(peak_of(words, folder / f"cache-{number}"))
    return peaks


def table(asked: argparse.Namespace, pictures: Path) -> dict[str, object]:
    """The suite."""
    return {
        "name": "memory",
        "architectures": [asked.architecture],
        "strategies": ["feature_extraction", "fine_tuning"],
        "weights": ["random"],
        "seeds": [0],
        "recipe": {
            "image_size": asked.size,
            "epochs": asked.epochs,
            "batch_size": asked.batch,
        },
        "dataset": {"source": str(pictures)},
    }


def peak_of(words: Sequence[str], cache: Path) -> float:
    """Of a command with all its children, in GB. Raises RuntimeError where it fails."""
    environment = {**os.environ, "BENCH_CACHE": str(cache)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(pss_bytes, family(process.pid))))
            time.sleep(INTERVAL)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(log.read().decode(errors="replace")[-2000:])
    return peak / 1e9


def family(pid: int) -> Iterator[int]:
    """A process and all below it, as far as they still run."""
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))


def pss_bytes(pid: int) -> int:
    """The proportional set size of a process; 0 where it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024 * int(line.split()[1])
    return 0


def main(words: Sequence[str] | None = None) -> None:
    """Measure and show."""
    asked = parse(words)
    with placed(asked) as place, tempfile.TemporaryDirectory(prefix="memory-") as folder:
        peaks = measure(asked, place, Path(folder))
    is_judged = (asked.images, asked.size) == (GOAL_IMAGES, GOAL_SIZE)
    goal = Goal("at most", GOAL_GB) if is_judged else None
    figure = Figure(f"peak of all processes, {asked.images:,} images", peaks, "GB", goal)
    show(Findings("memory", vars(asked), place, [figure], [], {}), asked.json)


if __name__ == "__main__":
    main()
