"""What `bench compare` says across changes of arithmetic that mean nothing, and of faults there.

    python -m tests.benchmarks.arithmetic --out FOLDER
    python -m tests.benchmarks.arithmetic --out FOLDER --changes 5 --faults
    python -m tests.benchmarks.arithmetic --out FOLDER --python OTHER_ENVIRONMENT/bin/python
    python -m tests.benchmarks.arithmetic --out FOLDER --suite suites/regression.toml

Runs of a small suite on the CPU: one as it is, then one for each change of threads, instructions,
memory layout and kernels, or with another torch, which is compared with the first. None is to say
that accuracy is worse.
Then each fault is planted as it is and under --across of the changes: where it is found as it is,
it should be found there too. What is in the folder already is not run again.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from tests.benchmarks import faults
from tests.benchmarks.commands import ROOT, toml
from tests.benchmarks.faults import FAULTS, Fault

SUITE: Mapping[str, Any] = {
    **faults.SUITE,
    "name": "arithmetic",
    "architectures": ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0"),
    "strategies": ("fine_tuning", "from_scratch"),
    "recipe": {"image_size": 32, "epochs": 2, "batch_size": 16, "augment": "none"},
}

EVERY = frozenset(product(SUITE["architectures"], SUITE["strategies"]))
SOUND_FAULTS = {
    "normalisation": FAULTS["normalisation"]._replace(cells=EVERY),
    "labels": FAULTS["labels"]._replace(
        cells=frozenset(("resnet18", strategy) for strategy in SUITE["strategies"])
    ),
    "frozen": Fault(
        "training/step.py",
        "        parameter.requires_grad_(scales[name] > 0)\n",
        '        parameter.requires_grad_(name.startswith("head."))\n',
        "accuracy",
        EVERY,
    ),
}

THREADS = {"": {}, "one thread": {"OMP_NUM_THREADS": "1"}}
IN_FP32 = {"    precision = recipe.precision\n": '    precision = "fp32"\n'}
INSTRUCTIONS: dict[str, dict[str, str]] = {
    f"at most {name}": {
        "ONEDNN_MAX_CPU_ISA": onednn,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "ATEN_CPU_CAPABILITY": aten,
    }
    for name, onednn, mkl, aten in (
        ("AVX2", "AVX2", "AVX2", "avx2"),
        ("AVX", "AVX", "AVX", "default"),
        ("SSE4", "SSE41", "SSE4_2", "default"),
    )
}
# A CPU of these has no bf16 either; where this one has none, fp32 is no change.
MACHINES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "": ({}, {}),
    "fp32": ({}, IN_FP32),
    **{name: (variables, IN_FP32) for name, variables in INSTRUCTIONS.items()},
}
LAYOUTS = {"": {}, "plain layout": {"channels_last=True": "channels_last=False"}}
KERNELS = {
    "": {},
    "compatible MKL": {"MKL_CBWR": "COMPATIBLE"},
    "fp32 by bf16": {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"},
}
ONE_DNN = "    gc.freeze()\n"
WITHOUT_ONE_DNN = f"{ONE_DNN}    torch.backends.mkldnn.enabled = False\n"
PLACE = "training/placement.py"


class Change(NamedTuple):
    """Of arithmetic: by the environment, by texts put into placement.py, or by another Python."""

    name: str
    environment: dict[str, str]
    texts: dict[str, str]
    python: str = sys.executable


def changes() -> list[Change]:
    """All that differ from how it is, the simple ones first."""
    found = [
        Change(
            ", ".join(filter(None, (threads, machine, layout, kernels))),
            THREADS[threads] | MACHINES[machine][0] | KERNELS[kernels],
            MACHINES[machine][1] | LAYOUTS[layout],
        )
        for threads, machine, layout, kernels in product(THREADS, MACHINES, LAYOUTS, KERNELS)
    ]
    # Only alone, as it takes ten times as long; in bf16 longer still.
    without = Change("without oneDNN", {}, IN_FP32 | {ONE_DNN: WITHOUT_ONE_DNN})
    return sorted([*found[1:], without], key=lambda one: one.name.count(","))


class Judgement(NamedTuple):
    """A run against the one as it is: cells that are said to be worse in accuracy, of how many."""

    fault: str
    change: str
    worse: set[tuple[str, str]]
    words: dict[str, int]  # verdicts on accuracy
    expected: frozenset[tuple[str, str]]

    @property
    def false(self) -> int:
        return len(self.worse - self.expected)

    @property
    def found(self) -> int:
        return len(self.worse & self.expected)


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 1 where more than one cell is falsely worse."""
    asked = parse(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    suite = asked.out.resolve() / "suite.toml"
    text = asked.suite.read_text(encoding="utf-8") if asked.suite else toml(SUITE)
    suite.write_text(text, encoding="utf-8")
    found = []
    for one in judgements(asked, suite):
        print(f"{one.fault or 'clean'}, {one.change or 'as it is'}: {one.words}", flush=True)
        found.append(one)
    print(table(found))
    return 1 if sum(one.false for one in found) > 1 else 0


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--changes", type=int, default=24, help="of arithmetic")
    parser.add_argument("--across", type=int, default=4, help="changes under which faults are")
    parser.add_argument("--faults", nargs="*", choices=SOUND_FAULTS, default=list(SOUND_FAULTS))
    parser.add_argument("--python", nargs="*", default=[], help="others, with bench and a torch")
    parser.add_argument("--suite", type=Path, help="another than the small one, without faults")
    asked = parser.parse_args(words)
    if asked.suite:
        asked.faults = []
    return asked


def judgements(asked: argparse.Namespace, suite: Path) -> Iterator[Judgement]:
    """Of every change, then of every fault as it is and under a few changes."""
    out = asked.out.resolve()
    same = Change("", {}, {})
    run(out, suite, "", same)
    others = [Change(f"Python {n}", {}, {}, path) for n, path in enumerate(asked.python, 1)]
    for change in [*others, *changes()[: asked.changes]]:
        yield judged(out, run(out, suite, "", change), "", change)
    for fault in asked.faults:
        for change in [same, *changes()[: asked.across]]:
            yield judged(out, run(out, suite, fault, change), fault, change)


def run(out: Path, suite: Path, fault: str, change: Change) -> Path:
    """`bench run` by a copy of the code with the fault and the change in it."""
    name = "-".join(filter(None, (fault, change.name))).replace(", ", "-").replace(" ", "_")
    folder, code = out / "runs" / (name or "base"), out / "code" / (name or "base")
    if not (folder / "report.html").exists():
        faults.copied(code)
        if fault:
            faults.replace(code, SOUND_FAULTS[fault].file, fault_texts(fault))
        faults.replace(code, PLACE, change.texts)
        with environment(change.environment):
            faults.run(suite, folder, code, change.python)
    return folder


def fault_texts(name: str) -> dict[str, str]:
    return {SOUND_FAULTS[name].before: SOUND_FAULTS[name].after}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of the processes that start inside."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def judged(out: Path, folder: Path, fault: str, change: Change) -> Judgement:
    """Raises RuntimeError where nothing can be compared."""
    words = ["compare", str(out / "runs" / "base"), str(folder), "--format", "json"]
    done = faults.bench(ROOT, words, out)
    if done.returncode not in (0, 3, 4):
        raise RuntimeError(f"bench compare ended with {done.returncode}:\n{done.stderr}")
    told = [one for one in json.loads(done.stdout)["verdicts"] if one["metric"] == "accuracy"]
    verdicts = [one["verdict"] for one in told]
    return Judgement(
        fault,
        change.name,
        {(o["architecture"], o["strategy"]) for o in told if o["verdict"] == "regressed"},
        {word: verdicts.count(word) for word in dict.fromkeys(verdicts)},
        SOUND_FAULTS[fault].cells if fault else frozenset(),
    )


def table(found: Sequence[Judgement]) -> str:
    """Runs, cells, and how many of these are falsely worse and rightly so, by fault and place."""
    groups = {(one.fault, bool(one.change)): list[Judgement]() for one in found}
    for one in found:
        groups[one.fault, bool(one.change)].append(one)
    rows = [
        [
            fault or "none",
            "other" if changed else "the same",
            len(ones),
            sum(sum(one.words.values()) for one in ones),
            sum(one.false for one in ones),
            sum(one.words.get("improved", 0) for one in ones),
            f"{sum(o.found for o in ones)} of {sum(len(o.expected) for o in ones)}"
            if fault
            else "",
        ]
        for (fault, changed), ones in groups.items()
    ]
    headings = ["fault", "arithmetic", "runs", "cells", "falsely worse", "better", "found"]
    return tabulate(rows, headings, tablefmt="github")


if __name__ == "__main__":
    sys.exit(main())
