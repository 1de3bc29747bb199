"""What every test needs."""

import os
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def name_of_the_tests() -> Iterator[None]:
    """Nor the user's configuration, where the name of the machine is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_MACHINE_ID", "test-machine")
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests() -> Iterator[None]:
    """No test, nor a process that it starts, touches the user's cache."""
    before = os.environ.get("BENCH_CACHE")
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as folder:
        os.environ["BENCH_CACHE"] = folder
        yield
    if before is None:
        del os.environ["BENCH_CACHE"]
    else:
        os.environ["BENCH_CACHE"] = before


@pytest.fixture
def cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path: "os.PathLike[str]") -> None:
    """An empty cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", os.path.join(tmp_path, "cache"))
