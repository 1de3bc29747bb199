"""What a training step sees: live augmented images, plain crops, or cached features.

A feed draws all random numbers of an epoch at once, on the CPU, so that the same seed gives the
same batches on every device and no step waits for the host.

Dimensions: N images, B batch, V views, C channels, H, W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.data import augment
from bench.data.images import Images, normalise, standardise
from bench.schema import Preprocessing

Batch = Callable[[Tensor], Tensor]
"""From the indices of a batch to the input of the module that trains."""


class Feed(Protocol):
    """Training inputs of one phase, resident on the device."""

    @property
    def labels_N(self) -> Tensor:
        """Class of each image, int64."""
        ...

    def epoch(self, generator: torch.Generator) -> Batch:
        """Draw one epoch's random numbers; the function returned gathers its batches."""
        ...


@dataclass(frozen=True)
class AugmentedImages:
    """Live standard augmentation."""

    images: Images
    preprocessing: Preprocessing
    flip: bool  # whether a mirrored image is still of its class

    @property
    def labels_N(self) -> Tensor:
        """Class of each image."""
        return self.images.labels_N

    def epoch(self, generator: torch.Generator) -> Batch:
        """New crops, flips and colours for every image."""
        squares_NCHW = self.images.squares_NCHW
        assert squares_NCHW is not None, "augmentation needs the squares around the crops"
        flip_probability = augment.FLIP_PROBABILITY if self.flip else 0.0
        params_NP = augment.draw(generator, len(squares_NCHW), flip_probability)
        params_NP = params_NP.to(self.images.labels_N.device, non_blocking=True)
        pipeline = self.preprocessing

        def batch(indices_B: Tensor) -> Tensor:
            params_BP = params_NP[indices_B]
            unit_BCHW = augment.apply(squares_NCHW[indices_B], params_BP, pipeline.crop_size)
            return standardise(unit_BCHW, pipeline.mean, pipeline.std)

        return batch


@dataclass(frozen=True)
class PlainImages:
    """The eval crops, without augmentation."""

    images: Images
    preprocessing: Preprocessing

    @property
    def labels_N(self) -> Tensor:
        """Class of each image."""
        return self.images.labels_N

    def epoch(self, generator: torch.Generator) -> Batch:
        """The same crops in every epoch."""
        return eval_batch(self.images, self.preprocessing)


@dataclass(frozen=True)
class CachedFeatures:
    """Features of a frozen backbone, one row per view of each image."""

    features_VN: Tensor  # [V, N, ...] float32
    labels_N: Tensor

    def epoch(self, generator: torch.Generator) -> Batch:
        """One view of each image, drawn anew in every epoch."""
        views, num_images = self.features_VN.shape[:2]
        if views == 1:
            return lambda indices_B: self.features_VN[0, indices_B]
        view_N = torch.randint(views, (num_images,), generator=generator)
        view_N = view_N.to(self.features_VN.device, non_blocking=True)
        return lambda indices_B: self.features_VN[view_N[indices_B], indices_B]


def eval_batch(images: Images, preprocessing: Preprocessing) -> Batch:
    """Eval crops, normalised as the weights ask."""
    return lambda indices_B: normalise(
        images.crops_NCHW[indices_B], preprocessing.mean, preprocessing.std
    )


def shuffled_crops(train: Images, preprocessing: Preprocessing) -> Batch:
    """Eval crops in a fixed random order, to estimate batch-norm statistics from.

    A data set lists its images class by class, and statistics of single classes are too narrow.
    """
    generator = torch.Generator().manual_seed(0)
    order_N = torch.randperm(len(train.labels_N), generator=generator)
    order_N = order_N.to(train.labels_N.device)
    crops = eval_batch(train, preprocessing)
    return lambda indices_B: crops(order_N[indices_B])
