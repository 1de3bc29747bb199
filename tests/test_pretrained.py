"""Networks with published ImageNet weights do what pretraining promises, on real images."""

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import pytest
import sklearn.datasets

from tests.spoken import Bench, bench

__all__ = ["bench"]

pytestmark = pytest.mark.slow

PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"

STAMPS = Path("usr/share/tuxpaint/stamps")
"""Of Debian's package tuxpaint-stamps-default: small photographs and drawings of things."""

SUBJECTS = ("animals", "food", "household", "plants", "town", "vehicles")

SUITE = Path(__file__).parents[1] / "suites/offline.toml"
OFFLINE = "[recipe]" + SUITE.read_text("utf-8").partition("[recipe]")[2] + "\n"
"""The recipe of the ready suite."""


class Scored(NamedTuple):
    test: float
    seconds: float


def scores(bench: Bench, folder: Path, suite: str, *options: object) -> dict[str, list[Scored]]:
    """The ok cells of a suite, by strategy."""
    head = 'name = "x"\narchitectures = ["efficientnet_lite0"]\nkeep_weights = "none"\n'
    (folder / "suite.toml").write_text(head + suite)
    out = folder / "run"
    said = bench("run", folder / "suite.toml", "--device", "cpu", "--out", out, *options)
    assert said.code == 0, said.err
    with (out / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, list[Scored]] = {}
    for row in rows:
        scored = Scored(float(row["quality.test.top1"]), float(row["cost.attributed.wall"]))
        found.setdefault(row["cell.strategy"], []).append(scored)
    return found


def test_a_pagoda_is_a_palace_and_a_flower_a_daisy(bench: Bench) -> None:
    """What timm's own network and pipeline say of the same files (measured with timm 1.0.31)."""
    paths = [str(PHOTOGRAPHS / name) for name in ("china.jpg", "flower.jpg")]
    said = bench("predict", "efficientnet_lite0", *paths, "--json", "--device", "cpu")
    assert said.code == 0
    tops = [image["classes"][0] for image in json.loads(said.out)["images"]]
    assert [top["class"].split(",")[0] for top in tops] == ["palace", "daisy"]
    assert [top["probability"] for top in tops] == pytest.approx([0.298, 0.323], abs=0.01)


def test_fine_tuning_reads_nine_of_ten_digits_within_three_minutes(
    bench: Bench, tmp_path: Path
) -> None:
    found = scores(bench, tmp_path, 'strategies = ["fine_tuning"]\n' + OFFLINE)
    (cell,) = found["fine_tuning"]
    assert cell.test >= 0.9
    assert cell.seconds < 180


def test_fine_tuning_beats_training_from_scratch_on_ten_images_of_each_digit(
    bench: Bench, tmp_path: Path
) -> None:
    few = "[dataset]\ntrain_per_class = 10\n"
    found = scores(
        bench, tmp_path, 'strategies = ["fine_tuning", "from_scratch"]\n' + OFFLINE + few
    )
    (tuned,), (scratch,) = found["fine_tuning"], found["from_scratch"]
    assert tuned.test > scratch.test + 0.1


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of photographs for each subject, without the cartoons; big, so it does not stay."""
    folder = tmp_path_factory.mktemp("stamps")
    source = Path("/") / STAMPS
    if not source.is_dir():
        source = fetched(folder) / STAMPS
    for subject in SUBJECTS:
        (folder / "images" / subject).mkdir(parents=True)
        for path in (source / subject).rglob("*.png"):
            if "cartoon" not in path.parts:
                shutil.copy(path, folder / "images" / subject / f"{path.parent.name}-{path.name}")
    yield folder / "images"
    shutil.rmtree(folder)


def fetched(folder: Path) -> Path:
    """The unpacked package; skips where it cannot be had."""
    name = "tuxpaint-stamps-default"
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip(f"{name} is not installed, and this is no Debian")
    asked = ["apt-get", "-qq", "download", name]
    try:
        subprocess.run(asked, cwd=folder, check=True, capture_output=True, timeout=300)
    except subprocess.SubprocessError as error:
        pytest.skip(f"{name} is not installed and cannot be downloaded: {error}")
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "package"], check=True, timeout=300)
    return folder / "package"


def test_pretrained_features_of_photographs_beat_random_ones_by_twenty_points(
    bench: Bench, tmp_path: Path, stamps: Path
) -> None:
    found = {}
    for source in ("imagenet", "random"):
        (tmp_path / source).mkdir()
        suite = f'strategies = ["feature_extraction"]\nweights = ["{source}"]\nseeds = [0, 1, 2]\n'
        recipe = "[recipe]\nimage_size = 128\nepochs = 20\n"
        options = ("--dataset", stamps)
        cells = scores(bench, tmp_path / source, suite + recipe, *options)["feature_extraction"]
        found[source] = fmean(cell.test for cell in cells)
    assert found["imagenet"] >= found["random"] + 0.2
