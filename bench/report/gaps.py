"""What a run did not measure: failed cells, cells without a record, and unknown quantities."""

from collections.abc import Iterable, Sequence

from bench.analysis.rows import results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import units
from bench.report.findings import Name, Text


def failures(summary: Summary) -> list[Text]:
    """Each cell that failed, and why."""
    return [
        (
            Name(f"{failure.cell.architecture_label} · {failure.cell.strategy}"),
            f", seed {failure.cell.seed}: {failure.status} ({failure.kind}) after "
            f"{units.duration(failure.seconds)}: ",
            Name(failure.reason),
        )
        for failure in summary.failures
    ]


def missing(summary: Summary) -> list[Text]:
    """Each cell without a record."""
    return [
        (Name(f"{cell.architecture} · {cell.strategy}"), f", seed {cell.seed}: no record")
        for cell in summary.missing
    ]


def unmeasured(run: Run, records: Sequence[Result | Failure]) -> list[str]:
    """Quantities that this run could not give."""
    lines = [
        f"{quantity}: unknown in {count:,} of {len(results(records)):,} ok cells"
        for quantity, count in unknown(results(records))
    ]
    if len(run.suite.seeds) == 1:
        lines.append("Spread over seeds: one seed only")
    return [*lines, "Spread over other splits and other data sets: one split of one data set only"]


def unknown(ok: Iterable[Result]) -> list[tuple[str, int]]:
    """Quantities that are null in ok records, and in how many."""
    ok = list(ok)
    on_gpu = [result for result in ok if result.machine.device == "cuda"]
    counts = {
        "Energy": sum(result.energy.attributed_joules is None for result in ok),
        "Peak GPU memory": sum(result.memory.gpu_allocated_bytes is None for result in on_gpu),
        "Peak CPU memory": sum(result.memory.cpu_rss_above_start_bytes is None for result in ok),
        "Latency": sum(result.cost.latency is None for result in ok),
        "MACs": sum(result.cost.forward_macs is None for result in ok),
    }
    return [(quantity, count) for quantity, count in counts.items() if count]
