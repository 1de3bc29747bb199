"""What every test needs."""

import os
import tempfile
from collections.abc import Iterator

import pytest

# A worker of pytest-xdist has 80; consoles take what there is when they are made.
os.environ.pop("COLUMNS", None)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests, and all that they start, on one core: each of several workers on its own.

    Threads that wait for each other in a loop, on a machine that is busy otherwise, made seconds
    into minutes.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    starts_workers = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if hasattr(os, "sched_setaffinity") and not starts_workers:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


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
