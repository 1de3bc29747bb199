"""A phase made concrete: which module trains, on what, and on what it is scored."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.images import Images
from bench.models.build import Network
from bench.schema import Preprocessing, Recipe
from bench.training.feeds import (
    AugmentedImages,
    Batch,
    CachedFeatures,
    Feed,
    PlainImages,
    eval_batch,
    shuffled_crops,
)
from bench.training.shared import Features, Parts
from bench.training.strategies import PhasePlan


class Inputs(NamedTuple):
    """What the phases of a cell train on and are scored on."""

    images: Parts
    features: Features | None  # where the first phase leaves the backbone frozen
    preprocessing: Preprocessing


class Exam(NamedTuple):
    """Inputs and true classes of one part that is scored."""

    batch: Batch
    labels_N: NDArray[np.int64]


class Stage(NamedTuple):
    """What trains in one phase, on what, and how it is scored."""

    module: nn.Module
    feed: Feed
    val: Exam
    test: Exam
    crops: Batch | None  # shuffled train crops to re-estimate batch-norm statistics from


class HeadOnly(nn.Module):
    """The head under its own name, fed with features instead of images."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        """Logits, [B, K]."""
        logits_BK: Tensor = self.head(features)
        return logits_BK


def stage_of(plan: PhasePlan, network: Network, inputs: Inputs, recipe: Recipe) -> Stage:
    """Head-only phases see cached features; everything else sees images."""
    if plan.head_only:
        assert inputs.features is not None, "a head-only phase comes with features"
        return _on_features(network, inputs.images, inputs.features)
    return _on_images(network, inputs.images, inputs.preprocessing, recipe)


def _on_features(network: Network, images: Parts, features: Features) -> Stage:
    return Stage(
        module=HeadOnly(network.head),
        feed=CachedFeatures(features.train_VN, images.train.labels_N),
        val=Exam(lambda indices_B: features.val_N[indices_B], host(images.val.labels_N)),
        test=Exam(lambda indices_B: features.test_N[indices_B], host(images.test.labels_N)),
        crops=None,
    )


def _on_images(
    network: Network, images: Parts, preprocessing: Preprocessing, recipe: Recipe
) -> Stage:
    return Stage(
        module=network,
        feed=_image_feed(images.train, preprocessing, recipe),
        val=Exam(eval_batch(images.val, preprocessing), host(images.val.labels_N)),
        test=Exam(eval_batch(images.test, preprocessing), host(images.test.labels_N)),
        crops=shuffled_crops(images.train, preprocessing) if recipe.precise_bn else None,
    )


def _image_feed(train: Images, preprocessing: Preprocessing, recipe: Recipe) -> Feed:
    if recipe.augment == "none":
        return PlainImages(train, preprocessing)
    return AugmentedImages(train, preprocessing, recipe.flip)


def host(labels_N: Tensor) -> NDArray[np.int64]:
    """Labels as numpy sees them."""
    array_N: NDArray[np.int64] = labels_N.cpu().numpy()
    return array_N
