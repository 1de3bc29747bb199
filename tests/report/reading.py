"""Reports of made-up records, and a page as a tree of its elements, for asking what it shows."""

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from bench.analysis.choice import Summary, summarise
from bench.analysis.table import table
from bench.record import Failure, Result, Run
from bench.report import writer
from bench.report.charts.figure import Chart
from bench.report.context import Report, all_tables
from bench.report.figures import About
from bench.report.tables import Table

VOID = {"meta", "link", "img", "br", "wbr"}


class Node:
    def __init__(self, tag: str, attrs: dict[str, str | None], parent: "Node | None") -> None:
        self.tag, self.attrs, self.parent = tag, attrs, parent
        self.inside: list[Node | str] = []

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.inside)

    def all(self, *tags: str) -> "list[Node]":
        found = []
        for one in self.inside:
            if isinstance(one, Node):
                found += [one] if not tags or one.tag in tags else []
                found += one.all(*tags)
        return found

    def by_id(self, id_: str) -> "Node":
        (found,) = [node for node in self.all() if node.attrs.get("id") == id_]
        return found

    def of_class(self, name: str) -> "list[Node]":
        return [node for node in self.all() if name in (node.attrs.get("class") or "").split()]


class Tree(HTMLParser):
    """A tree of a page; refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Node("", {}, None)
        self.feed(text)
        self.close()
        assert self.here is self.root, f"<{self.here.tag}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        node = Node(tag, dict(attrs), self.here)
        self.here.inside.append(node)
        if tag not in VOID:
            self.here = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.inside.append(Node(tag, dict(attrs), self.here))

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.inside.append(data)


def read(text: str) -> Node:
    """The root of a page."""
    return Tree(text).root


def as_html(made: Table, most: int = 100, rest: str = "") -> str:
    """A table as it stands on a page."""
    parts: Any = writer.environment("html").get_template("parts.html").module
    return str(parts.table(made, most, rest))


# ---- reports --------------------------------------------------------------------------------


def chosen(asked: Run, found: Sequence[Result | Failure]) -> Summary:
    """What was chosen among the rows of these records."""
    return summarise(table(asked, found))


def report_of(asked: Run, found: Sequence[Result | Failure], **beside: Any) -> Report:
    """What a report of these records is made of."""
    made = table(asked, found)
    return Report(made, summarise(made), **beside)


NO_FIGURES: dict[About, list[Chart]] = {"run": [], "recommended": []}


def markdown_of(asked: Run, found: Sequence[Result | Failure], **beside: Any) -> str:
    """report.md, without figures."""
    return documents(asked, found, NO_FIGURES, **beside)["report.md"]


def page_of(asked: Run, found: Sequence[Result | Failure], **beside: Any) -> str:
    """report.html, without figures, which take long to draw."""
    return documents(asked, found, NO_FIGURES, **beside)["report.html"]


def drawn_page_of(asked: Run, found: Sequence[Result | Failure], **beside: Any) -> str:
    """report.html."""
    return documents(asked, found, None, **beside)["report.html"]


def documents(
    asked: Run,
    found: Sequence[Result | Failure],
    figures: Mapping[About, Sequence[Chart]] | None,
    **beside: Any,
) -> dict[str, str]:
    report = report_of(asked, found, **beside)
    return writer.documents(report, all_tables(report), figures or writer.all_figures(report))


def section(text: str, title: str) -> str:
    """One section of report.md, without its heading."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]
