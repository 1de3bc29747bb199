"""What the numbers were made on and with, and what the machine was doing meanwhile."""

from typing import Literal

from pydantic import Field

from bench.schema.value import Value

Profile = Literal["gpu", "cpu"]


class Machine(Value):
    """What the numbers were made on and with; no field identifies a person or a host."""

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
    driver_cuda: str | None = None  # the newest CUDA that the driver serves
    nccl: str | None = None
    torch_commit: str | None = None
    torch_build: str | None = None  # hash of compilers, libraries and flags
    cpu_signature: str | None = None  # what tells processors of one name apart
    cpu_sockets: int | None = None  # these five are of the host, whatever may be used of it
    cpu_physical_cores: int | None = None
    cpu_logical_cores: int | None = None
    numa_nodes: int | None = None
    cpu_max_mhz: int | None = None
    cpu_governor: str | None = None
    host_memory_gib: int | None = None
    swap_gib: int | None = None
    virtual: bool | None = None  # a virtual machine
    wsl: bool | None = None
    storage: str | None = None  # file system of the cache of decoded images: "ext4", "nfs4"


class Execution(Value):
    """How this machine ran the cell: choices that the suite left to it."""

    precision: Literal["fp32", "bf16"]
    channels_last: bool
    threads: int
    allow_tf32: bool
    deterministic: bool
    cudnn_benchmark: bool
    captured: bool  # the whole step was recorded as a CUDA graph and replayed
    compiled: bool  # its kernels were fused by torch.compile
    resident: bool  # the images lay on the device; else they were streamed from the disk
    cudnn_allow_tf32: bool | None = None
    cudnn_deterministic: bool | None = None
    float32_matmul_precision: str | None = None  # "highest", "high", "medium"
    cublas_workspace: str | None = None  # CUBLAS_WORKSPACE_CONFIG, or "unset"
    hash_seed: str | None = None  # PYTHONHASHSEED, or "unset"


class Calibration(Value):
    """What the machine could do for a moment; probes whose device is not there are null.

    Rates of two calibrations compare where the sizes of their probes agree.
    """

    matmul_fp32_flops: float | None  # per second
    matmul_bf16_flops: float | None
    copy_bytes_per_second: float | None  # on the device (CPU: host memory), read and written
    upload_bytes_per_second: float | None  # host to device; null on a CPU
    conv_seconds: float | None  # one fixed convolution step, forward and backward
    loop_seconds: float | None  # a fixed pure-Python loop
    seconds: float  # what the calibration took
    sizes: dict[str, int] = Field(
        default_factory=dict
    )  # by probe: side of the matrices, bytes that a copy reads


class Readings(Value):
    """What the machine was doing at a moment. Null is unknown; no key depends on it."""

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    gpu_celsius: int | None = None
    throttled: tuple[str, ...] | None = None  # what holds the clocks down, save for idleness
    pcie_generation: int | None = None  # falls while the card idles
    pcie_width: int | None = None
    cpu_celsius: float | None = None
    uptime_seconds: float | None = None


class Sitting(Value):
    """One start of `bench run` on the folder: calibrated at both ends."""

    start: Calibration | None
    end: Calibration | None = None  # null where it was killed
    load: float | None = None  # 1-minute load average before it began, per usable core
    foreign_gpu_processes: int | None = None
    before: Readings | None = None
    after: Readings | None = None
