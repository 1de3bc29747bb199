"""The code of both sides of `bench ab`: copied out of a folder or a git revision, and proved.

Both sides run from copies of their own, so that nothing changes under a run that is under way, and
neither side has compiled files or a path that the other lacks.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.errors import InputError
from bench.folder import disk_errors

ENTRY = Path("bench", "__main__.py")
"""What makes a folder a checkout."""

ASKED = "import bench; print(bench.__file__)"


class Checkout(NamedTuple):
    """Code that can be run: the folder holds the package `bench`."""

    asked: str  # as the user named it
    folder: Path
    commit: str | None  # of a revision
    sha256: str  # of the package

    @property
    def name(self) -> str:
        """As the user named it, and which code that was."""
        return f"{self.asked} ({self.commit[:10] if self.commit else f'code {self.sha256[:8]}'})"


def check_out(asked: str, folder: Path) -> Checkout:
    """A copy of the code in an empty folder. Raises InputError, or FolderError."""
    if not asked:
        raise InputError(["OLD and NEW: name a checkout or a git revision each; one is empty"])
    with disk_errors(folder):
        if (Path(asked) / ENTRY).is_file():
            copy_package(Path(asked), folder)
            commit = None
        else:
            commit = commit_of(asked)
            unpack(asked, commit, folder)
        return Checkout(asked, folder, commit, digest(folder))


def copy_package(source: Path, folder: Path) -> None:
    """The package as it lies there, without what Python has compiled of it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", ".#*")  # editors' locks are links
    shutil.copytree(source / "bench", folder / "bench", ignore=ignored)


def commit_of(asked: str) -> str:
    """The commit of a revision. Raises InputError."""
    if Path(asked).exists():
        raise InputError([f"{asked}: holds no {ENTRY}; name a checkout or a git revision"])
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{asked}^{{commit}}")
    if found is None:
        raise InputError(
            [f"{asked}: is neither a folder nor a revision of the repository in this folder"]
        )
    return found.decode().strip()


def unpack(asked: str, commit: str, folder: Path) -> None:
    """The package as it was committed. Raises InputError."""
    top = (git("rev-parse", "--show-toplevel") or b".").decode().strip()
    packed = git("-C", top, "archive", "--format=zip", commit, "--", "bench")
    if packed is None:
        raise InputError([f"{asked}: holds no {ENTRY}"])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    if not (folder / ENTRY).is_file():
        raise InputError([f"{asked}: holds no {ENTRY}"])


def git(*arguments: str) -> bytes | None:
    """What git prints; None where it refuses. Raises InputError where there is no git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise InputError(["git is needed for a revision, and is not installed"]) from error
    return done.stdout if done.returncode == 0 else None


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the package's files."""
    found = hashlib.sha256()
    for path in sorted((folder / "bench").rglob("*")):
        if path.is_file():
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


# ---- running it -----------------------------------------------------------------------------


def command(*arguments: str) -> list[str]:
    """This Python, without the current folder on its path."""
    return [sys.executable, "-P", *arguments]


def environment(checkout: Checkout, cache: Path) -> dict[str, str]:
    """Ours, where Python finds the code before any other, and with a cache of its own."""
    paths = filter(None, (str(checkout.folder), os.environ.get("PYTHONPATH")))
    own = {"PYTHONPATH": os.pathsep.join(paths), "BENCH_CACHE": str(cache.absolute())}
    return {**os.environ, **own}


def check_runs(checkout: Checkout, environment: Mapping[str, str]) -> None:
    """Raise InputError where Python, asked for bench, takes another than that of the checkout."""
    done = subprocess.run(
        command("-c", ASKED), env=environment, capture_output=True, text=True, check=False
    )
    told = done.stdout.strip()
    own = (checkout.folder / "bench" / "__init__.py").resolve()
    if done.returncode or Path(told).resolve() != own:
        found = f"runs the code in {Path(told).parent}" if told else last_line(done.stderr)
        raise InputError([f"{checkout.asked}: Python {found} in its place; nothing was compared"])


def last_line(text: str) -> str:
    """The last that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "said nothing")
