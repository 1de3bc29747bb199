"""report.html in a real browser: whole, silent, alone, in both themes, on a desk and on a phone."""

import base64
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.record import Failure, Result
from tests import records
from tests.browser.chromium import NAMES, PATH, Page, browser
from tests.report.reading import drawn_page_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PATH is None, reason=f"no {', '.join(NAMES)} on PATH"),
]

SECTIONS = (
    *("glance", "comparison", "best", "charts", "recommended", "costs", "unmeasured", "method"),
)
STRATEGIES = ("feature_extraction", "fine_tuning", "two_phase")
HOSTILE = (
    *("<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "[/red]", "$x^$", "a|b"),
    *("new\nline", "שלום\u202eevil\u2066", "分類画像", "=cmd()", "x" * 120),
)
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwc"
    "KDcpLDAxNDQ0Hyc5PTgyPC4zNDL/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAACf/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AVN//2Q=="
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@cache
def content(of: str) -> str:
    """A page with a thumbnail for every test image, drawn once: of a run with one failure, or of
    one whose names are all meant to break it.
    """
    if of == "plain":
        run = records.run(tuple(records.ARCHITECTURES), STRATEGIES, seeds=(0, 1), source="imagenet")
        found: list[Result | Failure] = [*records.drawn(run, STRATEGIES, "imagenet")]
        found[-1] = records.failure(found[-1].cell)
    else:
        run = records.run(HOSTILE, HOSTILE[:2], seeds=(0, 1))
        run = run.model_copy(update={"data": records.data(HOSTILE), "suite_name": "</title><b>"})
        found = [*records.drawn(run, HOSTILE[:2])]
    return drawn_page_of(run, found, thumbnails=dict.fromkeys(range(1000), JPEG))


def written(folder: Path, of: str) -> Path:
    """The page as a file."""
    path = folder / "report.html"
    path.write_text(content(of), encoding="utf-8")
    return path


def plain(folder: Path) -> Path:
    """The page of a run of several architectures, strategies and seeds with one failure."""
    return written(folder, "plain")


def hostile(folder: Path) -> Path:
    """The page of a run whose names are all meant to break it."""
    return written(folder, "hostile")


def complaints(page: Page) -> list[Any]:
    """Whatever the console or a dialog showed."""
    return page.heard(
        *("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"),
        "Page.javascriptDialogOpening",
    )


def requests(page: Page) -> list[str]:
    """Addresses of all that was asked for, but for pictures within the page."""
    sent = page.heard("Network.requestWillBeSent")
    urls = [one["request"]["url"] for one in sent]
    return [url for url in urls if not url.startswith("data:")]


def test_every_section_shows_and_nothing_is_said_or_asked_for(page: Page, tmp_path: Path) -> None:
    path = plain(tmp_path)
    page.look(1280)
    page.open(path)
    heights = page.ask(
        "Object.fromEntries([...document.querySelectorAll('main > section')]"
        ".map(e => [e.id, e.getBoundingClientRect().height]))"
    )
    assert set(heights) == set(SECTIONS)
    assert min(heights.values()) > 60
    assert page.ask("document.querySelectorAll('figure svg').length") >= 16  # desk and phone
    assert page.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.ask("document.images.length") > 10
    assert complaints(page) == []
    assert requests(page) == [path.as_uri()]


def test_every_link_leads_to_a_place_on_the_page(page: Page, tmp_path: Path) -> None:
    page.open(plain(tmp_path))
    links = page.ask("[...document.links].map(a => a.getAttribute('href'))")
    assert len(links) == 1 + len(SECTIONS)
    assert page.ask("[...document.links].every(a => document.querySelector(a.hash))")


@pytest.mark.parametrize("make", [plain, hostile], ids=lambda make: make.__name__)
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_is_wider_than_the_window(
    page: Page, tmp_path: Path, width: int, make: Any
) -> None:
    page.look(width)
    page.open(make(tmp_path))
    assert page.ask("document.documentElement.scrollWidth") <= width
    beyond = page.ask(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []


def test_a_phone_scrolls_the_table_by_key_under_names_that_stay(page: Page, tmp_path: Path) -> None:
    page.look(360)
    page.open(plain(tmp_path))
    page.ask("document.querySelector('#comparison .scroll').focus()")
    assert page.ask("document.activeElement.className") == "scroll"
    assert page.ask("[...document.querySelectorAll('.scroll')].every(e => e.matches('[tabindex]'))")
    left = page.ask(
        "(() => { const s = document.activeElement, n = s.querySelector('tbody th');"
        " const before = n.getBoundingClientRect().left; s.scrollLeft = 200;"
        " return [s.scrollLeft, n.getBoundingClientRect().left - before]; })()"
    )
    assert left == [200, 0]


CONTRASTS = """
(() => {
  const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = css => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = css; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const light = css => {
    const [r, g, b] = rgb(css).map(v => v / 255)
      .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const paper = e => {
    while (e && rgb(getComputedStyle(e).backgroundColor)[3] === 0) e = e.parentElement;
    return e ? getComputedStyle(e).backgroundColor : 'white';
  };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll('main *, footer *')]
    .filter(e => !e.closest('svg') && own(e))
    .map(e => {
      const two = [light(getComputedStyle(e).color), light(paper(e))].sort((a, b) => b - a);
      return [(two[0] + .05) / (two[1] + .05), e.tagName + ' ' + e.textContent.slice(0, 40)];
    }).sort((a, b) => a[0] - b[0]);
})()
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read_in_both_themes(page: Page, tmp_path: Path, theme: str) -> None:
    page.look(1280, theme)
    page.open(hostile(tmp_path))
    paper = page.ask("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.strip("rgb()").split(","))) < 200) == (theme == "dark")
    contrasts = page.ask(CONTRASTS)
    assert len(contrasts) > 200
    assert contrasts[0][0] >= 4.5, contrasts[:5]


def test_hostile_names_stand_there_as_they_are_and_nothing_runs(page: Page, tmp_path: Path) -> None:
    path = hostile(tmp_path)
    page.look(1280)
    page.open(path)
    assert page.ask("document.scripts.length") == 0
    assert (
        page.ask("document.querySelectorAll('[onerror], img:not([src^=\"data:\"]), b').length") == 0
    )
    names = page.ask(
        "[...document.querySelectorAll('#comparison tbody th > span > bdi')].map(e => e.innerText)"
    )
    seen = [name.replace("\n", " ") for name in HOSTILE]
    seen[6] = "שלום\ufffdevil\ufffd"  # characters that turn the text around them
    assert set(names) == set(seen)
    assert complaints(page) == []
    assert requests(page) == [path.as_uri()]


def test_a_screen_reader_finds_headings_regions_tables_and_named_pictures(
    page: Page, tmp_path: Path
) -> None:
    page.look(1280)
    page.open(plain(tmp_path))
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]

    def named(*roles: str) -> list[str]:
        found = [n for n in nodes if not n["ignored"] and n["role"]["value"] in roles]
        return [n.get("name", {}).get("value", "") for n in found]

    assert len(named("main")) == len(named("navigation")) == 1
    for roles in (("region",), ("table",), ("image", "img"), ("figure",)):
        names = named(*roles)
        assert names, roles
        assert all(names), (roles, names)
    levels = page.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1])")
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_skip_link_is_the_first_stop_of_the_tab_key_and_shows(
    page: Page, tmp_path: Path
) -> None:
    page.look(360)
    page.open(plain(tmp_path))
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
        )
    assert page.ask("document.activeElement.className") == "skip"
    assert page.ask("document.activeElement.getBoundingClientRect().left") >= 0


def test_print_opens_what_is_folded_and_cuts_no_table(page: Page, tmp_path: Path) -> None:
    page.look(794)
    page.open(plain(tmp_path))
    page.call("Emulation.setEmulatedMedia", media="print", features=[])
    folded = page.ask(
        "[...document.querySelectorAll('details > :not(summary)')]"
        ".filter(e => !e.checkVisibility()).length"
    )
    cut = page.ask(
        "[...document.querySelectorAll('.scroll')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 80))"
    )
    assert (folded, cut) == (0, [])
    assert page.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.call("Emulation.setEmulatedMedia", media="", features=[])
