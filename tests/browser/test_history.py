"""history.html in a real browser: whole, silent, alone, on a desk and on a phone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report.history import Reading
from bench.report.writer import history_page
from tests.analysis import sides
from tests.analysis.timelines import slowed, told
from tests.browser.chromium import NAMES, PATH, Page, browser
from tests.browser.test_report import HOSTILE, complaints, requests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PATH is None, reason=f"no {', '.join(NAMES)} on PATH"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def written(folder: Path) -> Path:
    """A history with a change, of cells whose names are all meant to break it."""
    runs = []
    for one in slowed(1.3, information={"bench.commit": HOSTILE[0]}):
        cells = zip(one.rows, HOSTILE, strict=False)
        names = {place: name for cell, name in cells for place in one.rows[cell]}
        columns = dict(one.columns)
        for column in ("architecture", "strategy"):
            columns[column] = [names.get(n, value) for n, value in enumerate(columns[column])]
        runs.append(sides.headed(replace(one, columns=columns), suite_name=HOSTILE[1]))
    path = folder / "history.html"
    reading = Reading(1, HOSTILE[:5], 2)
    path.write_text(history_page(told(runs), reading), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_is_wider_than_the_window_nor_asked_for(
    page: Page, tmp_path: Path, width: int
) -> None:
    path = written(tmp_path)
    page.look(width)
    page.open(path)
    assert page.ask("document.documentElement.scrollWidth") <= width
    beyond = page.ask(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []
    shown = page.ask(
        "[...document.querySelectorAll('figure svg')].filter(e => e.getBoundingClientRect().width)"
        ".map(e => e.getAttribute('class'))"
    )
    assert set(shown) == {"desk" if width > 650 else "phone"}
    assert len(shown) == 6
    assert complaints(page) == []
    assert requests(page) == [path.as_uri()]
