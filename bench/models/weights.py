"""Where the values of a backbone come from, decided for all architectures before anything trains.

A preference list names sources; the first one that every architecture can have is used for all.
Exact weights of one architecture never fall back. A source is "imagenet" (the pinned weights), a
folder (an entry with a "/") or "random"; exact weights are one of those or the name of others that
the network's library publishes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from torch import Tensor

from bench.architectures import TIMM
from bench.errors import FolderError, WeightsError, meant
from bench.folder import read_records, read_run, weights_path
from bench.models import download, libraries
from bench.models.build import check
from bench.models.library import Published
from bench.models.state import read
from bench.record import MissingWeights, Result, UsedWeights, Weights

# ---- one architecture -----------------------------------------------------------------------


RANDOM = Weights(source="random", name="random", init_seed=0)
"""One fixed backbone for all seeds, drawn from its `init_seed`."""

SCRATCH = Weights(source="scratch", name="scratch")
"""A backbone drawn anew for each seed; needs no source."""


class Ready(NamedTuple):
    weights: Weights  # without a hash where they are yet to be fetched
    path: Path | None  # None = drawn, or yet to be fetched
    to_fetch: Published | None = None
    pretrained_on: str | None = None  # the images that they learned from, where that is known


Finding = Ready | MissingWeights


def look(architecture: str, entry: str, *, offline: bool) -> Finding:
    """What one entry has for one architecture; changes nothing.

    Raises WeightsError for an unknown name, and for a folder's file that is not usable.
    """
    if entry == "random":
        return Ready(RANDOM, None)
    if "/" in entry:
        return _in_folder(architecture, entry)
    published = published_weights(architecture, entry)
    file = published.file
    found = file.cached()
    if isinstance(found, download.Located):
        return _ready(published, found)
    hindrance = "offline" if offline else file.hindrance()
    if hindrance is None:
        weights = Weights(source="imagenet", name=published.name)
        return Ready(weights, None, published, published.pretrained_on)
    return _missing(architecture, published, f"{found.why}; {hindrance}")


def obtain(architecture: str, finding: Finding) -> Finding:
    """The same, fetched where it was to be."""
    if isinstance(finding, MissingWeights) or finding.to_fetch is None:
        return finding
    found = finding.to_fetch.file.fetch()
    if isinstance(found, download.Absent):
        return _missing(architecture, finding.to_fetch, found.why)
    return _ready(finding.to_fetch, found)


def published_weights(architecture: str, weights_name: str) -> Published:
    """The published weights of exactly this name, or the pinned ones for "imagenet".

    Raises WeightsError with the accepted names, and the one that was probably meant.
    """
    row = libraries.architecture(architecture)
    accepted = libraries.library(row).published(row)
    name = row.pinned if weights_name == "imagenet" else weights_name
    if not accepted:
        raise WeightsError(
            f"{architecture} has no published weights: use random ones, or a folder (with a '/')"
        )
    if name not in accepted:
        hint = meant(name, accepted) or meant(name.upper(), accepted) or " –"
        raise WeightsError(
            f"{architecture} has no weights {name!r}{hint} "
            f"accepted are {', '.join(accepted)}, imagenet, random, or a folder (with a '/')"
        )
    return accepted[name]


def _ready(published: Published, found: download.Located) -> Ready:
    weights = Weights(source="imagenet", name=published.name, sha256=found.sha256)
    return Ready(weights, found.path, pretrained_on=published.pretrained_on)


def _missing(architecture: str, published: Published, why: str) -> MissingWeights:
    file = published.file
    return MissingWeights(
        architecture=architecture,
        file=file.name,
        address=file.address,
        folder=None if file.folder is None else shown(file.folder),
        why=why,
    )


def _in_folder(architecture: str, entry: str) -> Ready | MissingWeights:
    """The architecture's file in a folder of one's own; WeightsError if it is not usable."""
    folder = Path(entry).expanduser()
    if (folder / "run.json").is_file():
        return _in_run(architecture, folder, shown(entry))
    own_name = architecture.removeprefix(TIMM)
    names = (f"{own_name}.safetensors", f"{own_name}.pth")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return MissingWeights(
            architecture=architecture,
            file=" or ".join(names),
            address=None,
            folder=shown(entry),
            why="not in the folder" if folder.is_dir() else "there is no such folder",
        )
    try:
        check(architecture, read(path))
    except WeightsError as error:
        raise WeightsError(f"{architecture}: {path.name} in {shown(entry)}: {error}") from None
    weights = Weights(source="folder", name=path.name, sha256=download.sha256(path))
    return Ready(weights, path)


def _in_run(architecture: str, folder: Path, name: str) -> Ready | MissingWeights:
    """The network of this architecture that did best on val, of those that a run kept."""
    try:
        run, records = read_run(folder), read_records(folder)
    except FolderError as error:
        raise WeightsError(str(error)) from None
    kept = [
        record
        for record in records
        if isinstance(record, Result)
        and record.cell.architecture == architecture
        and weights_path(folder, record.cell_id).is_file()
    ]
    if not kept:
        return MissingWeights(
            architecture=architecture,
            file="weights.safetensors",
            address=None,
            folder=None,
            why=f'{name} kept no {architecture}; keep_weights = "best" keeps the best of each',
        )

    def val_score(record: Result) -> float:
        return cast(float, getattr(record.quality.val, record.cell.metric))

    best = max(kept, key=val_score)
    path = weights_path(folder, best.cell_id)
    weights = Weights(source="run", name=best.cell_id, sha256=download.sha256(path))
    try:
        check(architecture, load_state(weights, path) or {})
    except WeightsError as error:
        raise WeightsError(f"{architecture}: {best.cell_id} in {name}: {error}") from None
    learned_from = (
        f"{run.data.name} ({len(run.data.classes)} classes), by {best.cell.strategy} of {name}: "
        f"val {run.suite.metric} {val_score(best):.3f}"
    )
    return Ready(weights, path, pretrained_on=learned_from)


def shown(place: str | Path) -> str:
    """A folder as records and messages write it: never an absolute path.

    The name of a source and a relative path stay as they are.
    """
    path = Path(place)
    if not path.is_absolute():
        return str(place)
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME"):
        root = os.environ.get(variable)
        if root and path.is_relative_to(root):
            return f"${variable}/{path.relative_to(root).as_posix()}"
    if path.is_relative_to(Path.home()):
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    return f".../{path.name}"


# ---- all architectures ----------------------------------------------------------------------


class Request(NamedTuple):
    architecture: str
    weights: str | None  # exact weights; None = the preference list


class Choice(NamedTuple):
    source: UsedWeights
    weights: dict[str, Weights]  # by label; without a hash where they are yet to be fetched
    paths: dict[str, Path | None]  # by label; None = drawn, or yet to be fetched
    pretrained_on: dict[str, str]  # by label, where it is known
    downloads: dict[str, float | None]  # megabytes of what is yet to be fetched, by address


def choose(
    requests: Mapping[str, Request],
    preference: Sequence[str],
    *,
    offline: bool,
    pinned_source: str | None = None,
    fetch: bool = True,
) -> Choice:
    """The first source that all architectures without exact weights can have, fetched.

    `requests` is by label. `pinned_source` is the one that an earlier sitting of the run used:
    then no other is considered. Without `fetch`, what would be chosen as far as can be told;
    nothing is written then.

    Raises WeightsError for an unknown name, for a folder's file that is damaged or not this
    architecture's, and, naming every missing file, where nothing in the list serves or exact
    weights cannot be had.
    """

    def findings(wishes: Mapping[str, str]) -> dict[str, Finding]:
        return _look_at({k: (requests[k].architecture, wishes[k]) for k in wishes}, offline=offline)

    def fetched(found: Mapping[str, Finding]) -> dict[str, Finding]:
        return {k: obtain(requests[k].architecture, finding) for k, finding in found.items()}

    exact = findings({k: r.weights for k, r in requests.items() if r.weights is not None})
    lacked: tuple[MissingWeights, ...] = ()
    for source in _sources(preference, pinned_source):
        general = findings({k: source for k, r in requests.items() if r.weights is None})
        if fetch and not _missing_in((*exact.values(), *general.values())):
            exact, general = fetched(exact), fetched(general)
        missing = _missing_in(general.values())
        if not missing:
            break
        lacked += missing
    else:
        raise _refusal(_missing_in(exact.values()), lacked, preference)
    if hopeless := _missing_in(exact.values()):
        raise _refusal(hopeless, (), preference)
    both = {**exact, **general}
    ready = {k: found for k in requests if isinstance(found := both[k], Ready)}
    to_fetch = [found.to_fetch for found in ready.values() if found.to_fetch is not None]
    return Choice(
        UsedWeights(wanted=tuple(map(shown, preference)), used=shown(source), missing=lacked),
        {k: found.weights for k, found in ready.items()},
        {k: found.path for k, found in ready.items()},
        {k: found.pretrained_on for k, found in ready.items() if found.pretrained_on},
        {one.file.address or one.file.name: one.megabytes for one in to_fetch},
    )


def load_state(weights: Weights, path: Path | None) -> Mapping[str, Tensor] | None:
    """The state dict that `build` takes; None for weights that are drawn.

    Raises WeightsError where the file can no longer be read.
    """
    if weights.source in ("random", "scratch"):
        return None
    assert path is not None, f"weights from {weights.source} lie in a file"
    try:
        state = read(path)
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None
    if weights.source == "run":  # of a whole network of ours
        return {
            n.removeprefix("backbone."): v for n, v in state.items() if not n.startswith("head.")
        }
    return state


def _sources(preference: Sequence[str], pinned_source: str | None) -> tuple[str, ...]:
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
        if lacking.folder is not None:
            lines.append(f"    and put it into {lacking.folder}")
    if general and "random" not in preference:
        lines.append('or give the list another source, as in weights = ["imagenet", "random"]')
    return WeightsError("\n".join(lines))
