"""The images of a split, from the cache to the device of a worker."""

from collections.abc import Sequence

import torch

from bench.cache import Tell
from bench.data.decoded import Squares, resize_of
from bench.data.images import Images, Pixels, Streamed, resident
from bench.measure.hardware import free_memory_bytes
from bench.record import Preprocessing
from bench.training.context import Context
from bench.training.stage import Parts

RESIDENT_SHARE = 0.5
"""Of the device's free memory that images may take; the rest is for networks and their steps."""


def load(context: Context, preprocessing: Preprocessing, *, augmented: bool, tell: Tell) -> Parts:
    """The crops of the split: resident on the device, or else gathered batch by batch.

    They stay if they fit there, with the squares if train is augmented; `load_squares` brings
    those. Either way a batch has the same bytes. `tell` hears of damage in the cache.
    """
    crop, split = preprocessing.crop_size, context.split
    parts = (split.train, split.val, split.test)
    need = sum(map(len, parts)) * 3 * crop**2
    if augmented:
        need += len(split.train) * 3 * preprocessing.resize_size**2
    stays = fits(need, free_bytes(torch.device(str(context.device))))
    resize = resize_of(preprocessing)
    stored = context.images.get(resize)
    squares = Squares(context.dataset, resize, stored.folder if stored else None, tell)

    def images(items: Sequence[int]) -> Images:
        labels = [context.dataset.items[item].label for item in items]
        labels_N = torch.tensor(labels, dtype=torch.int64, device=str(context.device))
        return Images(centres(context, squares, items, crop, stays=stays), None, labels_N)

    train, val, test = map(images, parts)
    how = stored.how if stored and squares.cached else "bypassed"
    return Parts(train, val, test, stays, how, squares, stored.shares if stored else ())


def load_squares(context: Context, parts: Parts) -> Pixels:
    """What train is augmented from, resident on the device or gathered batch by batch."""
    squares = parts.squares
    assert squares is not None, "parts that were loaded have squares"
    return centres(context, squares, context.split.train, squares.resize.size, stays=parts.resident)


def centres(
    context: Context, squares: Squares, items: Sequence[int], size: int, *, stays: bool
) -> Pixels:
    """The centres of some images."""
    if stays:
        return resident(squares, items, size, torch.device(str(context.device)))
    return Streamed(squares, items, size)


def fits(need_bytes: int, free_bytes: int) -> bool:
    """Whether so many bytes of images may stay on a device."""
    return need_bytes <= RESIDENT_SHARE * free_bytes


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free
    return free_memory_bytes()
