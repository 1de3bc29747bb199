"""Every value that reaches the disk: cells, the records of their results, and the run.

`bench.identity` decides which of these facts make two results comparable.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bench.suite import Kind, Suite

SCHEMA_VERSION = 6
"""Shape of the files in a run folder; newer files are refused."""

PROTOCOL_VERSION = 2
"""Meaning of a cell: bumped when a default or the meaning of a field changes."""


class Value(BaseModel):
    """An immutable value; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# ---- what a cell asks for ---------------------------------------------------------------------

Part = Literal["train", "val", "test"]


class Recipe(Value):
    """Optimiser, rates, epochs and batch of one cell, with every choice made."""

    epochs: int
    head_epochs: int | None = None  # epochs of the head-only phase of two_phase
    stages: int | None = None  # that `partial` trains, counted from the head
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

    `source` is "imagenet", "folder", "run" (a network that an earlier run trained), "random" (one
    fixed backbone for all seeds) or "scratch" (drawn anew for each seed). `name` is that of the
    published weights, the file or the cell; `sha256` is of the file.
    """

    source: Literal["imagenet", "folder", "run", "random", "scratch"]
    name: str
    sha256: str | None = None
    init_seed: int | None = None


class Data(Value):
    """The images of a cell: hashes of content and split, sizes, and class names in order."""

    name: str
    classes: tuple[str, ...]
    content_sha256: str
    split_sha256: str
    num_train: int
    num_val: int
    num_test: int
    white: int = 65535  # the value that is white in 16-bit grey


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
    metric: str = "top1"
    target: float = 0.9


# ---- the machine ------------------------------------------------------------------------------

Profile = Literal["gpu", "cpu"]


class Machine(Value):
    """Hardware and software of a measurement; no field identifies a person or a host."""

    device: Literal["cpu", "cuda"]
    gpu_name: str | None
    gpu_memory_bytes: int | None
    gpu_count: int
    compute_capability: str | None
    mig: bool | None
    power_limit_watts: float | None
    driver: str | None
    cuda: str | None
    cudnn: str | None
    cpu_model: str | None
    cpu_capability: str | None
    usable_cores: int
    memory_gib: int | None
    python: str
    torch: str
    torchvision: str
    numpy: str
    pillow: str
    os: str
    container: bool | None
    id: str | None = None  # random, of this user on this machine
    gpu_multiprocessors: int | None = None
    ecc: bool | None = None
    gpu_virtualization: str | None = None  # "none", "passthrough", "vgpu", ...
    power_limit_default_watts: float | None = None
    power_limit_max_watts: float | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    sm_clock_application_mhz: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    driver_branch: str | None = None  # "580" of "580.82.07"
    driver_cuda: str | None = None  # the newest CUDA that the driver supports
    nccl: str | None = None
    torch_commit: str | None = None
    torch_build: str | None = None  # hash of compilers, libraries and flags
    cpu_signature: str | None = None  # tells apart processors that share a name
    cpu_sockets: int | None = None  # these five describe the whole host
    cpu_physical_cores: int | None = None
    cpu_logical_cores: int | None = None
    numa_nodes: int | None = None
    cpu_max_mhz: int | None = None
    cpu_governor: str | None = None
    host_memory_gib: int | None = None
    swap_gib: int | None = None
    virtual: bool | None = None  # whether it is a virtual machine
    wsl: bool | None = None
    storage: str | None = None  # file system of the image cache: "ext4", "nfs4"


class Execution(Value):
    """How this machine ran the cell, where the suite leaves the choice to it."""

    precision: Literal["fp32", "bf16"]
    channels_last: bool
    threads: int
    allow_tf32: bool
    deterministic: bool
    cudnn_benchmark: bool
    captured: bool  # the whole training step was replayed as a CUDA graph
    compiled: bool  # torch.compile fused its kernels
    resident: bool  # images stayed on the device; otherwise they were streamed from disk
    cudnn_allow_tf32: bool | None = None
    cudnn_deterministic: bool | None = None
    float32_matmul_precision: str | None = None  # "highest", "high", "medium"
    cublas_workspace: str | None = None  # CUBLAS_WORKSPACE_CONFIG, or "unset"
    hash_seed: str | None = None  # PYTHONHASHSEED, or "unset"
    omp_num_threads: str | None = None  # OMP_NUM_THREADS, or "unset"
    passes: int = 1  # of which a training step adds up the gradients, for want of memory


class Calibration(Value):
    """Measured speed of the machine at one moment; null where the device of a probe is missing.

    Two calibrations are comparable where the sizes of their probes agree.
    """

    matmul_fp32_flops: float | None  # per second
    matmul_bf16_flops: float | None
    copy_bytes_per_second: float | None  # on the device (CPU: in host memory), read plus written
    upload_bytes_per_second: float | None  # host to device; null on a CPU
    conv_seconds: float | None  # one fixed convolution step, forward and backward
    loop_seconds: float | None  # a fixed pure-Python loop
    seconds: float  # how long the calibration took
    sizes: dict[str, int] = Field(default_factory=dict)  # by probe: matrix side, bytes read


class Readings(Value):
    """State of the machine at one moment. Null is unknown; no key depends on it."""

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    gpu_celsius: int | None = None
    throttled: tuple[str, ...] | None = None  # why clocks are reduced, other than idling
    pcie_generation: int | None = None  # drops while the card is idle
    pcie_width: int | None = None
    cpu_celsius: float | None = None
    uptime_seconds: float | None = None


class Sitting(Value):
    """One start of `bench run` on the folder, calibrated before and after."""

    start: Calibration | None
    end: Calibration | None = None  # null if it was killed
    load: float | None = None  # 1-minute load average before the start, per usable core
    foreign_gpu_processes: int | None = None
    before: Readings | None = None
    after: Readings | None = None


# ---- the result of a cell ---------------------------------------------------------------------

ImageCache = Literal["cold", "warm", "bypassed"]
"""Decoded images: cached by this run, cached by an earlier one, or not cached at all."""

FeatureCache = Literal["computed", "reused"]
"""Features of the frozen backbone: computed in this run, or kept by an earlier one."""


class Predictions(Value):
    """Packed outcome of each image of a part, in the order of split.csv: see bench.predictions."""

    num_images: int
    labels: str
    classes: str
    confidences: str


class Scores(Value):
    """Quality on one part. `recall` is null for classes without images."""

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
    """Scores of the final network; val decides, test is only reported."""

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
    """One phase of training, as it ran."""

    name: str
    epochs: int
    trainable_parameters: int
    trainable_share: float
    steps: int
    frozen_cached: bool  # the frozen backbone ran once per image and its features were kept


class Throughput(Value):
    """Training images per second over the epochs after the first: median and quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float
    num_epochs: int


