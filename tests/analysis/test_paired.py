"""Differences against scipy's paired and unpaired t tests, sklearn and the bootstrap."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from bench.analysis import paired
from bench.analysis.choice import hits_of, rows_of
from bench.analysis.paired import (
    Contrasts,
    Hits,
    Settling,
    better_than_guessing,
    chance_variance,
    contrasts,
    farthest,
    largest_distances,
    settling,
    shown_near,
    simultaneous,
    visible_difference,
)
from bench.analysis.table import table
from tests.analysis import suites
from tests.records import answered, cell, run

Right = NDArray[np.bool_]


def drawn(seed: int, rows: int = 4, seeds: int = 3, images: int = 500) -> Right:
    """What rows got right, by rows, seeds and images, [R, S, N]."""
    draw = np.random.default_rng(seed)
    hard_N = draw.beta(3, 1, images)
    return np.asarray(draw.random((rows, seeds, images)) < hard_N)


def compared(hits_RSN: Right) -> tuple[Hits, Contrasts]:
    found = suites.hits(hits_RSN)
    return found, contrasts(found)


def recorded(
    hits_RSN: Right, metric: str = "top1", labels_N: NDArray[np.int64] | None = None
) -> Hits:
    """The same from the table of a run with a row for each."""
    names, seeds = [f"a{row}" for row in range(len(hits_RSN))], range(hits_RSN.shape[1])
    found = [
        answered(cell(name, "partial", seed), hits_RSN[row, seed], labels_N)
        for row, name in enumerate(names)
        for seed in seeds
    ]
    one = table(run(names, ["partial"], seeds, metric=metric), found)
    return hits_of(one, rows_of(one))


@pytest.mark.parametrize("seed", range(4))
def test_where_images_dominate_it_is_the_paired_t_test_over_images(seed: int) -> None:
    hits_RSN = drawn(seed, seeds=1)
    _, behind = compared(hits_RSN)
    shares_RN = hits_RSN.mean(axis=1)
    for row in range(1, 4):
        expected = stats.ttest_rel(shares_RN[0], shares_RN[row])
        assert behind.means_R[row] == pytest.approx((shares_RN[0] - shares_RN[row]).mean())
        assert behind.p_values_R[row] == pytest.approx(expected.pvalue, rel=1e-9)
        ratio = behind.means_R[row] / behind.errors_R[row]
        assert ratio == pytest.approx(expected.statistic, rel=1e-9)


def test_where_seeds_dominate_two_rows_of_like_spread_it_is_students_t_test_over_seeds() -> None:
    # Whole trainings are lucky: a seed is right on the first so many images.
    counts = np.array([[700, 760, 805], [610, 655, 720]])
    found, behind = compared(np.arange(1000) < counts[:, :, None])
    expected = stats.ttest_ind(counts[0] / 1000, counts[1] / 1000, equal_var=True)
    assert behind.seeds_R[1] > behind.items_R[1]
    assert behind.errors_R[1] == behind.seeds_R[1]
    assert behind.p_values_R[1] == pytest.approx(expected.pvalue, rel=1e-9)
    told = paired.lead(found, behind, 1)
    assert told.se == told.se_seeds == pytest.approx(expected.statistic**-1 * told.mean)
    assert (told.num_images, told.num_seeds) == (1000, (3, 3))


def test_the_larger_error_counts() -> None:
    found, behind = compared(drawn(1))
    for row in range(1, 4):
        told = paired.lead(found, behind, row)
        assert told.se_seeds is not None
        assert told.se == max(told.se_items, told.se_seeds)
        assert told.se == behind.errors_R[row]


def test_with_one_seed_everywhere_the_seeds_are_unknown_not_zero() -> None:
    found, behind = compared(drawn(2, seeds=1))
    told = paired.lead(found, behind, 1)
    assert told.se_seeds is None
    assert told.se == told.se_items > 0


def test_a_row_with_one_seed_takes_the_spread_of_the_others() -> None:
    hits_RSN = drawn(3)
    scores = [list(map(float, row.mean(axis=1))) for row in hits_RSN]
    scores[0] = scores[0][:1]
    hits_RN = hits_RSN.sum(axis=1).astype(np.uint8)
    hits_RN[0] = hits_RSN[0, 0]
    behind = contrasts(paired.with_seeds(hits_RN, np.ones(500), scores))
    assert (behind.seeds_R[1:] > 0).all()


def test_scores_alike_on_every_image_differ_by_nothing_for_certain() -> None:
    hits_RSN = drawn(4)
    hits_RSN[1] = hits_RSN[0]
    for change in (hits_RSN, np.ones_like(hits_RSN)):
        found, behind = compared(change)
        told = paired.lead(found, behind, 1)
        assert (told.mean, told.se_items) == (0, 0)
        assert behind.p_values_R[1] == 1
        assert behind.z_R[1] == 0


def test_right_everywhere_against_wrong_everywhere_has_no_error_and_is_certain() -> None:
    found, behind = compared(np.array([[[1] * 50], [[0] * 50]], dtype=bool))
    assert paired.lead(found, behind, 1)[:2] == (1, 0)
    assert behind.p_values_R[1] == 0
    assert behind.z_R[1] == np.inf


def test_one_image_tells_nothing() -> None:
    _, behind = compared(np.array([[[1]], [[0]]], dtype=bool))
    assert (behind.p_values_R[1], behind.z_R[1]) == (1, 0)


def test_the_normal_deviate_is_as_improbable_as_the_t_statistic() -> None:
    _, behind = compared(np.arange(1000) < np.array([[700, 760, 805], [610, 655, 720]])[:, :, None])
    assert 2 * stats.norm.sf(behind.z_R[1]) == pytest.approx(behind.p_values_R[1], rel=1e-9)
    assert behind.z_R[1] < behind.means_R[1] / behind.errors_R[1], "few seeds: heavy tails"


def test_more_rows_than_a_block_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found, whole = compared(drawn(5, rows=7))
    monkeypatch.setattr(paired, "BLOCK", 3)
    assert (contrasts(found).items_R == whole.items_R).all()


# ---- records --------------------------------------------------------------------------------


def test_records_give_the_outcomes_that_they_were_packed_from() -> None:
    hits_RSN = drawn(6, images=130)
    found, expected = recorded(hits_RSN), suites.hits(hits_RSN)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def unequal(seed: int, images: int = 600) -> tuple[NDArray[np.int64], Right]:
    """Labels of three classes of unequal size, and two rows of unlike skill in each."""
    draw = np.random.default_rng(seed)
    labels_N = draw.choice(3, images, p=[0.7, 0.2, 0.1])
    skill = np.array([[0.95, 0.8, 0.6], [0.93, 0.83, 0.5]])
    hard_N = draw.uniform(-0.1, 0.1, images)
    return labels_N, draw.random((2, 1, images)) < skill[:, None, labels_N] + hard_N


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_weighs_images_as_sklearn_weighs_classes() -> None:
    labels_N, hits_RSN = unequal(1)
    found = recorded(hits_RSN, "balanced_accuracy", labels_N)
    for row in range(2):
        predicted_N = np.where(hits_RSN[row, 0], labels_N, (labels_N + 1) % 10)
        expected = balanced_accuracy_score(labels_N, predicted_N)
        assert found.hits_RN[row] @ found.weights_N / len(labels_N) == pytest.approx(expected)
        assert found.means_R[row] == pytest.approx(expected)


def test_the_error_of_a_difference_in_balanced_accuracy_is_the_bootstraps() -> None:
    labels_N, hits_RSN = unequal(2)
    behind = contrasts(recorded(hits_RSN, "balanced_accuracy", labels_N))
    draw, differences = np.random.default_rng(3), []
    for _ in range(2000):
        again_N = draw.integers(len(labels_N), size=len(labels_N))
        recalls = [
            [row[0, again_N][labels_N[again_N] == k].mean() for k in range(3)] for row in hits_RSN
        ]
        differences.append(np.mean(recalls[0]) - np.mean(recalls[1]))
    assert behind.items_R[1] == pytest.approx(np.std(differences), rel=0.1)


# ---- who is tied --------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 3, 12, 60])
def test_of_independent_rows_it_is_the_studentised_range(rows: int) -> None:
    expected = stats.studentized_range.ppf(0.95, rows, np.inf) / np.sqrt(2)
    found = np.quantile(largest_distances(np.eye(rows) * 1e-5), 0.95)
    assert found == pytest.approx(expected, rel=0.02)


def test_what_all_rows_share_changes_nothing() -> None:
    independent, shared = np.eye(8), np.eye(8) + 5.0
    one, other = (np.quantile(largest_distances(m), 0.95) for m in (independent, shared))
    assert one == pytest.approx(other, rel=0.02)


def test_rows_that_are_the_same_count_as_one() -> None:
    group = np.array(np.kron(np.eye(2), np.ones((5, 5))), dtype=np.float64)
    found = np.quantile(largest_distances(group), 0.95)
    assert found == pytest.approx(stats.norm.ppf(0.975), rel=0.03)
    assert (largest_distances(np.ones((4, 4))) == 0).all()
    assert (largest_distances(np.zeros((4, 4))) == 0).all()


def test_correlated_rows_are_compared_as_a_plain_simulation_does() -> None:
    draw = np.random.default_rng(5)
    mixing = draw.normal(size=(6, 3))
    covariance = mixing @ mixing.T + 0.2 * np.eye(6)
    means = draw.multivariate_normal(np.zeros(6), covariance, size=40_000)
    largest = np.zeros(40_000)
    for i in range(6):
        for j in range(i):
            distance = means[:, i] - means[:, j]
            largest = np.maximum(largest, np.abs(distance) / distance.std())
    found = np.quantile(largest_distances(covariance), 0.95)
    assert found == pytest.approx(np.quantile(largest, 0.95), rel=0.02)


def test_the_luck_of_the_seeds_is_each_rows_own() -> None:
    hits_RN = np.repeat(np.random.default_rng(4).random((1, 500)) < 0.8, 12, axis=0)
    found = suites.hits(np.repeat(hits_RN[:, None], 3, axis=1))
    every = np.ones(12, dtype=bool)
    assert farthest(found, every).limit == 0, "all alike in every seed"
    lucky = found._replace(seed_variances_R=np.full(12, 1e-4))
    expected = stats.studentized_range.ppf(0.95, 12, np.inf) / np.sqrt(2)
    assert farthest(lucky, every).limit == pytest.approx(expected, rel=0.02)


def test_the_bound_for_many_rows_is_above_what_is_simulated_but_not_by_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = suites.drawn(np.random.default_rng(6), [0.0] * 40, 500, 2)
    every = np.ones(40, dtype=bool)
    simulated = farthest(found, every).limit
    monkeypatch.setattr(paired, "SIMULATED", 39)
    assert simulated < farthest(found, every).limit < 1.1 * simulated


def test_a_row_is_left_out_where_it_is_beyond_both_the_limit_and_the_margin() -> None:
    draw = np.random.default_rng(7)
    found, _ = suites.drawn(draw, [0.0, -0.005, -0.1], 5000, 3)
    behind = contrasts(found)
    told = simultaneous(found, behind, 0.0)
    assert told.rows_R.tolist() == (behind.z_R <= told.limit).tolist()
    assert told.rows_R.tolist()[::2] == [True, False]
    assert simultaneous(found, behind, 0.2).rows_R.all(), "within the margin all are tied"


def test_the_adjusted_p_is_that_of_the_test_that_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = [0.0, -0.01, -0.02, -0.03, -0.05, -0.2]
    found, _ = suites.drawn(np.random.default_rng(12), skills, 1000, 3)
    behind = contrasts(found)
    for simulated in (150, 0):
        monkeypatch.setattr(paired, "SIMULATED", simulated)
        told = simultaneous(found, behind, 0.0)
        assert told.rows_R.tolist() == (told.p_R >= 0.05).tolist()
        assert 1 < told.rows_R.sum() < len(skills)
        in_order = np.argsort(behind.z_R)
        assert (np.diff(told.p_R[in_order]) <= 0).all(), "further behind is surer"
    bound = np.minimum(1, 2 * 15 * stats.norm.sf(behind.z_R))  # 15 pairs of 6 rows
    assert told.p_R[-1] == pytest.approx(bound[-1])


def test_the_adjusted_p_of_rows_that_vary_alike_is_tukeys() -> None:
    found, _ = suites.drawn(np.random.default_rng(13), [0.0] * 4, 800, 3)
    lucky = found._replace(seed_variances_R=np.full(4, 4e-3))  # beside which images are nothing
    z_R = np.array([0.0, 1.0, 2.0, 3.0])
    expected = stats.studentized_range.sf(z_R * np.sqrt(2), 4, np.inf)
    assert farthest(lucky, np.ones(4, dtype=bool)).p(z_R) == pytest.approx(expected, abs=0.03)


def certain(behind: Contrasts, distance: float) -> Contrasts:
    """The second row behind by so much, with next to no error."""
    return behind._replace(means_R=np.array([0.0, distance]), items_R=np.array([0.0, 1e-6]))


def test_a_difference_of_exactly_the_margin_counts_and_one_below_does_not() -> None:
    found, _ = suites.drawn(np.random.default_rng(8), [0.0, -0.01], 400, 1)
    behind = contrasts(found)
    # Both are 0.005 on paper; in floating point one is more, the other less.
    assert 0.94 - 0.935 < 0.005 < 0.95 - 0.945
    assert not simultaneous(found, certain(behind, 0.95 - 0.945), 0.005).rows_R[1]
    assert not simultaneous(found, certain(behind, 0.94 - 0.935), 0.005).rows_R[1]
    assert simultaneous(found, certain(behind, 0.0049), 0.005).rows_R[1]


def test_once_rows_have_fallen_behind_the_rest_are_held_to_a_lower_limit() -> None:
    found, _ = suites.drawn(np.random.default_rng(9), [0.0] * 3 + [-0.2] * 30, 2000, 3)
    told = simultaneous(found, contrasts(found), 0.005)
    assert told.rows_R.sum() <= 3
    assert told.limit < 2.6 < 3.4 < farthest(found, np.ones(33, dtype=bool)).limit


def test_the_same_suite_has_the_same_limit_again_and_a_lone_row_is_tied_with_itself() -> None:
    found, _ = suites.drawn(np.random.default_rng(10), [0.0] * 5, 300, 2)
    every = np.ones(5, dtype=bool)
    assert farthest(found, every).limit == farthest(found, every).limit
    alone, _ = suites.drawn(np.random.default_rng(10), [0.0], 300, 2)
    assert simultaneous(alone, contrasts(alone), 0.005).rows_R.tolist() == [True]


# ---- what could be seen -------------------------------------------------------------------

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


def test_few_images_on_which_all_agree_do_not_show_two_rows_to_be_alike() -> None:
    for num_images, shown in ((6, False), (300, False), (400, True)):
        found, behind = compared(np.ones((2, 2, num_images), dtype=bool))
        told = shown_near(found, behind, np.array([True, True]), margin=0.005)
        # Of one-sided 5 %: by hand, the margin over 1 / (images + 2) against Student's t.
        by_hand = stats.t.sf(0.005 * (num_images + 2), num_images - 1) < 0.05
        assert told[1] == by_hand == shown


def test_rows_are_shown_to_be_near_by_a_one_sided_test_over_the_tied() -> None:
    found, behind = compared(drawn(0, rows=3, images=5000))
    tied_R, (mean, error) = np.array([True, True, False]), (behind.means_R[1], behind.errors_R[1])
    just = mean + stats.t.isf(0.05, behind.freedoms_R[1]) * error
    assert shown_near(found, behind, tied_R, just * 1.01).tolist()[1:] == [True, False]
    assert not shown_near(found, behind, tied_R, just * 0.99)[1]
    assert not shown_near(found, behind, np.ones(3, dtype=bool), just * 1.01)[1], "of two, stricter"


def test_one_seed_shows_nothing_to_be_near() -> None:
    found, behind = compared(drawn(0, rows=2, seeds=1, images=5000))
    assert not shown_near(found, behind, np.array([True, True]), 0.5).any()


@pytest.mark.parametrize(("right", "of", "guess"), [(6, 6, 1 / 3), (39, 42, 0.9), (20, 100, 0.1)])
def test_better_than_guessing_is_the_binomial_test_over_images(
    right: int, of: int, guess: float
) -> None:
    found = suites.hits((np.arange(of) < right)[None, None])
    p = stats.binomtest(right, of, guess, alternative="greater").pvalue
    assert better_than_guessing(found, guess)[0] == (p < 0.05)
    twenty = suites.hits(np.repeat((np.arange(of) < right)[None, None], 20, axis=0))
    assert better_than_guessing(twenty, guess)[0] == (20 * p < 0.05)


def test_seeds_that_vary_do_not_show_more_than_guessing() -> None:
    counts = np.array([300, 900])[None, :, None]
    assert not better_than_guessing(suites.hits(np.arange(1000) < counts), 0.5)[0]
    assert better_than_guessing(suites.hits(np.arange(1000) < np.array([[[590], [610]]])), 0.5)[0]


def test_a_difference_of_the_margin_is_settled_by_nothing() -> None:
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
    found = suites.hits(np.repeat(row_RN[:, None], 3, axis=1))
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
    found = suites.hits(np.stack([hits_SN, hits_SN]))
    assert chance_variance(found, 0) == pytest.approx(np.var(means), rel=0.15)
