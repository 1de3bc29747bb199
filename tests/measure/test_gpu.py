"""What becomes of the driver's errors. The driver's binding is stood in for, our code is not."""

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from bench.measure import gpu
from bench.measure.gpu import Survey
from bench.record import Machine, Readings


@pytest.fixture(autouse=True)
def _unconnected() -> Iterator[None]:
    gpu._open.cache_clear()
    yield
    gpu._open.cache_clear()


def failing(code: int) -> Any:
    def fail(*_arguments: object) -> None:
        raise pynvml.NVMLError(code)

    return fail


@pytest.mark.parametrize(
    ("code", "says_why", "driver_loaded"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, False, False),  # no driver: a plain CPU machine
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, True, False),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, True, True),
        (pynvml.NVML_ERROR_GPU_IS_LOST, True, True),
        (pynvml.NVML_ERROR_UNKNOWN, True, True),
    ],
)
def test_a_driver_that_fails_says_why_and_a_missing_one_does_not(
    monkeypatch: pytest.MonkeyPatch, code: int, says_why: bool, driver_loaded: bool
) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", failing(code))
    found = gpu.survey()
    assert found.gpus == ()
    assert (found.error is not None, found.driver_loaded) == (says_why, driver_loaded)


def test_every_gpu_is_listed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: [b"T4", "A100"][handle])
    assert gpu.survey() == Survey(("T4", "A100"), None, True)


@pytest.mark.parametrize("kind", ["GPU", "MIG"])
def test_a_card_and_a_slice_of_one_are_both_found_by_uuid(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def by_uuid(uuid: str) -> str:
        if uuid != f"{kind}-1234":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return "the handle"

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", by_uuid)
    assert gpu.by_uuid("1234") == gpu.by_uuid(f"{kind}-1234") == "the handle"
    assert gpu.by_uuid("9999") is None


def test_a_reading_that_is_not_supported_is_none_and_never_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    for name in (
        "nvmlSystemGetDriverVersion",
        "nvmlDeviceGetEnforcedPowerLimit",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceIsMigDeviceHandle",
    ):
        monkeypatch.setattr(pynvml, name, failing(pynvml.NVML_ERROR_NOT_SUPPORTED))
    readings = (gpu.CARD["power_limit_watts"], gpu.used_bytes, gpu.energy_joules, gpu.mig)
    assert [gpu.driver(), *(read("card") for read in readings)] == [None] * 5


def test_units_are_watts_and_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceIsMigDeviceHandle", failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    )
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEnforcedPowerLimit", lambda _: 700_000)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", lambda _: 2_500)
    assert (gpu.CARD["power_limit_watts"]("card"), gpu.energy_joules("card")) == (700.0, 2.5)


class Used:
    """What NVML says of memory."""

    used = 3_000


@pytest.mark.parametrize(
    ("is_slice", "mode", "joules", "used"),
    [
        (False, [0, 0], 2.5, 3_000),
        (False, None, 2.5, 3_000),  # a card that cannot be cut
        (False, [1, 1], None, None),  # the card that CUDA names for a slice of it
        (True, [1, 1], 2.5, 3_000),  # the slice itself, where NVML can say it
    ],
)
def test_what_a_card_takes_that_is_cut_is_counted_for_no_slice(
    monkeypatch: pytest.MonkeyPatch,
    is_slice: bool,
    mode: list[int] | None,
    joules: float | None,
    used: int | None,
) -> None:
    unsupported = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    answers = {
        "nvmlInit": lambda: None,
        "nvmlDeviceIsMigDeviceHandle": lambda _: is_slice,
        "nvmlDeviceGetMigMode": unsupported if mode is None else lambda _: mode,
        "nvmlDeviceGetTotalEnergyConsumption": lambda _: 2_500,
        "nvmlDeviceGetMemoryInfo": lambda _: Used,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    assert (gpu.energy_joules("gpu"), gpu.used_bytes("gpu")) == (joules, used)


@pytest.mark.parametrize(("mode", "cut"), [([1, 0], True), ([0, 1], False), (None, False)])
def test_a_card_that_cannot_be_cut_is_not_cut(
    monkeypatch: pytest.MonkeyPatch, mode: list[int] | None, cut: bool
) -> None:
    unsupported = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceIsMigDeviceHandle", lambda _: False)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetMigMode", unsupported if mode is None else lambda _: mode
    )
    assert gpu.mig("card") is cut


# ---- the fingerprint of a card --------------------------------------------------------------


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    return monkeypatch


