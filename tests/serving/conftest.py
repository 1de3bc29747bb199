"""A small run whose weights are all kept, and the command line in this process."""

from pathlib import Path

import pytest

from bench.folder import read_records, read_run, weights_path
from bench.record import Result
from bench.serving.messages import Trained
from tests import command
from tests.command import SUITE, Place
from tests.models.conftest import checkpoints, published, publisher
from tests.spoken import Bench, spoken_by

__all__ = ["checkpoints", "published", "publisher"]

KINDS = ("feature_extraction", "partial", "two_phase", "from_scratch")
KEPT = (
    SUITE.replace('name = "tiny"', 'name = "tiny"\nkeep_weights = "all"')
    .replace('["feature_extraction", "from_scratch"]', str(list(KINDS)))
    .replace("epochs = 1", "epochs = 2")
)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """The command line in this process."""
    return spoken_by(capsys)


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """With as many val images as it takes to show that a network does not guess."""
    return command.place(tmp_path_factory.mktemp("serving"), each=30)


@pytest.fixture(scope="session")
def run_folder(here: Place) -> Path:
    """A finished run of one architecture under four strategies. Not to be changed."""
    done = command.quick(here, "run", here.suite(KEPT), "--out", "run")
    assert done.returncode == 0, done.stderr
    return here.folder / "run"


def record_of(folder: Path, kind: str) -> Result:
    """The record of one strategy."""
    (found,) = (r for r in read_records(folder) if r.cell.kind == kind)
    assert isinstance(found, Result)
    return found


def trained(folder: Path, kind: str) -> Trained:
    """The network of one strategy."""
    record = record_of(folder, kind)
    pipeline = read_run(folder).preprocessing[record.cell.architecture_label]
    return Trained(record, pipeline, weights_path(folder, record.cell_id), (), True)
