"""Runs of one task become one, whatever their machines and seeds; others are refused by field."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from bench import identity
from bench.analysis import merge as merging
from bench.analysis.table import table
from bench.errors import NotOneTask
from bench.record import (
    PROTOCOL_VERSION,
    Failure,
    Machine,
    MissingWeights,
    Result,
    Run,
    Sitting,
    UsedWeights,
)
from tests import records
from tests.records import cell, failure, result, run, summarised

ROWS = ["resnet18", "vit_b_16"], ["partial", "two_phase"]


class Part(NamedTuple):
    """A run and its records, to be changed and then merged."""

    name: str
    run: Run
    records: Sequence[Result | Failure]


class Merged(NamedTuple):
    run: Run
    records: list[Result | Failure]
    repeated: tuple[merging.Repeated, ...]


def merge(parts: Sequence[Part]) -> Merged:
    found = merging.merge(
        [merging.NamedRun(one.name, table(one.run, one.records)) for one in parts]
    )
    return Merged(found.table.run, list(found.table.records.values()), found.repeated)


def part(called: str, seeds: Sequence[int], **changes: Any) -> Part:
    """A finished run with a record for each cell."""
    asked = run(*ROWS, seeds=seeds, **changes)
    return Part(called, asked, records.drawn(asked, ROWS[1]))


def refused(*parts: Part) -> list[str]:
    with pytest.raises(NotOneTask) as error:
        merge(parts)
    return error.value.differences


def test_more_seeds_give_what_one_run_over_all_seeds_would_have_asked_for() -> None:
    whole = run(*ROWS, seeds=[0, 1, 2, 3])
    made = merge([part("b", [2, 3]), part("a", [0, 1])])
    assert made.run.cells == whole.cells
    assert made.run.suite == whole.suite
    assert [record.cell_id for record in made.records] == list(whole.cells)
    assert made.repeated == ()
    assert {row.statuses for row in summarised(made.run, made.records).rows} == {("ok",) * 4}


def test_seeds_that_a_strategy_has_of_its_own_are_joined_strategy_by_strategy() -> None:
    first, second = ROWS[1][:2]
    one = part("a", [0], own_seeds={first: [0, 1]})
    made = merge([one, part("b", [2], own_seeds={first: [3]})])
    counts = {row.strategy: len(row.statuses) for row in summarised(made.run, made.records).rows}
    assert (counts[first], counts[second]) == (3, 2)
    assert len(made.records) == len(made.run.cells)


def test_one_run_comes_back_as_it_is() -> None:
    one = part("a", [3, 1])
    assert merge([one]) == Merged(one.run, list(one.records), ())


def test_times_and_notes_are_those_of_all_runs() -> None:
    first, other = part("a", [0]), part("b", [1])
    later = {
        "started_at": "2026-11-01T00:00:00Z",
        "finished_at": "2026-11-09T00:00:00Z",
        "wall_seconds": 88.0,
        "data_notes": ("3 hidden files were left out", "another"),
    }
    made = merge([first, other._replace(run=other.run.model_copy(update=later))]).run
    assert made.wall_seconds == 600.0
    assert (made.started_at, made.finished_at) == (later["started_at"], later["finished_at"])
    assert made.data_notes == ("3 hidden files were left out", "another")


def test_sittings_are_those_of_all_runs() -> None:
    sat = {name: (Sitting(start=None, load=load),) for name, load in (("a", 0.1), ("b", 0.9))}
    parts = [part("a", [0]), part("b", [1])]
    parts = [p._replace(run=p.run.model_copy(update={"sittings": sat[p.name]})) for p in parts]
    assert merge(parts).run.sittings == sat["a"] + sat["b"]


@pytest.mark.parametrize(
    ("fact", "ids", "mixed"),
    [
        ({}, ("one", "other"), False),  # a twin of the machine counts as it
        ({"power_limit_watts": None}, ("one", "other"), True),
        ({"power_limit_watts": None}, ("one", "one"), False),
        ({"power_limit_watts": None}, ("one", None), True),
    ],
)
def test_a_machine_of_which_something_is_unknown_is_like_no_other(
    fact: dict[str, None], ids: tuple[str, str | None], mixed: bool
) -> None:
    parts = []
    for seed, name in enumerate(ids):
        one = part(str(seed), [seed], machine=records.GPU.model_copy(update={**fact, "id": name}))
        parts.append(one)
    made = merge(parts)
    assert summarised(made.run, made.records).mixed_machines == mixed
    assert table(made.run, made.records).cells["on_reference"].sum() == (4 if mixed else 8)


def test_a_run_that_still_runs_makes_the_whole_unfinished() -> None:
    first, other = part("a", [0]), part("b", [1])
    running = other.run.model_copy(update={"status": "running", "finished_at": None})
    made = merge([first, other._replace(run=running)]).run
    assert (made.status, made.finished_at) == ("running", None)


@pytest.mark.parametrize("order", [1, -1])
def test_the_machine_of_most_cells_is_the_one_whose_costs_are_told(order: int) -> None:
    parts = [part("a", [0]), part("b", [1, 2], machine=records.GPU)]
    made = merge(parts[::order])
    assert (made.run.machine, made.run.profile) == (records.GPU, "gpu")
    summary = summarised(made.run, made.records)
    assert summary.mixed_machines
    for row in summary.rows:
        assert row.val is not None
        assert row.train_seconds is not None
        assert (row.val.seeds.n, row.train_seconds.n) == (3, 2)


def test_of_a_cell_in_two_runs_the_first_named_counts_and_the_other_is_listed() -> None:
    first, other = part("a", [0]), part("b", [0, 1], machine=records.GPU)
    made = merge([first, other])
    assert len(made.records) == 8
    by_seed = {record.cell.seed: record.machine.device for record in made.records}
    assert by_seed == {0: "cpu", 1: "cuda"}
    assert [(twice.counted_name, twice.left_out_name) for twice in made.repeated] == [
        ("a", "b")
    ] * 4
    assert {twice.left_out.machine.device for twice in made.repeated} == {"cuda"}
    assert {twice.left_out.cell_id for twice in made.repeated} == set(first.run.cells)


def test_a_good_record_counts_before_a_failure_as_a_resumed_run_would_have_it() -> None:
    asked = run(["a"], ["partial"])
    lost = Part("lost", asked, [failure(cell("a", "partial", 0))])
    good = Part("good", asked, [result(cell("a", "partial", 0))])
    made = merge([lost, good])
    assert [record.status for record in made.records] == ["ok"]
    (twice,) = made.repeated
    assert (twice.counted_name, twice.left_out_name, twice.left_out.status) == (
        "good",
        "lost",
        "diverged",
    )


def test_what_no_run_has_stays_missing_and_what_one_has_fills_the_gap() -> None:
    asked = run(["a", "b"], ["partial"], seeds=[0, 1])
    parts = [
        Part("x", asked, [result(cell("a", "partial", 0))]),
        Part("y", asked, [result(cell("b", "partial", 1))]),
    ]
    made = merge(parts)
    missing = summarised(made.run, made.records).missing
    assert missing == (("a", "partial", 1), ("b", "partial", 0))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "other"}, "suite.name: capstone and other"),
        ({"margin": 0.01}, "suite.margin: 0.005 and 0.01"),
        ({"tie_break": ["latency_seconds"]}, "suite.tie_break[0]: train_seconds and latency"),
        ({"recipe": {"epochs": 20}}, "suite.recipe.epochs: absent and 20"),
    ],
)
def test_another_suite_is_refused_by_its_field(changes: dict[str, object], field: str) -> None:
    assert any(
        problem.startswith(field) for problem in refused(part("a", [0]), part("b", [1], **changes))
    )


@pytest.mark.parametrize(
    "changes",
    [{"weights": ["random", "imagenet"]}, {"keep_weights": "all"}, {"margin": 0.005}],
)
def test_what_leaves_the_task_as_it_is_may_differ(changes: dict[str, object]) -> None:
    assert len(merge([part("a", [0]), part("b", [1], **changes)]).records) == 8


@pytest.mark.parametrize(
    ("update", "field"),
    [
        ({"protocol_version": 99}, f"protocol_version: {PROTOCOL_VERSION} and 99"),
        ({"source": UsedWeights(wanted=("x/",), used="x/")}, "source.used: random and x/"),
        (
            {"data": records.data().model_copy(update={"split_sha256": "e" * 64})},
            f"data.split_sha256: {'d' * 39}… and {'e' * 39}…",
        ),
        (
            {"data": records.data("abcdefghij")},
            "data.classes[0]: 0 and a",
        ),
    ],
)
def test_another_protocol_split_or_source_is_refused_by_its_field(
    update: dict[str, object], field: str
) -> None:
    other = part("b", [1])
    problems = refused(part("a", [0]), other._replace(run=other.run.model_copy(update=update)))
    assert any(problem.startswith(field) for problem in problems), problems


def changed(one: Part, **recipe: object) -> Part:
    """The run with another recipe in each cell, and nothing of it in the suite."""
    again: list[Result | Failure] = []
    for record in one.records:
        cell_ = record.cell
        cell_ = cell_.model_copy(update={"recipe": cell_.recipe.model_copy(update=recipe)})
        again.append(record.model_copy(update={"cell": cell_, "cell_id": identity.cell_id(cell_)}))
    ids = tuple(record.cell_id for record in again)
    return one._replace(run=one.run.model_copy(update={"cells": ids}), records=again)


def test_cells_of_another_task_are_refused_though_their_suites_say_the_same() -> None:
    problems = refused(part("a", [0]), changed(part("b", [1]), lr=0.5))
    assert "vit_b_16 · two_phase: recipe.lr: 0.001 and 0.5" in problems
    assert len(problems) == 4


def test_a_difference_shows_between_the_second_and_third_where_the_first_has_no_records() -> None:
    empty = part("a", [0])._replace(records=[])
    with pytest.raises(NotOneTask, match=r"(?s)b and c are not .*recipe\.lr: 0\.001 and 0\.5"):
        merge([empty, part("b", [1]), changed(part("c", [2]), lr=0.5)])


def test_identities_that_differ_are_refused_even_without_a_record_to_tell_why() -> None:
    other = changed(part("b", [0]), lr=0.5)
    problems = refused(part("a", [0])._replace(records=[]), other)
    assert len(problems) == 4
    assert problems[0].startswith("resnet18 · partial, seed 0: resnet18-partial-s0-")


def test_a_fallback_of_any_run_is_told_with_all_that_was_missing() -> None:
    def fell_back(one: Part, file: str) -> Part:
        lacked = MissingWeights(
            architecture="resnet18", file=file, address=None, folder="~/w", why="not there"
        )
        source = UsedWeights(wanted=("imagenet", "random"), used="random", missing=(lacked,))
        return one._replace(run=one.run.model_copy(update={"source": source}))

    later = [fell_back(part("b", [1]), "b.pth"), fell_back(part("c", [2]), "c.pth")]
    source = merge([part("a", [0]), *later]).run.source
    assert source.fell_back
    assert [one.file for one in source.missing] == ["b.pth", "c.pth"]


def test_duplicates_that_any_run_found_are_told() -> None:
    first, other = part("a", [0]), part("b", [1])
    found = other.run.model_copy(update={"duplicates": {"train/test": 3, "train/val": 1}})
    made = merge([first, other._replace(run=found)]).run
    assert made.duplicates == {"train/test": 3, "train/val": 1}


@pytest.mark.parametrize("machine", [records.CPU, records.GPU])
@pytest.mark.parametrize("order", [1, -1])
def test_where_two_machines_have_as_many_cells_the_rows_and_the_run_agree(
    machine: Machine, order: int
) -> None:
    asked = run(["a", "b"], ["partial"], machine=machine)
    found = [result(cell("a", "partial", 0)), result(cell("b", "partial", 0), machine=records.GPU)]
    told = merge([Part("a", asked, found[::order])]).run.machine
    known = {row.architecture for row in summarised(asked, found).rows if row.train_seconds}
    assert known == {one.cell.architecture for one in found if one.machine == told}
