"""Why a row was chosen, how far the others are behind it, and how sure all that is."""

from typing import NamedTuple

from bench.analysis.rows import Row
from bench.analysis.summary import Comparison, Summary
from bench.record import Run
from bench.report import units
from bench.report.findings import Text, lowest, points


def rule(run: Run, summary: Summary) -> Text:
    """How the choice was made."""
    seeds = len(run.suite.seeds)
    order = lowest(summary, ())
    sentences = [
        f"The leader has the highest mean val {units.METRICS[summary.metric]} over "
        f"{units.plural(seeds, 'seed')}; a seed that is not ok disqualifies. "
        "Test was not used to choose.",
        "Tied is what a comparison of all with the best, image by image, cannot tell from the "
        "leader (max-T over all pairs, at 5 %), and whatever is less than "
        f"{points(summary.margin)} points behind it.",
        HELD_WITH_ONE_SEED if seeds == 1 else HELD,
        f"Among the tied the suite's tie-break ({order}; what is unknown comes last) recommends: a "
        "preference for what is cheap, not a finding about accuracy.",
        "The best of many is flattered by having been picked: believe its test score.",
    ]
    if summary.metric == "balanced_accuracy":
        sentences.append(
            "Balanced accuracy is no proportion of images: its intervals are approximate."
        )
    return (" ".join(sentences),)


HELD = (
    "In simulated suites the tied were all that are truly best, and perhaps more, in 93 to 100 of "
    "100 where the trainings of all rows vary alike, and in about 89 where they vary very "
    "differently; the winner was wrong in up to 6."
)
HELD_WITH_ONE_SEED = (
    "With one seed the luck of a training is unknown and left out, and differences look surer than "
    "they are: in simulated suites whose trainings were lucky by 0.3 to 2 points, one that is "
    "truly best was missing from the tied in 23 to 67 of 100, and the winner was wrong in up to 33."
)
"""What tests/analysis/test_error_rates.py finds."""


def verdicts(summary: Summary) -> dict[Row, str]:
    """Every row against the leader on val: `leader`, `tied, 0.3 ± 0.4 behind`, `2.1 ± 0.6 behind`.

    A leader of others that nothing is tied with is the winner; a row without each of its seeds is
    disqualified.
    """
    found = dict.fromkeys(summary.disqualified, "disqualified")
    if summary.leader is not None:
        found[summary.leader] = _of_leader(summary)
    for one in summary.comparisons:
        found[one.row] = f"{'tied, ' if one.tied else ''}{_behind(one)} behind"
    return found


def _of_leader(summary: Summary) -> str:
    if not summary.comparisons:
        return "the only one"
    return "leader" if summary.winner is None else "winner"


def _behind(comparison: Comparison) -> str:
    return f"{points(comparison.behind.mean)} ± {points(comparison.behind.se)}"


BEHIND = (
    "Behind: mean difference from the leader on the same val images, in percentage points, ± one "
    "standard error (the larger of that over images and that over seeds)."
)


VISIBLE = (
    "A true difference of about this size between the leader and a row close behind it is found in "
    "about 80 of 100 suites like this, a smaller one less often."
)
VISIBLE_WITH_ONE_SEED = "Of images alone: the luck of a training, unknown here, adds to it."

COMPARED = (
    "p: two-sided, Holm's adjustment over this table, the leader taken for given; tied is decided "
    "by the stricter comparison of all with the best. Settled by: seeds for each row on the same "
    "images, or val images with the same seeds; a dash where that alone would not do."
)

FRONT = (
    "The Pareto front: for each of the others there is one that is, beyond noise, better in val "
    "score, train time, memory, parameters or latency, and in none of these worse. Of a row with "
    "an unknown cost nobody can say so: it is on the front."
)


class Way(NamedTuple):
    """What would tell some of the tied from the leader, and how many of them."""

    what: str
    ties: int


def settling(summary: Summary) -> list[Way]:
    """What would settle the tie, the more of it the earlier; empty where nothing would."""
    tied = [one.settling for one in summary.comparisons if one.tied and one.settling]
    seeds = [one.more_seeds for one in tied if one.more_seeds is not None]
    images = [one.val_images for one in tied if one.val_images is not None]
    ways = []
    if seeds:
        ways.append(Way(f"about {_rounded(max(seeds))} more seeds each", len(seeds)))
    if images:
        ways.append(Way(f"about {_rounded(max(images))} val images in all", len(images)))
    return sorted(ways, key=lambda way: -way.ties)


def _rounded(count: int) -> str:
    """Two digits: nobody knows it better."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // unit) * unit:,}"
