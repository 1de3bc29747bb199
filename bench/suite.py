"""A suite as values: what the user wrote, with every default filled in.

`bench.suite_file` reads one from a TOML file; run.json holds the one that was run. The sentence
below each field is its row in suites/README.md.
"""

import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Kind = str
"""A row of `bench.strategies.STRATEGIES`; `bench.suite_file` checks that it is one."""

TieBreak = Literal["train_seconds", "peak_memory_bytes", "total_parameters", "latency_seconds"]
KeepWeights = Literal["winner", "best", "all", "none"]
Judged = Literal["accuracy", "train_seconds", "peak_memory_bytes"]
"""The metrics of a comparison that have a threshold."""

Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]


class TomlTable(BaseModel):
    """A TOML table: unknown keys are mistakes, and so is a string for a number.

    Null means that the suite does not say; such keys are not written.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_serializer(mode="wrap")
    def _without_nulls(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}


class RecipeTable(TomlTable):
    """What a suite says about the recipe; null leaves the choice to a default."""

    epochs: int | None = Field(None, ge=1, le=10_000)
    """the same for every strategy"""
    head_epochs: int | None = Field(None, ge=1)
    """`two_phase`: epochs that train the head alone"""
    stages: int | None = Field(None, ge=1)
    """`partial`: stages that train, counted from the head"""
    batch_size: int | None = Field(None, ge=2)
    """images per step; an incomplete last batch is dropped"""
    image_size: int | None = Field(None, ge=8, le=4096)
    """pixels per side; ViT position embeddings are interpolated, and a size that an architecture
    cannot take is an error"""
    lr: float | None = Field(None, gt=0)
    """the head's learning rate at its peak"""
    backbone_lr_scale: float | None = Field(None, gt=0)
    """the backbone's learning rate as a multiple of `lr`"""
    weight_decay: float | None = Field(None, ge=0)
    """not applied to biases, norms, class tokens and position embeddings"""
    warmup_epochs: float | None = Field(None, ge=0)
    """linear warm-up, at most half of a phase; a cosine to zero follows"""
    label_smoothing: float | None = Field(None, ge=0, lt=1)
    """share of each label that is spread over all classes"""
    augment: Literal["standard", "none"] | None = None
    """`"standard"`: RandomResizedCrop (scale 0.6 to 1), flip, ColorJitter 0.2; or `"none"`"""
    flip: bool | None = None
    """mirror images as part of the augmentation"""
    views: int | None = Field(None, ge=1, le=100)
    """phases that train only the head: 1 uses the eval crop, K uses K augmented views of each
    image"""
    precise_bn: bool | None = None
    """re-estimate batch-norm statistics from up to 512 training images before each scoring"""
    checkpoint: Literal["last", "best"] | None = None
    """each phase ends with its `"last"` epoch, or with the `"best"` on val of those that are
    scored: at most five, and fewer where scoring them would cost over a fifth of the training"""
    precision: Literal["auto", "fp32", "bf16"] | None = None
    """`"auto"`: bf16 where the device supports it and it is faster; or `"fp32"` (without TF32),
    `"bf16"`"""

    def said(self) -> dict[str, Any]:
        """The recipe keys that this table sets."""
        return self.model_dump(include=set(RecipeTable.model_fields))


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


def _named(entry: object) -> object:
    return {"name": entry} if isinstance(entry, str) else entry


class ArchitectureEntry(TomlTable):
    """One architecture, or its name alone."""

    name: str = Field(min_length=1)
    """one that `bench list architectures` shows, or `timm:<name>` or `timm:<name>.<tag>`"""
    weights: str | None = None
    """other published weights by their name, such as `IMAGENET1K_V2` or a tag of timm's, or a
    folder; never replaced by others"""

    _name_alone = model_validator(mode="before")(_named)

    @property
    def label(self) -> str:
        """`resnet50`, or `resnet50:IMAGENET1K_V2` where the suite names exact weights.

        For a folder of weights only its last name: records hold no paths.
        """
        return self.name if self.weights is None else f"{self.name}:{Path(self.weights).name}"


