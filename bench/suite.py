"""A suite: what the user wrote, checked as a whole. Nothing here looks at a machine or an image."""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from bench.architectures import ARCHITECTURES, nearest_size
from bench.errors import Problem, SuiteError, size_text, unknown
from bench.record import Kind, Metric, Profile
from bench.strategies import STRATEGIES, head_epochs_of
from bench.thresholds import CompareTable, Threshold
from bench.validation import Table, lower, problem_of

MAX_CELLS = 10_000

TieBreak = Literal["train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds"]
KeepWeights = Literal["winner", "all", "none"]
"""Whose trained weights stay in the run folder: those of the recommended cell, of every cell."""


# ---- the tables of the file -----------------------------------------------------------------


def _architecture(name: str) -> str:
    if name not in ARCHITECTURES:
        raise ValueError(f'architecture "{name}" {unknown(name, list(ARCHITECTURES))}')
    return name


def _weights_source(entry: str) -> str:
    if entry not in ("imagenet", "random") and "/" not in entry:
        raise ValueError(
            f'weights "{entry}" unknown – accepted are "imagenet", "random", '
            'or a folder with a "/" in it'
        )
    return entry


def _named(entry: object) -> object:
    return {"name": entry} if isinstance(entry, str) else entry


class RecipeTable(Table):
    """What a suite says of the recipe; None where it leaves the choice to the defaults."""

    epochs: int | None = Field(None, ge=1, le=10_000)
    head_epochs: int | None = Field(None, ge=1)
    stages: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=2)
    image_size: int | None = Field(None, ge=8, le=4096)
    lr: float | None = Field(None, gt=0)
    backbone_lr_scale: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)
    warmup_epochs: float | None = Field(None, ge=0)
    label_smoothing: float | None = Field(None, ge=0, lt=1)
    augment: Literal["standard", "none"] | None = None
    flip: bool | None = None
    views: int | None = Field(None, ge=1, le=100)
    precise_bn: bool | None = None
    checkpoint: Literal["last", "best"] | None = None
    precision: Literal["auto", "fp32", "bf16"] | None = None

    def said(self) -> dict[str, Any]:
        """The recipe keys that this table sets."""
        values = {key: getattr(self, key) for key in RecipeTable.model_fields}
        return {key: value for key, value in values.items() if value is not None}


ONLY_OF: Mapping[str, Collection[Kind]] = {
    "stages": {"partial"},
    "head_epochs": {"two_phase"},
    "backbone_lr_scale": {"fine_tuning", "two_phase", "partial", "from_scratch"},
}
"""Recipe keys that only some kinds of strategy have a use for."""

RECIPE_DEFAULTS: Mapping[str, Any] = {
    "epochs": 10,
    "batch_size": 32,
    "weight_decay": 0.05,
    "warmup_epochs": 1.0,
    "label_smoothing": 0.1,
    "augment": "standard",
    "views": 1,
    "precise_bn": True,
    "checkpoint": "last",
    "precision": "auto",
}
"""The rates come from the strategy, the image size from the weights, flip from the images."""


class ArchitectureEntry(Table):
    """One architecture; exact `weights` never fall back."""

    name: Annotated[str, BeforeValidator(_architecture)]
    weights: str | None = None


class StrategyEntry(RecipeTable):
    """One strategy; `kind` may be left out where the name is a kind."""

    name: str = Field(min_length=1, max_length=60)
    kind: Kind | None = None

    def resolved_kind(self) -> Kind:
        """The kind, checked by `_kinds` to exist."""
        return self.kind if self.kind is not None else STRATEGY_KINDS[self.name]


STRATEGY_KINDS: Mapping[str, Kind] = {kind: kind for kind in STRATEGIES}


def _kind_or_name(entry: object) -> object:
    entry = _named(entry)
    if isinstance(entry, dict) and isinstance(entry.get("name"), str) and "kind" not in entry:
        name = entry["name"]
        if name not in STRATEGY_KINDS:
            message = unknown(name, list(STRATEGY_KINDS))
            raise ValueError(f'strategy "{name}" {message} (a name of your own needs a "kind")')
    return entry


