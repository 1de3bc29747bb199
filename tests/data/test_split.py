"""Splits: partitions with the promised counts, the same on every machine."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

import pytest

from bench.data.dataset import Dataset, Item
from bench.data.sources import scan
from bench.data.split import Split, duplicates, make_split, rows
from bench.errors import DataError
from bench.record import Part


def dataset_of(counts: Mapping[str, Mapping[Part | None, int]]) -> Dataset:
    """A data set with the given number of images per class and official part."""
    items = [
        Item(f"{part}/{name}/{number:03d}.png", label, f"{part}{name}{number}", part)
        for label, (name, parts) in enumerate(counts.items())
        for part, size in parts.items()
        for number in range(size)
    ]
    return Dataset("made", "made", tuple(counts), tuple(sorted(items)), True, ())


def sizes(dataset: Dataset, split: Split) -> dict[str, tuple[int, int, int]]:
    """Images of each class in train, val and test, counted from the rows."""
    counted = Counter((name, part) for _, name, part, _ in rows(dataset, split))
    return {
        name: (counted[name, "train"], counted[name, "val"], counted[name, "test"])
        for name in dataset.classes
    }


def test_digits_split_into_what_the_suite_asks_and_the_rest_is_test() -> None:
    digits = scan("digits")
    split = make_split(digits, 30, 50, 0)
    assert (len(split.train), len(split.val), len(split.test)) == (300, 500, 997)
    assert {pair[:2] for pair in sizes(digits, split).values()} == {(30, 50)}


def test_every_image_is_in_exactly_one_part() -> None:
    digits = scan("digits")
    split = make_split(digits, 30, 50, 0)
    everything = sorted((*split.train, *split.val, *split.test))
    assert everything == list(range(len(digits.items)))


def test_indices_of_each_part_ascend() -> None:
    split = make_split(scan("digits"), 30, 50, 0)
    assert [list(part) for part in split[:3]] == [sorted(part) for part in split[:3]]


def test_the_split_of_the_digits_is_this_one_for_ever() -> None:
    # Every published baseline stands on this split: if it moves, so does PROTOCOL_VERSION.
    assert make_split(scan("digits"), 30, 50, 0).sha256.startswith("830392321aed12fb")


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_fresh_interpreter_with_other_hashes_makes_the_same_split(hash_seed: str) -> None:
    code = (
        "from bench.data.sources import scan; from bench.data.split import make_split; "
        "print(make_split(scan('digits'), 30, 50, 7).sha256)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == make_split(scan("digits"), 30, 50, 7).sha256


def test_another_seed_is_another_split_of_the_same_sizes() -> None:
    digits = scan("digits")
    first, second = make_split(digits, 30, 50, 0), make_split(digits, 30, 50, 1)
    assert first.sha256 != second.sha256
    assert sizes(digits, first) == sizes(digits, second)


def test_a_larger_train_set_contains_the_smaller_and_leaves_val_where_it_is() -> None:
    digits = scan("digits")
    small, large = make_split(digits, 30, 50, 0), make_split(digits, 60, 50, 0)
    assert set(small.train) < set(large.train)
    assert small.val == large.val


def test_a_class_does_not_depend_on_the_classes_after_it() -> None:
    one = make_split(dataset_of({"a": {None: 20}, "b": {None: 20}}), None, None, 0)
    other = make_split(dataset_of({"a": {None: 20}, "b": {None: 9}}), None, None, 0)
    assert [i for i in one.train if i < 20] == [i for i in other.train if i < 20]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (5, (3, 1, 1)),
        (7, (5, 1, 1)),
        (8, (4, 2, 2)),
        (10, (6, 2, 2)),
        (100, (60, 20, 20)),
    ],
)
def test_without_official_parts_or_counts_the_shares_are_60_20_20(
    number: int, expected: tuple[int, int, int]
) -> None:
    made = dataset_of({"a": {None: number}, "b": {None: 10}})
    assert sizes(made, make_split(made, None, None, 0)) == {"a": expected, "b": (6, 2, 2)}


@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [(5, None, (5, 4, 11)), (None, 3, (13, 3, 4)), (2, 1, (2, 1, 17))],
)
def test_one_count_leaves_the_other_at_its_share(
    train: int | None, val: int | None, expected: tuple[int, int, int]
) -> None:
    made = dataset_of({"a": {None: 20}, "b": {None: 20}})
    assert sizes(made, make_split(made, train, val, 0))["a"] == expected


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        ({"train": 10, "val": 3, "test": 4}, (10, 3, 4)),
        ({"train": 80, "test": 20}, (60, 20, 20)),
        ({"train": 80, "val": 20}, (60, 20, 20)),
        ({"train": 10, "test": 61}, (7, 3, 61)),
        ({"train": 10}, (6, 2, 2)),
    ],
)
def test_official_parts_stay_and_missing_ones_are_cut_from_train(
    official: dict[Part | None, int], expected: tuple[int, int, int]
) -> None:
    made = dataset_of({"a": official, "b": official})
    split = make_split(made, None, None, 0)
    assert sizes(made, split)["a"] == expected
    for part in ("train", "val", "test"):
        came_from = {made.items[index].part for index in getattr(split, part)}
        assert came_from == {part if part in official else "train"}


@pytest.mark.parametrize(
    ("official", "train", "val", "expected"),
    [
        ({"train": 10, "test": 5}, 4, 2, (4, 2, 5)),
        ({"train": 10, "val": 3, "test": 5}, 4, None, (4, 3, 5)),
        ({"train": 10, "val": 3, "test": 5}, None, 2, (10, 2, 5)),
        ({"train": 10, "val": 3}, 4, None, (4, 3, 6)),
        ({"train": 10}, 4, 1, (4, 1, 5)),
    ],
)
def test_counts_take_subsets_of_official_parts_and_never_feed_an_official_test(
    official: dict[Part | None, int],
    train: int,
    val: int | None,
    expected: tuple[int, int, int],
) -> None:
    made = dataset_of({"a": official, "b": official})
    split = make_split(made, train, val, 0)
    assert sizes(made, split)["a"] == expected
    if "test" in official:
        assert {made.items[index].part for index in split.test} == {"test"}


@pytest.mark.parametrize(
    ("parts", "train", "val", "lines"),
    [
        ({None: 2}, None, None, ["  small: 2, needed 3"]),
        ({None: 80}, 30, 50, ["  small: 80, needed 81"]),
        ({None: 5}, 5, None, ["  small: 5, needed 7"]),
        ({"train": 1, "test": 9}, None, None, ["  small in train: 1, needed 2"]),
        ({"train": 5, "test": 9}, 4, 2, ["  small in train: 5, needed 6"]),
        (
            {"train": 1, "val": 1, "test": 1},
            2,
            2,
            ["  small in train: 1, needed 2", "  small in val: 1, needed 2"],
        ),
    ],
)
def test_a_class_that_is_too_small_is_named_with_what_it_needs(
    parts: dict[Part | None, int], train: int | None, val: int | None, lines: list[str]
) -> None:
    enough: dict[Part | None, int] = dict.fromkeys(parts, 200)
    made = dataset_of({"large": enough, "small": parts})
    with pytest.raises(DataError) as caught:
        make_split(made, train, val, 0)
    assert caught.value.problems[1:-1] == lines


def test_all_classes_that_are_too_small_are_named_at_once() -> None:
    made = dataset_of({"a": {None: 1}, "b": {None: 10}, "c": {None: 2}})
    with pytest.raises(DataError) as caught:
        make_split(made, None, None, 0)
    assert caught.value.problems[1:-1] == ["  a: 1, needed 3", "  c: 2, needed 3"]


def test_rows_come_part_by_part_in_the_order_of_the_indices() -> None:
    made = dataset_of({"a": {None: 5}, "b": {None: 5}})
    split = make_split(made, None, None, 0)
    keys = [made.items[index].key for part in split[:3] for index in part]
    assert [key for key, *_ in rows(made, split)] == keys
    assert [part for _, _, part, _ in rows(made, split)] == ["train"] * 6 + ["val"] * 2 + [
        "test"
    ] * 2


def test_the_checksum_covers_the_images_themselves() -> None:
    made = dataset_of({"a": {None: 5}, "b": {None: 5}})
    changed = (*made.items[:3], made.items[3]._replace(sha256="other"), *made.items[4:])
    other = Dataset("made", "made", made.classes, changed, True, ())
    assert make_split(made, None, None, 0).train == make_split(other, None, None, 0).train
    assert make_split(made, None, None, 0).sha256 != make_split(other, None, None, 0).sha256


def test_identical_images_on_both_sides_are_counted() -> None:
    hashes = {"train": "x x y", "val": "z x", "test": "y y x q"}
    items = [
        Item(f"{part}/{number}", 0, sha256, None)
        for part, line in hashes.items()
        for number, sha256 in enumerate(line.split())
    ]
    made = Dataset("made", "made", ("a",), tuple(items), True, ())
    split = Split(train=(0, 1, 2), val=(3, 4), test=(5, 6, 7, 8), sha256="")
    assert duplicates(made, split) == {"train/val": 1, "train/test": 3, "val/test": 1}


def test_parts_without_identical_images_have_no_entry() -> None:
    made = dataset_of({"a": {None: 5}, "b": {None: 5}})
    assert duplicates(made, make_split(made, None, None, 0)) == {}
