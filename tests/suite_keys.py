"""The table of keys in suites/README.md, made from the schema.

`python -m tests.suite_keys` writes it anew.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from bench.suite import RECIPE_DEFAULTS, TABLES, RecipeTable, StrategyEntry

README = Path(__file__).parents[1] / "suites" / "README.md"
BEGIN, END = "<!-- keys: made by `python -m tests.suite_keys` -->\n", "<!-- end of keys -->\n"

FOUND_LATER: Mapping[str, str] = {
    "architectures[].weights": "as `weights` says",
    "strategies[].kind": "the `name`",
    "strategies[].seeds": "the suite's",
    "dataset.train_per_class": "digits 30; folders 60 % of all",
    "dataset.val_per_class": "digits 50; folders 20 % of all",
    "run.timeout": "no limit",
    "run.stall": "as predicted",
    "recipe.head_epochs": "half of `epochs`",
    "recipe.stages": "`1`",
    "recipe.image_size": "the weights' own",
    "recipe.lr": "the strategy's",
    "recipe.backbone_lr_scale": "the strategy's",
    "recipe.flip": "photographs `true`, digits `false`",
}
"""Defaults that depend on the strategy, the weights or the images."""


def key_table() -> str:
    """Every key of a suite with its default and meaning, as Markdown."""
    lines = [("key", "default", "meaning"), ("---", "---", "---"), *rows()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows() -> Iterator[tuple[str, str, str]]:
    """One row per key, the top of the file first."""
    for table, model in TABLES.items():
        for key, field in model.model_fields.items():
            path = f"{table}.{key}".removeprefix(".")
            inherited = model is StrategyEntry and key in RecipeTable.model_fields
            if path not in TABLES and not inherited:
                yield f"`{path}`", default(path, field), meaning(field)


def meaning(field: FieldInfo) -> str:
    """The sentence below the field, in one line."""
    return " ".join((field.description or "").split())


def default(path: str, field: FieldInfo) -> str:
    """The default as the file would say it."""
    if path in FOUND_LATER:
        return FOUND_LATER[path]
    if field.is_required():
        return "required"
    unsaid = RECIPE_DEFAULTS.get(path.removeprefix("recipe."))
    return f"`{toml(unsaid if field.default is None else field.default)}`"


def toml(value: object) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
    return str(value)


def between(text: str) -> tuple[str, str, str]:
    """The README before its table of keys, that table, and what follows it."""
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    return before, table, after


if __name__ == "__main__":
    before, _, after = between(README.read_text("utf-8"))
    README.write_text(before + BEGIN + key_table() + END + after, encoding="utf-8")
