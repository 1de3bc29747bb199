"""The machine's facts, against /proc, git and control groups laid out by hand."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

import bench
from bench.measure import cpu
from bench.measure import machine as machines
from bench.measure.cpu import Limits, cgroup_free_bytes, cgroup_limits, favours_bf16
from bench.measure.machine import machine
from tests.measure.layout import lay_out

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")

UNLIMITED_V1 = "9223372036854771712\n"


def test_on_a_cpu_every_fact_of_a_gpu_is_unknown() -> None:
    found = machine("cpu", None)
    of_gpu = ("gpu_name", "gpu_memory_bytes", "compute_capability", "mig", "power_limit_watts")
    assert {getattr(found, name) for name in (*of_gpu, "driver", "cuda", "cudnn")} == {None}
    assert (found.device, found.torch) == ("cpu", torch.__version__)
    assert found.python == ".".join(str(number) for number in sys.version_info[:3])


def test_a_build_of_torch_is_told_by_a_hash_that_stands_still() -> None:
    first, second = machine("cpu", None), machine("cpu", None)
    assert first.torch_build == second.torch_build
    assert re.fullmatch(r"[0-9a-f]{12}", first.torch_build or "")
    assert first.torch_commit == torch.version.git_version


@pytest.mark.parametrize(
    ("release", "expected"),
    [("5.15.167.4-microsoft-standard-WSL2", True), ("4.4.0-19041-Microsoft", True), ("6.8", False)],
)
def test_linux_inside_windows_is_told_by_its_kernel(
    monkeypatch: pytest.MonkeyPatch, release: str, expected: bool
) -> None:
    monkeypatch.setattr("platform.release", lambda: release)
    assert machine("cpu", None).wsl is expected


@needs_linux
def test_the_machine_has_the_memory_that_the_kernel_counts() -> None:
    total = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert total is not None
    assert machine("cpu", None).host_memory_gib == round(int(total[1]) / 2**20)


def test_no_fact_names_a_person_a_host_or_a_folder() -> None:
    text = machine("cpu", None).model_dump_json()
    private = [socket.gethostname(), str(Path.home()), str(Path.cwd())]
    # A user called "root" or a host called "vm" may stand in a word by chance: quoted, then.
    private += [f'"{getpass.getuser()}"']
    assert [word for word in private if len(word) > 3 and word in text] == []


@needs_linux
def test_usable_cores_follow_the_affinity() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{core}}})\n"
        "from bench.measure.cpu import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.fixture
def all_cores() -> Iterator[None]:
    """The tests are kept on one core; this one is not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    yield
    os.sched_setaffinity(0, before)


@needs_linux
@pytest.mark.parametrize(("quota", "cores"), [("50000", 1), ("99999", 1), ("100001", 2)])
def test_a_quota_is_rounded_up_to_whole_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_cores: None, quota: str, cores: int
) -> None:
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000\n"}
    monkeypatch.setattr(cpu, "ROOT", lay_out(tmp_path, files))
    assert cpu.usable_cores() == min(cores, len(os.sched_getaffinity(0)))


def test_memory_is_the_limit_of_the_group_in_whole_gib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = int(1.4 * 2**30)  # every machine that runs torch has more
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{limit}\n"}
    monkeypatch.setattr(cpu, "ROOT", lay_out(tmp_path, files))
    assert cpu.memory_gib() == 1


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({}, Limits(None, None)),
        (
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/cpu.max": "max 100000\n",
                "sys/fs/cgroup/memory.max": "max\n",
            },
            Limits(None, None),
        ),
        (  # version 2: the parent is tighter in cores, the group itself in memory
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/memory.max": "4000\n",
                "sys/fs/cgroup/a/b/memory.max": "1000\n",
            },
            Limits(1.5, 1000),
        ),
        (  # version 1, both controllers under their joint mount
            {
                "proc/self/cgroup": "4:memory:/job\n3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
            },
            Limits(2.5, 2000),
        ),
        (  # version 1 in a container: the path of the host does not exist below the mount
            {
                "proc/self/cgroup": "4:memory:/docker/f00\n3:cpu:/docker/f00\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000\n",
            },
            Limits(None, 3000),
        ),
        (  # version 1, joint controllers mounted one by one
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            Limits(0.5, None),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
            },
            Limits(None, None),
        ),
    ],
    ids=["none", "v2 unlimited", "v2 nested", "v1", "v1 container", "v1 apart", "v1 unlimited"],
)
def test_the_tightest_limit_of_the_groups_holds(
    tmp_path: Path, files: dict[str, str], limits: Limits
) -> None:
    assert cgroup_limits(lay_out(tmp_path, files)) == limits


