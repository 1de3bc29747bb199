"""The name of a machine: drawn once, kept, private, and never in the way."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import InputError
from bench.measure import machine as machines


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("BENCH_MACHINE_ID")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_a_name_is_drawn_once_and_kept_for_its_owner_alone(config: Path) -> None:
    first = machines.machine_id()
    kept = config / "bench" / "machine-id"
    assert first.id is not None
    assert re.fullmatch(r"[0-9a-f]{16}", first.id)
    assert kept.read_text() == f"{first.id}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert machines.machine_id() == first
    assert [path.name for path in kept.parent.iterdir()] == ["machine-id"]
    kept.unlink()
    assert machines.machine_id().id != first.id, "it is derived from nothing"


def test_processes_that_draw_at_once_agree(config: Path) -> None:
    code = "from bench.measure.machine import machine_id; print(machine_id().id)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = {process.communicate()[0] for process in started}
    assert said == {(config / "bench" / "machine-id").read_text()}


def test_a_name_that_is_given_takes_its_place(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_MACHINE_ID", "ci-gpu.2")
    assert machines.machine_id().id == "ci-gpu.2"
    monkeypatch.setenv("BENCH_MACHINE_ID", "")
    found = machines.machine_id()
    assert (found.id, found.why) == (None, "BENCH_MACHINE_ID is set to nothing")
    assert not config.exists()


@pytest.mark.parametrize("given", ["a b", "/home/jane", "x" * 65, "two\nlines"])
def test_a_given_name_that_is_none_is_refused(
    given: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_MACHINE_ID", given)
    with pytest.raises(InputError, match="expected up to 64 letters"):
        machines.machine_id()


def test_where_it_cannot_be_kept_there_is_none_and_it_is_said_why(config: Path) -> None:
    config.write_text("a file where the folder should be")
    found = machines.machine_id()
    assert found.id is None
    assert found.why == f"{config}/bench/machine-id: Not a directory"


@pytest.mark.parametrize("content", [b"", b"0123", b"my-laptop\n", b"\xff\xfe"])
def test_a_file_that_holds_something_else_is_not_believed(config: Path, content: bytes) -> None:
    (config / "bench").mkdir(parents=True)
    (config / "bench" / "machine-id").write_bytes(content)
    found = machines.machine_id()
    assert found.id is None
    assert found.why is not None


def test_it_lies_below_the_home_folder_where_no_other_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "not/absolute")
    assert machines.id_path() == Path(os.path.expanduser("~/.config/bench/machine-id"))
