"""Widths agree with the font, and no name is dangerous or too long."""

import random
import string

import pytest

from bench.report.charts import lettering
from tests.report.charts.made import HOSTILE
from tests.report.charts.reading import true_width


@pytest.mark.parametrize("bold", [False, True])
def test_the_table_is_that_of_the_font(bold: bool) -> None:
    for character in map(chr, range(32, 127)):
        measured = lettering.width(character, 1000, bold=bold)
        assert measured == pytest.approx(true_width(character, 1000, bold=bold), abs=1), character


@pytest.mark.parametrize("bold", [False, True])
@pytest.mark.parametrize(
    "text", ["resnet18 · fine_tuning", "94.2 – 1,204", "naïve café", "cat…dog"]
)
def test_a_text_is_as_wide_as_the_font_makes_it(text: str, bold: bool) -> None:
    # Kerning, which the table does not know, makes some pairs narrower and hardly any wider.
    measured, true = lettering.width(text, 12, bold=bold), true_width(text, 12, bold=bold)
    assert true - 0.2 <= measured <= 1.05 * true + 0.5


@pytest.mark.parametrize("text", ["Ελληνικά", "Кириллица Щ", "שלום עולם", "مرحبا", "ŁŒ"])
def test_other_alphabets_are_never_wider_than_measured(text: str) -> None:
    assert true_width(text, 12) <= lettering.width(text, 12)


def test_cjk_fills_its_square_and_accents_take_no_room() -> None:
    assert lettering.width("猫犬", 10) == 20
    assert lettering.width("e\u0301", 10) == lettering.width("e", 10) == lettering.width("é", 10)


def test_a_shortened_name_fits_keeps_both_ends_and_is_as_long_as_it_may_be() -> None:
    draw = random.Random(0)
    for _ in range(300):
        name = "".join(draw.choices(string.ascii_letters + "_ 猫é", k=draw.randint(1, 60)))
        name = lettering.printable(name)
        room = draw.uniform(20, 300)
        short = lettering.shorten(name, room)
        assert lettering.width(short) <= room + 1e-3
        if short == name:
            continue
        head, _, tail = short.partition("…")
        assert name.startswith(head)
        assert name.endswith(tail)
        assert len(head) + len(tail) < len(name)
        # Two more of the widest letters would not have fitted.
        assert lettering.width(short) > room - 3 * 12


def test_a_name_that_fits_stays() -> None:
    assert lettering.shorten("cat", lettering.width("cat")) == "cat"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("new\nline\t\x0bend ", "new line end"),
        ("a\u2028b", "a b"),
        ("evil\u202egnp.exe", "evil\ufffdgnp.exe"),
        ("\u2066x\u2069\u200f", "\ufffdx\ufffd\ufffd"),
        ("\x00\x1b[31m", "\ufffd\ufffd[31m"),
        ("\ud800\ufffe", "\ufffd\ufffd"),
        ("שלום", "שלום"),
        ("<script>&\"'", "<script>&\"'"),
        ("क्\u200dष", "क्\u200dष"),
    ],
)
def test_every_character_is_to_be_seen(name: str, shown: str) -> None:
    assert lettering.printable(name) == shown


@pytest.mark.parametrize("name", HOSTILE)
def test_a_wrapped_name_is_whole_unless_a_piece_is_too_long(name: str) -> None:
    lines = lettering.wrap(lettering.printable(name), 90, 11)
    assert all(lettering.width(line, 11) <= 90.001 for line in lines)
    if not any("…" in line for line in lines):
        assert "".join("".join(lines).split()) == "".join(lettering.printable(name).split())


def test_a_name_is_wrapped_after_its_joints() -> None:
    assert lettering.wrap("feature_extraction", 70, 11) == ["feature_", "extraction"]
    assert lettering.wrap("fine_tuning", 90, 11) == ["fine_tuning"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (1249, "1.2k"), (9949, "9.9k"), (9951, "10k"),
     (999_499, "999k"), (999_600, "1.0M"), (5_600_000, "5.6M"), (10**10, "10G")],
)  # fmt: skip
def test_a_count_fits_four_characters(count: int, text: str) -> None:
    assert lettering.compact(count) == text


def test_names_share_the_room_fairly_and_a_short_one_leaves_its_rest() -> None:
    room = lettering.width("cat → ") + 60
    text = lettering.joined(["cat", "a_very_long_name_of_a_class"], " → ", room)
    assert text.startswith("cat → a_ve")
    assert lettering.width(text) <= room + 1e-3
    both = lettering.joined(["x" * 50, "x" * 50], " → ", 200)
    first, _, second = both.partition(" → ")
    assert first == second
    assert lettering.joined(["cat", "dog"], " → ", 1000) == "cat → dog"


def test_names_in_hebrew_keep_their_places_around_an_arrow() -> None:
    text = lettering.joined(["חתול", "כלב", "cat"], " → ", 1000)
    assert text == "\u2068חתול\u2069 → \u2068כלב\u2069 → cat"
    assert lettering.width(text) == lettering.width("חתול → כלב → cat")