class DatasetTable(Table):
    """Which images, and how they are split; None takes the source's own default."""

    source: str = Field("digits", min_length=1)
    train_per_class: int | None = Field(None, ge=1)
    val_per_class: int | None = Field(None, ge=1)
    split_seed: int = Field(0, ge=0)


class Suite(Table):
    """A suite for one profile, every mistake found."""

    name: str = Field(min_length=1, max_length=60)
    architectures: list[Annotated[ArchitectureEntry, BeforeValidator(_named)]] = Field(min_length=1)
    strategies: list[Annotated[StrategyEntry, BeforeValidator(_kind_or_name)]] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field([0], min_length=1)
    weights: list[Annotated[str, BeforeValidator(_weights_source)]] = Field(
        ["imagenet"], min_length=1
    )
    metric: Metric = "top1"
    target: float = Field(0.9, gt=0, le=1)
    tie_break: list[TieBreak] = Field(["train_seconds", "peak_memory_bytes"], min_length=1)
    margin: float = Field(0.005, ge=0, lt=1)
    keep_weights: KeepWeights = "winner"
    dataset: DatasetTable = DatasetTable()
    recipe: RecipeTable = RecipeTable()
    compare: CompareTable = CompareTable()

    @property
    def needs_weights(self) -> bool:
        """Whether any strategy starts from given weights."""
        return any(STRATEGIES[entry.resolved_kind()].uses_weights for entry in self.strategies)


def architecture_label(entry: ArchitectureEntry) -> str:
    """`resnet50`, or `resnet50:IMAGENET1K_V2` where the suite names exact weights.

    Of a folder of weights only the last name is shown: records hold no paths.
    """
    return entry.name if entry.weights is None else f"{entry.name}:{Path(entry.weights).name}"


def labels_of(suite: Suite) -> dict[str, ArchitectureEntry]:
    """Each architecture under a name that is unique in the suite."""
    return {architecture_label(entry): entry for entry in suite.architectures}


KEYS: Mapping[str, Collection[str]] = {
    "": [*Suite.model_fields, "on"],
    "recipe": RecipeTable.model_fields,
    "dataset": DatasetTable.model_fields,
    "architectures": ArchitectureEntry.model_fields,
    "strategies": StrategyEntry.model_fields,
    "compare": CompareTable.model_fields,
    "compare.thresholds": Threshold.model_fields,
}
"""The keys that each table of the file may have."""


# ---- from the file to a suite ---------------------------------------------------------------


class SuiteFile(NamedTuple):
    """A suite file whose two profiles were both checked."""

    place: str
    profiles: Mapping[Profile, Suite]


def read_suite(path: Path, dataset: str | None = None) -> SuiteFile:
    """The suite file, with `dataset` in place of its whole [dataset] table if given.

    Raises SuiteError with every mistake of the file.
    """
    return check(parse(path), str(path), dataset)


