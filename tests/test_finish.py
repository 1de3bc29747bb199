"""What stays of a run when its last cell has ended."""

from pathlib import Path
from typing import Any

import pytest

from bench.data import sources
from bench.data.decoded import Making
from bench.data.split import make_split
from bench.folder import read_thumbnails, weights_path, write_record, write_run
from bench.record import Failure, Result, Run
from bench.running.plan import Images
from bench.verbs import runs
from tests import command, records

NO_CACHE = Making({}, 0.0, {}, None, ())

BEST, WORSE, OTHER = (
    records.result(records.cell(*names), val=val)
    for names, val in (
        (("resnet18", "fine_tuning", 0), 390),
        (("resnet18", "fine_tuning", 1), 380),
        (("resnet50", "fine_tuning", 0), 200),
    )
)
LAST = records.cell("resnet50", "fine_tuning", 1)


def run(keep: str) -> Run:
    return records.run(["resnet18", "resnet50"], ["fine_tuning"], (0, 1), keep_weights=keep)


def lasting(keep: str, last: Result | Failure | None) -> set[str]:
    found = [BEST, WORSE, OTHER, *([last] if last else [])]
    return runs.lasting(run(keep), found)


def test_once_every_cell_is_ok_the_chosen_one_alone_stays() -> None:
    last = records.result(LAST, val=210)
    assert lasting("winner", last) == {BEST.cell_id}
    assert lasting("all", last) == {*run("all").cells}
    assert lasting("none", last) == set()


@pytest.mark.parametrize("last", [None, records.failure(LAST)], ids=["missing", "failed"])
def test_until_then_whatever_may_be_chosen_stays(last: Failure | None) -> None:
    ok = {BEST.cell_id, WORSE.cell_id, OTHER.cell_id}
    assert lasting("winner", last) == ok, "the best of its seeds has a file, no other"
    assert lasting("all", last) == ok
    assert lasting("none", last) == set()


def test_weights_without_an_ok_record_go_and_those_that_lack_are_named(tmp_path: Path) -> None:
    failed = records.failure(LAST)
    for cell_id in (BEST.cell_id, failed.cell_id):
        path = weights_path(tmp_path, cell_id)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"values")
    found: list[Any] = [BEST, WORSE, OTHER, failed]
    (line,) = runs.settle_weights(tmp_path, run("winner"), found)
    assert line == f"the trained weights of {BEST.cell_id} stay until every cell is ok"
    assert not weights_path(tmp_path, failed.cell_id).exists()

    found[-1] = records.result(LAST, val=210)
    assert runs.settle_weights(tmp_path, run("winner"), found) == []
    assert weights_path(tmp_path, BEST.cell_id).exists()
    (line,) = runs.settle_weights(tmp_path, run("all"), found)
    assert line == "the trained weights of 3 cells were not kept"


def test_an_image_that_is_gone_has_a_line_and_no_thumbnail(tmp_path: Path) -> None:
    pictures = command.place(tmp_path).folder / "pictures"
    dataset = sources.scan(str(pictures))
    images = Images(dataset, make_split(dataset, None, None, 0), records.data())
    scores = records.scores(correct=1, num_images=4, num_classes=2)  # the last three are wrong
    quality = BEST.quality.model_copy(update={"test": scores})
    found: list[Result | Failure] = [BEST.model_copy(update={"quality": quality})]
    found.append(records.failure(LAST))
    gone = dataset.items[images.split.test[2]]
    (pictures / gone.key).unlink()
    (line,) = runs.picture(tmp_path, found, images, NO_CACHE)
    assert line.startswith("no thumbnail: ")
    assert gone.key in line
    assert read_thumbnails(tmp_path).keys() == {1, 3}


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_damaged_record_has_a_line_and_counts_as_not_ok(tmp_path: Path, part: str) -> None:
    pictures = command.place(tmp_path).folder / "pictures"
    dataset = sources.scan(str(pictures))
    images = Images(dataset, make_split(dataset, None, None, 0), records.data())
    scores = {"test": records.scores(correct=1, num_images=4)}
    ok = BEST.model_copy(update={"quality": BEST.quality.model_copy(update=scores)})
    packed = getattr(WORSE.quality, part).predictions
    cut = {"predictions": packed.model_copy(update={"classes": packed.classes[:8]})}
    cut_part = {part: getattr(WORSE.quality, part).model_copy(update=cut)}
    bad = WORSE.model_copy(update={"quality": WORSE.quality.model_copy(update=cut_part)})
    folder = tmp_path / "run"
    asked = records.run(["resnet18"], ["fine_tuning"], (0, 1), keep_weights="winner")
    write_run(folder, asked)
    for record in (ok, bad):
        write_record(folder, record)
    (line,) = runs.finish(folder, asked, images, NO_CACHE)
    assert line.startswith(f"the record of {bad.cell_id} is damaged and does not count: ")
    assert f"quality.{part}.predictions." in line
    assert read_thumbnails(folder).keys() == {1, 2, 3}
