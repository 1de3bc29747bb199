"""A second run of some architectures of an earlier one: whether it may be, and of what."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from bench import __version__
from bench.folder import read_records, remove_records
from bench.identity import cell_id, cell_identity, key_facts
from bench.record import Cell, Failure, Result, Run
from bench.running.findings import Hardware
from bench.running.sitting import Assignment
from bench.suite import labels_of

Record = Result | Failure


def of_architectures(assignment: Assignment, labels: Collection[str], name: str) -> Assignment:
    """The same cells of some architectures, as a suite with a name of its own.

    A worker runs one architecture, so each of these cells finds in it what it found before.
    """
    suite = assignment.suite
    entries = [entry for label, entry in labels_of(suite).items() if label in labels]
    return assignment._replace(
        suite=suite.model_copy(update={"name": name, "architectures": entries}),
        pipelines={key: one for key, one in assignment.pipelines.items() if key[0] in labels},
        cells=[cell for cell in assignment.cells if cell.architecture_label in labels],
    )


# ---- whether it is the same again -----------------------------------------------------------


def other_conditions(hardware: Hardware, records: Sequence[Record]) -> list[str]:
    """In what this machine and this bench differ from those of an earlier run's results."""
    ok = [one for one in records if isinstance(one, Result)]
    ways = {(one.execution, one.machine, *_bench(one)): one for one in ok}
    found = [
        text
        for one in ways.values()
        for text in (*_other_machine(one, hardware), *_other_bench(one, hardware))
    ]
    return list(dict.fromkeys(found))


def _other_machine(one: Result, hardware: Hardware) -> list[str]:
    then = key_facts(one.execution, one.machine, "performance")
    now = key_facts(one.execution, hardware.machine, "performance")
    return [
        f"{path}: {_short(then.get(path))} then, {_short(now.get(path))} now"
        for path in sorted(then.keys() | now.keys(), key=lambda path: (path != DEVICE, path))
        # What is unknown may be another; how a cell is executed shows only when it runs.
        if path.startswith("machine.")
        and (then.get(path) != now.get(path) or now.get(path) is None)
    ]


DEVICE = "machine.device"


def _other_bench(one: Result, hardware: Hardware) -> list[str]:
    then, now = _bench(one), (__version__, hardware.commit)
    if then == now:
        return []
    told = [f"{version} ({commit or 'no commit'})" for version, commit in (then, now)]
    return [f"bench: {told[0]} then, {told[1]} now"]


def _bench(one: Result) -> tuple[str, str | None]:
    return one.provenance.bench, one.provenance.commit


def other_cells(cells: Sequence[Cell], run: Run, records: Sequence[Record]) -> list[str]:
    """In what the cells of a suite differ from those of an earlier run."""
    asked, there = {cell_id(cell) for cell in cells}, set(run.cells)
    known = {_names(record.cell): record.cell for record in records}
    fields = Counter(
        text
        for cell in cells
        if cell_id(cell) not in there and _names(cell) in known
        for text in _fields(known[_names(cell)], cell)
    )
    found = [f"{text} (cells: {count:,})" for text, count in fields.items()]
    if not found and (lacking := there - asked):
        found.append(
            f"cells that the suite does not have: {len(lacking):,}, such as {min(lacking)}"
        )
    if not found and (more := asked - there):
        found.append(f"cells that only the suite has: {len(more):,}, such as {min(more)}")
    return found


def _names(cell: Cell) -> tuple[str, str, int]:
    return cell.architecture_label, cell.strategy, cell.seed


def _fields(then: Cell, now: Cell) -> list[str]:
    one, other = cell_identity(then), cell_identity(now)
    return [
        f"{path.removeprefix('cell.')}: {_short(one.get(path, DEFAULT))} then, "
        f"{_short(other.get(path, DEFAULT))} now"
        for path in sorted(one.keys() | other.keys())
        if one.get(path) != other.get(path)
    ]


DEFAULT = "the default"


def _short(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def is_like(one: Record, first: Record | None) -> bool:
    """Whether the result of a cell was made as the first one was, so that their costs compare."""
    if not isinstance(one, Result) or not isinstance(first, Result):
        return False
    # A null key is unknown, which equals no other.
    known = one.keys.performance is not None
    return known and (one.keys.performance, _bench(one)) == (first.keys.performance, _bench(first))


# ---- going on with it -----------------------------------------------------------------------


def begin_architectures_anew(folder: Path, cells: Sequence[Cell]) -> None:
    """Take away the records of architectures that were not run to their end in one process.

    What a cell takes depends on what its process did before. The folder must be locked.
    """
    if not (folder / "run.json").exists():
        return
    ok = {one.cell_id for one in read_records(folder) if one.status == "ok"}
    broken = {cell.architecture_label for cell in cells if cell_id(cell) not in ok}
    remove_records(folder, (cell_id(cell) for cell in cells if cell.architecture_label in broken))
