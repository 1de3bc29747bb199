"""bench against the loop that a user would write otherwise, on the same image files.

    python -m tests.benchmarks.versus                                    # feature extraction
    python -m tests.benchmarks.versus --strategy fine_tuning --architecture resnet50 --images 160
    python -m tests.benchmarks.versus --against tutorial lightning transformers timm
    python -m tests.benchmarks.versus --whole-process

Files, split, epochs, batch, optimiser, rates and start values are the same on every side. The
sides take turns in this process; each is timed after imports, device start and a warm-up run,
from files on disk to the last score, bench always without anything in its cache. A figure is the
opponent's cost over bench's. Measuring inference latency, which no opponent does, is left out.

The opponents are described in tutorial.py and frameworks.py. Each reads its files with as many
workers as suit it best, which a run of one epoch decides beforehand. With --opponent-epochs it
trains fewer epochs in the alternated rounds, and its cost there is scaled by the forward passes
that it makes, an image trained through the whole network counting three; one round with all
epochs then comes first and is reported as well.

--whole-process compares commands, with all their imports: `bench run` from start to report, and a
script with the tutorial's loop from start to scores.

Accuracies are those on val and test together. Their difference is paired by image; its standard
error is the larger of that over images and that over seeds.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.architectures import ARCHITECTURES
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from tests.benchmarks import commands, engine, match, tutorial
from tests.benchmarks.findings import Figure, Findings, Goal, Place, arguments, placed, show
from tests.benchmarks.frameworks import FRAMEWORKS
from tests.benchmarks.match import Match
from tests.benchmarks.pairs import Cost, Turn, alternate
from tests.benchmarks.sides import Opponent, Outcomes, at_its_best, difference, run_bench, run_of
from tests.benchmarks.tutorial import Task

Goals = Mapping[tuple[str, str, str], float]
Rounds = Mapping[str, Sequence[Turn[Outcomes]]]

GOALS: Goals = {
    ("cpu", "feature_extraction", "resnet18"): 50,
    ("cpu", "fine_tuning", "resnet18"): 2,
    ("cpu", "fine_tuning", "resnet50"): 2.5,
    ("cpu", "fine_tuning", "vit_b_16"): 2.5,
    ("cuda", "feature_extraction", "resnet18"): 30,
    ("cuda", "fine_tuning", "resnet18"): 5,
    ("cuda", "fine_tuning", "resnet50"): 5,
    ("cuda", "fine_tuning", "vit_b_16"): 5,
}
"""Against the tutorial's loop at 224 px, on a CPU with bf16 instructions and on one H200."""

WHOLE_PROCESS_GOALS: Goals = {("cpu", "feature_extraction", "resnet18"): 15}


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The options. Exits where they make no sense."""
    parser = arguments(__doc__, rounds=5)
    add = parser.add_argument
    names = sorted(name for name, row in ARCHITECTURES.items() if not row.auxiliary)
    workers = sorted({0, 2, usable_cores()})
    add("--strategy", choices=("feature_extraction", "fine_tuning"), default="feature_extraction")
    add("--architecture", choices=names, default="resnet18", metavar="NAME")
    add("--images", type=int, default=300, help="JPEG files in all: 60/20/20")
    add("--classes", type=int, default=5)
    add("--picture", type=int, nargs=2, default=(500, 375), metavar=("WIDTH", "HEIGHT"))
    add("--size", type=int, default=224, help="of the networks' inputs, in pixels")
    add("--batch", type=int, default=32)
    add("--epochs", type=int, default=10)
    add("--seeds", type=int, default=3)
    add("--weights", type=Path, help="folder with <architecture>.pth; default: drawn")
    add("--against", nargs="+", choices=("tutorial", *FRAMEWORKS), default=["tutorial"])
    add("--workers", type=int, nargs="+", default=workers, help="of their loaders, to choose from")
    add("--opponent-epochs", type=int, help="epochs of the opponents in the alternated rounds")
    add("--whole-process", action="store_true", help="compare commands instead")
    return parser.parse_args(words)


def size_of(asked: argparse.Namespace) -> match.Size:
    """What is trained, from the options."""
    return match.Size(
        strategy=asked.strategy,
        architecture=asked.architecture,
        images=asked.images,
        classes=asked.classes,
        picture=tuple(asked.picture),
        image_size=asked.size,
        batch=asked.batch,
        epochs=asked.epochs,
        seeds=asked.seeds,
    )


# ---- commands -------------------------------------------------------------------------------


def whole_processes(asked: argparse.Namespace, place: Place) -> Findings:
    """`bench run` against the script."""
    device = place.device
    with tempfile.TemporaryDirectory(prefix="versus-") as folder:
        pair = match.prepare(size_of(asked), asked.weights, device, Path(folder))
        best = at_its_best(run_of("tutorial", device), pair.task, asked.workers, device)
        costs = commands.costs(pair._replace(task=best.task), asked.pairs, device, Path(folder))
    goal = goal_of(WHOLE_PROCESS_GOALS, asked, place)
    judged = {name: [cost.judged(device) for cost in each] for name, each in costs.items()}
    wall = {name: [cost.wall_seconds for cost in each] for name, each in costs.items()}
    found = [
        Figure("script / bench run", ratios(judged), goal=goal),
        Figure("script / bench run, by the clock on the wall", ratios(wall)),
        *(Figure(f"{name}, by the clock on the wall", each, "s") for name, each in wall.items()),
    ]
    notes = [f"the script reads its files with {best.task.workers} workers"]
    return Findings("versus, whole processes", vars(asked), place, found, notes, as_json(costs))


def ratios(costs: Mapping[str, Sequence[float]]) -> list[float]:
    """The script's cost over bench's, round by round."""
    return [a / b for a, b in zip(costs["tutorial"], costs["bench"], strict=True)]


def as_json(costs: Mapping[str, Sequence[Cost]]) -> dict[str, list[dict[str, float]]]:
    """Raw costs as plain values."""
    return {name: [cost._asdict() for cost in each] for name, each in costs.items()}


# ---- in this process ------------------------------------------------------------------------


def side_by_side(asked: argparse.Namespace, place: Place) -> Findings:
    """bench against every opponent that was asked for and is installed."""
    device, notes = place.device, []
    with tempfile.TemporaryDirectory(prefix="versus-") as folder:
        pair = match.prepare(size_of(asked), asked.weights, device, Path(folder))
        opponents: dict[str, Opponent] = {}
        for name in asked.against:
            try:
                run = run_of(name, device)
            except ModuleNotFoundError as error:
                notes.append(f"{name} is left out: {error.name} is not installed, see [versus]")
                continue
            opponents[name] = at_its_best(run, pair.task, asked.workers, device)
            notes.append(f"{name} reads its files with {opponents[name].task.workers} workers")
        run_bench(short_table(pair), device)
        found: list[Figure] = []
        raw: dict[str, object] = {}
        if asked.opponent_epochs is not None:
            whole = play(pair, opponents, 1, device)
            found += figures(whole, dict.fromkeys(opponents, 1.0), asked, place, ", all epochs")
            raw["all_epochs"] = raw_costs(whole)
        opponents, scale = shortened(opponents, asked.opponent_epochs)
        rounds = play(pair, opponents, asked.pairs, device)
        notes += [f"{name}'s cost is scaled by {by:.2f}" for name, by in scale.items() if by != 1]
        found = figures(rounds, scale, asked, place, "") + found
        raw["rounds"] = raw_costs(rounds)
        scored = rounds if asked.opponent_epochs is None else whole
        gaps = {name: difference(last(scored, "bench"), last(scored, name)) for name in opponents}
    notes += [gap.sentence(name) for name, gap in gaps.items()]
    raw["accuracy"] = {name: gap._asdict() | {"same": gap.same} for name, gap in gaps.items()}
    return Findings("versus", vars(asked), place, found, notes, raw)


def short_table(pair: Match) -> dict[str, object]:
    """bench's side for one epoch of one seed, to warm up with."""
    return {**pair.table, "seeds": [0], "recipe": {**pair.table["recipe"], "epochs": 1}}


