"""Changes of level that came together: one metric, from one run to the next, in so many cells."""

from typing import NamedTuple

from bench.analysis.histories import WATCHED, Change, Histories


class News(NamedTuple):
    """Changes of one metric between the same two runs."""

    metric: str
    run: int
    before: int
    changes: tuple[Change, ...]  # the largest first
    num_cells: int  # that have a value in this run


def news(found: Histories) -> list[News]:
    """All changes, the newest first."""
    together: dict[tuple[int, int, str], list[Change]] = {}
    for cell in found.cells:
        for change in cell.changes:
            together.setdefault((change.run, change.before, change.metric), []).append(change)
    fields = {watched.name: watched.field for watched in WATCHED}
    return [
        News(
            metric,
            run,
            before,
            tuple(sorted(changes, key=lambda change: -abs(change.amount))),
            sum(
                run in cell.rows and getattr(cell.rows[run], fields[metric]) is not None
                for cell in found.cells
            ),
        )
        for (run, before, metric), changes in sorted(
            together.items(), key=lambda item: (-item[0][0], -item[0][1], ORDER.index(item[0][2]))
        )
    ]


ORDER = [watched.name for watched in WATCHED]
