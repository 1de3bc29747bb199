"""What a report says of calibrations, in every format."""

from html import unescape
from pathlib import Path

from bench import views
from bench.analysis.summary import summarise
from bench.record import Calibration, Run, Sitting
from bench.report import calibration, markdown
from bench.report.page import document as page
from tests import records
from tests.test_views import shown

START = Calibration(
    matmul_fp32_flops=2.345e12, matmul_bf16_flops=None, copy_bytes_per_second=4e10,
    upload_bytes_per_second=None, conv_seconds=0.010, loop_seconds=0.020, seconds=0.8,
    sizes={"matmul_fp32": 2048, "matmul_bf16": 4096, "copy": 1 << 26},
)  # fmt: skip
END = START.model_copy(
    update={"copy_bytes_per_second": 3.6e10, "conv_seconds": 0.02, "loop_seconds": 0.020 / 0.9}
)
SHAKY = Sitting(start=START, end=END, load=0.123)
WARNING = (
    "Times are unstable: the machine's speed changed by -10 % between start and end (fp32 matmul "
    "+0 %, memory copy -10 %, convolution -50 %, Python loop -10 %). Scores are not affected."
)


def run(*sittings: Sitting) -> Run:
    return records.run(["resnet18"], ["partial"]).model_copy(update={"sittings": sittings})


def texts(asked: Run) -> tuple[str, str, str]:
    """The end of the run on the terminal, report.md and report.html."""
    found = [records.result(records.cell("resnet18", "partial", 0))]
    summary = summarise(asked, found)
    return (
        "\n".join(shown(views.end(Path("out"), asked, found), width=200)),
        markdown.document(asked, found, summary, ()),
        page.document(asked, found, summary, {}),
    )


def test_unstable_times_are_said_at_the_end_in_the_report_and_on_the_page() -> None:
    terminal, report, html = texts(run(SHAKY))
    assert f"note: {WARNING}" in terminal
    assert WARNING in report.replace("\\", "")
    assert WARNING in unescape(html).replace("\N{NO-BREAK SPACE}", " ")


def test_a_stable_run_and_one_without_calibration_say_nothing() -> None:
    for asked in (run(), run(Sitting(start=START, end=START)), run(Sitting(start=START))):
        assert not [text for text in texts(asked) if "unstable" in text]


def test_both_ends_are_told_with_the_sizes_of_their_probes() -> None:
    ((title, text),) = calibration.facts(run(SHAKY))
    assert title == "Calibration"
    assert text == (
        "at the start fp32 matmul 2,345 GFLOP/s (2048 x 2048), memory copy 40.0 GB/s (64 MiB), "
        "convolution 10.0 ms, Python loop 20.0 ms; at the end fp32 matmul 2,345 GFLOP/s "
        "(2048 x 2048), memory copy 36.0 GB/s (64 MiB), convolution 20.0 ms, Python loop 22.2 ms; "
        "load before it 0.12 per usable core"
    )


def test_sittings_are_numbered_and_an_end_that_was_not_reached_is_unknown() -> None:
    told = dict(calibration.facts(run(Sitting(start=START), Sitting(start=None))))
    assert told["Calibration of sitting 1"].endswith("; at the end unknown")
    assert told["Calibration of sitting 2"] == "at the start unknown; at the end unknown"
