"""The page as one text: no scripts, and nothing that it needs from elsewhere."""

from collections.abc import Mapping, Sequence

from bench.analysis.rows import results
from bench.analysis.summary import Summary
from bench.record import Failure, Result, Run
from bench.report import certainty, facts, findings, gaps, protocol, run_tables, standings, units
from bench.report.figures import charts
from bench.report.page import comparison, gallery
from bench.report.page.templates import template
from bench.report.text import printable

Records = Sequence[Result | Failure]

LISTED = 200
"""Failed and missing cells that are named one by one."""


def document(
    run: Run,
    records: Records,
    summary: Summary,
    thumbnails: Mapping[int, bytes],
    answers: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """The report as HTML, from records in the order of the suite.

    `thumbnails` are JPEGs by the place of the image in the test part, `answers` sentences to what
    was asked besides, such as the best within a budget; `notes` what must be known of the records.
    """
    recommended, chosen = summary.recommended, _chosen(summary, records)
    headline = findings.headline(run, records, summary)
    return template("template.html").render(
        run=run,
        title=printable(f"{run.suite_name}: {findings.plain(headline)}"),
        setting=units.setting(run),
        headline=headline,
        limits=findings.limits(run, records, summary),
        notes=notes,
        missing_files=findings.missing_files(run),
        of_recommended=facts.of_recommended(run, summary),
        standing="Winner" if summary.winner and summary.comparisons else "Recommended",
        recommended=findings.named(recommended) if recommended else (),
        of_certainty=facts.of_certainty(run, summary),
        of_alternatives=facts.of_alternatives(summary, answers),
        metric=units.METRICS[summary.metric],
        header=comparison.HEADER,
        lines=comparison.lines(summary),
        num_rows=len(summary.rows),
        shown=comparison.SHOWN,
        rule=certainty.rule(run, summary),
        behind=certainty.BEHIND,
        compared=certainty.COMPARED,
        leading=("The leader is ", *findings.named(summary.leader)) if summary.leader else (),
        comparisons=standings.comparisons(summary),
        worth=certainty.FRONT,
        front=standings.front(summary),
        memory=facts.MEMORY[run.profile],
        by_strategy=comparison.by_strategy(summary),
        by_architecture=comparison.by_architecture(summary),
        architectures=run_tables.architectures(run, records),
        charts=charts(run, records, summary, "run"),
        charts_of_chosen=charts(run, records, summary, "recommended"),
        gallery=gallery.gallery(chosen, thumbnails, run.data.classes) if chosen else None,
        failures=gaps.failures(summary),
        missing=gaps.missing(summary),
        unmeasured=gaps.unmeasured(run, records),
        listed=LISTED,
        protocol=protocol.protocol(run, records),
        machines=protocol.machines(run, records),
        num_ok=len(results(records)),
    )


def _chosen(summary: Summary, records: Records) -> Result | None:
    return next((one for one in results(records) if one.cell_id == summary.chosen), None)
