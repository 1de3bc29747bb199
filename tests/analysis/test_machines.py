"""One machine is the reference, whoever asks and in whatever order the records come."""

from collections.abc import Sequence

import pytest

from bench.analysis.machines import reference
from bench.analysis.merge import on_reference_machine
from bench.analysis.summary import summarise
from bench.record import Machine, Result
from bench.report import run_tables
from tests import records
from tests.records import cell, executed, result, run

OTHER = records.CPU.model_copy(update={"cpu_model": "Intel Xeon", "usable_cores": 8})
ROWS = ["resnet50", "efficientnet_b0"], ["fine_tuning"]


def moved(one: Result) -> Result:
    return one.model_copy(update={"machine": OTHER})


def slower(one: Result, seconds: float) -> Result:
    latency = one.cost.latency
    assert latency is not None
    latency = latency.model_copy(update={"batch1_p50_seconds": seconds})
    return one.model_copy(update={"cost": one.cost.model_copy(update={"latency": latency})})


def test_most_results_decide() -> None:
    here = [result(cell("a", "partial", seed)) for seed in range(2)]
    there = [moved(result(cell("b", "partial", seed))) for seed in range(3)]
    assert reference([*here, *there]) == there
    assert reference([*here, *there[:1]]) == here
    assert reference([]) == []


@pytest.mark.parametrize("machine", [records.CPU, OTHER])
@pytest.mark.parametrize("order", [1, -1])
def test_where_two_have_as_many_the_row_and_the_run_agree(machine: Machine, order: int) -> None:
    asked = run(*ROWS, machine=machine)
    found = [
        result(cell("resnet50", "fine_tuning", 0)),
        moved(result(cell("efficientnet_b0", "fine_tuning", 0))),
    ][::order]
    told = on_reference_machine(asked, found).machine
    known = {row.architecture for row in summarise(asked, found).rows if row.train_seconds}
    assert known == {one.cell.architecture for one in found if one.machine == told}


def test_an_architecture_has_one_latency_though_threads_differ() -> None:
    asked = run(["resnet18"], ["fine_tuning", "partial", "two_phase"])
    found: Sequence[Result] = [
        slower(executed(result(cell("resnet18", "fine_tuning", 0)), threads=8), 0.001),
        slower(result(cell("resnet18", "partial", 0)), 0.006),
        slower(result(cell("resnet18", "two_phase", 0)), 0.006),
    ]
    ((_, *_, latency, _, _),) = run_tables.architecture_numbers(asked, found).rows
    of_rows = {row.latency_seconds for row in summarise(asked, found).rows}
    assert latency == 0.006
    assert of_rows == {None, 0.006}
