"""Several runs of one suite as one: more seeds, or the same cells on other machines.

Runs merge where the tasks of their cells agree but for the seed. What the suite only prefers (where
to look for weights first, which to keep) may differ, and so may the machines.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import Any, NamedTuple

from bench.analysis.table import RunTable, compared_facts, table
from bench.errors import NotOneTask
from bench.identity import cell_identity, differences, flat
from bench.record import Record, Run, UsedWeights
from bench.suite import Suite


class NamedRun(NamedTuple):
    name: str
    table: RunTable


class Repeated(NamedTuple):
    counted: Record
    counted_name: str
    left_out: Record
    left_out_name: str


class Merged(NamedTuple):
    table: RunTable
    repeated: tuple[Repeated, ...]


def merge(parts: Sequence[NamedRun]) -> Merged:
    """The runs as one, in the order of the first suite; a single one on its reference machine.

    Of a cell that several runs have, an ok record counts before one that is not (a resumed run
    would have replaced it), then that of the run named first. Raises NotOneTask, or ValueError
    where records contradict each other.
    """
    first = parts[0].table
    if len(parts) == 1:
        return Merged(_on_reference_machine(first), ())
    for one, other in combinations(parts, 2):
        # As a whole: suite, data, split, weights, preprocessing; then cell by cell.
        fields = differences(_run_task(one.table.run), _run_task(other.table.run))
        if problems := [*map(str, fields), *_cells(one, other)]:
            raise NotOneTask(one.name, other.name, problems)
    runs = [part.table.run for part in parts]
    suite = _with_all_seeds(runs)
    ids = {asked: cell_id for run in runs for asked, cell_id in _cell_ids(run).items()}
    cells = tuple(ids[asked] for asked in suite.asked)
    counted, repeated = _counted(parts)
    records = [counted[cell_id] for cell_id in cells if cell_id in counted]
    whole = table(_as_one(runs, suite, cells), records)
    return Merged(_on_reference_machine(whole), tuple(repeated))


def _with_all_seeds(runs: Sequence[Run]) -> Suite:
    """The first run's suite, each strategy with the seeds that it has in any of them."""
    seeds: dict[str, set[int]] = {}
    for run in runs:
        for strategy in run.suite.strategies:
            seeds.setdefault(strategy.name, set()).update(run.suite.seeds_for(strategy))
    suite, common = runs[0].suite, sorted(set.intersection(*seeds.values()))
    own = {name: sorted(found) for name, found in seeds.items() if len(found) > len(common)}
    strategies = [one.model_copy(update={"seeds": own.get(one.name)}) for one in suite.strategies]
    return suite.model_copy(update={"seeds": common or suite.seeds, "strategies": strategies})


def _on_reference_machine(found: RunTable) -> RunTable:
    machine = next((one.machine for one in found.measured), found.run.machine)
    if compared_facts(machine) == compared_facts(found.run.machine):
        return found
    profile = "gpu" if machine.device == "cuda" else "cpu"
    run = found.run.model_copy(update={"machine": machine, "profile": profile})
    return replace(found, run=run)


def _cell_ids(run: Run) -> dict[tuple[str, str, int], str]:
    return dict(zip(run.suite.asked, run.cells, strict=True))


def _counted(parts: Sequence[NamedRun]) -> tuple[dict[str, Record], list[Repeated]]:
    found: dict[str, list[tuple[Record, str]]] = {}
    for part in parts:
        for record in part.table.records.values():
            found.setdefault(record.cell_id, []).append((record, part.name))
    counted, repeated = {}, []
    for cell_id, records in found.items():
        (best, name), *rest = sorted(records, key=lambda one: one[0].status != "ok")
        counted[cell_id] = best
        repeated += [Repeated(best, name, record, of) for record, of in rest]
    return counted, repeated


def _as_one(runs: Sequence[Run], suite: Suite, cells: tuple[str, ...]) -> Run:
    first = runs[0]
    ends = [run.finished_at for run in runs]
    return first.model_copy(
        update={
            "suite": suite,
            "cells": cells,
            "status": next((run.status for run in runs if run.status != "finished"), "finished"),
            "data_notes": tuple(dict.fromkeys(chain(*(run.data_notes for run in runs)))),
            "added": tuple(dict.fromkeys(chain(*(run.added for run in runs)))),
            # The most that any run found: of equal keys the last one stays, the largest.
            "duplicates": dict(sorted(chain(*(run.duplicates.items() for run in runs)))),
            "source": _source([run.source for run in runs]),
            "started_at": min(run.started_at for run in runs),
            "finished_at": None if None in ends else max(end for end in ends if end),
            "wall_seconds": sum(run.wall_seconds for run in runs),
            "sittings": tuple(chain(*(run.sittings for run in runs))),
        }
    )


def _source(sources: Sequence[UsedWeights]) -> UsedWeights:
    """Where the weights came from; if any run fell back, that one's, with all that was missing."""
    told = next((source for source in sources if source.fell_back), sources[0])
    missing = dict.fromkeys(chain.from_iterable(source.missing for source in sources))
    return told.model_copy(update={"missing": tuple(missing)})


def _run_task(run: Run) -> dict[str, object]:
    beside_the_task: Any = {
        **dict.fromkeys(("seeds", "weights", "keep_weights", "run", "compare"), True),
        "strategies": {"__all__": {"seeds"}},
    }
    return {
        "protocol_version": run.protocol_version,
        "data.content_sha256": run.data.content_sha256,
        "data.split_sha256": run.data.split_sha256,
        "data.white": run.data.white,
        **flat("data.classes", run.data.classes),
        "source.used": run.source.used,
        **flat("suite", run.suite.model_dump(exclude=beside_the_task)),
        **flat("preprocessing", {k: v.model_dump() for k, v in run.preprocessing.items()}),
    }


def _cells(first: NamedRun, other: NamedRun) -> list[str]:
    tasks, others = _row_tasks(first), _row_tasks(other)
    found = [
        f"{' · '.join(row)}: {field}"
        for row in tasks.keys() & others.keys()
        for field in differences(tasks[row], others[row])
    ]
    if found:
        return sorted(found)
    # Cells whose identities differ, though no record is there to tell in what.
    ids, other_ids = _cell_ids(first.table.run), _cell_ids(other.table.run)
    return [
        f"{asked[0]} · {asked[1]}, seed {asked[2]}: {ids[asked]} and {other_ids[asked]}"
        for asked in sorted(ids.keys() & other_ids.keys())
        if ids[asked] != other_ids[asked]
    ]


def _row_tasks(part: NamedRun) -> dict[tuple[str, str], dict[str, object]]:
    return {
        (cell.architecture_label, cell.strategy): {**cell_identity(cell), "cell.seed": None}
        for cell in (record.cell for record in part.table.records.values())
    }
