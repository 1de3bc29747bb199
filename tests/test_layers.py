"""Who may import whom, where torch may not be, and a few things that no module does.

The source is parsed, not run: imports inside functions count as well. Each rule returns its
offences as sentences, and is itself shown to catch a planted one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import cli

PACKAGE = Path(__file__).parent.parent / "bench"

# From the ground up. A room imports from floors below its own, and from itself.
FLOORS: tuple[set[str], ...] = (
    {"bench"},  # the version
    {"errors"},
    {"suite"},
    {"record"},
    {"identity", "predictions"},
    {"strategies", "architectures", "metrics"},
    {"suite_file"},
    {"expand"},
    {"damage"},
    {"folder"},
    {"measure"},
    {"cache"},
    {"data"},
    {"models"},
    {"training"},
    {"serving.messages"},
    {"serving"},
    {"running"},
)
# Beside the tower: what reads a finished run folder knows nothing of how it was made.
WING: dict[str, set[str]] = {
    "analysis": {
        "bench",
        "metrics",
        "record",
        "identity",
        "predictions",
        "folder",
        "errors",
        "suite",
    },
    "report": {
        "bench",
        "errors",
        "metrics",
        "suite",
        "record",
        "identity",
        "predictions",
        "folder",
        "analysis",
    },
}
ROOF = (
    "terminal",
    "progress",
    "views",
    "verbs",
    "cli",
    "__main__",
)  # each may use everything below and before it

TORCH = {"torch", "torchvision", "timm"}
HEAVY = {
    *("numpy", "pandas", "scipy", "sklearn", "matplotlib", "PIL", "safetensors"),
    *("jinja2", "tabulate", "psutil", "pynvml", "filelock"),
}
WITHOUT_TORCH = {
    *("bench", "record", "identity", "predictions", "strategies", "architectures", "metrics"),
    *(
        "errors",
        "suite",
        "suite_file",
        "expand",
        "folder",
        "cache",
        "analysis",
        "report",
        *ROOF,
    ),
    "serving.messages",  # what the verbs know of networks
}
PRINTS = {"terminal", "progress", "verbs"}
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
FUNCTION_LINES = 60
MODULE_LINES = 500


class Module(NamedTuple):
    """One parsed source file."""

    name: str
    tree: ast.Module
    num_lines: int
    is_package: bool


House = dict[str, Module]
Rule = Callable[[House], list[str]]


def parse(name: str, source: str, is_package: bool = False) -> Module:
    return Module(name, ast.parse(source), len(source.splitlines()), is_package)


def read_house() -> House:
    house = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        is_package = path.name == "__init__.py"
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if is_package else parts)
        house[name] = parse(name, path.read_text(encoding="utf-8"), is_package)
    return house


def allowed_rooms() -> dict[str, set[str]]:
    allowed: dict[str, set[str]] = {}
    below: set[str] = set()
    for floor in FLOORS:
        allowed |= {room: set(below) for room in floor}
        below |= floor
    allowed |= WING
    below |= set(WING)
    return allowed | {name: below | set(ROOF[:place]) for place, name in enumerate(ROOF)}


ALLOWED = allowed_rooms()


def room(module: str) -> str:
    """The room of a module: the longest entry of the table that covers its name."""
    inside = module.removeprefix("bench").removeprefix(".") or "bench"
    return inside if inside in ALLOWED else inside.split(".")[0]


def targets(module: Module, statement: ast.stmt, house: House) -> Iterator[str]:
    """Dotted names of the modules that one statement imports; none for other statements."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        source = resolve_name("." * statement.level + (statement.module or ""), package)
        for alias in statement.names:
            inner = f"{source}.{alias.name}"
            yield inner if inner in house else source


def imports(module: Module, house: House) -> set[str]:
    """All imports, those inside functions too."""
    statements = (node for node in ast.walk(module.tree) if isinstance(node, ast.stmt))
    return {name for statement in statements for name in targets(module, statement, house)}


def imports_on_load(module: Module, house: House) -> set[str]:
    """What importing the module imports: its parents too, but not what its functions do."""
    statements = run_on_load(module.tree)
    found = {name for statement in statements for name in targets(module, statement, house)}
    return found | {parent for name in {module.name, *found} for parent in parents(name)}


