"""A trained network rebuilt from its file, or a published one; and how it scores pictures.

Dimensions: B images of a block, C channels, H, W pixels, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torchvision.models import get_model_weights

from bench.architectures import ARCHITECTURES
from bench.data.decoded import resize_of, square_of
from bench.data.images import normalise
from bench.data.sources import large_pictures_allowed
from bench.errors import DataError, WeightsError
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.models import build, download, weights
from bench.models.build import Network, folded
from bench.models.state import digest, read
from bench.models.weights import Request
from bench.record import Preprocessing, Result
from bench.serving.messages import Published, Trained
from bench.strategies import STRATEGIES
from bench.training.evaluate import EVAL_BATCH, outputs
from bench.training.placement import Placement, execution, placement
from bench.training.start import State, seedless

# ---- trained --------------------------------------------------------------------------------


def rebuilt(trained: Trained) -> Network:
    """The network as it was scored, on the CPU, in fp32.

    Raises WeightsError where its file is damaged, or an older one cannot be completed.
    """
    cell = trained.record.cell
    network = build.outline(cell.architecture, len(cell.data.classes), cell.image_size)
    try:
        state, metadata = read_file(trained)
        check_shapes(state, network)
        if lacking := network.state_dict().keys() - state.keys():
            state |= source_values(trained, lacking, metadata.get("given_sha256"))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{trained.kept.name} of {trained.record.cell_id}: damaged") from error
    except WeightsError as error:
        raise WeightsError(f"{trained.kept.name} of {trained.record.cell_id}: {error}") from None
    network.load_state_dict(state, assign=True)
    return network.eval()


def read_file(trained: Trained) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The values in a weights file and its metadata, whose hash and cell are right."""
    state = dict(read(trained.kept))
    with safe_open(trained.kept, "pt") as file:
        metadata = dict(file.metadata() or {})
    if metadata.get("cell_id") != trained.record.cell_id:
        raise WeightsError(f"of another cell, {metadata.get('cell_id')}")
    if metadata.get("kept_sha256") != digest(state):
        raise WeightsError("damaged: its values are not those that were written")
    return state, metadata


def check_shapes(state: State, network: Network) -> None:
    own = network.state_dict()
    for name, value in state.items():
        if name not in own:
            raise WeightsError(f"{name} is not part of the network")
        if value.shape != own[name].shape:
            raise WeightsError(f"{name} is {list(value.shape)} instead of {list(own[name].shape)}")


# ---- files of older runs, which lack what the backbone's source can give again --------------


def source_values(trained: Trained, lacking: set[str], sha256: str | None) -> State:
    """The values that an older file lacks, from where its backbone started; proven by their hash.

    Raises WeightsError.
    """
    if sha256 is None:
        raise WeightsError(f"damaged: {min(lacking)} is missing")
    cell, machine = trained.record.cell, trained.record.machine
    values = seedless(cell, source_state(trained)).state_dict()
    found = {name: values[name] for name in lacking}
    if digest(found) != sha256:
        here = torch.backends.cpu.get_cpu_capability()
        raise WeightsError(
            f"an older run keeps only what it trained, and {cell.weights.name} weights now have "
            f"other values: the run had torch {machine.torch}, torchvision {machine.torchvision} "
            f"({machine.cpu_capability}), here are torch {torch.__version__}, torchvision "
            f"{torchvision.__version__} ({here})\nuse those versions, or run the suite again"
        )
    return found


def source_state(trained: Trained) -> State | None:
    cell, given = trained.record.cell, trained.record.cell.weights
    if given.source in ("random", "scratch"):
        return None
    if given.source == "imagenet":
        return imagenet(cell.architecture, given.name, offline=trained.offline)
    for path in (folder / given.name for folder in trained.folders):
        if path.is_file() and download.sha256(path) == given.sha256:
            return read(path)
    looked = f" (not in {', '.join(map(str, trained.folders))})" if trained.folders else ""
    raise WeightsError(
        f"an older run keeps only what it trained, and needs its own backbone file again: "
        f"{given.name} with the SHA-256 {given.sha256}{looked}\nname its folder with --weights DIR"
    )


# ---- published ------------------------------------------------------------------------------


