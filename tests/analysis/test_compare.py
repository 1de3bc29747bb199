"""Two runs against each other: planted changes are found and named, and nothing else."""

from dataclasses import replace

import pytest

from bench.analysis.baseline import past_run
from bench.analysis.compare import Comparison, compare, outcomes, together
from bench.analysis.judge import ACCURACY, CELL, MEMORY, SECONDS, SIZE
from bench.analysis.table import Snapshot, table
from bench.record import Calibration, Result, Sitting
from tests import records
from tests.analysis import sides
from tests.analysis.sides import tabled
from tests.records import CPU, GPU

PAST = sides.past(8)
BASE = tabled(7)


def told(found: Comparison) -> set[tuple[str, str, str]]:
    """Cell, metric and word of all that did not pass."""
    return {(one.name, one.metric, one.word) for one in found.verdicts if one.word != "pass"}


def test_a_clean_repeat_passes_in_all() -> None:
    found = compare(BASE, tabled(20), PAST)
    assert told(found) == set()
    assert outcomes(found) == set()
    assert len(found.verdicts) == 6 * 5
    assert found.num_past == 8


@pytest.mark.parametrize(
    ("change", "metric"),
    [(sides.slower(1.15), SECONDS), (sides.more_memory(61), MEMORY), (sides.right(700), ACCURACY)],
)
def test_a_planted_fault_is_named_with_its_cell_and_metric(
    change: sides.Change, metric: str
) -> None:
    found = compare(BASE, tabled(20, change, cells=[4]), PAST)
    assert told(found) == {("vit_b_16 · feature_extraction", metric, "regressed")}
    assert outcomes(found) == {"regressed"}


@pytest.mark.parametrize(
    ("change", "metric"),
    [(sides.slower(0.8), SECONDS), (sides.more_memory(-61), MEMORY), (sides.right(990), ACCURACY)],
)
def test_what_became_better_is_improved(change: sides.Change, metric: str) -> None:
    found = compare(BASE, tabled(20, change, cells=[4]), PAST)
    assert told(found) == {("vit_b_16 · feature_extraction", metric, "improved")}
    assert outcomes(found) == set()


def test_one_seed_with_shuffled_labels_is_found_and_named() -> None:
    def change(one: Result) -> sides.Record | None:
        return sides.right(100)(one) if one.cell.seed == 2 else one

    found = compare(BASE, tabled(20, change, cells=[4]), PAST)
    assert told(found) == {("vit_b_16 · feature_extraction", ACCURACY, "regressed")}
    (verdict,) = (one for one in found.verdicts if one.word == "regressed")
    assert verdict.reason == "seed 2 fell to 10.2 %"


def test_with_too_little_past_times_are_told_and_do_not_count() -> None:
    found = compare(BASE, tabled(20, sides.slower(2.0), cells=[0]), PAST[:2])
    seconds = [one for one in found.verdicts if one.metric == SECONDS]
    assert {(one.word, one.reason) for one in seconds} == {
        ("not_judged", "not judged (3 of 5 runs)")
    }
    assert seconds[0].change == pytest.approx(1.0, abs=0.1)
    assert outcomes(found) == set()


def test_runs_after_the_candidate_and_on_other_machines_are_no_past() -> None:
    other = [run.model_copy(update={"rows": {"x": next(iter(run.rows.values()))}}) for run in PAST]
    assert compare(BASE, tabled(20), other).num_past == 1  # the baseline
    assert compare(BASE, tabled(20), [*PAST, *PAST]).num_past == 8
    assert compare(BASE, tabled(3), PAST).num_past == 3


def test_two_runs_of_one_second_are_two_and_one_that_was_started_again_is_one() -> None:
    other = [
        run.model_copy(update={"started_at": of.started_at})
        for run, of in zip(sides.past(18)[10:], PAST, strict=True)
    ]
    assert compare(BASE, tabled(20), [*PAST, *other]).num_past == 16
    again = [run.model_copy(update={"finished_at": "2026-11-02T00:00:00Z"}) for run in PAST]
    assert compare(BASE, tabled(20), [*again, *PAST]).num_past == 8


