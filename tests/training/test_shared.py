"""Work that cells share: the same values as alone, made once, and paid for once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from bench.data.sources import scan
from bench.data.split import make_split
from bench.record import Data
from bench.training.features import Features
from bench.training.feeds import eval_batch
from bench.training.network import derived_seed, start_of
from bench.training.run_cell import pieces_of
from bench.training.shared import Shared, keys_of
from tests.training import cells


def features_of(**changed: Any) -> Features:
    one = cells.cell("feature_extraction", "mobilenet_v3_small", **changed)
    return cells.features_of(one, cells.worker([one])).value


def test_one_view_is_the_evaluation_crop() -> None:
    one = cells.cell("feature_extraction", "mobilenet_v3_small")
    shared = cells.worker([one])
    train_VN = cells.features_of(one, shared).value.train_VN
    backbone = start_of(one, cells.backbone_of(one, shared).value).backbone.eval()
    crops = eval_batch(pieces_of(one, shared).images.value.train, shared.pipeline(one))
    with torch.no_grad():
        direct_N = backbone(crops(torch.arange(20)))
    assert train_VN.shape == (1, 20, 1024)
    torch.testing.assert_close(train_VN[0], direct_N, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_several_views_are_different_pictures_of_the_same_images() -> None:
    plain, views = features_of().train_VN[0], features_of(views=3).train_VN
    assert views.shape == (3, *plain.shape)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (views[one] != views[other]).any(dim=1).all()
    assert all((view != plain).any(dim=1).all() for view in views)


@pytest.mark.slow
def test_val_and_test_features_do_not_depend_on_the_views_of_train() -> None:
    one, several = features_of(), features_of(views=2)
    assert one.val_N.equal(several.val_N)
    assert one.test_N.equal(several.test_N)


@pytest.mark.slow
def test_pieces_are_made_once_and_count_the_cells_that_use_them() -> None:
    seeds = [
        cells.cell(kind, "mobilenet_v3_small", seed=seed)
        for kind in ("feature_extraction", "two_phase")
        for seed in (0, 1)
    ]
    many_views = cells.cell("feature_extraction", "mobilenet_v3_small", views=2)
    partial = cells.cell("partial", "mobilenet_v3_small")
    scratch = cells.cell("from_scratch", "mobilenet_v3_small")
    shared = cells.worker([*seeds, many_views, partial, scratch])
    assert pieces_of(scratch, shared).images.sharers == 7
    assert cells.backbone_of(partial, shared).sharers == 6
    assert cells.features_of(seeds[0], shared).sharers == 4
    assert cells.features_of(many_views, shared).sharers == 1
    first, *others = (cells.features_of(one, shared) for one in seeds)
    assert all(other is first for other in others)
    assert cells.features_of(many_views, shared) is not first
    assert pieces_of(scratch, shared).images.sharers == 7
    assert cells.backbone_of(partial, shared).sharers == 6
    assert cells.features_of(seeds[0], shared).sharers == 4
    assert cells.features_of(many_views, shared).sharers == 1
    assert all(
        cells.features_of(one, shared) is cells.features_of(seeds[0], shared) for one in seeds
    )
    assert cells.features_of(many_views, shared) is not cells.features_of(seeds[0], shared)
    assert pieces_of(scratch, shared).images is pieces_of(seeds[0], shared).images


@pytest.mark.slow
def test_shared_work_is_attributed_in_full_and_divided_in_the_margin() -> None:
    pair = [cells.cell("feature_extraction", "mobilenet_v3_small", seed=seed) for seed in (0, 1)]
    shared = cells.worker(pair)
    assert not any(shared.made(keys_of(one).heads) for one in pair)
    costs = [cells.run(one, shared).cost for one in pair]
    assert all(shared.made(keys_of(one).heads) for one in pair)
    features, heads = (
        cells.features_of(pair[0], shared).spent,
        cells.heads_of(pair[0], shared).spent,
    )
    images = pieces_of(pair[0], shared).images.spent
    for cost in costs:
        assert cost.shared_by == 2
        assert cost.attributed.train - cost.marginal.train == pytest.approx(
            (features.seconds["train"] + heads.seconds["train"]) / 2
        )
        assert cost.attributed.data - cost.marginal.data == pytest.approx(
            images.seconds["data"] / 2
        )
        assert cost.attributed.wall > cost.marginal.wall
    assert features.seconds["train"] > 0


@pytest.mark.slow
def test_a_cell_that_shares_nothing_costs_the_same_both_ways() -> None:
    cost = cells.run(cells.cell("from_scratch", "mobilenet_v3_small")).cost
    assert cost.shared_by == 1
    assert cost.attributed == cost.marginal


@pytest.mark.slow
def test_features_of_a_drawn_backbone_are_spread_out() -> None:
    train_N = features_of_b0()
    spread = train_N.std(dim=0)
    # Without statistics from train it is 1e-14.
    assert spread.median() > 0.05


def features_of_b0() -> torch.Tensor:
    one = cells.cell("feature_extraction", "efficientnet_b0")
    return cells.features_of(one, cells.worker([one])).value.train_VN[0]


@pytest.mark.slow
def test_statistics_of_a_drawn_backbone_do_not_depend_on_how_images_are_sorted(
    tmp_path: Path,
) -> None:
    for name, grey in (("dark", 30), ("light", 220)):
        (tmp_path / name).mkdir()
        for number in range(140):
            pixels = np.full((8, 8, 3), grey, dtype=np.uint8)
            pixels[0, 0] = number  # no two alike
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    dataset = scan(str(tmp_path))
    split = make_split(dataset, 130, 5, 0)
    one = cells.cell("partial", split=split)
    data = Data.model_validate(one.data.model_dump() | {"classes": ("dark", "light")})
    one = one.model_copy(update={"data": data})
    shared = Shared(cells.context("resnet18")._replace(dataset=dataset, split=split), [one])
    state = cells.backbone_of(one, shared).value

    crops = eval_batch(pieces_of(one, shared).images.value.train, shared.pipeline(one))
    weight = state["conv1.weight"].contiguous()
    every_NCHW = functional.conv2d(crops(torch.arange(260)), weight, stride=2, padding=3)
    variance = every_NCHW.transpose(0, 1).flatten(1).var(dim=1)
    # Batches of a random mixture; of one class at a time the variance is a tenth.
    torch.testing.assert_close(state["bn1.running_var"], variance, rtol=0.1, atol=1e-6)


def test_the_seed_of_a_purpose_depends_on_both() -> None:
    drawn = {derived_seed(seed, use) for seed in (0, 1, 2) for use in ("head", "batches")}
    assert len(drawn) == 6


@pytest.mark.slow
def test_a_piece_is_let_go_after_its_last_user() -> None:
    first, last = (cells.cell("feature_extraction", "mobilenet_v3_small", seed=s) for s in (0, 1))
    shared = cells.worker([first, last])
    features = cells.features_of(first, shared).value
    shared.release(first)
    assert cells.features_of(last, shared).value is features
    shared.release(last)
    assert cells.features_of(last, shared).value is not features
