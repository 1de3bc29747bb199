"""The pass that decodes every image: once for all rules, and as the check of the images."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bench import cache as caches
from bench.data.dataset import Dataset
from bench.data.decoded import (
    Making,
    Share,
    key,
    make,
    missing_bytes,
    now_and_then,
    stored,
)
from bench.data.pictures import Resize
from bench.data.sources import scan
from bench.errors import DataError
from bench.measure.device import Device

A, B, C = (
    Resize(8, "bilinear", True),
    Resize(8, "bicubic", True),
    Resize(11, "bilinear", True),
)
CPU = Device("cpu", None)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Eight pictures of two classes, all different."""
    for number in range(8):
        folder = tmp_path / "pictures" / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + number, 17), (number, 200, 0)).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def made(dataset: Dataset, *resizes: Resize) -> Making:
    return make(dataset, resizes, CPU, lambda text: None)


class Opened:
    """Files below a folder that Python opens while it is watching."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.below: Path | None = None
        sys.addaudithook(self.hear)  # which stays to the end of the process

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and self.below is not None:
            path = Path(os.fsdecode(str(arguments[0])))
            if path.is_relative_to(self.below):
                self.names.append(path.name)


OPENED = Opened()


@pytest.fixture
def opened(pictures: Path) -> Iterator[list[str]]:
    """Names of the pictures that are opened during the test."""
    OPENED.names, OPENED.below = [], pictures
    yield OPENED.names
    OPENED.below = None


def test_every_file_is_opened_once_for_all_rules(pictures: Path, opened: list[str]) -> None:
    dataset = scan(str(pictures))
    assert sorted(opened) == [f"{number}.png" for number in range(8)]
    opened.clear()
    assert made(dataset, A, B, C).folders.keys() == {A, B, C}
    assert sorted(opened) == [f"{number}.png" for number in range(8)]


def test_what_the_cache_has_is_not_made_again(pictures: Path, opened: list[str]) -> None:
    dataset = scan(str(pictures))
    cold = made(dataset, A)
    assert cold.resizing_seconds.keys() == {A}
    assert cold.opening_seconds > 0
    opened.clear()
    warm = made(dataset, A)
    assert opened == []
    assert warm == Making(cold.folders, 0.0, {}, None, ())
    both = made(dataset, A, B)
    assert both.resizing_seconds.keys() == {B}
    assert both.folders.keys() == {A, B}


def test_an_entry_holds_each_image_once(pictures: Path) -> None:
    arrays = caches.load(made(scan(str(pictures)), C).folders[C])
    assert {name: (str(array.dtype), array.shape) for name, array in arrays.items()} == {
        "squares": ("uint8", (8, 3, 11, 11)),
        "sizes": ("int64", (8, 2)),
    }


def spoil(pictures: Path) -> None:
    (pictures / "even" / "2.png").write_bytes(b"")
    (pictures / "odd" / "5.png").write_text("<html>not found</html>")


def assert_both_are_named(caught: pytest.ExceptionInfo[DataError]) -> None:
    first, second, advice = caught.value.problems
    assert first.endswith("even/2.png: is empty (0 bytes)")
    assert second.endswith("odd/5.png: is a web page or other text, not an image")
    assert advice == "replace these files, or leave a few out with skip_damaged below [dataset]"


def test_images_that_cannot_be_decoded_are_all_named_and_nothing_stays(
    pictures: Path, cache: Path
) -> None:
    spoil(pictures)
    with pytest.raises(DataError) as caught:
        made(scan(str(pictures)), A, B)
    assert_both_are_named(caught)
    assert not [path for path in cache.rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_they_are_named_where_there_is_no_cache_too(pictures: Path, cache: Path) -> None:
    cache.write_text("no folder")
    whole = made(scan(str(pictures)), A)
    assert (whole.folders, whole.resizing_seconds) == ({}, {})
    assert len(whole.notes) == 1
    spoil(pictures)
    with pytest.raises(DataError) as caught:
        made(scan(str(pictures)), A)
    assert_both_are_named(caught)


def test_a_disk_that_fills_up_during_the_pass_is_bypassed(pictures: Path, cache: Path) -> None:
    # A limit on the size of files stands for the disk, as nobody but root may mount a small one.
    code = f"""
