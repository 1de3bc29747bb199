"""Whether test scores became worse: by the images, one by one, and by how the seeds vary.

Images pair, seeds do not: the larger of the two standard errors counts (see `paired`). A single
seed that fell far counts too: one training of three that goes wrong hides in the mean, because it
widens the spread that the mean is tested against. Under another arithmetic every training goes
another way, so only what a combination's own seeds show counts there.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.judge import ACCURACY, MEASURES, Estimate, Verdict, Word, judge
from bench.analysis.paired import Z_POWER, between, with_seeds
from bench.analysis.stats import Floats, holm, seed_variances, spread, tails
from bench.suite import CompareTable

# Dimensions: P combinations of an architecture and a strategy, S seeds, N test images.

ALPHA = MEASURES[ACCURACY].alpha

MANY_IMAGES = 5000
"""From here on, half the equivalence margin is asked for."""

LUCK = 0.01
"""Standard deviation over whole trainings, assumed where nothing has a second seed."""

FALL_ALPHA = 0.005
"""Significance level for single seeds; low, as the test of the mean has false alarms of its own."""

SURE = 1e9
"""Degrees of freedom of a spread that is assumed and not estimated."""


class Scored(NamedTuple):
    """The ok seeds of a combination in one run, S of them, on N test images."""

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    right_SN: NDArray[np.bool_]


def judge_accuracy(
    before: Sequence[Scored],
    after: Sequence[Scored],
    floors_P: Floats,
    crosses_P: NDArray[np.bool_],
    weights_N: Floats,
    settings: CompareTable,
) -> list[Verdict]:
    """A verdict for each of P combinations, by the weights of the images in the score.

    `crosses_P` says which ran under another arithmetic. There results differ a little, and the
    claim is that they are equivalent; a single seed shows neither that nor a change.
    """
    found, has_spread = compared(before, after, weights_N, crosses_P)
    margin = settings.equivalence / (2 if len(weights_N) >= MANY_IMAGES else 1)
    floors_P = np.fmax(floors_P, np.where(crosses_P, margin, 0.0))
    findings = judge(found, floors_P, ALPHA)
    untold_P, alpha = crosses_P & ~have_spread(before, after), ALPHA / len(before)
    needed_P, visible_P = seeds_needed(found, floors_P, alpha), found.visible(floors_P, alpha)
    is_equivalent_P = found.beyond_p(margin) < ALPHA
    fallen = fallen_seeds(before, after, len(weights_N), settings.visible_drop, crosses_P)

    def told(place: int) -> tuple[Word, list[str]]:
        """The verdict on the mean, and why."""
        if untold_P[place]:
            seeds = f"about {needed_P[place]:,.0f} seeds in each run would tell"
            return "inconclusive", [f"one seed under other arithmetic: {seeds}"]
        word = findings.words[place]
        assumed = [] if has_spread else [f"one seed: a spread of {_points(LUCK)} is assumed"]
        if word in ("regressed", "improved"):
            look = "other arithmetic: look at precision and TF32 first"
            return word, [look, *assumed] if crosses_P[place] and word == "regressed" else assumed
        if crosses_P[place]:
            within, is_shown = f"equivalent within {_points(margin)}", is_equivalent_P[place]
            shown: Word = "pass" if is_shown else "inconclusive"
            return shown, [within if is_shown else f"not shown to be {within}", *assumed]
        if visible_P[place] > settings.visible_drop:
            return "inconclusive", ["too few images or seeds", *assumed]
        return "pass", assumed

    verdicts = []
    for place in range(len(before)):
        word, reasons = told(place)
        if is_same := same_answers(before[place], after[place]):
            word, reasons = "pass", ["the same images right"]
        if seed := fallen[place]:  # named, but for one that fell with all others
            if word != "regressed":
                word, reasons = "regressed", [seed.told]
            elif seed.alone:
                reasons = [seed.told, *reasons]
        verdicts.append(
            Verdict(
                word,
                "; ".join(reasons),
                change=-float(found.changes_P[place]),
                p_adjusted=1.0 if is_same else findings.p_adjusted(place),
                visible=float(visible_P[place]),
            )
        )
    return verdicts


def have_spread(before: Sequence[Scored], after: Sequence[Scored]) -> NDArray[np.bool_]:
    """Which combinations have a second seed in both runs."""
    pairs = zip(before, after, strict=True)
    return np.array([min(len(one.scores), len(other.scores)) > 1 for one, other in pairs])


def seeds_needed(found: Estimate, floors_P: Floats, alpha: float) -> Floats:
    """Seeds in each run that would show changes as large as those seen, or the floors.

    In 80 of 100 runs, where one seed each has these errors.
    """
    sizes_P = np.fmax(np.abs(found.changes_P), floors_P)
    deviate = Z_POWER - special.ndtri(alpha)
    return np.asarray(np.fmax(2, np.ceil((deviate * found.errors_P / sizes_P) ** 2)))


def own_variances(before: Sequence[Scored], after: Sequence[Scored]) -> Floats:
    """Of a single training, as the seeds of each combination show it in both runs; else 0."""
    found = []
    for one, other in zip(before, after, strict=True):
        freedom = len(one.scores) + len(other.scores) - 2
        squares = [np.var(scores) * len(scores) for scores in (one.scores, other.scores)]
        found.append(sum(squares) / freedom if freedom else 0.0)
    return np.array(found)


def compared(
    before: Sequence[Scored],
    after: Sequence[Scored],
    weights_N: Floats,
    crosses_P: NDArray[np.bool_],
) -> tuple[Estimate, bool]:
    """The drops, and whether anything has a second seed to tell how trainings vary.

    Variances are shrunk towards what all combinations have in common. Where arithmetic is another,
    one whose own seeds vary more, such as a network that is far from converged, keeps its own.
    """
    both, count = [*before, *after], len(before)
    hits_RN = np.stack([one.right_SN.sum(axis=0, dtype=np.uint16) for one in both])
    found = with_seeds(hits_RN, weights_N, [one.scores for one in both])
    has_spread = bool((found.num_seeds_R > 1).any())
    if not has_spread:
        ones_R = np.ones(2 * count)
        found = found._replace(seed_variances_R=LUCK**2 * ones_R, freedoms_R=SURE * ones_R)
    own_R = np.tile(own_variances(before, after) * crosses_P, 2) / found.num_seeds_R
    own_freedoms_R = np.tile(found.num_seeds_R[:count] + found.num_seeds_R[count:] - 2, 2)
    varies_more_R = own_R > found.seed_variances_R
    found = found._replace(
        seed_variances_R=np.where(varies_more_R, own_R, found.seed_variances_R),
        freedoms_R=np.where(varies_more_R, own_freedoms_R, found.freedoms_R),
    )
    places_P: NDArray[np.intp] = np.arange(count)
    behind = between(found, places_P, places_P + count)
    limited_P = behind.freedoms_R if has_spread else np.full(count, found.num_images - 1.0)
    return Estimate(behind.means_R, behind.errors_R, np.maximum(limited_P, 1)), has_spread


def same_answers(before: Scored, after: Scored) -> bool:
    first, second = (dict(zip(one.seeds, one.right_SN, strict=True)) for one in (before, after))
    return first.keys() == second.keys() and all(
        np.array_equal(right_N, second[seed]) for seed, right_N in first.items()
    )


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


class Fallen(NamedTuple):
    """The worst seed of a combination, which fell."""

    told: str
    alone: bool  # the other seeds are nearer to the baseline than to it


def fallen_seeds(
    before: Sequence[Scored],
    after: Sequence[Scored],
    num_images: int,
    least: float,
    crosses_P: NDArray[np.bool_],
) -> list[Fallen | None]:
    """The worst seed of each; None where it did not fall by `least`, or maybe by chance.

    Under another arithmetic, one seed of a baseline does not tell how far another may fall.
    Each is held against the spread of the baseline's seeds; Holm's adjustment is over all seeds of
    all combinations.
    """
    spreads = [spread(one.scores) for one in before]
    errors, freedoms = [], []
    for seen, variance, crosses in zip(spreads, seed_variances(spreads), crosses_P, strict=True):
        of_one = LUCK**2 if variance.of_mean is None else variance.of_mean * seen.n
        if crosses:
            of_one = max(of_one, math.inf if seen.sd is None else seen.sd**2)
        # Few seeds may happen to agree; the images alone make them differ.
        images = seen.mean * (1 - seen.mean) / num_images
        errors.append(math.sqrt(max(of_one, images) * (1 + 1 / seen.n)))  # of one new seed
        freedoms.append(variance.degrees_of_freedom or SURE)
    falls_P = np.array([seen.mean for seen in spreads]) - [min(one.scores) for one in after]
    counts_P = np.array([len(one.scores) for one in after])
    p_P = holm(np.minimum(1.0, counts_P * tails(falls_P, np.array(errors), np.array(freedoms))))
    found = list[Fallen | None]()
    for one, seen, fall, p in zip(after, spreads, falls_P, p_P, strict=True):
        if not (p < FALL_ALPHA and fall >= least):
            found.append(None)
            continue
        score, worst = min(zip(one.scores, range(len(one.scores)), strict=True))
        others = [*one.scores[:worst], *one.scores[worst + 1 :]]
        alone = bool(others) and seen.mean - fmean(others) < fmean(others) - score
        found.append(Fallen(f"seed {one.seeds[worst]} fell to {100 * score:.1f} %", alone))
    return found
