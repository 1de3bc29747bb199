"""What must be said of a report whose records come from several runs: plain sentences."""

from collections.abc import Sequence

from bench.analysis.merge import Merged, Part
from bench.report import units
from bench.report.formats import one_line


def notes(parts: Sequence[Part], merged: Merged) -> list[str]:
    """Which runs became one, and of which cells a record was left out; nothing for one run."""
    if len(parts) < 2:
        return []
    told = "; ".join(_told(part) for part in parts)
    found = [f"This report merges {len(parts)} runs of one task: {told}."]
    if merged.repeated:
        cells = len({twice.counted.cell_id for twice in merged.repeated})
        found.append(
            f"{units.plural(cells, 'cell')} {'is' if cells == 1 else 'are'} in more than one run. "
            "One record of each counts: an ok one before others, then that of the run named first. "
            f"{units.plural(len(merged.repeated), 'record')} left out: see tables/repeated.md."
        )
    return found


def _told(part: Part) -> str:
    seeds = ", ".join(map(str, part.run.suite.seeds))
    word = "seed" if len(part.run.suite.seeds) == 1 else "seeds"
    return f"{one_line(part.name)} ({word} {seeds}; {units.device(part.run.machine)})"
