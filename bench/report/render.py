"""Templates over a context of plain values: whatever they show is escaped for their format."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from bench.report import tables, text
from bench.report.charts import figure
from bench.report.tables import Table


def render(file: str, context: Mapping[str, object]) -> str:
    made = _environment(file.rpartition(".")[2]).get_template(file).render(context)
    return made if file.endswith(".html") else re.sub(r"\n{3,}", "\n\n", made).strip() + "\n"


@cache
def _environment(ending: str) -> jinja2.Environment:
    is_page = ending == "html"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench.report"),
        autoescape=True,  # so that macros give markup, and nothing is escaped twice
        finalize=_escaped(text.html if is_page else text.markdown),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "table": tables.as_html if is_page else _markdown_table,
        "named": text.name,
        "plain": text.plain,
    }
    environment.globals["style"] = Markup(_style())
    return environment


def _escaped(escape: Callable[[str], str]) -> Callable[[object], object]:
    """What becomes of each value of a template: text is escaped, markup is there as it is."""

    def shown(value: object) -> object:
        if isinstance(value, str) and not isinstance(value, Markup):
            return Markup(escape(value))
        return value

    return shown


def _markdown_table(table: Table, most: int | None = None, rest: str = "") -> Markup:
    lines = [tables.as_markdown(table, most)]
    if most is not None and len(table.rows) > most:
        lines.append(f"And {len(table.rows) - most:,} more{rest and f': {rest}'}.")
    return Markup("\n\n".join(lines))


def _style() -> str:
    page = files("bench.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    return f"{figure.style()}{page}"
