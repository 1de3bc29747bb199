"""Images on their way to the device of a worker: resident, streamed, or decoded by the worker."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.cache import Tell, silent
from bench.data.decoded import make, resize_of, stored
from bench.data.images import Pixels
from bench.measure.device import Device
from bench.record import Cell, Quality
from bench.training.context import Context
from bench.training.loading import fits, load, load_squares
from bench.training.sharing import augments
from bench.training.stage import Parts
from tests.training import cells

FINE = cells.cell("fine_tuning")


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The images of `FINE`, decoded into a cache of the test's own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return with_cache(FINE)


def with_cache(cell: Cell) -> Context:
    worker = cells.worker([cell])
    resize = resize_of(worker.preprocessing(cell))
    making = make(worker.context.dataset, [resize], Device("cpu", None), lambda text: None)
    return worker.context._replace(images=stored(making, {resize: 1}))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device on which no image may stay."""
    monkeypatch.setattr("bench.training.loading.RESIDENT_SHARE", 0.0)


def loaded(context: Context, tell: Tell = silent) -> Parts:
    """All parts, train with its squares."""
    pipeline = cells.worker([FINE]).preprocessing(FINE)
    parts = load(context, pipeline, augmented=True, tell=tell)
    squares_NCHW = load_squares(context, parts)
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


@pytest.mark.parametrize("kind", ["fine_tuning", "two_phase", "feature_extraction"])
def test_cells_come_out_the_same_whether_images_stay_or_are_streamed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    cell = cells.cell(kind)  # type: ignore[arg-type]
    context = with_cache(cell)
    resident = outcome(cell, context)
    decoded = outcome(cell, context._replace(images={}))
    monkeypatch.setattr("bench.training.loading.RESIDENT_SHARE", 0.0)
    assert outcome(cell, context) == resident == decoded


def test_squares_are_there_only_for_cells_that_augment(cached: Context) -> None:
    plain = cells.cell("feature_extraction")
    shared = cells.Worker(cached, [FINE, plain])
    assert shared.squares(plain) is None
    assert shared.train(plain).squares_NCHW is None
    squares = shared.squares(FINE)
    assert squares is not None
    assert squares.sharers == 1
    assert shared.train(FINE).squares_NCHW is squares.value
    assert shared.train(FINE).crops_NCHW is shared.images(plain).value.train.crops_NCHW


@pytest.mark.parametrize(("free", "stays"), [(2 * 20 * 3 * 32**2, False), (10**9, True)])
def test_squares_count_for_whether_crops_stay(
    cached: Context, monkeypatch: pytest.MonkeyPatch, free: int, stays: bool
) -> None:
    monkeypatch.setattr("bench.training.loading.free_memory_bytes", lambda: free)
    pipeline = cells.worker([FINE]).preprocessing(FINE)
    assert load(cached, pipeline, augmented=True, tell=silent).resident is stays


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
    monkeypatch.setattr("bench.training.loading.RESIDENT_SHARE", share)
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
