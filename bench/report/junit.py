"""A comparison as JUnit XML, which CI systems show as tests: a case for each cell and metric."""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bench.analysis.verdict import Comparison, Verdict, Word
from bench.report.formats import one_line
from bench.report.verdicts import TITLES, Sides, amount, changed, headline, remarks, showed, why

ELEMENTS: dict[Word, str] = {
    "regressed": "failure",
    "failed": "failure",
    "missing": "error",
    "not_comparable": "skipped",
    "inconclusive": "skipped",
    "not_judged": "skipped",
}
"""What stands in a case; words that are not here pass."""


def junit(found: Comparison, sides: Sides) -> str:
    """The whole file."""
    suite = Element("testsuite", name=one_line(headline(found, sides)))
    for one in found.verdicts:
        _case(suite, one)
    if found.shift and found.shift.blame == "code":
        case = SubElement(suite, "testcase", classname="all cells", name=TITLES["train_seconds"])
        reasons = filter(None, (found.shift.reason, showed(found.shift.second)))
        SubElement(case, "failure", message=one_line("; ".join(reasons)))
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
