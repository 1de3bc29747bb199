"""Identities and keys: what changes them, what does not, and that no field was forgotten."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from bench import identity
from bench.identity import BUCKETS
from bench.record import RECORD, Cell, Execution, Failure, Machine, Result
from tests import records

CELL = records.cell("resnet18", "fine_tuning", 0)


def paths(model: type[BaseModel], prefix: str) -> set[str]:
    """Every dotted path down to what `BUCKETS` names, found from the annotations alone."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        path, kind = f"{prefix}{name}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel) and path not in BUCKETS:
            found |= paths(kind, f"{path}.")
        else:
            found.add(path)
    return found


def test_every_field_of_a_record_is_in_exactly_one_bucket() -> None:
    assert paths(Result, "") | paths(Failure, "") == BUCKETS.keys()


def changed(**update: object) -> str:
    return identity.cell_id(CELL.model_copy(update=update))


def test_a_cell_keeps_its_id_under_another_label_and_folder_name() -> None:
    renamed = CELL.data.model_copy(update={"name": "elsewhere"})
    original = identity.cell_id(CELL).rsplit("-", 1)[1]
    assert changed(data=renamed).endswith(original)
    assert changed(architecture_label="other").endswith(original)


@pytest.mark.parametrize(
    "update",
    [
        {"seed": 7},
        {"image_size": 32},
        {"metric": "balanced_accuracy"},
        {"recipe": CELL.recipe.model_copy(update={"lr": 0.5})},
        {"data": CELL.data.model_copy(update={"split_sha256": "0" * 64})},
        {"weights": CELL.weights.model_copy(update={"init_seed": 99})},
    ],
)
def test_a_cell_gets_another_id_with_another_task(update: dict[str, object]) -> None:
    assert changed(**update).rsplit("-", 1)[1] != identity.cell_id(CELL).rsplit("-", 1)[1]


def test_a_value_at_its_default_is_not_part_of_the_identity() -> None:
    task = identity.cell_identity(CELL)
    assert "cell.metric" not in task
    assert CELL.metric == Cell.model_fields["metric"].default


def test_ids_are_safe_file_names_whatever_the_names_in_them() -> None:
    hostile = CELL.model_copy(update={"strategy": "../a/b\n<c>" * 20})
    name = identity.cell_id(hostile)
    assert len(name) < 80
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789._-")


def test_a_machine_fact_changes_only_the_keys_that_it_belongs_to() -> None:
    record = records.result(CELL)
    execution: Execution = record.execution
    machine: Machine = record.machine
    base = identity.keys(CELL, execution, machine)
    branch = identity.keys(CELL, execution, machine.model_copy(update={"driver_branch": "999"}))
    assert (branch.task, branch.numerics) == (base.task, base.numerics)
    assert branch.performance != base.performance
    torch = identity.keys(CELL, execution, machine.model_copy(update={"torch": "9.9"}))
    assert torch.task == base.task
    assert torch.numerics != base.numerics
    assert torch.performance != base.performance
    os = identity.keys(CELL, execution, machine.model_copy(update={"os": "another"}))
    assert os == base


VOLATILE = ("mhz", "celsius", "throttle", "uptime", "load", "foreign", "free")


def test_no_reading_that_changes_by_itself_is_part_of_a_key() -> None:
    in_keys = {path for path, bucket in BUCKETS.items() if bucket in ("numerics", "performance")}
    assert not [path for path in in_keys for word in VOLATILE if word in path]
    assert not [path for path in in_keys if path in ("machine.id", "machine.driver")]


@pytest.mark.parametrize(
    ("fact", "numerics_known"),
    [("cudnn", False), ("ecc", True), ("driver_branch", True), ("power_limit_watts", True)],
)
def test_what_a_gpu_does_not_tell_leaves_no_key_to_be_equal_by(
    fact: str, numerics_known: bool
) -> None:
    execution = records.result(CELL, machine=records.GPU).execution
    unknown = identity.keys(CELL, execution, records.GPU.model_copy(update={fact: None}))
    assert unknown.performance is None
    assert (unknown.numerics is not None) == numerics_known
    facts = identity.key_facts(
        execution, records.GPU.model_copy(update={fact: None}), "performance"
    )
    assert identity.unknown_facts(facts) == [f"machine.{fact}"]


