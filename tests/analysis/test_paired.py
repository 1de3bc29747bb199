"""Differences against scipy's paired and unpaired t tests, sklearn and the bootstrap."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from bench.analysis import paired
from bench.analysis.choice import outcomes, rows_of
from bench.analysis.paired import Contrasts, Outcomes, contrasts, holm
from bench.analysis.table import table
from tests.analysis import suites
from tests.records import answered, cell, run

Hits = NDArray[np.bool_]


def drawn(seed: int, rows: int = 4, seeds: int = 3, images: int = 500) -> Hits:
    """Outcomes of rows, seeds and images, [R, S, N]."""
    draw = np.random.default_rng(seed)
    hard_N = draw.beta(3, 1, images)
    return np.asarray(draw.random((rows, seeds, images)) < hard_N)


def compared(hits_RSN: Hits) -> tuple[Outcomes, Contrasts]:
    found = suites.outcomes(hits_RSN)
    return found, contrasts(found)


def recorded(
    hits_RSN: Hits, metric: str = "top1", labels_N: NDArray[np.int64] | None = None
) -> Outcomes:
    """The same from the table of a run with a row for each."""
    names, seeds = [f"a{row}" for row in range(len(hits_RSN))], range(hits_RSN.shape[1])
    found = [
        answered(cell(name, "partial", seed), hits_RSN[row, seed], labels_N)
        for row, name in enumerate(names)
        for seed in seeds
    ]
    one = table(run(names, ["partial"], seeds, metric=metric), found)
    return outcomes(one, rows_of(one))


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
    told = paired.difference(found, behind, 1)
    assert told.se == told.se_seeds == pytest.approx(expected.statistic**-1 * told.mean)
    assert (told.num_images, told.num_seeds) == (1000, (3, 3))


def test_the_larger_error_counts() -> None:
    found, behind = compared(drawn(1))
    for row in range(1, 4):
        told = paired.difference(found, behind, row)
        assert told.se_seeds is not None
        assert told.se == max(told.se_items, told.se_seeds)
        assert told.se == behind.errors_R[row]


def test_with_one_seed_everywhere_the_seeds_are_unknown_not_zero() -> None:
    found, behind = compared(drawn(2, seeds=1))
    told = paired.difference(found, behind, 1)
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
        told = paired.difference(found, behind, 1)
        assert (told.mean, told.se_items) == (0, 0)
        assert behind.p_values_R[1] == 1
        assert behind.z_R[1] == 0


def test_right_everywhere_against_wrong_everywhere_has_no_error_and_is_certain() -> None:
    found, behind = compared(np.array([[[1] * 50], [[0] * 50]], dtype=bool))
    assert paired.difference(found, behind, 1)[:2] == (1, 0)
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
    found, expected = recorded(hits_RSN), suites.outcomes(hits_RSN)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def unequal(seed: int, images: int = 600) -> tuple[NDArray[np.int64], Hits]:
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


# ---- Holm -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferronis(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p_values = (draw.integers(1, 30, 6) / draw.choice([30, 400])).tolist()
    for place, found in enumerate(holm(p_values)):
        # A hypothesis falls where every intersection that holds it falls.
        sets = [s for k in range(1, 7) for s in combinations(range(6), k) if place in s]
        expected = max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets)
        assert found == pytest.approx(expected)


def test_holm_of_one_and_of_none() -> None:
    assert holm([0.03]) == [0.03]
    assert holm([]) == []
