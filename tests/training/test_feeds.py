"""What a training step sees."""

import pytest
import torch
from torch import nn

from bench.data.images import Images
from bench.models.build import Network
from bench.training.feeds import AugmentedImages, CachedFeatures, PlainImages, eval_batch
from bench.training.shared import Features, Parts
from bench.training.stage import HeadOnly, Inputs, stage_of
from bench.training.strategies import phases
from tests.training import cells

ALL = torch.arange(6)


def test_plain_images_are_the_normalised_crops_in_every_epoch() -> None:
    images = cells.pictures(6, 8)
    pipeline = cells.UNIT.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)})
    feed, generator = PlainImages(images, pipeline), torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (feed.epoch(generator)(ALL) for _ in range(2))
    assert first_BCHW.equal(second_BCHW)
    blue_BHW = (cells.crops_of(images)[:, 2] / 255 - 0.3) / 2.0
    torch.testing.assert_close(first_BCHW[:, 2], blue_BHW)


def test_augmented_images_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    feed = AugmentedImages(cells.pictures(6, 8), cells.UNIT, flip=True)
    generator = torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (feed.epoch(generator)(ALL) for _ in range(2))
    again_BCHW = feed.epoch(torch.Generator().manual_seed(0))(ALL)
    assert not first_BCHW.equal(second_BCHW)
    assert first_BCHW.equal(again_BCHW)


def test_an_image_is_augmented_alike_whatever_its_batch() -> None:
    batch = AugmentedImages(cells.pictures(6, 8), cells.UNIT, flip=True).epoch(torch.Generator())
    assert batch(ALL)[[4, 2]].equal(batch(torch.tensor([4, 2])))


@pytest.mark.parametrize("flip", [True, False])
def test_images_are_mirrored_only_where_that_keeps_the_class(flip: bool) -> None:
    squares_NCHW = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    squares_NCHW[..., :4] = 255  # bright on the left
    images = Images(squares_NCHW, squares_NCHW, torch.zeros(200, dtype=torch.int64))
    batch = AugmentedImages(images, cells.UNIT, flip).epoch(torch.Generator().manual_seed(0))
    made_BCHW = batch(torch.arange(200))
    mirrored = int((made_BCHW[..., :2].mean((1, 2, 3)) < made_BCHW[..., -2:].mean((1, 2, 3))).sum())
    # 200 fair coins fall outside 70..130 once in 60,000 times
    assert 70 < mirrored < 130 if flip else mirrored == 0


def test_a_single_view_is_served_in_every_epoch() -> None:
    features_VN = torch.rand(1, 6, 4)
    feed = CachedFeatures(features_VN, torch.zeros(6))
    assert feed.epoch(torch.Generator())(ALL[[3, 1]]).equal(features_VN[0, [3, 1]])


def test_one_of_several_views_is_drawn_for_each_image_and_epoch() -> None:
    features_VN = torch.arange(3.0)[:, None].expand(3, 6)[..., None] * 10 + ALL[:, None]
    feed, generator = CachedFeatures(features_VN, torch.zeros(6)), torch.Generator().manual_seed(0)
    rows = torch.stack([feed.epoch(generator)(ALL)[:, 0] for _ in range(40)])
    assert (rows % 10).equal(ALL.float().expand(40, 6))
    assert {len(column.unique()) for column in (rows // 10).T} == {3}


def small_inputs() -> tuple[Network, Inputs]:
    network = Network(nn.Flatten(), nn.Sequential(nn.Linear(192, 10)), ())
    images = cells.pictures(6, 8)
    features = Features(torch.rand(1, 6, 192), torch.rand(6, 192), torch.rand(6, 192))
    return network, Inputs(Parts(images, images, images), features, cells.UNIT)


def test_a_head_only_phase_sees_features_under_the_heads_own_names() -> None:
    network, inputs = small_inputs()
    (plan,) = phases("feature_extraction", cells.recipe(), [])
    stage = stage_of(plan, network, inputs, cells.recipe())
    assert isinstance(stage.feed, CachedFeatures)
    assert isinstance(stage.module, HeadOnly)
    assert set(stage.module.state_dict()) == {"head.0.weight", "head.0.bias"}
    assert stage.module.head is network.head
    assert inputs.features is not None
    assert stage.val.batch(ALL).equal(inputs.features.val_N)
    assert stage.test.batch(ALL).equal(inputs.features.test_N)


@pytest.mark.parametrize(
    ("augment", "feed"), [("none", PlainImages), ("standard", AugmentedImages)]
)
def test_every_other_phase_sees_images_augmented_as_the_recipe_says(
    augment: str, feed: type
) -> None:
    network, inputs = small_inputs()
    recipe = cells.recipe(augment=augment)
    (plan,) = phases("fine_tuning", recipe, [])
    stage = stage_of(plan, network, inputs, recipe)
    assert isinstance(stage.feed, feed)
    assert stage.module is network
    plain_BCHW = eval_batch(inputs.images.val, cells.UNIT)(ALL)
    assert stage.val.batch(ALL).equal(plain_BCHW)


def test_crops_for_statistics_are_all_of_train_in_another_order_without_augmentation() -> None:
    network, inputs = small_inputs()
    (plan,) = phases("fine_tuning", cells.recipe(), [])
    crops = stage_of(plan, network, inputs, cells.recipe()).crops
    assert crops is not None
    found, plain = crops(ALL), eval_batch(inputs.images.train, cells.UNIT)(ALL)
    assert not found.equal(plain)
    sort = torch.argsort(found.sum((1, 2, 3)))
    assert found[sort].equal(plain[torch.argsort(plain.sum((1, 2, 3)))])
    assert stage_of(plan, network, inputs, cells.recipe(precise_bn=False)).crops is None
