"""What could be seen and what would settle, against scipy's quantiles and formulas by hand.

Whether the promised power is reached is simulated in test_error_rates.
"""

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.paired import (
    Contrasts,
    Settling,
    chance_variance,
    contrasts,
    settling,
    visible_difference,
)
from tests.analysis import suites

LIMIT, MARGIN = 2.5, 0.005


def of_errors(*errors: float, freedom: float = math.inf) -> Contrasts:
    """A leader and rows whose distance has these standard errors by images."""
    errors_R = np.array([0.0, *errors])
    return Contrasts(
        means_R=np.zeros_like(errors_R),
        items_R=errors_R,
        seeds_R=np.full_like(errors_R, np.nan),
        freedoms_R=np.full_like(errors_R, freedom),
    )


def seen(behind: Contrasts, limit: float, margin: float) -> float | None:
    """The visible difference where all rows are tied."""
    return visible_difference(behind, np.ones_like(behind.means_R, dtype=bool), limit, margin)


def test_a_difference_of_that_size_is_beyond_the_limit_in_four_of_five_draws() -> None:
    found = seen(of_errors(0.004), LIMIT, 0.0)
    assert found is not None
    assert stats.norm.sf(LIMIT, loc=found / 0.004) == pytest.approx(0.8)


def test_it_is_that_of_the_typical_row() -> None:
    one = seen(of_errors(0.004), LIMIT, MARGIN)
    assert seen(of_errors(0.001, 0.004, 0.9), LIMIT, MARGIN) == one


def test_it_is_that_of_the_rows_near_the_choice() -> None:
    near = seen(of_errors(0.001, 0.004, 0.005), LIMIT, MARGIN)
    tied_R = np.array([True, True, True, False, False, False])  # the third is the runner-up
    behind = of_errors(0.001, 0.004, 0.005, 0.8, 0.9)
    assert visible_difference(behind, tied_R, LIMIT, MARGIN) == near
    alone_R = np.arange(6) == 0
    one = seen(of_errors(0.001), LIMIT, MARGIN)
    assert visible_difference(behind, alone_R, LIMIT, MARGIN) == one


def test_a_small_error_must_still_carry_the_difference_over_the_margin() -> None:
    found = seen(of_errors(0.001), LIMIT, MARGIN)
    assert found is not None
    assert stats.norm.sf(MARGIN, loc=found, scale=0.001) == pytest.approx(0.8)


def test_with_next_to_no_error_the_margin_is_what_remains() -> None:
    found = seen(of_errors(1e-6), LIMIT, MARGIN)
    assert found == pytest.approx(MARGIN, abs=1e-5)


def test_few_seeds_must_see_more() -> None:
    few = seen(of_errors(0.004, freedom=4), LIMIT, MARGIN)
    assert few is not None
    t_limit = stats.t.isf(stats.norm.sf(LIMIT), 4)
    assert few == pytest.approx((t_limit + stats.norm.ppf(0.8)) * 0.004)


def test_nothing_is_visible_or_hidden_where_nothing_was_compared_or_varies() -> None:
    assert seen(of_errors(), LIMIT, MARGIN) is None
    assert seen(of_errors(0.0, 0.0), LIMIT, MARGIN) is None


# ---- settling -------------------------------------------------------------------------------


def test_a_difference_within_the_margin_is_settled_by_nothing() -> None:
    found, _ = suites.drawn(np.random.default_rng(2), [0.0, -0.01], 1000, 3)
    behind = contrasts(found)
    behind = behind._replace(means_R=np.array([0.0, MARGIN]))
    assert settling(found, behind, 1, LIMIT, MARGIN) == Settling(None, None)


def test_one_seed_is_settled_by_images_alone_as_many_as_the_paired_formula_says() -> None:
    found, _ = suites.drawn(np.random.default_rng(3), [0.0, -0.02], 1000, 1)
    behind = contrasts(found)
    more = settling(found, behind, 1, LIMIT, 0.0)
    assert more.more_seeds is None
    by_image = (found.hits_RN[0].astype(float) - found.hits_RN[1]).std(ddof=1)
    z = stats.norm.ppf(0.8) + stats.t.isf(stats.norm.sf(LIMIT), 999)
    assert more.val_images == math.ceil((z * by_image / behind.means_R[1]) ** 2)


def test_near_the_margin_it_takes_far_more() -> None:
    found, _ = suites.drawn(np.random.default_rng(3), [0.0, -0.02], 1000, 1)
    behind = contrasts(found)
    beyond = (0.01, 0.001, 0.000_1)
    rows = [behind._replace(means_R=np.array([0.0, MARGIN + one])) for one in beyond]
    far, near, nearest = (settling(found, row, 1, LIMIT, MARGIN).val_images for row in rows)
    assert far is not None
    assert near is not None
    assert near > 10 * far
    assert nearest is None, "a thousand times the images is out of reach"


def test_seeds_do_not_help_where_the_images_differ_by_nature() -> None:
    # Every seed agrees on every image: another would say the same again.
    place_N = np.arange(400)
    row_RN = np.array([place_N >= 40, (place_N < 20) | (place_N >= 75)])
    found = suites.outcomes(np.repeat(row_RN[:, None], 3, axis=1))
    more = settling(found, contrasts(found), 1, 4.0, MARGIN)
    assert more.more_seeds is None
    assert more.val_images is not None
    assert more.val_images > 400


def test_images_do_not_help_where_whole_trainings_are_lucky() -> None:
    draw = np.random.default_rng(5)
    found, _ = suites.drawn(draw, [0.0, -0.02, -0.02, -0.02, -0.02], 20_000, 3, luck=0.03)
    behind = contrasts(found)
    behind = behind._replace(means_R=np.array([0.0, 0.02, 0.02, 0.02, 0.02]))
    more = settling(found, behind, 1, LIMIT, MARGIN)
    assert more.val_images is None
    assert more.more_seeds is not None
    needed = (0.02 / (stats.norm.ppf(0.8) + LIMIT)) ** 2
    by_formula = 3 * float(behind.seeds_R[1]) ** 2 / needed - 3
    assert by_formula <= more.more_seeds < 2 * by_formula, "and the tails of few seeds"


def test_the_part_of_chance_is_what_seeds_of_one_network_differ_by() -> None:
    draw = np.random.default_rng(6)
    chances_N = draw.beta(4, 1, 2000)
    means = [(draw.random((3, 2000)) < chances_N).mean(axis=1).mean() for _ in range(2000)]
    hits_SN = draw.random((3, 2000)) < chances_N
    found = suites.outcomes(np.stack([hits_SN, hits_SN]))
    assert chance_variance(found, 0) == pytest.approx(np.var(means), rel=0.15)
