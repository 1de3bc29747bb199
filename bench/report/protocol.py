"""How the numbers of a run were made: data, recipes, weights, preprocessing, execution, machine.

A fact is a title and a plain text. What holds of most cells is said first, then what differs, by
the shortest names that cover those cells.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bench.analysis.table import RunTable
from bench.errors import first
from bench.record import Calibration, Cell, Machine, Recipe, Result, Run, Sitting
from bench.report import units
from bench.suite import Suite

Fact = tuple[str, str]


def protocol(table: RunTable) -> list[Fact]:
    run, cells = table.run, [record.cell for record in table.records.values()]
    data, asked = run.data, ", ".join(run.source.wanted)
    twice = ", ".join(f"{count:,} in {parts}" for parts, count in run.duplicates.items() if count)
    return [
        (
            "Data",
            f"{data.name}; {len(data.classes)} classes ({first(data.classes, 10)}); "
            f"{data.num_train:,} train, {data.num_val:,} val, {data.num_test:,} test images; "
            f"content {data.content_sha256[:12]}, split {data.split_sha256[:12]} (split.csv)",
        ),
        ("Identical images on both sides", twice or "none"),
        *(("Note", note) for note in run.data_notes),
        *([("Added later", added_text(run))] if run.added else []),
        ("Seeds", f"{'; '.join(_seeds(run.suite))}; every cell sees the same split"),
        *_recipes(cells),
        ("Weights asked for, by preference", f"{asked}; used: {run.source.used}"),
        *_of_architectures("Weights", map(_weights, cells), "results.csv"),
        *_of_architectures("Pretrained on", run.pretrained_on.items(), "run.json"),
        *_of_architectures("Preprocessing", _preprocessing(run, cells), "run.json"),
        *executed(table.results),
    ]


def added_text(run: Run) -> str:
    count = units.plural(len(run.added), "cell")
    return f"{count} of {len(run.cells):,}: the suite grew after the run began"


def _seeds(suite: Suite) -> Iterator[str]:
    """`0, 1`; `feature_extraction: 0, 1, 2` and `partial, two_phase: 0` where strategies differ."""
    users: dict[str, list[str]] = {}
    for strategy in suite.strategies:
        users.setdefault(", ".join(map(str, suite.seeds_for(strategy))), []).append(strategy.name)
    for seeds, names in users.items():
        yield seeds if len(users) == 1 else f"{', '.join(names)}: {seeds}"


def _recipes(cells: Sequence[Cell]) -> list[Fact]:
    users: dict[str, list[Cell]] = {}
    for cell in cells:
        users.setdefault(cell.strategy, []).append(cell)
    kinds = {strategy: own[0].kind for strategy, own in users.items()}
    texts = {strategy: list(_settings(own)) for strategy, own in users.items()}
    every = list(texts.values())
    shared = [text for text in every[0] if all(text in one for one in every)] if every else []
    facts = [("Recipe of every strategy", ", ".join(shared))] if shared else []
    for strategy, settings in texts.items():
        own = [text for text in settings if text not in shared]
        facts.append((f"Recipe of {strategy}", ", ".join([f"kind {kinds[strategy]}", *own])))
    return facts


def _settings(cells: Sequence[Cell]) -> Iterator[str]:
    """`epochs 10`, or `lr 0.003 (0.001 for vit_b_16)` where architectures differ."""
    for key in Recipe.model_fields:
        users: dict[object, dict[str, None]] = {}
        for cell in cells:
            users.setdefault(getattr(cell.recipe, key), {})[cell.architecture_label] = None
        (common, _), *others = sorted(users.items(), key=lambda one: -len(one[1]))
        told = "; ".join(f"{_shown(value)} for {', '.join(names)}" for value, names in others)
        if common is not None:
            yield f"{key} {_shown(common)}{told and f' ({told})'}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _weights(cell: Cell) -> Fact:
    given = cell.weights
    text = given.source if given.source == given.name else f"{given.source} {given.name}"
    text += f", sha256 {given.sha256[:8]}" if given.sha256 else ""
    text += f", init seed {given.init_seed}" if given.init_seed is not None else ""
    text += " (random values, other ones for each seed)" if given.source == "scratch" else ""
    return cell.architecture_label, text


def _preprocessing(run: Run, cells: Sequence[Cell]) -> Iterator[Fact]:
    """Architectures and their eval pipelines."""
    sizes = {cell.architecture_label: cell.image_size for cell in cells}
    for label, steps in run.preprocessing.items():
        size = f"{sizes[label]} px, " if label in sizes else ""
        mean, std = ("/".join(f"{v:g}" for v in values) for values in (steps.mean, steps.std))
        yield (
            label,
            f"{size}resize {steps.resize_size}, centre crop {steps.crop_size}, "
            f"{steps.interpolation}{', antialias' if steps.antialias else ''}, mean {mean}, "
            f"std {std}",
        )


def _of_architectures(title: str, told: Iterable[Fact], file: str) -> list[Fact]:
    """A fact per text with the architectures that share it, cut where they are many."""
    sharing: dict[str, dict[str, None]] = {}
    for label, text in told:
        sharing.setdefault(text, {})[label] = None
    facts = [(f"{title} of {first(list(labels), 12)}", text) for text, labels in sharing.items()]
    left_out = len(facts) - 24
    return facts if left_out <= 0 else [*facts[:24], (title, f"{left_out:,} more: see {file}")]


Told = Callable[[Result], str | None]
"""What is true of a cell, in words; None where there is nothing to tell."""

Names = tuple[str, str]
"""Architecture and strategy of a cell."""

IMAGES = {
    "cold": "decoded in this run",
    "warm": "decoded by an earlier run",
    "bypassed": "decoded in each worker, without the cache",
}
FEATURES = {
    "computed": "computed in this run",
    "reused": f"kept by an earlier run {units.odd_mark('reused')}",
}


def _precision(one: Result) -> str:
    # Of the network; heads on kept features are fp32 everywhere.
    return one.execution.precision


def _images(one: Result) -> str:
    where = "resident" if one.execution.resident else "streamed from the disk"
    return f"{IMAGES[one.cost.images]}, {where}"


def _features(one: Result) -> str | None:
    return one.cost.features and FEATURES[one.cost.features]


def _steps(one: Result) -> str:
    how = "as CUDA graphs" if one.execution.captured else "one by one"
    passes = one.execution.passes
    divided = f", in {passes} passes {units.odd_mark('passes')}" if passes > 1 else ""
    return how + (", compiled" if one.execution.compiled else "") + divided


def settings(one: Result) -> str:
    execution = one.execution
    flags = {
        "TF32": execution.allow_tf32,
        "deterministic": execution.deterministic,
        "cuDNN benchmark": execution.cudnn_benchmark,
    }
    layout = "channels-last" if execution.channels_last else "channels-first"
    threads = units.plural(execution.threads, "thread")
    return ", ".join([layout, threads, *(f"{k} {'yes' if v else 'no'}" for k, v in flags.items())])


EXECUTION: Mapping[str, Told] = {
    "Precision": _precision,
    "Images": _images,
    "Features of frozen backbones": _features,
    "Training steps": _steps,
}


def executed(ok: Sequence[Result]) -> list[Fact]:
    found = [(title, told(ok, fact, among)) for title, fact in EXECUTION.items()]
    return [(title, text) for title, text in found if text]


def in_short(ok: Sequence[Result]) -> str:
    """The same in a line; cells that differ are counted."""
    parts = {"": _precision, "images ": _images, "features ": _features, "steps ": _steps}
    found = {title: told(ok, fact, counted) for title, fact in parts.items()}
    return " · ".join(f"{title}{text}" for title, text in found.items() if text)


def told(
    ok: Sequence[Result], fact: Told, exception: Callable[[Sequence[Names], Sequence[Names]], str]
) -> str:
    """`bf16; fp32: mobilenet_v3_small`; empty where there is nothing to tell."""
    found: dict[str, list[Names]] = {}
    for one in ok:
        if value := fact(one):
            found.setdefault(value, []).append((one.cell.architecture_label, one.cell.strategy))
    if not found:
        return ""
    everybody = [names for of_value in found.values() for names in of_value]
    (most, _), *others = sorted(found.items(), key=lambda item: -len(item[1]))
    return "; ".join([most, *(f"{text}{exception(few, everybody)}" for text, few in others)])


def counted(few: Sequence[Names], everybody: Sequence[Names]) -> str:
    """` in 12 of 90 cells`."""
    return f" in {len(few)} of {units.plural(len(everybody), 'cell')}"


def among(few: Sequence[Names], everybody: Sequence[Names]) -> str:
    """`: partial, vit_b_16 (two_phase)`: strategies and architectures that are whole by name."""
    left, names = dict.fromkeys(few), []
    for side in (1, 0):
        for name in dict.fromkeys(one[side] for one in left):
            whole = {one for one in everybody if one[side] == name}
            if whole <= left.keys():
                names.append(name)
                left = {one: None for one in left if one not in whole}
    for architecture in dict.fromkeys(one[0] for one in left):
        strategies = ", ".join(one[1] for one in left if one[0] == architecture)
        names.append(f"{architecture} ({strategies})")
    return f": {first(names, 6)}"


def machines(table: RunTable) -> list[Fact]:
    run, ok = table.run, table.results
    facts = _machine(run.machine)
    for other, count in Counter(one.machine for one in ok).items():
        if other != run.machine:
            title = f"Of {units.plural(count, 'cell')} on another machine"
            facts.append((title, _differing(run.machine, other)))
    if ok:
        facts.append(("Settings", told(ok, settings, among)))
    for number, sitting in enumerate(run.sittings, start=1):
        of = f" of sitting {number}" if len(run.sittings) > 1 else ""
        facts.append((f"Calibration{of}", _calibration(sitting)))
    if versions := dict.fromkeys(one.provenance.bench for one in table.records.values()):
        facts.append(("bench", ", ".join(versions)))
    return [*facts, ("UTC", f"{run.started_at} to {run.finished_at or 'not finished'}")]


def _machine(facts: Machine) -> list[Fact]:
    memory = facts.gpu_memory_bytes and facts.gpu_memory_bytes // 2**20
    groups: Mapping[str, Mapping[str, object]] = {
        "GPU": {
            "": facts.gpu_name,
            "memory MiB": memory,
            "multiprocessors": facts.gpu_multiprocessors,
            "compute capability": facts.compute_capability,
            "MIG": facts.mig,
            "ECC": facts.ecc,
            "power limit W": facts.power_limit_watts,
            "driver": facts.driver,
            "CUDA": facts.cuda,
            "cuDNN": facts.cudnn,
        },
        "CPU": {
            "": facts.cpu_model,
            "instructions": facts.cpu_capability,
            "usable cores": facts.usable_cores,
            "memory GiB": facts.memory_gib,
            "OS": facts.os,
        },
        "Software": facts.model_dump(include={"python", "torch", "torchvision", "numpy", "pillow"}),
    }
    known = {
        title: [f"{k} {_shown(v)}".strip() for k, v in values.items() if v is not None]
        for title, values in groups.items()
    }
    return [(title, ", ".join(texts)) for title, texts in known.items() if texts]


def _differing(own: Machine, other: Machine) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {'unknown' if theirs is None else _shown(theirs)}"
        for key, theirs in other
        if theirs != getattr(own, key)
    )


def calibrated(found: Calibration) -> dict[str, str]:
    """The result of each probe with its size; those that there are."""
    rates = {
        "fp32 matmul": (found.matmul_fp32_flops, "GFLOP/s", "matmul_fp32", "{0} x {0}"),
        "bf16 matmul": (found.matmul_bf16_flops, "GFLOP/s", "matmul_bf16", "{0} x {0}"),
        "memory copy": (found.copy_bytes_per_second, "GB/s", "copy", "{1} MiB"),
        "copy to the GPU": (found.upload_bytes_per_second, "GB/s", "upload", "{1} MiB"),
    }
    lines = {}
    for probe, (value, unit, key, form) in rates.items():
        if value is not None:
            size = form.format(found.sizes[key], found.sizes[key] >> 20)
            lines[probe] = f"{units.three_digits(value / 1e9)} {unit} ({size})"
    times = {"convolution": found.conv_seconds, "Python loop": found.loop_seconds}
    known = {probe: value for probe, value in times.items() if value is not None}
    return lines | {probe: f"{units.milliseconds(value)} ms" for probe, value in known.items()}


def _calibration(one: Sitting) -> str:
    parts = []
    for when, found in {"at the start": one.start, "at the end": one.end}.items():
        probes = calibrated(found) if found else {"unknown": ""}
        parts.append(f"{when} " + ", ".join(f"{k} {value}".strip() for k, value in probes.items()))
    if one.load is not None:
        parts.append(f"load before it {one.load:.2f} per usable core")
    if one.foreign_gpu_processes is not None:
        parts.append(f"other processes on the GPU: {one.foreign_gpu_processes}")
    return "; ".join(parts)
