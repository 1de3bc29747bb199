"""The index: what was put in comes out as it was or not at all, whatever happens to the file."""

import os
import random
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from bench import index
from tests.command import ROOT

TEXT = '{"name": "a\\u0000[/red] é 分類", "n": 1.5}'


def put(
    folder: Path, name: str = "a", stamp: str = "s", text: str = TEXT, meaning: str = "m"
) -> None:
    with index.opened(folder, meaning) as kept:
        kept.put(name, stamp, text)


def get(folder: Path, name: str = "a", stamp: str = "s", meaning: str = "m") -> str | None:
    with index.opened(folder, meaning) as kept:
        return kept.get(name, stamp)


def test_what_was_kept_comes_back_for_the_same_state_only(tmp_path: Path) -> None:
    put(tmp_path)
    assert get(tmp_path) == TEXT
    assert get(tmp_path, stamp="t") is None
    assert get(tmp_path, name="b") is None
    put(tmp_path, stamp="t", text="newer")
    assert get(tmp_path, stamp="t") == "newer"
    assert get(tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == [index.NAME]


def test_texts_of_another_meaning_are_gone(tmp_path: Path) -> None:
    put(tmp_path)
    assert get(tmp_path, meaning="n") is None
    assert get(tmp_path, meaning="m") is None


def test_what_has_no_source_is_forgotten(tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path, name=name)
    with index.opened(tmp_path, "m") as kept:
        kept.forget(lambda name: name != "b")
    assert [get(tmp_path, name=name) for name in "abc"] == [None, TEXT, None]


@pytest.mark.parametrize(
    "content", [b"", b"nothing of the kind", b"SQLite format 3\0" + bytes(4096)]
)
def test_a_file_that_is_damaged_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / index.NAME).write_bytes(content)
    assert get(tmp_path) is None
    put(tmp_path)
    assert get(tmp_path) == TEXT


def test_tables_of_another_shape_are_made_anew(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / index.NAME)) as connection:
        connection.execute("CREATE TABLE meaning (text TEXT)")
        connection.execute("INSERT INTO meaning VALUES ('m')")
        connection.commit()
    put(tmp_path)
    assert get(tmp_path) == TEXT


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_short_is_made_anew(tmp_path: Path, cut: float) -> None:
    for number in range(50):
        put(tmp_path, name=str(number), text=os.urandom(500).hex())
    os.truncate(tmp_path / index.NAME, int(cut * (tmp_path / index.NAME).stat().st_size))
    for number in range(50):
        get(tmp_path, name=str(number))
    put(tmp_path)
    assert get(tmp_path) == TEXT


def test_no_flipped_bit_changes_what_comes_back(tmp_path: Path) -> None:
    draw = random.Random(0)
    text = draw.randbytes(8000).hex()  # most of the file
    put(tmp_path, text=text)
    path = tmp_path / index.NAME
    whole = path.read_bytes()
    for _ in range(100):
        place = draw.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        assert get(tmp_path) in (text, None), place


def test_a_file_that_is_deleted_meanwhile_is_done_without(tmp_path: Path) -> None:
    with index.opened(tmp_path, "m") as kept:
        kept.put("a", "s", TEXT)
        (tmp_path / index.NAME).unlink()
        kept.put("b", "s", TEXT)
        kept.get("a", "s")
    put(tmp_path)
    assert get(tmp_path) == TEXT


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    nowhere = tmp_path / "a file"
    nowhere.write_text("")
    put(nowhere)
    assert get(nowhere) is None
    put(tmp_path / "not there")
    assert not (tmp_path / "not there").exists()


def test_a_file_that_may_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path)
    connect = sqlite3.connect

    def only_reading(path: Path, **options: object) -> sqlite3.Connection:
        # As where the rights forbid it, which root is not bound by.
        return connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)

    monkeypatch.setattr(sqlite3, "connect", only_reading)
    with index.opened(tmp_path, "m") as kept:
        kept.put("b", "s", TEXT)
        assert kept.get("a", "s") == TEXT
        assert kept.get("b", "s") is None


def test_a_file_in_use_for_long_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "WAIT_SECONDS", 0.05)
    put(tmp_path)
    with closing(sqlite3.connect(tmp_path / index.NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert get(tmp_path) is None
        put(tmp_path, name="b")
        other.execute("ROLLBACK")
    assert get(tmp_path) == TEXT


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from bench import index
        who = sys.argv[1]
        with index.opened(Path(sys.argv[2]), "m") as kept:
            for number in range(100):
                kept.put(f"{who}{number}", "s", who * 200)
        """
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, who, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for who in "abc"
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    with index.opened(tmp_path, "m") as kept:
        found = [kept.get(f"{who}{number}", "s") for who in "abc" for number in range(100)]
    assert found == [who * 200 for who in "abc" for _ in range(100)]
