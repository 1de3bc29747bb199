"""Places of values, and the values at which axes are marked."""

import math
import random

import pytest

from bench.report.charts import scales
from bench.report.charts.scales import Linear, Log, Tick


def texts(ticks: list[Tick]) -> list[str]:
    return [tick.text for tick in ticks]


def test_equal_differences_are_equal_lengths() -> None:
    scale = Linear(90, 100, 300, 100)  # up is less
    assert [scale(v) for v in (90, 95, 100)] == [300, 200, 100]


def test_equal_ratios_are_equal_lengths() -> None:
    scale = Log(1, 1000, 0, 300)
    assert [scale(v) for v in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 100, 5, ["0", "20", "40", "60", "80", "100"]),
        (0, 100, 4, ["0", "25", "50", "75", "100"]),
        (91.3, 97.2, 6, ["92", "93", "94", "95", "96", "97"]),
        (0, 0.3, 3, ["0.0", "0.1", "0.2", "0.3"]),
        (0, 7.5, 3, ["0.0", "2.5", "5.0", "7.5"]),
        (0, 2500, 3, ["0", "1,000", "2,000"]),
        (-1, 1, 4, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round(low: float, high: float, count: int, expected: list[str]) -> None:
    assert texts(scales.linear_ticks(low, high, count)) == expected


def test_ticks_lie_inside_say_their_value_and_are_few() -> None:
    draw = random.Random(1)
    for _ in range(500):
        low = draw.uniform(-5, 5) * 10 ** draw.randint(-3, 6)
        high = low + 10 ** draw.uniform(-2, 6)
        ticks = scales.linear_ticks(low, high, 5)
        slack = 1e-6 * (high - low)
        assert 1 <= len(ticks) <= 6
        assert all(low - slack <= tick.value <= high + slack for tick in ticks)
        assert all(
            float(t.text.replace(",", "")) == pytest.approx(t.value, abs=slack) for t in ticks
        )


def test_whole_ticks_begin_at_the_first() -> None:
    assert texts(scales.whole_ticks(1, 10, 5)) == ["1", "2", "4", "6", "8", "10"]
    assert texts(scales.whole_ticks(1, 1, 5)) == ["1"]
    assert texts(scales.whole_ticks(1, 3, 5)) == ["1", "2", "3"]
    assert texts(scales.whole_ticks(1, 90, 5))[:3] == ["1", "20", "40"]


def test_times_are_marked_as_people_say_them() -> None:
    ticks = scales.time_ticks(0.4, 9000)
    assert texts(ticks) == [
        *("500 ms", "1 s", "2 s", "5 s", "10 s", "20 s", "30 s", "1 min", "2 min", "5 min"),
        *("10 min", "20 min", "30 min", "1 h", "2 h"),
    ]
    assert texts(scales.time_ticks(80_000, 2_000_000)) == ["48 h", "5 d", "10 d", "20 d"]
    assert texts(scales.time_ticks(1e-5, 3e-4)) == ["10 µs", "20 µs", "50 µs", "100 µs", "200 µs"]


def test_memory_is_marked_at_powers_of_two() -> None:
    ticks = scales.memory_ticks(200 * 2**20, 5 * 2**30)
    assert texts(ticks) == ["256 MiB", "512 MiB", "1 GiB", "2 GiB", "4 GiB"]
    assert [tick.value for tick in ticks] == [2**28, 2**29, 2**30, 2**31, 2**32]
    assert texts(scales.memory_ticks(1, 3)) == ["1 B", "2 B"]


def test_a_log_axis_holds_its_values_and_spans_a_factor_of_eight() -> None:
    for values in ([3.0], [1.0, 1.1], [1.0, 1e6]):
        low, high = scales.log_limits(values)
        assert low < min(values) <= max(values) < high
        assert high / low >= 8 * (1 - 1e-9)
        assert math.log(low * high) == pytest.approx(math.log(min(values) * max(values)))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 100), (94, 94), (0, 0), (100, 100), (99, 100), (1, 2), (40, 97)]
)
def test_percent_limits_hold_the_values_and_never_leave_0_to_100(low: float, high: float) -> None:
    bottom, top = scales.percent_limits(low, high)
    assert 0 <= bottom <= low <= high <= top <= 100
    assert top - bottom >= 4
