"""The tables of a run, for reading and for computing, against the records they are made of."""

import csv
import io
import math

import pandas as pd
import pytest

from bench.analysis.choice import Summary
from bench.analysis.merge import NamedRun, merge
from bench.analysis.table import table
from bench.record import Failure, Result
from bench.report import run_tables, text
from bench.report.tables import Table, as_csv, as_markdown
from tests import records
from tests.records import cell, failure, result, run
from tests.report.reading import chosen

HOSTILE = ["a|b", "`x`", "two\nlines", "=1+1", "50%_&#$~^{}\\", "<b>", "_it_ *is*", "@cmd", "&lt;"]


def main(summary: Summary) -> Table:
    return run_tables.main(summary, "of this machine")


def computed(made: Table) -> list[dict[str, str]]:
    """The rows as CSV readers see them."""
    return list(csv.DictReader(io.StringIO(as_csv(made))))


def read(made: Table) -> list[dict[str, str]]:
    """The rows as people see them, by heading."""
    headings = [text.plain(column.heading) for column in made.shown]
    return [dict(zip(headings, map(text.plain, row), strict=True)) for row in made.texts()]


def test_results_have_a_row_per_cell_in_the_order_of_the_suite_with_every_scalar() -> None:
    asked = run(["vit_b_16", "resnet18"], ["partial"], seeds=[0, 1])
    found: list[Result | Failure] = [
        failure(cell("resnet18", "partial", 0), "timeout", "a, b\nc"),
        result(cell("vit_b_16", "partial", 1), val=380, test=951),
        result(cell("vit_b_16", "partial", 0)),
    ]
    content = run_tables.results_csv(table(asked, found))
    frame = pd.read_csv(io.StringIO(content)).set_index("cell_id")
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
    made = main(chosen(asked, found))
    rows = read(made)
    verdicts = [row["Against the leader, points"] for row in rows]
    assert [row["Architecture"] for row in rows] == ["c", "b", "a", "d"]
    assert verdicts[0].startswith("recommended, leader")
    assert verdicts[1].startswith("tied, 1.0 ± 1.7 behind")
    assert verdicts[2].startswith("20.0 ± 2.0 behind")
    assert verdicts[3] == "disqualified, seeds ok: 0/1 (1 diverged)"
    assert (rows[0]["Val %"], rows[0]["Test %"]) == ("95.0", "94.0")
    assert made.texts()[0][3] == "92.4–96.7"
    assert {rows[3][name] for name in ("Val %", "Test %", "Train s", "Memory MiB")} == {"-"}
    numbers = computed(made)
    for name in ("val_mean", "train_seconds_mean", "peak_memory_bytes"):
        assert numbers[3][name] == ""
    assert numbers[0]["val_sd"] == ""
    flags = ("leader", "tied", "recommended")
    assert [[row[name] == "True" for name in flags] for row in numbers] == [
        [True, True, True],
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]
    assert {row["on_front"] for row in numbers} == {"True", "False"}


def test_costs_without_the_work_of_an_earlier_run_are_marked_and_null_on_the_front() -> None:
    asked = run(["a", "b"], ["partial"])
    found = [result(cell(name, "partial", 0), train_seconds=2.0) for name in ("a", "b")]
    summary = chosen(asked, [records.reused(found[0]), found[1]])
    shown = {row["Architecture"]: row for row in read(main(summary))}
    told = {row["architecture"]: row for row in computed(main(summary))}
    for name, mark in (("a", " †"), ("b", "")):
        assert (shown[name]["Train s"], shown[name]["Memory MiB"]) == (f"2.00{mark}", f"200{mark}")
        assert told[name]["odd_costs"] == ("reused" if mark else "")
        assert told[name]["train_seconds_mean"] == "2.0"
    alone = chosen(run(["a"], ["partial"]), [records.reused(found[0])])
    (front,) = computed(run_tables.front(alone))
    assert (front["train_seconds"], front["peak_memory_bytes"]) == ("", "")
    assert read(run_tables.front(alone))[0]["Train s"] == "†"


def test_the_matrix_has_a_dash_where_nothing_is_ok() -> None:
    asked = run(["a", "b"], ["partial", "architecture"])
    found = [
        result(cell("a", "partial", 0), test=900),
        result(cell("b", "architecture", 0), test=800),
    ]
    made = run_tables.matrix("test", chosen(asked, found))
    assert made.texts()[0][1:] == ["90.0", "-"]
    assert made.texts()[1][1:] == ["-", "80.0"]
    assert as_csv(made) == "architecture,partial,architecture\na,0.9,\nb,,0.8\n"


def test_the_best_of_each_is_named_and_what_has_none_says_why() -> None:
    asked = run(["a", "b"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("a", "partial", 0), val=300),
        failure(cell("b", "partial", 0)),
    ]
    summary = chosen(asked, found)
    (best,) = read(run_tables.best("strategy", summary.best_by_strategy))
    assert (best["Strategy"], best["Architecture"], best["Val %"]) == ("partial", "a", "75.0")
    _, none = read(run_tables.best("architecture", summary.best_by_architecture))
    assert none["Strategy"].startswith("none")
    assert none["Val %"] == "-"


