"""What a person sees while cells run: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.identity import cell_id
from bench.record import Cell
from bench.running import pool
from bench.terminal import can_redraw, clock_text, plain


class Share(NamedTuple):
    """A cell that is to run, and how much work it is, in any unit."""

    name: str
    amount: float
    epochs: int


class Tally:
    """What has become of the cells of a run so far."""

    def __init__(
        self, done: Sequence[Cell], left: Sequence[Cell], amounts: Sequence[float]
    ) -> None:
        several = len({cell.seed for cell in (*done, *left)}) > 1
        self.work: dict[str, Share] = {}  # by cell id, in order of running
        for cell, amount in zip(left, amounts, strict=True):
            seed = f" · seed {cell.seed}" if several else ""
            name = plain(f"{cell.architecture_label} · {cell.strategy}{seed}")
            self.work[cell_id(cell)] = Share(name, amount, cell.recipe.epochs)
        self.num_before = len(done)
        self.over: set[str] = set()
        self.current: str | None = None
        self.epoch: pool.EpochEnded | None = None
        self._started = time.monotonic()

    def take(self, event: pool.Event) -> None:
        match event:
            case pool.CellStarted():
                self.current, self.epoch = event.cell_id, None
            case pool.EpochEnded():
                self.epoch = event
            case pool.CellEnded():
                self.over.add(event.cell_id)
                self.current, self.epoch = None, None
            case pool.GroupRetried() | pool.BatchHalved():
                self.current, self.epoch = None, None

    @property
    def total(self) -> int:
        return len(self.work) + self.num_before

    @property
    def count(self) -> int:
        return len(self.over) + self.num_before

    @property
    def share(self) -> float:
        """Part of this sitting's work that is done, 0 to 1."""
        done = sum(self.work[name].amount for name in self.over)
        if self.current is not None and self.epoch is not None:
            cell = self.work[self.current]
            done += cell.amount * self.epoch.point.epoch / cell.epochs
        return done / max(sum(cell.amount for cell in self.work.values()), 1e-9)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    @property
    def left_seconds(self) -> float | None:
        """Time left at the speed so far; None until a fiftieth of the work is done."""
        return self.elapsed * (1 / self.share - 1) if self.share > 0.02 else None


@contextmanager
def display(console: Console, tally: Tally) -> Iterator[pool.Listener]:
    """A listener that prints a line for each cell that is over, and for what else went wrong.

    On a terminal that can redraw, the cell that runs and a bar stand below the lines.
    """
    redraws = can_redraw(console)

    def say(text: str, style: str) -> None:
        console.print(Text(text, style), soft_wrap=not redraws)

    def hear(event: pool.Event) -> None:
        tally.take(event)
        if isinstance(event, pool.CellEnded):
            left = "" if redraws else f"  {left_text(tally)}"
            line = f"{cell_line(tally, event)}{left}".rstrip()
            say(line, "" if event.status == "ok" else "red")
        elif isinstance(event, pool.GroupRetried):
            again = f"its {event.num_seeds} seeds run once more, one at a time"
            say(plain(f"{event.strategy}: {event.death}; {again}"), "yellow")
        elif isinstance(event, pool.BatchHalved):
            again = f"runs again, each batch of {event.batch_size} in {event.passes} passes"
            say(plain(f"{event.cell}: {event.death}; {again}"), "yellow")
        elif isinstance(event, pool.Noted):
            say(plain(event.text), "yellow")

    if not redraws:
        yield hear
        return
    with Live(console=console, get_renderable=lambda: picture(tally), transient=True):
        yield hear  # redrawn four times a second


def picture(tally: Tally) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        Text(f"{tally.count}/{tally.total} cells", style="bold"),
        ProgressBar(total=1.0, completed=tally.share, width=30),
        Text(clock_text(tally.elapsed)),
        Text(left_text(tally), style="dim"),
    )
    return Group(Text(), Text(current_text(tally), no_wrap=True, overflow="ellipsis"), grid)


def current_text(tally: Tally) -> str:
    if tally.current is None:
        return "starting a worker"
    cell = tally.work[tally.current]
    if tally.epoch is None:
        return f"{cell.name}  preparing"
    point = tally.epoch.point
    epoch = f"epoch {point.epoch}/{cell.epochs} ({point.phase})"
    score = "" if point.val_score is None else f"  val {point.val_score:.3f}"
    return f"{cell.name}  {epoch}  {tally.epoch.images_per_second:,.0f} images/s{score}"


def cell_line(tally: Tally, ended: pool.CellEnded) -> str:
    width = len(str(tally.total))
    names = max(len(cell.name) for cell in tally.work.values())
    name = tally.work[ended.cell_id].name
    return f"[{tally.count:>{width}}/{tally.total}] {name:<{names}}  {plain(ended.summary)}"


def left_text(tally: Tally) -> str:
    """Time left in words; nothing when all is done or too little is known."""
    seconds = tally.left_seconds
    if seconds is None or tally.count == tally.total:
        return ""
    return f"about {clock_text(seconds)} left"
