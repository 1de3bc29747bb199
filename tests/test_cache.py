"""The cache against accidents: damage, other versions, kills, two processes, full disks."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from bench import cache
from bench.cache import Damaged, Provided

KEY, OTHER, THIRD = (cache.key_of({"number": number}) for number in (1, 2, 3))
DATA = np.arange(512, dtype=np.int64).reshape(2, 256)
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Writes DATA into every folder, and counts how often."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, folders: Mapping[str, Path]) -> None:
        self.calls.append(sorted(folders))
        for folder in folders.values():
            np.save(folder / "data.npy", DATA)
            np.save(folder / "none.npy", DATA[:0])


def provide(make: cache.Make | None = None, *keys: str) -> Provided:
    return cache.provide("things", dict.fromkeys(keys or (KEY,), DATA.nbytes), make or Maker())


def same(folder: Path) -> bool:
    """Whether the arrays are those that were saved."""
    arrays = cache.load(folder)
    return np.array_equal(arrays["data"], DATA) and arrays["none"].shape == (0, 256)


def made_again(make: Maker) -> str:
    """The one line that is said of an entry that is no longer what it was."""
    provided = provide(make)
    assert provided.made == {KEY}
    assert same(provided.folders[KEY])
    assert provide(make).made == frozenset()
    (note,) = provided.notes
    return note


# ---- finding and making ---------------------------------------------------------------------


def test_an_entry_is_made_once_and_then_found(home: Path) -> None:
    make = Maker()
    first, second = provide(make), provide(make)
    assert make.calls == [[KEY]]
    assert first.made == {KEY}
    assert not second.made
    assert first.notes == second.notes == ()
    assert first.folders == second.folders == {KEY: home / "things" / KEY}
    assert same(second.folders[KEY])
    assert {path.name for path in (home / "things").iterdir()} == {KEY, f"{KEY}.lock"}


def test_only_what_is_missing_is_made_and_in_one_go() -> None:
    make = Maker()
    provide(make, KEY)
    provided = provide(make, KEY, OTHER, THIRD)
    assert make.calls == [[KEY], sorted([OTHER, THIRD])]
    assert provided.folders.keys() == {KEY, OTHER, THIRD}
    assert provided.made == {OTHER, THIRD}


def test_keys_differ_where_a_fact_does() -> None:
    facts = ({"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": "1", "b": 2}, {"a": 1}, {"a": [1], "b": 2})
    assert len({cache.key_of(one) for one in facts}) == len(facts)
    assert cache.key_of({"a": 1, "b": 2}) == cache.key_of({"b": 2, "a": 1})


def test_what_is_no_mishap_of_the_disk_passes_and_leaves_nothing(home: Path) -> None:
    def refuse(folders: Mapping[str, Path]) -> None:
        np.save(folders[KEY] / "data.npy", DATA)
        raise ValueError("a broken image")

    with pytest.raises(ValueError, match="a broken image"):
        provide(refuse)
    assert [path.name for path in (home / "things").iterdir()] == [f"{KEY}.lock"]
    assert provide().made == {KEY}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BENCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"BENCH_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/bench"),
        ({"BENCH_CACHE": "", "XDG_CACHE_HOME": "b"}, "/home/one/.cache/bench"),
        ({"BENCH_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/one/.cache/bench"),
    ],
)
def test_the_folder_is_the_one_that_the_environment_names(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": "/home/one", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache.root() == Path(expected)


# ---- damage ---------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("at", [7, 3500, -1])
def test_a_flipped_bit_is_noticed_and_the_entry_made_again(home: Path, at: int) -> None:
    make = Maker()
    provide(make)
    flip(home / "things" / KEY / "data.npy", at)
    assert made_again(make) == "cached things were damaged, made again: data.npy has changed"


@pytest.mark.parametrize("block_bytes", [1, 1000, 4096 + 128, 1 << 20])
def test_every_block_counts(home: Path, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BLOCK_BYTES", block_bytes)
    folder = provide().folders[KEY]
    for at in (0, 999, 1000, 2222, 4223):
        flip(folder / "data.npy", at)
        with pytest.raises(Damaged, match=r"data\.npy has changed"):
            cache.load(folder)
        flip(folder / "data.npy", at)
    assert same(folder)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_file_of_another_size_is_noticed(home: Path, size: int) -> None:
    make = Maker()
    provide(make)
    os.truncate(home / "things" / KEY / "data.npy", size)
    assert "data.npy has changed" in made_again(make)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "{}", f'{{"key": "{KEY}"}}', f'{{"key": "{KEY}", "sums": []}}'),
        *("\udcff", "[" * 100_000),
    ],
    ids=["empty", "cut", "list", "null", "object", "no sums", "list of sums", "no UTF-8", "deep"],
)
def test_an_entry_json_that_cannot_be_read_is_noticed(home: Path, text: str) -> None:
    make = Maker()
    provide(make)
    path = home / "things" / KEY / "entry.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert "entry.json" in made_again(make)


def test_no_byte_of_entry_json_can_change_unnoticed(home: Path) -> None:
    folder = provide().folders[KEY]
    path = folder / "entry.json"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert same(folder)  # a space that became another, say
        except Damaged:
            continue


def test_an_entry_under_the_name_of_another_is_made_again(home: Path) -> None:
    make = Maker()
    provide(make, OTHER)
    (home / "things" / OTHER).rename(home / "things" / KEY)
    assert made_again(make).endswith("its folder was renamed")


@pytest.mark.parametrize("name", ["data.npy", "entry.json"])
def test_a_file_that_is_gone_is_noticed(home: Path, name: str) -> None:
    make = Maker()
    provide(make)
    (home / "things" / KEY / name).unlink()
    assert made_again(make).endswith(f"{name}: No such file or directory")


def test_a_file_that_holds_no_array_is_noticed(home: Path) -> None:
    def write(folders: Mapping[str, Path]) -> None:
        (folders[KEY] / "data.npy").write_bytes(b"no array")

    folder = provide(write).folders[KEY]
    with pytest.raises(Damaged, match=r"data\.npy: "):
        cache.load(folder)


def test_a_file_in_the_place_of_an_entry_makes_way(home: Path) -> None:
    (home / "things").mkdir(parents=True)
    (home / "things" / KEY).write_text("no folder")
    assert "Not a directory" in made_again(Maker())


def test_a_deleted_entry_stays_readable_where_it_is_open_and_is_made_again(home: Path) -> None:
    folder = provide().folders[KEY]
    arrays = cache.load(folder)
    shutil.rmtree(home)
    assert np.array_equal(arrays["data"], DATA)
    with pytest.raises(Damaged, match="No such file"):
        cache.load(folder)
    assert provide().notes == ()


def test_arrays_cannot_be_changed(home: Path) -> None:
    array = cache.load(provide().folders[KEY])["data"]
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_unmapped_pages_are_read_again(home: Path) -> None:
    array = cache.load(provide().folders[KEY])["data"]
    for _ in range(2):
        assert np.array_equal(array, DATA)
        cache.unmap_pages(array)


# ---- kills and other processes --------------------------------------------------------------


def slow(folders: Mapping[str, Path]) -> None:
    """Make it, and say so, but take some time."""
    Maker()(folders)
    with (cache.root() / "calls").open("a") as file:
        file.write("made\n")
    time.sleep(1)


def provide_slowly(answers: "multiprocessing.SimpleQueue[tuple[int, bool, list[str]]]") -> None:
    told: list[str] = []
    provided = cache.provide("things", {KEY: 1}, slow, told.append)
    answers.put((len(provided.made), same(provided.folders[KEY]), told))


def in_process(queue: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=provide_slowly, args=(queue,))
    process.start()
    return process


def test_of_two_processes_one_makes_it_and_the_other_waits_and_says_so(home: Path) -> None:
    queue = multiprocessing.get_context("fork").SimpleQueue()
    first, second = in_process(queue), in_process(queue)
    answers = sorted(queue.get() for _ in range(2))
    for process in (first, second):
        process.join()
    assert (home / "calls").read_text() == "made\n"
    assert answers == [
        (0, True, ["waiting for another run that makes the same things"]),
        (1, True, []),
    ]


def test_what_a_killed_process_left_is_removed_and_made(home: Path) -> None:
    queue = multiprocessing.get_context("fork").SimpleQueue()
    process = in_process(queue)
    while not (home / "calls").exists():
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    part = home / "things" / f"{KEY}.part"
    (part / "stale").write_text("of another try")
    provided = provide()
    assert provided.made == {KEY}
    assert not (provided.folders[KEY] / "stale").exists()
    assert not part.exists()


def test_waiting_has_an_end_and_then_the_cache_is_bypassed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0.2)
    (home / "things").mkdir(parents=True)
    make = Maker()
    with held(home / "things" / f"{KEY}.lock"):
        provided = provide(make)
    assert (provided.folders, make.calls) == ({}, [])
    (note,) = provided.notes
    assert "another run is making the same" in note


class held:  # noqa: N801
    """Another process holds the lock."""

    def __init__(self, path: Path) -> None:
        code = "import sys, filelock\nlock = filelock.FileLock(sys.argv[1]).acquire()\n"
        code += "print('held', flush=True)\nsys.stdin.read()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


# ---- disks that take nothing ----------------------------------------------------------------


def assert_bypassed(make: Maker, why: str) -> None:
    provided = provide(make)
    assert (provided.folders, provided.made) == ({}, frozenset())
    (note,) = provided.notes
    assert note.startswith(f"the cache in {cache.root()} is not used for things: ")
    assert why in note


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache where the rights of files count, which they do not for root."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "cache"
        home.mkdir()
        monkeypatch.setenv("BENCH_CACHE", str(home))
        user = os.geteuid()
        if user == 0:
            for path in (home, home.parent):
                os.chown(path, 65534, -1)
            os.seteuid(65534)
        yield home
        os.seteuid(user)
        for path in (home, *home.rglob("*")):
            path.chmod(0o700)


def test_a_folder_that_cannot_be_written_is_bypassed(nobody: Path) -> None:
    nobody.chmod(0o500)
    assert_bypassed(Maker(), "Permission denied")


def test_entries_in_a_folder_that_cannot_be_written_are_used(nobody: Path) -> None:
    provide()
    for folder in (nobody / "things" / KEY, nobody / "things", nobody):
        folder.chmod(0o500)
    provided = provide()
    assert provided.folders.keys() == {KEY}
    assert provided.notes == ()


def test_an_entry_that_may_not_be_read_is_bypassed(nobody: Path) -> None:
    provide()
    (nobody / "things" / KEY / "data.npy").chmod(0)
    (nobody / "things").chmod(0o500)
    provided = provide()
    assert provided.folders == {}
    assert [note.partition(":")[0] for note in provided.notes] == [
        f"the cache in {nobody} is not used for things",
        "cached things were damaged, not used",
    ]


def test_a_folder_in_a_place_that_takes_none_is_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", "/proc/bench")  # refused to root as well
    make = Maker()
    assert_bypassed(make, "No such file or directory")
    assert make.calls == []


def test_a_file_in_the_place_of_the_folder_is_bypassed(home: Path) -> None:
    home.write_text("no folder")
    assert_bypassed(Maker(), "Not a directory")
    assert home.read_text() == "no folder"


def test_too_little_room_is_noticed_before_anything_is_made(home: Path) -> None:
    make = Maker()
    provided = cache.provide("things", {KEY: 10**18}, make)
    assert make.calls == []
    (note,) = provided.notes
    assert "it needs 1000000000.0 GB" in note


def test_a_disk_that_is_full_in_the_middle_is_bypassed_and_left_clean(home: Path) -> None:
    # A limit on the size of files stands for the disk, as nobody but root may mount a small one.
    code = """
