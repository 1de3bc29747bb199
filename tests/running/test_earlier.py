"""The run that a folder holds already: what may have changed since, and how a change is told."""

from pathlib import Path
from typing import Any

import pytest

from bench.errors import FolderError
from bench.record import Run
from bench.running import earlier
from bench.running.earlier import Row, image_changes
from bench.suite import Suite
from tests import command, records
from tests.command import SUITE, Place, quick

EARLIER = records.run(["resnet18"], ["fine_tuning", "partial"]).model_copy(
    update={"status": "interrupted", "wall_seconds": 12.0}
)


def changed(**update: Any) -> Run:
    return EARLIER.model_copy(update=update)


def test_a_run_that_goes_on_keeps_its_start_its_time_and_its_source() -> None:
    fresh = changed(started_at="later", wall_seconds=0.0)
    assert earlier.go_on(EARLIER, fresh) == EARLIER


def test_another_list_of_weights_alone_is_no_other_task() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, weights=["random"]))
    assert earlier.go_on(EARLIER, fresh) == EARLIER


def test_what_is_kept_may_change_and_is_then_what_the_run_says() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, keep_weights="all"))
    gone_on = earlier.go_on(EARLIER, fresh)
    assert gone_on.suite.keep_weights == "all"
    assert gone_on.model_copy(update={"suite": EARLIER.suite}) == EARLIER


def test_a_run_of_an_older_bench_goes_on_where_new_keys_are_at_their_default() -> None:
    older = {key: value for key, value in EARLIER.suite.model_dump().items() if key != "target"}
    assert EARLIER.suite.target == 0.9
    older_run = changed(suite=Suite.model_validate(older))
    assert earlier.go_on(older_run, EARLIER).started_at == EARLIER.started_at
    with pytest.raises(FolderError, match=r"the suite changed since \(suite.target: 0.9 and 0.5\)"):
        earlier.go_on(older_run, changed(suite=records.suite_of(EARLIER, target=0.5)))