def _named_kind(entry: object) -> object:
    entry = _named(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return entry
    return entry if entry.get("kind") is not None else {**entry, "kind": entry["name"]}


class StrategyEntry(RecipeTable):
    """One strategy with recipe keys of its own, or its name alone."""

    name: str = Field(min_length=1, max_length=60)
    """a strategy, or a name of your own"""
    kind: Kind
    """one of the strategies below; required with a name of your own"""
    seeds: Seeds | None = None
    """in place of the suite's: more where they cost little, as for `feature_extraction`"""

    _name_alone = model_validator(mode="before")(_named_kind)


UserPath = Annotated[str, AfterValidator(os.path.expanduser)]
"""A place on this machine; `~` is the user's home."""


class DatasetTable(TomlTable):
    """Which images, and how they are split; null takes the source's own default."""

    source: UserPath = Field("digits", min_length=1)
    """`"digits"`, or a folder of images, relative to the current folder"""
    follow_links: bool = False
    """whether links count that lead out of the folder, as DVC and git-annex make them"""
    skip_damaged: int = Field(0, ge=0)
    """so many damaged images, at most, are left out and named, before the split; more are an
    error"""
    train_per_class: int | None = Field(None, ge=1)
    """training images of each class"""
    val_per_class: int | None = Field(None, ge=1)
    """validation images of each class; the rest is test"""
    split_seed: int = Field(0, ge=0)
    """another seed is another split"""


class Threshold(TomlTable):
    """The smallest change that counts, for one metric and the cells that match a pattern."""

    metric: Judged
    """`"accuracy"`, `"train_seconds"` or `"peak_memory_bytes"`"""
    cells: str = Field("*", min_length=1)
    """pattern over `architecture/strategy`; the last threshold that matches counts"""
    floor: float = Field(gt=0, lt=1)
    """share: of accuracy absolute (0.01 is one percentage point), of time and memory relative"""

    def fits(self, names: Sequence[str]) -> bool:
        """Whether the pattern matches a cell, given by its names."""
        return fnmatchcase("/".join(names), self.cells)


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """The seconds of a time such as "90s", "30m", "1.5h" or "2d". Raises ValueError."""
    number, unit = text[:-1], text[-1:]
    if re.fullmatch(r"\d+(\.\d+)?", number) is None or unit not in UNITS or not float(number):
        raise ValueError(f'"{text}" is no time – write it like "90s", "30m" or "1.5h"')
    return float(number) * UNITS[unit]


def _time(text: str) -> str:
    seconds_of(text)
    return text


Time = Annotated[str, AfterValidator(_time)]


class RunTable(TomlTable):
    """How long a cell may take, and what follows where memory runs out. No part of its identity."""

    timeout: Time | None = None
    """`"30m"`: a cell that takes longer is ended, and has status `timeout`"""
    stall: Time | None = None
    """a cell that says nothing for so long is ended as well; by default ten minutes, or ten times
    the longest stretch of work that is predicted, whichever is longer"""
    oom: Literal["fail", "halve"] = "fail"
    """where memory runs out, a cell has failed; or `"halve"`: it runs again in a fresh process,
    with each batch in twice as many passes, until it fits. Batch norm then sees smaller batches,
    and the cell's costs are not compared"""


class CompareTable(TomlTable):
    """What `bench compare` calls a regression. No part of a cell's identity."""

    visible_drop: float = Field(0.03, gt=0, le=1)
    """accuracy is inconclusive where a drop this large could have gone unseen"""
    equivalence: float = Field(0.01, gt=0, lt=1)
    """between runs with other arithmetic (versions, precision, threads, device), accuracy must be
    the same to within this; to within half of it from 5,000 images"""
    thresholds: list[Threshold] = []
    """tables with floors of your own"""

    def floor(self, metric: Judged, names: Sequence[str], default: float) -> float:
        """The floor of a cell, given by its names; the last pattern that matches counts."""
        fitting = [one.floor for one in self.thresholds if one.metric == metric and one.fits(names)]
        return fitting[-1] if fitting else default

    def idle(self, cells: Iterable[Sequence[str]]) -> list[str]:
        """Patterns that match none of these cells, each given by its names."""
        known = list(cells)
        idle = (one.cells for one in self.thresholds if not any(map(one.fits, known)))
        return list(dict.fromkeys(idle))


def _weights_source(entry: str) -> str:
    if entry not in ("imagenet", "random") and "/" not in entry:
        raise ValueError(
            f'weights "{entry}" unknown – accepted are "imagenet", "random", '
            'or a folder with a "/" in it'
        )
    return entry


WeightsSource = Annotated[str, AfterValidator(_weights_source)]


class Suite(TomlTable):
    """A suite for one profile."""

    name: str = Field(min_length=1, max_length=60)
    """names the folder of its runs"""
    architectures: list[ArchitectureEntry] = Field(min_length=1)
    """names, or tables with exact `weights`"""
    strategies: list[StrategyEntry] = Field(min_length=1)
    """names, or tables, which may hold any recipe key as well"""
    seeds: Seeds = [0]
    """every cell is trained once per seed"""
    weights: list[WeightsSource] = Field(["imagenet"], min_length=1)
    """preference list: `"imagenet"` (what is pinned for each architecture), `"random"`, or a folder
    (with a `/`) of `<architecture>.safetensors` or `.pth`, or of a run that kept networks"""
    metric: str = "top1"
    """`"balanced_accuracy"` suits classes of unequal size"""
    target: float = Field(0.9, gt=0, le=1)
    """the training time until val first reaches this score is recorded"""
    tie_break: list[TieBreak] = Field(["train_seconds", "peak_memory_bytes"], min_length=1)
    """decides among cells shown to be as good as the best; also `total_parameters`,
    `latency_seconds`"""
    margin: float = Field(0.005, ge=0, lt=1)
    """smaller differences of the val score (0.005 is half a percentage point) count as ties,
    however certain"""
    keep_weights: KeepWeights = "winner"
    """trained weights that stay in the run folder: of the `"winner"`, of the `"best"` cell on val
    of each architecture, of `"all"` cells, or `"none"`; until every cell is ok, the first two keep
    those of the best val seed of each architecture and strategy"""
    dataset: DatasetTable = DatasetTable()
    recipe: RecipeTable = RecipeTable()
    run: RunTable = RunTable()
    compare: CompareTable = CompareTable()

    def said_for(self, strategy: StrategyEntry) -> dict[str, Any]:
        """The recipe keys that are set for a strategy: its own, then the suite's."""
        return {**self.recipe.said(), **strategy.said()}

    def seeds_for(self, strategy: StrategyEntry) -> Sequence[int]:
        """The seeds of a strategy: its own, or the suite's."""
        return self.seeds if strategy.seeds is None else strategy.seeds

    @property
    def asked(self) -> list[tuple[str, str, int]]:
        """Architecture label, strategy name and seed of every cell, in order."""
        return [
            (label, strategy.name, seed)
            for label, strategy in product(labels_of(self), self.strategies)
            for seed in self.seeds_for(strategy)
        ]

    @property
    def seed_counts(self) -> set[int]:
        """How many seeds the strategies have."""
        return {len(self.seeds_for(strategy)) for strategy in self.strategies}


TABLES: Mapping[str, type[TomlTable]] = {
    "": Suite,
    "architectures[]": ArchitectureEntry,
    "strategies[]": StrategyEntry,
    "dataset": DatasetTable,
    "recipe": RecipeTable,
    "run": RunTable,
    "compare": CompareTable,
    "compare.thresholds[]": Threshold,
}
"""Every table of a suite file, the top first; `[]` marks a list of tables."""


def labels_of(suite: Suite) -> dict[str, ArchitectureEntry]:
    """Each architecture under a name that is unique in the suite."""
    return {entry.label: entry for entry in suite.architectures}


def without_paths(suite: Suite, dataset: str, weights: Sequence[str]) -> Suite:
    """The suite as a record may hold it, with these names in place of this machine's paths."""
    architectures = [
        entry.model_copy(update={"weights": entry.weights and Path(entry.weights).name})
        for entry in suite.architectures
    ]
    table = suite.dataset.model_copy(update={"source": dataset})
    update = {"architectures": architectures, "weights": list(weights), "dataset": table}
    return suite.model_copy(update=update)
