"""Numbers as people read them: percent, seconds, MiB. Unknown is a dash, never a zero."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from bench.analysis.choice import OddCosts, Score
from bench.analysis.pareto import COSTS
from bench.record import Machine, Run
from bench.suite import Suite

UNKNOWN = "-"

ODD_MARKS: Mapping[OddCosts, str] = {"reused": "†", "passes": "‡"}
ODD_NOTES: Mapping[OddCosts, str] = {
    "reused": "Features kept by an earlier run were used: time, energy and memory leave out that "
    "work and are compared with nothing.",
    "passes": "Memory ran out, so each batch went in several passes: time, energy and memory are "
    "of other work and are compared with nothing, and batch norm saw smaller batches.",
}


def odd_mark(odd: OddCosts | None) -> str:
    """The mark of costs that compare with nothing; empty for others."""
    return "" if odd is None else ODD_MARKS[odd]


def odd_notes(found: Collection[OddCosts | None]) -> list[str]:
    """What the marks mean that there are."""
    return [f"{ODD_MARKS[odd]} {note}" for odd, note in ODD_NOTES.items() if odd in found]


def percent(share: float | None) -> str:
    """`94.2` for 0.942; the unit stands in the heading."""
    return UNKNOWN if share is None else f"{100 * share:.1f}"


def score(value: Score | None) -> str:
    """Mean over seeds in percent, with the standard deviation where there are several seeds."""
    if value is None:
        return UNKNOWN
    return mean_and_sd(value.seeds.mean, value.seeds.sd)


def mean_and_sd(mean: float | None, sd: float | None) -> str:
    """`94.2 ± 0.3`, in percent; one seed has no standard deviation."""
    return percent(mean) + ("" if sd is None else f" ± {percent(sd)}")


def between(low: float | None, high: float | None) -> str:
    """`92.5–95.4`, in percent."""
    return UNKNOWN if low is None or high is None else f"{percent(low)}–{percent(high)}"


def three_digits(value: float | None) -> str:
    """Three significant digits without an exponent, whole numbers in full: `0.0831`, `1,204`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    # The exponent of the rounded value: 9.999 has three digits as 10.0, not as 10.00.
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:,.{max(0, 2 - exponent)}f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points: `1.2`, `0.04`."""
    value = 100 * difference
    return f"{value:.1f}" if abs(value) >= 0.095 or value == 0 else f"{value:.2f}"


def probability(value: float) -> str:
    """`0.43`, `0.012`, `< 0.001`."""
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A trainable share in percent: three digits below one percent, one decimal above."""
    if value is None or value >= 0.01:
        return percent(value)
    return three_digits(100 * value)


def unit_of(cost: str) -> str:
    return COSTS[cost].unit.split()[0]


def scaled(value: float | None, cost: str) -> str:
    return three_digits(None if value is None else value / COSTS[cost].scale)


mebibytes = partial(scaled, cost="peak_memory_bytes")
millions = partial(scaled, cost="total_parameters")
milliseconds = partial(scaled, cost="latency_seconds")


def amount(cost: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if cost == "train_seconds":
        return duration(value)
    return f"{scaled(value, cost)} {unit_of(cost)}"


def duration(seconds: float) -> str:
    """A time for prose: `0.42 s`, `8.5 s`, `4 min 12 s`, `2 h 05 min`."""
    if seconds < 59.95:
        return f"{three_digits(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`, `no images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}s"


def seeds(suite: Suite) -> str:
    """`1 seed`, `3 seeds`; `1 to 3 seeds` where strategies have seeds of their own."""
    least, most = min(suite.seed_counts), max(suite.seed_counts)
    return f"{least:,} to {plural(most, 'seed')}" if least < most else plural(most, "seed")


def device(machine: Machine) -> str:
    """`NVIDIA H200`, or `AMD EPYC 9B14, 2 cores`."""
    if machine.device == "cuda":
        return machine.gpu_name or "unknown GPU"
    return f"{machine.cpu_model or 'unknown CPU'}, {plural(machine.usable_cores, 'core')}"


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def setting(run: Run) -> str:
    """Profile and device of a run, needed to read any of its numbers."""
    return f"{run.profile.upper()} profile · {device(run.machine)}"