def run_on_load(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from run_on_load(child)


def parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def is_ours(name: str) -> bool:
    return name.split(".")[0] == "bench"


# ---- the rules ------------------------------------------------------------------------------


def upward_arrows(house: House) -> list[str]:
    offences = []
    for module in house.values():
        here = room(module.name)
        if here not in ALLOWED:
            offences.append(f"{module.name} has no place in the table")
            continue
        for name in filter(is_ours, imports(module, house)):
            if room(name) != here and room(name) not in ALLOWED[here]:
                offences.append(f"{module.name} must not import {name}")
    return offences


def circles(house: House) -> list[str]:
    graph = {name: imports(module, house) & house.keys() for name, module in house.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def busy_packages(house: House) -> list[str]:
    # `import bench.strategies` runs bench/training/__init__.py, so it must stay empty.
    packages = [m for m in house.values() if m.is_package and m.name != "bench"]
    return [f"{m.name}/__init__.py imports something" for m in packages if imports(m, house)]


def torch_in_quiet_rooms(house: House) -> list[str]:
    offences = []
    for module in house.values():
        if room(module.name) in WITHOUT_TORCH:
            named = {n for n in imports(module, house) if set(n.split(".")) & TORCH}
            offences += [f"{module.name} imports {name}" for name in named]
            offences += [
                f"{module.name} loads torch: {way}" for way in ways_to_torch(module, house)
            ]
    return offences


def ways_to_torch(start: Module, house: House) -> list[str]:
    """Chains of imports on load that end at torch."""
    ways, waiting, seen = [], [[start.name]], {start.name}
    while waiting:
        chain = waiting.pop()
        for name in sorted(imports_on_load(house[chain[-1]], house) - seen):
            if set(name.split(".")) & TORCH:
                ways.append(" > ".join([*chain, name]))
            elif name in house:
                seen.add(name)
                waiting.append([*chain, name])
    return ways


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def prints(house: House) -> list[str]:
    return [
        f"{module.name}:{call.lineno} prints"
        for module in house.values()
        if room(module.name) not in PRINTS
        for call in calls(module)
        if ast.unparse(call.func).split(".")[-1] == "print"
    ]


def unsafe_loads(house: House) -> list[str]:
    offences = []
    for module in house.values():
        if {"pickle", "cPickle", "dill", "cloudpickle"} & imports(module, house):
            offences.append(f"{module.name} imports pickle")
        for call in calls(module):
            arguments = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if ast.unparse(call.func) == "torch.load" and arguments.get("weights_only") != "True":
                offences.append(f"{module.name}:{call.lineno} loads without weights_only=True")
    return offences


def half_read_images(house: House) -> list[str]:
    # Pillow would fill the missing rows with grey, and the network would learn the grey.
    return [
        f"{module.name}:{node.lineno} accepts truncated images"
        for module in house.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign)
        and any(ast.unparse(t).endswith("LOAD_TRUNCATED_IMAGES") for t in node.targets)
        and ast.unparse(node.value) != "False"
    ]


def vague_names(house: House) -> list[str]:
    return [name for name in house if set(re.split(r"[._]", name)) & BAD_NAMES]


def long_functions(house: House) -> list[str]:
    offences = []
    for module in house.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                num_lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if num_lines > FUNCTION_LINES:
                    offences.append(f"{module.name}.{node.name} has {num_lines} lines")
    return offences


def long_modules(house: House) -> list[str]:
    return [
        f"{module.name} has {module.num_lines} lines"
        for module in house.values()
        if module.num_lines > MODULE_LINES
    ]


RULES: tuple[Rule, ...] = (
    upward_arrows,
    circles,
    busy_packages,
    torch_in_quiet_rooms,
    prints,
    unsafe_loads,
    half_read_images,
    vague_names,
    long_functions,
    long_modules,
)


# ---- the tests ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house() -> House:
    return read_house()


def model_house() -> House:
    """A few rooms that keep every rule, to plant offences in."""
    sources = {
        "bench.record": "import pydantic",
        "bench.measure.meters": "import torch\nfrom bench.record import Memory",
        "bench.training.fit": "from bench.measure.meters import Clock",
        "bench.verbs.run": "def run():\n from bench.training import fit\n print(fit)",
        "bench.cli": "from bench.verbs.run import run",
    }
    packages = ("bench", "bench.measure", "bench.training", "bench.verbs")
    return {
        **{name: parse(name, "", is_package=True) for name in packages},
        **{name: parse(name, source) for name, source in sources.items()},
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule, house: House) -> None:
    assert rule(house) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_house_in_order_gives_no_offence(rule: Rule) -> None:
    assert rule(model_house()) == []


@pytest.mark.parametrize(
    ("rule", "name", "source", "offence"),
    [
        (upward_arrows, "bench.data.split", "import bench.training.fit", "must not import"),
        (upward_arrows, "bench.data.split", "def f():\n from bench import cli", "bench.cli"),
        (upward_arrows, "bench.suite", "from .training import fit", "bench.training"),
        (upward_arrows, "bench.running.plan", "from bench.report import tables", "bench.report"),
        (upward_arrows, "bench.report.tables", "import bench.suite_file", "suite_file"),
        (upward_arrows, "bench.strategies", "import bench.training.fit", "fit"),
        (upward_arrows, "bench.architectures", "import bench.strategies", "strat"),
        (upward_arrows, "bench.attic", "", "no place"),
        (circles, "bench.record", "def f():\n import bench.measure.meters", "imports"),
        (torch_in_quiet_rooms, "bench.suite", "def f():\n import torch.nn", "torch.nn"),
        (torch_in_quiet_rooms, "bench.folder", "from torchvision import io", "torchvision"),
        (torch_in_quiet_rooms, "bench.cli", "from bench.measure import meters", "> torch"),
        (torch_in_quiet_rooms, "bench.cli", "try:\n import timm\nfinally: pass", "> timm"),
        (upward_arrows, "bench.verbs.run", "from bench.cli import app", "bench.cli"),
        (prints, "bench.suite", "print(1)", "bench.suite:1"),
        (prints, "bench.views", "def f(console):\n console.print(1)", "bench.views:2"),
        (unsafe_loads, "bench.folder", "def f():\n import pickle", "pickle"),
        (unsafe_loads, "bench.models.weights", "torch.load(f, weights_only=False)", "weights:1"),
        (half_read_images, "bench.data.x", "ImageFile.LOAD_TRUNCATED_IMAGES = True", "truncated"),
        (vague_names, "bench.data.image_utils", "", "image_utils"),
        (long_functions, "bench.suite", "def f():\n" + " x\n" * 60, "bench.suite.f has 61"),
        (long_modules, "bench.suite", "x\n" * 501, "bench.suite has 501"),
    ],
)
def test_each_rule_catches_a_planted_offence(
    rule: Rule, name: str, source: str, offence: str
) -> None:
    found = rule({**model_house(), name: parse(name, source)})
    assert any(offence in sentence for sentence in found), found


def test_a_package_file_that_imports_is_caught() -> None:
    module = parse("bench.training", "from bench.training.fit import fit", is_package=True)
    assert busy_packages({**model_house(), "bench.training": module}) == [
        "bench.training/__init__.py imports something"
    ]


def test_only_what_runs_on_load_counts_as_loaded() -> None:
    source = "def f():\n import torch\nif x:\n import timm\nif TYPE_CHECKING:\n import torchvision"
    assert imports_on_load(parse("bench.cli", source), {}) == {"timm", "bench"}


HELP = """
import contextlib, sys
from bench import cli
for verb in sys.argv[1:]:
    with contextlib.suppress(SystemExit):
        cli.main([*verb.split(), "--help"])
print(*sys.modules, file=sys.stderr)
"""


def loaded_by_help(*verbs: str) -> set[str]:
    """What is loaded after --help of each verb, all in one process; "" is that of bench itself."""
    done = subprocess.run(
        [sys.executable, "-c", HELP, *verbs],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.count("Usage: ") == len(verbs), done.stderr[-2000:]
    return {name.split(".")[0] for name in done.stderr.split()}


def test_help_imports_nothing_that_takes_long() -> None:
    verbs = [command.name or "" for command in cli.app.registered_commands]
    assert not loaded_by_help("") & {*TORCH, *HEAVY, "pydantic"}
    # typer itself checks the values of a verb's options with pydantic.
    assert not loaded_by_help(*verbs, "baseline", "baseline accept") & {*TORCH, *HEAVY}
