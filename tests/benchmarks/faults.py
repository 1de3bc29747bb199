"""What `bench compare` says of clean repeats of a suite, and of faults planted in copies of bench.

    python -m tests.benchmarks.faults --out FOLDER
    python -m tests.benchmarks.faults --out FOLDER --repeats 0 --faults busy leak

Runs of a small suite on the CPU, each a `bench run` of its own: first as many as times are judged
by, then clean repeats, then one run for each fault. Every run after the first few is compared with
the first, by all clean runs before it. A run whose calibration changed, or of which the comparison
says that the machine was slower than for the first, is repeated, not counted; after --tries of them
the last one stands. A clean repeat is to end without a regression; a fault is to be found in the
cells and metrics that it is in, and in no others. What is in the folder already is not run again.

fault           planted
busy            each training step of resnet18 takes 15 % longer: a loop that waits
normalisation   images that are scored are not normalised, where the network trains on images
leak            resnet18 keeps 64 MB for each time that it is trained
labels          resnet18 learns shuffled labels under seed 1
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from bench.analysis.baseline import NEEDED
from bench.analysis.stability import unstable
from bench.folder import read_run
from bench.verbs import checkouts
from tests.benchmarks.commands import ROOT, toml

ARCHITECTURES = ("resnet18", "mobilenet_v3_small")
SUITE: Mapping[str, Any] = {
    "name": "small",
    "architectures": ARCHITECTURES,
    "strategies": ("feature_extraction", "fine_tuning"),
    "seeds": (0, 1, 2),
    "weights": ("random",),
    "keep_weights": "none",
    "recipe": {"image_size": 64, "epochs": 2, "batch_size": 16, "augment": "none"},
    "dataset": {"source": "digits", "train_per_class": 20, "val_per_class": 10},
}


class Fault(NamedTuple):
    """A change of one place in bench's code, and the verdicts that are to be `regressed`."""

    file: str
    before: str
    after: str
    metric: str
    cells: frozenset[tuple[str, str]]

    @property
    def expected(self) -> set[tuple[str, str, str]]:
        """Architecture, strategy and metric."""
        return {(*cell, self.metric) for cell in self.cells}


LARGE = "sum(value.numel() for value in network.parameters()) > 5_000_000"
RESNET18 = frozenset({("resnet18", "fine_tuning")})

FAULTS = {
    "busy": Fault(
        "training/step.py",
        "        self._run()\n\n    def loss_sum",
        "        began = time.perf_counter()\n"
        "        self._run()\n"
        "        network = self.network\n"
        f"        if {LARGE}:\n"
        "            until = time.perf_counter() + 0.15 * (time.perf_counter() - began)\n"
        "            while time.perf_counter() < until:\n"
        "                pass\n\n"
        "    def loss_sum",
        "train_seconds",
        RESNET18,
    ),
    "normalisation": Fault(
        "training/evaluate.py",
        "    return Exam(eval_batch(images, pipeline), host(images.labels_N))",
        "    forgotten = {'mean': (0.0, 0.0, 0.0), 'std': (1.0, 1.0, 1.0)}\n"
        "    batch = eval_batch(images, pipeline.model_copy(update=forgotten))\n"
        "    return Exam(batch, host(images.labels_N))",
        "accuracy",
        frozenset((architecture, "fine_tuning") for architecture in ARCHITECTURES),
    ),
    "leak": Fault(
        "training/step.py",
        "        device = placement.device\n",
        "        device = placement.device\n"
        f"        if {LARGE}:\n"
        "            Step.kept = [*getattr(Step, 'kept', ()), torch.ones(16_000_000)]\n",
        "peak_memory_bytes",
        RESNET18,
    ),
    "labels": Fault(
        "training/phase.py",
        '    torch.manual_seed(derived_seed(cell.seed, "dropout"))\n',
        '    torch.manual_seed(derived_seed(cell.seed, "dropout"))\n'
        "    if cell.architecture == 'resnet18' and cell.seed == 1:\n"
        "        from dataclasses import replace\n"
        "        images = step.feed.images\n"
        "        order_N = torch.randperm(len(images.labels_N))\n"
        "        shuffled = replace(images, labels_N=images.labels_N[order_N])\n"
        "        step.feed = replace(step.feed, images=shuffled)\n",
        "accuracy",
        RESNET18,
    ),
}


