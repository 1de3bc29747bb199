"""Suite files: TOML in, a checked suite for each profile out, with every mistake listed at once."""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bench.architectures import ARCHITECTURES, TIMM, size_problem
from bench.errors import Problem, SuiteError, lower, meant, unknown
from bench.metrics import METRICS
from bench.record import Profile
from bench.strategies import OPTIONS, STRATEGIES, head_epochs_of
from bench.suite import RECIPE_DEFAULTS, TABLES, StrategyEntry, Suite

MAX_CELLS = 10_000


class SuiteFile(NamedTuple):
    """A suite file whose two profiles were both checked."""

    place: str
    profiles: Mapping[Profile, Suite]


def read_suite(path: Path, dataset: str | None = None) -> SuiteFile:
    """The suite file, with `dataset` in place of its whole [dataset] table if given.

    Raises SuiteError with every mistake of the file.
    """
    return check(parse(path), str(path), dataset)


def parse(path: Path) -> dict[str, Any]:
    """The file as TOML; a UTF-8 byte order mark is accepted. Raises SuiteError."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        problem = Problem("", _missing_file(path))
    except IsADirectoryError:
        problem = Problem("", "is a folder, not a suite file")
    except OSError as error:
        problem = Problem("", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        text = f"not UTF-8 text (byte 0x{error.object[error.start]:02x} at offset {error.start})"
        problem = Problem("", text)
    except tomllib.TOMLDecodeError as error:
        place = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", str(error))
        text, where = (place[1], place[2]) if place else (str(error), "")
        problem = Problem(where, lower(text))
    except RecursionError:
        problem = Problem("", "has brackets in too many brackets")
    raise SuiteError(str(path), [problem])


def _missing_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("suites")
    known = sorted(str(found) for found in folder.glob("*.toml"))
    near = difflib.get_close_matches(str(path), known, n=1, cutoff=0.5) or known[:3]
    hint = " – did you mean " + " or ".join(near) + "?" if near else ""
    return f"no such file{hint}"


def check(raw: dict[str, Any], place: str, dataset: str | None = None) -> SuiteFile:
    """Both profiles of a parsed suite. Raises SuiteError with every mistake."""
    base = {key: value for key, value in raw.items() if key != "on"}
    on_cpu, problems = _on_cpu(raw.get("on", {}))
    if dataset is not None:
        base["dataset"] = {"source": dataset}
        on_cpu.pop("dataset", None)
    gpu, gpu_problems = _validated(base)
    cpu, cpu_problems = _validated(merge(base, on_cpu))
    problems += gpu_problems
    of_cpu_alone = (problem for problem in cpu_problems if problem not in gpu_problems)
    problems += [Problem(_place_in(on_cpu, key), text) for key, text in of_cpu_alone]
    if problems or gpu is None or cpu is None:
        raise SuiteError(place, problems)
    return SuiteFile(place, {"gpu": gpu, "cpu": cpu})


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` on top: tables merge key by key, all else (lists too) is replaced."""
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        both_tables = isinstance(inner, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(inner, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _on_cpu(on: object) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(on, dict):
        return {}, [Problem("on", "must be a table: [on.cpu]")]
    problems = [Problem(f"on.{key}", unknown(key, ["cpu"])) for key in on if key != "cpu"]
    cpu = on.get("cpu", {})
    if not isinstance(cpu, dict):
        return {}, [*problems, Problem("on.cpu", "must be a table: [on.cpu]")]
    if "name" in cpu:
        problems.append(Problem("on.cpu.name", "a suite has one name: leave it out here"))
    return dict(cpu), problems


def _place_in(on_cpu: Mapping[str, Any], key: str) -> str:
    table: object = on_cpu
    for part in key.split("."):
        name = part.split("[")[0]
        if not isinstance(table, Mapping) or name not in table:
            return key
        table = table[name]
    return f"on.cpu.{key}"


def _validated(table: Mapping[str, Any]) -> tuple[Suite | None, list[Problem]]:
    problems = _unknown_names(table)
    try:
        suite = Suite.model_validate(table)
    except ValidationError as error:
        return None, problems + [_problem(details) for details in error.errors()]
    return suite, problems or cross_checks(suite)


def _unknown_names(table: Mapping[str, Any]) -> list[Problem]:
    """Looked up before all else is checked, so that every mistake is listed at once."""
    problems = []

    def look_up(key: str, what: str, name: object, known: Collection[str], hint: str = "") -> None:
        if isinstance(name, str) and name not in known:
            problems.append(Problem(key, f'{what}"{name}" {unknown(name, list(known))}{hint}'))

    look_up("metric", "", table.get("metric"), METRICS)
    for index, entry in enumerate(_entries(table.get("architectures"))):
        key = f"architectures[{index}].name"
        if not str(entry.get("name")).startswith(
            TIMM
        ):  # what timm has is asked where it is imported
            look_up(key, "architecture ", entry.get("name"), ARCHITECTURES)
    for index, entry in enumerate(_entries(table.get("strategies"))):
        key, kind = f"strategies[{index}]", entry.get("kind")
        look_up(f"{key}.kind", "", kind, STRATEGIES)
        if kind is None:
            hint = ' (a name of your own needs a "kind")'
            look_up(key, "strategy ", entry.get("name"), STRATEGIES, hint)
    return problems


def _entries(value: object) -> list[dict[str, Any]]:
    entries = value if isinstance(value, list) else []
    return [entry if isinstance(entry, dict) else {"name": entry} for entry in entries]


WORDING: Mapping[str, str] = {
    "missing": "is required",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
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
"""Our words for pydantic's error types; other types keep pydantic's."""


def _problem(details: ErrorDetails) -> Problem:
    key = _dotted(details["loc"])
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            *table, name = details["loc"]
            return Problem(key, f"unknown key{_accepted_keys(_dotted(table), str(name))}")
        case "literal_error":
            accepted = re.findall(r"'([^']+)'", context["expected"])
            got = _shown(details["input"])
            return Problem(key, f"{got} {unknown(details['input'], accepted)}")
        case "value_error":
            return Problem(key, str(context["error"]))
        case "model_type" if key.endswith(("recipe", "dataset", "run", "compare")):
            return Problem(key, f"must be a table (got {_shown(details['input'])})")
        case kind:
            text = WORDING.get(kind, lower(details["msg"])).format(**context)
            got = "" if kind == "missing" else f" (got {_shown(details['input'])})"
            return Problem(key, text + got)


def _dotted(loc: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return "".join(parts).removeprefix(".")


def _accepted_keys(table: str, key: str) -> str:
    accepted = list(TABLES[re.sub(r"\d+", "", table)].model_fields)
    accepted += [] if table else ["on"]
    return meant(key, accepted, most=1) or f" – accepted are {', '.join(accepted)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def cross_checks(suite: Suite) -> list[Problem]:
    """Mistakes that no single key shows."""
    problems = [
        *_repeated("architectures", [entry.label for entry in suite.architectures]),
        *_repeated("strategies", [entry.name for entry in suite.strategies]),
        *_repeated("seeds", map(str, suite.seeds)),
        *_repeated("weights", suite.weights),
    ]
    for index, strategy in enumerate(suite.strategies):
        problems += _strategy_problems(suite, f"strategies[{index}]", strategy)
    by_strategy = sum(len(suite.seeds_for(strategy)) for strategy in suite.strategies)
    count = len(suite.architectures) * by_strategy
    if count > MAX_CELLS:
        problems.append(Problem("", f"asks for {count:,} cells; at most {MAX_CELLS:,} are run"))
    return list(dict.fromkeys(problems))


def _repeated(key: str, names: Iterable[str]) -> list[Problem]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    return [Problem(key, f'"{name}" appears more than once') for name in twice]


def _strategy_problems(suite: Suite, place: str, strategy: StrategyEntry) -> list[Problem]:
    said = suite.said_for(strategy)
    values = {**RECIPE_DEFAULTS, **said}

    def place_of(key: str) -> str:
        return f"{place}.{key}" if key in strategy.said() else f"recipe.{key}"

    problems = _repeated(f"{place}.seeds", map(str, strategy.seeds or ()))
    kind = strategy.kind
    options = STRATEGIES[kind].options
    for key in OPTIONS:
        if key in strategy.said() and key not in options:
            problems.append(Problem(f"{place}.{key}", f"has no effect on {kind}: leave it out"))
    if values["views"] > 1 and values["augment"] == "none":
        text = 'more than one view needs augment = "standard": without it all views are the same'
        problems.append(Problem(place_of("views"), text))
    if "head_epochs" in options:
        try:
            head_epochs_of(values["epochs"], values.get("head_epochs"))
        except ValueError as error:
            key = "head_epochs" if "head_epochs" in said else "epochs"
            problems.append(Problem(place_of(key), str(error)))
    for entry in suite.architectures:
        if entry.name.startswith(TIMM):
            continue
        architecture = ARCHITECTURES[entry.name]
        size, stages = values.get("image_size"), values.get("stages") or 1
        if size is not None and (problem := size_problem(entry.name, size)):
            problems.append(Problem(place_of("image_size"), problem))
        if "stages" in options and stages > len(architecture.stages):
            text = f"{entry.name} has {len(architecture.stages)} stages (got {stages})"
            problems.append(Problem(place_of("stages"), text))
    return problems
