"""Trained weights beside the records: whose, when, and what becomes of them where a run fails."""

import itertools
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from bench.folder import remove_records, weights_path, write_record
from bench.identity import cell_id
from bench.models import build
from bench.predictions import unpack
from bench.record import Cell, Result, UsedWeights
from bench.running.pool import Job
from bench.running.worker import Keeper
from bench.strategies import STRATEGIES
from bench.training.network import num_bytes
from tests import command, records
from tests.command import ROOT, SUITE, Place, quick
from tests.training import cells

SMALL = "mobilenet_v3_small"
SEEDS = (3, 0, 7, 1)
"""In the order of the suite, which is not that of the numbers."""


def small(kind: Any, seed: int) -> Cell:
    return cells.cell(kind, SMALL, seed=seed)


class Folder:
    """A run folder to which cells come with the val scores that a test gives them."""

    def __init__(self, folder: Path, keep: Any, told: list[str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        context = cells.context(SMALL)
        source = UsedWeights(wanted=("random",), used="random")
        job = Job(
            folder, context, records.CPU, None, source, keep, dict.fromkeys(STRATEGIES, SEEDS)
        )
        heard = [] if told is None else told
        self.keeper = Keeper(job, cells.worker([small("from_scratch", 0)]), heard.append)

    def score(self, cell: Cell, val: int) -> Result:
        """The record of a cell, whose network is kept as its worker would; not yet on the disk."""
        record = records.result(cell, val=val)
        network = build.build(SMALL, 10, 32, state=None, backbone_seed=0, head_seed=cell.seed)
        self.keeper.keep(cell, record.quality, network)
        return record

    def record(self, record: Result) -> None:
        write_record(self.folder, record)
        self.keeper.drop_beaten_by(record)

    def kept(self) -> set[str]:
        return {path.parent.name for path in self.folder.glob("cells/*/*.safetensors")}


# ---- whose ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("drawn", range(6))
def test_the_best_val_seed_of_each_strategy_is_kept_in_whatever_order_they_end(
    tmp_path: Path, drawn: int
) -> None:
    draw, run = random.Random(drawn), Folder(tmp_path / "out", "winner")
    asked = [small(kind, seed) for kind in ("from_scratch", "fine_tuning") for seed in SEEDS]
    vals = {cell: draw.choice((370, 380, 390)) for cell in asked}
    ended: list[Cell] = []
    for cell in draw.sample(asked, len(asked)):
        run.record(run.score(cell, vals[cell]))
        ended.append(cell)
        expected = set()
        for _, seeds in itertools.groupby(sorted(ended, key=asked.index), lambda c: c.strategy):
            by_val = sorted(seeds, key=lambda c: -vals[c])  # stable: of equals the suite's first
            expected.add(cell_id(by_val[0]))
        assert run.kept() == expected


def test_all_keeps_every_cell_and_none_writes_nothing(tmp_path: Path) -> None:
    asked = [small("from_scratch", seed) for seed in SEEDS]
    runs = {keep: Folder(tmp_path / keep, keep) for keep in ("all", "none")}
    for run in runs.values():
        for cell, val in zip(asked, (380, 390, 370, 360), strict=True):
            run.record(run.score(cell, val))
    assert runs["all"].kept() == set(map(cell_id, asked))
    assert runs["none"].kept() == set()


def test_a_seed_that_an_earlier_sitting_scored_higher_is_not_replaced(tmp_path: Path) -> None:
    first, second = (small("from_scratch", seed) for seed in SEEDS[:2])
    earlier = Folder(tmp_path / "out", "winner")
    earlier.record(earlier.score(first, 390))
    later = Folder(tmp_path / "out", "winner")
    later.record(later.score(second, 380))
    assert later.kept() == {cell_id(first)}


# ---- what may go wrong ----------------------------------------------------------------------


def test_weights_are_there_before_the_record_and_the_beaten_ones_go_after_it(
    tmp_path: Path,
) -> None:
    first, second = (small("from_scratch", seed) for seed in SEEDS[:2])
    run = Folder(tmp_path / "out", "winner")
    run.record(run.score(first, 380))
    record = run.score(second, 390)
    assert run.kept() == {cell_id(first), cell_id(second)}, "a crash here must lose neither"

    # The worker dies before the record is written: the next sitting runs the cell again.
    remove_records(run.folder, [record.cell_id])
    assert run.kept() == {cell_id(first)}
    run.record(run.score(second, 370))
    assert run.kept() == {cell_id(first)}


@pytest.mark.slow
def test_a_cell_without_room_keeps_its_record_and_one_line_says_so(tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk, as nobody but root may mount a small one.
    code = f"""
import resource
from pathlib import Path
from tests.running import test_keeping as t
told = []
run = t.Folder(Path({str(tmp_path / "out")!r}), "winner", told)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for seed, val in zip(t.SEEDS, (370, 380, 390, 360)):
    run.record(run.score(t.small("from_scratch", seed), val))
print(*told, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("the weights of from_scratch s3 are not kept: ")
    assert "File too large" in line
    assert len(list(tmp_path.rglob("record.json"))) == len(SEEDS)
    assert list(tmp_path.rglob("*weights*")) == []
    assert "Traceback" in done.stderr, "the log must hold the traceback"


def test_room_is_left_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    run = Folder(tmp_path / "out", "all", told)
    cell = small("from_scratch", 0)
    need = num_bytes(build.outline(cell.architecture, len(cell.data.classes), cell.image_size))
    for free, fits in ((need + (256 << 20), True), (need + (256 << 20) - 1, False)):
        usage = shutil._ntuple_diskusage(10**12, 0, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        run.record(run.score(small("from_scratch", 3 if fits else 0), 380))
    assert run.kept() == {cell_id(small("from_scratch", 3))}
    (line,) = told
    assert line.endswith("not kept: they need 6 MB; 275 MB are free, 268 of them for records")


# ---- through the command line ---------------------------------------------------------------

TWO = SUITE.replace("weights =", "seeds = [1, 0]\nweights =")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return command.place(tmp_path_factory.mktemp("keeping"))


def suite(here: Place, keep: str) -> Path:
    return here.suite(f'keep_weights = "{keep}"\n{TWO}', keep)


@pytest.fixture(scope="module")
def runs(here: Place) -> dict[str, Path]:
    """The same suite under each setting."""
    for keep in ("winner", "all", "none"):
        done = quick(here, "run", suite(here, keep), "--out", keep)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "weights of" not in done.stdout
    return {keep: here.folder / keep for keep in ("winner", "all", "none")}


def files(folder: Path) -> set[str]:
    assert list(folder.glob("cells/*/.weights*")) == []
    return {path.parent.name for path in folder.glob("cells/*/weights.safetensors")}


@pytest.mark.slow
def test_what_is_kept_changes_no_cell_and_no_score(runs: dict[str, Path]) -> None:
    scores = {keep: command.scores(folder) for keep, folder in runs.items()}
    assert len(scores["none"]) == 4
    assert scores["winner"] == scores["all"] == scores["none"]
    cells_of = {command.run_of(folder).cells for folder in runs.values()}
    assert len(cells_of) == 1


@pytest.mark.slow
def test_after_the_run_the_weights_are_those_that_were_asked_for(runs: dict[str, Path]) -> None:
    assert files(runs["none"]) == set()
    assert files(runs["all"]) == set(command.run_of(runs["all"]).cells)
    (chosen,) = files(runs["winner"])
    of_all = weights_path(runs["all"], chosen)
    found, same = load_file(weights_path(runs["winner"], chosen)), load_file(of_all)
    assert found.keys() == same.keys()
    assert all(found[name].equal(same[name]) for name in found)


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_best_seeds_until_every_cell_is_ok(here: Place) -> None:
    # A learning rate at which the loss is not finite.
    bad = '{name = "bad", kind = "from_scratch", lr = 1e30}'
    text = TWO.replace('"from_scratch"]', f'"from_scratch", {bad}]')
    done = quick(here, "run", here.suite(text), "--out", "failing")
    assert done.returncode == 3, done.stderr
    names = {cell.rpartition("-s")[0] for cell in files(here.folder / "failing")}
    assert names == {f"{SMALL}-feature_extraction", f"{SMALL}-from_scratch"}
    assert "stay until every cell is ok" in done.stdout


@pytest.mark.slow
def test_the_same_command_with_another_setting_settles_what_is_there(
    here: Place, runs: dict[str, Path]
) -> None:
    shutil.copytree(runs["all"], here.folder / "changed")
    done = quick(here, "run", suite(here, "winner"), "--out", "changed")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert files(here.folder / "changed") == files(runs["winner"])
    assert command.run_of(here.folder / "changed").suite.keep_weights == "winner"

    done = quick(here, "run", suite(here, "none"), "--out", "changed")
    assert done.returncode == 0, done.stderr
    assert files(here.folder / "changed") == set()

    done = quick(here, "run", suite(here, "winner"), "--out", "changed")
    assert done.returncode == 0, done.stderr
    (chosen,) = files(runs["winner"])
    assert f"the trained weights of {chosen} were not kept" in done.stdout


@pytest.mark.slow
def test_the_dry_run_says_what_a_run_then_takes(here: Place, runs: dict[str, Path]) -> None:
    done = quick(here, "run", suite(here, "all"), "--dry-run")
    assert done.returncode == 0, done.stderr
    taken = sum(path.stat().st_size for path in runs["all"].glob("cells/*/weights.safetensors"))
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("disk")]
    assert line.endswith(f", {taken / 1e6:.0f} MB of it trained weights")
    assert taken > 12_000_000


@pytest.mark.slow
def test_thumbnails_are_of_the_mistakes_and_none_is_stale(
    here: Place, runs: dict[str, Path]
) -> None:
    folder = here.folder / "pictured"
    shutil.copytree(runs["none"], folder)
    wrong = set()
    for one in command.records(folder):
        assert isinstance(one, Result)
        confusion = one.quality.test.confusion
        assert one.quality.test.num_images == sum(map(sum, confusion)) == 4
        unpacked = unpack(one.quality.test.predictions)
        wrong |= {i for i in range(4) if unpacked.labels_N[i] != unpacked.predicted_N[i]}
    names = {f"test-{index:06d}.jpg" for index in wrong}
    there = {path.name: path.read_bytes() for path in (folder / "thumbnails").iterdir()}
    assert there.keys() == names != set()

    (folder / "thumbnails" / "test-000999.jpg").write_bytes(b"of another day")
    (folder / "thumbnails" / min(names)).write_bytes(b"half")
    assert quick(here, "run", suite(here, "none"), "--out", "pictured").returncode == 0
    again = {path.name: path.read_bytes() for path in (folder / "thumbnails").iterdir()}
    assert again == there
