"""bench/analysis/README.md says what the table holds."""

import re
from pathlib import Path

import bench
from bench.analysis.table import COLUMNS

README = Path(bench.__file__).parent / "analysis" / "README.md"


def test_every_column_has_its_row_with_its_unit_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", README.read_text("utf-8"), re.M)
    assert rows == [(name, column.unit, column.about) for name, column in COLUMNS.items()]
