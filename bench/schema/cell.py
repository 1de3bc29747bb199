"""What a cell asks for: one training run with everything that the suite decides resolved."""

from typing import Literal

from bench.schema.value import Value

Kind = Literal["feature_extraction", "fine_tuning", "two_phase", "partial", "from_scratch"]

Metric = Literal["top1", "balanced_accuracy"]

Part = Literal["train", "val", "test"]


class Recipe(Value):
    """Optimiser, rates, epochs and batch of one cell, with every choice made."""

    epochs: int
    head_epochs: int | None = None  # epochs of the head-only phase of two_phase
    stages: int | None = None  # stages that `partial` trains, counted from the head
    batch_size: int
    lr: float  # the head's learning rate at its peak
    backbone_lr_scale: float  # the backbone's rate is lr times this
    weight_decay: float
    warmup_epochs: float
    label_smoothing: float
    augment: Literal["standard", "none"]
    flip: bool
    views: int
    precise_bn: bool
    checkpoint: Literal["last", "best"]
    precision: Literal["auto", "fp32", "bf16"]


class Weights(Value):
    """Where the backbone's values come from.

    `source` is "imagenet", "folder", "random" (one fixed backbone for all seeds) or "scratch"
    (drawn anew for each seed). `name` is the enum member or the file; `sha256` is of the file.
    """

    source: Literal["imagenet", "folder", "random", "scratch"]
    name: str
    sha256: str | None = None
    init_seed: int | None = None


class Data(Value):
    """The images of a cell: content hashes, sizes of the split, and the class names in order."""

    name: str
    classes: tuple[str, ...]
    content_sha256: str
    split_sha256: str
    num_train: int
    num_val: int
    num_test: int


class Cell(Value):
    """One training run with everything that the suite decides resolved."""

    architecture: str
    architecture_label: str  # unique in its suite, also when one architecture has two weights
    weights: Weights
    strategy: str
    kind: Kind
    recipe: Recipe
    image_size: int
    data: Data
    seed: int
    metric: Metric = "top1"
    target: float = 0.9