import resource
from bench.data.sources import scan
from tests.data import test_decoded as t
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
making = t.made(scan({str(pictures)!r}), t.A)
assert making.folders == {{}}, making
assert "File too large" in making.notes[0], making
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [path.suffix for path in (cache / "images").iterdir()] == [".lock"]


@pytest.mark.slow
def test_two_processes_at_once_make_it_once_and_both_have_it(pictures: Path) -> None:
    code = f"""
from bench.data.sources import scan
from tests.data import test_decoded as t
making = t.made(scan({str(pictures)!r}), t.A, t.C)
t.caches.load(making.folders[t.A])
print(len(making.resizing_seconds))
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    assert sorted(one.communicate(timeout=120)[0] for one in both) == [b"0\n", b"2\n"]


# ---- keys and costs -------------------------------------------------------------------------


def test_keys_tell_apart_whatever_the_bytes_depend_on(pictures: Path) -> None:
    dataset = scan(str(pictures))
    swapped = Dataset("x", dataset.source, ("a", "b"), dataset.items[::-1], False, ())
    shorter = Dataset("x", dataset.source, ("a", "b"), dataset.items[:-1], False, ())
    keys = {key(dataset, resize) for resize in (A, B, C)}
    keys |= {key(other, A) for other in (swapped, shorter, scan("digits"))}
    assert len(keys) == 6


def test_keys_do_not_depend_on_names(pictures: Path, tmp_path: Path) -> None:
    dataset = scan(str(pictures))
    pictures.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "odd" / "1.png").rename(tmp_path / "elsewhere" / "odd" / "0.png")
    assert key(scan(str(tmp_path / "elsewhere")), A) == key(dataset, A)


def test_only_what_is_not_there_counts_for_a_dry_run(pictures: Path, cache: Path) -> None:
    dataset = scan(str(pictures))
    assert missing_bytes(dataset, {A, C}) == 8 * 3 * (8 * 8 + 11 * 11)
    assert not cache.exists()
    made(dataset, A)
    assert missing_bytes(dataset, {A, C}) == 8 * 3 * 11 * 11


def test_a_cache_that_cannot_be_looked_at_has_nothing(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", "/" + 300 * "x")
    assert missing_bytes(scan(str(pictures)), {A}) == 8 * 3 * 8 * 8


def test_opening_is_shared_by_all_rules_that_were_made_and_resizing_by_the_users_of_each() -> None:
    making = Making({A: Path("a"), B: Path("b"), C: Path("c")}, 6.0, {A: 3.0, C: 1.0}, 20.0, ())
    found = stored(making, {A: 2, B: 5, C: 4})
    assert found[A].shares == (Share(6.0, 12.0, 6), Share(3.0, 6.0, 2))
    assert found[C].shares == (Share(6.0, 12.0, 6), Share(1.0, 2.0, 4))
    assert (found[B].shares, found[B].how) == ((), "warm")
    assert (found[A].how, found[C].how) == ("cold", "cold")
    # Marginal costs of all cells add up to what was spent.
    spent = sum(
        share.seconds / share.sharers * cells
        for resize, cells in ((A, 2), (C, 4))
        for share in found[resize].shares
    )
    assert spent == pytest.approx(10.0)


def test_unknown_energy_stays_unknown() -> None:
    found = stored(Making({A: Path("a")}, 1.0, {A: 1.0}, None, ()), {A: 3})
    assert {share.joules for share in found[A].shares} == {None}


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    count = now_and_then(told.append)
    count(1)
    assert told == []
    monkeypatch.setattr("bench.data.decoded.TELL_SECONDS", 0.0)
    count(1234)
    assert told == [1234]
