"""What pictures show, by a network that a run kept or that was published. Runs in a child process.

Dimensions: B images of a block, C channels, H, W pixels, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from scipy.special import softmax
from torch import Tensor, nn

from bench.data.decoded import resize_of
from bench.data.images import normalise
from bench.data.pictures import WHITE, square_of
from bench.data.sources import ROOM, large_pictures_allowed, open_path
from bench.errors import DataError, WeightsError
from bench.measure import device as devices
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.models import build, download, libraries, weights
from bench.models.build import Network, folded
from bench.models.state import digest, mismatches, read
from bench.models.weights import Request
from bench.record import Preprocessing
from bench.serving.messages import Prediction, Predictions, Published, Trained
from bench.strategies import STRATEGIES
from bench.training.evaluate import outputs
from bench.training.network import State, seedless
from bench.training.placement import (
    Placement,
    eval_batch_size,
    execution,
    placement,
    prepare_device,
)

Crop = NDArray[np.uint8]  # [C, H, W]
Scorer = Callable[[Tensor], Tensor]
"""From eval crops as bytes, [B, C, H, W], to logits, [B, K]; on the device of the scorer."""

Open = Callable[[], Image.Image]
"""Opens a picture, RGB. Raises DataError."""

BLOCK = 256
"""Pictures that are open at once."""


def predict(
    wanted: Trained | Published,
    paths: Sequence[str],
    num_top: int,
    asked_device: str,
    tell: Callable[[int], None],
) -> Predictions:
    """The likeliest classes of every picture file; `tell` hears how many are done.

    Raises WeightsError where the network cannot be rebuilt, DeviceError for the device.
    """
    device = devices.choose(asked_device)
    prepare_device(device)
    if isinstance(wanted, Published):
        wanted = wanted._replace(architecture=libraries.exact(wanted.architecture))
    classes = classes_of(wanted)
    scorer, pipeline = scorer_of(wanted, device)
    white = wanted.record.cell.data.white if isinstance(wanted, Trained) else WHITE
    pictures = [partial(open_path, path, white=white) for path in paths]
    found: list[Prediction] = []
    for block in blocks(pictures, pipeline, BLOCK):
        crops = [crop for crop in block if not isinstance(crop, str)]
        logits_BK = scorer(stacked(crops, torch.device(str(device)))).cpu().numpy() if crops else ()
        tops = (likeliest(logits_K, num_top) for logits_K in logits_BK)
        for crop in block:
            problem = crop if isinstance(crop, str) else None
            found.append(Prediction((), problem) if problem else Prediction(next(tops)))
        tell(len(found))
    return Predictions(classes, tuple(found))


def classes_of(wanted: Trained | Published) -> tuple[str, ...]:
    if isinstance(wanted, Trained):
        return wanted.record.cell.data.classes
    row = libraries.architecture(wanted.architecture)
    if not (classes := libraries.library(row).categories(row, row.pinned)):
        raise WeightsError(f"{row.name}: nobody says which classes its published head tells apart")
    return classes


def likeliest(logits_K: NDArray[np.float32], num_top: int) -> tuple[tuple[int, float], ...]:
    """The likeliest classes of an image and their probabilities; of equal ones the first."""
    probabilities_K = softmax(logits_K.astype(np.float64))
    order = np.argsort(-probabilities_K, kind="stable")[:num_top]
    return tuple((int(k), float(probabilities_K[k])) for k in order)


def scorer_of(wanted: Trained | Published, device: Device) -> tuple[Scorer, Preprocessing]:
    """The network on a device, and the pipeline of its images. Raises WeightsError."""
    here = torch.device(str(device))
    if isinstance(wanted, Published):  # in the arithmetic that it was published in
        pipeline = pinned_pipeline(wanted.architecture)
        fast = eval_batch_size(here, pipeline.crop_size)
        place = Placement(here, execution("fp32"), fast)
        return whole(place.place(published(wanted)), pipeline, place), pipeline
    network, pipeline = rebuilt(wanted), pipeline_of(wanted)
    record, cell = wanted.record, wanted.record.cell
    if device.type == record.machine.device:
        place = Placement(here, record.execution, eval_batch_size(here, cell.image_size))
    else:  # what a run would choose there
        place = placement(cell.architecture, cell.recipe, cell.image_size, here)
    if STRATEGIES[cell.kind].live:
        return whole(place.place(network), pipeline, place), pipeline
    return in_two(network, pipeline, place), pipeline


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


def blocks(
    pictures: Sequence[Open], pipeline: Preprocessing, size: int
) -> Iterator[list[Crop | str]]:
    """The eval crops of pictures, a block at a time; for one that cannot be read, the reason."""

    def one(open_picture: Open) -> Crop | str:
        try:
            with ROOM.visit():
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


def rebuilt(trained: Trained) -> Network:
    """The network as it was scored, on the CPU, in fp32.

    Raises WeightsError where its file is damaged, or an older one cannot be completed.
    """
    cell = trained.record.cell
    network = build.outline(cell.architecture, len(cell.data.classes), cell.image_size)
    try:
        state, metadata = read_file(trained)
        if lacking := network.state_dict().keys() - state.keys():
            state |= source_values(trained, lacking, metadata.get("given_sha256"))
        if wrong := next(mismatches(network, state), None):
            raise WeightsError(wrong)
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


def published(wanted: Published) -> Network:
    """The network of ImageNet's 1,000 classes with its pinned weights, on the CPU, in fp32.

    Raises WeightsError where they cannot be fetched.
    """
    name, row = wanted.architecture, libraries.architecture(wanted.architecture)
    state = imagenet(name, row.pinned, offline=wanted.offline)
    size = pinned_pipeline(name).crop_size
    values = libraries.library(row).values(row, state, size)
    num_classes = len(values[f"{row.head}.weight"])
    network = build.build(name, num_classes, size, state=state, backbone_seed=0, head_seed=0)
    layer = network.head.get_submodule("layer")
    head = {path: values[f"{row.head}.{path}"].view_as(v) for path, v in layer.state_dict().items()}
    layer.load_state_dict(head)
    return network.eval()


def imagenet(architecture: str, member: str, *, offline: bool) -> State:
    wish = {architecture: Request(architecture, member)}
    choice = weights.choose(wish, ("random",), offline=offline)
    return weights.load_state(choice.weights[architecture], choice.paths[architecture]) or {}


def pinned_pipeline(architecture: str) -> Preprocessing:
    return build.preprocessing(architecture, libraries.architecture(architecture).pinned, None)


def pipeline_of(trained: Trained) -> Preprocessing:
    """That of the cell: run.json has it for one image size of the architecture.

    Raises WeightsError where no weights have the pipeline on record.
    """
    cell, known = trained.record.cell, trained.pipeline
    if known.crop_size == cell.image_size:
        return known
    row = libraries.architecture(cell.architecture)
    for name in (row.pinned, *libraries.library(row).published(row)):
        if build.preprocessing(cell.architecture, name, known.crop_size) == known:
            return build.preprocessing(cell.architecture, name, cell.image_size)
    raise WeightsError(f"run.json: no weights of {cell.architecture} have such a preprocessing")