V2 = {
    "proc/self/cgroup": "0::/a/b\n",
    "sys/fs/cgroup/a/memory.max": "4000\n",
    "sys/fs/cgroup/a/memory.current": "3900\n",
    "sys/fs/cgroup/a/memory.stat": "anon 3000\nfile 900\ninactive_file 500\nactive_file 100\n",
    "sys/fs/cgroup/a/b/memory.max": "max\n",
    "sys/fs/cgroup/a/b/memory.current": "100\n",
}
V1 = {
    "proc/self/cgroup": "4:memory:/job\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "2000\n",
    "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "2100\n",  # a limit that was lowered
    "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "5000\n",
}


@pytest.mark.parametrize(("files", "free"), [({}, []), (V2, [700]), (V1, [0])])
def test_what_a_group_has_left_counts_cached_files_as_free(
    tmp_path: Path, files: dict[str, str], free: list[int]
) -> None:
    assert cgroup_free_bytes(lay_out(tmp_path, files)) == free


def test_free_memory_is_that_of_the_machine_or_of_the_group_if_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < cpu.free_memory_bytes() <= psutil.virtual_memory().total
    monkeypatch.setattr(cpu, "ROOT", lay_out(tmp_path, V2))
    assert cpu.free_memory_bytes() == 700


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2 avx512f avx512_bf16\n", True),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 avx512f avx512_bf16\n", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu sse2 avx512f avx512_vnni\n", False),
        ("bugs\t\t: avx512_bf16\n", False),
        ("", False),
    ],
)
def test_bf16_is_read_from_the_instruction_flags(cpuinfo: str, expected: bool) -> None:
    assert favours_bf16(cpuinfo) is expected


@needs_linux
def test_a_cpu_that_favours_bf16_has_instructions_that_torch_knows() -> None:
    knows = [
        getattr(torch.cpu, name, bool)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    if "Features" in Path("/proc/cpuinfo").read_text():
        pytest.skip("torch's queries cover x86 alone")
    amx = knows[1]
    assert amx <= cpu.cpu_favours_bf16() <= any(knows)


def test_a_mark_of_a_container_is_believed_and_silence_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(cpu, "ROOT", tmp_path)
    assert machines.in_container() is None
    lay_out(tmp_path, {".dockerenv": ""})
    assert machines.in_container() is True


@needs_linux
def test_a_machine_that_booted_systemd_is_no_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(cpu, "ROOT", lay_out(tmp_path, {"proc/1/comm": "systemd\n"}))
    assert machines.in_container() is False


def test_of_the_kernel_only_two_numbers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.release", lambda: "6.8.12-annes-laptop")
    assert machines.operating_system().endswith(" 6.8")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit_seen_from(folder: Path) -> str:
    """What `commit()` returns to a process whose bench is the copy in this folder."""
    code = "from bench.measure.machine import commit; print(commit())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
@needs_git
def test_the_commit_is_of_the_checkout_that_tracks_bench(tmp_path: Path) -> None:
    shutil.copytree(
        Path(bench.__file__).parent,
        tmp_path / "bench",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    lay_out(tmp_path, {".gitignore": "__pycache__\n"})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-q", "-m", "somebody else's repository")
    assert commit_seen_from(tmp_path) == "None"

    git(tmp_path, "add", "bench")
    git(tmp_path, "commit", "-q", "-m", "bench")
    head = git(tmp_path, "rev-parse", "HEAD")
    lay_out(tmp_path, {"notes.txt": "outside the package"})
    assert commit_seen_from(tmp_path) == head

    lay_out(tmp_path, {"bench/new.py": ""})
    assert commit_seen_from(tmp_path) == f"{head}+dirty"


@pytest.mark.cuda
@needs_cuda
def test_on_a_gpu_torch_and_the_driver_speak_of_the_same_card() -> None:
    found = machine("cuda", 0)
    properties = torch.cuda.get_device_properties(0)
    assert found.gpu_name == properties.name
    assert found.compute_capability == f"{properties.major}.{properties.minor}"
    assert found.cuda == torch.version.cuda
    assert found.power_limit_watts is None or found.power_limit_watts > 5
    assert found.gpu_multiprocessors == properties.multi_processor_count
    assert found.driver is None or found.driver.startswith(f"{found.driver_branch}.")
    assert str(properties.uuid) not in found.model_dump_json()
    assert cpu.gpu_has_bf16(0) is (properties.major >= 8)
