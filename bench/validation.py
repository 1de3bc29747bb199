"""Checked tables of a suite file, and what pydantic finds wrong with them in our words."""

import difflib
from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from bench.errors import Problem, unknown


class Table(BaseModel):
    """A table of the file: unknown keys are mistakes, and so is a string for a number."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def lower(text: str) -> str:
    """The text beginning in lower case, as our messages do."""
    return text[:1].lower() + text[1:]


WORDING: Mapping[str, str] = {
    "missing": "required, but not there",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "list_type": "must be a list: [...]",
    "model_type": "must be a name or a table",
    "model_attributes_type": "must be a table",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
}
"""Our words for pydantic's error types; anything not here keeps pydantic's."""


def problem_of(details: ErrorDetails, keys: Mapping[str, Collection[str]]) -> Problem:
    """A mistake that pydantic found, in our words; `keys` are the accepted ones of each table."""
    key = _dotted(details["loc"])
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            table = key.rpartition(".")[0].split("[")[0]
            return Problem(key, f"unknown key{_nearest_key(key.rpartition('.')[2], keys[table])}")
        case "literal_error":
            accepted = [part.strip().strip("'") for part in _listed(context["expected"])]
            got = _shown(details["input"])
            return Problem(key, f"{got} {unknown(details['input'], accepted)}")
        case "value_error":
            return Problem(key, str(context["error"]))
        case "model_type" if key.endswith(("recipe", "dataset", "compare")):
            return Problem(key, f"must be a table (got {_shown(details['input'])})")
        case kind:
            text = WORDING.get(kind, lower(details["msg"])).format(**context)
            got = "" if kind == "missing" else f" (got {_shown(details['input'])})"
            return Problem(key, text + got)


def _dotted(loc: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")


def _listed(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def _nearest_key(key: str, accepted: Collection[str]) -> str:
    near = difflib.get_close_matches(key, accepted, n=1)
    return f' – did you mean "{near[0]}"?' if near else f" – accepted are {', '.join(accepted)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
