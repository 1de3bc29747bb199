"""The memory of processes whose size is known, and the command at a tiny size."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import memory
from tests.benchmarks.test_commands import check, findings

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc"
)

HOLD = """
import os, sys
held = bytearray(b"x") * 100_000_000
if os.fork() == 0:
    own = bytearray(b"y") * 50_000_000
print("ready", flush=True)
sys.stdin.read()
"""


def test_shared_pages_count_once_and_children_with_their_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        members = list(memory.family(process.pid))
        taken = sum(map(memory.pss_bytes, members))
        process.communicate()
    assert len(members) == 2
    assert 150e6 <= taken <= 180e6
    assert memory.pss_bytes(members[1]) == 0  # it has ended


def test_memory_runs_the_command_and_tells_the_peak(tmp_path: Path) -> None:
    small = ("--architecture", "squeezenet1_1", "--images", "40", "--classes", "2", "--size", "32")
    words = (*small, "--picture", "60", "45", "--batch", "8", "--device", "cpu")
    found = findings(memory.main, tmp_path, *words)
    check(found, "peak of all processes, 40 images")
    (figure,) = found["figures"]
    assert 0.2 <= figure["median"] <= 3
    assert figure["goal"] is None
