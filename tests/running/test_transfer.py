"""A network that one run trained and kept is where another one starts."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from bench.errors import WeightsError
from bench.folder import read_run, weights_path
from bench.models import weights
from bench.record import Result
from tests import command
from tests.command import Place

SUITE = """
name = "{name}"
architectures = ["mobilenet_v3_small"]
strategies = {strategies}
weights = ["{weights}"]
keep_weights = "best"
[dataset]
source = "{images}"
[recipe]
image_size = 32
epochs = 2
batch_size = 8
augment = "none"
precision = "fp32"
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Twenty images of each digit, the lower five in one folder and the upper five in another."""
    folder = tmp_path_factory.mktemp("transfer")
    digits = load_digits()
    for label in range(10):
        place = folder / ("lower" if label < 5 else "upper") / str(label)
        place.mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == label][:20]):
            picture = Image.fromarray((pixels * 15.9).astype("uint8")).resize((32, 32))
            picture.save(place / f"{number}.png")
    return Place(folder)


def run(here: Place, name: str, images: str, strategies: list[str], source: str) -> Path:
    path = here.folder / f"{name}.toml"
    asked = SUITE.format(name=name, images=images, strategies=strategies, weights=source)
    path.write_text(asked, encoding="utf-8")
    done = command.quick(here, "run", path, "--out", f"runs/{name}")
    assert done.returncode == 0, done.stderr
    return here.folder / "runs" / name


@pytest.fixture(scope="module")
def first(here: Place) -> Path:
    return run(here, "first", "lower", ["from_scratch", "feature_extraction"], "random")


@pytest.fixture(scope="module")
def second(here: Place, first: Path) -> Path:
    return run(here, "second", "upper", ["feature_extraction"], "runs/first")


def best(folder: Path) -> Result:
    ok = [record for record in command.records(folder) if isinstance(record, Result)]
    return max(ok, key=lambda record: record.quality.val.top1)


def test_the_best_cell_of_each_architecture_is_kept(first: Path) -> None:
    kept = [path.parent.name for path in first.glob("cells/*/weights.safetensors")]
    assert kept == [best(first).cell_id]


def test_the_second_run_starts_from_what_the_first_trained(first: Path, second: Path) -> None:
    (record,) = command.records(second)
    assert record.cell.data.classes == ("5", "6", "7", "8", "9")
    assert (record.cell.weights.source, record.cell.weights.name) == ("run", best(first).cell_id)
    source, trained = (
        load_file(weights_path(folder, name))
        for folder, name in ((first, best(first).cell_id), (second, record.cell_id))
    )
    frozen = {path for path in source if path.startswith("backbone.")}
    assert len(frozen) > 100
    assert all(torch.equal(source[path], trained[path]) for path in frozen)
    assert trained["head.layer.weight"].shape == source["head.layer.weight"].shape
    assert not torch.equal(trained["head.layer.weight"], source["head.layer.weight"])


def test_the_report_names_the_run_its_images_and_its_score(first: Path, second: Path) -> None:
    said = read_run(second).pretrained_on["mobilenet_v3_small"]
    assert all(part in said for part in ("runs/first", "lower", "5 classes"))
    assert f"{best(first).quality.val.top1:.3f}" in said
    assert said in (second / "report.md").read_text(encoding="utf-8")


def test_an_architecture_that_the_run_did_not_keep_is_missing(first: Path) -> None:
    wish = {"resnet18": weights.Request("resnet18", None)}
    with pytest.raises(WeightsError, match=r"kept no resnet18; keep_weights = \"best\""):
        weights.choose(wish, [str(first)], offline=True)


def test_a_kept_file_that_is_damaged_is_an_error(first: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in first.rglob("*"):
        target = copy / path.relative_to(first)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(path.read_bytes())
    weights_path(copy, best(first).cell_id).write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="damaged"):
        weights.look("mobilenet_v3_small", f"{copy}/", offline=True)
