"""A comparison as JUnit XML, which CI systems show as tests: a case for each verdict."""

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bench.analysis.ab import ALL_CELLS
from bench.analysis.compare import Comparison, Outcome, outcomes
from bench.analysis.judge import CELL, COUNTS, SECONDS, Verdict, Word
from bench.report import text
from bench.report.comparison import (
    RESULT,
    TITLES,
    Sides,
    amount,
    changed,
    headline,
    listed,
    remarks,
    why,
)

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
    suite = Element("testsuite", name=text.printable(headline(found, sides)))
    for one in found.verdicts:
        _case(suite, one)
    if found.shift and found.shift.blame == "code":
        case = SubElement(suite, "testcase", classname=ALL_CELLS, name=TITLES[SECONDS])
        SubElement(case, "failure", message=text.printable(found.shift.reason))
    has = outcomes(found)
    for outcome in WHOLE:
        if outcome in has:
            case = SubElement(suite, "testcase", classname="comparison", name=RESULT[outcome])
            SubElement(case, "error", message=text.printable(_reason_of(found, outcome)))
    plurals = {"failure": "failures", "error": "errors", "skipped": "skipped"}
    for name, plural in plurals.items():
        suite.set(plural, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    SubElement(suite, "system-out").text = "\n".join(map(text.printable, remarks(found)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Element, one: Verdict) -> None:
    name = text.printable(one.name)
    case = SubElement(suite, "testcase", classname=name, name=TITLES[one.metric])
    if element := ELEMENTS.get(one.word):
        message = one.word + (f": {_both(one)}" if one.change else "")
        told = "; ".join(filter(None, (message, why(one))))
        SubElement(case, element, message=text.printable(told))


def _both(one: Verdict) -> str:
    before, after = (amount(value, one.metric) for value in (one.baseline, one.candidate))
    return f"{before} to {after} ({changed(one.change, one.metric)})"


def _reason_of(found: Comparison, outcome: Outcome) -> str:
    match outcome:
        case "refused":
            told = [
                why(one)
                for one in found.verdicts
                if one.word == "not_comparable" and one.metric in (CELL, COUNTS)
            ]
        case "unstable":
            told = [found.unstable or "", found.shift.reason if found.shift else ""]
        case _:
            told = [why(one) for one in found.verdicts if one.word != "pass"]
    return listed(list(dict.fromkeys(filter(None, told)))) or RESULT[outcome]
