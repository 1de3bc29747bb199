"""Which cell pays when a worker dies: exactly one, and none between two cells."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.data.dataset import Dataset
from bench.folder import read_record, write_record
from bench.identity import cell_id
from bench.measure.device import Device
from bench.record import Cell, Failure, UsedWeights
from bench.running import pool
from bench.running.pool import (
    Batch,
    Cause,
    CellEnded,
    CellStarted,
    Death,
    Event,
    Flight,
    GroupRetried,
    Job,
    Noted,
    failure,
    provenance,
)
from bench.training.context import Context
from tests import records

CELLS = [records.cell("resnet18", "fine_tuning", seed) for seed in (0, 1)]
FIRST, SECOND = CELLS


def started(number: int) -> CellStarted:
    return CellStarted(cell_id(CELLS[number]))


def ended(number: int) -> CellEnded:
    return CellEnded(cell_id(CELLS[number]), "ok", "")


Told = CellStarted | CellEnded


def flight(*events: Told) -> Flight:
    found = Flight(Batch(tuple(CELLS)))
    for event in events:
        found.take(event)
    return found


def test_a_worker_that_dies_while_it_starts_costs_its_first_cell() -> None:
    assert flight().current == FIRST


def test_a_worker_that_dies_in_a_cell_costs_that_cell() -> None:
    assert flight(started(0), ended(0), started(1)).current == SECOND


def test_a_worker_that_dies_between_two_cells_costs_none() -> None:
    between = flight(started(0), ended(0))
    assert (between.current, between.left.cells) == (None, (SECOND,))


def test_a_worker_that_ran_all_leaves_nothing() -> None:
    over = flight(started(0), ended(0), started(1), ended(1))
    assert (over.current, over.left.cells) == (None, ())


def job(folder: Path) -> Job:
    digits = Dataset("pictures", "/home/jane/pictures", (), (), True, ())
    context = Context(Device("cpu", None), digits, None, {}, {})  # type: ignore[arg-type]
    return Job(folder, context, records.CPU, None, UsedWeights(wanted=("random",), used="random"))


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
    fallen = plain._replace(weights=UsedWeights(wanted=("imagenet", "random"), used="random"))
    assert provenance(fallen).weights_wanted == "imagenet"


HEADS = [records.cell("resnet18", "two_phase", seed) for seed in (0, 1, 2)]
KILLED = Death("its process was killed by SIGKILL", "crash")


def after_death(
    cells: Sequence[Cell], told: Sequence[Told], folder: Path
) -> tuple[list[list[Cell]], list[Event]]:
    """What is left to run, and what was said, after a worker died that had told so much."""
    found = Flight(Batch(tuple(cells)))
    for event in told:
        found.take(event)
    assert found.current is not None
    heard: list[Event] = []
    left = pool.after_death(KILLED, found, found.current, job(folder), heard.append)
    return [list(batch.cells) for batch in left], heard


def test_seeds_whose_worker_died_while_they_trained_together_run_alone(tmp_path: Path) -> None:
    left, heard = after_death([*HEADS, FIRST], [CellStarted(cell_id(HEADS[0]))], tmp_path)
    assert left == [*([cell] for cell in HEADS), [FIRST]]
    assert heard == [GroupRetried("resnet18 · two_phase", 3, "its process was killed by SIGKILL")]
    assert list(tmp_path.iterdir()) == [], "no failure is recorded yet"


def test_a_seed_that_has_a_record_is_not_run_again(tmp_path: Path) -> None:
    first, second, third = map(cell_id, HEADS)
    told: list[Told] = [CellStarted(first), CellEnded(first, "ok", ""), CellStarted(second)]
    left, _ = after_death([*HEADS, FIRST], told, tmp_path)
    assert left == [[HEADS[1]], [HEADS[2]], [FIRST]]
    told += [CellEnded(second, "ok", ""), CellStarted(third)]
    left, heard = after_death([*HEADS, FIRST], told, tmp_path)
    assert left == [[FIRST]], "the last seed is a group no longer"
    assert heard[0][:2] == (third, "failed")


def test_a_seed_that_dies_alone_has_failed(tmp_path: Path) -> None:
    left, heard = after_death(HEADS[:1], [CellStarted(cell_id(HEADS[0]))], tmp_path)
    assert (left, heard[0][:2]) == ([], (cell_id(HEADS[0]), "failed"))


def test_a_group_whose_first_seed_was_recorded_by_its_dying_worker_stays_together(
    tmp_path: Path,
) -> None:
    write_record(tmp_path, records.result(HEADS[0]))
    left, heard = after_death(HEADS, [CellStarted(cell_id(HEADS[0]))], tmp_path)
    assert (left, heard[0][:2]) == ([HEADS[1:]], (cell_id(HEADS[0]), "ok"))


def test_a_note_is_heard_once_and_whatever_else_happens_each_time() -> None:
    heard: list[Event] = []
    listen = pool.once(heard.append)
    told: list[Event] = [Noted("damaged"), started(0), Noted("gone"), started(0), Noted("gone")]
    for event in (*told, Noted("damaged")):
        listen(event)
    assert heard == told[:-1]


def test_a_crash_is_recorded_with_its_cause_and_its_time(tmp_path: Path) -> None:
    cause = pool.crash_cause(Death("its process was killed by SIGSEGV", "crash"), 1)
    told = pool.record_once(FIRST, cause, job(tmp_path), since=0.0)
    record = read_record(tmp_path, cell_id(FIRST))
    assert isinstance(record, Failure)
    assert (record.status, record.kind) == ("failed", "crash")
    assert record.reason == "its process was killed by SIGSEGV; see log.txt beside the record"
    assert record.seconds > 0
    assert told == (record.cell_id, "failed", f"failed (crash): {record.reason}")


def test_a_record_that_the_worker_wrote_before_it_died_is_kept(tmp_path: Path) -> None:
    result = records.result(FIRST)
    write_record(tmp_path, result)
    cause = Cause("failed", "crash", "its process was killed by SIGKILL")
    told = pool.record_once(FIRST, cause, job(tmp_path), since=0.0)
    assert told.status == "ok"
    assert read_record(tmp_path, result.cell_id) == result


@pytest.mark.parametrize(("passes", "tried"), [(1, ""), (8, ", also with each batch in 8 passes")])
def test_want_of_memory_says_what_was_tried(passes: int, tried: str) -> None:
    cause = pool.crash_cause(Death("out of memory", "oom_host"), passes)
    assert cause == Cause("failed", "oom_host", f"out of memory{tried}")


@pytest.mark.parametrize(
    ("batch_size", "passes", "more"),
    [(16, 1, 2), (16, 4, 8), (16, 8, None), (3, 1, None), (4, 1, 2), (10_000, 64, None)],
)
def test_a_batch_is_halved_while_each_pass_has_two_images(
    batch_size: int, passes: int, more: int | None
) -> None:
    recipe = FIRST.recipe.model_copy(update={"batch_size": batch_size})
    data = FIRST.data.model_copy(update={"num_train": 100_000})
    one = FIRST.model_copy(update={"recipe": recipe, "data": data})
    assert pool.halved(one, passes) == more


def test_a_part_smaller_than_a_batch_is_the_batch() -> None:
    data = FIRST.data.model_copy(update={"num_train": 7})
    one = FIRST.model_copy(update={"data": data})
    assert (pool.halved(one, 1), pool.halved(one, 2)) == (2, None)
