"""Names that no font can write are written as code points, and nothing warns."""

import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from bench.report import canvas, fonts

UNASSIGNED = "\U0003fffd"  # in no font, on any machine: Unicode has no such letter


def warned(text: str, families: list[str], path: Path) -> list[str]:
    """What matplotlib warns of when it draws a text."""
    with (
        warnings.catch_warnings(record=True) as found,
        mpl.rc_context({**canvas.STYLE, "font.family": families}),
    ):
        warnings.simplefilter("always")
        figure = Figure()
        figure.text(0.1, 0.5, text)
        figure.savefig(path)
    return [str(warning.message) for warning in found]


def test_usual_names_are_left_alone_and_need_one_font() -> None:
    for name in ("mobilenet_v3_small", "größe – ±½", "Ελληνικά", "שלום"):
        assert fonts.drawable(name) == name
        assert fonts.families([name]) == ["DejaVu Sans"]


def test_a_letter_without_a_font_is_told_by_its_code_point() -> None:
    assert fonts.drawable(f"a{UNASSIGNED}b") == r"a\U0003fffdb"
    assert fonts.code_point("猫") == r"\u732b"
    assert fonts.families([UNASSIGNED]) == ["DejaVu Sans"]


@pytest.mark.parametrize("name", ["猫と犬", "cat 😀", "ประเทศไทย", "a\u200db", UNASSIGNED])
def test_nothing_warns_of_a_missing_glyph_whatever_fonts_there_are(
    name: str, tmp_path: Path
) -> None:
    text = fonts.drawable(name)
    assert warned(text, fonts.families([name]), tmp_path / "x.png") == []
    assert len(set(map(fonts.drawable, ("猫", "犬", "鸟")))) == 3


def test_matplotlib_would_warn_of_a_letter_without_a_font(tmp_path: Path) -> None:
    assert "missing from font" in warned(UNASSIGNED, ["DejaVu Sans"], tmp_path / "x.png")[0]
