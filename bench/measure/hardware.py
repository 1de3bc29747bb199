"""What the numbers are made on and with. No field identifies a person, a host or a folder.

torch is imported inside the functions that need it: this module serves the main process too.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.metadata import version
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import psutil

import bench
from bench.measure import card, machine_id, processor
from bench.measure.disk import file_system
from bench.record import Machine

ROOT = Path("/")


class Limits(NamedTuple):
    """What the control groups allow this process; None: no limit is set."""

    cores: float | None
    memory_bytes: int | None


def machine(
    device: Literal["cpu", "cuda"], index: int | None, cache: Path | None = None
) -> Machine:
    """The machine as one device of it sees it. Imports torch; runs in child processes only.

    `index` is CUDA's, as in "cuda:1"; None on a CPU. `gpu_count` counts what torch sees. `cache`
    is the folder of decoded images, whose kind of disk is told.
    """
    import torch

    return Machine(
        device=device,
        gpu_count=torch.cuda.device_count(),
        **(card.facts(index or 0) if device == "cuda" else dict.fromkeys(card.ALWAYS_TOLD)),
        cpu_model=cpu_model(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        usable_cores=usable_cores(),
        memory_gib=memory_gib(),
        **versions(),
        os=operating_system(),
        container=in_container(),
        id=machine_id.read_or_make().id,
        **processor.facts(ROOT),
        host_memory_gib=round(psutil.virtual_memory().total / 2**30),
        swap_gib=round(psutil.swap_memory().total / 2**30),
        wsl=is_wsl(),
        storage=None if cache is None else file_system(cache),
    )


def versions() -> dict[str, Any]:
    """What computes, and which build of it. Paths of a build of one's own are hashed, not told."""
    import torch
    import torchvision

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": version("numpy"),
        "pillow": version("pillow"),
        "torch_commit": torch.version.git_version,
        "torch_build": sha256(torch.__config__.show().encode()).hexdigest()[:12],
    }


def gpu_has_bf16(index: int) -> bool:
    """Whether the GPU computes in bfloat16 itself; cards before Ampere only emulate it."""
    import torch

    with torch.cuda.device(index):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def cpu_favours_bf16() -> bool:
    """Whether torch computes faster in bfloat16 than in fp32 on this CPU.

    Read from the kernel's list of instructions, which stands still while torch's own query has
    changed its name between releases. False where the kernel does not say (macOS, Windows).
    """
    import torch

    has_onednn: Callable[[], bool] = torch.backends.mkldnn.is_available
    return has_onednn() and favours_bf16(_cpuinfo())