import resource, sys
from tests import test_cache as t
from bench import cache
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
t.assert_bypassed(t.Maker(), "written")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (home / "things").iterdir()] == [f"{KEY}.lock"]


# ---- cleaning -------------------------------------------------------------------------------


@pytest.fixture
def aged(home: Path) -> Path:
    """An entry that was last used 31 days ago."""
    provide(Maker(), OTHER)
    folder = home / "things" / OTHER
    month = time.time() - 31 * 24 * 3600
    os.utime(folder, (month, month))
    return folder


def test_making_removes_what_was_not_used_for_a_month(aged: Path) -> None:
    provide(Maker(), THIRD)
    assert not aged.exists()


def test_using_an_entry_keeps_it(aged: Path) -> None:
    provide(Maker(), OTHER)
    provide()
    assert aged.exists()


def test_finding_removes_nothing(home: Path) -> None:
    provide(Maker(), KEY, OTHER)
    os.utime(home / "things" / OTHER, (0, 0))
    assert provide().made == frozenset()
    assert (home / "things" / OTHER).exists()


def test_what_another_process_is_at_stays(aged: Path, home: Path) -> None:
    part = home / "things" / f"{KEY}.part"
    part.mkdir()
    with held(home / "things" / f"{OTHER}.lock"), held(home / "things" / f"{KEY}.lock"):
        cache.prune()
    assert aged.exists()
    assert part.exists()
    cache.prune()
    assert not aged.exists()
    assert not part.exists()


def test_what_is_not_ours_stays(aged: Path, home: Path) -> None:
    strangers = [home / "photos" / "holiday", home / "things" / "notes.txt", home / ("a" * 64)]
    for path in strangers:
        path.mkdir(parents=True)
        os.utime(path, (0, 0))
    cache.prune()
    assert all(path.exists() for path in strangers)


def test_locks_are_free_afterwards(home: Path) -> None:
    provide()
    with FileLock(home / "things" / f"{KEY}.lock", timeout=0):
        pass
