"""Files of one's own: tensors are read, code is never run, damage is named."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.errors import WeightsError
from bench.models.state import read

TENSORS = {"conv.weight": torch.arange(12.0).reshape(3, 4), "norm.count": torch.tensor(3)}


class Sentinel:
    """Unpickling makes a folder: what an attacker's file would do, only harmless."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_state_dict_survives_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save(TENSORS, path)
    else:
        save_file(TENSORS, path)
    found = read(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def named(prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in TENSORS.items()}


CHECKPOINTS: dict[str, dict[str, object]] = {
    "of several devices": {**named("module.")},
    "compiled": {**named("_orig_mod.")},
    "both": {**named("_orig_mod.module.")},
    "of a trainer": {"epoch": 3, "state_dict": named(""), "optimizer": {"lr": 0.1}},
    "under model": {"model": named("module._orig_mod."), "best": 0.9},
    "twice": {"state_dict": {"model": named("module.")}},
}


@pytest.mark.parametrize("held", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_state_dict_is_found_in_a_checkpoint(tmp_path: Path, held: dict[str, object]) -> None:
    torch.save(held, tmp_path / "net.pth")
    found = read(tmp_path / "net.pth")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_prefix_that_some_names_lack_is_part_of_them(tmp_path: Path) -> None:
    torch.save(named("module.") | {"other": torch.ones(1)}, tmp_path / "net.pth")
    assert "module.conv.weight" in read(tmp_path / "net.pth")


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path: Path) -> None:
    held: dict[str, object] = {}
    held["model"] = held
    torch.save(held, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="flat state dict"):
        read(tmp_path / "net.pth")


def test_a_file_of_before_the_zip_format_is_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    assert read(tmp_path / "net.pth").keys() == TENSORS.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path, sentinel = tmp_path / "net.pth", tmp_path / "sentinel"
    torch.save({"w": Sentinel(sentinel)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"refused to execute code in it") as error:
        read(path)
    assert not sentinel.exists()
    assert "weights_only" not in str(error.value)
    torch.load(path, weights_only=False)  # the trap is a real one
    assert sentinel.exists()


def write_zip(path: Path) -> None:
    torch.save(TENSORS, path)


def write_old(path: Path) -> None:
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)


def write_safe(path: Path) -> None:
    save_file(TENSORS, path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("net.pth", write_zip), ("net.pth", write_old), ("net.safetensors", write_safe)],
)
def test_damage_of_any_kind_is_an_error_in_our_words(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    noise = [bytes(torch.randint(256, (200,), generator=generator).tolist()) for _ in range(100)]
    # Without its last bytes a file of before the zip format may still hold every tensor.
    cuts = [whole[: len(whole) * part // 41] for part in range(40)]
    for content in (b"", b"PK\x03\x04", b"\x80\x02}", b"<html>not found</html>", *cuts, *noise):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"^(damaged|not a plain|cannot be read)"):
            read(path)


@pytest.mark.parametrize("held", [[torch.ones(1)], {"weights": TENSORS}, {1: torch.ones(1)}, 3])
def test_anything_but_a_flat_state_dict_is_refused(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="flat state dict"):
        read(tmp_path / "net.pth")


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="No such file"):
        read(tmp_path / "net.pth")