@pytest.mark.parametrize(
    ("fresh", "name"),
    [
        (changed(profile="gpu"), "the device profile"),
        (changed(suite=records.suite_of(EARLIER, target=0.5)), "the suite"),
        (
            changed(data=EARLIER.data.model_copy(update={"split_sha256": "e" * 64})),
            "the images or their split",
        ),
        (changed(protocol_version=EARLIER.protocol_version + 1), "bench's protocol"),
        (changed(cells=EARLIER.cells[:1]), "the weights or a default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_change_of_the_task_is_refused_by_name(fresh: Run, name: str) -> None:
    with pytest.raises(FolderError, match=f"{name} changed since .*; name a new folder"):
        earlier.go_on(EARLIER, fresh)


# ---- suites that grow -------------------------------------------------------------------------

GROWN = {
    "an architecture": records.run(["resnet18", "vit_b_16"], ["fine_tuning", "partial"]),
    "an architecture before": records.run(["vit_b_16", "resnet18"], ["fine_tuning", "partial"]),
    "a strategy": records.run(["resnet18"], ["fine_tuning", "two_phase", "partial"]),
    "a seed": records.run(["resnet18"], ["fine_tuning", "partial"], seeds=(0, 1)),
    "all": records.run(["resnet18", "vit_b_16"], ["fine_tuning", "partial", "two_phase"], (2, 0)),
}


@pytest.mark.parametrize("name", GROWN)
def test_a_suite_that_grew_goes_on_with_its_cells_and_says_which_are_new(name: str) -> None:
    fresh = GROWN[name]
    gone_on = earlier.go_on(EARLIER, fresh)
    assert (gone_on.cells, gone_on.suite) == (fresh.cells, fresh.suite)
    assert set(gone_on.added) == set(fresh.cells) - set(EARLIER.cells)
    assert gone_on.preprocessing == fresh.preprocessing
    assert (gone_on.started_at, gone_on.wall_seconds) == (EARLIER.started_at, 12.0)
    again = earlier.go_on(gone_on, fresh)
    assert again == gone_on


@pytest.mark.parametrize("name", GROWN)
def test_a_suite_that_shrank_is_another_task(name: str) -> None:
    with pytest.raises(FolderError, match=r"the suite changed since .*; name a new folder"):
        earlier.go_on(GROWN[name], EARLIER)


def test_one_that_grew_and_changed_is_another_task() -> None:
    grown = GROWN["a seed"]
    fresh = grown.model_copy(update={"suite": records.suite_of(grown, target=0.5)})
    with pytest.raises(FolderError, match=r"suite\.target: 0\.9 and 0\.5"):
        earlier.go_on(EARLIER, fresh)


# ---- its images -------------------------------------------------------------------------------

THEN = [Row(f"{name}/{n}.png", name, "train", f"{name}{n}") for name in "ab" for n in range(9)]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (THEN, []),
        ([*THEN, Row("a/new.png", "a", "test", "x")], ["1 image added: a/new.png"]),
        (THEN[4:], ["4 images removed: a/0.png, a/1.png, a/2.png and 1 more"]),
        ([THEN[0]._replace(sha256="x"), *THEN[1:]], ["1 image changed: a/0.png"]),
        ([THEN[0]._replace(part="val"), *THEN[1:]], ["1 image now in another part: a/0.png"]),
        (
            [row._replace(class_name=row.class_name.replace("a", "c")) for row in THEN],
            ["class a is now c, 9 images"],
        ),
        (
            [
                row._replace(
                    key=row.key.replace("a/", "c/"), class_name=row.class_name.replace("a", "c")
                )
                for row in THEN
            ],
            ["class a is now c, 9 images"],
        ),
    ],
)
def test_what_became_of_the_images_is_told_in_words(now: list[Row], told: list[str]) -> None:
    assert image_changes(THEN, now) == told


def test_without_a_split_to_read_nothing_is_told_of_the_images(tmp_path: Path) -> None:
    assert earlier.earlier_rows(tmp_path) == []
    (tmp_path / "split.csv").write_bytes(b"image,class\n\xff,a\n")
    assert earlier.earlier_rows(tmp_path) == []


# ---- through the command line -----------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path) -> Place:
    return command.place(tmp_path)


@pytest.mark.slow
def test_the_same_command_goes_on_with_a_suite_that_grew_and_refuses_any_other_change(
    here: Place,
) -> None:
    folder = here.folder / "out"
    first = quick(here, "run", here.suite(SUITE), "--out", folder)
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in folder.glob("cells/*/record.json")}

    more = SUITE.replace('"feature_extraction",', '"feature_extraction", "partial",')
    more = more.replace("weights =", "seeds = [0, 1]\nweights =")
    grown = quick(here, "run", here.suite(more), "--out", folder)
    assert (grown.returncode, grown.stderr) == (0, "")
    assert "the suite has grown by 4 cells" in grown.stdout
    assert {path: path.read_bytes() for path in before} == before
    assert len(command.records(folder)) == 6
    assert "Added later" in (folder / "report.md").read_text()

    smaller = quick(here, "run", here.suite(SUITE), "--out", folder)
    assert smaller.returncode == 6
    longer = quick(
        here, "run", here.suite(more.replace("epochs = 1", "epochs = 2")), "--out", folder
    )
    assert longer.returncode == 6
    assert "suite.recipe.epochs: 1 and 2" in longer.stderr

    pictures = here.folder / "pictures"
    (pictures / "cat/0.png").rename(pictures / "cat/zero.png")
    (pictures / "cat/1.png").unlink()
    changed_images = quick(here, "run", here.suite(more), "--out", folder)
    assert changed_images.returncode == 6
    assert "1 image removed: " in changed_images.stderr
    assert "cat/1.png" in changed_images.stderr


@pytest.mark.slow
def test_a_run_that_goes_on_elsewhere_says_so(here: Place) -> None:
    suite, folder = here.suite(SUITE), here.folder / "out"
    assert quick(here, "run", suite, "--out", folder).returncode == 0
    records.edit(folder / "run.json", lambda run: run["machine"].update(torch="2.0.0"))
    same = quick(here, "run", suite, "--out", folder)
    assert "another machine" not in same.stdout  # nothing is left to train
    next(folder.glob("cells/*/record.json")).unlink()
    again = quick(here, "run", suite, "--out", folder)
    assert again.returncode == 0, again.stderr
    (line,) = [line for line in again.stdout.splitlines() if "another machine" in line]
    assert "torch: 2.0.0 and " in line
