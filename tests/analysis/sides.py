"""Runs before and after, made of records: six cells of two architectures, three seeds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from bench import identity
from bench.analysis.baseline import PastRun, past_run
from bench.analysis.table import RunTable, Snapshot, table
from bench.record import Calibration, Failure, Phase, Result, Run, Sitting, Throughput
from tests import records

ROWS = ["resnet18", "vit_b_16"], ["fine_tuning", "feature_extraction", "partial"]
SEEDS = (0, 1, 2)

Record = Result | Failure
Change = Callable[[Result], Record | None]


def asked(number: int = 0, **changes: object) -> Run:
    """run.json of the run that began in this hour."""
    start = (datetime(2026, 11, 1) + timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = records.run(*ROWS, seeds=SEEDS)
    return made.model_copy(update={"started_at": start, "finished_at": start, **changes})


def measured(
    number: int = 0, change: Change | None = None, cells: Sequence[int] = range(6)
) -> list[Record]:
    """The records of that run: 1 % of noise; `change` is laid on the cells of these places."""
    draw = np.random.default_rng(number)
    found: list[Record | None] = []
    names = [(a, s) for a in ROWS[0] for s in ROWS[1]]
    for place, (architecture, strategy) in enumerate(names):
        for seed in SEEDS:
            one = records.result(
                records.cell(architecture, strategy, seed),
                test=930 + 3 * seed,
                train_seconds=10 * (1 + place) * float(np.exp(draw.normal(0, 0.01))),
                peak_memory_bytes=int(2**20 * (200 + draw.normal(0, 3))),
            )
            found.append(change(one) if change and place in cells else one)
    return [one for one in found if one is not None]


def tabled(
    number: int = 0, change: Change | None = None, cells: Sequence[int] = range(6), **run: object
) -> RunTable:
    """The table of that run."""
    found = measured(number, change, cells)
    made = asked(number, **run)
    ids = {(r.cell.architecture_label, r.cell.strategy, r.cell.seed): r.cell_id for r in found}
    names = [(a, s, seed) for a in ROWS[0] for s in ROWS[1] for seed in SEEDS]
    cells_ = [ids.get(n) or identity.cell_id(records.cell(*n)) for n in names]
    return table(made.model_copy(update={"cells": tuple(cells_)}), found)


def headed(run: Snapshot, **header: object) -> Snapshot:
    """The same run with another header."""
    fields = {**run.header.model_dump(), **header}
    return replace(run, header=type(run.header).model_validate(fields))


def only(run: Snapshot, keep: Callable[[str, str, int], bool], **columns: object) -> Snapshot:
    """The cells of a run that are kept, given by architecture, strategy and seed; with some columns
    at other values.
    """
    names = (run.columns[name] for name in ("architecture", "strategy", "seed"))
    places = [at for at, one in enumerate(zip(*names, strict=True)) if keep(*one)]
    found = {name: [values[at] for at in places] for name, values in run.columns.items()}
    found |= {name: [value] * len(places) for name, value in columns.items()}
    return Snapshot(run.header, found, run.labels, run.num_images, run.right)


def past(count: int) -> list[PastRun]:
    """So many runs of the same."""
    found = [past_run(tabled(number)) for number in range(count)]
    return [one for one in found if one is not None]


# ---- changes --------------------------------------------------------------------------------


def slower(factor: float) -> Change:
    """Training takes so many times as long."""

    def change(one: Result) -> Result:
        train = one.cost.attributed.train * factor
        cost = one.cost.model_copy(update={"attributed": records.seconds(train)})
        return one.model_copy(update={"cost": cost})

    return change


def more_memory(mebibytes: int) -> Change:
    """The peak is higher by so much."""

    def change(one: Result) -> Result:
        peak = (one.memory.cpu_rss_above_start_bytes or 0) + mebibytes * 2**20
        memory = one.memory.model_copy(update={"cpu_rss_above_start_bytes": peak})
        return one.model_copy(update={"memory": memory})

    return change


def right(count: int) -> Change:
    """So many of the 1,000 test images right."""

    def change(one: Result) -> Result:
        test = records.scores(count + one.cell.seed, 1000)
        return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})

    return change


def with_machine(**fields: object) -> Change:
    """On another machine."""

    def change(one: Result) -> Result:
        machine = one.machine.model_copy(update=fields)
        keys = identity.keys(one.cell, one.execution, machine)
        return one.model_copy(update={"machine": machine, "keys": keys})

    return change


def trained(
    rate: float, share: float = 1.0, precision: str = "fp32", gpu_name: str = "one"
) -> Change:
    """So many images/s of so much of the network, more under later seeds; on some machine."""

    def change(one: Result) -> Record | None:
        own = rate * (1 + one.cell.seed)
        phase = Phase(
            name="all", epochs=2, trainable_parameters=5, trainable_share=share, steps=9,
            frozen_cached=False,
        )  # fmt: skip
        speed = Throughput(median=own, lower_quartile=own, upper_quartile=own, num_epochs=1)
        cost = one.cost.model_copy(update={"phases": (phase,), "images_per_second": speed})
        execution = one.execution.model_copy(update={"precision": precision})
        return with_machine(gpu_name=gpu_name)(
            one.model_copy(update={"cost": cost, "execution": execution})
        )

    return change


def sitting(flops: float) -> Sitting:
    """On a machine that multiplies in fp32 so fast, and copies a hundredth as many bytes."""
    calibration = Calibration(
        matmul_fp32_flops=flops, matmul_bf16_flops=None, copy_bytes_per_second=flops / 100,
        upload_bytes_per_second=None, conv_seconds=None, loop_seconds=None, seconds=1,
    )  # fmt: skip
    return Sitting(start=calibration, end=calibration)


def with_cell(**fields: object) -> Change:
    """Of another task."""

    def change(one: Result) -> Result:
        cell = one.cell.model_copy(update=fields)
        return one.model_copy(update={"cell": cell, "cell_id": identity.cell_id(cell)})

    return change


def broken(status: str) -> Change:
    """Seed 1 did not end well."""

    def change(one: Result) -> Record:
        return records.failure(one.cell, status) if one.cell.seed == 1 else one

    return change


def gone(one: Result) -> Record | None:
    """Seed 1 has no record."""
    return None if one.cell.seed == 1 else one