def parse(path: Path) -> dict[str, Any]:
    """The file as TOML; a UTF-8 byte order mark is accepted. Raises SuiteError."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise SuiteError(str(path), [Problem("", _missing_file(path))]) from None
    except IsADirectoryError:
        raise SuiteError(str(path), [Problem("", "is a folder, not a suite file")]) from None
    except OSError as error:
        raise SuiteError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        text = f"not UTF-8 text (byte 0x{error.object[error.start]:02x} at offset {error.start})"
        raise SuiteError(str(path), [Problem("", text)]) from None
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(str(path), [_syntax_problem(str(error))]) from None


def _missing_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("suites")
    known = sorted(str(found) for found in folder.glob("*.toml"))
    near = difflib.get_close_matches(str(path), known, n=1, cutoff=0.5) or known[:3]
    hint = " – did you mean " + " or ".join(near) + "?" if near else ""
    return f"no such file{hint}"


def _syntax_problem(message: str) -> Problem:
    found = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", message)
    return Problem(found[2], lower(found[1])) if found else Problem("", lower(message))


def check(raw: dict[str, Any], place: str, dataset: str | None = None) -> SuiteFile:
    """Both profiles of a parsed suite. Raises SuiteError with the mistakes of both."""
    base = {key: value for key, value in raw.items() if key != "on"}
    on_cpu, problems = _on_cpu(raw.get("on", {}))
    if dataset is not None:
        base["dataset"] = {"source": dataset}
        on_cpu.pop("dataset", None)
    gpu, gpu_problems = _validated(base)
    cpu, cpu_problems = _validated(merge(base, on_cpu))
    problems += gpu_problems
    problems += [
        Problem(_place_in(on_cpu, problem.key), problem.text)
        for problem in cpu_problems
        if problem not in gpu_problems
    ]
    if problems or gpu is None or cpu is None:
        raise SuiteError(place, problems)
    return SuiteFile(place, {"gpu": gpu, "cpu": cpu})


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: tables key by key, everything else (lists too) replaced."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        both_tables = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(inner, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _on_cpu(on: object) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(on, dict):
        return {}, [Problem("on", "must be a table: [on.cpu]")]
    problems = [Problem(f"on.{key}", unknown(key, ["cpu"])) for key in on if key != "cpu"]
    cpu = on.get("cpu", {})
    if not isinstance(cpu, dict):
        return {}, [*problems, Problem("on.cpu", "must be a table: [on.cpu]")]
    if "name" in cpu:
        problems.append(Problem("on.cpu.name", "a suite has one name: leave it out here"))
    return dict(cpu), problems


def _place_in(on_cpu: Mapping[str, Any], key: str) -> str:
    """`key` under on.cpu if that is where the suite says it."""
    table: object = on_cpu
    for part in key.split("."):
        name = part.split("[")[0]
        if not isinstance(table, Mapping) or name not in table:
            return key
        table = table[name]
    return f"on.cpu.{key}"


def _validated(table: Mapping[str, Any]) -> tuple[Suite | None, list[Problem]]:
    try:
        suite = Suite.model_validate(table)
    except ValidationError as error:
        return None, [problem_of(details, KEYS) for details in error.errors()]
    return suite, cross_checks(suite)


# ---- what only the whole suite can tell -----------------------------------------------------


def cross_checks(suite: Suite) -> list[Problem]:
    """Mistakes that no single key shows."""
    problems = [
        *_repeated("architectures", [architecture_label(entry) for entry in suite.architectures]),
        *_repeated("strategies", [entry.name for entry in suite.strategies]),
        *_repeated("seeds", [str(seed) for seed in suite.seeds]),
        *_repeated("weights", suite.weights),
    ]
    for index, strategy in enumerate(suite.strategies):
        problems += _strategy_problems(suite, f"strategies[{index}]", strategy)
    count = len(suite.architectures) * len(suite.strategies) * len(suite.seeds)
    if count > MAX_CELLS:
        problems.append(Problem("", f"asks for {count:,} cells; at most {MAX_CELLS:,} are run"))
    return list(dict.fromkeys(problems))


def _repeated(key: str, names: Sequence[str]) -> list[Problem]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    return [Problem(key, f'"{name}" is there more than once') for name in twice]


def _strategy_problems(suite: Suite, place: str, strategy: StrategyEntry) -> list[Problem]:
    said = {**suite.recipe.said(), **strategy.said()}
    values = {**RECIPE_DEFAULTS, **said}

    def place_of(key: str) -> str:
        return f"{place}.{key}" if key in strategy.said() else f"recipe.{key}"

    problems = []
    kind = strategy.resolved_kind()
    for key, kinds in ONLY_OF.items():
        if key in strategy.said() and kind not in kinds:
            problems.append(Problem(f"{place}.{key}", f"means nothing to {kind}: leave it out"))
    if values["views"] > 1 and values["augment"] == "none":
        text = 'more than one view needs augment = "standard": plain crops are all the same'
        problems.append(Problem(place_of("views"), text))
    if kind == "two_phase":
        try:
            head_epochs_of(values["epochs"], values.get("head_epochs"))
        except ValueError as error:
            key = "head_epochs" if "head_epochs" in said else "epochs"
            problems.append(Problem(place_of(key), str(error)))
    for entry in suite.architectures:
        architecture = ARCHITECTURES[entry.name]
        size, stages = values.get("image_size"), values.get("stages") or 1
        if size is not None and (near := nearest_size(architecture, size)) != size:
            problems.append(Problem(place_of("image_size"), size_text(entry.name, size, near)))
        if kind == "partial" and stages > len(architecture.stages):
            text = f"{entry.name} has {len(architecture.stages)} stages (got {stages})"
            problems.append(Problem(place_of("stages"), text))
    return problems
