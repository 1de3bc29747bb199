"""Which cell pays when a worker dies: exactly one, and none between two cells."""

from pathlib import Path

from bench import store
from bench.data.dataset import Dataset
from bench.identity import cell_id
from bench.measure.device import Device
from bench.running import local
from bench.running.events import CellEnded, CellStarted
from bench.running.job import Cause, Job, failure, provenance
from bench.running.local import Flight
from bench.schema import Failure, Source
from bench.training.context import Context
from tests import records

CELLS = [records.cell("resnet18", "fine_tuning", seed) for seed in (0, 1)]
FIRST, SECOND = CELLS


def started(number: int) -> CellStarted:
    return CellStarted(cell_id(CELLS[number]))


def ended(number: int) -> CellEnded:
    return CellEnded(cell_id(CELLS[number]), "ok", "")


def flight(*events: CellStarted | CellEnded) -> Flight:
    found = Flight(CELLS)
    for event in events:
        found.take(event)
    return found


def test_a_worker_that_dies_while_it_starts_costs_its_first_cell() -> None:
    assert flight().current == FIRST


def test_a_worker_that_dies_in_a_cell_costs_that_cell() -> None:
    assert flight(started(0), ended(0), started(1)).current == SECOND


def test_a_worker_that_dies_between_two_cells_costs_none() -> None:
    between = flight(started(0), ended(0))
    assert (between.current, between.left) == (None, [SECOND])


def test_a_worker_that_ran_all_leaves_nothing() -> None:
    over = flight(started(0), ended(0), started(1), ended(1))
    assert (over.current, over.left) == (None, [])


def job(folder: Path) -> Job:
    digits = Dataset("pictures", "/home/jane/pictures", (), (), True, ())
    context = Context(Device("cpu", None), digits, None, {}, {})  # type: ignore[arg-type]
    return Job(folder, context, records.CPU, None, Source(wanted=("random",), used="random"))


def test_a_failure_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    reason = "/home/jane/pictures/cat/1.jpg: gone; [Errno 2] no '/srv/w/x.pth', see https://a.b/c/d"
    cause = Cause("failed", "data", reason)
    record = failure(FIRST, cause, job(tmp_path), seconds=1.0)
    assert record.reason == (
        "pictures/cat/1.jpg: gone; [Errno 2] no '.../x.pth', see https://a.b/c/d"
    )


def test_a_record_says_which_weights_were_wanted_only_after_a_fallback(tmp_path: Path) -> None:
    plain = job(tmp_path)
    assert provenance(plain).weights_wanted is None
    fallen = plain._replace(weights=Source(wanted=("imagenet", "random"), used="random"))
    assert provenance(fallen).weights_wanted == "imagenet"


def test_a_crash_is_recorded_with_its_cause_and_its_time(tmp_path: Path) -> None:
    cause = local.crash_cause("was killed by SIGSEGV", out_of_memory=False)
    told = local.record_once(FIRST, cause, job(tmp_path), since=0.0)
    record = store.read_record(tmp_path, cell_id(FIRST))
    assert isinstance(record, Failure)
    assert (record.status, record.kind) == ("failed", "crash")
    assert record.reason == "its process was killed by SIGSEGV; see log.txt beside the record"
    assert record.seconds > 0
    assert told == (record.cell_id, "failed", f"failed (crash): {record.reason}")


def test_a_record_that_the_worker_wrote_before_it_died_is_kept(tmp_path: Path) -> None:
    result = records.result(FIRST)
    store.write_record(tmp_path, result)
    cause = Cause("failed", "crash", "its process was killed by SIGKILL")
    told = local.record_once(FIRST, cause, job(tmp_path), since=0.0)
    assert told.status == "ok"
    assert store.read_record(tmp_path, result.cell_id) == result


def test_the_kernels_count_names_want_of_memory() -> None:
    cause = local.crash_cause("was killed by SIGKILL", out_of_memory=True)
    assert (cause.kind, cause.reason) == (
        "oom_host",
        "out of memory: its process was killed by SIGKILL",
    )
