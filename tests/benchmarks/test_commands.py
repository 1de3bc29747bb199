"""Every benchmark runs end to end at a tiny size and says what it should, however fast."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.benchmarks import growth, overhead, roofline, versus
from tests.benchmarks.frameworks import FRAMEWORKS
from tests.command import ROOT

pytestmark = pytest.mark.slow

TINY = [
    *("--architecture", "squeezenet1_1"),
    *("--images", "40", "--classes", "2", "--picture", "60", "45", "--size", "32"),
    *("--batch", "8", "--epochs", "1", "--pairs", "1", "--device", "cpu", "--threads", "1"),
]
Main = Callable[[list[str]], None]


@pytest.fixture(autouse=True)
def as_many_threads() -> Iterator[None]:
    """A benchmark sets the number of threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def findings(main: Main, folder: Path, *words: str) -> dict[str, Any]:
    """The JSON of a command."""
    path = folder / "findings.json"
    main([*words, "--json", str(path)])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def check(found: dict[str, Any], *expected: str) -> None:
    """Figures of these names with sound spreads, and all that a time means nothing without."""
    assert [figure["what"] for figure in found["figures"]] == list(expected)
    for figure in found["figures"]:
        assert figure["n"] == len(figure["values"]) == found["options"]["pairs"]
        assert figure["lower_quartile"] <= figure["median"] <= figure["upper_quartile"]
        assert all(map(math.isfinite, figure["values"]))
        assert (figure["goal"] is None) == (figure["met"] is None)
    assert found["machine"]["torch"] == torch.__version__
    assert found["versions"]["bench"]
    assert found["clock"] == "CPU time"


@pytest.mark.parametrize("strategy", ["feature_extraction", "fine_tuning"])
def test_versus_times_both_sides_and_compares_their_accuracy(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY, "--strategy", strategy, "--seeds", "2", "--workers", "0"]
    found = findings(versus.main, tmp_path, *words)
    check(found, "tutorial / bench", "tutorial", "bench")
    assert all(figure["median"] > 0 for figure in found["figures"])
    accuracy = found["details"]["accuracy"]["tutorial"]
    assert (accuracy["num_images"], accuracy["num_seeds"]) == (16, 2)
    assert 0 <= accuracy["opponent"] <= 1
    printed = capsys.readouterr().out
    assert "lower quartile" in printed
    assert f"torch {torch.__version__}" in printed


def test_an_opponent_with_fewer_epochs_is_scaled_and_that_is_said(tmp_path: Path) -> None:
    words = [*TINY, "--epochs", "3", "--seeds", "1", "--workers", "0", "--opponent-epochs", "1"]
    found = findings(versus.main, tmp_path, *words)
    whole = ["tutorial / bench, all epochs", "tutorial, all epochs", "bench, all epochs"]
    check(found, "tutorial / bench", "tutorial", "bench", *whole)
    # 24 images of train three times or once, 8 of val and 8 of test once.
    assert f"tutorial's cost is scaled by {88 / 40:.2f}" in found["notes"]


def test_frameworks_run_where_they_are_installed_and_are_named_where_not(tmp_path: Path) -> None:
    words = [*TINY, "--seeds", "1", "--workers", "0", "--against", *FRAMEWORKS]
    found = findings(versus.main, tmp_path, *words)
    missing = {note.split()[0] for note in found["notes"] if "is left out" in note}
    run = [name for name in FRAMEWORKS if name not in missing]
    check(found, *(figure for name in run for figure in (f"{name} / bench", name)), "bench")
    assert [note.split()[0] for note in found["notes"] if "reads its files" in note] == run


def test_versus_compares_whole_commands(tmp_path: Path) -> None:
    words = [*TINY, "--seeds", "1", "--workers", "0", "--whole-process"]
    found = findings(versus.main, tmp_path, *words)
    wall = "by the clock on the wall"
    check(
        found,
        "script / bench run",
        f"script / bench run, {wall}",
        f"bench, {wall}",
        f"tutorial, {wall}",
    )


def test_overhead_of_steps_epochs_and_cells(tmp_path: Path) -> None:
    found = findings(overhead.main, tmp_path, *TINY, "--architecture", "shufflenet_v2_x0_5")
    check(
        found,
        "step: raw / bench",
        "epoch: raw / bench",
        "cell: raw / bench",
        "cell, statistics as overhead",
    )
    bare = {figure["what"]: figure["median"] for figure in found["figures"]}
    assert bare["cell, statistics as overhead"] < bare["cell: raw / bench"] < 1


def test_overhead_of_a_whole_suite_as_the_docstring_calls_it(tmp_path: Path) -> None:
    # A process of its own: the fork server of this one may know another cache.
    path = tmp_path / "findings.json"
    words = ["-m", "tests.benchmarks.overhead", *TINY, "--level", "suite", "--json", str(path)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, timeout=120)
    found = json.loads(path.read_text(encoding="utf-8"))
    wall = "suite: bench run, by the clock on the wall"
    check(found, "suite: raw / bench", "suite: bench run", wall)
    assert 0 < found["figures"][0]["median"] < 1


def test_growth_has_a_figure_for_each_law(tmp_path: Path) -> None:
    found = findings(growth.main, tmp_path, *TINY, "--more", "1", "--epochs", "2")
    check(
        found,
        "seed: an extra seed of feature_extraction / the first",
        "head: an extra head / the suite with one",
        "strategy: feature_extraction beside two_phase / two_phase",
        "strategy: looks of the frozen backbone at an image, both together",
        "epoch: an extra epoch of fine_tuning / its bare steps",
        "images: twice the images / once",
    )
    looks = next(figure for figure in found["figures"] if "looks" in figure["what"])
    assert looks["values"] == [1.0]


def test_roofline_measures_the_ceilings_and_the_step(tmp_path: Path) -> None:
    small = ["--side", "128", "--copy-mb", "1", "--steps", "2", "--batch", "4", "--size", "32"]
    one = ["--architecture", "mobilenet_v3_small", "--pairs", "2", "--threads", "1"]
    found = findings(roofline.main, tmp_path, *small, *one, "--device", "cpu")
    name = "mobilenet_v3_small"
    check(
        found,
        f"{name} (fp32, step by step)",
        f"{name}: share of the roofline",
        f"{name}: matrix product",
        f"{name}: copy",
    )
    assert all(figure["median"] > 0 for figure in found["figures"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_its_benchmark_says_so_in_a_line_and_exits_with_2() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.gpu"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "no GPU was found" in ended.stderr
