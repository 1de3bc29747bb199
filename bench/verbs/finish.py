"""What is left of the cells when the last one has ended: thumbnails, and the weights that stay."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.choice import summarise
from bench.analysis.consistency import damaged
from bench.analysis.table import table
from bench.folder import read_records, remove_weights_but, weights_path, write_thumbnails
from bench.predictions import confident_mistakes
from bench.record import Failure, Result, Run

if TYPE_CHECKING:
    from bench.data.decoded import Making
    from bench.running.plan import Images

Record = Result | Failure


def finish(folder: Path, run: Run, images: "Images", made: "Making") -> list[str]:
    """Settle what stays in a locked run folder; lines to say. Raises FolderError.

    A cell whose record is damaged counts as one that is not ok.
    """
    records = read_records(folder)
    bad = damaged(records)
    intact = [record for record in records if record.cell_id not in bad]
    return [
        *(f"the record of {cell_id} is damaged: {problem}" for cell_id, problem in bad.items()),
        *picture(folder, intact, images, made),
        *settle_weights(folder, run, intact),
    ]


# ---- thumbnails -----------------------------------------------------------------------------


def picture(folder: Path, records: Iterable[Record], images: "Images", made: "Making") -> list[str]:
    """Thumbnails of the test images that cells were most sure of and wrong about."""
    from bench.data.dataset import shortened
    from bench.data.decoded import thumbnails

    items = {index: images.split.test[index] for index in mistakes(records)}
    found = thumbnails(images.dataset, list(items.values()), made.folders)
    shown = {index: found.jpegs[item] for index, item in items.items() if item in found.jpegs}
    write_thumbnails(folder, shown)
    return shortened([f"no thumbnail: {problem}" for problem in found.problems], limit=3)


def mistakes(records: Iterable[Record]) -> list[int]:
    """Indices of test images, each cell's most confident mistakes among them, in order."""
    ok = (record for record in records if isinstance(record, Result))
    found = (confident_mistakes(record.quality.test.predictions) for record in ok)
    return sorted({index for indices in found for index in indices})


# ---- weights --------------------------------------------------------------------------------


def settle_weights(folder: Path, run: Run, records: Sequence[Record]) -> list[str]:
    wanted = lasting(run, records)
    remove_weights_but(folder, wanted)
    there = {cell_id for cell_id in wanted if weights_path(folder, cell_id).exists()}
    if is_settled(run, records):
        lacking = wanted - there
        return [f"the trained weights of {named(lacking)} were not kept"] if lacking else []
    if there and run.suite.keep_weights == "winner":
        return [f"the trained weights of {named(there)} stay until every cell is ok"]
    return []


def named(cell_ids: Collection[str]) -> str:
    return ", ".join(sorted(cell_ids)) if len(cell_ids) < 3 else f"{len(cell_ids)} cells"


def lasting(run: Run, records: Sequence[Record]) -> set[str]:
    """The cells whose weights stay: all that are ok, or the chosen one.

    While a cell is not ok, the same command tries it again, and another may be chosen then.
    """
    match run.suite.keep_weights:
        case "none":
            return set()
        case "winner" if is_settled(run, records):
            chosen = summarise(table(run, records)).chosen
            return set() if chosen is None else {chosen}
        case _:
            return {record.cell_id for record in records if record.status == "ok"}


def is_settled(run: Run, records: Sequence[Record]) -> bool:
    """Whether every cell of the run is ok, so that the same command would train nothing."""
    return {record.cell_id for record in records if record.status == "ok"} >= set(run.cells)
