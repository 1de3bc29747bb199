"""The images of a cell: how they reach the device, and what a training step sees of them.

A feed draws all random numbers of an epoch at once, on the CPU: the same seed then gives the same
batches on every device, and no step waits for the host. A batch is given its epoch's numbers, so
that a step can keep them where a captured graph looks for them.

Dimensions: N images, B batch, C channels, H, W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.cache import Tell
from bench.data import augment
from bench.data.decoded import Share, Squares, resize_of
from bench.data.images import Images, Pixels, Streamed, normalise, resident, standardise
from bench.measure.cpu import free_memory_bytes
from bench.measure.meters import Clock
from bench.record import ImageCache, Preprocessing, Recipe
from bench.training.context import Context

RESIDENT_SHARE = 0.5
"""Of the device's free memory that images may take; the rest is for networks and their steps."""


class Parts(NamedTuple):
    train: Images
    val: Images
    test: Images
    resident: bool  # on the device; else read from disk, batch by batch
    how: ImageCache  # whether the cache has them
    squares: Squares | None = None  # what they are cut from; None for pixels without files
    shares: tuple[Share, ...] = ()  # cost of the pass that decoded them before the cells


def load_images(
    context: Context, pipeline: Preprocessing, tell: Tell, clock: Clock, *, augmented: bool
) -> Parts:
    """The crops of the split: resident on the device, or else read batch by batch.

    They stay if they fit there, with the squares if train is augmented; `load_squares` brings
    those. Either way a batch has the same bytes. `tell` hears of damage in the cache.
    """
    with clock.part("data"):
        crop, split = pipeline.crop_size, context.split
        parts = (split.train, split.val, split.test)
        need = sum(map(len, parts)) * 3 * crop**2
        if augmented:
            need += len(split.train) * 3 * pipeline.resize_size**2
        stays = fits(need, free_bytes(torch.device(str(context.device))))
        resize = resize_of(pipeline)
        stored = context.images.get(resize)
        squares = Squares(context.dataset, resize, stored.folder if stored else None, tell)

        def images(items: Sequence[int]) -> Images:
            labels = [context.dataset.items[item].label for item in items]
            labels_N = torch.tensor(labels, dtype=torch.int64, device=str(context.device))
            return Images(centres(context, squares, items, crop, stays=stays), None, labels_N)

        train, val, test = map(images, parts)
        how = stored.how if stored and squares.cached else "bypassed"
        return Parts(train, val, test, stays, how, squares, stored.shares if stored else ())


def load_squares(context: Context, parts: Parts, clock: Clock) -> Pixels:
    with clock.part("data"):
        squares = parts.squares
        assert squares is not None, "parts that were loaded have squares"
        items, size = context.split.train, squares.resize.size
        return centres(context, squares, items, size, stays=parts.resident)


def centres(
    context: Context, squares: Squares, items: Sequence[int], size: int, *, stays: bool
) -> Pixels:
    if stays:
        return resident(squares, items, size, torch.device(str(context.device)))
    return Streamed(squares, items, size)


def fits(need_bytes: int, free_bytes: int) -> bool:
    return need_bytes <= RESIDENT_SHARE * free_bytes


def free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free
    return free_memory_bytes()


Batch = Callable[[Tensor], Tensor]
"""From the indices of a batch to the input of a module."""


@dataclass(frozen=True)
class Feed:
    """Training inputs of one phase: here the eval crops, the same in every epoch."""

    images: Images
    pipeline: Preprocessing

    @property
    def labels_N(self) -> Tensor:
        return self.images.labels_N

    def draw(self, generator: torch.Generator) -> Tensor:
        """The random numbers of one epoch, on the CPU; of the same shape in every epoch."""
        return torch.empty(0)

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        """The inputs of a batch, by the random numbers of its epoch; both on the device."""
        return eval_batch(self.images, self.pipeline)(indices_B)


@dataclass(frozen=True)
class AugmentedFeed(Feed):
    flip: bool  # whether a mirrored image is still of its class

    def draw(self, generator: torch.Generator) -> Tensor:
        flip_probability = augment.FLIP_PROBABILITY if self.flip else 0.0
        return augment.draw(generator, len(self.labels_N), flip_probability)

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        squares_NCHW, pipeline = self.images.squares_NCHW, self.pipeline
        assert squares_NCHW is not None, "augmentation needs the squares around the crops"
        unit_BCHW = augment.apply(squares_NCHW[indices_B], drawn[indices_B], pipeline.crop_size)
        return standardise(unit_BCHW, pipeline.mean, pipeline.std)


def image_feed(train: Images, pipeline: Preprocessing, recipe: Recipe) -> Feed:
    if recipe.augment == "none":
        return Feed(train, pipeline)
    return AugmentedFeed(train, pipeline, recipe.flip)


def eval_batch(images: Images, pipeline: Preprocessing) -> Batch:
    return lambda indices_B: normalise(images.crops_NCHW[indices_B], pipeline.mean, pipeline.std)


def shuffled_crops(train: Images, pipeline: Preprocessing) -> Batch:
    """Eval crops in a fixed random order, to estimate batch-norm statistics from.

    A data set lists its images class by class, and statistics of single classes are too narrow.
    """
    generator = torch.Generator().manual_seed(0)
    order_N = torch.randperm(len(train.labels_N), generator=generator)
    order_N = order_N.to(train.labels_N.device)
    crops = eval_batch(train, pipeline)
    return lambda indices_B: crops(order_N[indices_B])


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Full batches only: a last batch of one image would break batch norm.

    Fewer images than one batch make a single batch of all of them.
    """
    return max(1, num_images // batch_size)


def batches_of(order_N: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Consecutive full batches along the last dimension; the rest is left out."""
    num_images = order_N.shape[-1]
    size = min(batch_size, num_images)
    for start in range(0, steps_per_epoch(num_images, batch_size) * size, size):
        yield order_N[..., start : start + size]
