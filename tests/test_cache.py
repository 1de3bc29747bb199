"""The cache against accidents: damage, other versions, kills, two processes, full disks."""

import json
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

import pytest
from filelock import FileLock

from bench import cache, entry
from bench.cache import Provided
from bench.entry import Contents, Damaged, Entry

KEY, OTHER = entry.key_of({"number": 1}), entry.key_of({"number": 2})
DATA = bytes(range(256)) * 16
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

    def __call__(self, folders: Mapping[str, Path]) -> dict[str, Contents]:
        self.calls.append(sorted(folders))
        for folder in folders.values():
            (folder / "data").write_bytes(DATA)
            (folder / "more").write_bytes(b"")
        return {key: Contents({"data": 1000}) for key in folders}


def provide(make: cache.Make | None = None, *keys: str) -> Provided:
    return cache.provide("things", dict.fromkeys(keys or (KEY,), len(DATA)), make or Maker())


def content(entry: Entry) -> bytes:
    return entry.content("data")


def made_again(make: Maker) -> str:
    """The one line that is said of an entry that is no longer what it was."""
    provided = provide(make)
    assert provided.made == {KEY}
    assert content(provided.entries[KEY]) == DATA
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
    assert first.entries == second.entries
    entry = second.entries[KEY]
    assert content(entry) == DATA
    assert [len(entry.files[name].sums) for name in ("data", "more")] == [5, 0]
    assert {path.name for path in (home / "things").iterdir()} == {KEY, f"{KEY}.lock"}


def test_only_what_is_missing_is_made_and_in_one_go() -> None:
    make = Maker()
    provide(make, KEY)
    third = entry.key_of({"number": 3})
    provided = provide(make, KEY, OTHER, third)
    assert make.calls == [[KEY], sorted([OTHER, third])]
    assert provided.entries.keys() == {KEY, OTHER, third}
    assert provided.made == {OTHER, third}


def test_keys_differ_where_a_fact_does() -> None:
    facts = ({"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": "1", "b": 2}, {"a": 1}, {"a": [1], "b": 2})
    assert len({entry.key_of(one) for one in facts}) == len(facts)
    assert entry.key_of({"a": 1, "b": 2}) == entry.key_of({"b": 2, "a": 1})


def test_what_is_no_mishap_of_the_disk_passes_and_leaves_nothing(home: Path) -> None:
    def refuse(folders: Mapping[str, Path]) -> dict[str, Contents]:
        (folders[KEY] / "data").write_bytes(DATA)
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


def test_a_flipped_bit_is_noticed_and_the_entry_made_again(home: Path) -> None:
    make = Maker()
    provide(make)
    flip(home / "things" / KEY / "data", 3500)
    text = "cached things were damaged, made again: data has changed 3000 bytes from its start"
    assert made_again(make).startswith(text)


def test_a_flipped_bit_is_noticed_while_reading(home: Path) -> None:
    entry = provide().entries[KEY]
    chunks = entry.open("data")
    flip(home / "things" / KEY / "data", 3500)
    assert chunks.read(2) == DATA[2000:3000]
    with pytest.raises(Damaged, match="data has changed 3000 bytes from its start"):
        chunks.read(3)
    chunks.close()


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_file_of_another_size_is_noticed(home: Path, size: int) -> None:
    make = Maker()
    provide(make)
    os.truncate(home / "things" / KEY / "data", size)
    assert f"data has {size} bytes instead of 4096" in made_again(make)


def test_a_file_that_shrinks_while_it_is_read_is_noticed(home: Path) -> None:
    chunks = provide().entries[KEY].open("data")
    os.truncate(home / "things" / KEY / "data", 3500)
    with pytest.raises(Damaged):
        chunks.read(3)
    with pytest.raises(Damaged):
        chunks.read(4)
    chunks.close()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format": 1}', "\udcff", "[" * 100_000],
    ids=["empty", "cut", "list", "null", "object", "no entry", "no UTF-8", "deep"],
)
def test_an_entry_json_that_cannot_be_read_is_noticed(home: Path, text: str) -> None:
    make = Maker()
    provide(make)
    path = home / "things" / KEY / "entry.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert "entry.json" in made_again(make)


