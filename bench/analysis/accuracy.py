"""Whether accuracy dropped from one run to another on the same test images.

Images pair, seeds do not: the larger of the two standard errors counts (see
`bench.analysis.paired`). A single seed that fell far counts too: one training of three that goes
wrong hides in the mean, because it widens the spread that the mean is tested against. Between two
kinds of arithmetic results differ a little, and the claim is that they are equivalent: two
one-sided tests (Schuirmann 1987, doi:10.1007/BF01068419).
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench.analysis.judge import ACCURACY, MEASURES, Estimate, Findings, Verdict, adjusted, judge
from bench.analysis.paired import Hits, between, with_seeds
from bench.analysis.stats import Floats, Spread, seed_variances, spread

ALPHA = MEASURES[ACCURACY].alpha

MANY_IMAGES = 5000
"""From here on, half the equivalence margin is asked for."""

LUCK = 0.01
"""Standard deviation over whole trainings, assumed where no cell has a second seed."""

FALL_ALPHA = 0.005
"""Of single seeds; low, for the test of the mean has its own false alarms."""

SURE = 1e9
"""Degrees of freedom of a spread that is assumed and not estimated."""


class Scored(NamedTuple):
    """The ok seeds of a cell of one run, S of them, on N test images."""

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    right_SN: NDArray[np.bool_]


class Rules(NamedTuple):
    weights_N: Floats  # of an image in the score
    visible_drop: float  # a larger drop must not go unseen
    equivalence: float

    @property
    def margin(self) -> float:
        """Within which results of two kinds of arithmetic count as equivalent."""
        return self.equivalence / (2 if len(self.weights_N) >= MANY_IMAGES else 1)


def judge_accuracy(
    before: Sequence[Scored],
    after: Sequence[Scored],
    floors_P: Floats,
    crosses: Sequence[bool],
    rules: Rules,
) -> list[Verdict]:
    """A verdict for each of P cells; `crosses` says which ran under another arithmetic."""
    if not before:
        return []
    found, has_spread = compared(before, after, rules.weights_N)
    margins_P = np.where(crosses, rules.margin, 0.0)
    findings = judge(found, np.fmax(floors_P, margins_P), ALPHA)
    visible_P = found.visible(floors_P, ALPHA / len(before))
    assumed = "" if has_spread else f"one seed: a spread of {_points(LUCK)} is assumed"
    fallen = fallen_seeds(before, after, len(rules.weights_N), rules.visible_drop)
    verdicts = []
    for place, one in enumerate(zip(before, after, crosses, strict=True)):
        made = _verdict(place, one, found, findings, rules, float(visible_P[place]), assumed)
        verdicts.append(_with_seed(made, fallen[place]))
    return verdicts


def compared(
    before: Sequence[Scored], after: Sequence[Scored], weights_N: Floats
) -> tuple[Estimate, bool]:
    """The drop of each cell, and whether any cell has a second seed to tell how trainings vary."""
    cells, count = [*before, *after], len(before)
    hits_RN = np.stack([one.right_SN.sum(axis=0, dtype=np.uint16) for one in cells])
    found = with_seeds(hits_RN, weights_N, [one.scores for one in cells])
    has_spread = bool((found.num_seeds_R > 1).any())
    places_P: NDArray[np.intp] = np.arange(count)
    behind = between(found if has_spread else _assumed(found), places_P, places_P + count)
    limited_P = behind.freedoms_R if has_spread else np.full(count, found.num_images - 1.0)
    return Estimate(behind.means_R, behind.errors_R, np.maximum(limited_P, 1)), has_spread


def _assumed(found: Hits) -> Hits:
    ones_R = np.ones(len(found.num_seeds_R))
    return found._replace(seed_variances_R=LUCK**2 * ones_R, freedoms_R=SURE * ones_R)


def _verdict(
    place: int,
    cell: tuple[Scored, Scored, bool],
    found: Estimate,
    findings: Findings,
    rules: Rules,
    visible: float,
    assumed: str,
) -> Verdict:
    before, after, is_cross = cell
    drop = float(found.changes_P[place])
    made = Verdict("pass", assumed, -drop, findings.p_adjusted(place, drop), visible)
    word = findings.words[place]
    if same_answers(before, after):
        return made._replace(p_adjusted=1.0, reason="the same images right")
    if word in ("regressed", "improved"):
        hint = "other arithmetic: look at precision and TF32 first"
        reasons = (hint if is_cross and word == "regressed" else "", assumed)
        return made._replace(word=word, reason=_joined(*reasons))
    if is_cross:
        within = f"equivalent within {_points(rules.margin)}"
        if equivalence_p(found, place, rules.margin) < ALPHA:
            return made._replace(reason=_joined(within, assumed))
        return made._replace(
            word="inconclusive", reason=_joined(f"not shown to be {within}", assumed)
        )
    if visible > rules.visible_drop:
        reason = _joined("too few images or seeds", assumed)
        return made._replace(word="inconclusive", reason=reason)
    return made


def same_answers(before: Scored, after: Scored) -> bool:
    first, second = (dict(zip(one.seeds, one.right_SN, strict=True)) for one in (before, after))
    return first.keys() == second.keys() and all(
        np.array_equal(right_N, second[seed]) for seed, right_N in first.items()
    )


def equivalence_p(found: Estimate, place: int, margin: float) -> float:
    """The larger p of the two one-sided tests that the difference is beyond the margin."""
    drop, error = abs(float(found.changes_P[place])), float(found.errors_P[place])
    if error == 0:
        return 0.0 if drop < margin else 1.0
    return float(special.stdtr(found.freedoms_P[place], (drop - margin) / error))


def _points(share: float) -> str:
    return f"{100 * share:g} point{'' if share == 0.01 else 's'}"


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


# ---- single seeds ---------------------------------------------------------------------------


class Fallen(NamedTuple):
    """The worst seed of a cell, which fell."""

    told: str
    alone: bool  # the other seeds are nearer to the baseline than to it


def fallen_seeds(
    before: Sequence[Scored], after: Sequence[Scored], num_images: int, least: float
) -> list[Fallen | None]:
    """The worst seed of each cell; None where it did not fall by `least`, or maybe by chance.

    Each is held against the spread of the baseline's seeds; Holm's adjustment is over all seeds of
    all cells.
    """
    spreads = [spread(one.scores) for one in before]
    errors_P, freedoms_P = _seed_errors(spreads, num_images)
    lowest_P = np.array([min(one.scores) for one in after])
    falls_P = np.array([seen.mean for seen in spreads]) - lowest_P
    tails_P, _ = Estimate(falls_P, errors_P, freedoms_P).tails()
    counts_P = np.array([len(one.scores) for one in after])
    p_P = adjusted(np.minimum(1.0, counts_P * tails_P))
    return [
        _fallen(one, seen) if p < FALL_ALPHA and fall >= least else None
        for one, seen, fall, p in zip(after, spreads, falls_P, p_P, strict=True)
    ]


def _fallen(cell: Scored, before: Spread) -> Fallen:
    worst = min(range(len(cell.scores)), key=cell.scores.__getitem__)
    score = cell.scores[worst]
    others = [one for place, one in enumerate(cell.scores) if place != worst]
    alone = bool(others) and before.mean - fmean(others) < fmean(others) - score
    return Fallen(f"seed {cell.seeds[worst]} fell to {100 * score:.1f} %", alone)


def _seed_errors(spreads: Sequence[Spread], num_images: int) -> tuple[Floats, Floats]:
    """Standard error of one new seed about each mean, and its degrees of freedom."""
    errors, freedoms = [], []
    for seen, variance in zip(spreads, seed_variances(spreads), strict=True):
        known = variance.of_mean is not None
        one = (variance.of_mean or 0.0) * seen.n if known else LUCK**2
        # Few seeds may happen to agree; the images alone make them differ.
        images = seen.mean * (1 - seen.mean) / num_images
        errors.append(math.sqrt(max(one, images) * (1 + 1 / seen.n)))
        freedoms.append((variance.degrees_of_freedom if known else None) or SURE)
    return np.array(errors), np.array(freedoms)


def _with_seed(verdict: Verdict, seed: Fallen | None) -> Verdict:
    """The verdict; a seed that fell is named, but for one that fell with all others."""
    if seed is None:
        return verdict
    if verdict.word != "regressed":
        return verdict._replace(word="regressed", reason=seed.told)
    return verdict._replace(reason=_joined(seed.told if seed.alone else "", verdict.reason))
