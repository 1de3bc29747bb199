"""`bench compare` and `bench baseline` on folders and files: exit codes, and what is said."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.folder import write_record, write_run
from bench.record import Result
from bench.terminal import out
from tests import records
from tests.analysis import sides
from tests.spoken import Bench, bench

__all__ = ["bench"]

HOSTILE = "<script>|[/red]\u202e=cmd()"


def folder(path: Path, number: int, change: sides.Change | None = None, **run: object) -> Path:
    """A run folder; the change is laid on one cell."""
    found = sides.measured(number, change, cells=[4])
    write_run(path, sides.asked(number, **run))
    for record in found:
        write_record(path, record)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six past runs under results, and some candidates beside them."""
    root = tmp_path_factory.mktemp("runs")
    for number in range(6):
        folder(root / "results" / "capstone" / f"r{number}", number)
    folder(root / "clean", 20)
    folder(root / "slow", 20, sides.slower(1.2))
    folder(root / "failed", 20, sides.broken("diverged"))
    folder(root / "gone", 20, sides.gone)
    (root / "empty").mkdir()
    (root / "loop").symlink_to("loop")
    return root


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, symlinks=True)
    return tmp_path


BASE = "results/capstone/r5"


@pytest.mark.parametrize(
    ("candidate", "options", "code", "text"),
    [
        ("clean", (), 0, "no regression"),
        ("slow", (), 4, "vit_b_16 · feature_extraction"),
        ("slow", ("--history", "empty"), 0, "not judged (1 of 5 runs)"),
        ("slow", ("--fail-on", "failed,missing"), 0, "worse"),
        ("failed", (), 4, "seed 1 diverged"),
        ("failed", ("--fail-on", "regressed"), 0, "seed 1 diverged"),
        ("gone", (), 3, "seed 1 missing"),
        ("clean", ("--all",), 0, "pass"),
    ],
)
def test_how_a_comparison_ends(
    bench: Bench, here: Path, candidate: str, options: tuple[str, ...], code: int, text: str
) -> None:
    said = bench("compare", BASE, candidate, *options)
    assert (said.code, said.err) == (code, "")
    assert text in said.out


def test_of_two_candidates_both_must_be_worse(bench: Bench, here: Path) -> None:
    folder(here / "slow-too", 21, sides.slower(1.2))
    assert bench("compare", BASE, "slow", "slow-too").code == 4
    folder(here / "clean-too", 22)
    said = bench("compare", BASE, "slow", "clean-too")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("slow and clean-too against r5: no regression")
    assert "slow regressed +" in said.out
    said = bench("compare", BASE, "slow", "./slow")
    assert (said.code, "are the same" in said.err) == (2, True)


def test_candidates_are_no_past_of_one_another(bench: Bench, here: Path) -> None:
    for number in range(20, 23):
        folder(here / f"results/capstone/r{number}", number, sides.slower(1.2))
    later = [f"results/capstone/r{number}" for number in range(20, 23)]
    found = json.loads(bench("compare", BASE, *later, "--format", "json").out)
    assert (found["outcomes"], found["past_runs"]) == (["regressed"], 6)
    assert len(found["candidates"]) == 3


def test_damaged_runs_below_the_history_are_counted(bench: Bench, here: Path) -> None:
    (here / "results/capstone/r0/run.json").write_text("{")
    said = bench("compare", BASE, "clean")
    assert said.code == 0
    assert "past runs below results that could not be read: 1" in said.out


def test_a_damaged_record_is_named_and_counts_as_missing(bench: Bench, here: Path) -> None:
    path = next(here.glob("clean/cells/resnet18-partial-s1-*/record.json"))
    path.write_text(path.read_text()[:500])
    said = bench("compare", BASE, "clean")
    assert said.code == 3
    assert f"clean: damaged records, which count as missing: {path.parent.name}" in said.out
    assert "seed 1 missing" in said.out


