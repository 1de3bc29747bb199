"""What kind of disk a folder lies on."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


def file_system(folder: Path) -> str | None:
    """Type of the file system that holds a folder, made or not: "ext4", "tmpfs", "nfs4".

    None elsewhere than on Linux.
    """
    if not MOUNTS.exists():
        return None
    return type_of(os.path.realpath(folder), MOUNTS.read_text(errors="replace"))


def type_of(folder: str, mountinfo: str) -> str | None:
    """The type for the innermost mount, and the last of several on one place."""
    best, found = -1, None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        inside = folder == place or folder.startswith(f"{place.rstrip('/')}/")
        if inside and len(place) >= best:
            best, found = len(place), after.split()[0]
    return found
