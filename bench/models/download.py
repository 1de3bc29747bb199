"""Published weight files in a cache folder: verified each time, fetched once.

The first hex digits of a file's SHA-256 stand in its name, as torchvision publishes it. A file
whose content says otherwise is never used, however long it has been in the cache.
"""

import functools
import hashlib
import queue
import re
import socket
import threading
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch
from filelock import FileLock

from bench.cache import reason

CONNECT_SECONDS = 3.0
STALL_SECONDS = 30.0
RETRY_SECONDS = (1.0, 4.0)


class Located(NamedTuple):
    path: Path
    sha256: str  # of the whole file, 64 hex digits


class Absent(NamedTuple):
    why: str  # there is no usable file


def file_name(address: str) -> str:
    return Path(urlsplit(address).path).name


def cached(address: str, folder: Path) -> Located | Absent:
    path = folder / file_name(address)
    try:
        facts = path.stat()
        found = _sha256(path, facts.st_size, facts.st_mtime_ns)
    except FileNotFoundError:
        return Absent("not in the cache")
    except OSError as error:
        return Absent(f"the cached file cannot be read: {error.strerror}")
    expected = digits(address)
    if not found.startswith(expected):
        read = found[: len(expected)]
        return Absent(f"the cached file is damaged: its hash is {read}, its name says {expected}")
    return Located(path, found)


def fetch(
    address: str, folder: Path, *, retry_seconds: Sequence[float] = RETRY_SECONDS
) -> Located | Absent:
    """The published file, downloaded into the folder unless it lies there undamaged.

    A damaged one is moved aside to `<file>.corrupt`. Processes that want the same file at the
    same time wait for the first one's.
    """
    path = folder / file_name(address)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            found = cached(address, folder)
            if isinstance(found, Located):
                return found
            if path.exists():
                path.replace(path.with_name(f"{path.name}.corrupt"))
            return _try_download(address, path, retry_seconds)
    except OSError as error:
        return Absent(f"the cache cannot be written: {error.strerror}")


DIGITS = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")


def digits(address: str) -> str:
    found = DIGITS.search(file_name(address))
    assert found, f"{address} carries no hash in its name"
    return found[1]


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, _size: int, _modified: int) -> str:
    """Hash of a file, computed once for each state that its size and time of change tell apart."""
    return sha256(path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreachable(address: str) -> str | None:
    """Why the server of an address does not answer; None if it does. Asked once per process."""
    parts = urlsplit(address)
    return _ask(f"{parts.scheme}://{parts.netloc}/")


@functools.cache
def _ask(server: str) -> str | None:
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    # A thread, because resolving a name has no timeout and may take half a minute.
    threading.Thread(target=lambda: answers.put(_request(server)), daemon=True).start()
    try:
        return answers.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        return f"{urlsplit(server).netloc} did not answer within {CONNECT_SECONDS:.0f} s"


def _request(server: str) -> str | None:
    """None if the server answers at all, be it with an error; otherwise why it does not."""
    try:
        with urlopen(Request(server, method="HEAD"), timeout=CONNECT_SECONDS):
            return None
    except HTTPError as error:
        error.close()
        return None
    except (OSError, HTTPException) as error:
        return f"{urlsplit(server).netloc} cannot be reached: {_reason(error)}"


def _try_download(address: str, path: Path, retry_seconds: Sequence[float]) -> Located | Absent:
    """Up to three downloads: a cut connection is worth another try, a refused file is not."""
    why = ""
    for wait in (*retry_seconds, None):
        try:
            return _download(address, path)
        except HTTPError as error:
            error.close()
            why = f"the server answered {error.code} {error.reason}"
            if error.code < 500:
                break
        except (OSError, HTTPException) as error:
            why = f"the download failed: {_reason(error)}"
        if wait is not None:
            time.sleep(wait)
    return Absent(why)


def _download(address: str, path: Path) -> Located:
    """The downloaded and verified file; OSError or HTTPException, and no file, otherwise."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)  # torch.hub sets none
    try:
        torch.hub.download_url_to_file(address, str(path), digits(address), progress=False)
    except RuntimeError as error:
        raise OSError("what arrived is cut short or damaged: not the hash in its name") from error
    finally:
        socket.setdefaulttimeout(before)
    return Located(path, sha256(path))


def _reason(error: Exception) -> str:
    return reason(error.reason if isinstance(error, URLError) else error)
