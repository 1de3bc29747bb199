"""Decoded images through the command line: cold, warm, damaged, bypassed, in two runs at once."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from bench.record import Result
from tests import command
from tests.command import SUITE, Place, bench, quick

pytestmark = pytest.mark.slow

THREE = SUITE.replace(
    '["mobilenet_v3_small"]', '["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"]'
).replace('"from_scratch"', '{name = "from_scratch", kind = "from_scratch", epochs = 10}')


def with_another(here: Place, color: tuple[int, int, int]) -> Place:
    """The place with another first picture: nothing of it is in the cache of all tests."""
    Image.new("RGB", (40, 40), color).save(here.folder / "pictures" / "cat" / "0.png")
    return here


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return with_another(command.place(tmp_path_factory.mktemp("images")), (1, 2, 3))


def entries() -> set[Path]:
    """Folders of decoded images in the cache of all tests."""
    return {path.parent for path in Path(os.environ["BENCH_CACHE"]).glob("images/*/squares.npy")}


@pytest.fixture(scope="module")
def entry(here: Place) -> Path:
    """The folder of these images in the cache, made by a run."""
    before = entries()
    done = quick(here, "run", here.suite(SUITE), "--out", "cold")
    assert done.returncode == 0, done.stderr
    assert "cache" not in done.stdout
    (made,) = entries() - before
    return made


@pytest.fixture(scope="module")
def cold(here: Place, entry: Path) -> Path:
    """The run that filled the cache."""
    return here.folder / "cold"


def images(folder: Path) -> list[str]:
    """How each cell came to its images."""
    return [one.cost.images for one in command.records(folder) if isinstance(one, Result)]


def test_a_later_run_finds_them_and_scores_the_same(here: Place, cold: Path) -> None:
    done = quick(here, "run", here.suite(SUITE), "--out", "warm")
    assert done.returncode == 0, done.stderr
    assert (images(cold), images(here.folder / "warm")) == (["cold"] * 2, ["warm"] * 2)
    assert command.scores(here.folder / "warm") == command.scores(cold)


def test_without_a_cache_one_line_says_so_and_scores_are_the_same(here: Place, cold: Path) -> None:
    (here.folder / "file").write_text("no folder")
    done = bench(here, "run", here.suite(SUITE), "--out", "bypassed", BENCH_CACHE="file")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("the cache")]
    path = here.folder / "file"
    assert lines == [f"the cache in {path} is not used for images: Not a directory"]
    assert images(here.folder / "bypassed") == ["bypassed"] * 2
    assert command.scores(here.folder / "bypassed") == command.scores(cold)


def test_damaged_images_are_decoded_again_with_one_line(
    here: Place, cold: Path, entry: Path
) -> None:
    content = bytearray((entry / "squares.npy").read_bytes())
    content[1000] ^= 1
    (entry / "squares.npy").write_bytes(content)
    done = quick(here, "run", here.suite(SUITE), "--out", "again")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "cache" in line)
    assert line.startswith("cached images were damaged, made again: squares.npy has changed")
    assert images(here.folder / "again") == ["cold"] * 2
    assert command.scores(here.folder / "again") == command.scores(cold)


def test_two_runs_at_once_decode_them_once(here: Place, cold: Path) -> None:
    suite = here.suite(SUITE)
    with (
        command.running(here, "run", suite, "--out", "first", BENCH_CACHE="both") as first,
        command.running(here, "run", suite, "--out", "second", BENCH_CACHE="both") as second,
    ):
        ends = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ends
    folders = [here.folder / "first", here.folder / "second"]
    assert sorted(images(folders[0]) + images(folders[1])) == ["cold"] * 2 + ["warm"] * 2
    for folder in folders:
        assert command.scores(folder) == command.scores(cold)


def test_waiting_for_another_run_is_said(here: Place, entry: Path) -> None:
    suite, kind = here.suite(SUITE), here.folder / "waiting" / "images"
    kind.mkdir(parents=True)
    with FileLock(kind / f"{entry.name}.lock") as lock:
        arguments = ("run", suite, "--out", "waited")
        with command.running(here, *arguments, BENCH_CACHE="waiting") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            assert said[2] == "waiting for another run that makes the same images\n"
            lock.release()
            _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def test_a_cache_that_vanishes_during_a_run_is_no_loss(here: Place) -> None:
    suite = here.suite(THREE, "three")
    whole = quick(here, "run", suite, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    with command.running(here, "run", suite, "--out", "vanished", BENCH_CACHE="gone") as process:
        command.wait_for_cell(here.folder / "vanished", 1)
        shutil.rmtree(here.folder / "gone")
        told, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert images(here.folder / "vanished")[2:] == ["bypassed"] * 4  # of the other two workers
    assert command.scores(here.folder / "vanished") == command.scores(here.folder / "whole")
    assert told.count("cached images are decoded from their files instead: ") == 1


@pytest.fixture
def broken(tmp_path: Path) -> Place:
    """Pictures of which two cannot be decoded."""
    there = command.place(tmp_path)
    for name in ("cat/3.png", "dog/7.png"):
        path = there.folder / "pictures" / name
        path.write_bytes(path.read_bytes()[:60])
    return there


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_broken_images_are_all_named_before_anything_trains(
    broken: Place, dry_run: list[str]
) -> None:
    before = command.tree(broken.folder / "pictures")
    done = quick(broken, "run", broken.suite(SUITE), *dry_run)
    assert done.returncode == 2
    first, *problems, advice = done.stderr.splitlines()
    assert first == "error[E-INPUT] nothing was trained"
    assert [problem.split(":")[0].split("pictures/")[1] for problem in problems] == [
        *("cat/3.png", "dog/7.png"),
    ]
    assert (
        advice.strip()
        == "replace these files, or leave a few out with skip_damaged below [dataset]"
    )
    assert not (broken.folder / "results").exists()
    assert command.tree(broken.folder / "pictures") == before


def test_a_dry_run_says_what_the_cache_will_grow_by(
    here: Place, cold: Path, tmp_path: Path
) -> None:
    other, before = with_another(command.place(tmp_path), (4, 5, 6)), entries()
    fresh = quick(other, "run", other.suite(SUITE), "--dry-run")
    again = quick(here, "run", here.suite(SUITE), "--dry-run")
    (line,) = (line for line in fresh.stdout.splitlines() if line.startswith("cache "))
    # 20 images of 3 x 37 x 37 bytes: the weights resize to 256 for a crop of 224
    assert line == f"cache           about 0 MB of decoded images, {os.environ['BENCH_CACHE']}"
    assert entries() == before
    assert "decoded images" not in again.stdout
