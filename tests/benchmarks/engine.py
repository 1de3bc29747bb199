"""bench's own engine in this process: what `bench run` does from files on disk to the last score.

Missing is what the command adds around it: child processes, records, the report, and measuring
inference latency, once for each architecture.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from bench import expand
from bench.data.decoded import make, resize_of, stored
from bench.measure.device import Device
from bench.models.build import preprocessing
from bench.record import Cell, Latency
from bench.running import prepare
from bench.running.plan import Request
from bench.suite import Suite
from bench.suite_file import SuiteFile, check
from bench.training.context import Context
from bench.training.run_cell import Outcome, run_cell
from bench.training.shared import Key, Shared

T = TypeVar("T")


UNMEASURED = Latency(
    batch1_p50_seconds=1.0,
    batch1_p95_seconds=1.0,
    num_calls=0,
    batch_size=1,
    images_per_second=1.0,
)


class Worker(Shared):
    """A worker that does not measure inference latency: up to 3 s that no opponent spends."""

    def fact(self, key: Key, find: Callable[[], T]) -> T:
        """As in every run, but for the latency."""
        return super().fact(key, (lambda: cast(T, UNMEASURED)) if key[0] == "latency" else find)


def suite_of(table: Mapping[str, Any], device: Device) -> Suite:
    """The suite that a file with this table would be. Raises SuiteError."""
    return check(dict(table), "benchmark").profiles[device.profile]


def assemble(suite: Suite, device: Device) -> tuple[Context, list[Cell]]:
    """Scan and split the images, find the weights, resolve the cells."""
    images = prepare.open_images(suite)
    request = Request(SuiteFile("benchmark", {}), str(device), offline=True)
    chosen = prepare.choose_weights(suite, request, fetch=True)
    context = Context(device, images.dataset, images.split, chosen.files, chosen.pipelines)
    return context, expand.cells(suite, prepare.inputs_of(images, chosen))


def decoded(context: Context, asked: Sequence[Cell]) -> Context:
    """The same with every image decoded into the cache, if it is not there."""
    uses = Counter(
        resize_of(
            preprocessing(
                cell.architecture, context.pipelines[cell.architecture_label], cell.image_size
            )
        )
        for cell in asked
    )
    made = make(context.dataset, uses, context.device, unheard)
    return context._replace(images=stored(made, uses))


def run(suite: Suite, device: Device) -> list[Outcome]:
    """Every cell of a suite of one architecture, as one worker runs them."""
    context, asked = assemble(suite, device)
    return finish(asked, Worker(decoded(context, asked), asked))


def finish(asked: Sequence[Cell], shared: Worker) -> list[Outcome]:
    """Every cell to its scores; pieces are let go of as in a worker."""
    outcomes = []
    for cell in asked:
        outcomes.append(run_cell(cell, shared, unheard))
        shared.release(cell)
    return outcomes


def unheard(*told: object) -> None:
    """Nobody listens."""


@contextmanager
def own_cache() -> Iterator[None]:
    """A cache of bench's for the time of the block alone.

    Around everything else: children of a fork server see what was said when that started.
    """
    before = os.environ.get("BENCH_CACHE")
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as folder:
        os.environ["BENCH_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["BENCH_CACHE"]
            else:
                os.environ["BENCH_CACHE"] = before


def empty_cache() -> None:
    """Delete what is in the cache of the enclosing `own_cache`."""
    folder = Path(os.environ["BENCH_CACHE"])
    assert folder.name.startswith("bench-cache-"), "never a user's cache"
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
