"""Processors and main memory: what they are, and how much of them this process may use.

On other systems than Linux, nearly all is unknown.
"""

import os
import platform
import re
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import psutil

ROOT = Path("/")


class Limits(NamedTuple):
    """What the control groups allow this process; None: no limit is set."""

    cores: float | None
    memory_bytes: int | None


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
    known = instructions(cpuinfo)
    is_amd = re.search(r"^vendor_id\s*:\s*AuthenticAMD\b", cpuinfo, re.MULTILINE) is not None
    return bool({"amx_bf16", "bf16"} & known) or (is_amd and "avx512_bf16" in known)


def cpu_model() -> str | None:
    found = re.search(r"^model name\s*:\s*(\S.*)$", _cpuinfo(), re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or None


def _cpuinfo() -> str:
    return _text(ROOT / "proc/cpuinfo") or ""


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
    folders = list(_cgroup_folders(root))
    cores = [one for names, folder in folders if "cpu" in names for one in _quota(folder)]
    memory = [one for names, folder in folders if "memory" in names for one in _limit(folder)]
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
            used = _numbers(folder / "memory.current") or _numbers(folder / "memory.usage_in_bytes")
            stat = _text(folder / "memory.stat") or ""
            cached = re.findall(r"^(?:in)?active_file (\d+)$", stat, re.MULTILINE)
            if used:
                left = (limit - used[0] + sum(map(int, cached)) for limit in _limit(folder))
                free += [max(0, bytes_left) for bytes_left in left]
    return free


def oom_kills(root: Path = ROOT) -> int:
    """How often the kernel ended a process of our control group for want of memory; 0 if unknown.

    The count is only ever compared with an earlier one.
    """
    for controllers, folder in _cgroup_folders(root):
        if "memory" in controllers:
            for name in ("memory.events", "memory.oom_control"):  # of version 2, and 1
                counts = re.findall(r"^oom_kill (\d+)$", _text(folder / name) or "", re.MULTILINE)
                if counts:
                    return int(counts[0])
    return 0


def address_space_limit() -> int | None:
    """Bytes that this process may map at most, as `ulimit -v` sets it; None without a limit."""
    if not hasattr(psutil, "RLIMIT_AS"):  # of Linux alone
        return None
    most, _hard = psutil.Process().rlimit(psutil.RLIMIT_AS)
    return None if most == psutil.RLIM_INFINITY else most


def _cgroup_folders(root: Path) -> Iterator[tuple[set[str], Path]]:
    """(controllers, folder) for each control group of this process, and each of its parents."""
    mount = root / "sys/fs/cgroup"
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _number, names, path = line.split(":", 2)
        controllers = set(names.split(",")) if names else {"cpu", "memory"}
        tops = [mount / names, *(mount / name for name in names.split(","))] if names else [mount]
        below = PurePosixPath(path.lstrip("/"))
        for top in dict.fromkeys(tops):
            for part in (below, *below.parents):
                yield controllers, top / part


def _limit(folder: Path) -> list[int]:
    """Bytes allowed by one control group: one number, or none where nothing is set."""
    limit = _numbers(folder / "memory.max") or _numbers(folder / "memory.limit_in_bytes")
    # Version 1 writes "no limit" as the largest multiple of the page size.
    return [one for one in limit if 0 < one < 2**62]


def _quota(folder: Path) -> list[float]:
    """Cores allowed by one control group: one number, or none where nothing is set."""
    both = _numbers(folder / "cpu.max")  # "max 100000" leaves one number: no quota
    if not both:
        both = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
    return [both[0] / both[1]] if len(both) == 2 and min(both) > 0 else []


def _numbers(path: Path) -> list[int]:
    words = (_text(path) or "").split()
    return [int(word) for word in words if re.fullmatch(r"-?\d+", word)]


CPUS = "sys/devices/system/cpu"

NUMBERS = (
    ("vendor_id", "CPU implementer"),
    ("cpu family", "model", "stepping"),
    ("CPU part", "CPU variant", "CPU revision"),
)
"""What /proc/cpuinfo numbers a processor by: its maker, and the version of an x86 and of an Arm."""

ARITHMETIC = frozenset({"amx_bf16", "avx512_bf16", "avx512_fp16", "bf16", "sve", "sve2"})
"""Instructions that torch's own name of the processor's abilities does not tell."""


def facts(root: Path) -> dict[str, Any]:
    """By the names of a `Machine`. `root` is the folder that holds `proc` and `sys`."""
    cpus = [path for path in (root / CPUS).glob("cpu*") if re.fullmatch(r"cpu\d+", path.name)]
    cores = {core for cpu in cpus if (core := _core(cpu)) is not None}
    frequency = root / CPUS / "cpu0/cpufreq"
    khz = _text(frequency / "cpuinfo_max_freq")
    nodes = list((root / "sys/devices/system/node").glob("node[0-9]*"))
    cpuinfo = _text(root / "proc/cpuinfo") or ""
    known = signature(cpuinfo, _last_level_cache(root)) or platform.processor()
    return {
        "cpu_signature": known or None,
        "cpu_sockets": len({socket for socket, _ in cores}) or None,
        "cpu_physical_cores": len(cores) or None,
        "cpu_logical_cores": len(cpus) or None,
        "numa_nodes": len(nodes) or None,
        "cpu_max_mhz": None if khz is None else round(int(khz) / 1000),
        "cpu_governor": _text(frequency / "scaling_governor"),
        "virtual": is_virtual(cpuinfo),
    }


def signature(cpuinfo: str, cache: str | None) -> str:
    """What tells processors apart that share a name, for virtual machines hide the real one.

    Maker and version, instructions that decide the speed of networks, and the last cache: of
    these what is known, and nothing where nothing is.
    """
    values = dict(reversed(re.findall(r"^(\w[\w ]*?)[ \t]*:[ \t]*(\S+)", cpuinfo, re.MULTILINE)))
    numbers = ("-".join(values[name] for name in names if name in values) for names in NUMBERS)
    known = " ".join(filter(None, numbers))
    arithmetic = sorted(ARITHMETIC & instructions(cpuinfo))
    return ", ".join(filter(None, (known, *arithmetic, cache and f"cache {cache}")))


def instructions(cpuinfo: str) -> frozenset[str]:
    """Sets of instructions that the text of /proc/cpuinfo names; empty where it names none."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(name for line in lines for name in line.split())


def is_virtual(cpuinfo: str) -> bool | None:
    """Whether the processor says that it runs under a hypervisor; None where it never does."""
    if re.search(r"^flags\s*:", cpuinfo, re.MULTILINE) is None:
        return None  # x86 alone has this flag
    return "hypervisor" in instructions(cpuinfo)


def _last_level_cache(root: Path) -> str | None:
    """Its size as the kernel writes it, "32768K"."""
    caches = (root / CPUS / "cpu0/cache").glob("index[0-9]*")
    sizes = {int(_text(one / "level") or 0): _text(one / "size") for one in caches}
    return sizes[max(sizes)] if sizes else None


def _core(cpu: Path) -> tuple[int, int] | None:
    """(socket, core) of a logical processor; None while it is switched off."""
    socket = _text(cpu / "topology/physical_package_id")
    core = _text(cpu / "topology/core_id")
    return None if socket is None or core is None else (int(socket), int(core))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None
