"""Predictions are those on record, and torchvision's own where nothing was trained."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torchvision import models

from bench.predictions import unpack
from bench.serving.messages import Prediction, Predictions, Published
from bench.serving.predict import predict
from bench.verbs import predict as verb
from tests.command import Place
from tests.serving.conftest import KINDS, record_of, trained
from tests.spoken import Bench

pytestmark = pytest.mark.slow

# Heads of several seeds are multiplied together in a run and singly here: another order of sums.
# A confidence on record is rounded to 1 / 65535.
TOLERANCE = 1e-5 + 1 / 131070


def ignore(num_done: int) -> None:
    """Nobody watches."""


def files_of(here: Place, run_folder: Path, part: str) -> list[str]:
    """The files of one part, in the order of the predictions on record."""
    with (run_folder / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [str(here.folder / "pictures" / r["image"]) for r in rows if r["part"] == part]


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_network_says_again_what_is_on_record(
    here: Place, run_folder: Path, kind: str, part: str
) -> None:
    files = files_of(here, run_folder, part)
    found = predict(trained(run_folder, kind), files, 2, "cpu", ignore)
    recorded = unpack(getattr(record_of(run_folder, kind).quality, part).predictions)
    top = [image.top[0] for image in found.images]
    assert [number for number, _ in top] == recorded.predicted_N.tolist()
    assert [share for _, share in top] == pytest.approx(recorded.confidences_N, abs=TOLERANCE)
    sums = [sum(share for _, share in image.top) for image in found.images]
    assert sums == pytest.approx([1.0] * len(sums))


def test_batches_change_nothing(
    here: Place, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of(here, run_folder, "train")
    whole = predict(trained(run_folder, "two_phase"), files, 1, "cpu", ignore)
    monkeypatch.setattr("bench.serving.predict.BLOCK", 12)
    heard: list[int] = []
    parts = predict(trained(run_folder, "two_phase"), files, 1, "cpu", heard.append)
    assert heard == [12, 24, 36]
    for one, other in zip(whole.images, parts.images, strict=True):
        assert one.top[0][0] == other.top[0][0]
        assert one.top[0][1] == pytest.approx(other.top[0][1], abs=1e-5)


def test_published_weights_answer_as_torchvision_does(
    published: dict[str, str], checkpoints: Path, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 260, 3), np.uint8)
    Image.fromarray(noise).resize((260, 300)).save(tmp_path / "noise.png")
    for name in published:
        found = predict(Published(name, False), [str(tmp_path / "noise.png")], 5, "cpu", ignore)
        weights = models.get_model_weights(name)["IMAGENET1K_V1"]
        model = models.get_model(name)
        (path,) = checkpoints.glob(f"{name}-*.pth")
        model.load_state_dict(torch.load(path, weights_only=True))
        with torch.no_grad(), Image.open(tmp_path / "noise.png") as picture:
            shares = model.eval()(weights.transforms()(picture)[None]).softmax(1)[0]
        values, numbers = shares.topk(5)
        assert [number for number, _ in found.images[0].top] == numbers.tolist()
        assert [share for _, share in found.images[0].top] == pytest.approx(values, rel=1e-3)
        assert found.classes == tuple(weights.meta["categories"])


# ---- the verb -------------------------------------------------------------------------------

HOSTILE = "[red]<b>=cmd()\n\u202e猫.png"


NAMES = ("[/red]", "=cmd()", "猫", "a|b", "two\nlines", "\u202eright to left")


def test_names_of_classes_are_shown_as_they_are() -> None:
    images = tuple(Prediction(((number, 0.5),)) for number in range(len(NAMES)))
    done = Predictions(NAMES, images)
    paths = [f"{number}.png" for number in range(len(NAMES))]
    shown = Console(file=io.StringIO(), width=80)
    shown.print(verb.page(paths, done))
    assert isinstance(shown.file, io.StringIO)
    lines = shown.file.getvalue().splitlines()[2:]
    wanted = [*NAMES[:4], "twolines", "right to left"]  # without what would move the cursor
    assert [line.split(maxsplit=1)[1].rsplit(maxsplit=2)[0].strip() for line in lines] == wanted
    written = json.loads(json.dumps(verb.document(paths, done, [])))
    assert [image["classes"][0]["class"] for image in written["images"]] == list(NAMES)


@pytest.fixture
def pictures(here: Place, tmp_path: Path) -> Path:
    """Two pictures, one of them with a name as it should not be; and no picture."""
    folder = tmp_path / "mine"
    (folder / "below").mkdir(parents=True)
    red = (here.folder / "pictures" / "dog" / "1.png").read_bytes()
    (folder / HOSTILE).write_bytes(red)
    (folder / "below" / "plain.png").write_bytes(red)
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_means_all_images_below_it(bench: Bench, run_folder: Path, pictures: Path) -> None:
    done = bench("predict", run_folder, pictures, "--json", "--cell", kept_cell(run_folder))
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert [image["image"] for image in answer["images"]] == [
        str(pictures / HOSTILE),
        str(pictures / "below" / "plain.png"),
    ]
    assert {len(image["classes"]) for image in answer["images"]} == {2}
    assert answer["not_predicted"] == []
    assert done.out.isascii()


def kept_cell(run_folder: Path) -> str:
    return record_of(run_folder, "partial").cell_id


def test_by_default_the_chosen_cell_is_asked_and_names_stay_as_they_are(
    bench: Bench, run_folder: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures)  # the whole path may be wider than the table
    done = bench("predict", run_folder, HOSTILE, "--top", 1)
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()[2:]
    assert "[red]<b>=cmd()猫.png" in line
    assert line.split()[-1] == "%"
    assert "\u202e" not in done.out


def test_what_cannot_be_read_is_named_and_the_others_are_predicted(
    bench: Bench, run_folder: Path, pictures: Path
) -> None:
    whole = (pictures / "below" / "plain.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    arguments = (pictures / "cut.png", pictures / "below", pictures / "*.jpg")
    done = bench("predict", run_folder, *arguments, "--json")
    assert done.code == 3
    answer = json.loads(done.out)
    assert [image["image"] for image in answer["images"]] == [str(pictures / "below" / "plain.png")]
    missing, cut = answer["not_predicted"]
    assert cut["image"] == str(pictures / "cut.png")
    assert "cannot be decoded" in cut["why"]
    assert missing["why"] == "no such file (wildcards must be expanded by the shell)"
    assert len(done.err.splitlines()) == 2


def test_without_any_image_nothing_is_asked(bench: Bench, run_folder: Path, tmp_path: Path) -> None:
    done = bench("predict", run_folder, tmp_path / "none.png", tmp_path)
    assert done.code == 2
    assert done.err.startswith("error[E-INPUT] nothing was predicted\n")
    assert "none.png: no such file" in done.err
    assert "no images in this folder" in done.err


def test_a_name_that_is_nothing_is_refused_with_what_was_meant(
    bench: Bench, run_folder: Path, pictures: Path, tmp_path: Path
) -> None:
    done = bench("predict", "resnet19", pictures)
    assert done.code == 2
    assert 'did you mean "resnet18"' in done.err
    done = bench("predict", tmp_path, pictures)
    assert (done.code, "holds no run" in done.err) == (6, True)
    done = bench("predict", "resnet18", pictures, "--cell", "x")
    assert "go with a run folder" in done.err


def test_pinned_weights_that_cannot_be_had_are_named_with_their_address(
    here: Place, bench: Bench, pictures: Path
) -> None:
    done = bench("predict", "vgg19_bn", pictures, "--offline")
    assert done.code == 2
    assert "vgg19_bn-c79401a0.pth (not in the cache; offline)" in done.err
    assert "download it from https://" in done.err
