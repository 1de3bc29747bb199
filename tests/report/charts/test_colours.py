"""The colours of the figures can be seen and told apart on light and on dark pages."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.report.charts.figure import COLOURS, HEAT

Theme = dict[str, str]
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
DARK = {name: dark for name, (_, dark) in COLOURS.items()}

THEMES = pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])


def linear(colour: str) -> NDArray[np.float64]:
    """Linear RGB of a hexadecimal sRGB colour (IEC 61966-2-1)."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio."""
    bright, dark = sorted(
        (float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True
    )
    return (bright + 0.05) / (dark + 0.05)


@THEMES
def test_marks_stand_out_from_the_page(colours: Theme) -> None:
    names = [*(f"a{i}" for i in range(12)), *(f"t{i}" for i in range(5)), "chart-axis"]
    for name in names:
        assert contrast(colours[name], colours["chart-paper"]) >= 3, name


@THEMES
def test_text_can_be_read(colours: Theme) -> None:
    pairs = [
        ("chart-ink", "chart-paper"), ("chart-muted", "chart-paper"), ("chart-ink", "chart-grid"),
        *(("on-low", f"h{i}") for i in range(3)), ("on-middle", "h3"),
        *(("on-high", f"h{i}") for i in range(4, 7)), *(("on-time", f"t{i}") for i in range(5)),
    ]  # fmt: skip
    for ink, ground in pairs:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@THEMES
def test_the_scale_of_a_heat_map_runs_one_way(colours: Theme) -> None:
    steps = [contrast(colours[f"h{i}"], colours["chart-paper"]) for i in range(len(HEAT))]
    assert steps == sorted(steps)
    assert min(after / before for before, after in pairwise(steps)) > 1.1


# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson 2020, bottosson.github.io/posts/oklab."""
    lms = np.cbrt(
        np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                  [0.2119034982, 0.6806995451, 0.1073969566],
                  [0.0883024619, 0.2817188376, 0.6299787005]]) @ np.clip(rgb, 0, 1)
    )  # fmt: skip
    matrix = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                       [1.9779984951, -2.4285922050, 0.4505937099],
                       [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    return np.asarray(matrix @ lms)


@THEMES
@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_the_first_six_architectures_are_told_apart_by_every_eye(
    colours: Theme, vision: str
) -> None:
    seen = [oklab(DEFICIENCIES[vision] @ linear(colours[f"a{i}"])) for i in range(6)]
    # 0.02 is a just noticeable difference; three of them for small marks.
    distances = {
        (i, j): float(np.linalg.norm(seen[i] - seen[j])) for i, j in combinations(range(6), 2)
    }
    assert min(distances.values()) > 0.06, distances


def test_both_themes_have_an_architecture_in_the_same_hue() -> None:
    for i in range(12):
        light, dark = (oklab(linear(theme[f"a{i}"])) for theme in (LIGHT, DARK))
        if np.hypot(*light[1:]) < 0.02:  # grey has no hue
            continue
        turn = np.arctan2(dark[2], dark[1]) - np.arctan2(light[2], light[1])
        assert abs((np.degrees(turn) + 180) % 360 - 180) < 25, i
