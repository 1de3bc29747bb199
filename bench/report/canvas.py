"""What the plots share: one style, one colour per architecture, one marker per strategy.

No pyplot: figures are values, and nothing is global but the style, which the caller enters.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.rows import Row
from bench.analysis.summary import Summary
from bench.record import Run
from bench.report import units
from bench.report.fonts import drawable
from bench.report.formats import one_line

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#666666",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "savefig.dpi": 200,
    "svg.hashsalt": "bench",  # otherwise every SVG of the same run differs
    "text.parse_math": False,  # a class named "$x$" is a name, not a formula
}

COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"),
    *("#332288", "#882255", "#999933", "#000000", "#44aa99", "#aa4499"),
)
"""Six of Okabe and Ito, then six of Tol's muted set: told apart with any colour vision."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
GREY = "#666666"


class Look(NamedTuple):
    """Colour of each architecture and marker of each strategy."""

    colours: Mapping[str, str]
    markers: Mapping[str, str]


def look(summary: Summary) -> Look:
    """Colours and markers in the order of the suite; they repeat beyond twelve."""
    architectures = list(dict.fromkeys(row.architecture for row in summary.rows))
    strategies = list(dict.fromkeys(row.strategy for row in summary.rows))
    return Look(
        {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(architectures)},
        {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(strategies)},
    )


def blank(width: float, height: float) -> Figure:
    """An empty figure, in inches, that lays itself out."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    return figure


def caption(figure: Figure, title: str, note: str) -> None:
    """Write the title above a figure and the note below it, wrapped to its width."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    characters = int(20 * figure.get_figwidth())
    lines = [line for part in note.split("\n") for line in textwrap.wrap(part, characters)]
    note = "\n".join(lines)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=6.8, color=GREY, linespacing=1.5)


def basis(run: Run, summary: Summary) -> str:
    """What the numbers stand on: machine, data, seeds and images; and what had no room."""
    line = " · ".join(
        (
            f"{short(run.suite_name)}, {units.setting(run)}",
            f"{short(run.data.name)}: {run.data.num_train:,} train, {run.data.num_val:,} val, "
            f"{run.data.num_test:,} test images",
            units.plural(len(run.suite.seeds), "seed"),
        )
    )
    machines = "\nCosts: of the cells on this machine." if summary.mixed_machines else ""
    shown = no_room(run, summary)
    return "\n".join(filter(None, (f"{line}{machines}", shown)))


def no_room(run: Run, summary: Summary) -> str:
    """Which rows a plot of the summary shows, and why; empty where it has all of the run."""
    counts = {
        "architectures": (len({r.architecture for r in summary.rows}), len(run.preprocessing)),
        "strategies": (len({r.strategy for r in summary.rows}), len(run.suite.strategies)),
    }
    parts = [f"{n} of {total} {what}" for what, (n, total) in counts.items() if n < total]
    chosen = "those with the best val scores and what is recommended"
    return f"Shown: {' and '.join(parts)}, {chosen}; the tables have all." if parts else ""


def not_shown(rows: Sequence[Row]) -> str:
    """Lines that name the rows without a place in a plot, by reason; empty if there are none."""
    reused = [row for row in rows if row.features_reused and row.complete]
    others = [row for row in rows if row not in reused]
    reasons = {
        "for want of a number or of a complete set of seeds": others,
        "because features of an earlier run made them cheaper": reused,
    }
    return "".join(_left_out(why, left_out) for why, left_out in reasons.items() if left_out)


def _left_out(why: str, rows: Sequence[Row]) -> str:
    named = ", ".join(f"{short(row.architecture)} · {short(row.strategy)}" for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"\nNot shown, {why}: {named}{more}."


def legends(figure: Figure, style: Look) -> None:
    """Write the colours and the markers beside the axes."""
    heading = Line2D([], [], linestyle="none", label="")
    architectures = [patch(colour, "o", name) for name, colour in style.colours.items()]
    strategies = [patch(GREY, marker, name) for name, marker in style.markers.items()]
    handles = [_heading("architecture"), *architectures, heading, _heading("strategy"), *strategies]
    figure.legend(handles=handles, loc="outside right upper")


def _heading(text: str) -> Line2D:
    return Line2D([], [], linestyle="none", label=text)


def patch(colour: str, marker: str, label: str) -> Line2D:
    """One entry of a legend."""
    return Line2D(
        [], [], linestyle="none", marker=marker, color=colour, markersize=5, label=short(label)
    )


def short(name: str) -> str:
    """A name that fits beside an axis: one line, at most 26 characters."""
    text = drawable(one_line(name))
    return text if len(text) <= 26 else f"{text[:25]}…"
