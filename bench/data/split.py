"""The split of a data set into train, val and test: stratified, made once, the same everywhere.

The images of a class are shuffled by the seed and the class alone. Train is taken from the front
and val from the back, so a larger train set contains the smaller ones and leaves val as it is.

Official parts are kept; a missing one is cut from train, or from all images where nothing is
official. Where val and test are both cut, each takes a fifth of the images; where one is, it
takes a quarter.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations, count
from typing import NamedTuple

import numpy as np

from bench.data.dataset import Dataset, digest_lines, shortened
from bench.errors import DataError
from bench.record import Part

PARTS: tuple[Part, ...] = ("train", "val", "test")
ADVICE = "add images to these classes, leave them out, or lower train_per_class or val_per_class"


class Split(NamedTuple):
    """Indices into the items of a data set, each part in ascending order."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    sha256: str  # of the rows, see `rows`


class PerClass(NamedTuple):
    train: int | None
    val: int | None


Shuffled = Mapping[Part | None, list[int]]
"""The images of a class by official part, in shuffled order."""


def make_split(
    dataset: Dataset, train_per_class: int | None, val_per_class: int | None, split_seed: int
) -> Split:
    """Stratified split with exactly the given numbers of images per class, the rest to test.

    None: as the module's docstring says. Of an official train or val part the numbers take a
    subset; what is left over moves to no official part and may stay unused.
    Raises DataError with a table of every class that is too small for a part.
    """
    wanted = PerClass(train_per_class, val_per_class)
    parts: dict[Part, list[int]] = {part: [] for part in PARTS}
    problems: list[str] = []
    classes = shuffled_classes(dataset, split_seed)
    for name, shuffled in zip(dataset.classes, classes, strict=True):
        problems += too_small(name, shuffled, wanted)
        if not problems:
            for part, images in deal(shuffled, wanted).items():
                parts[part] += images
    if problems:
        heading = "too few images for the split (class: images, needed):"
        raise DataError([heading, *shortened(problems), ADVICE])
    train, val, test = (tuple(sorted(parts[part])) for part in PARTS)
    split = Split(train, val, test, "")
    lines = ("\0".join(row) for row in rows(dataset, split))
    return split._replace(sha256=digest_lines(lines))


def shuffled_classes(dataset: Dataset, split_seed: int) -> list[Shuffled]:
    classes: list[dict[Part | None, list[int]]] = [{} for _ in dataset.classes]
    for index, item in enumerate(dataset.items):
        classes[item.label].setdefault(item.part, []).append(index)
    for label, images in enumerate(classes):
        generator = np.random.default_rng([split_seed, label])
        for part in (None, *PARTS):
            if part in images:
                images[part] = generator.permutation(images[part]).tolist()
    return [*classes]


def deal(shuffled: Shuffled, wanted: PerClass) -> dict[Part, list[int]]:
    pool, val, test = pool_of(shuffled), shuffled.get("val"), shuffled.get("test")
    cut = cut_pool(len(pool), shuffled.keys(), wanted)
    assert cut is not None, "too_small is asked first"
    num_train, num_val = cut
    end = len(pool) - num_val
    return {
        "train": pool[:num_train],
        "val": val[: wanted.val] if val else pool[end:],
        "test": test or pool[num_train:end],
    }


def pool_of(shuffled: Shuffled) -> list[int]:
    """The images that missing parts are cut from."""
    return shuffled.get("train") or shuffled.get(None, [])


def cut_pool(
    num_images: int, official: Collection[Part | None], wanted: PerClass
) -> tuple[int, int] | None:
    """How many images train and val take; None if a part would get none that needs some."""
    cuts_val, cuts_test = "val" not in official, "test" not in official
    pieces = 3 + cuts_val + cuts_test
    share = (2 * num_images + pieces) // (2 * pieces)  # rounded half up
    val = 0 if not cuts_val else share if wanted.val is None else wanted.val
    spare = share if cuts_test else 0
    train = num_images - val - spare if wanted.train is None else wanted.train
    test = num_images - val - train
    fits = train >= 1 and test >= cuts_test and val >= cuts_val
    return (train, val) if fits else None


def too_small(class_name: str, shuffled: Shuffled, wanted: PerClass) -> Iterator[str]:
    """A line for each part of a class that has fewer images than it needs."""
    num_images, official = len(pool_of(shuffled)), shuffled.keys()
    if not cut_pool(num_images, official, wanted):
        where = " in train" if "train" in official else ""
        needed = next(number for number in count(1) if cut_pool(number, official, wanted))
        yield f"  {class_name}{where}: {num_images}, needed {needed}"
    if "val" in official and wanted.val is not None and len(shuffled["val"]) < wanted.val:
        yield f"  {class_name} in val: {len(shuffled['val'])}, needed {wanted.val}"


def rows(dataset: Dataset, split: Split) -> list[tuple[str, str, Part, str]]:
    """Key, class, part and hash of every image that has a part."""
    return [
        (item.key, dataset.classes[item.label], part, item.sha256)
        for part, indices in zip(PARTS, split[:3], strict=True)
        for item in (dataset.items[index] for index in indices)
    ]


def duplicates(dataset: Dataset, split: Split) -> dict[str, int]:
    """How many images of the second part are also in the first, byte by byte: {"train/test": 2}."""
    parts = zip(PARTS, split[:3], strict=True)
    hashes = {part: [dataset.items[index].sha256 for index in indices] for part, indices in parts}
    counts = {
        f"{first}/{second}": sum(map(set(hashes[first]).__contains__, hashes[second]))
        for first, second in combinations(PARTS, 2)
    }
    return {pair: number for pair, number in counts.items() if number}