def test_an_architecture_takes_its_latency_from_the_cell_that_measured_it() -> None:
    asked = run(["resnet18", "lost"], ["partial"], seeds=[0, 1])
    bare = result(cell("resnet18", "partial", 0))
    bare = bare.model_copy(update={"cost": bare.cost.model_copy(update={"latency": None})})
    made = run_tables.architectures(table(asked, [bare, result(cell("resnet18", "partial", 1))]))
    known, lost = made.texts()
    assert known[1:] == ["48", "11.2", "83.0", "6.00", "8.00", "900"]
    assert lost[1:] == ["-"] * 6
    assert made.rows[1] == ("lost", *[None] * 6)


def test_costs_are_of_the_machine_of_most_cells() -> None:
    asked = run(["a", "b", "c"], ["partial"])
    found = [result(cell(name, "partial", 0)) for name in "ab"]
    found.append(result(cell("c", "partial", 0), machine=records.GPU))
    made = table(asked, found)
    assert [row[4:] == (None,) * 3 for row in run_tables.architectures(made).rows] == [
        *(False, False, True),
    ]
    rows = {row["Architecture"]: row for row in read(main(chosen(asked, found)))}
    assert (rows["c"]["Train s"], rows["c"]["Memory MiB"]) == ("-", "-")


def test_a_comparison_holds_the_difference_its_error_and_what_would_settle_it() -> None:
    asked = run(["best", "near", "far", "lost"], ["partial"])
    found: list[Result | Failure] = [
        result(cell("best", "partial", 0), val=380),
        records.wrong_on_val(result(cell("near", "partial", 0)), slice(0, 24)),
        records.wrong_on_val(result(cell("far", "partial", 0)), slice(0, 120)),
        failure(cell("lost", "partial", 0)),
    ]
    made = run_tables.comparisons(chosen(asked, found))
    near, far = computed(made)
    assert (near["architecture"], far["architecture"]) == ("near", "far")
    # The leader alone is right on 24 images, the other alone on 20.
    variance = (44 - 4**2 / 400) / (400 * 399)
    assert float(near["behind"]) == pytest.approx(0.01)
    assert float(near["se"]) == float(near["se_items"]) == pytest.approx(math.sqrt(variance))
    assert (near["se_seeds"], near["leader_num_seeds"], near["num_seeds"]) == ("", "1", "1")
    assert (near["tied"], far["tied"]) == ("True", "False")
    assert int(near["val_images_to_settle"]) > 400
    assert (near["more_seeds_to_settle"], far["val_images_to_settle"]) == ("", "")
    assert near["leader_architecture"] == "best"
    shown_near, shown_far = made.texts()
    assert shown_near[2:4] == ["1.0", "1.7"]
    assert shown_near[6] == "-"
    assert shown_far[2:] == ["25.0", "2.7", "< 0.001", "no", "", ""]
    assert "best · partial" in text.plain(made.title)


def test_the_front_is_sorted_by_val_and_leaves_out_what_is_beaten_in_everything() -> None:
    asked = run(["resnet18", "resnet50", "mobilenet_v3_small"], ["partial"])
    found = [
        result(cell("resnet18", "partial", 0), val=320, train_seconds=9.0),
        result(cell("resnet50", "partial", 0), val=300, train_seconds=30.0),
        result(cell("mobilenet_v3_small", "partial", 0), val=380, train_seconds=20.0),
    ]
    rows = computed(run_tables.front(chosen(asked, found)))
    assert [row["architecture"] for row in rows] == ["mobilenet_v3_small", "resnet18"]
    assert (rows[1]["train_seconds"], rows[1]["val_mean"]) == ("9.0", "0.8")
    assert rows[0]["latency_seconds"] == str(0.006 * 0.7)


def test_a_cell_of_two_runs_is_listed_with_both_its_records() -> None:
    asked = run(["a", "b"], ["partial"])
    one: list[Result | Failure] = [
        failure(cell("a", "partial", 0)),
        result(cell("b", "partial", 0), val=380),
    ]
    other = [result(cell("a", "partial", 0), val=300), result(cell("b", "partial", 0), val=200)]
    merged = merge([NamedRun("x", table(asked, one)), NamedRun("y", table(asked, other))])
    rows = [
        [text.plain(cell_) for cell_ in row] for row in run_tables.repeated(merged.repeated).texts()
    ]
    assert rows == [
        ["a", "partial", "0", "y", "75.0", "x", "diverged"],
        ["b", "partial", "0", "x", "95.0", "y", "50.0"],
    ]


def test_hostile_labels_reach_every_table() -> None:
    asked = run(HOSTILE, ["=s|1"])
    found = records.drawn(asked, ["=s|1"])
    assert len(as_markdown(main(chosen(asked, found))).split("\n")) == 2 + len(HOSTILE)
    rows = list(csv.DictReader(io.StringIO(run_tables.results_csv(table(asked, found)))))
    labels = {row["cell.architecture_label"] for row in rows}
    assert labels == {f"'{name}" if name[0] in "=@" else name for name in HOSTILE}