def test_another_machine_of_the_same_kind_is_named_before_its_other_facts() -> None:
    def on(number: int, **facts: str) -> Snapshot:
        machine = CPU.model_copy(update=facts)
        return tabled(number, sides.with_machine(**facts), machine=machine)

    found = compare(on(7, id="a", driver="1"), on(20, id="b", driver="2"), PAST)
    assert found.notes == ("also changed: machine.id: a and b; machine.driver: 1 and 2",)
    assert {word for _, metric, word in told(found) if metric == SECONDS} == set()


def test_an_unsteady_run_on_another_machine_tells_nothing_of_its_times() -> None:
    unstable = sides.headed(BASE, unstable="the machine's speed changed")
    found = compare(unstable, tabled(20, sides.with_machine(cpu_model="other")), PAST)
    assert (found.elsewhere, found.unstable) == (
        None,
        "the baseline is unstable: the machine's speed changed",
    )


@pytest.mark.parametrize("status", ["failed", "diverged", "timeout"])
def test_a_cell_that_was_ok_and_is_no_longer_is_failed(status: str) -> None:
    found = compare(BASE, tabled(20, sides.broken(status), cells=[0]), PAST)
    assert told(found) == {("resnet18 · fine_tuning", CELL, "failed")}
    assert outcomes(found) == {"failed"}
    (verdict,) = (one for one in found.verdicts if one.word == "failed")
    assert verdict.reason == f"seed 1 {status}"


def test_a_cell_that_failed_before_too_is_no_regression() -> None:
    before, after = (tabled(n, sides.broken("failed"), cells=[0]) for n in (7, 20))
    assert outcomes(compare(before, after, PAST)) == set()
    costs_of_other_seeds = {
        ("resnet18 · fine_tuning", metric, "not_comparable") for metric in (SECONDS, MEMORY)
    }
    assert told(compare(before, tabled(20), PAST)) == costs_of_other_seeds


def test_costs_of_other_seeds_are_not_compared_and_no_past_of_these() -> None:
    alone = sides.only(BASE, lambda a, s, seed: seed == 0)
    found = compare(alone, tabled(20, sides.slower(1.3)), PAST)
    costs = [one for one in found.verdicts if one.metric in (SECONDS, MEMORY)]
    assert {(one.word, one.fields) for one in costs} == {
        ("not_comparable", ("seeds: 0 and 0, 1, 2",))
    }
    assert {one.word for one in found.verdicts if one.metric == ACCURACY} == {"pass"}
    assert compare(alone, sides.headed(alone, started_at="2027"), PAST).num_past == 1


def test_an_accepted_change_and_a_bad_run_since_are_no_past_of_what_comes_after() -> None:
    slow = sides.slower(1.3)
    accepted = tabled(40, slow, cells=[0])
    found = compare(accepted, tabled(50, slow, cells=[0]), PAST)
    words = {one.name: one.reason or one.word for one in found.verdicts if one.metric == SECONDS}
    reason = "not judged (1 of 5 runs; 8 others are of another level)"
    assert words.pop("resnet18 · fine_tuning") == reason
    assert set(words.values()) == {"pass"}
    bad = [past_run(tabled(number, slow, cells=[0])) for number in range(10, 14)]
    since = [*PAST, *(one for one in bad if one)]
    assert told(compare(BASE, tabled(20, slow, cells=[0]), since)) == {
        ("resnet18 · fine_tuning", SECONDS, "regressed")
    }


def test_a_further_seed_that_fails_where_none_was_ok_is_no_regression() -> None:
    before, after = (tabled(n, sides.broken("failed"), cells=[0]) for n in (7, 20))
    alone = sides.only(before, lambda a, s, seed: seed == 1, seed=0)
    found = compare(alone, after, PAST)
    assert {one for one in told(found) if one[0] == "resnet18 · fine_tuning"} == {
        ("resnet18 · fine_tuning", CELL, "not_comparable")
    }


