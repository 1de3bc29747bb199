"""suites/README.md says what the schema and the tables say, and every ready suite is right."""

import re
from pathlib import Path

import pytest

from bench.strategies import STRATEGIES
from bench.suite_file import parse, read_suite
from bench.views import rates
from tests.suite_keys import FOUND_LATER, README, between, key_table, rows

SUITES = sorted(README.parent.glob("*.toml"))
TEXT = README.read_text("utf-8")


def test_the_table_of_keys_is_the_schemas() -> None:
    assert between(TEXT)[1] == key_table()


def test_every_key_has_a_meaning_and_only_keys_have_a_default_found_later() -> None:
    found = {key.strip("`"): meaning for key, _, meaning in rows()}
    assert all(found.values()), found
    assert FOUND_LATER.keys() <= found.keys()


def test_the_table_of_strategies_has_their_rates() -> None:
    for kind, strategy in STRATEGIES.items():
        row, *_ = re.findall(rf"^\| `{kind}` .*$", TEXT, re.M)
        *_, usual, without = row.strip("| ").split(" | ")
        assert usual.startswith(rates(strategy.rates))
        assert without.startswith(rates(strategy.rates_without_batch_norm))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_ready_suite_parses_and_opens_with_its_command(path: Path) -> None:
    assert read_suite(path).profiles.keys() == {"gpu", "cpu"}
    first, second, *_ = path.read_text("utf-8").splitlines()
    assert first.startswith(f"# python -m bench run suites/{path.name}")
    assert second.startswith("# ")
    assert path.name in TEXT
    assert parse(path)["name"] == path.stem


def test_the_examples_of_the_readme_are_suites(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    assert len(examples) >= 2
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example, encoding="utf-8")
        assert read_suite(path).profiles
