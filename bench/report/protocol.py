"""How the numbers of a report were made: data, recipes, weights, preprocessing, machine.

Every fact is a title and a plain text, so that each format can escape names in its own way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.analysis.rows import results
from bench.record import Cell, Failure, Machine, Recipe, Result, Run
from bench.report import calibration, execution, units

Fact = tuple[str, str]
"""A title, and what there is to say under it."""


def protocol(run: Run, records: Sequence[Result | Failure]) -> list[Fact]:
    """Data, split, recipes, weights, preprocessing, and how the machine ran the cells."""
    cells = [record.cell for record in records]
    return [
        ("Data", data(run)),
        ("Identical images on both sides", duplicates(run)),
        *(("Note", note) for note in run.data_notes),
        ("Seeds", f"{', '.join(map(str, run.suite.seeds))}; every cell sees the same split"),
        *recipes(cells),
        (
            "Weights asked for, by preference",
            f"{', '.join(run.source.wanted)}; used: {run.source.used}",
        ),
        *weights(cells),
        *preprocessing(run, cells),
        *execution.facts(results(records)).items(),
    ]


def data(run: Run) -> str:
    """Name, classes, sizes and hashes of the data."""
    facts = run.data
    classes = ", ".join(facts.classes[:10])
    more = f" and {len(facts.classes) - 10} more" if len(facts.classes) > 10 else ""
    return (
        f"{facts.name}; {len(facts.classes)} classes ({classes}{more}); "
        f"{facts.num_train:,} train, {facts.num_val:,} val, {facts.num_test:,} test images; "
        f"content {facts.content_sha256[:12]}, split {facts.split_sha256[:12]} (split.csv)"
    )


def duplicates(run: Run) -> str:
    """Images of the same bytes in two parts of the split."""
    found = [f"{count:,} in {parts}" for parts, count in run.duplicates.items() if count]
    return ", ".join(found) if found else "none"


def recipes(cells: Sequence[Cell]) -> list[Fact]:
    """What all strategies share, then what each has of its own."""
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(cell.strategy, cell)
    if not first:
        return []
    texts = {strategy: recipe_texts(cell.recipe) for strategy, cell in first.items()}
    shared = [text for text in next(iter(texts.values())) if all(text in t for t in texts.values())]
    lines = [("Recipe of every strategy", ", ".join(shared))] if shared else []
    for strategy, own in texts.items():
        rest = [f"kind {first[strategy].kind}", *(text for text in own if text not in shared)]
        lines.append((f"Recipe of {strategy}", ", ".join(rest)))
    return lines


def recipe_texts(recipe: Recipe) -> list[str]:
    """Every value that was set, as `key value`."""
    values = ((key, getattr(recipe, key)) for key in Recipe.model_fields)
    return [f"{key} {plain(value)}" for key, value in values if value is not None]


def plain(value: object) -> str:
    """A value as text: on and off, numbers without trailing zeros."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def weights(cells: Sequence[Cell]) -> list[Fact]:
    """Where the backbones' values come from; architectures that agree share a line."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        given = cell.weights
        text = given.source if given.source == given.name else f"{given.source} {given.name}"
        text += f", sha256 {given.sha256[:8]}" if given.sha256 else ""
        text += f", init seed {given.init_seed}" if given.init_seed is not None else ""
        text += " (random values of each seed's own)" if given.source == "scratch" else ""
        found.setdefault(text, []).append(cell.architecture_label)
    return of_architectures("Weights", found, "results.csv")


def preprocessing(run: Run, cells: Sequence[Cell]) -> list[Fact]:
    """The eval pipelines; architectures that agree share a line."""
    sizes = {cell.architecture_label: cell.image_size for cell in cells}
    found: dict[str, list[str]] = {}
    for label, steps in run.preprocessing.items():
        size = f"{sizes[label]} px, " if label in sizes else ""
        text = (
            f"{size}resize {steps.resize_size}, centre crop {steps.crop_size}, "
            f"{steps.interpolation}{', antialias' if steps.antialias else ''}, "
            f"mean {_joined(steps.mean)}, std {_joined(steps.std)}"
        )
        found.setdefault(text, []).append(label)
    return of_architectures("Preprocessing", found, "run.json")


def of_architectures(title: str, labels: Mapping[str, Sequence[str]], file: str) -> list[Fact]:
    """A fact per text with the architectures that share it, cut where they are many."""
    facts = []
    for text, sharing in list(labels.items())[:MOST_FACTS]:
        names = list(dict.fromkeys(sharing))
        more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
        facts.append((f"{title} of {', '.join(names[:MOST_NAMES])}{more}", text))
    left_out = len(labels) - MOST_FACTS
    return [*facts, *([(title, f"{left_out:,} more: see {file}")] if left_out > 0 else [])]


MOST_FACTS = 24
MOST_NAMES = 12


def _joined(values: Sequence[float]) -> str:
    return "/".join(f"{value:g}" for value in values)


def machines(run: Run, records: Sequence[Result | Failure]) -> list[Fact]:
    """Hardware, software and how the cells were executed; more than one machine is said."""
    ok = results(records)
    facts = [*machine(run.machine), *other_machines(run.machine, ok)]
    if ok:
        facts.append(("Settings", execution.told(ok, execution.settings, execution.among)))
    facts += calibration.facts(run)
    if versions := dict.fromkeys(record.provenance.bench for record in records):
        facts.append(("bench", ", ".join(versions)))
    return [*facts, ("UTC", f"{run.started_at} to {run.finished_at or 'not finished'}")]


def other_machines(own: Machine, ok: Sequence[Result]) -> list[Fact]:
    """In what each further machine differs, and how many cells ran on it."""
    counts = Counter(result.machine for result in ok)
    return [
        (f"Of {units.plural(count, 'cell')} on another machine", _differing(own, other))
        for other, count in counts.items()
        if other != own
    ]


def _differing(own: Machine, other: Machine) -> str:
    values = ((name, getattr(own, name), getattr(other, name)) for name in Machine.model_fields)
    return ", ".join(
        f"{name.replace('_', ' ')} {'unknown' if theirs is None else plain(theirs)}"
        for name, ours, theirs in values
        if theirs != ours
    )


def machine(facts: Machine) -> list[Fact]:
    """Hardware and versions; what is unknown is left out."""
    groups: Mapping[str, Mapping[str, object]] = {
        "GPU": {
            "": facts.gpu_name,
            "memory MiB": facts.gpu_memory_bytes and facts.gpu_memory_bytes // 2**20,
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
        "Software": {
            key: getattr(facts, key)
            for key in ("python", "torch", "torchvision", "numpy", "pillow")
        },
    }
    told = {title: _told(values) for title, values in groups.items()}
    return [(title, text) for title, text in told.items() if text]


def _told(values: Mapping[str, object]) -> str:
    known = {key: plain(value) for key, value in values.items() if value is not None}
    return ", ".join(f"{key} {value}".strip() for key, value in known.items())
