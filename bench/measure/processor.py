"""The host's processors as Linux lists them: what they are, cores, sockets, NUMA nodes, clocks.

Of the host, whatever part of it may be used; elsewhere than on Linux, nearly all is unknown.
"""

import platform
import re
from pathlib import Path
from typing import Any

CPUS = "sys/devices/system/cpu"

VERSION = ("cpu family", "model", "stepping"), ("CPU part", "CPU variant", "CPU revision")
"""What /proc/cpuinfo numbers an x86 and an Arm processor by, under its maker."""

MAKER = "vendor_id", "CPU implementer"

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
    numbers = [" ".join(_values(cpuinfo, MAKER))]
    numbers += ["-".join(_values(cpuinfo, names)) for names in VERSION]
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


def _values(cpuinfo: str, names: tuple[str, ...]) -> list[str]:
    """Of the first processor that has them, in the order of the names."""
    found = [re.search(rf"^{name}\s*:\s*(\S+)", cpuinfo, re.MULTILINE) for name in names]
    return [one[1] for one in found if one]


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
