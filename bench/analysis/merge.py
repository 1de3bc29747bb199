"""Several runs of one suite as one: more seeds, or the same cells on other machines.

Runs merge where the tasks of their cells agree but for the seed. What the suite only prefers
(where weights are looked for first, which are kept) may differ, and so may the machines.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, combinations, product
from typing import NamedTuple

from bench.analysis.machines import compared_facts, reference
from bench.analysis.rows import missing_cells, results
from bench.errors import NotOneTask
from bench.identity import cell_identity
from bench.record import Failure, Result, Run, Source


class Part(NamedTuple):
    """One of the runs, under the name by which the report calls it."""

    name: str
    run: Run
    records: Sequence[Result | Failure]


class Repeated(NamedTuple):
    """A cell that more than one run has a record of: the one that counts, and one that does not."""

    counted: Result | Failure
    counted_name: str
    left_out: Result | Failure
    left_out_name: str


class Merged(NamedTuple):
    """The runs as one, over the union of their seeds."""

    run: Run
    records: list[Result | Failure]
    repeated: tuple[Repeated, ...]


NOT_COMPARED = {"seeds", "weights", "keep_weights", "compare"}
"""Keys of the suite that leave a cell's task as it is."""


def merge(parts: Sequence[Part]) -> Merged:
    """The runs as one, in the order of the first suite; a single one on its reference machine.

    Of a cell that several runs have, an ok record counts before one that is not (a resumed run
    would have replaced it), then that of the run named first. Raises NotOneTask.
    """
    first = parts[0]
    if len(parts) == 1:
        return Merged(on_reference_machine(first.run, first.records), list(first.records), ())
    for one, other in combinations(parts, 2):
        if problems := [*run_differences(one, other), *cell_differences(one, other)]:
            raise NotOneTask(one.name, other.name, problems)
    seeds = sorted({seed for part in parts for seed in part.run.suite.seeds})
    ids = {asked: cell_id for part in parts for asked, cell_id in _cell_ids(part).items()}
    strategies = [entry.name for entry in first.run.suite.strategies]
    order = product(first.run.preprocessing, strategies, seeds)
    cells = tuple(ids[asked] for asked in order if asked in ids)
    counted, repeated = _counted(parts)
    records = [counted[cell_id] for cell_id in cells if cell_id in counted]
    run = _as_one([part.run for part in parts], seeds, cells)
    return Merged(on_reference_machine(run, records), records, tuple(repeated))


def on_reference_machine(run: Run, records: Sequence[Result | Failure]) -> Run:
    """The run as of the machine whose costs are compared."""
    measured = reference(results(records))
    if not measured or compared_facts(measured[0].machine) == compared_facts(run.machine):
        return run
    machine = measured[0].machine
    profile = "gpu" if machine.device == "cuda" else "cpu"
    return run.model_copy(update={"machine": machine, "profile": profile})


def _cell_ids(part: Part) -> dict[tuple[str, str, int], str]:
    """By architecture, strategy and seed."""
    cells = [(record.cell, record.cell_id) for record in part.records]
    ids = {(cell.architecture_label, cell.strategy, cell.seed): name for cell, name in cells}
    missing = missing_cells(part.run, part.records)
    return ids | {(one.architecture, one.strategy, one.seed): one.cell_id for one in missing}


def _counted(
    parts: Sequence[Part],
) -> tuple[dict[str, Result | Failure], list[Repeated]]:
    """By cell id the record that counts; and all that do not."""
    found: dict[str, list[tuple[Result | Failure, str]]] = {}
    for part in parts:
        for record in part.records:
            found.setdefault(record.cell_id, []).append((record, part.name))
    counted, repeated = {}, []
    for cell_id, records in found.items():
        (best, name), *rest = sorted(records, key=lambda one: one[0].status != "ok")
        counted[cell_id] = best
        repeated += [Repeated(best, name, record, of) for record, of in rest]
    return counted, repeated


