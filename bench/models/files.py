"""Files of published weights: on a server, on the Hugging Face hub, in an installed package.

Each kind says what it has here, why it cannot be fetched, and fetches it. No file is used whose
SHA-256 is not the one that its publisher gives.
"""

import importlib.metadata
import re
from pathlib import Path
from typing import NamedTuple, Protocol

import torch

from bench.errors import first_line
from bench.models import download
from bench.models.download import Absent, Located


class File(Protocol):
    """One published file."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str | None:
        """Where a person can download it."""

    @property
    def folder(self) -> Path | None:
        """Where a person can put it by hand, if anywhere."""

    @property
    def source(self) -> str:
        """Its address, or the command that installs it."""

    def cached(self) -> Located | Absent: ...

    def hindrance(self) -> str | None:
        """Why it cannot be fetched; None where its server answers."""

    def fetch(self) -> Located | Absent: ...


def torch_cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


class Address(NamedTuple):
    """A file whose name carries the first digits of its hash, in torch's own cache."""

    address: str

    @property
    def name(self) -> str:
        return download.file_name(self.address)

    @property
    def source(self) -> str:
        return self.address

    @property
    def folder(self) -> Path:
        return torch_cache()

    def cached(self) -> Located | Absent:
        return download.cached(self.address, self.folder)

    def hindrance(self) -> str | None:
        return download.unreachable(self.address)

    def fetch(self) -> Located | Absent:
        return download.fetch(self.address, self.folder)


class HubFile(NamedTuple):
    """A file of a repository on the Hugging Face hub, in that hub's own cache.

    The hub keeps a large file under its SHA-256.
    """

    repository: str
    name: str

    @property
    def address(self) -> str:
        from huggingface_hub import hf_hub_url

        return str(hf_hub_url(self.repository, self.name))

    @property
    def source(self) -> str:
        return self.address

    @property
    def folder(self) -> None:
        return None

    def cached(self) -> Located | Absent:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(self.repository, self.name)
        return self._located(Path(path)) if isinstance(path, str) else Absent("not in the cache")

    def hindrance(self) -> str | None:
        return download.unreachable(self.address)

    def fetch(self) -> Located | Absent:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError

        if isinstance(found := self.cached(), Located):
            return found
        try:
            path = hf_hub_download(self.repository, self.name, force_download=True)
        except (OSError, HfHubHTTPError) as error:
            return Absent(f"the download failed: {first_line(error)}")
        return self._located(Path(path))

    def _located(self, path: Path) -> Located | Absent:
        expected, found = path.resolve().name, download.sha256(path)
        if re.fullmatch("[0-9a-f]{64}", expected) and found != expected:
            return Absent(f"the cached file is damaged: its hash is {found[:8]}")
        return Located(path, found)


class PackageFile(NamedTuple):
    """A file in a package of the Python index; its name carries the first digits of its hash."""

    package: str
    path: str  # within the package's own folder

    @property
    def name(self) -> str:
        return Path(self.path).name

    @property
    def source(self) -> str:
        return f"python -m pip install {self.package}"

    @property
    def address(self) -> None:
        return None

    @property
    def folder(self) -> None:
        return None

    def cached(self) -> Located | Absent:
        wanted = f"{self.package.replace('-', '_')}/{self.path}"
        try:
            files = importlib.metadata.files(self.package) or []
        except importlib.metadata.PackageNotFoundError:
            return Absent(f"its package is not installed: {self.source}")
        here = next((Path(str(file.locate())) for file in files if str(file) == wanted), None)
        if here is None:
            version = importlib.metadata.version(self.package)
            return Absent(f"version {version} of the package {self.package} has no such file")
        return download.cached(f"file:///{self.name}", here.parent)

    def hindrance(self) -> str | None:
        return "packages are installed, not downloaded"

    def fetch(self) -> Located | Absent:
        return self.cached()