def published(wanted: Published) -> Network:
    """The network of ImageNet's 1,000 classes with its pinned weights, on the CPU, in fp32.

    Raises WeightsError where they cannot be fetched.
    """
    name, row = wanted.architecture, ARCHITECTURES[wanted.architecture]
    state = imagenet(name, row.pinned, offline=wanted.offline)
    layer = {
        path.removeprefix(f"{row.head}."): value
        for path, value in state.items()
        if path.startswith(f"{row.head}.")
    }
    size = pinned_pipeline(name).crop_size
    network = build.build(
        name, len(layer["weight"]), size, state=state, backbone_seed=0, head_seed=0
    )
    network.head.get_submodule("layer").load_state_dict(layer)
    return network.eval()


def imagenet(architecture: str, member: str, *, offline: bool) -> State:
    wish = {architecture: Request(architecture, member)}
    choice = weights.choose(wish, ("random",), offline=offline)
    return weights.load_state(choice.weights[architecture], choice.paths[architecture]) or {}


# ---- eval pipelines -------------------------------------------------------------------------


def pinned_pipeline(architecture: str) -> Preprocessing:
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


# ---- logits, by the same steps that scored the network in its run ---------------------------

Crop = NDArray[np.uint8]  # [C, H, W]
Scorer = Callable[[Tensor], Tensor]
"""From eval crops as bytes, [B, C, H, W], to logits, [B, K]; on the device of the scorer."""


def scorer_of(wanted: Trained | Published, device: Device) -> tuple[Scorer, Preprocessing]:
    """The network on a device, and the pipeline of its images. Raises WeightsError."""
    if isinstance(wanted, Published):  # in the arithmetic that it was published in
        pipeline, place = pinned_pipeline(wanted.architecture), in_fp32(device)
        return whole(place.place(published(wanted)), pipeline, place), pipeline
    network, pipeline = rebuilt(wanted), pipeline_of(wanted)
    place = as_scored(wanted.record, device)
    if not STRATEGIES[wanted.record.cell.kind].live:
        return in_two(network, pipeline, place), pipeline
    return whole(place.place(network), pipeline, place), pipeline


def whole(network: nn.Module, pipeline: Preprocessing, place: Placement) -> Scorer:
    def score(crops_BCHW: Tensor) -> Tensor:
        def batch(indices: Tensor) -> Tensor:
            return normalise(crops_BCHW[indices], pipeline.mean, pipeline.std)

        return outputs(network, batch, len(crops_BCHW), place)

    return score


def in_two(network: Network, pipeline: Preprocessing, place: Placement) -> Scorer:
    """Logits of a head that was trained on features: those of the backbone, then fp32."""
    backbone = whole(place.place(folded(network.backbone)), pipeline, place)
    head = network.head.to(place.device)

    def score(crops_BCHW: Tensor) -> Tensor:
        features_B = backbone(crops_BCHW)
        return outputs(head, lambda indices: features_B[indices], len(crops_BCHW), place.in_fp32())

    return score


def as_scored(record: Result, device: Device) -> Placement:
    """The arithmetic of the run on its kind of device; what a run would choose on another."""
    here = torch.device(str(device))
    if device.type == record.machine.device:
        return Placement(here, record.execution)
    return placement(record.cell.architecture, record.cell.recipe, record.cell.image_size, here)


def in_fp32(device: Device) -> Placement:
    return Placement(torch.device(str(device)), execution("fp32"))


# ---- pictures -------------------------------------------------------------------------------

Open = Callable[[], Image.Image]
"""Opens a picture, RGB. Raises DataError."""


def blocks(
    pictures: Sequence[Open], pipeline: Preprocessing, size: int
) -> Iterator[list[Crop | str]]:
    """The eval crops of pictures, a block at a time; for one that cannot be read, the reason."""

    def one(open_picture: Open) -> Crop | str:
        try:
            square = square_of(open_picture(), resize_of(pipeline))
        except DataError as error:
            return "; ".join(error.problems)
        return square.centre(pipeline.crop_size)

    with large_pictures_allowed(), ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, len(pictures), size):
            yield list(pool.map(one, pictures[start : start + size]))


def stacked(crops: Sequence[Crop], device: torch.device) -> Tensor:
    """Crops as one tensor, uint8 [B, C, H, W]."""
    return torch.from_numpy(np.stack(crops)).to(device)


def block_size(device: Device) -> int:
    return 4 * EVAL_BATCH[device.type]