def failed(one: Result) -> sides.Record:
    """No seed ends well."""
    return records.failure(one.cell, "failed")


def test_a_cell_that_failed_in_both_runs_is_not_judged_and_lets_the_rest_pass() -> None:
    before, after = (tabled(n, failed, cells=[0]) for n in (7, 20))
    found = compare(before, after, PAST)
    assert told(found) == {("resnet18 · fine_tuning", CELL, "not_judged")}
    assert found.verdicts[0].reason == "no result in the baseline"
    assert outcomes(found) == set()
    whole = compare(tabled(7, failed), tabled(20, failed), PAST)
    assert outcomes(whole) == {"nothing_judged"}


def test_a_cell_that_never_ran_is_not_known_to_fail() -> None:
    never = tabled(7, lambda one: None, cells=[0])
    stopped = tabled(20, lambda one: records.failure(one.cell, "interrupted"), cells=[0])
    assert outcomes(compare(never, tabled(20, failed, cells=[0]), PAST)) == {"refused"}
    assert outcomes(compare(tabled(7, failed, cells=[0]), stopped, PAST)) == {"missing"}


@pytest.mark.parametrize("change", [sides.gone, sides.broken("interrupted")])
def test_a_cell_without_a_record_or_stopped_is_missing(change: sides.Change) -> None:
    found = compare(BASE, tabled(20, change, cells=[0]), PAST)
    assert told(found) == {("resnet18 · fine_tuning", CELL, "missing")}
    assert outcomes(found) == {"missing"}


def test_an_empty_side_judges_nothing() -> None:
    empty = tabled(20, lambda one: None)
    assert outcomes(compare(BASE, empty, PAST)) == {"missing", "nothing_judged"}
    assert "nothing_judged" in outcomes(compare(empty, tabled(21), PAST))


def test_another_task_is_refused_with_the_field() -> None:
    found = compare(BASE, tabled(20, sides.with_cell(image_size=64), cells=[0, 1]), PAST)
    refused = [one for one in found.verdicts if one.word == "not_comparable"]
    assert [one.fields for one in refused] == [("image_size: 48 and 64",)] * 2
    assert {one.metric for one in refused} == {CELL}
    assert outcomes(found) == {"refused"}
    assert not [one for one in found.verdicts if one.name == refused[0].name and one.change]


def test_a_suite_of_one_cell_too_is_refused_where_its_task_is_another() -> None:
    def run(**fields: object) -> Snapshot:
        made = [records.result(records.cell("resnet18", "partial", seed)) for seed in (0, 1)]
        found = [sides.with_cell(**fields)(one) for one in made]
        asked = records.run(["resnet18"], ["partial"], seeds=(0, 1))
        ids = tuple(one.cell_id for one in found if one)
        return table(asked.model_copy(update={"cells": ids}), [one for one in found if one])

    found = compare(run(), run(image_size=64), [])
    assert [one.fields for one in found.verdicts] == [("image_size: 48 and 64",)]
    assert outcomes(found) == {"refused", "nothing_judged"}


def test_another_protocol_is_another_task() -> None:
    asked = records.run(["resnet18"], ["partial"])
    made = [records.result(records.cell("resnet18", "partial", 0))]
    before, after = (
        table(asked.model_copy(update={"protocol_version": version}), made) for version in (1, 2)
    )
    found = compare(before, after, [])
    assert [one.fields for one in found.verdicts] == [("protocol: 1 and 2",)]
    assert outcomes(found) == {"refused", "nothing_judged"}


def test_seeds_that_are_no_longer_asked_for_are_missing_and_the_others_compared() -> None:
    after = sides.only(tabled(20), lambda a, s, seed: seed > 0)
    found = compare(BASE, after, PAST)
    cells = [one for one in found.verdicts if one.metric == CELL]
    assert {(one.word, one.reason) for one in cells} == {("missing", "no longer asked for: seed 0")}
    assert {one.word for one in found.verdicts if one.metric == ACCURACY} == {"pass"}
    assert outcomes(found) == {"missing"}


