"""What the numbers are made on and with. No field identifies a person, a host or a folder.

torch is imported inside the functions that need it: the main process uses this module too.
"""

import os
import platform
import re
import secrets
import subprocess
import sys
import tempfile
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psutil

import bench
from bench.errors import InputError
from bench.measure import cpu, gpu
from bench.record import Machine


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
        **(gpu.facts(index or 0) if device == "cuda" else dict.fromkeys(gpu.ALWAYS_TOLD)),
        cpu_model=cpu.cpu_model(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        usable_cores=cpu.usable_cores(),
        memory_gib=cpu.memory_gib(),
        **versions(),
        os=operating_system(),
        container=in_container(),
        id=machine_id().id,
        **cpu.facts(cpu.ROOT),
        host_memory_gib=round(psutil.virtual_memory().total / 2**30),
        swap_gib=round(psutil.swap_memory().total / 2**30),
        wsl="microsoft" in platform.release().lower(),
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
    marks = (".dockerenv", "run/.containerenv", "run/systemd/container")
    if any((cpu.ROOT / mark).exists() for mark in marks) or "KUBERNETES_SERVICE_HOST" in os.environ:
        return True
    first = cpu.ROOT / "proc/1/comm"  # a container seldom runs an init system of its own
    if sys.platform == "linux" and first.exists() and first.read_text().strip() == "systemd":
        return False
    return None


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
        printed = subprocess.check_output(
            ["git", "-C", str(folder), *arguments],
            env={**clean, "GIT_OPTIONAL_LOCKS": "0"},
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return printed.strip()


def file_system(folder: Path) -> str | None:
    """Type of the file system that holds a folder, made or not: "ext4", "tmpfs", "nfs4"."""
    place, found = os.path.realpath(folder), None
    # The innermost mount, and the last of several on one place.
    for mount in sorted(psutil.disk_partitions(all=True), key=lambda one: len(one.mountpoint)):
        if place == mount.mountpoint or place.startswith(f"{mount.mountpoint.rstrip('/')}/"):
            found = mount.fstype
    return found or None


ID_VARIABLE = "BENCH_MACHINE_ID"


class MachineId(NamedTuple):
    id: str | None
    why: str | None = None


def id_path() -> Path:
    """$XDG_CONFIG_HOME/bench/machine-id, or the same below ~/.config."""
    said = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(said if os.path.isabs(said) else os.path.expanduser("~/.config"))
    return folder / "bench" / "machine-id"


def machine_id() -> MachineId:
    """The name of this machine, drawn now if there is none yet. Raises InputError."""
    given = os.environ.get(ID_VARIABLE)
    if given is not None:
        if given and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given):
            raise InputError(
                f"{ID_VARIABLE}: expected up to 64 letters, digits, dots and dashes, got {given!r}"
            )
        return MachineId(given or None, None if given else f"{ID_VARIABLE} is set to nothing")
    try:
        if not id_path().exists():
            _draw_id(id_path())
        found = id_path().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no text"
        return MachineId(None, f"{id_path()}: {reason}")
    if not re.fullmatch(r"[0-9a-f]{16}", found):
        return MachineId(None, f"{id_path()}: holds something else than 16 hex digits; delete it")
    return MachineId(found)


def _draw_id(place: Path) -> None:
    """Draw a name; of processes that do so at once, one wins. Raises OSError."""
    place.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".machine-id.")  # 0600
    try:
        os.write(handle, f"{secrets.token_hex(8)}\n".encode())
        with suppress(FileExistsError):
            os.link(temporary, place)  # whole, or not at all
    finally:
        os.close(handle)
        os.unlink(temporary)
