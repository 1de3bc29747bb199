"""The split of a data set into train, val and test: stratified, made once, the same everywhere.

The images of a class are shuffled by the seed and the class alone. Train is taken from the front
and val from the back, so a larger train set contains the smaller ones and leaves val as it is.

Official parts are kept; a missing one is cut from train, or from all images where nothing is
official. Where val and test are both cut, each takes a fifth of the images; where one is, it
takes a quarter.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations, count
from typing import NamedTuple

import numpy as np

from bench.data.dataset import Dataset, digest_lines, shortened
from bench.errors import DataError
from bench.record import Part

PARTS: tuple[Part, ...] = ("train", "val", "test")


class Split(NamedTuple):
    """Indices into the items of a data set, each part in ascending order."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    sha256: str  # of the rows, see `rows`


class SplitRow(NamedTuple):
    key: str
    class_name: str
    part: Part
    sha256: str


def make_split(
    dataset: Dataset, train_per_class: int | None, val_per_class: int | None, split_seed: int
) -> Split:
    """Stratified split with exactly the given numbers of images per class, the rest to test.

    None: as the module's docstring says. Of an official train or val part the numbers take a
    subset; what is left over moves to no official part and may stay unused.
    Raises DataError with a table of every class that is too small for a part.
    """
    parts: dict[Part, list[int]] = {part: [] for part in PARTS}
    problems: list[str] = []
    classes = shuffled_classes(dataset, split_seed)
    for name, shuffled in zip(dataset.classes, classes, strict=True):
        problems += too_small(name, shuffled, train_per_class, val_per_class)
        if not problems:
            for part, images in deal(shuffled, train_per_class, val_per_class).items():
                parts[part] += images
    if problems:
        raise DataError([HEADING, *shortened(problems), ADVICE])
    train, val, test = (tuple(sorted(parts[part])) for part in PARTS)
    split = Split(train, val, test, "")
    lines = ("\0".join(row) for row in rows(dataset, split))
    return split._replace(sha256=digest_lines(lines))


HEADING = "too few images for the split (class: images, needed):"
ADVICE = "add images to these classes, leave them out, or lower train_per_class or val_per_class"


def shuffled_classes(dataset: Dataset, split_seed: int) -> list[dict[Part | None, list[int]]]:
    """The images of each class by official part, in shuffled order."""
    classes: list[dict[Part | None, list[int]]] = [{} for _ in dataset.classes]
    for index, item in enumerate(dataset.items):
        classes[item.label].setdefault(item.part, []).append(index)
    for label, images in enumerate(classes):
        generator = np.random.default_rng([split_seed, label])
        for part in (None, *PARTS):
            if part in images:
                order = generator.permutation(len(images[part]))
                images[part] = [images[part][position] for position in order]
    return classes


def pool_of(shuffled: Mapping[Part | None, list[int]]) -> list[int]:
    return shuffled.get("train", []) or shuffled.get(None, [])


def deal(
    shuffled: Mapping[Part | None, list[int]],
    train_per_class: int | None,
    val_per_class: int | None,
) -> dict[Part, list[int]]:
    pool, val, test = pool_of(shuffled), shuffled.get("val"), shuffled.get("test")
    cut = cut_pool(len(pool), train_per_class, val_per_class, bool(val), bool(test))
    assert cut is not None, "too_small is asked first"
    num_train, num_val = cut
    end = len(pool) - num_val
    return {
        "train": pool[:num_train],
        "val": val[:val_per_class] if val else pool[end:],
        "test": test or pool[num_train:end],
    }


def cut_pool(
    num_images: int,
    train_per_class: int | None,
    val_per_class: int | None,
    has_val: bool,
    has_test: bool,
) -> tuple[int, int] | None:
    """How many images train and val take; None if a part would get none that needs some."""
    parts_cut = (not has_val) + (not has_test)
    pieces = 3 + parts_cut
    share = (2 * num_images + pieces) // (2 * pieces)  # rounded half up
    val = 0 if has_val else share if val_per_class is None else val_per_class
    spare = 0 if has_test else share
    train = num_images - val - spare if train_per_class is None else train_per_class
    test = num_images - val - train
    fits = train >= 1 and test >= (not has_test) and (has_val or val >= 1)
    return (train, val) if fits else None


def too_small(
    class_name: str,
    shuffled: Mapping[Part | None, list[int]],
    train_per_class: int | None,
    val_per_class: int | None,
) -> Iterator[str]:
    """A line for each part of a class that has fewer images than it needs."""
    num_images, has = len(pool_of(shuffled)), {part: bool(shuffled.get(part)) for part in PARTS}

    def fits(number: int) -> bool:
        return bool(cut_pool(number, train_per_class, val_per_class, has["val"], has["test"]))

    if not fits(num_images):
        where = " in train" if has["train"] else ""
        needed = next(number for number in count(1) if fits(number))
        yield f"  {class_name}{where}: {num_images}, needed {needed}"
    if has["val"] and len(shuffled["val"]) < (val_per_class or 1):
        yield f"  {class_name} in val: {len(shuffled['val'])}, needed {val_per_class}"


def rows(dataset: Dataset, split: Split) -> list[SplitRow]:
    return [
        SplitRow(item.key, dataset.classes[item.label], part, item.sha256)
        for part, indices in zip(PARTS, split[:3], strict=True)
        for item in (dataset.items[index] for index in indices)
    ]


def duplicates(dataset: Dataset, split: Split) -> dict[str, int]:
    """How many images of the second part are also in the first, byte by byte: {"train/test": 2}."""
    hashes: dict[Part, list[str]] = {part: [] for part in PARTS}
    for row in rows(dataset, split):
        hashes[row.part].append(row.sha256)
    counts = {
        f"{first}/{second}": sum(map(set(hashes[first]).__contains__, hashes[second]))
        for first, second in combinations(PARTS, 2)
    }
    return {pair: number for pair, number in counts.items() if number}
