"""From values to places on paper, and the round values at which an axis is marked."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Linear(NamedTuple):
    """Equal differences are equal lengths: low..high is drawn from start to end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


class Log(NamedTuple):
    """Equal ratios are equal lengths; low and the values are above zero."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


class Tick(NamedTuple):
    """A marked value. Where there is no room for all, lower ranks are labelled first."""

    value: float
    text: str
    rank: int = 0


def percent_limits(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis in percent around values, never narrower than 4 nor beyond 0..100."""
    margin = max(0.06 * (high - low), (4 - (high - low)) / 2, 0.5)
    low, high = max(0.0, low - margin), min(100.0, high + margin)
    return (low, high) if high - low >= 4 else (max(0.0, min(low, 96.0)), min(100.0, low + 4))


def linear_ticks(low: float, high: float, count: int) -> list[Tick]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten: as many as fit, at most `count` + 1."""
    step = _step((high - low) / max(1, count))
    digits = next(d for d in range(330) if abs(round(step, d) - step) <= 1e-9 * step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [Tick(i * step, f"{i * step:,.{digits}f}") for i in range(first, last + 1)]


def _step(at_least: float) -> float:
    power = 10.0 ** math.floor(math.log10(at_least))
    fitting = (f * power for f in (1, 2, 2.5, 5, 10) if f * power >= at_least * (1 - 1e-9))
    return next(fitting, 10 * power)


def whole_ticks(low: int, high: int, count: int) -> list[Tick]:
    """Whole numbers, the first always among them."""
    step = max(1, math.ceil(_step(max(1e-9, (high - low) / max(1, count)))))
    values = dict.fromkeys((low, *range(-(-low // step) * step, high + 1, step)))
    return [Tick(v, f"{v:,}", rank=int(v != low)) for v in values]


def log_limits(values: Sequence[float]) -> tuple[float, float]:
    """Limits of a log axis around positive values, never narrower than a factor of eight."""
    low, high = min(values) / 1.35, max(values) * 1.35
    widen = max(1.0, math.sqrt(8 * low / high))
    return low / widen, high * widen


def time_ticks(low: float, high: float) -> list[Tick]:
    """Seconds, minutes, hours and days within the limits, as people say them."""
    return [tick for tick in _times(low, high) if low <= tick.value <= high]


def _times(low: float, high: float) -> Iterator[Tick]:
    for decade in range(math.floor(math.log10(low)), 1):
        for step, rank in ((1, 0), (2, 2), (5, 1)):
            yield Tick(step * 10.0**decade, _short(step * 10.0**decade), rank)
    yield from (Tick(value, _short(value), rank) for value, rank in ((10, 0), (20, 2), (30, 1)))
    for unit, symbol in ((60, "min"), (3600, "h")):
        steps = ((1, 0), (2, 2), (5, 1), (10, 0), (20, 2), (30 if unit == 60 else 48, 1))
        yield from (Tick(step * unit, f"{step} {symbol}", rank) for step, rank in steps)
    for decade in range(max(1, math.ceil(math.log10(max(high / 86400, 1))) + 1)):
        for step, rank in ((1, 0), (2, 2), (5, 1)):
            if (days := step * 10**decade) > 2:
                yield Tick(days * 86400, f"{days:,} d", rank)


def _short(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:g} s"
    return f"{seconds * 1e3:g} ms" if seconds >= 0.9e-3 else f"{seconds * 1e6:g} µs"


def memory_ticks(low: float, high: float) -> list[Tick]:
    """Powers of two bytes within the limits; every third or so is enough on a wide axis."""
    powers = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    return [Tick(2.0**power, _binary(power), rank=_binary_rank(power)) for power in powers]


def _binary(power: int) -> str:
    if power < 0:
        return f"{2.0**power:g} B"
    unit = min(power // 10, 5)
    return f"{2 ** (power - 10 * unit):,} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[unit]}"


def _binary_rank(power: int) -> int:
    if power % 10 == 0:
        return 0
    return 1 if power % 2 == 0 else 2
