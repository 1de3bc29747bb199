"""The images of a split, from the cache to the device of a worker."""

from collections.abc import Sequence

import torch

from bench.data.images import Images, Pixels
from bench.data.squares import Centres, Squares, resident
from bench.data.stored import resize_of
from bench.measure.hardware import free_memory_bytes
from bench.schema import Cell, Preprocessing
from bench.training.context import Context
from bench.training.stage import Parts
from bench.training.strategies import STARTS_FROZEN

RESIDENT_SHARE = 0.5
"""Of the device's free memory that images may take; the rest is for networks and their steps."""


def load(context: Context, preprocessing: Preprocessing, *, augmented: bool) -> Parts:
    """The split, resident on the device where it fits there, else gathered batch by batch.

    Either way a batch has the same bytes. Where train is augmented, its squares are there too.
    """
    resize, crop, split = resize_of(preprocessing), preprocessing.crop_size, context.split
    stored = context.images.get(resize)
    squares = Squares(context.dataset, resize, stored.entry if stored else None)
    device = torch.device(str(context.device))
    train_sizes = [crop, resize.size] if augmented else [crop]
    parts = [(split.train, train_sizes), (split.val, [crop]), (split.test, [crop])]
    need = sum(3 * len(items) * size**2 for items, sizes in parts for size in sizes)
    stays = fits(need, free_bytes(device))

    def images(items: Sequence[int], sizes: Sequence[int]) -> Images:
        pixels: list[Pixels] = []
        if stays:
            pixels += resident(squares, items, sizes, device)
        else:
            pixels += [Centres(squares, items, size) for size in sizes]
        labels = [context.dataset.items[item].label for item in items]
        labels_N = torch.tensor(labels, dtype=torch.int64, device=device)
        return Images(pixels[0], pixels[1] if len(pixels) > 1 else None, labels_N)

    train, val, test = (images(*part) for part in parts)
    shares = stored.shares if stored else ()
    how = stored.how if stored and squares.damage is None else "bypassed"
    return Parts(train, val, test, resident=stays, how=how, shares=shares)


def augments(cell: Cell) -> bool:
    """Whether the cell looks at augmented images of train: live, or as views to cache."""
    live = cell.kind != "feature_extraction" and cell.recipe.augment == "standard"
    return live or (cell.kind in STARTS_FROZEN and cell.recipe.views > 1)


def fits(need_bytes: int, free_bytes: int) -> bool:
    """Whether so many bytes of images may stay on a device."""
    return need_bytes <= RESIDENT_SHARE * free_bytes


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free
    return free_memory_bytes()
