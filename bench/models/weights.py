"""Where the values of a backbone come from: decided for all architectures before anything trains.

A preference list names sources; the first one that every architecture can have is taken for all.
Exact weights of one architecture never fall back. A source is "imagenet" (the pinned member), a
folder (an entry with a "/") or "random"; exact weights are one of those or a member of
torchvision's enum.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from bench.errors import WeightsError
from bench.models.source import (
    RANDOM,
    SCRATCH,
    Download,
    Finding,
    Ready,
    look,
    member,
    obtain,
    shown,
)
from bench.models.state import read
from bench.record import MissingWeights, Source, Weights

__all__ = [
    "RANDOM",
    "SCRATCH",
    "Choice",
    "Request",
    "Survey",
    "WeightsError",
    "choose",
    "load_state",
    "member",
    "survey",
]


class Request(NamedTuple):
    """What one entry of the suite's architectures asks for."""

    architecture: str
    weights: str | None  # exact weights; None = the preference list


class Survey(NamedTuple):
    """Which source will serve the suite, and what each architecture gets from it."""

    source: Source
    findings: dict[str, Ready | Download]  # by label
    later: tuple[str, ...]  # sources of the list that were not looked at

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The files to fetch, each once."""
        found = (f for f in self.findings.values() if isinstance(f, Download))
        return tuple({download.address: download for download in found}.values())


class Choice(NamedTuple):
    """The source that serves the suite, with every file on this machine and verified."""

    source: Source
    weights: dict[str, Weights]  # by label
    paths: dict[str, Path | None]  # by label; None = drawn, not read


def survey(
    requests: Mapping[str, Request],
    preference: Sequence[str],
    *,
    offline: bool,
    pinned_source: str | None = None,
) -> Survey:
    """What `choose` would choose as far as can be told without fetching; writes nothing.

    `requests` is by label. `pinned_source` is the one that an earlier sitting of the run used:
    then no other is considered. Raises WeightsError as `choose` does.
    """
    sources = _sources(preference, pinned_source)
    return _survey(requests, preference, sources, (), offline=offline)


def choose(
    requests: Mapping[str, Request],
    preference: Sequence[str],
    *,
    offline: bool,
    pinned_source: str | None = None,
) -> Choice:
    """The first source that all architectures without exact weights can have, fetched.

    Raises WeightsError for an unknown name, for a folder's file that is damaged or not this
    architecture's, and, naming every missing file, where nothing in the list serves or exact
    weights cannot be had.
    """
    return _choose(requests, preference, _sources(preference, pinned_source), (), offline=offline)


def load_state(weights: Weights, path: Path | None) -> Mapping[str, Tensor] | None:
    """The state dict that `build` takes; None for weights that are drawn.

    Raises WeightsError where the file can no longer be read.
    """
    if weights.source in ("random", "scratch"):
        return None
    assert path is not None, f"weights from {weights.source} lie in a file"
    try:
        return read(path)
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None


def _sources(preference: Sequence[str], pinned_source: str | None) -> tuple[str, ...]:
    """The sources to try in order; WeightsError for an entry that is none."""
    unknown = [s for s in preference if s not in ("imagenet", "random") and "/" not in s]
    if unknown or not preference:
        raise WeightsError(
            f"weights: unknown source {', '.join(map(repr, unknown)) or '(none given)'}; accepted: "
            "'imagenet', 'random', or a folder (with a '/')"
        )
    if pinned_source is None:
        return tuple(preference)
    # Records hold a folder as `shown` writes it; the list knows where it really is.
    return (next((s for s in preference if shown(s) == pinned_source), pinned_source),)


def _survey(
    requests: Mapping[str, Request],
    preference: Sequence[str],
    sources: Sequence[str],
    lacked: tuple[MissingWeights, ...],
    *,
    offline: bool,
) -> Survey:
    """The first of `sources` that serves; `lacked` is what the ones before it did not have."""
    exact = {k: (r.architecture, r.weights) for k, r in requests.items() if r.weights is not None}
    found = _look_at(exact, offline=offline)
    hopeless = _missing_in(found.values())
    for source in sources:
        wishes = {k: (r.architecture, source) for k, r in requests.items() if r.weights is None}
        general = _look_at(wishes, offline=offline)
        missing = _missing_in(general.values())
        if not missing:
            break
        lacked += missing
    else:
        raise _refusal(hopeless, lacked, preference)
    if hopeless:
        raise _refusal(hopeless, (), preference)
    both = {**found, **general}
    findings = {k: f for k in requests if not isinstance(f := both[k], MissingWeights)}
    used = Source(wanted=tuple(map(shown, preference)), used=shown(source), missing=lacked)
    return Survey(used, findings, later=tuple(sources[sources.index(source) + 1 :]))


def _choose(
    requests: Mapping[str, Request],
    preference: Sequence[str],
    sources: Sequence[str],
    lacked: tuple[MissingWeights, ...],
    *,
    offline: bool,
) -> Choice:
    """The first of `sources` whose files arrive; one that fails on the way leads to the next."""
    plan = _survey(requests, preference, sources, lacked, offline=offline)
    got = {label: obtain(finding) for label, finding in plan.findings.items()}
    exact = {label for label, request in requests.items() if request.weights is not None}
    hopeless = _missing_in(got[label] for label in exact)
    missing = _missing_in(got[label] for label in got.keys() - exact)
    known = (*plan.source.missing, *missing)
    if hopeless or (missing and not plan.later):
        raise _refusal(hopeless, known if missing else (), preference)
    if missing:
        return _choose(requests, preference, plan.later, known, offline=offline)
    ready = {label: found for label, found in got.items() if isinstance(found, Ready)}
    weights = {label: found.weights for label, found in ready.items()}
    return Choice(plan.source, weights, {label: found.path for label, found in ready.items()})


def _look_at(wishes: Mapping[str, tuple[str, str]], *, offline: bool) -> dict[str, Finding]:
    """What each (architecture, entry) finds, by label; one WeightsError for all mistakes."""
    findings: dict[str, Finding] = {}
    mistakes = []
    for label, (architecture, entry) in wishes.items():
        try:
            findings[label] = look(architecture, entry, offline=offline)
        except WeightsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise WeightsError("\n".join(mistakes))
    return findings


def _missing_in(findings: Iterable[Finding]) -> tuple[MissingWeights, ...]:
    """Those that cannot be had, each file once and in the order of its name."""
    missing = {f.file: f for f in findings if isinstance(f, MissingWeights)}
    return tuple(missing[file] for file in sorted(missing))


def _refusal(
    exact: Sequence[MissingWeights], general: Sequence[MissingWeights], preference: Sequence[str]
) -> WeightsError:
    """The one error that names every missing file, its address and where to put it."""
    lines = ["weights are missing that this run cannot do without:"]
    for lacking in dict.fromkeys((*exact, *general)):
        lines.append(f"  {lacking.architecture}: {lacking.file} ({lacking.why})")
        if lacking.address is not None:
            lines.append(f"    download it from {lacking.address}")
        lines.append(f"    and put it into {lacking.folder}")
    if general and "random" not in preference:
        lines.append('or give the list another source, as in weights = ["imagenet", "random"]')
    return WeightsError("\n".join(lines))
