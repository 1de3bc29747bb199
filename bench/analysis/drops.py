"""Whether accuracy dropped from one run to another on the same test images.

Images pair, seeds do not: the larger of the two standard errors counts (see
`bench.analysis.paired`), and Holm's adjustment is over all cells of the suite. A drop counts that
is significant and no less than the floor. Between two kinds of arithmetic, results are expected
to differ a little, and the claim is that they are equivalent: two one-sided tests (Schuirmann
1987, doi:10.1007/BF01068419).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.digest import RowDigest
from bench.analysis.fallen import LUCK, Fallen, fallen
from bench.analysis.paired import Contrasts, Floats, Outcomes, between, holm, with_seeds
from bench.analysis.power import Z_POWER
from bench.analysis.rows import ROUNDING
from bench.analysis.verdict import Word
from bench.predictions import same_bits, unpack_bits

ALPHA = 0.045
"""So that of suites without a change less than 5 % raise an alarm: variances are but estimated."""

MANY_IMAGES = 5000
"""From here on, half the equivalence margin is asked for."""


class Pair(NamedTuple):
    """A row before and after, and by what a drop of it is judged."""

    baseline: RowDigest
    candidate: RowDigest
    floor: float
    cross_numerics: bool


class Drop(NamedTuple):
    """The judgement of one pair; the change is candidate minus baseline."""

    word: Word
    change: float
    p_adjusted: float
    visible: float
    reason: str


class Evidence(NamedTuple):
    """All pairs at once, [P]; a drop is positive."""

    drops_P: Floats
    errors_P: Floats
    freedoms_P: Floats
    worse_P: Floats  # adjusted one-sided p
    better_P: Floats
    visible_P: Floats
    num_images: int


def judge(
    pairs: Sequence[Pair],
    num_images: int,
    weights_N: Floats,
    visible_drop: float,
    equivalence: float,
) -> list[Drop]:
    """A judgement for each pair. Raises ValueError where bits are damaged."""
    if not pairs:
        return []
    found = outcomes(pairs, num_images, weights_N)
    evidence = weigh(found, np.array([pair.floor for pair in pairs]))
    known = bool((found.num_seeds_R > 1).any())
    margin = equivalence / (2 if num_images >= MANY_IMAGES else 1)
    assumed = "" if known else f"one seed: a spread of {_points(LUCK)} is assumed"
    rows = [pair.baseline for pair in pairs], [pair.candidate for pair in pairs]
    seeds = fallen(*rows, num_images, visible_drop)
    drops = [
        _drop(pair, place, evidence, margin, visible_drop, assumed)
        for place, pair in enumerate(pairs)
    ]
    return [_with_seed(drop, seed) for drop, seed in zip(drops, seeds, strict=True)]


def _with_seed(drop: Drop, seed: Fallen | None) -> Drop:
    """The judgement; a seed that fell is named, but for one that fell with all others."""
    if seed is None:
        return drop
    if drop.word != "regressed":
        return drop._replace(word="regressed", reason=seed.told)
    told = (seed.told, drop.reason) if seed.alone else (drop.reason,)
    return drop._replace(reason="; ".join(filter(None, told)))


def outcomes(pairs: Sequence[Pair], num_images: int, weights_N: Floats) -> Outcomes:
    """The baselines' rows, then the candidates'."""
    rows = [*(pair.baseline for pair in pairs), *(pair.candidate for pair in pairs)]
    hits_RN = np.zeros((len(rows), num_images), np.uint16)
    for row, of_row in enumerate(rows):
        for seed in of_row.ok:
            hits_RN[row] += unpack_bits(seed.right or "", num_images)
    scores = [[float(seed.score or 0) for seed in of_row.ok] for of_row in rows]
    return assumed_luck(with_seeds(hits_RN, weights_N, scores))


def assumed_luck(found: Outcomes) -> Outcomes:
    """The outcomes; where no row has a second seed, whole trainings vary by `LUCK`."""
    if (found.num_seeds_R > 1).any():
        return found
    ones_R = np.ones(len(found.num_seeds_R))
    return found._replace(seed_variances_R=LUCK**2 * ones_R, freedoms_R=1e9 * ones_R)


def weigh(found: Outcomes, floors_P: Floats) -> Evidence:
    """Every baseline row against the candidate row as many places later."""
    count = len(floors_P)
    first_P: NDArray[np.intp] = np.arange(count)
    behind = between(found, first_P, first_P + count)
    errors_P, freedoms_P = behind.errors_R, np.maximum(_freedoms(behind, found), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_P = np.where(behind.means_R == 0, 0.0, behind.means_R / errors_P)
    limits_P = special.stdtrit(freedoms_P, 1 - ALPHA / count)
    visible_P = np.maximum(limits_P * errors_P, floors_P) + Z_POWER * errors_P
    return Evidence(
        drops_P=behind.means_R,
        errors_P=errors_P,
        freedoms_P=freedoms_P,
        worse_P=np.array(holm(special.stdtr(freedoms_P, -t_P).tolist())),
        better_P=np.array(holm(special.stdtr(freedoms_P, t_P).tolist())),
        visible_P=visible_P,
        num_images=found.num_images,
    )


def _freedoms(behind: Contrasts, found: Outcomes) -> Floats:
    """Of the larger errors; where luck is assumed, there are no seeds to limit them."""
    if (found.num_seeds_R > 1).any():
        return behind.freedoms_R
    return np.full(len(behind.freedoms_R), found.num_images - 1.0)


def _drop(
    pair: Pair, place: int, found: Evidence, margin: float, visible_drop: float, assumed: str
) -> Drop:
    drop, visible = float(found.drops_P[place]), float(found.visible_P[place])
    worse, better = float(found.worse_P[place]), float(found.better_P[place])
    floor = max(pair.floor, margin) if pair.cross_numerics else pair.floor

    def said(word: Word, *reasons: str) -> Drop:
        told = "; ".join(filter(None, (*reasons, assumed)))
        return Drop(word, -drop, better if drop < 0 else worse, visible, told)

    if same_answers(pair, found.num_images):
        return Drop("pass", -drop, 1.0, visible, "the same images right")
    if worse < ALPHA and drop >= floor - ROUNDING:
        hint = "other arithmetic: look at precision and TF32 first" if pair.cross_numerics else ""
        return said("regressed", hint)
    if better < ALPHA and -drop >= floor - ROUNDING:
        return said("improved")
    if pair.cross_numerics:
        if equivalence_p(found, place, margin) < ALPHA:
            return said("pass", f"equivalent within {_points(margin)}")
        return said("inconclusive", f"not shown to be equivalent within {_points(margin)}")
    if visible > visible_drop:
        return said("inconclusive", "too few images or seeds")
    return said("pass")


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def equivalence_p(found: Evidence, place: int, margin: float) -> float:
    """The larger p of the two one-sided tests that the difference is beyond the margin."""
    drop, error = abs(float(found.drops_P[place])), float(found.errors_P[place])
    if error == 0:
        return 0.0 if drop < margin else 1.0
    return float(special.stdtr(found.freedoms_P[place], (drop - margin) / error))


def same_answers(pair: Pair, num_images: int) -> bool:
    """Whether the same seeds had the same images right."""
    before, after = ({one.seed: one.right or "" for one in row.ok} for row in pair[:2])
    return before.keys() == after.keys() and all(
        same_bits(text, after[seed], num_images) for seed, text in before.items()
    )
