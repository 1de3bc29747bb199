"""Images on their way to the device, resident or streamed, and what a step sees of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.cache import Tell, silent
from bench.data.decoded import make, resize_of, stored
from bench.data.images import Images, Pixels
from bench.measure.device import Device
from bench.measure.meters import Clock
from bench.record import Cell, Quality
from bench.training.context import Context
from bench.training.feeds import (
    AugmentedFeed,
    Feed,
    Parts,
    eval_batch,
    fits,
    image_feed,
    load_images,
    load_squares,
    shuffled_crops,
)
from bench.training.run_cell import pieces_of
from bench.training.shared import augments
from tests.training import cells

ALL = torch.arange(6)


def epoch(feed: Feed, generator: torch.Generator, indices_B: Tensor = ALL) -> Tensor:
    """The images of one epoch."""
    return feed.batch(indices_B, feed.draw(generator))


def test_plain_images_are_the_normalised_crops_in_every_epoch() -> None:
    images = cells.pictures(6, 8)
    pipeline = cells.UNIT.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 2.0)})
    feed, generator = Feed(images, pipeline), torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (epoch(feed, generator) for _ in range(2))
    assert first_BCHW.equal(second_BCHW)
    blue_BHW = (cells.crops_of(images)[:, 2] / 255 - 0.3) / 2.0
    torch.testing.assert_close(first_BCHW[:, 2], blue_BHW)


def test_augmented_images_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    feed = AugmentedFeed(cells.pictures(6, 8), cells.UNIT, flip=True)
    generator = torch.Generator().manual_seed(0)
    first_BCHW, second_BCHW = (epoch(feed, generator) for _ in range(2))
    again_BCHW = epoch(feed, torch.Generator().manual_seed(0))
    assert not first_BCHW.equal(second_BCHW)
    assert first_BCHW.equal(again_BCHW)


def test_an_image_is_augmented_alike_whatever_its_batch() -> None:
    feed = AugmentedFeed(cells.pictures(6, 8), cells.UNIT, flip=True)
    drawn = feed.draw(torch.Generator())
    some = torch.tensor([4, 2])
    assert feed.batch(ALL, drawn)[some].equal(feed.batch(some, drawn))


@pytest.mark.parametrize("flip", [True, False])
def test_images_are_mirrored_only_where_that_keeps_the_class(flip: bool) -> None:
    squares_NCHW = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    squares_NCHW[..., :4] = 255  # bright on the left
    images = Images(squares_NCHW, squares_NCHW, torch.zeros(200, dtype=torch.int64))
    feed = AugmentedFeed(images, cells.UNIT, flip)
    made_BCHW = epoch(feed, torch.Generator().manual_seed(0), torch.arange(200))
    mirrored = int((made_BCHW[..., :2].mean((1, 2, 3)) < made_BCHW[..., -2:].mean((1, 2, 3))).sum())
    # 200 fair coins fall outside 70..130 once in 60,000 times
    assert 70 < mirrored < 130 if flip else mirrored == 0


@pytest.mark.parametrize(("augment", "feed"), [("none", Feed), ("standard", AugmentedFeed)])
def test_a_live_phase_sees_images_augmented_as_the_recipe_says(augment: str, feed: type) -> None:
    found = image_feed(cells.pictures(6, 8), cells.UNIT, cells.recipe(augment=augment))
    assert type(found) is feed


def test_crops_for_statistics_are_all_of_train_in_another_order_without_augmentation() -> None:
    images = cells.pictures(6, 8)
    found = shuffled_crops(images, cells.UNIT)(ALL)
    plain = eval_batch(images, cells.UNIT)(ALL)
    assert not found.equal(plain)
    sort = torch.argsort(found.sum((1, 2, 3)))
    assert found[sort].equal(plain[torch.argsort(plain.sum((1, 2, 3)))])


# ---- from the cache to the device -----------------------------------------------------------

CLOCK = Clock(Device("cpu", None))
FINE = cells.cell("fine_tuning")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The images of `FINE`, decoded into a cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return with_cache(FINE)


def with_cache(cell: Cell) -> Context:
    worker = cells.worker([cell])
    resize = resize_of(worker.pipeline(cell))
    making = make(worker.context.dataset, [resize], Device("cpu", None), lambda text: None)
    return worker.context._replace(images=stored(making, {resize: 1}))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device on which no image may stay."""
    monkeypatch.setattr("bench.training.feeds.RESIDENT_SHARE", 0.0)


def loaded(context: Context, tell: Tell = silent) -> Parts:
    """All parts, train with its squares."""
    pipeline = cells.worker([FINE]).pipeline(FINE)
    parts = load_images(context, pipeline, tell, CLOCK, augmented=True)
    squares_NCHW = load_squares(context, parts, CLOCK)
    return parts._replace(train=replace(parts.train, squares_NCHW=squares_NCHW))


def all_of(pixels: Pixels | None) -> torch.Tensor:
    assert pixels is not None
    return pixels[torch.arange(len(pixels))]


def assert_same_bytes(found: Parts, expected: Parts) -> None:
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert all_of(one.crops_NCHW).equal(all_of(other.crops_NCHW))
        assert one.labels_N.equal(other.labels_N)
    assert all_of(found.train.squares_NCHW).equal(all_of(expected.train.squares_NCHW))


