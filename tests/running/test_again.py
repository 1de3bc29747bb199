"""When a run may run again, and as what."""

from pathlib import Path

import pytest

from bench import __version__
from bench.folder import read_records, write_record, write_run
from bench.measure.device import Device
from bench.record import Machine, Result
from bench.running import again
from bench.running.findings import Hardware
from tests import records
from tests.records import CPU

NAMES = ["resnet18", "vit_b_16"], ["fine_tuning", "partial"]
RUN = records.run(*NAMES)
CELLS = [
    records.cell(architecture, strategy, 0) for architecture in NAMES[0] for strategy in NAMES[1]
]


def made(
    machine: Machine = CPU, commit: str | None = "abc", bench: str = __version__
) -> list[Result]:
    """The records of the run."""
    found = [records.result(cell, machine=machine) for cell in CELLS]
    update = {"commit": commit, "bench": bench}
    return [
        one.model_copy(update={"provenance": one.provenance.model_copy(update=update)})
        for one in found
    ]


def here(machine: Machine = CPU, commit: str | None = "abc") -> Hardware:
    return Hardware(Device("cpu", None), machine, commit)


def test_the_same_cells_by_the_same_bench_on_the_same_machine_may_run_again() -> None:
    assert again.other_conditions(here(), made()) == []
    assert again.other_cells(CELLS, RUN, made()) == []
    assert again.other_cells(CELLS[::-1], RUN, made()[:1]) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("usable_cores", 4, "machine.usable_cores: 2 then, 4 now"),
        ("torch", "3.0.0", "machine.torch: 2.15.0 then, 3.0.0 now"),
        ("cpu_model", None, "machine.cpu_model: AMD EPYC then, unknown now"),
        ("id", "another", None),  # in no key
        ("os", "another", None),
    ],
)
def test_another_machine_is_named_by_what_costs_depend_on(
    field: str, value: object, said: str | None
) -> None:
    machine = CPU.model_copy(update={field: value})
    assert again.other_conditions(here(machine), made()) == ([said] if said else [])


def test_unknown_is_no_proof_of_the_same_machine() -> None:
    machine = CPU.model_copy(update={"cpu_model": None})
    (said,) = again.other_conditions(here(machine), made(machine))
    assert said == "machine.cpu_model: unknown then, unknown now"


@pytest.mark.parametrize(
    ("commit", "then", "now"), [("def", "abc", "def"), (None, "abc", "no commit")]
)
def test_another_bench_tells_nothing_of_the_first(commit: str | None, then: str, now: str) -> None:
    (said,) = again.other_conditions(here(commit=commit), made())
    assert said == f"bench: {__version__} ({then}) then, {__version__} ({now}) now"


def test_cells_that_differ_are_told_by_their_fields() -> None:
    recipe = CELLS[1].recipe.model_copy(update={"epochs": 11})
    changed = CELLS[1].model_copy(update={"recipe": recipe})
    (said,) = again.other_cells([CELLS[0], changed, *CELLS[2:]], RUN, made())
    assert said == "recipe.epochs: 10 then, 11 now (cells: 1)"


def test_cells_of_one_side_only_are_counted() -> None:
    more = records.cell("resnet18", "partial", 1)
    (said,) = again.other_cells([*CELLS, more], RUN, made())
    assert said.startswith("cells that only the suite has: 1, such as resnet18-partial-s1-")
    (said,) = again.other_cells(CELLS[:2], RUN, made())
    assert said.startswith("cells that the suite does not have: 2, such as vit_b_16-")


def test_results_are_alike_where_their_costs_compare() -> None:
    one, other = made()[0], made(commit="def")[0]
    assert again.is_like(one, one)
    assert not again.is_like(one, other)
    assert not again.is_like(one, None)
    assert not again.is_like(one, records.failure(one.cell))
    unknown = one.model_copy(update={"keys": one.keys.model_copy(update={"performance": None})})
    assert not again.is_like(unknown, unknown)


def test_an_architecture_that_was_not_run_to_its_end_begins_anew(tmp_path: Path) -> None:
    write_run(tmp_path, RUN)
    records_ = [records.result(cell) for cell in CELLS[:3]]
    for record in records_:
        write_record(tmp_path, record)
    again.begin_architectures_anew(tmp_path, CELLS)
    left = [one.cell.architecture_label for one in read_records(tmp_path)]
    assert left == ["resnet18", "resnet18"]


def test_a_folder_without_a_run_has_nothing_to_begin_anew(tmp_path: Path) -> None:
    again.begin_architectures_anew(tmp_path, CELLS)
    assert list(tmp_path.iterdir()) == []
