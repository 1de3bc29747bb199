"""Both sides of a comparison are given the same task."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from bench.measure.device import Device
from bench.models import weights
from bench.training.network import start_of
from bench.training.phase import warmup_cosine
from bench.training.run_cell import pieces_of
from tests.benchmarks import engine, match, photographs, tutorial
from tests.benchmarks.match import Match, Size

CPU = Device("cpu", None)
SIZE = Size("fine_tuning", "mobilenet_v3_small", 25, 2, (60, 45), 32, 4, 2, 2)


@pytest.fixture
def pair(tmp_path: Path) -> Match:
    return match.prepare(SIZE, None, CPU, tmp_path)


def test_both_sides_start_from_the_same_network_for_every_seed(pair: Match) -> None:
    context, cells = engine.assemble(engine.suite_of(pair.table, CPU), CPU)
    images_BCHW = torch.randn(2, 3, 32, 32)
    seen = []
    for cell, start in zip(cells, pair.task.starts, strict=True):
        state = weights.load_state(cell.weights, context.files[cell.architecture_label])
        ours, theirs = start_of(cell, state).eval(), tutorial.model_of(pair.task, start).eval()
        with torch.no_grad():
            seen.append(ours(images_BCHW))
            torch.testing.assert_close(seen[-1], theirs(images_BCHW))
    assert not torch.equal(seen[0], seen[1]), "heads of two seeds differ"


def test_both_sides_train_and_score_the_same_files(pair: Match) -> None:
    context, _ = engine.assemble(engine.suite_of(pair.table, CPU), CPU)
    for part in tutorial.PARTS:
        files = [context.dataset.items[index].key for index in getattr(context.split, part)]
        theirs = tutorial.images(pair.task, part, None)
        assert isinstance(theirs, ImageFolder)
        paths = [Path(path).relative_to(pair.task.folder).as_posix() for path, _ in theirs.samples]
        assert files == paths


def test_both_sides_see_the_same_pixels_when_they_are_scored(pair: Match) -> None:
    context, cells = engine.assemble(engine.suite_of(pair.table, CPU), CPU)
    with engine.own_cache():
        worker = engine.Worker(engine.decoded(context, cells), cells)
        crops = pieces_of(cells[0], worker).images.value.val.crops_NCHW[torch.arange(4)]
    (inputs, _labels) = next(iter(tutorial.loader(pair.task, "val", training=False)))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (pair.task.mean, pair.task.std))
    assert torch.equal((inputs * std + mean).mul(255).round().to(torch.uint8), crops)


def test_both_sides_take_the_same_steps_at_the_same_rates(pair: Match) -> None:
    _, (cell, *_) = engine.assemble(engine.suite_of(pair.table, CPU), CPU)
    task, recipe = pair.task, cell.recipe
    steps = len(tutorial.loader(task, "train", training=True))
    assert steps == cell.data.num_train // recipe.batch_size == 3
    ours = warmup_cosine(steps * min(recipe.warmup_epochs, recipe.epochs / 2), steps * 2)
    theirs = tutorial.schedule(task, steps)
    assert [ours(step) for step in range(6)] == [theirs(step) for step in range(6)]
    model = tutorial.model_of(task, task.starts[0])
    rates = [group.get("lr", task.lr) for group in tutorial.parameter_groups(task, model)]
    assert rates == [recipe.lr, recipe.lr * recipe.backbone_lr_scale]


def test_a_frozen_backbone_of_the_tutorial_stands_still(tmp_path: Path) -> None:
    pair = match.prepare(SIZE._replace(strategy="feature_extraction"), None, CPU, tmp_path)
    start = torch.load(pair.task.starts[0], weights_only=True)
    model = tutorial.model_of(pair.task, pair.task.starts[0])
    tutorial.train(pair.task, model, tutorial.loader(pair.task, "train", training=True))
    after = model.state_dict()
    changed = [name for name, value in start.items() if not torch.equal(value, after[name])]
    assert changed == [f"{pair.task.head}.weight", f"{pair.task.head}.bias"]


# ---- photographs ----------------------------------------------------------------------------


def test_photographs_fill_class_folders_60_20_20_and_are_the_same_each_time(
    tmp_path: Path,
) -> None:
    for name in ("a", "b"):
        photographs.write(tmp_path / name, 20, num_classes=2, width=60, height=45)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.jpg"))
    parts = [file.parts[0] for file in files]
    assert [parts.count(part) for part in ("train", "val", "test")] == [12, 4, 4]
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    assert len({(tmp_path / "a" / file).read_bytes() for file in files}) == 20


def test_a_photograph_has_the_size_of_a_photographs_file(tmp_path: Path) -> None:
    photographs.write(tmp_path, 5, num_classes=1)
    path = next(tmp_path.rglob("*.jpg"))
    with Image.open(path) as picture:
        assert picture.size == (500, 375)
    assert 50_000 < path.stat().st_size < 150_000


def test_classes_of_photographs_can_be_told_apart(tmp_path: Path) -> None:
    photographs.write(tmp_path, 200, num_classes=4, width=60, height=45)

    def colours(part: str) -> tuple[np.ndarray, np.ndarray]:
        images = ImageFolder(tmp_path / part)
        return (
            np.array([np.asarray(picture).mean((0, 1)) for picture, _ in images]),
            np.array(images.targets),
        )

    train, labels = colours("train")
    centres = np.array([train[labels == label].mean(0) for label in range(4)])
    test, true = colours("test")
    nearest = ((test[:, None] - centres) ** 2).sum(-1).argmin(1)
    accuracy = (nearest == true).mean()
    assert accuracy > 0.5, accuracy
