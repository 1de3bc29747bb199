"""Which device is chosen from which facts, and that nothing broken passes as a CPU run."""

from pathlib import Path

import pytest
import torch

from bench.errors import DeviceError
from bench.measure.device import Device, DeviceFacts, choose, decide, has_nvidia_card, prove

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

CPU = Device("cpu", None)
BARE = DeviceFacts(True, (), "Found no NVIDIA driver", (), None)
TWO = DeviceFacts(True, ("A100", "T4"), None, ("T4", "A100"), None)
NO_CUDA_BUILD = DeviceFacts(False, (), "Torch not compiled with CUDA enabled", ("A100",), None)
OLD_DRIVER = DeviceFacts(True, (), "driver is too old (found version 11040)", ("A100",), None)
MISMATCH = DeviceFacts(True, (), "Error 803", (), "Driver/library version mismatch")
WRONG_NUMBER = DeviceFacts(True, (), "No CUDA GPUs are available", ("A100",), None, "7")


@pytest.mark.parametrize(
    ("asked", "facts", "device"),
    [
        ("auto", BARE, CPU),
        ("auto", BARE._replace(torch_cuda_built=False), CPU),
        ("auto", TWO, Device("cuda", 0)),
        ("cuda", TWO, Device("cuda", 0)),
        ("cuda:1", TWO, Device("cuda", 1)),
        # An empty CUDA_VISIBLE_DEVICES is the usual way to ask for the CPU.
        ("auto", OLD_DRIVER._replace(visible_devices=""), CPU),
        ("auto", OLD_DRIVER._replace(visible_devices="-1"), CPU),
        ("auto", TWO._replace(visible_devices="0,1"), Device("cuda", 0)),
    ],
)
def test_the_device_follows_from_the_facts(asked: str, facts: DeviceFacts, device: Device) -> None:
    assert decide(asked, facts) == device


@pytest.mark.parametrize(
    ("asked", "facts", "parts"),
    [
        ("auto", OLD_DRIVER, ["A100", "too old", "--device cpu"]),
        ("auto", NO_CUDA_BUILD, ["A100", "built without CUDA", "install", "--device cpu"]),
        ("auto", MISMATCH, ["version mismatch", "Error 803", "repair", "--device cpu"]),
        ("auto", WRONG_NUMBER, ["A100", "CUDA_VISIBLE_DEVICES=7", "--device cpu"]),
        ("cuda", BARE, ["no GPU was found", "no NVIDIA driver", "--device cpu"]),
        ("cuda:1", BARE, ["--device cuda:1", "no GPU was found"]),
        ("cuda", OLD_DRIVER._replace(visible_devices=""), ["CUDA_VISIBLE_DEVICES hides", "unset"]),
        ("cuda:9", TWO, ["cuda:0 (A100)", "cuda:1 (T4)"]),
        ("cuda:2", TWO, ["no such GPU"]),
    ],
)
def test_a_gpu_that_cannot_be_used_is_an_error_with_its_reason(
    asked: str, facts: DeviceFacts, parts: list[str]
) -> None:
    with pytest.raises(DeviceError) as caught:
        decide(asked, facts)
    assert [part for part in parts if part not in str(caught.value)] == []


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:-1", "CUDA", "cuda:0x", "", "mps"])
def test_an_unknown_device_lists_the_known_ones(asked: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu, cuda or cuda:N"):
        choose(asked)


def test_cpu_is_taken_without_asking_the_hardware() -> None:
    assert choose("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_on_a_machine_without_one_is_an_error() -> None:
    with pytest.raises(DeviceError, match="--device cpu"):
        choose("cuda")


def test_a_device_reads_as_torch_writes_it_and_knows_its_profile() -> None:
    assert (str(CPU), CPU.profile) == ("cpu", "cpu")
    assert (str(Device("cuda", 1)), Device("cuda", 1).profile) == ("cuda:1", "gpu")
    assert torch.device(str(Device("cuda", 1))).index == 1


@pytest.mark.parametrize(
    ("vendor", "kind", "is_nvidia"),
    [
        ("0x10de", "0x030000", True),  # display
        ("0x10de", "0x030200", True),  # 3D controller: data-centre cards
        ("0x10de", "0x040300", False),  # the sound chip of a card
        ("0x1002", "0x030000", False),  # AMD
    ],
)
def test_only_nvidia_display_controllers_count_as_cards(
    tmp_path: Path, vendor: str, kind: str, is_nvidia: bool
) -> None:
    slot = tmp_path / "0000:01:00.0"
    slot.mkdir()
    (slot / "vendor").write_text(f"{vendor}\n")
    (slot / "class").write_text(f"{kind}\n")
    assert has_nvidia_card(tmp_path) == is_nvidia
    assert not has_nvidia_card(tmp_path / "nowhere")


def test_a_device_that_cannot_run_a_kernel_is_an_error() -> None:
    with pytest.raises(DeviceError, match="no kernel runs there"):  # nobody has so many cards
        prove(Device("cuda", 99))
    prove(CPU)


@pytest.mark.cuda
@needs_cuda
def test_auto_takes_the_first_gpu_where_there_is_one() -> None:
    assert choose("auto") == choose("cuda") == Device("cuda", 0)
    with pytest.raises(DeviceError, match="cuda:0"):
        choose("cuda:99")
