"""A comparison as JUnit XML, which CI systems show as tests: a case for each verdict."""

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bench.analysis.ab import ALL_CELLS
from bench.analysis.compare import Comparison, Outcome, outcomes
from bench.analysis.judge import CELL, SECONDS, SIZE, Verdict, Word
from bench.report import comparison, text
from bench.report.comparison import RESULT, TITLES, Sides, why

ELEMENTS: Mapping[Word, str] = {
    "regressed": "failure",
    "failed": "failure",
    "missing": "error",
    "not_comparable": "skipped",
    "inconclusive": "skipped",
    "not_judged": "skipped",
}
"""The XML element of each verdict; other verdicts pass."""

WHOLE: tuple[Outcome, ...] = ("refused", "unstable", "nothing_judged")
"""Outcomes that no case of a cell shows as bad: else CI would be green where the exit code is 3."""


def junit(found: Comparison, sides: Sides) -> str:
    suite = Element("testsuite", name=text.printable(comparison.headline(found, sides)))
    for one in found.verdicts:
        _case(suite, one.name, TITLES[one.metric], ELEMENTS.get(one.word), _told(one))
    if found.shift and found.shift.blame == "code":
        _case(suite, ALL_CELLS, TITLES[SECONDS], "failure", found.shift.reason)
    for outcome in WHOLE:
        if outcome in outcomes(found):
            _case(suite, "comparison", RESULT[outcome], "error", _reason_of(found, outcome))
    plurals = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    for name, plural in plurals.items():
        suite.set(plural, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    SubElement(suite, "system-out").text = "\n".join(map(text.printable, comparison.remarks(found)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Element, of: str, name: str, element: str | None, message: str) -> None:
    case = SubElement(suite, "testcase", classname=text.printable(of), name=name)
    if element:
        SubElement(case, element, message=text.printable(message))


def _told(one: Verdict) -> str:
    """`regressed: 10.1 s to 12.3 s (+21.8 %)`, and why."""
    told: str = one.word
    if one.change:
        before = comparison.amount(one.baseline, one.metric)
        after = comparison.amount(one.candidate, one.metric)
        told += f": {before} to {after} ({comparison.changed(one.change, one.metric)})"
    return "; ".join(filter(None, (told, why(one))))


def _reason_of(found: Comparison, outcome: Outcome) -> str:
    if outcome == "unstable":
        told = [found.unstable or "", found.shift.reason if found.shift else ""]
    else:
        told = [
            why(one)
            for one in found.verdicts
            if (one.word == "not_comparable" and one.metric in (CELL, SIZE))
            or (outcome == "nothing_judged" and one.word != "pass")
        ]
    return comparison.listed(list(dict.fromkeys(filter(None, told)))) or RESULT[outcome]
