"""`bench doctor`, as a user has it."""

import os
from pathlib import Path

import pytest
import torch

from bench import identity
from bench.verbs import doctor
from tests import command, records
from tests.command import bench, quick


@pytest.mark.slow
def test_it_prints_every_fact_the_keys_a_calibration_and_the_folders(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    done = bench(here, "doctor", "--device", "cpu", COLUMNS="400", BENCH_MACHINE_ID="ci-7")
    assert (done.returncode, done.stderr) == (0, "")
    record = records.result(records.cell("resnet18", "partial", 0))
    facts = identity.key_facts(record.execution, record.machine, "performance")
    for path in (*facts, "machine.id", "machine.cpu_governor", "throttled", "load"):
        assert path.rpartition(".")[2] in done.stdout, path
    rows = {line.split("  ")[0]: line.rpartition("  ")[2].strip() for line in lines(done.stdout)}
    assert rows["machine.torch"] == torch.__version__
    assert rows["machine.id"] == "ci-7"
    assert rows["numerics"] == "complete"
    assert "GFLOP/s" in rows["fp32 matmul"]
    assert rows["cache"].startswith(os.environ["BENCH_CACHE"])
    assert "(--device cuda" in done.stdout or "there is no GPU" in done.stdout


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if "  " in line]


@pytest.mark.slow
def test_a_machine_without_a_name_says_why(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    done = bench(here, "doctor", "--device", "cpu", COLUMNS="400", BENCH_MACHINE_ID="")
    assert done.returncode == 0
    assert "id: BENCH_MACHINE_ID is set to nothing" in done.stdout


@pytest.mark.slow
def test_a_bad_name_and_a_device_that_is_not_there_are_mistakes(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    done = bench(here, "doctor", "--device", "cpu", BENCH_MACHINE_ID="a b")
    assert done.returncode == 2
    assert "BENCH_MACHINE_ID: expected" in done.stderr
    assert quick(here, "doctor", "--device", "cuda:99").returncode == 2


@pytest.mark.parametrize(
    ("fact", "text"),
    [({}, "complete"), ({"cpu_model": None}, "null, so it equals no other: machine.cpu_model")],
)
def test_a_key_that_would_be_null_names_what_is_unknown(fact: dict[str, None], text: str) -> None:
    record = records.result(records.cell("resnet18", "partial", 0))
    machine = record.machine.model_copy(update=fact)
    assert doctor.key(identity.key_facts(record.execution, machine, "performance")).startswith(text)


def test_unknown_facts_are_gathered_by_their_reason() -> None:
    values = {"machine.a": None, "machine.b": 1, "machine.c": None, "d": None}
    found = doctor.unknown(values, {"a": "no driver", "c": "no driver"})
    assert found == {"no driver": ["a", "c"], "not available on this machine": ["d"]}


def test_a_folder_is_told_with_what_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "one.pth").write_bytes(bytes(2_000_000))
    (tmp_path / "x" / "note.txt").write_bytes(bytes(1_000_000))
    text = doctor.state(tmp_path / "x", "*.pth", "file", "files")
    assert text.startswith(f"{tmp_path / 'x'}: 1 file, 3 MB; ")
    assert "not made yet" in doctor.state(tmp_path / "none" / "yet", "*", "file", "files")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_on_a_gpu_every_fact_is_told_or_has_its_reason(tmp_path: Path) -> None:
    here = command.place(tmp_path)
    done = bench(here, "doctor", "--device", "cuda", COLUMNS="400")
    assert (done.returncode, done.stderr) == (0, "")
    assert "copy to the GPU" in done.stdout
    assert "not available on this machine" not in done.stdout
