"""A comparison as JUnit XML, which CI systems show as tests: a case for each cell and metric."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bench.analysis.verdict import CELL, COUNTS, Comparison, Outcome, Verdict, Word, outcomes
from bench.report.formats import one_line
from bench.report.verdicts import (
    QUIET,
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

ELEMENTS: dict[Word, str] = {
    "regressed": "failure",
    "failed": "failure",
    "missing": "error",
    "not_comparable": "skipped",
    "inconclusive": "skipped",
    "not_judged": "skipped",
}
"""What stands in a case; words that are not here pass."""

WHOLE: tuple[Outcome, ...] = ("refused", "unstable", "nothing_judged")
"""Outcomes that no case of a cell shows as bad: else CI would be green where the exit code is 3."""


def junit(found: Comparison, sides: Sides) -> str:
    """The whole file."""
    suite = Element("testsuite", name=one_line(headline(found, sides)))
    for one in found.verdicts:
        _case(suite, one)
    if found.shift and found.shift.blame == "code":
        case = SubElement(suite, "testcase", classname="all cells", name=TITLES["train_seconds"])
        SubElement(case, "failure", message=one_line(found.shift.reason))
    has = outcomes(found)
    for outcome in WHOLE:
        if outcome in has:
            case = SubElement(suite, "testcase", classname="comparison", name=RESULT[outcome])
            SubElement(case, "error", message=one_line(_reasons(found, outcome)))
    for name in ("failure", "error", "skipped"):
        plural = {"failure": "failures", "error": "errors"}.get(name, name)
        suite.set(plural, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    SubElement(suite, "system-out").text = "\n".join(map(one_line, remarks(found)))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Element, one: Verdict) -> None:
    case = SubElement(suite, "testcase", classname=one_line(one.name), name=TITLES[one.metric])
    if element := ELEMENTS.get(one.word):
        told = [amount(one, one.baseline), amount(one, one.candidate), changed(one)]
        text = f"{one.word}: {told[0]} to {told[1]} ({told[2]})" if one.change else one.word
        reason = why(one)
        SubElement(case, element, message=one_line(f"{text}; {reason}" if reason else text))


def _reasons(found: Comparison, outcome: Outcome) -> str:
    """What is known of an outcome of the whole, each reason once."""
    match outcome:
        case "refused":
            refused = (one for one in found.verdicts if one.metric in (CELL, COUNTS))
            told = [why(one) for one in refused if one.word == "not_comparable"]
        case "unstable":
            told = [found.unstable or "", found.shift.reason if found.shift else ""]
        case _:
            told = [why(one) for one in found.verdicts if one.word not in QUIET]
    return listed(list(dict.fromkeys(filter(None, told)))) or RESULT[outcome]
