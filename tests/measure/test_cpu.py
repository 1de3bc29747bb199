"""Processors, laid out by hand as Linux lists them, and as lscpu counts them."""

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from bench.measure import cpu
from bench.measure.machine import file_system
from tests.measure.layout import lay_out

needs_lscpu = pytest.mark.skipif(shutil.which("lscpu") is None, reason="lscpu is not installed")

CPU = "sys/devices/system/cpu"


def test_two_sockets_of_two_cores_with_two_threads_each(tmp_path: Path) -> None:
    # Cores are numbered from 0 in each socket: only with the socket does a number name one.
    placed = [(socket, core) for socket in (0, 1) for core in (0, 1) for _thread in (0, 1)]
    files = {
        f"{CPU}/cpu{number}/topology/{name}": f"{value}\n"
        for number, place in enumerate(placed)
        for name, value in zip(("physical_package_id", "core_id"), place, strict=True)
    }
    files |= {
        f"{CPU}/cpufreq/boost": "1\n",  # no processor, though its name begins like one
        f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "3700000\n",
        f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/devices/system/node/node0/cpulist": "0-3\n",
        "sys/devices/system/node/node1/cpulist": "4-7\n",
        "sys/devices/system/node/online": "0-1\n",
        f"{CPU}/cpu0/cache/index0/level": "1\n",
        f"{CPU}/cpu0/cache/index0/size": "32K\n",
        f"{CPU}/cpu0/cache/index3/level": "3\n",
        f"{CPU}/cpu0/cache/index3/size": "32768K\n",
        f"{CPU}/cpu0/cache/uevent": "\n",
        "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 ht\n",
    }
    assert cpu.facts(lay_out(tmp_path, files)) == {
        "cpu_signature": "GenuineIntel, cache 32768K",
        "cpu_sockets": 2,
        "cpu_physical_cores": 4,
        "cpu_logical_cores": 8,
        "numa_nodes": 2,
        "cpu_max_mhz": 3700,
        "cpu_governor": "powersave",
        "virtual": False,
    }


def test_what_is_not_listed_is_unknown_and_never_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert set(cpu.facts(tmp_path).values()) == {None}


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu hypervisor sse2\n", True),
        ("flags\t\t: fpu sse2\nbugs\t\t: hypervisor\n", False),
        ("Features\t: fp asimd\n", None),
    ],
)
def test_a_virtual_machine_shows_in_the_flags(cpuinfo: str, expected: bool | None) -> None:
    assert cpu.is_virtual(cpuinfo) is expected


SAPPHIRE_RAPIDS = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Processor
stepping\t: 8
flags\t\t: fpu avx512f amx_tile avx512_bf16 amx_bf16

processor\t: 1
vendor_id\t: GenuineIntel
cpu family\t: 7
"""
GRAVITON = """\
processor\t: 0
Features\t: fp asimd sve bf16 i8mm
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("cpuinfo", "cache", "expected"),
    [
        (SAPPHIRE_RAPIDS, "1K", "GenuineIntel 6-143-8, amx_bf16, avx512_bf16, cache 1K"),
        (SAPPHIRE_RAPIDS.replace("amx", "x"), None, "GenuineIntel 6-143-8, avx512_bf16"),
        (GRAVITON, None, "0x41 0xd40-0x1-1, bf16, sve"),
        ("model name\t: Intel(R) Xeon(R) Processor\n", None, ""),
    ],
)
def test_processors_of_one_name_are_told_apart(
    cpuinfo: str, cache: str | None, expected: str
) -> None:
    assert cpu.signature(cpuinfo, cache) == expected


@needs_lscpu
def test_the_signature_is_what_lscpu_reads_of_the_processor() -> None:
    done = subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True)
    said = {one["field"].strip(":"): one["data"] for one in json.loads(done.stdout)["lscpu"]}
    if said["Architecture"] != "x86_64":
        pytest.skip("lscpu names the versions of such a processor, and numbers none")
    numbers = "-".join(said[name] for name in ("CPU family", "Model", "Stepping"))
    found = cpu.facts(Path("/"))["cpu_signature"]
    assert found.startswith(f"{said['Vendor ID']} {numbers}")
    assert ("amx_bf16" in found) == ("amx_bf16" in said["Flags"].split())


@needs_lscpu
def test_the_counts_are_those_of_lscpu() -> None:
    done = subprocess.run(
        ["lscpu", "-a", "-p=CPU,CORE,SOCKET,NODE"], capture_output=True, text=True, check=True
    )
    rows = [line.split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    cpus, cores, sockets, nodes = (set(column) for column in zip(*rows, strict=True))
    found = cpu.facts(Path("/"))
    assert found["cpu_logical_cores"] == len(cpus)
    assert found["cpu_physical_cores"] == len(cores)
    assert found["cpu_sockets"] == len(sockets)
    assert found["numa_nodes"] in (None, len(nodes))


# ---- disks ----------------------------------------------------------------------------------

MOUNTS = """\
/dev/sda1 / ext4 rw,relatime 0 0
/dev/sdb1 /data xfs rw 0 0
server:/x /data/shared\\040pictures nfs4 rw 0 0
/dev/sda2 /tmp ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
"""


@pytest.mark.skipif(not psutil.LINUX, reason="lists mounts as Linux does")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/", "ext4"),
        ("/home/jane", "ext4"),
        ("/data", "xfs"),
        ("/database", "ext4"),
        ("/data/shared pictures/cats", "nfs4"),
        ("/tmp/x", "tmpfs"),
    ],
)
def test_a_folder_lies_on_the_innermost_and_latest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, expected: str
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(lay_out(tmp_path, {"self/mounts": MOUNTS})))
    monkeypatch.setattr(os.path, "realpath", lambda path: str(path))
    assert file_system(Path(folder)) == expected


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="there is no /proc")
def test_proc_is_a_proc_even_where_the_folder_is_yet_to_be_made() -> None:
    assert file_system(Path("/proc/bench/not-there")) == "proc"


KILLED = {
    "version 2": {
        "proc/self/cgroup": "0::/user.slice/job\n",
        "sys/fs/cgroup/user.slice/job/memory.events": "low 0\nhigh 9\noom 4\noom_kill 3\n",
    },
    "version 1": {
        "proc/self/cgroup": "5:cpu,cpuacct:/\n4:memory:/job\n",
        "sys/fs/cgroup/memory/job/memory.oom_control": (
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
        ),
    },
    "version 1 in a container": {
        "proc/self/cgroup": "4:memory:/docker/0123\n",
        "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 3\n",
    },
}


@pytest.mark.parametrize("files", KILLED.values(), ids=KILLED)
def test_processes_that_were_ended_for_want_of_memory_are_counted(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert cpu.oom_kills(lay_out(tmp_path, files)) == 3


def test_where_no_file_tells_none_were_ended(tmp_path: Path) -> None:
    assert cpu.oom_kills(tmp_path) == 0
