"""A trained network, rebuilt: what training made of it, laid over what its backbone started from.

A run keeps only what the source of the backbone cannot give again, so the rest comes from that
source once more: proven by the hash of its file, or by that of the values where they are drawn.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torchvision.models import get_model_weights

from bench.architectures import ARCHITECTURES
from bench.errors import WeightsError
from bench.models import build, cache, weights
from bench.models.build import Network
from bench.models.digest import digest
from bench.models.state import fitted, read
from bench.models.weights import Request
from bench.record import Cell, Machine, Preprocessing
from bench.serving.findings import Published, Trained

State = Mapping[str, Tensor]
BACKBONE, HEAD = "backbone.", "head."


class Kept(NamedTuple):
    """What a run kept of a network: values under its names, and what is said of them."""

    state: State
    said: Mapping[str, str]


def rebuilt(trained: Trained) -> Network:
    """The network as it was scored, on the CPU, in fp32.

    Raises WeightsError where the kept values are damaged or the others cannot be had again.
    """
    cell = trained.record.cell
    outline = build.outline(cell.architecture, len(cell.data.classes), cell.image_size)
    kept = read_kept(trained, outline)
    values = dict(kept.state)
    if lacking := outline.state_dict().keys() - values.keys():
        given = given_backbone(trained, outline)
        if unknown := lacking - given.keys():
            raise WeightsError(f"{trained.kept.name}: {min(unknown)} is missing: it is damaged")
        given = {name: given[name] for name in lacking}
        if cell.weights.source == "random":
            check_drawn(given, kept.said.get("given_sha256"), trained.record.machine)
        values |= given
    return network_of(cell.architecture, cell.image_size, values)


def published(wanted: Published) -> Network:
    """The network of ImageNet's 1,000 classes with its pinned weights, on the CPU, in fp32.

    Raises WeightsError where they cannot be had.
    """
    architecture = ARCHITECTURES[wanted.architecture]
    state = imagenet(wanted.architecture, architecture.pinned, None, offline=wanted.offline)
    size = pinned_pipeline(wanted.architecture).crop_size
    head = f"{architecture.head}."
    num_classes = len(state[f"{head}weight"])
    outline = build.outline(wanted.architecture, num_classes, size)
    backbone = named(fitted(outline.backbone, architecture, state, size))
    layer = {
        f"head.layer.{name.removeprefix(head)}": value
        for name, value in state.items()
        if name.startswith(head)
    }
    return network_of(wanted.architecture, size, {**backbone, **layer})


def network_of(architecture: str, image_size: int, values: State) -> Network:
    """The network that holds these values, by its own names."""
    head = {n.removeprefix(HEAD): v for n, v in values.items() if n.startswith(HEAD)}
    backbone = {n.removeprefix(BACKBONE): v for n, v in values.items() if n.startswith(BACKBONE)}
    num_classes = len(head["layer.weight"])
    network = build.build(
        architecture, num_classes, image_size, state=backbone, backbone_seed=0, head_seed=0
    )
    network.head.load_state_dict(head)
    return network.eval()


def named(backbone: State) -> dict[str, Tensor]:
    """Values of a backbone under the names of its network."""
    return {f"{BACKBONE}{name}": value for name, value in backbone.items()}


# ---- what was kept --------------------------------------------------------------------------


def read_kept(trained: Trained, outline: Network) -> Kept:
    """The kept values, compared with the shapes of the network and the hash in their own file."""
    path = trained.kept
    try:
        state = read(path)
        with safe_open(path, "pt") as file:
            said = dict(file.metadata() or {})
        check_kept(state, outline)
        if said.get("cell_id") != trained.record.cell_id:
            raise WeightsError(f"of another cell, {said.get('cell_id')}")
        if said.get("kept_sha256") != digest(state):
            raise WeightsError("damaged: its values are not those that were written")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} of {trained.record.cell_id}: damaged") from error
    except WeightsError as error:
        raise WeightsError(f"{path.name} of {trained.record.cell_id}: {error}") from None
    return Kept(state, said)


def check_kept(state: State, outline: Network) -> None:
    """Raise WeightsError where a value has no place in the network, or another shape there."""
    own = outline.state_dict()
    for name, value in state.items():
        if name not in own:
            raise WeightsError(f"{name} is no part of the network")
        if value.shape != own[name].shape:
            raise WeightsError(f"{name} is {list(value.shape)} instead of {list(own[name].shape)}")


# ---- where the backbone came from -----------------------------------------------------------


def given_backbone(trained: Trained, outline: Network) -> dict[str, Tensor]:
    """What the backbone started from, under the names of the network. Raises WeightsError."""
    cell = trained.record.cell
    given, size = cell.weights, cell.image_size
    if given.source == "scratch":
        return {}  # all of it was trained
    if given.source == "random":
        drawn = build.build(
            cell.architecture,
            len(cell.data.classes),
            size,
            state=None,
            backbone_seed=given.init_seed or 0,
            head_seed=0,
        )
        return named(drawn.backbone.state_dict())
    if given.source == "imagenet":
        state = imagenet(cell.architecture, given.name, given.sha256, offline=trained.offline)
    else:
        state = own_file(cell, trained.folders)
    return named(fitted(outline.backbone, ARCHITECTURES[cell.architecture], state, size))


def imagenet(architecture: str, member: str, sha256: str | None, *, offline: bool) -> State:
    """A file of torchvision's, fetched if it is not here. Raises WeightsError."""
    wish = {architecture: Request(architecture, member)}
    choice = weights.choose(wish, ("random",), offline=offline)
    found = choice.weights[architecture]
    if sha256 not in (None, found.sha256):
        raise WeightsError(
            f"{architecture}: {member} has the hash {found.sha256}, and the run trained on {sha256}"
        )
    return weights.load_state(found, choice.paths[architecture]) or {}