def test_a_seed_that_fails_and_never_ran_before_is_not_known_to_be_sound() -> None:
    def lost(one: Result) -> sides.Record:
        failure = records.failure(one.cell, "interrupted")
        return failure if one.cell.seed == 1 else one

    found = compare(tabled(7, lost, cells=[0]), tabled(20, sides.broken("diverged"), [0]), PAST)
    verdict = next(one for one in found.verdicts if one.metric == CELL)
    assert verdict.word == "not_comparable"
    assert verdict.reason == "seed 1 diverged, and without a result in the baseline"
    assert "refused" in outcomes(found)


def test_a_baseline_of_an_older_bench_is_to_be_accepted_again() -> None:
    old = {path: values for path, values in BASE.columns.items() if "signature" not in path}
    file = replace(BASE, columns=old)
    folder = tabled(7, sides.with_machine(cpu_signature=None))
    for before in (file, folder):
        found = compare(before, tabled(20), PAST)
        assert {w for _, m, w in told(found) if m == SECONDS} == {"not_comparable"}
        (note,) = found.notes
        assert "machine.cpu_signature" in note
    assert compare(BASE, tabled(20), PAST).notes == ()


@pytest.mark.parametrize(
    ("kind", "shared", "is_judged"),
    [
        ("computed", (3, 3, 1), False),  # the last seed after a stop
        ("computed", (3, 3, 3), True),
        (None, (3, 3, 1), True),
    ],
)
def test_heads_that_trained_with_fewer_seeds_have_no_costs(
    kind: str | None, shared: tuple[int, ...], is_judged: bool
) -> None:
    def change(one: Result) -> sides.Record:
        cost = one.cost.model_copy(update={"features": kind, "shared_by": shared[one.cell.seed]})
        return one.model_copy(update={"cost": cost})

    found = compare(BASE, tabled(20, change, cells=[0]), PAST)
    words = {(m, w) for _, m, w in told(found)}
    assert words == (set() if is_judged else {(SECONDS, "not_judged"), (MEMORY, "not_judged")})


def test_images_prepared_in_another_way_are_another_task() -> None:
    pipelines = sides.asked().preprocessing
    grey = pipelines["vit_b_16"].model_copy(update={"mean": (0.5, 0.5, 0.5)})
    found = compare(BASE, tabled(20, preprocessing={**pipelines, "vit_b_16": grey}), PAST)
    refused = [one for one in found.verdicts if one.word == "not_comparable"]
    assert {one.architecture for one in refused} == {"vit_b_16"}
    assert refused[0].fields == ("preprocessing.mean: [0.485, 0.456, 0.406] and [0.5, 0.5, 0.5]",)
    assert outcomes(found) == {"refused"}


def test_the_order_of_strategies_of_several_sizes_makes_no_other_task() -> None:
    # run.json has the pipeline of each architecture's first cell.
    pipelines = sides.asked().preprocessing
    small = pipelines["vit_b_16"].model_copy(update={"crop_size": 96, "resize_size": 110})
    found = compare(BASE, tabled(20, preprocessing={**pipelines, "vit_b_16": small}), PAST)
    assert told(found) == set()


def test_cells_of_one_side_only_are_missing_and_new() -> None:
    after = tabled(20)
    fewer = sides.only(after, lambda *cell: cell[:2] != ("resnet18", "fine_tuning"))
    lost, added = compare(BASE, fewer, PAST), compare(fewer, tabled(21), PAST)
    assert told(lost) == {("resnet18 · fine_tuning", CELL, "missing")}
    assert outcomes(lost) == {"missing"}
    assert told(added) == {("resnet18 · fine_tuning", CELL, "new")}
    assert outcomes(added) == set()


