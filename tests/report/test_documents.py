"""report.md and report.html: every state of a run, every fact in both, one page word by word.

Write the golden page anew with `python -m tests.report.test_documents`, and read the difference.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.analysis.choice import Budget
from bench.record import Failure, MissingWeights, Result, Run, Sitting, UsedWeights
from bench.report.facts import Limits
from tests import records
from tests.records import cell, failure, result, run
from tests.report.reading import markdown_of, page_of, read, section
from tests.report.test_protocol import START

Found = list[Failure | Result]
GOLDEN = Path(__file__).parent / "golden.md"


def two(**changes: object) -> tuple[Run, Found]:
    """A run whose slow network is best on val; the quick one errs elsewhere and is tied."""
    asked = run(["slow", "quick"], ["partial"]).model_copy(update=changes)
    return asked, [
        result(cell("slow", "partial", 0), val=380, test=930, train_seconds=30.0),
        records.wrong_on_val(
            result(cell("quick", "partial", 0), test=940, train_seconds=20.0), slice(0, 24)
        ),
    ]


def everything() -> tuple[Run, Found]:
    """A run with something of all that a report can say."""
    ways = ("feature_extraction", "fine_tuning", "two_phase")
    asked = run(("resnet18", "mobilenet_v3_small", "vit_b_16"), ways, seeds=(0, 1))
    missing = MissingWeights(
        architecture="vit_b_16", file="vit_b_16-c867db91.pth", folder="~/.cache/torch",
        address="https://example.org/vit_b_16-c867db91.pth", why="no connection",
    )  # fmt: skip
    end = START.model_copy(update={"copy_bytes_per_second": 3e10, "conv_seconds": 0.02})
    asked = asked.model_copy(
        update={
            "source": UsedWeights(wanted=("imagenet", "random"), used="random", missing=(missing,)),
            "duplicates": {"train/test": 2},
            "sittings": (Sitting(start=START, end=end, load=0.1),),
        }
    )
    found: Found = [*records.drawn(asked, ways)]
    first, last = found[0], found[-1]
    assert isinstance(first, Result)
    return asked, [records.reused(first), *found[1:-2], failure(last.cell)]


# ---- both formats ---------------------------------------------------------------------------


def texts(asked: Run, found: Sequence[Failure | Result], **beside: object) -> tuple[str, str]:
    """Both documents as a reader sees their words."""
    markdown = re.sub(r"\\(.)", r"\1", markdown_of(asked, found, **beside)).replace("\u200c", "")
    page = re.sub(r"\s+", " ", read(page_of(asked, found, **beside)).text)
    return markdown, page


def test_every_caution_fact_failure_and_note_is_in_both_formats() -> None:
    asked, found = everything()
    limits = Limits(Budget(max_seconds=5.0), within=0.02)
    for said in texts(asked, found, limits=limits, notes=["This report merges <two> runs."]):
        for words in (
            *("does not tell which pretrained architecture", "imagenet weights first"),
            *("vit_b_16-c867db91.pth", "no connection", "https://example.org", "~/.cache/torch"),
            *("Only 17 of 18 cells have a record", "Times are unstable", "† Features kept by"),
            *("This report merges <two> runs.", "With at most 5 s", "Within 2 points of"),
            *("Smallest visible difference", "diverged (training) after", "loss is NaN"),
            *("vit_b_16 · two_phase, seed 0: no record", "Energy: unknown", "one split"),
            *("2 in train/test", "3 hidden files were left out", "Recipe of two_phase"),
            *("memory copy 40.0 GB/s", "kept by an earlier run", "Quickest to train", "torch"),
            *("max-T", "In simulated suites", "Wilson", "best of each strategy"),
            *("compared with each other at once", "always guessing the commonest class"),
        ):
            assert words in said, words


def test_a_note_is_not_above_the_fold_unless_it_is_short() -> None:
    asked, found = everything()
    markdown = markdown_of(asked, found)
    for part in markdown.split("\n## Method\n")[0].split("\n\n"):
        if not part.startswith(("|", "- ", "> -")):
            assert len(re.findall(r"[.!?](?:\s|$)", part.strip("*"))) <= 2, part
    above = [p.text for p in read(page_of(asked, found)).all("p")]
    assert all(len(re.findall(r"\w[.!?](?:\s|$)", text)) <= 2 for text in above), above


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], ["no winner", "0 of 2 cells", "None: no row"]),
        ([failure(cell("a", "partial", 0))], ["no winner", "1 of 2 cells have a record"]),
        ([result(cell("a", "partial", 0))], ["nothing to compare", "b · partial, seed 0: no rec"]),
    ],
)
def test_every_state_of_a_run_has_a_report(found: Found, words: list[str]) -> None:
    text = markdown_of(run(["a", "b"], ["partial"]), found)
    for expected in words:
        assert expected.lower() in text.lower()
    assert re.search(r"\| +0\.0", text) is None  # nothing unknown is shown as zero


# ---- report.md ------------------------------------------------------------------------------


def test_the_golden_page() -> None:
    assert golden() == GOLDEN.read_text(encoding="utf-8")


def golden() -> str:
    return markdown_of(*everything())


def test_the_first_line_names_the_suite_the_profile_and_the_device() -> None:
    first = markdown_of(*two()).split("\n")[0]
    assert first == "# bench capstone · CPU profile · AMD EPYC, 2 cores"
    asked = run(["a"], ["partial"], machine=records.GPU)
    found = [result(cell("a", "partial", 0), machine=records.GPU)]
    assert markdown_of(asked, found).split("\n")[0].endswith(" · GPU profile · NVIDIA H200")


def test_the_classes_of_the_recommendation_are_shown_the_worst_first() -> None:
    asked = run(["a"], ["partial"], seeds=[0, 1])
    found = []
    for seed, ece in enumerate((0.02, 0.05)):
        one = result(cell("a", "partial", seed), test=994)
        test = one.quality.test.model_copy(update={"ece": ece})
        quality = one.quality.model_copy(update={"test": test})
        found.append(one.model_copy(update={"quality": quality}))
    text = section(markdown_of(asked, found), "What the recommendation gets wrong")
    rows = [line.split("|")[1:-1] for line in text.split("\n") if line.startswith("| ")][1:]
    # The last six images, of the classes 4 to 9, are each taken for the class after it.
    assert [row[0].strip() for row in rows] == [*"456789", *"0123"]
    assert [value.strip() for value in rows[5]] == ["9", "100", "99.0", "94.6–99.8", "0", "1.0"]
    assert re.search(r"3\.50 points.*15 bins; 2\.00 to 5\.00 over 2 seeds", text)


@pytest.mark.parametrize("name", ["a|b", "`x`", "two\nlines", "# h", "<img src=x>", "$x$"])
def test_a_hostile_name_breaks_no_line_and_no_table_of_the_report(name: str) -> None:
    def text(of: str) -> str:
        asked = run([of, "plain"], ["partial"]).model_copy(update={"suite_name": of})
        lost = failure(cell("plain", "partial", 0), reason=of)
        return markdown_of(asked, [result(cell(of, "partial", 0)), lost])

    lines, same = text(name).split("\n"), text("x").split("\n")
    assert len(lines) == len(same)
    for line, plain in zip(lines, same, strict=True):
        if plain.startswith("|"):
            bars = r"(?<!\\)\|"
            assert len(re.findall(bars, line)) == len(re.findall(bars, plain))
    assert "<img" not in "\n".join(lines).replace(r"\<img", "")


def test_many_rows_do_not_bury_what_follows_and_the_rest_is_told() -> None:
    names = [f"network{i}" for i in range(60)]
    found = [result(cell(name, "partial", 0)) for name in names]
    text = markdown_of(run(names, ["partial"]), found)
    for title, file in (("Comparison", "main"), ("Compared with the leader", "comparisons")):
        assert section(text, title).count("\n| network") <= 2 * 50
        assert re.search(rf"^And \d+ more: see `tables/{file}\.csv`\.$", text, re.MULTILINE)
    lost = markdown_of(run(names, ["partial"]), found[:1])
    assert "- and 39 more\n" in section(lost, "Failed, missing, not measured")


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
