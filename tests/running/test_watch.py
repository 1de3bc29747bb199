"""Workers that hang or take too long, and logs that grow without end."""

import time
from pathlib import Path

import pytest

from bench.folder import cell_folder
from bench.running import watch
from bench.running.watch import Limits, Watch


class Clock:
    """A monotonic clock that goes on where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self._now)

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def seconds_until_overdue(one: Watch, clock: Clock, most: int = 1000) -> int | None:
    for number in range(1, most):
        clock.sleep(1)
        if one.look():
            return number
    return None


def test_silence_ends_a_worker_and_a_sign_of_life_begins_the_count_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    one = Watch(tmp_path, Limits(stall=30))
    assert seconds_until_overdue(one, clock, 30) is None
    one.heard()
    assert seconds_until_overdue(one, clock) == 31
    assert one.overdue is not None
    assert (one.overdue.kind, "no sign of life for 30 s" in one.overdue.reason) == ("stalled", True)


def test_a_cell_may_take_so_long_and_the_next_as_long_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    one = Watch(tmp_path, Limits(stall=30, timeout=60))
    for cell_id in ("first", "second"):
        one.begins(cell_id)
        for _ in range(6):
            one.heard()
            assert seconds_until_overdue(one, clock, 11) is None
    one.heard()
    assert seconds_until_overdue(one, clock) == 1
    assert one.overdue is not None
    assert (one.overdue.kind, "timeout = 60 s" in one.overdue.reason) == ("time_limit", True)


def test_what_passed_before_a_cell_began_does_not_count_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    one = Watch(tmp_path, Limits(timeout=60))
    clock.sleep(1.5)
    one.begins("cell")
    assert seconds_until_overdue(one, clock) == 61


def test_a_night_in_which_the_machine_slept_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    one = Watch(tmp_path, Limits(stall=30, timeout=60))
    clock.sleep(8 * 3600)
    assert one.look() is None


def test_without_limits_nothing_is_overdue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_until_overdue(Watch(tmp_path, Limits()), Clock(monkeypatch)) is None


def test_the_middle_of_a_long_log_is_left_out_and_what_writes_to_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOG_BYTES", 10_000)
    monkeypatch.setattr(watch, "KEPT_BYTES", 1_000)
    log = cell_folder(tmp_path, "cell") / "log.txt"
    log.parent.mkdir(parents=True)
    one = Watch(tmp_path, Limits())
    one.begins("cell")
    lines = [f"line {number:05}\n".encode() for number in range(3000)]
    with log.open("ab", buffering=0) as writer:
        for line in lines:
            writer.write(line)
            if line.endswith(b"00\n"):
                one.look()
        writer.write(b"the end\n")
    text = log.read_bytes()
    assert len(text) <= 12_000
    assert text.startswith(b"".join(lines)[:1000])
    assert b"bytes left out" in text
    assert text.endswith(lines[-1] + b"the end\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_a_time_is_told_in_its_own_unit(seconds: float, text: str) -> None:
    assert watch.time_text(seconds) == text