class Latency(Value):
    """Inference of one architecture at one image size, measured once for all its cells."""

    batch1_p50_seconds: float
    batch1_p95_seconds: float
    num_calls: int
    batch_size: int
    images_per_second: float


class Cost(Value):
    """Cost as if the cell ran alone (`attributed`), and its share in this run (`marginal`)."""

    attributed: Seconds
    marginal: Seconds
    shared_by: int  # cells that divided the largest shared work; 1 = nothing shared
    images_per_second: Throughput | None
    latency: Latency | None
    total_parameters: int
    trainable_parameters: int  # of the last phase
    trainable_share: float
    phases: tuple[Phase, ...]
    forward_macs: int | None  # of one image
    seconds_to_target: float | None  # training time until val first reached the target
    images: ImageCache
    features: FeatureCache | None  # null if the cell uses no cached features


class Memory(Value):
    """Peaks during the cell. Null is unknown."""

    gpu_allocated_bytes: int | None  # of tensors, as if the cell ran alone
    gpu_reserved_bytes: int | None  # includes what is kept for other cells
    gpu_device_bytes: int | None  # whole device, all processes, from NVML
    cpu_rss_above_start_bytes: int | None


class Energy(Value):
    """Difference of the GPU's energy counter; null without one."""

    attributed_joules: float | None
    marginal_joules: float | None


class EpochPoint(Value):
    """One epoch: mean training loss, and the val score if it was scored."""

    phase: str
    epoch: int  # 1, 2, ... counted through all phases
    train_loss: float
    val_score: float | None = None  # of the cell's metric


class Keys(Value):
    """Short hashes of the task, numerics and performance buckets.

    Null if a fact of the bucket is unknown: such a key equals no other, not even another null.
    """

    task: str
    numerics: str | None
    performance: str | None


class Provenance(Value):
    """Information that no key depends on."""

    bench: str
    commit: str | None
    finished_at: str  # UTC, ISO 8601
    weights_wanted: str | None = None  # the suite's first choice, if another source was used
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


FailureKind = Literal[
    "data",
    "weights",
    "oom_gpu",
    "oom_host",
    "crash",
    "cuda",
    "training",
    "stopped",
    "stalled",
    "time_limit",
]


class Failure(Value):
    """The record of a cell that did not finish: what happened, and in which epoch."""

    schema_version: int = SCHEMA_VERSION
    cell_id: str
    status: Literal["failed", "diverged", "timeout", "interrupted"]
    kind: FailureKind
    reason: str
    cell: Cell
    seconds: float
    machine: Machine
    provenance: Provenance


Record = Result | Failure
RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="status")])


# ---- the run as a whole -----------------------------------------------------------------------


class MissingWeights(Value):
    """A missing file of pretrained weights: where it is published, and where bench looked."""

    architecture: str
    file: str
    address: str | None
    folder: str | None  # where to put it, as a user would write it, never an absolute path
    why: str


class UsedWeights(Value):
    """The entry of the preference list that was used, and what the earlier ones lacked."""

    wanted: tuple[str, ...]
    used: str
    missing: tuple[MissingWeights, ...] = ()

    @property
    def fell_back(self) -> bool:
        """Whether an earlier entry of the list was not available for every architecture.

        Nothing was looked for where every cell trains from scratch.
        """
        return self.used not in (self.wanted[0], "scratch")


class Preprocessing(Value):
    """The eval pipeline of one architecture, as its weights define it."""

    resize_size: int
    crop_size: int
    interpolation: str
    antialias: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    squash: bool = False  # both sides resized, whatever their ratio; else the shorter one


class Run(Value):
    """run.json: what was asked for, on which machine and images, and how it ended."""

    schema_version: int = SCHEMA_VERSION
    protocol_version: int = PROTOCOL_VERSION
    suite_name: str
    suite: Suite  # for this profile, without paths: see `bench.suite.without_paths`
    profile: Profile
    machine: Machine
    data: Data
    data_notes: tuple[str, ...]
    duplicates: dict[str, int]  # "train/test": images with identical bytes in both parts
    source: UsedWeights
    preprocessing: dict[str, Preprocessing]  # by architecture label
    pretrained_on: dict[str, str] = {}  # by label: the images behind its weights, where known
    cells: tuple[str, ...]  # id of every cell of the suite, in order
    added: tuple[str, ...] = ()  # those that a longer suite brought when the run was continued
    status: Literal["running", "finished", "interrupted"]
    started_at: str
    finished_at: str | None = None
    wall_seconds: float = 0.0  # of all sittings, without their calibrations
    sittings: tuple[Sitting, ...] = ()
