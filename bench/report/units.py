"""Numbers as people read them: percent, seconds, MiB. Unknown is a dash, never a zero."""

from bench.analysis.rows import Row, Score
from bench.analysis.stats import Interval
from bench.record import Machine, Run

UNKNOWN = "-"

METRICS = {"top1": "top-1 accuracy", "balanced_accuracy": "balanced accuracy"}
"""The metrics in words."""

COSTS = {
    "train_seconds": "train time",
    "peak_memory_bytes": "peak memory",
    "total_parameters": "parameters",
    "latency_seconds": "latency",
}
"""The tie-breaks in words."""

REUSED = "†"
REUSED_NOTE = (
    f"{REUSED} Features that an earlier run had kept were used: time, energy and memory are less "
    "than the whole cell's and are compared with nothing."
)


def percent(share: float | None, digits: int = 1) -> str:
    """`94.2` for 0.942; the unit stands in the heading."""
    return UNKNOWN if share is None else f"{100 * share:.{digits}f}"


def score(value: Score | None) -> str:
    """Mean over seeds in percent, with the standard deviation where there are several seeds."""
    if value is None:
        return UNKNOWN
    sd = value.seeds.sd
    return percent(value.seeds.mean) + ("" if sd is None else f" ± {percent(sd)}")


def mean_and_sd(mean: float | None, sd: float | None) -> str:
    """`94.2 ± 0.3`, in percent; one seed has no standard deviation."""
    return percent(mean) + ("" if sd is None else f" ± {percent(sd)}")


def between(low: float | None, high: float | None) -> str:
    """`92.5–95.4`, in percent."""
    return UNKNOWN if low is None or high is None else f"{percent(low)}–{percent(high)}"


def train_seconds(row: Row) -> str:
    """Mean train time, marked where it is not the whole of it."""
    return _marked(row, three_digits(row.train_seconds.mean if row.train_seconds else None))


def memory(row: Row) -> str:
    """Peak memory in MiB, marked where it is not the whole of it."""
    return _marked(row, mebibytes(row.peak_memory_bytes))


def _marked(row: Row, text: str) -> str:
    return f"{text} {REUSED}" if row.features_reused and text != UNKNOWN else text


def interval(value: Interval | None) -> str:
    """`92.5–95.4`, in percent."""
    return UNKNOWN if value is None else f"{percent(value.low)}–{percent(value.high)}"


def three_digits(value: float | None) -> str:
    """Three significant digits without an exponent, whole numbers in full: `0.0831`, `1,204`."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    digits = max(0, 2 - _exponent(value))
    return f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """A trainable share in percent: three digits below one percent, one decimal above."""
    if value is None or value >= 0.01:
        return percent(value)
    return three_digits(100 * value)


def mebibytes(value: float | None) -> str:
    """Bytes as MiB."""
    return three_digits(None if value is None else value / 2**20)


def millions(value: float | None) -> str:
    """A count in millions."""
    return three_digits(None if value is None else value / 1e6)


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds."""
    return three_digits(None if value is None else value * 1e3)


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


def device(machine: Machine) -> str:
    """`NVIDIA H200`, or `AMD EPYC 9B14, 2 cores`."""
    if machine.device == "cuda":
        return machine.gpu_name or "unknown GPU"
    return f"{machine.cpu_model or 'unknown CPU'}, {plural(machine.usable_cores, 'core')}"


def setting(run: Run) -> str:
    """Profile and device of a run, which no number of it may be read without."""
    return f"{run.profile.upper()} profile · {device(run.machine)}"


def _exponent(value: float) -> int:
    # Of the rounded value: 9.999 has three digits as 10.0, not as 10.00.
    return int(f"{value:.2e}".partition("e")[2])
