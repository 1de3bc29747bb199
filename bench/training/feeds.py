"""What a training step sees: live augmented images, or the plain crops.

A feed draws all random numbers of an epoch at once, on the CPU, so that the same seed gives the
same batches on every device and no step waits for the host. They are handed back to it with each
batch, so that a step can keep them where a captured graph looks for them.

Dimensions: N images, B batch, C channels, H, W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.data import augment
from bench.data.images import Images, normalise, standardise
from bench.record import Preprocessing

Batch = Callable[[Tensor], Tensor]
"""From the indices of a batch to the input of a module."""


class Feed(Protocol):
    """Training inputs of one phase."""

    @property
    def labels_N(self) -> Tensor:
        """Class of each image, int64, on the device."""
        ...

    def draw(self, generator: torch.Generator) -> Tensor:
        """The random numbers of one epoch, on the CPU; of the same shape in every epoch."""
        ...

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        """The inputs of a batch, by the random numbers of its epoch; both on the device."""
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

    def draw(self, generator: torch.Generator) -> Tensor:
        """New crops, flips and colours for every image."""
        flip_probability = augment.FLIP_PROBABILITY if self.flip else 0.0
        return augment.draw(generator, len(self.labels_N), flip_probability)

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        """Each image under its own draw, normalised as the weights ask."""
        squares_NCHW, pipeline = self.images.squares_NCHW, self.preprocessing
        assert squares_NCHW is not None, "augmentation needs the squares around the crops"
        unit_BCHW = augment.apply(squares_NCHW[indices_B], drawn[indices_B], pipeline.crop_size)
        return standardise(unit_BCHW, pipeline.mean, pipeline.std)


@dataclass(frozen=True)
class PlainImages:
    """The eval crops, without augmentation."""

    images: Images
    preprocessing: Preprocessing

    @property
    def labels_N(self) -> Tensor:
        """Class of each image."""
        return self.images.labels_N

    def draw(self, generator: torch.Generator) -> Tensor:
        """Nothing."""
        return torch.empty(0)

    def batch(self, indices_B: Tensor, drawn: Tensor) -> Tensor:
        """The same crops in every epoch."""
        return eval_batch(self.images, self.preprocessing)(indices_B)


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
