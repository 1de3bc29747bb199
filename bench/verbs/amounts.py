"""Amounts as people type them: 60, 2min, 800MiB, 12M, 20ms."""

import re
from collections.abc import Callable, Mapping

import typer

SECONDS = {"": 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
BYTES = {
    **{"": 2.0**30, "b": 1.0},  # a bare number is in GiB
    **{"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40},
    **{"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
}
COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}
LATENCY = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}  # no bare number: too easily mistaken
POINTS = {"": 0.01, "%": 0.01}


def parser(units: Mapping[str, float], example: str) -> Callable[[str], float]:
    """A parser for typer; it raises BadParameter with an example of what would be accepted."""

    def parse(text: str | float) -> float:
        found = re.fullmatch(
            r"(\d+(?:\.\d*)?|\.\d+)(?:e([+-]?\d{1,2}))?\s*([a-zµ%]*)", text_of(text)
        )
        if found is None or found[3] not in units or not float(found[1]):
            raise typer.BadParameter(f'"{text}" – expected an amount above 0, such as {example}')
        return float(f"{found[1]}e{found[2] or 0}") * units[found[3]]

    return parse


def text_of(given: str | float) -> str:
    """The text to parse; typer hands a parser its own default as well."""
    return str(given).strip().lower().replace(",", "").replace("_", "")
