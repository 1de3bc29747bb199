"""Everything that `bench doctor` tells of a machine: runs in a child."""

from bench import cache
from bench.measure import card, hardware, machine_id
from bench.measure import device as devices
from bench.measure.device import Device
from bench.models.source import cache_folder
from bench.running.calibrated import measure
from bench.running.findings import Examination
from bench.training.placement import execution, precision_of_dense

NO_FREQUENCY = "the kernel shows no frequency control, as in most virtual machines"
NOT_LISTED = "Linux alone lists it, below /sys and /proc"

WHY = {
    "cpu_max_mhz": NO_FREQUENCY,
    "cpu_governor": NO_FREQUENCY,
    "cpu_celsius": "no sensor is shown, as in most virtual machines",
    **dict.fromkeys(("cpu_model", "cpu_signature"), "the system does not name it"),
    "container": "there is no sign either way",
    "virtual": "this kind of processor does not say",
    "load": "the system keeps no load average",
    "nccl": "this torch was built without it",
    "torch_commit": "this build of torch does not say",
    **dict.fromkeys(
        ("cpu_sockets", "cpu_physical_cores", "cpu_logical_cores", "numa_nodes", "storage"),
        NOT_LISTED,
    ),
    "foreign_gpu_processes": "the driver lists no processes here, as in some containers",
}
"""Why a fact is unknown that has nothing to do with the driver of a GPU."""

OF_GPU = (
    *card.ALWAYS_TOLD,
    *card.CARD,
    *card.MOMENT,
    *("gpu_multiprocessors", "driver_branch", "driver_cuda", "nccl", "foreign_gpu_processes"),
)


def examine(asked: str) -> Examination:
    """The device for --device and all about it, with a calibration. Raises DeviceError."""
    device = devices.choose(asked)
    end = measure(device, None)
    return Examination(
        device=device,
        machine=hardware.machine(device.type, device.index, cache.root()),
        execution=execution(precision_of_dense(device)),
        end=end,
        missing=missing(device),
        weights_folder=cache_folder(),
    )


def missing(device: Device) -> dict[str, str]:
    """Why each field is null that may be, by its name."""
    why = dict(WHY)
    if name := machine_id.read_or_make().why:
        why["id"] = name
    if device.index is None:
        return why | dict.fromkeys(OF_GPU, without_gpu())
    return why | card.refusals(device.index)


def without_gpu() -> str:
    """Why there is no GPU in use."""
    facts = devices.probe()
    if facts.torch_devices:
        return "this looks at the CPU; --device cuda looks at the GPU"
    if facts.nvml_gpus:
        return f"torch cannot use the GPU: {facts.torch_error}"
    if facts.nvml_error:
        return f"the NVIDIA driver does not work ({facts.nvml_error})"
    return "there is no GPU, or no NVIDIA driver"