def outcome(cell: Cell, context: Context) -> tuple[Quality, list[float]]:
    """Scores and losses of a cell."""
    done = cells.run(cell, cells.Worker(context, [cell]))
    assert done.execution.resident == isinstance(loaded(context).val.crops_NCHW, torch.Tensor)
    return done.quality, [point.train_loss for point in done.curve]


def test_cached_and_decoded_images_are_the_same(cached: Context) -> None:
    plain, found = loaded(cells.context("resnet18")), loaded(cached)
    assert (plain.how, found.how, loaded(cached._replace(images={})).how) == (
        *("bypassed", "cold", "bypassed"),
    )
    assert plain.resident
    assert found.resident
    assert_same_bytes(found, plain)


def test_streamed_images_are_the_same(cached: Context, request: pytest.FixtureRequest) -> None:
    resident = loaded(cached)
    request.getfixturevalue("no_room")
    streamed = loaded(cached)
    assert not streamed.resident
    assert not isinstance(streamed.train.crops_NCHW, torch.Tensor)
    assert_same_bytes(streamed, resident)
    assert_same_bytes(loaded(cached._replace(images={})), resident)  # decoded batch by batch


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fine_tuning", "two_phase", "feature_extraction"])
def test_cells_come_out_the_same_whether_images_stay_or_are_streamed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    cell = cells.cell(kind, "mobilenet_v3_small")
    context = with_cache(cell)
    resident = outcome(cell, context)
    decoded = outcome(cell, context._replace(images={}))
    monkeypatch.setattr("bench.training.feeds.RESIDENT_SHARE", 0.0)
    assert outcome(cell, context) == resident == decoded


@pytest.mark.slow
def test_squares_are_there_only_for_cells_that_augment(cached: Context) -> None:
    plain = cells.cell("feature_extraction")
    shared = cells.Worker(cached, [FINE, plain])
    frozen, fine = pieces_of(plain, shared), pieces_of(FINE, shared)
    assert frozen.squares is None
    assert frozen.images.value.train.squares_NCHW is None
    assert fine.squares is not None
    assert fine.squares.sharers == 1
    assert isinstance(fine.feed, AugmentedFeed)
    assert fine.feed.images.squares_NCHW is fine.squares.value
    assert fine.feed.images.crops_NCHW is frozen.images.value.train.crops_NCHW


@pytest.mark.parametrize(("free", "stays"), [(2 * 20 * 3 * 32**2, False), (10**9, True)])
def test_squares_count_for_whether_crops_stay(
    cached: Context, monkeypatch: pytest.MonkeyPatch, free: int, stays: bool
) -> None:
    monkeypatch.setattr("bench.training.feeds.free_memory_bytes", lambda: free)
    pipeline = cells.worker([FINE]).pipeline(FINE)
    assert load_images(cached, pipeline, silent, CLOCK, augmented=True).resident is stays


def test_an_entry_that_vanished_is_no_loss(cached: Context, tmp_path: Path) -> None:
    expected = loaded(cached)
    shutil.rmtree(tmp_path / "cache")
    found = loaded(cached)
    assert found.how == "bypassed"
    assert_same_bytes(found, expected)


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_a_flipped_bit_is_said_and_is_no_wrong_number(
    cached: Context, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr("bench.training.feeds.RESIDENT_SHARE", share)
    expected, said = loaded(cached), list[str]()
    (folder,) = (one.folder for one in cached.images.values())
    path = folder / "squares.npy"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    found = loaded(cached, said.append)
    assert_same_bytes(found, expected)
    assert found.how == "bypassed"
    assert len(said) == 1
    assert "squares.npy has changed" in said[0]


@pytest.mark.parametrize(
    ("need", "free", "fit"), [(0, 0, True), (50, 100, True), (51, 100, False), (1, 0, False)]
)
def test_images_stay_where_they_take_half_of_what_is_free(need: int, free: int, fit: bool) -> None:
    assert fits(need, free) is fit


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (cells.cell("fine_tuning"), True),
        (cells.cell("fine_tuning", augment="none"), False),
        (cells.cell("from_scratch"), True),
        (cells.cell("two_phase"), True),
        (cells.cell("two_phase", augment="none"), False),
        (cells.cell("two_phase", augment="none", views=2), True),
        (cells.cell("feature_extraction"), False),
        (cells.cell("feature_extraction", views=2), True),
    ],
)
def test_which_cells_look_at_augmented_images(cell: Cell, expected: bool) -> None:
    assert augments(cell) is expected


@pytest.mark.slow
def test_decoding_before_the_workers_is_counted_once_for_each_cell(cached: Context) -> None:
    (stored_images,) = cached.images.values()
    slow = tuple(share._replace(seconds=100.0, sharers=4) for share in stored_images.shares)
    resize = next(iter(cached.images))
    context = cached._replace(images={resize: stored_images._replace(shares=slow)})
    cost = cells.run(FINE, cells.Worker(context, [FINE])).cost
    assert cost.images == "cold"
    assert 200 < cost.attributed.data < 250
    assert 50 < cost.marginal.data < 100
    assert cost.shared_by == 4