def play(
    pair: Match, opponents: Mapping[str, Opponent], rounds: int, device: Device
) -> dict[str, list[Turn[Outcomes]]]:
    """All sides by turns."""
    sides: dict[str, Callable[[], Outcomes]] = {"bench": partial(run_bench, pair.table, device)}
    sides |= {name: partial(each.run, each.task) for name, each in opponents.items()}
    return alternate(sides, rounds, device)


def shortened(
    opponents: Mapping[str, Opponent], epochs: int | None
) -> tuple[dict[str, Opponent], dict[str, float]]:
    """The opponents with so many epochs, and by what their costs are to be multiplied then."""
    if epochs is None:
        return dict(opponents), dict.fromkeys(opponents, 1.0)
    fewer = {
        n: each._replace(task=each.task._replace(epochs=epochs)) for n, each in opponents.items()
    }
    scale = {
        name: forward_passes(each.task) / forward_passes(fewer[name].task)
        for name, each in opponents.items()
    }
    return fewer, scale


def forward_passes(task: Task) -> int:
    """What a task costs, counted in forward passes of one image."""
    train, val, test = (len(tutorial.images(task, part, None)) for part in tutorial.PARTS)
    return train * task.epochs * (1 if task.frozen else 3) + val + test


def figures(
    rounds: Rounds, scale: Mapping[str, float], asked: argparse.Namespace, place: Place, label: str
) -> list[Figure]:
    """Ratios and costs of some rounds; `scale` multiplies the cost of each opponent."""
    device = place.device
    ours = [turn.cost.judged(device) for turn in rounds["bench"]]
    found = []
    for name, by in scale.items():
        theirs = [by * turn.cost.judged(device) for turn in rounds[name]]
        ratio = [a / b for a, b in zip(theirs, ours, strict=True)]
        goal = goal_of(GOALS, asked, place) if name == "tutorial" else None
        found.append(Figure(f"{name} / bench{label}", ratio, goal=goal))
        found.append(Figure(f"{name}{label}", theirs, "s"))
    return [*found, Figure(f"bench{label}", ours, "s")]


def raw_costs(rounds: Rounds) -> dict[str, list[dict[str, float]]]:
    """Costs of each turn as plain values."""
    return as_json({name: [turn.cost for turn in turns] for name, turns in rounds.items()})


def last(rounds: Rounds, name: str) -> Outcomes:
    """What a side came to in the last round."""
    return rounds[name][-1].value


def goal_of(goals: Goals, asked: argparse.Namespace, place: Place) -> Goal | None:
    """The goal of this case; None where none was set."""
    value = goals.get((place.device.type, asked.strategy, asked.architecture))
    return None if value is None or asked.size != 224 else Goal("at least", value)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and show."""
    asked = parse(words)
    measure = whole_processes if asked.whole_process else side_by_side
    with placed(asked) as place, engine.own_cache():
        show(measure(asked, place), asked.json)


if __name__ == "__main__":
    main()