def test_cells_of_one_task_under_two_labels_pair_by_their_names() -> None:
    after = tabled(20)
    twice = sides.only(after, lambda *cell: cell[:2] == ("resnet18", "fine_tuning"))
    twice = sides.only(twice, lambda *cell: True, architecture="other")

    def beside(rest: Snapshot) -> Snapshot:
        both = {name: [*twice.columns[name], *rest.columns[name]] for name in rest.columns}
        return replace(rest, columns=both)

    found = compare(BASE, beside(sides.only(after, lambda *cell: True)), PAST)
    assert told(found) == {("other · fine_tuning", CELL, "new")}
    others = sides.only(after, lambda *cell: cell[:2] != ("resnet18", "fine_tuning"))
    assert told(compare(BASE, beside(others), PAST)) == set()


def test_another_network_under_the_same_name_is_refused() -> None:
    def change(one: Result) -> Result:
        cost = one.cost.model_copy(update={"total_parameters": 7})
        return one.model_copy(update={"cost": cost})

    found = compare(BASE, tabled(20, change, cells=[0]), PAST)
    assert told(found) == {("resnet18 · fine_tuning", SIZE, "not_comparable")}
    assert outcomes(found) == {"refused"}


def test_on_another_gpu_times_are_told_and_never_judged() -> None:
    before = sides.with_machine(**GPU.model_dump())
    after = sides.with_machine(**{**GPU.model_dump(), "gpu_name": "NVIDIA L4"})
    found = compare(tabled(7, before), tabled(20, lambda one: after(slow(one))), PAST)
    assert {w for _, m, w in told(found) if m == SECONDS} == {"not_comparable"}
    assert found.elsewhere is not None
    assert found.elsewhere.fields == ("machine.gpu_name: NVIDIA H200 and NVIDIA L4",)
    assert found.elsewhere.ratio == pytest.approx(3, rel=0.05)
    assert found.elsewhere.kendall == pytest.approx(1)
    assert "regressed" not in outcomes(found)


def slow(one: Result) -> Result:
    found = sides.slower(3)(one)
    assert isinstance(found, Result)
    return found


def test_with_other_arithmetic_accuracy_is_held_to_equivalence() -> None:
    found = compare(BASE, tabled(20, sides.with_machine(torch="3.0.0")), PAST)
    scores = [one for one in found.verdicts if one.metric == ACCURACY]
    assert {one.word for one in scores} == {"pass"}  # the same images right
    assert scores[0].fields == ("machine.torch: 2.15.0 and 3.0.0",)

    def change(one: Result) -> sides.Record | None:
        moved = sides.right(915)(one)
        assert isinstance(moved, Result)
        return sides.with_machine(torch="3.0.0")(moved)

    found = compare(BASE, tabled(20, change), PAST)
    words = {one.word for one in found.verdicts if one.metric == ACCURACY}
    assert words <= {"inconclusive", "regressed"}


def test_unknown_never_equals_unknown() -> None:
    unknown = sides.with_machine(cpu_model=None)
    found = compare(tabled(7, unknown), tabled(20, unknown), PAST)
    assert {w for _, m, w in told(found) if m == SECONDS} == {"not_comparable"}
    seconds = next(one for one in found.verdicts if one.metric == SECONDS)
    assert seconds.fields == ("machine.cpu_model: unknown and unknown",)


def test_seeds_on_two_machines_are_said_and_not_compared_in_cost() -> None:
    def change(one: Result) -> sides.Record | None:
        return sides.with_machine(cpu_model="other")(one) if one.cell.seed else one

    found = compare(BASE, tabled(20, change, cells=[0]), PAST)
    assert ("resnet18 · fine_tuning", SECONDS, "not_comparable") in told(found)
    assert any("mixed conditions" in note for note in found.notes)


def test_an_unstable_run_has_no_times() -> None:
    found = compare(BASE, tabled(20, sittings=(sitting(1.0, 1.2),)), PAST)
    assert {w for _, m, w in told(found) if m == SECONDS} == {"not_judged"}
    assert outcomes(found) == {"unstable"}
    assert outcomes(compare(BASE, tabled(20, sittings=(sitting(1.0, 1.01),)), PAST)) == set()