class Judgement(NamedTuple):
    """How a comparison ended."""

    run: str
    repeated: int  # runs before it whose machine was not steady
    unsteady: bool  # so was this one's
    code: int
    regressed: set[tuple[str, str, str]]
    expected: set[tuple[str, str, str]]
    judged: int  # verdicts on accuracy, time and memory that say something

    @property
    def right(self) -> bool:
        """Whether all that is wrong was found and nothing else, on a steady machine."""
        code = 4 if self.expected else 0
        found = self.regressed, self.code, self.unsteady
        return found == (self.expected, code, False) and self.judged > 0


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 1 where a judgement is wrong."""
    asked = parse(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    suite = asked.out / "suite.toml"
    suite.write_text(toml(SUITE), encoding="utf-8")
    found: list[Judgement] = []
    for one in judgements(asked, suite.resolve()):
        found.append(one)
        text = json.dumps([plain(each) for each in found], indent=1)
        (asked.out / "judgements.json").write_text(f"{text}\n", encoding="utf-8")
    print(table(found))
    wrong = sum(not one.right for one in found)
    print(f"{len(found) - wrong} of {len(found)} as they should be")
    return 1 if wrong else 0


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--repeats", type=int, default=12, help="clean runs to be judged")
    parser.add_argument("--tries", type=int, default=12, help="runs until a steady one")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    return parser.parse_args(words)


def judgements(asked: argparse.Namespace, suite: Path) -> Iterator[Judgement]:
    """Of every clean repeat and every fault, each told on a line as it comes."""
    out: Path = asked.out.resolve()
    history = out / "clean"

    def settled(folder: Path, code: Path, expected: set[tuple[str, str, str]]) -> Judgement:
        found = partial(judged, history, expected=expected)
        repeated = steady(suite, folder, code, asked.tries, lambda run: not found(run).unsteady)
        return tell(found(folder)._replace(repeated=repeated))

    for number in range(NEEDED):
        folder = history / f"{number:02d}"
        steady(suite, folder, ROOT, asked.tries, lambda run: unstable(read_run(run)) is None)
    for number in range(NEEDED, NEEDED + asked.repeats):
        yield settled(history / f"{number:02d}", ROOT, set())
    for name in asked.faults:
        yield settled(
            out / "faults" / name, planted(name, out / "code" / name), FAULTS[name].expected
        )


def planted(name: str, folder: Path) -> Path:
    """A copy of bench with the fault in it. Raises ValueError where its place is not there."""
    copied(folder)
    replace(folder, FAULTS[name].file, {FAULTS[name].before: FAULTS[name].after})
    return folder


def copied(folder: Path) -> None:
    """Make it a copy of bench."""
    shutil.rmtree(folder, ignore_errors=True)
    checkouts.copy_package(ROOT, folder)


def replace(folder: Path, file: str, texts: Mapping[str, str]) -> None:
    """Change texts in a file of a copy. Raises ValueError where one is not there once."""
    path = folder / "bench" / file
    text = path.read_text(encoding="utf-8")
    for before, after in texts.items():
        if text.count(before) != 1:
            raise ValueError(f"{file}: the place to plant {after!r} in is not there once")
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


def steady(
    suite: Path, folder: Path, code: Path, tries: int, is_steady: Callable[[Path], bool]
) -> int:
    """Run the suite until the machine was steady; how often it was not. Raises RuntimeError."""
    for repeated in range(tries):
        if not (folder / "report.html").exists():
            run(suite, folder, code)
        if is_steady(folder) or repeated + 1 == tries:
            return repeated
        print(f"{folder.name}: the machine was not steady, and it is run again", flush=True)
        aside = folder.parents[1] / "unstable" / f"{folder.name}-{os.urandom(4).hex()}"
        aside.parent.mkdir(exist_ok=True)  # beside the clean runs: it is no part of their past
        folder.rename(aside)
    raise ValueError("--tries must be 1 or more")


def run(suite: Path, folder: Path, code: Path, python: str = sys.executable) -> None:
    """`bench run` by the code of a checkout. Raises RuntimeError where a cell is not ok."""
    words = ["run", str(suite), "--out", str(folder), "--device", "cpu", "--offline"]
    done = bench(code, words, folder.parent, python)
    if done.returncode != 0:
        raise RuntimeError(f"bench run ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def judged(history: Path, folder: Path, expected: set[tuple[str, str, str]]) -> Judgement:
    """The run against the first clean one. Raises RuntimeError where nothing can be compared."""
    words = ["compare", str(history / "00"), str(folder), "--history", str(history)]
    done = bench(ROOT, [*words, "--format", "json"], folder.parent)
    if done.returncode not in (0, 3, 4):
        raise RuntimeError(f"bench compare ended with {done.returncode}:\n{done.stderr}")
    found = json.loads(done.stdout)
    sound = [one for one in found["verdicts"] if one["metric"] not in ("cell", "counts")]
    return Judgement(
        folder.name,
        0,
        "unstable" in found["outcomes"],
        done.returncode,
        {
            (one["architecture"], one["strategy"], one["metric"])
            for one in sound
            if one["verdict"] == "regressed"
        },
        expected,
        sum(one["verdict"] in ("pass", "improved", "regressed") for one in sound),
    )


def bench(
    code: Path, words: Sequence[str], folder: Path, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """The command line of a checkout, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [python, "-P", "-m", "bench", *words],
        env={**os.environ, "PYTHONPATH": str(code)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def tell(one: Judgement) -> Judgement:
    """Print it as it comes: all of them take a while."""
    print(f"{one.run}: exit code {one.code}, {named(one.regressed) or 'nothing worse'}", flush=True)
    return one


def table(found: Sequence[Judgement]) -> str:
    """All judgements for a person."""
    rows = [
        [
            one.run,
            one.repeated,
            "yes" if one.unsteady else "",
            one.code,
            one.judged,
            named(one.regressed),
            "yes" if one.right else "NO",
        ]
        for one in found
    ]
    headings = ["run", "repeated", "unsteady", "exit code", "judged", "regressed", "right"]
    return tabulate(rows, headings, tablefmt="github", disable_numparse=True)


def named(regressed: set[tuple[str, str, str]]) -> str:
    """Cells and metrics in words."""
    return ", ".join(f"{a} {s} {m}" for a, s, m in sorted(regressed))


def plain(one: Judgement) -> dict[str, Any]:
    """As JSON takes it."""
    return {**one._asdict(), "regressed": sorted(one.regressed), "expected": sorted(one.expected)}


if __name__ == "__main__":
    sys.exit(main())