def own_file(cell: Cell, folders: Sequence[Path]) -> State:
    """The user's own file that the run started from, found again by its hash. Raises WeightsError.

    A record holds no path, so the folder must be named.
    """
    name, sha256 = cell.weights.name, cell.weights.sha256
    for path in (folder / name for folder in folders):
        if path.is_file() and cache.sha256(path) == sha256:
            return read(path)
    looked = f" (not in {', '.join(map(str, folders))})" if folders else ""
    raise WeightsError(
        f"{cell.architecture} started from a file of your own that is needed again: "
        f"{name} with the SHA-256 {sha256}{looked}\n"
        "name its folder with --weights DIR"
    )


def check_drawn(given: State, sha256: str | None, machine: Machine) -> None:
    """Raise WeightsError where values drawn anew are not those that the run trained on."""
    if digest(given) != sha256:
        capability = torch.backends.cpu.get_cpu_capability()
        raise WeightsError(
            "random weights drawn again are not those that were trained on: "
            f"drawn by torch {machine.torch}, torchvision {machine.torchvision} "
            f"({machine.cpu_capability}), here torch {torch.__version__}, "
            f"torchvision {torchvision.__version__} ({capability})\n"
            "use the versions of then, or run the suite again with those of today"
        )


# ---- eval pipelines -------------------------------------------------------------------------


def pinned_pipeline(architecture: str) -> Preprocessing:
    """That of the pinned weights at their own size."""
    return build.preprocessing(architecture, ARCHITECTURES[architecture].pinned, None)


def pipeline_of(trained: Trained) -> Preprocessing:
    """That of the cell: run.json has it for one image size of the architecture.

    Raises WeightsError where no weights have the pipeline on record.
    """
    cell, known = trained.record.cell, trained.pipeline
    if known.crop_size == cell.image_size:
        return known
    for member in get_model_weights(cell.architecture):
        if build.preprocessing(cell.architecture, member.name, known.crop_size) == known:
            return build.preprocessing(cell.architecture, member.name, cell.image_size)
    raise WeightsError(f"run.json: no weights of {cell.architecture} have such a preprocessing")