def test_a_cpu_has_keys_though_it_has_no_gpu_to_tell_of() -> None:
    keys = records.result(CELL).keys
    assert None not in (keys.numerics, keys.performance)
    execution, machine = records.result(CELL).execution, records.CPU
    nameless = machine.model_copy(update={"cpu_model": None})
    assert identity.keys(CELL, execution, nameless).performance is None


@pytest.mark.parametrize(
    ("field", "same_numerics"), [("captured", True), ("resident", True), ("compiled", False)]
)
def test_a_replayed_step_and_streamed_images_change_the_speed_alone(
    field: str, same_numerics: bool
) -> None:
    record = records.result(CELL)
    other = record.execution.model_copy(update={field: not getattr(record.execution, field)})
    changed = identity.keys(CELL, other, record.machine)
    assert changed.performance != record.keys.performance
    assert (changed.numerics == record.keys.numerics) == same_numerics


def test_a_record_survives_the_round_trip_through_json() -> None:
    for record in (records.result(CELL), records.failure(CELL)):
        assert RECORD.validate_json(record.model_dump_json()) == record


# ---- in which fields two things differ ------------------------------------------------------


def texts(before: Mapping[str, object], after: Mapping[str, object], **how: Any) -> list[str]:
    return [str(one) for one in identity.differences(before, after, **how)]


def test_differences_name_the_fields_of_either_side_the_device_first() -> None:
    before = {"machine.torch": "2.1", "machine.device": "cpu", "cell.seed": 0, "x": 1}
    after = {"machine.torch": "2.2", "machine.device": "cuda", "cell.seed": 0, "y": 2}
    found = identity.differences(before, after)
    assert [one.path for one in found] == ["machine.device", "machine.torch", "x", "y"]
    assert [one.on_both_sides for one in found] == [True, True, False, False]
    assert [str(one) for one in found[2:]] == ["x: 1 and absent", "y: absent and 2"]


def test_what_a_task_leaves_out_is_at_its_default() -> None:
    assert texts({"cell.image_size": 64}, {}) == ["image_size: 64 and the default"]


def test_differences_can_be_asked_of_some_buckets_only() -> None:
    before = {"machine.torch": "2.1", "machine.ecc": True, "machine.os": "a"}
    after = {"machine.torch": "2.2", "machine.ecc": False, "machine.os": "b"}
    assert texts(before, after, buckets=["numerics"]) == ["machine.torch: 2.1 and 2.2"]
    assert len(texts(before, after, buckets=["numerics", "performance"])) == 2
    assert len(texts(before, after)) == 3


def test_unknown_equals_unknown_only_where_that_is_asked() -> None:
    unknown, known = {"machine.ecc": None}, {"machine.ecc": True}
    assert texts(unknown, unknown) == []
    assert texts(unknown, unknown, unknown_differs=True) == ["machine.ecc: unknown and unknown"]
    assert texts(known, known, unknown_differs=True) == []
    assert texts(unknown, known) == ["machine.ecc: unknown and True"]


def test_long_values_are_cut_and_commits_by_twelve_digits() -> None:
    assert identity.shown("5c4886908584029761b579af026dcfb627c84070+dirty") == "5c4886908584+dirty"
    assert identity.shown("x" * 41) == "x" * 39 + "…"


def test_nested_tables_lie_flat_by_dotted_path() -> None:
    assert identity.flat("suite", {"seeds": [0, 7], "recipe": {"lr": 0.1}}) == {
        "suite.seeds[0]": 0,
        "suite.seeds[1]": 7,
        "suite.recipe.lr": 0.1,
    }
