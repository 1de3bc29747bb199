"""What all pages have in common: their style, and how names and numbers are set."""

import re
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from bench.report.charts import figure
from bench.report.findings import Name, Text
from bench.report.text import printable


def template(file: str) -> jinja2.Template:
    """A template of this folder."""
    return _environment().get_template(file)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": name, "say": say, "visible": printable}
    environment.globals["style"] = Markup(_style())
    return environment


def _style() -> str:
    page = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return f"{figure.style()}{page}"


def name(text: str) -> Markup:
    """A user's name, which cannot turn the text around it nor hide in it."""
    broken = Markup("_<wbr>").join(printable(text).split("_"))
    return Markup("<bdi>{}</bdi>").format(broken)


def say(text: Text) -> Markup:
    """A text whose names are set apart."""
    return Markup("").join(name(p) if isinstance(p, Name) else with_units(p) for p in text)


def with_units(text: str) -> str:
    """The text with every number on one line with its unit."""
    return re.sub(rf"(?<=[\d±]) (?=(?:{UNITS})(?!\w)|\d)", "\u00a0", text)


UNITS = "%|±|s|min|h|M|MiB|ms|points|images|seeds"
