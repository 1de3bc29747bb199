"""A run folder: whole or absent, one writer, and what is said where that fails."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import folder as store
from bench import identity
from bench.errors import FolderError
from bench.identity import cell_id
from bench.record import PROTOCOL_VERSION, SCHEMA_VERSION, Result, Run
from tests import records


@pytest.fixture
def record() -> Result:
    return records.result(records.cell("resnet18", "fine_tuning", 0))


def record_file(folder: Path, record: Result) -> Path:
    return folder / "cells" / record.cell_id / "record.json"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


# ---- writing --------------------------------------------------------------------------------


def test_a_record_and_a_run_survive_the_disk(tmp_path: Path, record: Result) -> None:
    run = records.run(["resnet18"], ["fine_tuning"])
    store.write_run(tmp_path, run)
    store.write_record(tmp_path, record)
    assert store.read_run(tmp_path) == run
    assert store.read_records(tmp_path) == [record]
    assert names(tmp_path) == {"run.json", "record.json"}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "x.txt"
    store.write_text(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match="No space left on device; free some space, then run"):
        store.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == {"x.txt"}


def test_an_interrupt_in_the_middle_of_a_write_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write_text(tmp_path / "x.txt", "new")
    assert names(tmp_path) == set()


def test_an_interrupt_right_after_the_rename_stays_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def interrupted(source: str, target: Path) -> None:
        rename(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write_text(tmp_path / "x.txt", "new")
    assert (tmp_path / "x.txt").read_text() == "new"


def test_other_writers_have_a_file_whole_or_not_at_all_as_well(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with store.whole(path) as temporary:
        temporary.write_bytes(b"first")
        assert not path.exists()

    def interrupted() -> None:
        with store.whole(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == {"x.bin"}


def test_a_text_is_written_as_it_is_on_every_system(tmp_path: Path) -> None:
    store.write_text(tmp_path / "a" / "x.txt", "ä\n\n")
    assert (tmp_path / "a" / "x.txt").read_bytes() == b"\xc3\xa4\n\n"


# ---- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["half", "empty", "list", "other cell", "NaN"])
def test_a_damaged_record_is_set_aside_and_its_cell_has_none(
    tmp_path: Path, record: Result, damage: str
) -> None:
    store.write_record(tmp_path, record)
    path = record_file(tmp_path, record)
    text = path.read_text()
    other = records.result(records.cell("resnet18", "partial", 1)).model_dump_json()
    path.write_text(
        {
            "half": text[: len(text) // 2],
            "empty": "",
            "list": "[]",
            "other cell": other,
            "NaN": text.replace('"lr": 0.001', '"lr": NaN'),
        }[damage]
    )
    before = path.read_bytes()
    renamed = store.set_aside_damaged(tmp_path, [record.cell_id, "no-such-cell"])
    assert renamed.keys() == {record.cell_id}
    assert (path.parent / renamed[record.cell_id]).read_bytes() == before
    assert store.read_record(tmp_path, record.cell_id) is None
    assert store.set_aside_damaged(tmp_path, [record.cell_id]) == {}


def test_a_record_of_an_earlier_protocol_is_read_under_the_id_that_it_has(
    tmp_path: Path, record: Result
) -> None:
    earlier, unknown = (
        record.model_copy(update={"cell_id": cell_id(record.cell, protocol)})
        for protocol in (PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1)
    )
    for one in (earlier, unknown):
        store.write_record(tmp_path, one)
    assert len({record.cell_id, earlier.cell_id, unknown.cell_id}) == 3
    assert store.read_record(tmp_path, earlier.cell_id) == earlier
    assert store.read_record(tmp_path, unknown.cell_id) is None


def test_a_record_of_a_newer_bench_is_refused_and_not_set_aside(
    tmp_path: Path, record: Result
) -> None:
    store.write_record(tmp_path, record)
    path = record_file(tmp_path, record)
    version, newer = SCHEMA_VERSION, SCHEMA_VERSION + 1
    written = path.read_text()
    path.write_text(written.replace(f'"schema_version": {version}', f'"schema_version": {newer}'))
    told = rf"newer bench \(schema {newer}, this one knows {version}\); update"
    with pytest.raises(FolderError, match=told):
        store.set_aside_damaged(tmp_path, [record.cell_id])
    assert path.exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "holds no run"), ("{", "cannot be read"), ('{"name": 1}', "not written by bench")],
)
def test_a_run_that_cannot_be_read_is_said(tmp_path: Path, content: str | None, text: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(FolderError, match=text):
        store.read_run(tmp_path)


def test_an_older_schema_goes_through_every_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(
        store, "UPGRADES", {1: lambda d: {**d, "a": 1}, 2: lambda d: {**d, "b": d["a"] + 1}}
    )
    upgraded = store.upgraded(json.loads('{"schema_version": 1}'), Path("x"))
    assert upgraded == {"schema_version": 3, "a": 1, "b": 2}


OLD = Path(__file__).parent / "schema1"
"""A run folder as it was written before records said what was cached."""


def test_a_run_of_the_first_schema_is_read() -> None:
    run = store.read_run(OLD)
    assert run.schema_version == SCHEMA_VERSION
    assert run.wall_seconds == 1.3115882910001346


def test_records_of_the_first_schema_say_what_was_true_of_them() -> None:
    ok, diverged = store.read_records(OLD)
    assert isinstance(ok, Result)
    assert (ok.cost.images, ok.cost.features) == ("bypassed", "computed")
    execution = ok.execution
    assert (execution.captured, execution.compiled, execution.resident) == (False, False, True)
    assert ok.keys == identity.keys(ok.cell, execution, ok.machine, protocol=1)
    assert (diverged.status, diverged.schema_version) == ("diverged", SCHEMA_VERSION)


def test_features_of_the_first_schema_are_told_by_the_kind_of_cell() -> None:
    (path,) = OLD.glob("cells/*feature_extraction*/record.json")
    old = json.loads(path.read_text())
    old["cell"]["kind"] = "partial"
    assert store.upgraded(old, path)["cost"]["features"] is None


SECOND = Path(__file__).parent / "schema2"
"""A run folder as it was written before runs were calibrated."""


def test_a_run_of_the_second_schema_has_no_calibration() -> None:
    run = store.read_run(SECOND)
    assert (run.schema_version, run.sittings) == (SCHEMA_VERSION, ())
    assert (run.machine.cpu_model, run.machine.id) == ("Intel(R) Xeon(R) Processor", None)


def test_keys_of_the_second_schema_are_null_for_they_rest_on_what_is_unknown() -> None:
    ok, diverged = store.read_records(SECOND)
    assert isinstance(ok, Result)
    assert ok.keys.task == ok.cell_id.rpartition("-")[2]
    assert (ok.keys.numerics, ok.keys.performance) == (None, None)
    assert (diverged.status, diverged.schema_version) == ("diverged", SCHEMA_VERSION)


@pytest.mark.parametrize(("driver", "branch"), [("580.82.07", "580"), (None, None)])
def test_the_branch_of_a_driver_is_read_from_its_version(
    driver: str | None, branch: str | None
) -> None:
    old = json.loads((SECOND / "run.json").read_text())
    old["machine"]["driver"] = driver
    assert store.upgraded(old, SECOND)["machine"]["driver_branch"] == branch


THIRD = Path(__file__).parent / "schema3"
"""A run folder as it was written when of a processor only its name was looked at."""


def test_runs_of_the_third_schema_do_not_know_which_processor_it_was() -> None:
    run = store.read_run(THIRD)
    assert (run.schema_version, run.machine.cpu_signature) == (SCHEMA_VERSION, None)
    assert run.sittings[0].end is not None
    ok, diverged = store.read_records(THIRD)
    assert isinstance(ok, Result)
    assert re.fullmatch("[0-9a-f]{12}", ok.keys.numerics or "")
    assert ok.keys.performance is None
    assert (diverged.status, diverged.schema_version) == ("diverged", SCHEMA_VERSION)


FOURTH = Path(__file__).parent / "schema4"
"""A run folder as it was written when run.json held the suite without types."""


def test_the_suite_of_the_fourth_schema_is_typed() -> None:
    run = store.read_run(FOURTH)
    assert run.schema_version == SCHEMA_VERSION
    assert [entry.label for entry in run.suite.architectures] == ["mobilenet_v3_small"]
    assert [entry.kind for entry in run.suite.strategies] == ["feature_extraction", "from_scratch"]
    assert run.suite.strategies[1].lr == 1e30
    assert run.suite.keep_weights == "winner"
    ok, diverged = store.read_records(FOURTH)
    assert isinstance(ok, Result)
    assert ok.keys.performance == "23931ea8c54b"
    assert (diverged.status, diverged.schema_version) == ("diverged", SCHEMA_VERSION)


def test_a_label_of_the_fourth_schema_becomes_a_name_and_its_weights() -> None:
    old = json.loads((FOURTH / "run.json").read_text())
    old["suite"]["architectures"] = ["vgg16", "resnet50:IMAGENET1K_V2"]
    suite = Run.model_validate(store.upgraded(old, FOURTH)).suite
    assert [(entry.name, entry.weights) for entry in suite.architectures] == [
        ("vgg16", None),
        ("resnet50", "IMAGENET1K_V2"),
    ]
    assert [entry.label for entry in suite.architectures] == ["vgg16", "resnet50:IMAGENET1K_V2"]


FIFTH = Path(__file__).parent / "schema5"
"""A run folder as it was written when nothing had a checksum, and each batch went in one pass."""


def test_the_fifth_schema_has_no_checksum_and_its_cells_keep_their_keys() -> None:
    run = store.read_run(FIFTH)
    assert (run.schema_version, run.added) == (SCHEMA_VERSION, ())
    ok, diverged = store.read_records(FIFTH)
    assert isinstance(ok, Result)
    assert ok.execution.passes == 1
    facts = identity.key_facts(ok.execution, ok.machine, "performance")
    assert ok.keys.performance == identity.digest(facts) == "1ca97a28e2d7"
    assert (diverged.status, diverged.schema_version) == ("diverged", SCHEMA_VERSION)


def test_runs_from_before_weights_were_kept_say_that_none_were() -> None:
    assert store.read_run(OLD).suite.keep_weights == "none"
    assert store.read_run(OLD).suite.margin == 0.005


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seeds": [0, 1]}, "cells are not those of its suite"),
        ({"seeds": None}, "suite.seeds"),
        ({"metric": "top3"}, "suite.metric"),
        ({"tie_break": ["price"]}, "suite.tie_break"),
        ({"strategies": ["x"]}, "suite.strategies"),
        ({"architectures": [{"name": "vgg16"}]}, "cells are not those of its suite"),
        ({"compare": {"visible_drop": "much"}}, "suite.compare.visible_drop"),
        ({"sedes": [0]}, "suite.sedes"),
    ],
)
def test_an_edited_suite_is_refused_where_it_is_read(
    tmp_path: Path, changes: dict[str, object], text: str
) -> None:
    store.write_run(tmp_path, store.read_run(FOURTH))
    records.edit(tmp_path / "run.json", lambda content: content["suite"].update(changes))
    with pytest.raises(FolderError, match=text):
        store.read_run(tmp_path)


def test_a_suite_says_in_run_json_only_what_is_set(tmp_path: Path) -> None:
    store.write_run(tmp_path, store.read_run(FOURTH))
    suite = json.loads((tmp_path / "run.json").read_text())["suite"]
    assert suite["architectures"] == [{"name": "mobilenet_v3_small"}]
    assert suite["recipe"].keys() == {"epochs", "batch_size", "image_size", "precision"}
    assert store.read_run(tmp_path) == store.read_run(FOURTH)


@pytest.mark.parametrize("damage", [{"cost": None}, {"cell": {}}, {"schema_version": 0}])
def test_a_damaged_record_of_an_older_schema_is_damaged(
    tmp_path: Path, damage: dict[str, object]
) -> None:
    (path,) = OLD.glob("cells/*feature_extraction*/record.json")
    copy = tmp_path / "cells" / path.parent.name / "record.json"
    copy.parent.mkdir(parents=True)
    copy.write_text(json.dumps(json.loads(path.read_text()) | damage))
    assert len(store.set_aside_damaged(tmp_path, [path.parent.name])) == 1


def test_records_come_in_the_order_of_the_run(tmp_path: Path) -> None:
    run = records.run(["vgg16", "resnet18"], ["partial"], seeds=(2, 1))
    store.write_run(tmp_path, run)
    asked = [records.cell(a, "partial", s) for a in ("vgg16", "resnet18") for s in (2, 1)]
    for cell in reversed(asked):
        store.write_record(tmp_path, records.result(cell))
    assert [r.cell_id for r in store.read_records(tmp_path)] == [cell_id(cell) for cell in asked]


def test_only_the_named_records_are_taken_away(tmp_path: Path, record: Result) -> None:
    kept = records.result(records.cell("resnet18", "partial", 0))
    for one in (record, kept):
        store.write_record(tmp_path, one)
    store.remove_records(tmp_path, [record.cell_id, "never-there"])
    assert store.read_record(tmp_path, record.cell_id) is None
    assert store.read_record(tmp_path, kept.cell_id) == kept


# ---- the folder -----------------------------------------------------------------------------


def test_a_folder_that_another_process_writes_is_refused_until_that_process_dies(
    tmp_path: Path,
) -> None:
    holder = (
        "import sys; from pathlib import Path; from bench import folder as store\n"
        "with store.locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match="in use by another run"), store.locked(tmp_path):
            pass
        process.kill()
    with store.locked(tmp_path):
        pass


def test_a_usable_folder_is_not_made_by_the_check(tmp_path: Path) -> None:
    store.check_usable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_start_left_is_no_foreign_file(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / "cells").mkdir()
    (tmp_path / ".run.json.x1y2").touch()
    store.check_usable(tmp_path)


def test_foreign_files_and_files_in_the_way_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FolderError, match=r"holds other files \(thesis\.tex"):
        store.check_usable(tmp_path)
    with pytest.raises(FolderError, match="is a file"):
        store.check_usable(tmp_path / "thesis.tex")
    with pytest.raises(FolderError, match="not a writable folder"):
        store.check_usable(tmp_path / "thesis.tex" / "run")


def test_new_folders_have_a_safe_name_and_differ(tmp_path: Path) -> None:
    found = {store.new_folder(tmp_path, "../My Suite") for _ in range(50)}
    assert len(found) > 40  # of 65,536 names in a second, two may fall together
    assert {path.parent for path in found} == {tmp_path / "my-suite"}


# ---- weights and thumbnails -----------------------------------------------------------------


def keep(folder: Path, cell_id: str) -> Path:
    """Kept weights of a cell, and those that a killed writer left."""
    path = store.weights_path(folder, cell_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"values")
    (path.parent / f".{path.name}.1234").write_bytes(b"val")
    return path


def test_weights_of_cells_that_run_again_go_and_others_stay(tmp_path: Path) -> None:
    first, second = keep(tmp_path, "a"), keep(tmp_path, "b")
    store.remove_records(tmp_path, ["a", "new"])
    assert list(first.parent.iterdir()) == []
    assert second.exists()


def test_all_weights_go_but_those_of_the_named_cells(tmp_path: Path) -> None:
    kept = {name: keep(tmp_path, name) for name in "abc"}
    (tmp_path / "cells" / "stray.txt").write_text("not a cell")
    (kept["a"].parent / "log.txt").write_text("stays")
    store.remove_weights_but(tmp_path, {"b"})
    assert names(tmp_path) == {"stray.txt", "log.txt", kept["b"].name}
    assert kept["b"].read_bytes() == b"values"


def test_thumbnails_take_the_place_of_all_that_there_were(tmp_path: Path) -> None:
    store.write_thumbnails(tmp_path, {3: b"a", 1_234_567: b"b"})
    assert names(tmp_path) == {"test-000003.jpg", "test-1234567.jpg"}
    assert store.read_thumbnails(tmp_path) == {3: b"a", 1_234_567: b"b"}
    store.write_thumbnails(tmp_path, {4: b"c"})
    assert store.read_thumbnails(tmp_path) == {4: b"c"}
    store.write_thumbnails(tmp_path, {})
    assert store.read_thumbnails(tmp_path) == {}
    assert list(tmp_path.iterdir()) == [tmp_path / "thumbnails"]


def test_other_files_among_the_thumbnails_are_none(tmp_path: Path) -> None:
    assert store.read_thumbnails(tmp_path) == {}
    store.write_thumbnails(tmp_path, {3: b"a"})
    for name in ("test-3.jpg", "test-00000x.jpg", "x.jpg", "test-000004.png"):
        (tmp_path / "thumbnails" / name).write_bytes(b"no")
    (tmp_path / "thumbnails" / "test-000005.jpg").mkdir()
    assert store.read_thumbnails(tmp_path) == {3: b"a"}