def test_a_run_is_not_compared_with_the_baseline_that_it_became(bench: Bench, here: Path) -> None:
    assert bench("baseline", "accept", "clean", "--reason", "first").code == 0
    (file,) = here.glob("results/reference/*.json")
    said = bench("compare", file, "clean")
    assert (said.code, "are the same run" in said.err) == (2, True)
    assert bench("compare", file, "slow").code == 4


def test_a_comparison_is_not_written_over_the_baseline(bench: Bench, here: Path) -> None:
    bench("baseline", "accept", "clean", "--reason", "first")
    (file,) = here.glob("results/reference/*.json")
    before = file.read_bytes()
    said = bench("compare", file, "slow", "--format", "json", "--out", file)
    assert (said.code, "would be overwritten" in said.err, file.read_bytes()) == (2, True, before)


def test_a_baseline_with_broken_cells_says_so(bench: Bench, here: Path) -> None:
    said = bench("baseline", "accept", "failed", "--reason", "first")
    assert said.code == 0
    line = "not ok, so it is no reference: vit_b_16 · feature_extraction, seed 1 (diverged)"
    assert line in said.out


def test_without_a_folder_of_past_runs_there_are_none(bench: Bench, here: Path) -> None:
    (here / "results/capstone/r5").rename(here / "before")
    shutil.rmtree(here / "results")
    said = bench("compare", "before", "slow")
    assert (said.code, "not judged (1 of 5 runs)" in said.out) == (0, True)
    said = bench("compare", "before", "slow", "--history", "results")
    assert (said.code, "results: is not a folder" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nowhere", "clean"), 2, "nowhere: is not there"),
        (("results", "clean"), 2, "results: holds no run"),
        (("clean", "../" + "clean"), 2, "../clean: is not there"),
        (("clean", "./clean"), 2, "are the same"),
        ((BASE, "clean", "--fail-on", "slower"), 2, "--fail-on"),
        ((BASE, "clean", "--out", "x.md"), 2, "--out needs --format"),
        ((BASE, "clean", "--history", "nowhere"), 2, "nowhere: is not a folder"),
        (("clean/run.json", "clean"), 6, "name a run folder"),
        ((BASE, "clean", "--format", "json", "--out", "clean/run.json"), 2, "would be overwritten"),
        ((BASE, "clean", "--format", "json", "--out", "clean"), 2, "is a folder"),
        ((BASE, "loop"), 2, "loop: is not there"),
    ],
)
def test_bad_input_is_said(
    bench: Bench, here: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    said = bench("compare", *arguments)
    assert said.code == code
    assert text in said.err
    assert "Traceback" not in said.err


def test_a_newer_schema_is_refused_and_an_edited_score_is_a_missing_one(
    bench: Bench, here: Path
) -> None:
    run = here / "clean/run.json"
    original = run.read_text()
    run.write_text(json.dumps({**json.loads(original), "schema_version": 99}))
    said = bench("compare", BASE, "clean")
    assert (said.code, "newer bench" in said.err) == (6, True)
    run.write_text(original)
    record = next((here / "clean/cells").glob("*/record.json"))
    content = json.loads(record.read_text())
    content["quality"]["test"]["top1"] = 0.99
    record.write_text(json.dumps(content))
    said = bench("compare", BASE, "clean")
    assert said.code == 3
    assert f"damaged records, which count as missing: {record.parent.name}" in said.out


@pytest.mark.parametrize(
    "edit",
    [
        lambda suite: suite.pop("metric"),
        lambda suite: suite.update(seeds=[0]),
        lambda suite: suite.update(seeds=None),
        lambda suite: suite.update(strategies=["x"]),
        lambda suite: suite.update(compare={"visible_drop": "much"}),
    ],
)
def test_an_edited_suite_is_refused_and_counted_in_the_past(
    bench: Bench, here: Path, edit: Callable[[dict[str, object]], object]
) -> None:
    (here / "gone" / "run.json").rename(here / "clean" / "run.json")
    for path in (here / "clean" / "run.json", here / "results/capstone/r0/run.json"):
        content = json.loads(path.read_text())
        edit(content["suite"])
        path.write_text(json.dumps(content))
    for one in (here / "clean" / "cells").glob("*partial-s1*"):
        shutil.rmtree(one)
    said = bench("compare", BASE, "clean")
    assert said.code in (3, 6)
    assert "Traceback" not in said.err
    assert "E-BUG" not in said.err


def test_a_comparison_as_json_markdown_and_junit(bench: Bench, here: Path) -> None:
    found = json.loads(bench("compare", BASE, "slow", "--format", "json").out)
    assert found["outcomes"] == ["regressed"]
    (worse,) = (one for one in found["verdicts"] if one["verdict"] == "regressed")
    assert (worse["metric"], worse["strategy"]) == ("train_seconds", "feature_extraction")
    assert 0.15 < worse["change"] < 0.25
    said = bench("compare", BASE, "slow", "--format", "markdown", "--out", "a/c.md")
    assert said.code == 4
    assert "worse" in said.out
    text = (here / "a/c.md").read_text()
    assert text.startswith("### slow against r5: worse")
    assert re.search(r"\| vit_b_16 · feature_extraction +\| train time +\| regressed +\|", text)
    suite = ElementTree.fromstring(bench("compare", BASE, "slow", "--format", "junit").out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("30", "1", "0")
    (case,) = (one for one in suite if one.find("failure") is not None)
    assert (case.get("classname"), case.get("name")) == (
        "vit_b_16 · feature_extraction",
        "train time",
    )


def test_hostile_names_stay_text_in_every_form(bench: Bench, here: Path) -> None:
    def change(one: Result) -> sides.Record:
        return records.failure(one.cell, "failed") if one.cell.seed == 1 else one

    def named(path: Path, number: int, change: sides.Change | None) -> None:
        asked = records.run([HOSTILE], ["fine_tuning"], seeds=sides.SEEDS)
        write_run(path, asked.model_copy(update={"started_at": f"2026-11-0{number}"}))
        for seed in sides.SEEDS:
            one = records.result(records.cell(HOSTILE, "fine_tuning", seed))
            record = change(one) if change else one
            assert record is not None
            write_record(path, record)

    named(here / "h1", 1, None)
    named(here / "h2", 2, change)
    for form in ("table", "markdown", "json", "junit"):
        said = bench("compare", "h1", "h2", "--format", form)
        assert said.code == 4
        assert "\u202e" not in said.out
        assert "failed" in said.out
    suite = ElementTree.fromstring(bench("compare", "h1", "h2", "--format", "junit").out)
    assert suite.findall("testcase/failure")


def test_on_another_machine_shares_of_both_rooflines_are_told(bench: Bench, here: Path) -> None:
    quick = sides.trained(100, gpu_name="another")
    folder(here / "slow-machine", 20, sides.trained(100), sittings=(sides.sitting(1e12),))
    folder(here / "quick-machine", 21, quick, sittings=(sides.sitting(4e12),))
    said = bench("compare", "slow-machine", "quick-machine", "--format", "json")
    (one,) = json.loads(said.out)["elsewhere"]["rates"]
    assert one["images_per_second"] == [200, 200]
    before, after = one["shares"]
    assert 0 < before == pytest.approx(4 * after)
    said = bench("compare", "slow-machine", "quick-machine")
    assert f"vit_b_16 · feature_extraction {before:.2f} and {after:.2f}" in said.out


# ---- baselines ------------------------------------------------------------------------------


def test_a_baseline_is_accepted_listed_shown_and_compared_with(bench: Bench, here: Path) -> None:
    said = bench("baseline", "accept", BASE, "--reason", "the first")
    assert said.code == 0, said.err
    (path,) = (here / "results/reference").glob("*.json")
    assert path.name.startswith("capstone-amd-epyc-2-cores-")
    assert str(here) not in path.read_text()
    listed = bench("baseline", "list").out
    assert "the first" in listed
    assert path.name in listed
    assert "vit_b_16 · partial" in bench("baseline", "show", path).out
    shutil.rmtree(here / "results/capstone")
    assert bench("compare", path, "clean").code == 0
    assert bench("compare", path, "slow").code == 4
    again = bench("baseline", "accept", "clean", "--reason", "newer")
    assert "7 runs of history" in again.out
    assert "newer" in bench("baseline", "list").out
    assert len(list((here / "results/reference").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("accept", "nowhere", "--reason", "x"), 2, "holds no run"),
        (("accept", "clean", "--reason", " "), 2, "must not be empty"),
        (
            ("accept", "clean", "--reason", "x", "--history", "nowhere"),
            2,
            "nowhere: is not a folder",
        ),
        (("show", "nowhere"), 2, "is not there"),
        (("show", "clean/run.json"), 6, "name a run folder"),
    ],
)
def test_bad_input_of_baselines_is_said(
    bench: Bench, here: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    said = bench("baseline", *arguments)
    assert said.code == code
    assert text in said.err


def test_a_baseline_changed_by_hand_is_refused(bench: Bench, here: Path) -> None:
    bench("baseline", "accept", BASE, "--reason", "the first")
    (path,) = (here / "results/reference").glob("*.json")
    path.write_text(path.read_text().replace("the first", "the best"))
    said = bench("compare", path, "clean")
    assert (said.code, "changed by hand" in said.err) == (6, True)
    listed = bench("baseline", "list")
    assert (listed.code, "changed by hand" in listed.out) == (0, True)


def test_a_baseline_that_cannot_be_read_is_replaced_without_its_history(
    bench: Bench, here: Path
) -> None:
    bench("baseline", "accept", BASE, "--reason", "the first")
    (path,) = (here / "results/reference").glob("*.json")
    path.write_text("<<<<<<< HEAD")
    shutil.rmtree(here / "results/capstone")
    said = bench("baseline", "accept", "clean", "--reason", "anew")
    assert (said.code, "its history is left out" in said.out) == (0, True)
    assert "1 run of history" in said.out
    assert bench("compare", path, "slow").code in (0, 4)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_on_any_terminal_nothing_is_cut_off(
    bench: Bench, here: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(out, "width", width)
    lines = bench("compare", BASE, "failed", "--all").out.splitlines()
    rows = [line for line in lines if not line.startswith("- ")][1:]
    assert all(len(row) <= width for row in rows)
    text = " ".join("".join(lines).split())
    assert "…" not in text
    assert "seed 1 diverged" in text
    for word in ("vit_b_16 ·", "feature_extraction", "train time", "failed", "pass"):
        assert word in text


def test_a_folder_is_no_file_for_a_comparison(bench: Bench, here: Path) -> None:
    said = bench("compare", BASE, "clean", "--format", "json", "--out", "results")
    assert (said.code, "results is a folder" in said.err) == (2, True)


def test_runs_of_two_codes_are_no_past(bench: Bench, here: Path) -> None:
    assert bench("compare", BASE, "slow").code == 4
    (here / "results/capstone/ab.json").write_text("{}")
    said = bench("compare", BASE, "slow")
    assert (said.code, "1 of 5 runs" in said.out) == (0, True)


def test_a_run_json_without_end_is_no_bug(bench: Bench, here: Path) -> None:
    (here / "results/capstone/r0/run.json").write_text("[" * 200_000)
    said = bench("compare", BASE, "clean")
    assert "past runs below results that could not be read: 1" in said.out
    assert bench("compare", "results/capstone/r0", "clean").code == 6


def test_a_run_that_did_not_finish_is_no_baseline(bench: Bench, here: Path) -> None:
    folder(here / "open", 30, status="running")
    said = bench("baseline", "accept", "open", "--reason", "x")
    assert (said.code, "did not finish" in said.err) == (2, True)
    assert bench("baseline", "list").out.startswith("results/reference: no baselines")
