"""The rates that the report promises, on simulated suites whose truth is known.

Means over a few hundred suites: the bounds leave room for the simulation's own error, but less
than the promise is off where only one source of error is looked at (see the last test).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest

from bench.analysis.paired import (
    better_than_guessing,
    contrasts,
    settling,
    shown_near,
    simultaneous,
    visible_difference,
)
from tests.analysis import suites

pytestmark = pytest.mark.slow

MARGIN = 0.005
EQUAL = [0.0] * 12
ONE_BEST = [0.0] + [-0.01] * 11
THREE_BEST = [0.0] * 3 + [-0.01] * 9


class Rates(NamedTuple):
    """Shares of suites, but `left_out`: of the rows that are not the best."""

    all_best_tied: float
    wrong_winner: float
    left_out: float


def rates(
    skills: Sequence[float],
    num_images: int,
    num_seeds: int,
    luck: float | Sequence[float],
    num_suites: int = 150,
    seeds_known: bool = True,
) -> Rates:
    draw = np.random.default_rng(len(skills) * num_images)
    best_R = np.array(skills) == max(skills)
    tied, wrong, left_out = 0, 0, 0.0
    for _ in range(num_suites):
        found, order_R = suites.drawn(draw, skills, num_images, num_seeds, luck)
        if not seeds_known:
            found = found._replace(seed_variances_R=np.full(len(skills), np.nan))
        told = simultaneous(found, contrasts(found), MARGIN)
        tied_R = np.zeros(len(skills), dtype=bool)
        tied_R[order_R[told.rows_R]] = True
        tied += bool(tied_R[best_R].all())
        wrong += tied_R.sum() == 1 and (best_R != tied_R).any()
        left_out += 0.0 if best_R.all() else float((~tied_R[~best_R]).mean())
    return Rates(tied / num_suites, wrong / num_suites, left_out / num_suites)


@pytest.mark.parametrize("luck", [0.0, 0.003])
@pytest.mark.parametrize(
    ("skills", "least"), [(EQUAL, 0.92), (ONE_BEST, 0.97), (THREE_BEST, 0.92), ([0.0] * 2, 0.92)]
)
def test_the_tied_set_holds_all_that_are_truly_best(
    skills: Sequence[float], least: float, luck: float
) -> None:
    found = rates(skills, 2000, 3, luck)
    assert found.all_best_tied >= least
    assert found.wrong_winner <= 0.05


@pytest.mark.parametrize("lucks", [[0.02] + [0.002] * 11, [0.01] * 6 + [0.0] * 6])
def test_seeds_that_vary_very_differently_cost_some_of_the_promise(lucks: list[float]) -> None:
    # Few seeds do not tell whose variance is the large one. What bench/report/certainty.py says.
    found = rates(EQUAL, 2000, 3, lucks)
    assert 0.84 <= found.all_best_tied <= 0.94
    assert found.wrong_winner <= 0.07


@pytest.mark.parametrize("num_seeds", [2, 3])
def test_two_rows_with_much_luck_make_a_wrong_winner_now_and_then(num_seeds: int) -> None:
    found = rates(EQUAL[:2], 2000, num_seeds, 0.01, 300)
    assert found.all_best_tied >= 0.9
    assert 0.02 <= found.wrong_winner <= 0.1


def test_many_rows_scored_once_on_few_images_make_no_winner_by_luck() -> None:
    found = rates([0.0] * 30, 400, 1, luck=0.0)
    assert found.all_best_tied >= 0.92
    assert found.wrong_winner <= 0.02


def test_images_alone_would_leave_out_the_best_where_whole_trainings_are_lucky() -> None:
    assert rates(EQUAL, 10_000, 3, 0.003, 60).all_best_tied >= 0.9
    assert rates(EQUAL, 10_000, 3, 0.003, 60, seeds_known=False).all_best_tied < 0.8


@pytest.mark.parametrize(
    ("skills", "num_images", "luck", "tied", "wrong"),
    [
        (EQUAL, 2000, 0.003, (0.6, 0.9), 0.05),
        (EQUAL[:6], 1000, 0.01, (0.2, 0.5), 0.15),
        (EQUAL[:2], 400, 0.02, (0.55, 0.85), 0.45),
    ],
)
def test_one_seed_promises_no_such_thing_where_whole_trainings_are_lucky(
    skills: Sequence[float],
    num_images: int,
    luck: float,
    tied: tuple[float, float],
    wrong: float,
) -> None:
    # What bench/report/certainty.py says of one seed.
    found = rates(skills, num_images, 1, luck)
    assert tied[0] <= found.all_best_tied <= tied[1]
    assert found.wrong_winner <= wrong


@pytest.mark.parametrize(("num_images", "luck"), [(300, 0.0), (10_000, 0.0), (10_000, 0.003)])
def test_what_is_truly_the_margin_behind_is_hardly_ever_shown_to_be_near(
    num_images: int, luck: float
) -> None:
    draw, wrong, right = np.random.default_rng(1), 0, 0
    for _ in range(100):
        for skills in ([0.0] + [-MARGIN] * 5, [0.0] * 6):
            found, order_R = suites.drawn(draw, skills, num_images, 3, luck)
            behind = contrasts(found)
            near_R = shown_near(found, behind, np.ones(6, dtype=bool), MARGIN)
            far_R = np.array(skills)[order_R] <= skills[order_R[0]] - MARGIN
            wrong += bool((near_R & far_R).any())
            right += bool(near_R[1:].any() and not any(skills))
    assert wrong <= 5
    assert right >= 40 or num_images < 1000 or luck > 0, "equal rows are shown to be, given images"


@pytest.mark.parametrize("guess", [0.1, 0.9])
@pytest.mark.parametrize(("num_images", "num_seeds"), [(6, 1), (30, 3), (200, 1)])
def test_of_rows_that_guess_none_is_better_than_guessing_in_95_of_100_suites(
    num_images: int, num_seeds: int, guess: float
) -> None:
    draw = np.random.default_rng(3)
    right = [draw.random((12, num_seeds, num_images)) < guess for _ in range(300)]
    fooled = [better_than_guessing(suites.hits(one), guess).any() for one in right]
    assert np.mean(fooled) <= 0.06


def visible(skills: Sequence[float], num_seeds: int, luck: float) -> float:
    """What 20 suites on 2,000 images say of the difference that could be seen, typically."""
    draw = np.random.default_rng(1)
    seen = []
    for _ in range(20):
        found, _ = suites.drawn(draw, skills, 2000, num_seeds, luck)
        behind = contrasts(found)
        told = simultaneous(found, behind, MARGIN)
        seen.append(visible_difference(behind, told.rows_R, told.limit, MARGIN))
    return float(np.median(np.array(seen, dtype=float)))


@pytest.mark.parametrize(
    ("num_rows", "num_seeds", "luck"), [(2, 1, 0.0), (6, 3, 0.0), (12, 3, 0.003), (12, 1, 0.0)]
)
def test_the_visible_difference_is_found_in_about_four_of_five_suites(
    num_rows: int, num_seeds: int, luck: float
) -> None:
    difference = visible([0.0] + [-0.01] * (num_rows - 1), num_seeds, luck)
    skills = [0.0] + [-difference] * (num_rows - 1)
    # Of equal rows the first to be left out are held to a higher limit than the last.
    # (Of two rows with few seeds, whose own luck is hardly known, it is fewer: about 60 %.)
    assert 0.62 <= rates(skills, 2000, num_seeds, luck).left_out <= 0.93
    half = [skill / 2 for skill in skills]
    assert rates(half, 2000, num_seeds, luck, 60).left_out < 0.45


@pytest.mark.parametrize(("num_seeds", "luck"), [(1, 0.0), (3, 0.003)])
def test_of_a_row_close_to_the_leader_it_is_found_so_often_though_many_are_far_behind(
    num_seeds: int, luck: float
) -> None:
    far = [-0.2] * 10
    skills = [0.0, -visible([0.0, -0.01, *far], num_seeds, luck), *far]
    close_left_out = 1 - 11 * (1 - rates(skills, 2000, num_seeds, luck).left_out)
    assert 0.7 <= close_left_out <= 0.92


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_as_many_images_or_seeds_as_are_said_settle_a_tie_in_four_of_five_suites(
    num_seeds: int,
) -> None:
    skills = [0.0] + [-0.02] * 5
    draw = np.random.default_rng(2)
    images: list[int] = []
    seeds: list[int] = []
    while len(images) < 60:
        found, _ = suites.drawn(draw, skills, 300, num_seeds)
        behind = contrasts(found)
        told = simultaneous(found, behind, MARGIN)
        for row in range(1, 6):
            # Where the difference seen happens to be the true one.
            if told.rows_R[row] and abs(behind.means_R[row] - 0.02) < 0.001:
                said = settling(found, behind, row, told.limit, MARGIN)
                images.append(said.val_images or 10**6)
                seeds.append(said.more_seeds or 10**6)
    assert 0.7 <= rates(skills, int(np.median(images)), num_seeds, 0.0, 100).left_out <= 0.97
    if num_seeds > 1:
        more = int(np.median(seeds))
        assert 0.7 <= rates(skills, 300, num_seeds + more, 0.0, 100).left_out <= 0.99