def sitting(start: float, end: float) -> Sitting:
    return Sitting(start=calibration(start), end=calibration(end))


def calibration(seconds: float) -> Calibration:
    return Calibration(
        matmul_fp32_flops=None, matmul_bf16_flops=None, copy_bytes_per_second=None,
        upload_bytes_per_second=None, conv_seconds=None, loop_seconds=seconds, seconds=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(("machine", "outcome"), [(1.0, "regressed"), (1.3, "unstable")])
def test_what_all_cells_lose_is_laid_on_the_code_or_the_machine(
    machine: float, outcome: str
) -> None:
    before = tabled(7, sittings=(sitting(1.0, 1.0),))
    after = tabled(20, sides.slower(1.3), sittings=(sitting(machine, machine),))
    found = compare(before, after, PAST)
    assert {m for _, m, _ in told(found)} <= {SECONDS}
    assert outcomes(found) == {outcome}


def test_thresholds_of_the_suite_are_the_candidates() -> None:
    compare_ = {"thresholds": [{"metric": "train_seconds", "cells": "vit*/*", "floor": 0.3}]}
    suite = records.suite_of(sides.asked(), compare=compare_)
    for cell, words in ((4, set()), (0, {"regressed"})):
        found = compare(BASE, tabled(20, sides.slower(1.15), cells=[cell], suite=suite), PAST)
        assert {word for _, _, word in told(found)} == words


def test_a_threshold_that_fits_no_cell_is_said() -> None:
    patterns = ("vitb16/*", "vit*/*", "vitb16/*", "resnet18/other")
    thresholds = [{"metric": "accuracy", "cells": cells, "floor": 0.3} for cells in patterns]
    suite = records.suite_of(sides.asked(), compare={"thresholds": thresholds})
    assert compare(BASE, tabled(20, suite=suite), PAST).notes == (
        "thresholds: no cell is called vitb16/*",
        "thresholds: no cell is called resnet18/other",
    )


COMMIT = "1a2b3c4d5e6f" + 28 * "0"


def informed(number: int, **facts: object) -> Snapshot:
    """The run of this hour, with these facts in place of its own."""
    told = {f"machine.{name}": value for name, value in facts.items()}
    code = {"bench.version": told.pop("machine.version"), "bench.commit": told.pop("machine.code")}
    return sides.headed(tabled(number), information={**told, **code})


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({}, ()),
        ({"driver": "575"}, ("also changed: machine.driver: 570.1 and 575",)),
        (
            {"code": f"{COMMIT}+dirty", "driver": None},
            (
                "also changed: bench.commit: 1a2b3c4d5e6f and 1a2b3c4d5e6f+dirty; "
                "machine.driver: 570.1 and unknown",
            ),
        ),
        (
            {"code": "3c4d", "version": "0.2.0", "driver": "575", "os": "a", "virtual": True},
            (
                "also changed: bench.commit: 1a2b3c4d5e6f and 3c4d; bench.version: 0.1.0 and "
                "0.2.0; machine.driver: 570.1 and 575; and 2 more",
            ),
        ),
    ],
)
def test_what_else_changed_is_told_in_one_line(
    facts: dict[str, object], note: tuple[str, ...]
) -> None:
    before: dict[str, object] = {"code": COMMIT, "version": "0.1.0", "driver": "570.1"}
    before |= {"os": "Debian", "virtual": False}
    found = compare(informed(7, **before), informed(20, **{**before, **facts}), PAST)
    assert found.notes == note


def test_of_a_side_that_tells_no_facts_no_change_is_told() -> None:
    older = sides.headed(BASE, information={})
    assert compare(older, tabled(20), PAST).notes == ()


def test_features_of_an_earlier_run_are_compared_with_nothing() -> None:
    def change(one: Result) -> Result:
        cost = one.cost.model_copy(update={"features": "reused"})
        return one.model_copy(update={"cost": cost})

    found = compare(BASE, tabled(20, change, cells=[1]), PAST)
    assert told(found) == {
        ("resnet18 · feature_extraction", SECONDS, "not_judged"),
        ("resnet18 · feature_extraction", MEMORY, "not_judged"),
    }