def test_no_byte_of_entry_json_can_change_unnoticed(home: Path) -> None:
    provide()
    path = home / "things" / KEY / "entry.json"
    whole = path.read_bytes()
    read = entry.read(path.parent)
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert entry.read(path.parent) == read  # a space that became another, say
        except Damaged:
            continue


def test_an_entry_of_another_format_is_made_again(home: Path) -> None:
    make = Maker()
    provide(make)
    path = home / "things" / KEY / "entry.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    assert "of format 2, where 1 is known" in made_again(make)


def test_an_entry_under_the_name_of_another_is_made_again(home: Path) -> None:
    make = Maker()
    provide(make, OTHER)
    (home / "things" / OTHER).rename(home / "things" / KEY)
    assert made_again(make).endswith("renamed")


@pytest.mark.parametrize("name", ["data", "entry.json"])
def test_a_file_that_is_gone_is_noticed(home: Path, name: str) -> None:
    make = Maker()
    provide(make)
    (home / "things" / KEY / name).unlink()
    assert "No such file" in made_again(make)


def test_a_file_in_the_place_of_an_entry_makes_way(home: Path) -> None:
    (home / "things").mkdir(parents=True)
    (home / "things" / KEY).write_text("no folder")
    assert "Not a directory" in made_again(Maker())


def test_an_entry_that_is_deleted_while_in_use_is_damaged_and_then_made_again(home: Path) -> None:
    entry = provide().entries[KEY]
    shutil.rmtree(home)
    with pytest.raises(Damaged, match="No such file"):
        entry.open("data")
    assert provide().notes == ()


# ---- kills and other processes --------------------------------------------------------------


def slow(folders: Mapping[str, Path]) -> dict[str, Contents]:
    """Make it, and say so, but take some time."""
    contents = Maker()(folders)
    with (cache.root() / "calls").open("a") as file:
        file.write("made\n")
    time.sleep(1)
    return contents


def provide_slowly(answers: "multiprocessing.SimpleQueue[tuple[int, bytes, list[str]]]") -> None:
    told: list[str] = []
    provided = cache.provide("things", {KEY: 1}, slow, told.append)
    answers.put((len(provided.made), content(provided.entries[KEY]), told))


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
        (0, DATA, ["waiting for another run that makes the same things"]),
        (1, DATA, []),
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
    assert "stale" not in provided.entries[KEY].files
    assert not part.exists()


def test_waiting_has_an_end_and_then_the_cache_is_bypassed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "WAIT_SECONDS", 0.2)
    (home / "things").mkdir(parents=True)
    make = Maker()
    with held(home / "things" / f"{KEY}.lock"):
        provided = provide(make)
    assert (provided.entries, make.calls) == ({}, [])
    (note,) = provided.notes
    assert "another run has been making the same" in note


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
    assert (provided.entries, provided.made) == ({}, frozenset())
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
    assert provided.entries.keys() == {KEY}
    assert provided.notes == ()


def test_an_entry_that_may_not_be_read_is_bypassed(nobody: Path) -> None:
    provide()
    (nobody / "things" / KEY / "data").chmod(0)
    (nobody / "things").chmod(0o500)
    provided = provide()
    assert provided.entries == {}
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
    assert "they need 1000000000.0 GB" in note


def test_a_disk_that_is_full_in_the_middle_is_bypassed_and_left_clean(home: Path) -> None:
    # A limit on the size of files stands for the disk, as nobody but root may mount a small one.
    code = """
import resource, sys
from tests import test_cache as t
from bench import cache
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
t.assert_bypassed(t.Maker(), "File too large")
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
    provide(Maker(), entry.key_of({"number": 3}))
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
