"""Decoded images through the command line: cold, warm, damaged, bypassed, in two runs at once."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from bench.record import Result
from tests import command
from tests.command import SUITE, Place, bench

THREE = SUITE.replace(
    '["mobilenet_v3_small"]', '["mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"]'
).replace('"from_scratch"', '{name = "from_scratch", kind = "from_scratch", epochs = 60}')


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return command.place(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def cold(here: Place) -> Path:
    """A run that filled the cache."""
    done = bench(here, "run", here.suite(SUITE), "--out", "cold", BENCH_CACHE="cache")
    assert done.returncode == 0, done.stderr
    assert "cache" not in done.stdout
    return here.folder / "cold"


def images(folder: Path) -> list[str]:
    """How each cell came to its images."""
    return [one.cost.images for one in command.records(folder) if isinstance(one, Result)]


def test_a_later_run_finds_them_and_scores_the_same(here: Place, cold: Path) -> None:
    done = bench(here, "run", here.suite(SUITE), "--out", "warm", BENCH_CACHE="cache")
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


def test_damaged_images_are_decoded_again_with_one_line(here: Place, cold: Path) -> None:
    shutil.copytree(here.folder / "cache", here.folder / "damaged")
    (path,) = (here.folder / "damaged").rglob("squares.npy")
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    done = bench(here, "run", here.suite(SUITE), "--out", "again", BENCH_CACHE="damaged")
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


def test_waiting_for_another_run_is_said(here: Place, cold: Path) -> None:
    suite, kind = here.suite(SUITE), here.folder / "waiting" / "images"
    shutil.copytree(here.folder / "cache" / "images", kind)
    (entry,) = (path for path in kind.iterdir() if path.is_dir())
    shutil.rmtree(entry)
    with FileLock(f"{entry}.lock") as lock:
        arguments = ("run", suite, "--out", "waited")
        with command.running(here, *arguments, BENCH_CACHE="waiting") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(2)]
            assert said[1] == "waiting for another run that makes the same images\n"
            lock.release()
            _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def test_a_cache_that_vanishes_during_a_run_is_no_loss(here: Place) -> None:
    suite = here.suite(THREE, "three")
    whole = bench(here, "run", suite, "--out", "whole", BENCH_CACHE="cache")
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
    done = bench(broken, "run", broken.suite(SUITE), *dry_run, BENCH_CACHE="cache")
    assert done.returncode == 2
    first, *problems, advice = done.stderr.splitlines()
    assert first == "error[E-INPUT] nothing was trained"
    assert [problem.split(":")[0].split("pictures/")[1] for problem in problems] == [
        *("cat/3.png", "dog/7.png"),
    ]
    assert advice.strip() == "replace these files or take them out"
    assert not (broken.folder / "results").exists()
    assert command.tree(broken.folder / "pictures") == before


def test_a_dry_run_says_what_the_cache_will_grow_by(here: Place, cold: Path) -> None:
    suite = here.suite(SUITE)
    fresh = bench(here, "run", suite, "--dry-run", BENCH_CACHE="fresh")
    again = bench(here, "run", suite, "--dry-run", BENCH_CACHE="cache")
    (line,) = (line for line in fresh.stdout.splitlines() if line.startswith("cache "))
    # 20 images of 3 x 37 x 37 bytes: the weights resize to 256 for a crop of 224
    assert line == f"cache           about 0 MB of decoded images, {here.folder / 'fresh'}"
    assert not (here.folder / "fresh").exists()
    assert "decoded images" not in again.stdout