def test_gpu_memory_is_gated_without_a_past() -> None:
    def on_gpu(mebibytes: float) -> sides.Change:
        def change(one: Result) -> sides.Record | None:
            memory = one.memory.model_copy(update={"gpu_allocated_bytes": int(mebibytes * 2**20)})
            return sides.with_machine(**GPU.model_dump())(one.model_copy(update={"memory": memory}))

        return change

    for after, words in (
        (400, {"pass"}),
        (415, {"pass"}),
        (417, {"regressed"}),
        (380, {"improved"}),
    ):
        found = compare(
            tabled(7, on_gpu(400), machine=GPU), tabled(20, on_gpu(after), machine=GPU), []
        )
        assert {one.word for one in found.verdicts if one.metric == MEMORY} == words
    assert CPU.device == "cpu"


# ---- several candidates ---------------------------------------------------------------------


def both(first: Snapshot, second: Snapshot) -> Comparison:
    return together({"a": compare(BASE, first, PAST), "b": compare(BASE, second, PAST)})


SLOW = sides.slower(1.2)


def test_what_is_worse_in_each_candidate_is_worse_and_told_by_the_milder() -> None:
    milder = tabled(21, sides.slower(1.15), cells=[4])
    found = both(tabled(20, SLOW, cells=[4]), milder)
    assert told(found) == {("vit_b_16 · feature_extraction", SECONDS, "regressed")}
    assert outcomes(found) == {"regressed"}
    (one,) = (v for v in found.verdicts if v.word == "regressed")
    assert [(name, word) for name, word, _ in one.showed] == [
        ("a", "regressed"),
        ("b", "regressed"),
    ]
    assert one.change == min(change for _, _, change in one.showed if change)


def test_what_is_worse_in_one_candidate_only_is_inconclusive() -> None:
    for pair in ((SLOW, None), (None, SLOW)):
        found = both(*(tabled(20 + n, change, cells=[4]) for n, change in enumerate(pair)))
        assert told(found) == {("vit_b_16 · feature_extraction", SECONDS, "inconclusive")}
        assert outcomes(found) == {"inconclusive"}


def test_a_cell_that_failed_in_one_candidate_only_has_not_failed() -> None:
    found = both(tabled(20, sides.broken("failed"), cells=[4]), tabled(21))
    assert told(found) == {("vit_b_16 · feature_extraction", CELL, "inconclusive")}
    assert outcomes(found) == set()
    twice = both(*(tabled(n, sides.broken("failed"), cells=[4]) for n in (20, 21)))
    assert outcomes(twice) == {"failed"}


@pytest.mark.parametrize(
    "other",
    [
        tabled(21, sides.with_machine(cpu_model="other")),
        sides.headed(tabled(21), unstable="too hot"),
        tabled(21, sides.broken("failed"), cells=[4]),
    ],
)
def test_a_candidate_that_cannot_tell_clears_nothing_and_confirms_nothing(other: Snapshot) -> None:
    found = both(tabled(20, SLOW, cells=[4]), other)
    assert "regressed" not in outcomes(found)
    assert "refused" in outcomes(found)


def test_another_task_in_one_candidate_is_refused() -> None:
    assert "refused" in outcomes(both(tabled(20), tabled(21, sides.with_cell(image_size=64))))


def test_what_all_cells_lost_is_the_codes_in_each_candidate_only() -> None:
    steady = (sitting(1.0, 1.0),)
    base, clean = (tabled(number, sittings=steady) for number in (7, 21))
    slow = tabled(20, sides.slower(1.3), sittings=steady)
    found = [compare(base, one, PAST) for one in (slow, clean, slow)]
    blames = [
        shift.blame
        for shift in (
            found[0].shift,
            together(dict(zip("ab", found[:2], strict=True))).shift,
            together(dict(zip("ab", found[::2], strict=True))).shift,
        )
        if shift
    ]
    assert blames == ["code", "none", "code"]
