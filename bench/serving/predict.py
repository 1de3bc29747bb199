"""What pictures show, by a network that was trained or published. Runs in a child process.

Dimensions: B images of a block, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from bench.architectures import ARCHITECTURES
from bench.data.sources import open_path
from bench.measure import device as devices
from bench.models import weights
from bench.serving.messages import Prediction, Predictions, Published, Trained
from bench.serving.network import Crop, Scorer, block_size, blocks, scorer_of, stacked
from bench.training.placement import prepare_device


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
    scorer, pipeline = scorer_of(wanted, device)
    pictures = [partial(open_path, path) for path in paths]
    found: list[Prediction] = []
    for block in blocks(pictures, pipeline, block_size(device)):
        found += block_predictions(block, scorer, num_top, torch.device(str(device)))
        tell(len(found))
    return Predictions(classes_of(wanted), tuple(found))


def block_predictions(
    block: Sequence[Crop | str], scorer: Scorer, num_top: int, device: torch.device
) -> Iterator[Prediction]:
    crops = [crop for crop in block if not isinstance(crop, str)]
    tops = iter(likeliest(scorer(stacked(crops, device)).cpu().numpy(), num_top) if crops else ())
    for crop in block:
        yield Prediction((), crop) if isinstance(crop, str) else Prediction(next(tops))


def likeliest(
    logits_BK: NDArray[np.float32], num_top: int
) -> Iterator[tuple[tuple[int, float], ...]]:
    """The likeliest classes of each image and their probabilities; of equal ones the first."""
    for probabilities_K in softmax(logits_BK.astype(np.float64), axis=1):
        order = np.argsort(-probabilities_K, kind="stable")[:num_top]
        yield tuple((int(k), float(probabilities_K[k])) for k in order)


def classes_of(wanted: Trained | Published) -> tuple[str, ...]:
    if isinstance(wanted, Trained):
        return wanted.record.cell.data.classes
    name = wanted.architecture
    return tuple(weights.member(name, ARCHITECTURES[name].pinned).meta["categories"])
