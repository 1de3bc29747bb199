"""What is shown while cells run, counted by hand."""

import io
import time

import pytest
from rich.console import Console
from rich.text import Text

from bench import progress, terminal
from bench.identity import cell_id
from bench.progress import Tally
from bench.record import EpochPoint
from bench.running.pool import CellEnded, CellStarted, EpochEnded, GroupRetried, Noted
from tests import records

CELLS = [records.cell("resnet18", "fine_tuning", seed) for seed in (0, 1)]
IDS = [cell_id(cell) for cell in CELLS]


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """One cell done before, two to come: a quarter and three quarters of the work; 60 s passed."""
    monkeypatch.setattr(Tally, "elapsed", 60.0)
    return Tally([records.cell("vgg16", "partial", 0)], CELLS, [10.0, 30.0])


def epoch(number: int, cell: int = 0) -> EpochEnded:
    point = EpochPoint(phase="all", epoch=number, train_loss=1.0, val_score=0.5)
    return EpochEnded(IDS[cell], point, 1234.5)


def test_share_and_time_left_follow_the_work(tally: Tally) -> None:
    seen = [(tally.count, tally.share, tally.left_seconds)]
    for event in (CellStarted(IDS[0]), epoch(4), CellEnded(IDS[0], "ok", "")):
        tally.take(event)
        seen.append((tally.count, tally.share, tally.left_seconds))
    # 4 of 10 epochs of a quarter are a tenth: 60 s for it leave 540 s.
    assert seen == [
        (1, 0, None),
        (1, 0, None),
        (1, pytest.approx(0.1), pytest.approx(540)),
        (2, 0.25, 180),
    ]


def test_the_cell_that_runs_is_described(tally: Tally) -> None:
    said = [progress.current_text(tally)]
    for event in (CellStarted(IDS[0]), epoch(4), CellEnded(IDS[0], "ok", "")):
        tally.take(event)
        said.append(progress.current_text(tally))
    name = "resnet18 · fine_tuning · seed 0"
    assert said == [
        "starting a worker",
        f"{name}  preparing",
        f"{name}  epoch 4/10 (all)  1,234 images/s  val 0.500",
        "starting a worker",
    ]


def test_the_seed_is_named_where_there_are_several() -> None:
    alone = Tally([], CELLS[:1], [1.0])
    assert [cell.name for cell in alone.work.values()] == ["resnet18 · fine_tuning"]
    both = Tally(CELLS[:1], CELLS[1:], [1.0])
    assert [cell.name for cell in both.work.values()] == ["resnet18 · fine_tuning · seed 1"]


def test_a_run_without_work_is_done() -> None:
    empty = Tally(CELLS, [], [])
    assert (empty.count, empty.total, progress.left_text(empty)) == (2, 2, "")


def test_plain_lines_are_one_for_each_cell_and_never_broken(tally: Tally) -> None:
    file = io.StringIO()
    with progress.display(Console(file=file, width=20), tally) as display:
        for event in (
            CellStarted(IDS[0]),
            epoch(1),
            CellEnded(IDS[0], "ok", "top1 val 0.5"),
            CellEnded(IDS[1], "failed", "failed (crash): [bold]\x1b[2J"),
        ):
            display(event)
    assert file.getvalue().splitlines() == [
        "[2/3] resnet18 · fine_tuning · seed 0  top1 val 0.5  about 3 min 0 s left",
        "[3/3] resnet18 · fine_tuning · seed 1  failed (crash): [bold][2J",
    ]


def test_seeds_that_run_once_more_are_said_in_a_line_and_count_for_nothing(tally: Tally) -> None:
    file = io.StringIO()
    with progress.display(Console(file=file), tally) as display:
        display(CellStarted(IDS[0]))
        display(GroupRetried("resnet18 · two_phase", 2, "its process was killed by SIGKILL"))
    assert file.getvalue() == (
        "resnet18 · two_phase: its process was killed by SIGKILL; its 2 seeds run once more, "
        "one at a time\n"
    )
    for event in (CellStarted(IDS[0]), epoch(4), GroupRetried("x", 2, "y")):
        tally.take(event)
    assert (tally.count, tally.share, tally.current) == (1, 0, None)


def test_what_a_worker_has_to_say_is_a_line(tally: Tally) -> None:
    file = io.StringIO()
    with progress.display(Console(file=file, width=20), tally) as display:
        display(Noted("resnet18: [b]\x1b not used"))
    assert file.getvalue() == "resnet18: [b] not used\n"


def test_what_moves_the_cursor_or_turns_the_writing_is_left_out() -> None:
    assert terminal.plain("a\x1b[31mb\r\nc\u202ed\x9be") == "a[31mbcde"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_read_as_people_write_them(seconds: float, text: str) -> None:
    assert terminal.clock_text(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "live"),
    [("X", "", True), ("CI", "1", False), ("TERM", "dumb", False), ("NO_COLOR", "1", True)],
)
def test_only_a_terminal_that_can_redraw_gets_a_live_display(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, live: bool
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(name, value)
    assert ("0/2 cells" in drawn(force_terminal=True)) == live
    assert "0/2 cells" not in drawn(force_terminal=False)


def drawn(*, force_terminal: bool) -> str:
    """What stands on a console while the first cell runs, and after it."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=force_terminal, width=100, color_system=None)
    with progress.display(console, Tally([], CELLS, [1.0, 1.0])) as display:
        display(CellStarted(IDS[0]))
        display(CellEnded(IDS[0], "ok", "top1 val 0.5"))
    return file.getvalue()


def test_waiting_is_said_on_a_terminal_only() -> None:
    file = io.StringIO()
    with terminal.status(Console(file=file), "looking"):
        pass
    with terminal.status(Console(file=file), "looking") as tell:
        tell("still looking")
    assert file.getvalue() == ""


def test_what_is_waited_for_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=io.StringIO(), force_terminal=True)
    with terminal.status(console, "looking") as tell:
        tell("3 of 5\x1b[2J")
        time.sleep(0.2)  # it is redrawn about twelve times a second
    assert isinstance(console.file, io.StringIO)
    assert "3 of 5" in console.file.getvalue()
    assert "5\x1b[2J" not in console.file.getvalue()


def test_a_live_display_leaves_the_lines_of_its_cells_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    lines = Text.from_ansi(drawn(force_terminal=True)).plain
    assert "[1/2] resnet18 · fine_tuning · seed 0  top1 val 0.5" in lines
