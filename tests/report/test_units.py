"""Numbers as a reader expects to see them."""

import pytest

from bench.report import units
from tests import records


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.0831, "0.0831"),
        (0.998, "0.998"),
        (0.9999, "1.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (1204.4, "1,204"),
        (85_806_346, "85,806,346"),
    ],
)
def test_three_digits_without_exponent_and_whole_numbers_in_full(
    value: float | None, text: str
) -> None:
    assert units.three_digits(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "0.500 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (252, "4 min 12 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_a_duration_never_shows_sixty_of_anything(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


def test_a_small_trainable_share_is_not_rounded_to_nothing() -> None:
    assert units.share(5_130 / 11_181_642) == "0.0459"
    assert units.share(1.0) == "100.0"
    assert units.share(None) == "-"


def test_units_are_binary_for_memory_and_decimal_for_counts() -> None:
    assert units.mebibytes(200 * 2**20) == "200"
    assert units.millions(11_181_642) == "11.2"
    assert units.milliseconds(0.0042) == "4.20"
    assert units.percent(0.9425) == "94.2"


def test_plural_counts() -> None:
    assert [units.plural(n, "seed") for n in (0, 1, 2, 1000)] == [
        "no seeds", "1 seed", "2 seeds", "1,000 seeds",
    ]  # fmt: skip


def test_the_device_is_the_gpu_where_there_is_one() -> None:
    assert units.device(records.CPU) == "AMD EPYC, 2 cores"
    assert units.device(records.GPU) == "NVIDIA H200"
