"""Names in sentences: shown as they were given, whatever they are."""

import pytest

from bench.report import text


@pytest.mark.parametrize(
    ("given", "shown"),
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
def test_every_character_is_to_be_seen(given: str, shown: str) -> None:
    assert text.printable(given) == shown


def test_a_name_is_told_from_the_words_around_it_on_a_page_only() -> None:
    sentence = f"{text.name('a_b')} wins by {text.name('<i>')}."
    assert text.plain(sentence) == "a_b wins by <i>."
    assert text.markdown(sentence) == r"a_b wins by \<i\>."
    assert text.html(sentence) == "<bdi>a_<wbr>b</bdi> wins by <bdi>&lt;i&gt;</bdi>."


def test_usual_names_read_unchanged_in_markdown() -> None:
    for name in ("mobilenet_v3_small", "resnet50:IMAGENET1K_V2", "-", "3/3 (1 diverged)", "a & b"):
        assert text.markdown(name) == name
    assert text.markdown("__init__") == r"\_\_init\_\_"
    assert text.markdown("# title") == r"\# title"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (":smile:", ":\u200csmile:"),
        ("a:+1:", "a:\u200c+1:"),
        ("@bob", "@\u200cbob"),
        ("www.x.org", "www\u200c.x.org"),
        *((same, same) for same in ("09:50:00", "a: b: c", "x @ y", "wwww.x", "resnet50:V2")),
    ],
)
def test_what_github_would_interpret_is_broken_where_it_is_not_seen(
    name: str, written: str
) -> None:
    assert text.markdown(name) == written


def test_a_number_stays_with_its_unit_and_only_it() -> None:
    kept = text.html("21.7 ± 2.5 points in 1 min 18 s, 6 of 30 and 1,000 images, 2 samples")
    assert kept.split(" ") == [
        *("21.7\u00a0±\u00a02.5\u00a0points", "in", "1\u00a0min", "18\u00a0s,", "6", "of"),
        *("30", "and", "1,000\u00a0images,", "2", "samples"),
    ]
