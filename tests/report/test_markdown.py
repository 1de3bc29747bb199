"""The report says what was found, what limits it and what is missing, in every state of a run."""

import re

import pytest

from bench.analysis.summary import summarise
from bench.record import Energy, Failure, MissingWeights, Result, Run, Source
from bench.report import markdown
from bench.report.figures import FIGURES, charts
from tests import records
from tests.records import cell, failure, result, run


def report(asked: Run, found: list[Result | Failure]) -> str:
    """report.md of a run."""
    summary = summarise(asked, found)
    return markdown.document(asked, found, summary, charts(asked, found, summary))


def two(**changes: object) -> tuple[Run, list[Result | Failure]]:
    """A run whose slow network is best on val; the quick one errs elsewhere and is tied."""
    asked = run(["slow", "quick"], ["partial"]).model_copy(update=changes)
    return asked, [
        result(cell("slow", "partial", 0), val=380, test=930, train_seconds=30.0),
        records.wrong_on_val(
            result(cell("quick", "partial", 0), test=940, train_seconds=20.0), slice(0, 24)
        ),
    ]


def section(text: str, title: str) -> str:
    """One section without its heading."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_first_line_names_the_suite_the_profile_and_the_device() -> None:
    first = report(*two()).split("\n")[0]
    assert first == "# bench capstone · CPU profile · AMD EPYC, 2 cores"
    asked = run(["a"], ["partial"], machine=records.GPU)
    first = report(asked, [result(cell("a", "partial", 0), machine=records.GPU)]).split("\n")[0]
    assert first == "# bench capstone · GPU profile · NVIDIA H200"


def test_a_tie_is_the_headline_and_the_recommendation_with_its_reason() -> None:
    headline = report(*two()).split("\n")[2]
    assert headline == (
        "**From random weights, no single winner: 2 of 2 are tied. Recommended: quick · partial, "
        "because it has the lowest train time of these (20.0 s), with 94.0 % top-1 accuracy on val "
        "and 94.0 % on test; the highest on val is 95.0 % (slow · partial).**"
    )


def test_the_reasons_name_who_is_tied_and_call_the_tie_break_a_preference() -> None:
    text = report(*two())
    why = section(text, "Why")
    assert [line for line in why.split("\n") if line.startswith("- ")] == [
        "- slow · partial (val 95.0 %, test 93.0 %, train 30.0 s, 200 MiB)",
        "- quick · partial (val 94.0 %, test 94.0 %, train 20.0 s, 200 MiB; recommended)",
    ]
    assert "a preference for what is cheap" in why
    assert "Test was not used to choose" in why
    assert "approximate" not in why
    glance = section(text, "At a glance")
    assert "**Recommended: quick · partial**" in glance
    assert "- Highest val: slow · partial (val 95.0 %, test 93.0 %, 30.0 s, 200 MiB)" in glance
    assert "- What would settle the tie: " in glance


def test_a_winner_that_stands_alone_is_the_headline_with_its_lead() -> None:
    asked = run(["good", "poor"], ["partial"], source="imagenet")
    text = report(
        asked,
        [
            result(cell("good", "partial", 0, "imagenet"), val=390),
            result(cell("poor", "partial", 0, "imagenet"), val=100),
        ],
    )
    # 290 of 400 images between them: sd of a difference sqrt(p (1 - p) / (N - 1)), p = 0.725.
    assert text.split("\n")[2] == (
        "**good · partial wins with 97.5 % top-1 accuracy on val and 95.0 % on test, 72.5 "
        "points of val ahead of poor · partial (standard error 2.2).**"
    )
    assert "Tied, " not in section(text, "Why")


def test_every_row_is_compared_with_the_leader_and_what_would_settle_it_is_told() -> None:
    compared = section(report(*two()), "Compared with the leader")
    (line,) = (line for line in compared.split("\n") if line.startswith("| quick"))
    behind, se, p, tied, seeds, images = (cell_.strip() for cell_ in line.split("|")[3:-1])
    # 24 wrong here and 20 there, none in common: variance (44 - 4**2 / 400) / (400 * 399).
    assert (behind, se, tied, seeds) == ("1.0", "1.7", "yes", "-")
    assert float(p) == pytest.approx(0.55, abs=0.01)
    assert int(images.replace(",", "")) > 400


def test_the_classes_of_the_recommended_row_are_shown_the_worst_first() -> None:
    asked = run(["a"], ["partial"])
    text = section(
        report(asked, [result(cell("a", "partial", 0), test=994)]),
        "What the recommended gets wrong",
    )
    rows = [line.split("|")[1:-1] for line in text.split("\n") if line.startswith("| ")][2:]
    # The last six images, of the classes 4 to 9, are each taken for the class after it.
    assert [row[0].strip() for row in rows] == [*"456789", *"0123"]
    assert [value.strip() for value in rows[5]] == ["9", "100", "99.0", "94.6–99.8", "0", "1.0"]
    assert "Its confidence is off by 3.00 points on average" in text


def test_one_row_is_compared_with_nothing() -> None:
    text = report(run(["a"], ["partial"]), [result(cell("a", "partial", 0))])
    assert "Nothing to compare" in section(text, "Compared with the leader")


def test_one_cell_makes_a_whole_report() -> None:
    text = report(run(["a"], ["partial"]), [result(cell("a", "partial", 0))])
    assert "a · partial is the only one with every seed ok: 95.0 % top-1 accuracy" in text
    assert "- Spread over seeds: one seed only\n" in text
    assert "±" not in text


def test_balanced_accuracy_is_named_and_its_intervals_called_approximate() -> None:
    asked = run(["a"], ["partial"], metric="balanced_accuracy")
    text = report(asked, [result(cell("a", "partial", 0))])
    assert "highest mean val balanced accuracy" in text
    assert "its intervals are approximate" in section(text, "Why")


def test_without_an_ok_cell_the_report_says_that_there_is_no_winner_and_shows_no_score() -> None:
    asked = run(["a", "b"], ["partial"])
    text = report(asked, [failure(cell("a", "partial", 0), reason="loss is NaN in epoch 3")])
    assert ", no winner: " in text.split("\n")[2]
    assert "(0 of 2 cells are ok)" in text.split("\n")[2]
    assert "Only 1 of 2 cells have a record" in text
    assert "None: no cell is ok." in section(text, "Plots")
    missing = section(text, "Failed, missing, not measured")
    assert (
        "- a · partial, seed 0: diverged (training) after 3.00 s: loss is NaN in epoch 3" in missing
    )
    assert "- b · partial, seed 0: no record" in missing
    assert re.search(r"\| +0\.0", text) is None


def test_a_report_of_no_records_at_all_is_still_a_report() -> None:
    asked = run(["a"], ["partial"]).model_copy(update={"status": "running", "finished_at": None})
    text = report(asked, [])
    assert "This run is running: 0 of 1 cells have a record" in text
    assert "not finished" in section(text, "Machine and versions")


def test_a_disqualified_row_is_named_in_the_reasons() -> None:
    asked = run(["a", "b"], ["partial"], seeds=[0, 1])
    found: list[Result | Failure] = [
        *(result(cell("a", "partial", seed)) for seed in (0, 1)),
        result(cell("b", "partial", 0), val=399),
        failure(cell("b", "partial", 1)),
    ]
    text = report(asked, found)
    assert "a · partial is the only one with every seed ok" in text.split("\n")[2]
    assert "- b · partial: 1/2 (1 diverged)" in section(text, "Why")


def test_a_fallback_to_another_source_is_in_the_headline_without_the_word_random() -> None:
    source = Source(wanted=("mine/", "imagenet"), used="imagenet")
    head = report(*two(source=source)).split("\n## ")[0]
    assert "asks for mine/ weights first; the run used imagenet" in head
    assert "andom" not in head


def test_a_fallback_to_random_weights_is_in_the_headline_with_every_missing_file() -> None:
    missing = MissingWeights(
        architecture="slow",
        file="slow-12345678.pth",
        address="https://example.org/slow-12345678.pth",
        folder="~/.cache/torch",
        why="no connection",
    )
    source = Source(wanted=("imagenet", "random"), used="random", missing=(missing,))
    head = report(*two(source=source)).split("\n## ")[0]
    assert "does not tell which pretrained architecture to use" in head
    assert "imagenet weights first; the run used random because 1 file could not be had" in head
    assert "- slow: slow-12345678.pth (no connection); put it into ~/.cache/torch" in head
    assert "https://example.org/slow-12345678.pth" in head


def test_random_weights_that_were_asked_for_are_no_fallback_but_the_same_warning() -> None:
    head = report(*two()).split("\n## ")[0]
    assert "does not tell which pretrained architecture to use" in head
    assert "fell back" not in head


def test_pretrained_weights_carry_no_warning_and_the_start_of_their_hash() -> None:
    asked = run(["a"], ["partial"], source="imagenet")
    text = report(asked, [result(cell("a", "partial", 0, "imagenet"))])
    assert "does not tell" not in text
    assert "- Weights of a: imagenet IMAGENET1K_V1, sha256 f37072fd." in text


def test_hundreds_of_architectures_are_counted_in_the_protocol() -> None:
    names = [f"net_{i}" for i in range(300)]
    asked = run(names, ["partial"])
    steps = asked.preprocessing["net_0"]
    sizes = {name: steps.model_copy(update={"resize_size": i % 30}) for i, name in enumerate(names)}
    asked = asked.model_copy(update={"preprocessing": sizes})
    found: list[Failure | Result] = [result(cell(name, "partial", 0)) for name in names]
    lines = section(report(asked, found), "Protocol").strip().split("\n")
    assert any(
        line.startswith("- Weights of net_0, ") and "net_11 and 288 more: random" in line
        for line in lines
    )
    assert sum(line.startswith("- Preprocessing") for line in lines) == 25
    assert "- Preprocessing: 6 more: see run.json." in lines


def test_the_protocol_gives_data_seeds_recipe_and_preprocessing() -> None:
    asked = run(["a"], ["partial", "two_phase"], seeds=[3, 5])
    asked = asked.model_copy(update={"duplicates": {"train/test": 2, "train/val": 0}})
    found = [*records.drawn(asked, ["partial", "two_phase"])]
    text = section(report(asked, [*found]), "Protocol")
    assert "10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9); 300 train, 400 val, 1,000 test" in text
    assert "Identical images on both sides: 2 in train/test." in text
    assert "- Seeds: 3, 5; every cell sees the same split." in text
    shared = next(line for line in text.split("\n") if "every strategy" in line)
    assert "epochs 10, batch_size 32, lr 0.001" in shared
    assert "flip off" in shared
    assert "head_epochs" not in shared
    assert "- Recipe of two_phase: kind two_phase, head_epochs 5." in text
    assert "- Recipe of partial: kind partial, stages 1." in text
    assert "48 px, resize 55, centre crop 48, bilinear, antialias, mean 0.485/0.456/0.406" in text


def test_cells_that_ran_on_different_hardware_are_said_not_to_compare() -> None:
    asked, found = two()
    assert "different machines" not in report(asked, found)
    other = records.CPU.model_copy(update={"usable_cores": 8})
    found[1] = result(cell("quick", "partial", 0), machine=other)
    text = report(asked, found)
    assert "> The cells ran on different machines" in text.split("## ")[0]
    assert "of the 1 of 2 ok cells on AMD EPYC, 2 cores" in text
    row = next(line for line in section(text, "All scores").split("\n") if "| quick " in line)
    assert row.count(" - |") == 2  # no time and no memory
    machines = section(text, "Machine and versions")
    assert "- Of 1 cell on another machine: usable cores 8." in machines


def test_reused_features_are_marked_explained_and_never_the_cheapest() -> None:
    asked, (slow, quick) = two()
    assert isinstance(quick, Result)
    plain, marked = (report(asked, [slow, one]) for one in (quick, records.reused(quick)))
    assert "†" not in plain
    assert "- Quickest to train: quick · partial" in plain
    (row,) = (line for line in section(marked, "All scores").split("\n") if "20.0 †" in line)
    assert "200 †" in row
    assert "† Features that an earlier run had kept were used" in section(marked, "All scores")
    assert "- quick · partial (val 94.0 %, test 94.0 %, train 20.0 s, 200 MiB †)" in section(
        marked, "Why"
    )
    assert "**Recommended: slow · partial**" in section(marked, "At a glance")
    assert "- Quickest to train: slow · partial" in section(marked, "Costs")
    assert "- Least memory: slow · partial" in section(marked, "Costs")


def spent(one: Failure | Result, joules: float) -> Result:
    energy = Energy(attributed_joules=joules, marginal_joules=joules)
    return Result.model_validate({**one.model_dump(), "energy": energy})


def test_the_cheapest_of_those_that_are_known_says_how_many_are_not() -> None:
    asked, (slow, quick) = two()
    assert isinstance(quick, Result)
    costs = section(report(asked, [slow, records.reused(quick)]), "Costs")
    (line,) = [line for line in costs.split("\n") if line.startswith("- Quickest to train: slow")]
    assert line.endswith("; train time is unknown for 1 of 2 complete.")
    assert "unknown" not in section(report(*two()), "Costs")


def test_a_mean_of_energies_comes_with_its_range_and_number() -> None:
    asked, (slow, quick) = two()
    text = report(asked, [spent(slow, 100.0), spent(quick, 9000.0)])
    assert "GPU energy of a cell: mean 4,550 J (100 to 9,000 J), of 2 of 2 ok cells." in text


def test_the_error_of_confidence_comes_with_its_range_over_seeds() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1])
    found: list[Failure | Result] = []
    for seed, ece in enumerate((0.02, 0.05)):
        one = result(cell("a", "partial", seed))
        test = one.quality.test.model_copy(update={"ece": ece})
        quality = one.quality.model_copy(update={"test": test})
        found.append(one.model_copy(update={"quality": quality}))
    text = section(report(asked, found), "What the recommended gets wrong")
    assert "off by 3.50 points on average" in text
    assert "15 bins; 2.00 to 5.00 over 2 seeds)" in text


def test_energy_that_was_saved_by_reused_features_is_in_no_mean() -> None:
    asked, (slow, quick) = two()
    both = [spent(slow, 500.0), records.reused(spent(quick, 3.0))]
    assert "GPU energy of a cell: mean 500 J (500 to 500 J), of 1 of 2 ok cells." in report(
        asked, [*both]
    )
    assert "GPU energy" not in report(asked, [slow, both[1]])


def test_the_protocol_says_how_the_cells_were_run() -> None:
    asked, found = two()
    lines = section(report(asked, found), "Protocol").strip().split("\n")
    assert lines[-3:] == [
        "- Precision: fp32.",
        "- Images: decoded in this run, resident.",
        "- Training steps: one by one.",
    ]


def test_only_plots_that_were_drawn_are_embedded_by_relative_path() -> None:
    text = section(report(*two()), "Plots")
    assert re.findall(r"\]\((.*?)\)", text) == [f"plots/{one.id}.png" for one in FIGURES]
    lost: list[Result | Failure] = [failure(cell("a", "partial", 0))]
    assert "](" not in section(report(run(["a"], ["partial"]), lost), "Plots")


def test_unknown_quantities_are_listed_and_never_shown_as_zero() -> None:
    asked = run(["a"], ["partial"])
    one = result(cell("a", "partial", 0), peak_memory_bytes=None)
    cost = one.cost.model_copy(update={"latency": None, "forward_macs": None})
    text = report(asked, [one.model_copy(update={"cost": cost})])
    missing = section(text, "Failed, missing, not measured")
    for quantity in ("Energy", "Peak CPU memory", "Latency", "MACs"):
        assert f"- {quantity}: unknown in 1 of 1 ok cells" in missing
    assert "| a            |       48 |     11.2 |      - |" in text
    assert "Least memory" not in text


@pytest.mark.parametrize("name", ["a|b", "`x`", "two\nlines", "# h", "<img src=x>", "$x$"])
def test_a_hostile_name_breaks_no_line_and_no_table_of_the_report(name: str) -> None:
    asked = run([name, "plain"], ["partial"]).model_copy(update={"suite_name": name})
    found: list[Result | Failure] = [
        result(cell(name, "partial", 0)),
        failure(cell("plain", "partial", 0), reason=name),
    ]
    text = report(asked, found)
    plain = report(
        run(["x", "plain"], ["partial"]),
        [result(cell("x", "partial", 0)), failure(cell("plain", "partial", 0), reason="x")],
    )
    assert len(text.split("\n")) == len(plain.split("\n"))
    for line, same in zip(text.split("\n"), plain.split("\n"), strict=True):
        if same.startswith("|"):
            bars = r"(?<!\\)\|"
            assert len(re.findall(bars, line)) == len(re.findall(bars, same))
    assert "<img" not in text.replace(r"\<img", "")


def test_many_rows_that_are_tied_do_not_bury_what_follows() -> None:
    names = [f"network{i}" for i in range(60)]
    asked = run(names, ["partial"])
    text = report(asked, [result(cell(name, "partial", 0)) for name in names])
    why = section(text, "Why")
    assert why.count("- network") == markdown.MOST_ITEMS
    assert "- and 40 more" in why
    for title, file in (("All scores", "main"), ("Compared with the leader", "comparisons")):
        assert section(text, title).count("\n| network") <= 2 * markdown.MOST_ROWS
        assert re.search(rf"^And \d+ more: see `tables/{file}\.csv`\.$", text, re.MULTILINE)


def test_what_was_asked_besides_and_what_must_be_known_stand_before_the_reasons() -> None:
    asked, found = two()
    text = markdown.document(
        asked, found, summarise(asked, found), (), ["Within a|b, *x*."], ["Merged of <b>."]
    )
    assert r"> Merged of \<b\>." in text.split("\n## ")[0]
    assert r"- Asked for: Within a\|b, \*x\*." in section(text, "At a glance")
