"""What came out of a cell: a result or a failure, never half of each."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bench.schema.cell import Cell
from bench.schema.machine import Execution, Machine
from bench.schema.value import SCHEMA_VERSION, Value

ImageCache = Literal["cold", "warm", "bypassed"]
"""Images decoded once into a file: in this run, by an earlier one, or by the worker, without it."""

FeatureCache = Literal["computed", "reused"]
"""Features of the frozen backbone: made in this run, or kept by an earlier one."""


class Predictions(Value):
    """Packed per-image outcome of one part, in the order of split.csv: see bench.predictions."""

    num_images: int
    labels: str
    classes: str
    confidences: str


class Scores(Value):
    """Quality on one part. `recall` is null for a class without images."""

    num_images: int
    top1: float
    top5: float | None
    macro_f1: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]
    ece: float
    nll: float
    confusion: tuple[tuple[int, ...], ...]  # [true class][predicted class]
    predictions: Predictions


class Quality(Value):
    """Scores of the final network; val chooses, test is only reported."""

    val: Scores
    test: Scores


class Seconds(Value):
    """Where the time of a cell went; `wall` is the sum of the others."""

    wall: float
    data: float
    build: float
    warmup: float
    train: float
    eval: float


class Phase(Value):
    """One phase of training, as it was run."""

    name: str
    epochs: int
    trainable_parameters: int
    trainable_share: float
    steps: int
    frozen_cached: bool  # the frozen backbone ran once and its features were kept


class Throughput(Value):
    """Training images per second over the epochs after the first: median and quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float
    num_epochs: int


class Latency(Value):
    """Inference of one architecture at one image size, measured once and shared by its cells."""

    batch1_p50_seconds: float
    batch1_p95_seconds: float
    num_calls: int
    batch_size: int
    images_per_second: float


class Cost(Value):
    """What the cell cost: alone (`attributed`), and in this run (`marginal`)."""

    attributed: Seconds
    marginal: Seconds
    shared_by: int  # cells that divided the largest shared piece of work; 1 = nothing shared
    images_per_second: Throughput | None
    latency: Latency | None
    total_parameters: int
    trainable_parameters: int  # of the last phase
    trainable_share: float
    phases: tuple[Phase, ...]
    forward_macs: int | None  # of one image
    seconds_to_target: float | None  # training time until val first reached the target
    images: ImageCache
    features: FeatureCache | None  # null where the cell uses no cached features


class Memory(Value):
    """Peaks over the cell. Unknown is null."""

    gpu_allocated_bytes: int | None  # of tensors, as if the cell ran alone
    gpu_reserved_bytes: int | None  # what lies there for other cells counts, as below
    gpu_device_bytes: int | None  # whole device, all processes, as NVML sees it
    cpu_rss_above_start_bytes: int | None


class Energy(Value):
    """Difference of the GPU's energy counter; null where there is none."""

    attributed_joules: float | None
    marginal_joules: float | None


class EpochPoint(Value):
    """One epoch: the mean training loss, and val where it was scored."""

    phase: str
    epoch: int  # 1, 2, ... counted through all phases
    train_loss: float
    val_score: float | None = None  # of the cell's metric


class Keys(Value):
    """Short hashes of the task, numerics and performance buckets.

    Null where a fact of the bucket is unknown: such a key equals no other, not even a null one.
    """

    task: str
    numerics: str | None
    performance: str | None


class Provenance(Value):
    """Information that never splits a history."""

    bench: str
    commit: str | None
    finished_at: str  # UTC, ISO 8601
    weights_wanted: str | None = None  # first choice of the suite, where all fell back from it
    device_index: int | None = None


class Result(Value):
    """The record of a cell that trained and was scored."""

    schema_version: int = SCHEMA_VERSION
    cell_id: str
    status: Literal["ok"] = "ok"
    kind: None = None
    reason: None = None
    cell: Cell
    quality: Quality
    curve: tuple[EpochPoint, ...]
    cost: Cost
    memory: Memory
    energy: Energy
    machine: Machine
    execution: Execution
    keys: Keys
    provenance: Provenance


class Failure(Value):
    """The record of a cell that did not: what happened, and in which epoch if it had begun."""

    schema_version: int = SCHEMA_VERSION
    cell_id: str
    status: Literal["failed", "diverged", "timeout", "interrupted"]
    kind: Literal["data", "weights", "oom_gpu", "oom_host", "crash", "cuda", "training", "stopped"]
    reason: str
    cell: Cell
    seconds: float
    machine: Machine
    provenance: Provenance


Record = Annotated[Result | Failure, Field(discriminator="status")]

RECORD: TypeAdapter[Result | Failure] = TypeAdapter(Record)
