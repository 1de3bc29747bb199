"""What a training step sees."""

import pytest
import torch
from torch import Tensor

from bench.data.images import Images
from bench.training.feeds import AugmentedImages, Feed, PlainImages, eval_batch, shuffled_crops
from bench.training.stage import image_feed
from tests.training import cells

ALL = torch.arange(6)


def epoch(feed: Feed, generator: torch.Generator, indices_B: Tensor = ALL) -> Tensor:
    """The images of one epoch."""
    return feed.batch(indices_B, feed.draw(generator))


def test_plain_images_are_the_normalised_crops_in_every_epoch() -> None:
    images = cells.pictures(6, 8)
    pipeline = cells.UNIT.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)})
    feed, generator = PlainImages(images, pipeline), torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (epoch(feed, generator) for _ in range(2))
    assert first_BCHW.equal(second_BCHW)
    blue_BHW = (cells.crops_of(images)[:, 2] / 255 - 0.3) / 2.0
    torch.testing.assert_close(first_BCHW[:, 2], blue_BHW)


def test_augmented_images_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    feed = AugmentedImages(cells.pictures(6, 8), cells.UNIT, flip=True)
    generator = torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (epoch(feed, generator) for _ in range(2))
    again_BCHW = epoch(feed, torch.Generator().manual_seed(0))
    assert not first_BCHW.equal(second_BCHW)
    assert first_BCHW.equal(again_BCHW)


def test_an_image_is_augmented_alike_whatever_its_batch() -> None:
    feed = AugmentedImages(cells.pictures(6, 8), cells.UNIT, flip=True)
    drawn = feed.draw(torch.Generator())
    some = torch.tensor([4, 2])
    assert feed.batch(ALL, drawn)[some].equal(feed.batch(some, drawn))


@pytest.mark.parametrize("flip", [True, False])
def test_images_are_mirrored_only_where_that_keeps_the_class(flip: bool) -> None:
    squares_NCHW = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    squares_NCHW[..., :4] = 255  # bright on the left
    images = Images(squares_NCHW, squares_NCHW, torch.zeros(200, dtype=torch.int64))
    feed = AugmentedImages(images, cells.UNIT, flip)
    made_BCHW = epoch(feed, torch.Generator().manual_seed(0), torch.arange(200))
    mirrored = int((made_BCHW[..., :2].mean((1, 2, 3)) < made_BCHW[..., -2:].mean((1, 2, 3))).sum())
    # 200 fair coins fall outside 70..130 once in 60,000 times
    assert 70 < mirrored < 130 if flip else mirrored == 0


@pytest.mark.parametrize(
    ("augment", "feed"), [("none", PlainImages), ("standard", AugmentedImages)]
)
def test_a_live_phase_sees_images_augmented_as_the_recipe_says(augment: str, feed: type) -> None:
    found = image_feed(cells.pictures(6, 8), cells.UNIT, cells.recipe(augment=augment))
    assert isinstance(found, feed)


def test_crops_for_statistics_are_all_of_train_in_another_order_without_augmentation() -> None:
    images = cells.pictures(6, 8)
    found = shuffled_crops(images, cells.UNIT)(ALL)
    plain = eval_batch(images, cells.UNIT)(ALL)
    assert not found.equal(plain)
    sort = torch.argsort(found.sum((1, 2, 3)))
    assert found[sort].equal(plain[torch.argsort(plain.sum((1, 2, 3)))])
