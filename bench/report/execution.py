"""How the machine ran the cells: arithmetic, what was cached, captured and compiled.

Each fact is told of most cells first, then of those that differ, by the shortest names that
cover them.
"""

from collections.abc import Callable, Mapping, Sequence

from bench.record import Result
from bench.report import units

Fact = Callable[[Result], str | None]
"""What is true of a cell, in words; None where there is nothing to tell."""

Row = tuple[str, str]
"""Architecture and strategy of a cell."""

Told = Callable[[Sequence[Row], Sequence[Row]], str]
"""How the few cells that differ are told among all."""

IMAGES = {
    "cold": "decoded in this run",
    "warm": "decoded by an earlier run",
    "bypassed": "decoded in each worker, without the cache",
}
FEATURES = {
    "computed": "computed in this run",
    "reused": f"kept by an earlier run {units.REUSED}",
}
NAMED = 6


def precision(result: Result) -> str:
    """Arithmetic of the network; heads on kept features are fp32 everywhere."""
    return result.execution.precision


def images(result: Result) -> str:
    """Who decoded the images, and where they lay."""
    where = "resident" if result.execution.resident else "streamed from the disk"
    return f"{IMAGES[result.cost.images]}, {where}"


def features(result: Result) -> str | None:
    """Who computed the features of the frozen backbone."""
    return None if result.cost.features is None else FEATURES[result.cost.features]


def steps(result: Result) -> str:
    """How training steps were launched."""
    how = "as CUDA graphs" if result.execution.captured else "one by one"
    return how + (", compiled" if result.execution.compiled else "")


def settings(result: Result) -> str:
    """What holds for a whole process."""
    execution = result.execution
    flags = {
        "TF32": execution.allow_tf32,
        "deterministic": execution.deterministic,
        "cuDNN benchmark": execution.cudnn_benchmark,
    }
    return ", ".join(
        (
            "channels-last" if execution.channels_last else "channels-first",
            units.plural(execution.threads, "thread"),
            *(f"{name} {'yes' if on else 'no'}" for name, on in flags.items()),
        )
    )


FACTS: Mapping[str, Fact] = {
    "Precision": precision,
    "Images": images,
    "Features of frozen backbones": features,
    "Training steps": steps,
}


def facts(ok: Sequence[Result]) -> dict[str, str]:
    """What there is to tell, by its title; cells that differ are named."""
    found = {title: told(ok, fact, among) for title, fact in FACTS.items()}
    return {title: text for title, text in found.items() if text}


def in_short(ok: Sequence[Result]) -> str:
    """The same in a line; cells that differ are counted."""
    parts = {"": precision, "images ": images, "features ": features, "steps ": steps}
    found = {title: told(ok, fact, counted) for title, fact in parts.items()}
    return " · ".join(f"{title}{text}" for title, text in found.items() if text)


def told(ok: Sequence[Result], fact: Fact, exception: Told) -> str:
    """`bf16; fp32: mobilenet_v3_small`; empty where there is nothing to tell."""
    found: dict[str, list[Row]] = {}
    for result in ok:
        value = fact(result)
        if value is not None:
            row = (result.cell.architecture_label, result.cell.strategy)
            found.setdefault(value, []).append(row)
    rows = [row for of_value in found.values() for row in of_value]
    most, *others = sorted(found.items(), key=lambda item: -len(item[1])) or [("", [])]
    return "; ".join([most[0], *(f"{text}{exception(few, rows)}" for text, few in others)])


def counted(few: Sequence[Row], rows: Sequence[Row]) -> str:
    """` in 12 of 90 cells`."""
    return f" in {len(few)} of {units.plural(len(rows), 'cell')}"


def among(few: Sequence[Row], rows: Sequence[Row]) -> str:
    """`: partial, vit_b_16 (two_phase)`: strategies and architectures that are whole by name."""
    left, names = dict.fromkeys(few), []
    for side in (1, 0):
        for name in dict.fromkeys(row[side] for row in left):
            whole = {row for row in rows if row[side] == name}
            if whole <= left.keys():
                names.append(name)
                left = {row: None for row in left if row not in whole}
    for architecture in dict.fromkeys(row[0] for row in left):
        strategies = ", ".join(row[1] for row in left if row[0] == architecture)
        names.append(f"{architecture} ({strategies})")
    more = len(names) - NAMED
    return ": " + ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
