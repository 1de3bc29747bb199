"""Tables keep every value, show null as null, and survive any name."""

import csv
import io
import re

import pandas as pd

from bench.analysis.summary import summarise
from bench.record import Failure, Result
from bench.report import formats, run_tables
from bench.report.formats import Table, Value
from tests import records
from tests.records import cell, failure, result, run

HOSTILE = ["a|b", "`x`", "two\nlines", "=1+1", "50%_&#$~^{}\\", "<b>", "_it_ *is*", "@cmd", "&lt;"]


def table(*values: Value) -> Table:
    """One column that holds the values."""
    return Table(("name",), tuple((value,) for value in values), "l")


def read_csv(text: str) -> list[list[str]]:
    """CSV as Python's own reader sees it."""
    return list(csv.reader(io.StringIO(text)))


def test_results_have_a_row_per_cell_in_the_order_of_the_suite_with_every_scalar() -> None:
    asked = run(["vit_b_16", "resnet18"], ["partial"], seeds=[0, 1])
    found: list[Result | Failure] = [
        failure(cell("resnet18", "partial", 0), "timeout", "a, b\nc"),
        result(cell("vit_b_16", "partial", 1), val=380, test=951),
        result(cell("vit_b_16", "partial", 0)),
    ]
    text = formats.csv_text(run_tables.cells(asked, found, summarise(asked, found).missing))
    frame = pd.read_csv(io.StringIO(text)).set_index("cell_id")
    assert list(frame.index) == list(asked.cells)
    assert list(frame["status"]) == ["ok", "ok", "timeout", "missing"]
    one = frame.iloc[1]
    assert one["quality.val.top1"] == 0.95
    assert one["quality.test.top1"] == 0.951
    assert one["cell.recipe.stages"] == 1
    assert one["cost.attributed.train"] == 10.0
    assert one["cost.latency.batch1_p50_seconds"] == 0.039
    assert one["memory.cpu_rss_above_start_bytes"] == 200 * 2**20
    assert pd.isna(one["memory.gpu_allocated_bytes"])
    assert frame.iloc[2]["reason"] == "a, b\nc"
    assert frame.iloc[2]["seconds"] == 3.0
    assert list(frame["cell.architecture_label"]) == ["vit_b_16", "vit_b_16", *["resnet18"] * 2]
    assert frame["quality.test.top1"].isna().tolist() == [False, False, True, True]


def test_results_leave_out_what_is_no_single_number() -> None:
    paths = set(run_tables.scalar_paths(Result))
    assert {"cost.phases", "curve", "quality.val.confusion", "quality.val.recall"}.isdisjoint(paths)
    assert not any("predictions" in path for path in paths)
    assert {"keys.performance", "execution.threads", "energy.marginal_joules"} <= paths


def test_the_main_table_is_sorted_by_val_and_says_what_the_choice_made_of_each_row() -> None:
    asked = run(["a", "b", "c", "d"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("a", "partial", 0), val=300),
        records.wrong_on_val(
            result(cell("b", "partial", 0), test=900, train_seconds=2.0), slice(0, 24)
        ),
        result(cell("c", "partial", 0), val=380, test=940),
        failure(cell("d", "partial", 0)),
    ]
    main = run_tables.main(summarise(asked, found))
    assert [(row[0], row[-1]) for row in main.rows] == [
        ("c", "leader"),
        ("b", "tied, 1.0 ± 1.7 behind, recommended"),
        ("a", "20.0 ± 2.0 behind"),
        ("d", "disqualified"),
    ]
    assert main.rows[0][2:6] == ("95.0", "92.4–96.7", "94.0", "92.4–95.3")
    assert main.rows[3][2:10] == (*["-"] * 7, "0/1 (1 diverged)")
    numbers = read_csv(formats.csv_text(run_tables.main_numbers(summarise(asked, found))))
    failed = dict(zip(numbers[0], numbers[4], strict=True))
    assert failed["val_mean"] == failed["train_seconds_mean"] == failed["peak_memory_bytes"] == ""
    assert dict(zip(numbers[0], numbers[1], strict=True))["val_sd"] == ""
    marks = [dict(zip(numbers[0], row, strict=True)) for row in numbers[1:]]
    assert [(one["leader"], one["tied"], one["recommended"]) for one in marks] == [
        ("True", "True", "False"),
        ("False", "True", "True"),
        ("False", "False", "False"),
        ("False", "False", "False"),
    ]


def test_costs_without_the_work_of_an_earlier_run_are_marked_in_every_format() -> None:
    asked = run(["a", "b"], ["partial"])
    found = [result(cell(name, "partial", 0), train_seconds=2.0) for name in ("a", "b")]
    summary = summarise(asked, [records.reused(found[0]), found[1]])
    main = {row[0]: row for row in run_tables.main(summary).rows}
    assert [main[name][6:8] for name in ("a", "b")] == [("2.00 †", "200 †"), ("2.00", "200")]
    assert "2.00 † & 200 †" in re.sub(r" +", " ", formats.latex(run_tables.main(summary)))
    header, *rows = read_csv(formats.csv_text(run_tables.main_numbers(summary)))
    told = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert [told[name]["features_reused"] for name in ("a", "b")] == ["True", "False"]
    assert told["a"]["train_seconds_mean"] == "2.0"


def test_the_matrix_has_a_dash_where_nothing_is_ok() -> None:
    asked = run(["a", "b"], ["partial", "fine_tuning"])
    found = [
        result(cell("a", "partial", 0), test=900),
        result(cell("b", "fine_tuning", 0), test=800),
    ]
    rows = summarise(asked, found).rows
    scores = {(row.architecture, row.strategy): row.test for row in rows}
    assert run_tables.matrix(scores) == Table(
        ("Architecture", "partial", "fine_tuning"), (("a", "90.0", "-"), ("b", "-", "80.0")), "lrr"
    )
    assert formats.csv_text(run_tables.matrix_numbers(scores)) == (
        "architecture,partial,fine_tuning\na,0.9,\nb,,0.8\n"
    )


def test_an_architecture_takes_its_latency_from_the_cell_that_measured_it() -> None:
    asked = run(["resnet18", "lost"], ["partial"], seeds=[0, 1])
    bare = result(cell("resnet18", "partial", 0))
    bare = bare.model_copy(update={"cost": bare.cost.model_copy(update={"latency": None})})
    found = [bare, result(cell("resnet18", "partial", 1))]
    assert run_tables.architectures(asked, found).rows == (
        ("resnet18", "48", "11.2", "83.0", "6.00", "8.00", "900"),
        ("lost", *["-"] * 6),
    )
    assert run_tables.architecture_numbers(asked, found).rows[1] == ("lost", *[None] * 6)


def test_hostile_labels_reach_every_table() -> None:
    asked = run(HOSTILE, ["=s|1"])
    found = records.drawn(asked, ["=s|1"])
    summary = summarise(asked, found)
    assert len(formats.markdown(run_tables.main(summary)).split("\n")) == 2 + len(HOSTILE)
    rows = read_csv(formats.csv_text(run_tables.cells(asked, found, ())))
    labels = {row[rows[0].index("cell.architecture_label")] for row in rows[1:]}
    assert labels == {f"'{name}" if name[0] in "=@" else name for name in HOSTILE}