def _as_one(runs: Sequence[Run], seeds: Sequence[int], cells: tuple[str, ...]) -> Run:
    """What the runs are together; where they may differ, the first one's."""
    first = runs[0]
    open_runs = [run.status for run in runs if run.status != "finished"]
    ends = [run.finished_at for run in runs]
    return first.model_copy(
        update={
            "suite": first.suite.model_copy(update={"seeds": list(seeds)}),
            "cells": cells,
            "status": open_runs[0] if open_runs else "finished",
            "data_notes": tuple(dict.fromkeys(chain(*(run.data_notes for run in runs)))),
            "duplicates": _duplicates(runs),
            "source": _source([run.source for run in runs]),
            "started_at": min(run.started_at for run in runs),
            "finished_at": None if None in ends else max(end for end in ends if end),
            "wall_seconds": sum(run.wall_seconds for run in runs),
            "sittings": tuple(chain(*(run.sittings for run in runs))),
        }
    )


def _duplicates(runs: Sequence[Run]) -> dict[str, int]:
    """The most images of identical bytes that any of the runs found."""
    found: dict[str, int] = {}
    for parts, count in chain.from_iterable(run.duplicates.items() for run in runs):
        found[parts] = max(count, found.get(parts, 0))
    return found


def _source(sources: Sequence[Source]) -> Source:
    """Where the weights came from; what any run fell back from must be told, and all it lacked."""
    told = next((source for source in sources if source.fell_back), sources[0])
    missing = dict.fromkeys(chain.from_iterable(source.missing for source in sources))
    return told.model_copy(update={"missing": tuple(missing)})


# ---- what must agree ------------------------------------------------------------------------


def run_differences(first: Part, other: Part) -> list[str]:
    """Fields in which the runs differ as a whole: suite, data, split, weights, preprocessing."""
    return _differences(run_task(first.run), run_task(other.run), first.name, other.name)


def run_task(run: Run) -> dict[str, object]:
    """By dotted path, all of a run that every one of its cells shares."""
    return {
        "protocol_version": run.protocol_version,
        "data.content_sha256": run.data.content_sha256,
        "data.split_sha256": run.data.split_sha256,
        **_flat("data.classes", run.data.classes),
        "weights used": run.source.used,
        **_flat("suite", run.suite.model_dump(exclude=NOT_COMPARED)),
        **_flat("preprocessing", {k: v.model_dump() for k, v in run.preprocessing.items()}),
    }


def cell_differences(first: Part, other: Part) -> list[str]:
    """Fields in which cells of one architecture and strategy differ besides the seed."""
    tasks, others = row_tasks(first), row_tasks(other)
    found = [
        f"{architecture} · {strategy}: {text}"
        for architecture, strategy in tasks.keys() & others.keys()
        for text in _differences(
            tasks[architecture, strategy],
            others[architecture, strategy],
            first.name,
            other.name,
        )
    ]
    return sorted(found) or id_differences(first, other)


def id_differences(first: Part, other: Part) -> list[str]:
    """Cells whose identities differ, though no record is there to tell in what."""
    ids, others = _cell_ids(first), _cell_ids(other)
    return [
        f"{architecture} · {strategy}, seed {seed}: {ids[architecture, strategy, seed]} in "
        f"{first.name}, {others[architecture, strategy, seed]} in {other.name}"
        for architecture, strategy, seed in sorted(ids.keys() & others.keys())
        if ids[architecture, strategy, seed] != others[architecture, strategy, seed]
    ]


def row_tasks(part: Part) -> dict[tuple[str, str], dict[str, object]]:
    """The task of each architecture and strategy, from the first of its records."""
    first: dict[tuple[str, str], Result | Failure] = {}
    for record in part.records:
        first.setdefault((record.cell.architecture_label, record.cell.strategy), record)
    return {
        row: {
            path.removeprefix("cell."): value
            for path, value in cell_identity(record.cell).items()
            if path != "cell.seed"
        }
        for row, record in first.items()
    }


def _flat(path: str, value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        inner = {f"{path}.{key}": inside for key, inside in value.items()}
    elif isinstance(value, list | tuple):
        inner = {f"{path}[{index}]": inside for index, inside in enumerate(value)}
    else:
        return {path: value}
    return {
        key: leaf for name, inside in inner.items() for key, leaf in _flat(name, inside).items()
    }


def _differences(
    first: Mapping[str, object], other: Mapping[str, object], name: str, other_name: str
) -> list[str]:
    return [
        f"{path} is {_shown(first, path)} in {name}, {_shown(other, path)} in {other_name}"
        for path in dict.fromkeys([*first, *other])
        if first.get(path) != other.get(path)
    ]


def _shown(values: Mapping[str, object], path: str) -> str:
    text = str(values.get(path, "not there"))
    return text if len(text) <= 40 else f"{text[:39]}…"