@pytest.mark.parametrize(("mode", "on"), [([1, 1], True), ([0, 1], False), (None, False)])
def test_a_card_without_error_correction_corrects_none(
    connected: pytest.MonkeyPatch, mode: list[int] | None, on: bool
) -> None:
    unsupported = failing(pynvml.NVML_ERROR_NOT_SUPPORTED)
    read = unsupported if mode is None else lambda _: mode
    connected.setattr(pynvml, "nvmlDeviceGetEccMode", read)
    assert gpu.CARD["ecc"]("card") is on  # the mode now, not after the next start


def test_error_correction_that_may_not_be_asked_about_is_unknown(
    connected: pytest.MonkeyPatch,
) -> None:
    connected.setattr(pynvml, "nvmlDeviceGetEccMode", failing(pynvml.NVML_ERROR_NO_PERMISSION))
    assert gpu.CARD["ecc"]("card") is None
    assert gpu.refusal.get() == "Insufficient Permissions"


def test_limits_and_versions_come_in_their_units(connected: pytest.MonkeyPatch) -> None:
    answers = {
        "nvmlSystemGetCudaDriverVersion": 13020,
        "nvmlDeviceGetPowerManagementDefaultLimit": 450_000,
        "nvmlDeviceGetPowerManagementLimitConstraints": [100_000, 600_000],
        "nvmlDeviceGetVirtualizationMode": pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU,
        "nvmlDeviceGetTemperature": 41,
    }
    for name, answer in answers.items():
        connected.setattr(pynvml, name, lambda *_, answer=answer: answer)
    assert gpu.driver_cuda() == "13.2"
    assert gpu.CARD["power_limit_default_watts"]("card") == 450.0
    assert gpu.CARD["power_limit_max_watts"]("card") == 600.0
    assert gpu.CARD["gpu_virtualization"]("card") == "vgpu"
    assert gpu.MOMENT["gpu_celsius"]("card") == 41


def test_clocks_are_asked_for_by_their_kind(connected: pytest.MonkeyPatch) -> None:
    clocks = {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 3201}
    connected.setattr(pynvml, "nvmlDeviceGetMaxClockInfo", lambda _, kind: clocks[kind])
    assert gpu.CARD["sm_clock_max_mhz"]("card") == 1980
    assert gpu.CARD["memory_clock_max_mhz"]("card") == 3201


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (pynvml.nvmlClocksThrottleReasonGpuIdle, ()),
        (pynvml.nvmlClocksThrottleReasonSwPowerCap, ("power limit",)),
        (
            pynvml.nvmlClocksThrottleReasonHwSlowdown
            | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
            ("hardware slowdown", "too hot (hardware)"),
        ),
        (pynvml.nvmlClocksThrottleReasonSwThermalSlowdown, ("too hot (software)",)),
        (pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown, ("power supply",)),
    ],
)
def test_idleness_holds_no_clock_down(
    connected: pytest.MonkeyPatch, bits: int, reasons: tuple[str, ...]
) -> None:
    connected.setattr(pynvml, "nvmlDeviceGetCurrentClocksThrottleReasons", lambda _: bits)
    assert gpu.MOMENT["throttled"]("card") == reasons


@pytest.mark.parametrize(("is_slice", "card"), [(1, "the card"), (0, "slice")])
def test_what_holds_for_a_card_is_asked_of_the_card_of_a_slice(
    connected: pytest.MonkeyPatch, is_slice: int, card: str
) -> None:
    connected.setattr(pynvml, "nvmlDeviceIsMigDeviceHandle", lambda _: is_slice)
    connected.setattr(pynvml, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", lambda _: "the card")
    assert gpu.whole_card("slice") == card


def test_readings_of_a_card_without_permission_are_all_unknown(
    connected: pytest.MonkeyPatch,
) -> None:
    for name in dir(pynvml):
        if name.startswith("nvmlDeviceGet"):
            connected.setattr(pynvml, name, failing(pynvml.NVML_ERROR_NO_PERMISSION))
    read = {name: take("card") for name, take in (gpu.CARD | gpu.MOMENT).items()}
    assert set(read.values()) == {None}
    assert gpu.other_processes("card") is None


def test_every_reading_of_a_card_is_a_field_that_a_record_has() -> None:
    assert gpu.CARD.keys() <= Machine.model_fields.keys()
    assert set(gpu.ALWAYS_TOLD) <= Machine.model_fields.keys()
    assert gpu.MOMENT.keys() <= Readings.model_fields.keys()


@pytest.mark.parametrize(("seen", "others"), [(1, 0), (3, 2), (0, None)])
def test_a_list_without_this_process_tells_of_no_other(
    connected: pytest.MonkeyPatch, seen: int, others: int | None
) -> None:
    connected.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda _: ["one"] * seen)
    assert gpu.other_processes("card") == others
