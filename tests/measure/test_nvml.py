"""What becomes of the driver's errors. The driver's binding is stood in for, our code is not."""

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from bench.measure import nvml
from bench.measure.nvml import Survey


@pytest.fixture(autouse=True)
def _unconnected() -> Iterator[None]:
    nvml._open.cache_clear()
    yield
    nvml._open.cache_clear()


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
    found = nvml.survey()
    assert found.gpus == ()
    assert (found.error is not None, found.driver_loaded) == (says_why, driver_loaded)


def test_every_gpu_is_listed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: [b"T4", "A100"][handle])
    assert nvml.survey() == Survey(("T4", "A100"), None, True)


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
    assert nvml.handle("1234") == nvml.handle(f"{kind}-1234") == "the handle"
    assert nvml.handle("9999") is None


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
    readings = (nvml.power_limit_watts, nvml.used_bytes, nvml.energy_joules, nvml.mig)
    assert [nvml.driver(), *(read("card") for read in readings)] == [None] * 5


def test_units_are_watts_and_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetEnforcedPowerLimit", lambda _: 700_000)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", lambda _: 2_500)
    assert (nvml.power_limit_watts("card"), nvml.energy_joules("card")) == (700.0, 2.5)


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
    assert nvml.mig("card") is cut
