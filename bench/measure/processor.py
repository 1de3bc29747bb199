"""The host's processors as Linux lists them below /sys: cores, sockets, NUMA nodes, clocks.

Of the host, whatever part of it may be used; elsewhere than on Linux, everything is unknown.
"""

import re
from pathlib import Path
from typing import Any

CPUS = "sys/devices/system/cpu"


def facts(root: Path) -> dict[str, Any]:
    """By the names of a `Machine`. `root` is the folder that holds `proc` and `sys`."""
    cpus = [path for path in (root / CPUS).glob("cpu*") if re.fullmatch(r"cpu\d+", path.name)]
    cores = {core for cpu in cpus if (core := _core(cpu)) is not None}
    frequency = root / CPUS / "cpu0/cpufreq"
    khz = _text(frequency / "cpuinfo_max_freq")
    nodes = list((root / "sys/devices/system/node").glob("node[0-9]*"))
    return {
        "cpu_sockets": len({socket for socket, _ in cores}) or None,
        "cpu_physical_cores": len(cores) or None,
        "cpu_logical_cores": len(cpus) or None,
        "numa_nodes": len(nodes) or None,
        "cpu_max_mhz": None if khz is None else round(int(khz) / 1000),
        "cpu_governor": _text(frequency / "scaling_governor"),
        "virtual": is_virtual(_text(root / "proc/cpuinfo") or ""),
    }


def is_virtual(cpuinfo: str) -> bool | None:
    """Whether the processor says that it runs under a hypervisor; None where it never does."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)  # x86 alone has this flag
    return None if found is None else "hypervisor" in found[1].split()


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