def favours_bf16(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo names bf16 instructions that outrun those of fp32.

    AMX and Arm's do. AVX512-BF16 does on AMD's cores; on Intel's it runs at half the rate of fused
    multiply-adds, and conversions make it the slower one (one core of an Emerald Rapids without
    AMX, training at 224 px, batch 8, fp32 over bf16 seconds: resnet18 0.71, resnet50 0.77,
    efficientnet_b0 0.60, mobilenet_v3_small 0.44, vit_b_16 0.55).
    """
    known = processor.instructions(cpuinfo)
    is_amd = re.search(r"^vendor_id\s*:\s*AuthenticAMD\b", cpuinfo, re.MULTILINE) is not None
    return bool({"amx_bf16", "bf16"} & known) or (is_amd and "avx512_bf16" in known)


def cpu_model() -> str | None:
    """Marketing name of the CPU."""
    found = re.search(r"^model name\s*:\s*(\S.*)$", _cpuinfo(), re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or None


def _cpuinfo() -> str:
    path = ROOT / "proc/cpuinfo"
    return path.read_text(errors="replace") if path.exists() else ""


def usable_cores() -> int:
    """Cores that this process may keep busy: affinity and control-group quota, at least 1.

    A quota of 1.5 cores counts as 2: one thread would leave a third of the quota unused.
    OMP_NUM_THREADS is a choice of threads, not a property of the machine, and is not read.
    """
    if hasattr(os, "sched_getaffinity"):
        affinity = len(os.sched_getaffinity(0))
    else:
        affinity = os.cpu_count() or 1
    quota = cgroup_limits(ROOT).cores
    return affinity if quota is None else max(1, min(affinity, ceil(quota)))


def memory_gib() -> int:
    """Main memory that this process may use, in GiB, rounded, at least 1.

    Rounded because the same machine reports a little more or less after each boot.
    """
    total = psutil.virtual_memory().total
    limit = cgroup_limits(ROOT).memory_bytes
    return max(1, round((total if limit is None else min(total, limit)) / 2**30))


def cgroup_limits(root: Path) -> Limits:
    """The tightest limits of this process's control groups and their parents, version 1 or 2.

    `root` is the folder that holds `proc` and `sys`. Inside a container the group's own path may
    not exist below the mount point; the mount point itself then holds the container's limits.
    """
    cores: list[float] = []
    memory: list[int] = []
    for controllers, folder in _cgroup_folders(root):
        if "cpu" in controllers:
            cores += _quota(folder)
        if "memory" in controllers:
            memory += _numbers(folder / "memory.max") or _numbers(folder / "memory.limit_in_bytes")
    # Version 1 writes "no limit" as the largest multiple of the page size.
    memory = [limit for limit in memory if 0 < limit < 2**62]
    return Limits(min(cores, default=None), min(memory, default=None))


def free_memory_bytes() -> int:
    """Main memory that this process can still take: of the machine, or of its control groups."""
    return min([psutil.virtual_memory().available, *cgroup_free_bytes(ROOT)])


def cgroup_free_bytes(root: Path) -> list[int]:
    """What each limited control group of this process, and parent of one, has left.

    Cached pages of files count as left: the kernel drops them for whoever asks for memory.
    """
    free = []
    for controllers, folder in _cgroup_folders(root):
        if "memory" in controllers:
            limit = _numbers(folder / "memory.max") or _numbers(folder / "memory.limit_in_bytes")
            used = _numbers(folder / "memory.current") or _numbers(folder / "memory.usage_in_bytes")
            if limit and used and limit[0] < 2**62:
                free.append(max(0, limit[0] - used[0] + _cached_pages(folder / "memory.stat")))
    return free


def _cached_pages(path: Path) -> int:
    """Bytes of files that a control group keeps in memory."""
    text = path.read_text() if path.exists() else ""
    return sum(map(int, re.findall(r"^(?:in)?active_file (\d+)$", text, re.MULTILINE)))


def _cgroup_folders(root: Path) -> Iterator[tuple[set[str], Path]]:
    """(controllers, folder) for each control group of this process, and each of its parents."""
    table, mount = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for line in table.read_text().splitlines() if table.exists() else []:
        _number, names, path = line.split(":", 2)
        controllers = set(names.split(",")) if names else {"cpu", "memory"}
        tops = [mount / names, *(mount / name for name in names.split(","))] if names else [mount]
        below = PurePosixPath(path.lstrip("/"))
        for top in dict.fromkeys(tops):
            for part in (below, *below.parents):
                yield controllers, top / part


def _quota(folder: Path) -> list[float]:
    """Cores allowed by one control group: one number, or none where nothing is set."""
    both = _numbers(folder / "cpu.max")  # "max 100000" leaves one number: no quota
    if not both:
        both = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
    return [both[0] / both[1]] if len(both) == 2 and min(both) > 0 else []


def _numbers(path: Path) -> list[int]:
    """The whole numbers in a file of the kernel; none if it cannot be read."""
    try:
        return [int(word) for word in path.read_text().split() if re.fullmatch(r"-?\d+", word)]
    except OSError:
        return []


def operating_system() -> str:
    """Distribution and kernel such as "Debian GNU/Linux 12, Linux 6.18".

    Of the kernel's release the first two numbers only: builds of one's own carry host names.
    """
    numbers = re.match(r"\d+(\.\d+)?", platform.release())
    kernel = f"{platform.system()} {numbers.group() if numbers else ''}".strip()
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def in_container() -> bool | None:
    """Whether this runs in a container; None where there is no sign either way."""
    marks = (ROOT / ".dockerenv", ROOT / "run/.containerenv", ROOT / "run/systemd/container")
    if any(mark.exists() for mark in marks) or "KUBERNETES_SERVICE_HOST" in os.environ:
        return True
    first = ROOT / "proc/1/comm"  # a container seldom runs an init system of its own
    if sys.platform == "linux" and first.exists() and first.read_text().strip() == "systemd":
        return False
    return None


def is_wsl() -> bool:
    """Whether this is Linux inside Windows, whose kernel says so."""
    return "microsoft" in platform.release().lower()


def commit() -> str | None:
    """Git commit of bench's checkout, with "+dirty" if its package was changed; else None.

    None too where bench lies inside somebody else's repository, as in a virtual environment.
    """
    package = Path(bench.__file__).parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    if head is None or changes is None:
        return None
    return f"{head}+dirty" if changes else head


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None if there is no git, no repository or no answer in ten seconds."""
    # A git hook sets GIT_DIR and the like, which would point at another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**clean, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip()
