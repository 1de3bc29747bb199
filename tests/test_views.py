"""Pages of the terminal: what they say, at 80 columns, and of names that mean harm."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from bench import terminal, views
from bench.analysis.choice import summarise
from bench.analysis.table import table
from bench.record import Failure, MissingWeights, Result, Run, UsedWeights
from bench.report import sentences
from tests import records

HOSTILE = "[red]x[/red]\x1b[2J"


def shown(page: RenderableType, width: int = 80) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, highlight=False).print(page)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def end(folder: Path, run: Run, found: Sequence[Result | Failure]) -> RenderableType:
    made = table(run, found)
    return views.end(folder, made, summarise(made), "AGAIN")


def drawn(*strategies: str) -> tuple[Run, list[Result]]:
    run = records.run(list(records.ARCHITECTURES), strategies)
    return run, records.drawn(run, strategies)


def missing(architecture: str, why: str) -> MissingWeights:
    return MissingWeights(
        architecture=architecture, file=f"{architecture}.pth", address="https://x", folder="~/c",
        why=why,
    )  # fmt: skip


# ---- weights --------------------------------------------------------------------------------


def test_a_source_that_is_the_first_choice_is_one_line() -> None:
    assert views.source_lines(UsedWeights(wanted=("imagenet", "random"), used="imagenet")) == [
        "weights: imagenet"
    ]


def test_missing_files_are_named_by_reason_and_not_one_by_one() -> None:
    names = ("resnet18", "resnet50", "vgg16", "vit_b_16")
    lost = [*(missing(name, "not in the cache; no net") for name in names), missing("x", "damaged")]
    source = UsedWeights(wanted=("imagenet", "random"), used="random", missing=tuple(lost))
    assert views.source_lines(source) == [
        "weights: random – imagenet is not available for every architecture",
        "  not in the cache; no net",
        "  missing: resnet18.pth, resnet50.pth, vgg16.pth and 1 more",
        "  damaged",
        "  missing: x.pth",
        "  looked for in ~/c (addresses: bench inspect NAME)",
        "  Random weights: this run does not tell which pretrained architecture to use.",
    ]


def test_an_indented_line_stays_indented_where_it_is_broken() -> None:
    (line,) = terminal.prose(["  " + "word " * 12])
    assert all(row.startswith("  word") for row in shown(line, width=30))


def test_an_indented_line_is_whole_where_lines_are_not_broken() -> None:
    file = io.StringIO()
    (line,) = terminal.prose(["  " + "word " * 12 + "end"])
    Console(file=file, width=30).print(line, soft_wrap=True)
    assert file.getvalue() == "  " + "word " * 12 + "end\n"


# ---- the end of a run -----------------------------------------------------------------------


def test_the_end_marks_the_winner_and_what_is_recommended() -> None:
    best = records.result(records.cell("resnet50", "partial", 0), val=380, train_seconds=20)
    cheap = records.result(records.cell("resnet18", "partial", 0), train_seconds=5)
    cheap = records.wrong_on_val(cheap, slice(0, 24))
    other = records.result(records.cell("vit_b_16", "partial", 0), val=370, train_seconds=50)
    other = records.wrong_on_val(other, slice(100, 122))
    run = records.run(["resnet18", "resnet50", "vit_b_16"], ["partial"])
    lines = shown(end(Path("out"), run, [cheap, best, other]), width=200)
    rows = [line.split() for line in lines if line.startswith(("*", "=")) and " MiB" in line]
    assert [row[:5] for row in rows] == [
        ["*+", "resnet50", "partial", "95.0", "%"],
        ["=", "vit_b_16", "partial", "94.5", "%"],
        ["=", "resnet18", "partial", "94.0", "%"],
    ]
    assert [line.split() for line in lines if " guessing " in line and "(" not in line] == [
        ["guessing", "the", "commonest", "class", "10.0", "%", "10.0", "%"]
    ]
    text = "\n".join(lines)
    assert "no single winner: 400 val images cannot tell 3 of 3 apart. " in text
    assert "resnet50 · partial leads and is recommended" in text
    assert "* highest mean val, = tied with it, + recommended" in text
    assert lines[-3:] == ["done: 3 ok · 8 min 32 s", "report: out/report.html", "  out/report.md"]


def test_more_seeds_need_no_caution_about_one() -> None:
    run = records.run(["resnet18", "resnet50"], ["partial"], seeds=(0, 1))
    lines = shown(end(Path("out"), run, records.drawn(run, ["partial"])), width=200)
    assert not any("one seed" in line for line in lines)


def test_a_winner_needs_no_legend() -> None:
    run = records.run(["resnet18", "resnet50"], ["partial"])
    found = [
        records.result(records.cell("resnet18", "partial", 0), val=300),
        records.result(records.cell("resnet50", "partial", 0), val=380),
    ]
    lines = shown(end(Path("out"), run, found), width=200)
    assert [line.split()[:2] for line in lines if " MiB" in line] == [
        ["*", "resnet50"],
        ["resnet18", "partial"],
    ]
    assert not any("tied with it" in line for line in lines)
    assert "With one seed, " in " ".join(lines)
    assert any("resnet50 · partial wins with 95.0 %" in line for line in lines)


def test_the_end_says_in_a_line_how_the_cells_were_run_and_marks_reused_features() -> None:
    run, found = drawn("feature_extraction", "fine_tuning")
    before = shown(end(Path("out"), run, found), width=200)
    found[0] = records.reused(found[0])
    lines = shown(end(Path("out"), run, found), width=200)
    assert before[-4] == (
        "how: fp32 · images decoded in this run, resident · features computed in this run · "
        "steps one by one"
    )
    assert "†" not in "".join(before)
    assert lines[-4] == (
        "how: fp32 · images decoded in this run, resident · features computed in this run; "
        "kept by an earlier run † in 1 of 6 cells · steps one by one"
    )
    assert lines[-5].startswith("† ")
    (row,) = (line for line in lines if line.startswith("†  "))
    assert row.split()[1:3] == ["resnet18", "feature_extraction"]


def test_the_table_keeps_one_line_for_each_row_at_80_columns() -> None:
    run, found = drawn("feature_extraction", "fine_tuning")
    lines = shown(end(Path("out"), run, found))
    rows = [line for line in lines if " %  " in line]
    assert len(rows) == 11
    assert all("feature_extraction  " in row or "fine_tuning  " in row for row in rows[:-1])
    assert all(row.endswith(" MiB") for row in rows[:-1])
    assert max(map(len, lines)) <= 80


def test_failures_are_listed_with_their_log_and_the_way_on() -> None:
    run = records.run(["resnet18"], ["partial"])
    failed = records.failure(records.cell("resnet18", "partial", 0), reason=HOSTILE)
    lines = shown(end(Path("out"), run, [failed]), width=200)
    assert any("no winner: " in x and "(0 of 1 cells are ok)" in x for x in lines)
    assert "done: 1 diverged · 8 min 32 s" in lines
    assert "resnet18 · partial · s0: diverged (training): [red]x[/red][2J" in lines
    assert f"  log: out/cells/{failed.cell_id}/log.txt" in lines
    assert "to try these again: AGAIN" in lines


def test_a_cell_without_a_record_is_counted() -> None:
    run = records.run(["resnet18"], ["partial", "fine_tuning"])
    done = records.result(records.cell("resnet18", "partial", 0))
    assert "done: 1 ok, 1 missing · 8 min 32 s" in shown(end(Path("out"), run, [done]))


def test_random_weights_are_said_again_at_the_end() -> None:
    run = records.run(["resnet18"], ["partial"]).model_copy(
        update={"source": UsedWeights(wanted=("imagenet", "random"), used="random")}
    )
    done = records.result(records.cell("resnet18", "partial", 0))
    assert sentences.RANDOM_WEIGHTS[0] in shown(end(Path("out"), run, [done]))


@pytest.mark.parametrize("cell", ["[bold]x", "x[/]", HOSTILE])
def test_names_are_never_read_as_markup(cell: str) -> None:
    made = terminal.table("name")
    terminal.add(made, cell)
    assert shown(made)[-1] == cell.replace("\x1b", "")


# ---- lists ----------------------------------------------------------------------------------


def test_every_strategy_and_data_set_is_listed() -> None:
    text = "\n".join(shown(views.strategies(), width=200))
    assert all(kind in text for kind in records.STRATEGIES)
    text = "\n".join(shown(views.datasets(), width=200))
    assert "digits" in text
    assert "PATH/" in text


def test_the_featured_architectures_come_first() -> None:
    lines = shown(views.architectures(), width=400)
    assert lines[2].startswith("featured")
    assert all(name in lines[2] for name in records.ARCHITECTURES)
