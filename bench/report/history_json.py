"""The history of a suite for a program: every value, and what was left out and why."""

import json

from bench.analysis.histories import Histories, Series
from bench.report.histories import Reading, remarks


def as_json(found: Histories, reading: Reading) -> str:
    """Everything, for a program; runs are told by their place in `runs`."""
    content = {
        "suite": found.suite_name,
        "runs": [run._asdict() for run in found.runs],
        **reading._asdict(),
        "setups": [setup._asdict() for setup in found.setups],
        "cells": [
            {
                "architecture": cell.architecture,
                "strategy": cell.strategy,
                "failures": cell.failures,
                "series": [_series(series, found) for series in cell.series],
            }
            for cell in found.cells
        ],
        "remarks": remarks(found, reading),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _series(series: Series, found: Histories) -> dict[str, object]:
    return {
        "metric": series.metric,
        "task": series.task,
        "seeds": series.seeds,
        "joined": series.key is not None,
        "values": [
            {
                "run": dot.run,
                "value": dot.value,
                "setup": found.setup_of[dot.under],
                "left_out": dot.apart or None,
            }
            for dot in series.dots
        ],
        "changes": [
            {
                "run": one.run,
                "before": one.before,
                "change": one.amount,
                "level_before": one.step.before,
                "level_after": one.step.after,
                "runs_before": one.step.num_before,
                "runs_after": one.step.num_after,
                "fields": one.fields,
                "machine": one.machine,
            }
            for one in series.changes
        ],
    }
