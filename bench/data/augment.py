"""Standard training augmentation of a whole batch in one pass on the device.

RandomResizedCrop and horizontal flip are one bilinear sampling of the square images, then
brightness, contrast and saturation change, in this order, by factors of each image's own.
The random numbers of an epoch are drawn at once on the CPU: they are the same for every device,
and no training step waits for them.

Names end in N images of an epoch, B images of a batch, P parameters, C channels, H, W pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from bench.data.images import to_unit

SCALE = (0.6, 1.0)
"""Share of the square's area that a crop takes."""

RATIO = (3 / 4, 4 / 3)
"""Width over height of a crop."""

JITTER = 0.2
"""Brightness, contrast and saturation factors lie in 1 - JITTER .. 1 + JITTER."""

ATTEMPTS = 10
"""Crops tried for each image before the whole square is taken, as torchvision does."""

FLIP_PROBABILITY = 0.5
"""For photographs; a mirrored digit may be another one."""


def draw(generator: torch.Generator, num_images: int, flip_probability: float) -> Tensor:
    """Parameters of one epoch, float32 [N, 8], on the CPU.

    Columns: the crop's centre x, y and its width, height as shares of the square; -1 for a
    mirrored image, else 1; factors of brightness, contrast and saturation.
    """
    centre_size_N4 = draw_crops(generator, num_images)
    flips_N = torch.rand(num_images, generator=generator) < flip_probability
    factors_N3 = uniform(generator, (num_images, 3), 1 - JITTER, 1 + JITTER)
    mirror_N1 = torch.where(flips_N, -1.0, 1.0)[:, None]
    return torch.cat([centre_size_N4, mirror_N1, factors_N3], dim=1)


def draw_crops(generator: torch.Generator, num_images: int) -> Tensor:
    """Centre x, y, width and height of a crop for each image, as shares of the square, [N, 4].

    Area uniform, aspect ratio uniform in its logarithm, the first of several attempts that fits.
    Source: Szegedy et al. 2015, arXiv:1409.4842, section 6; bounds as torchvision's.
    """
    shape = (num_images, ATTEMPTS)
    area_NA = uniform(generator, shape, *SCALE)
    low, high = torch.tensor(RATIO).log().tolist()
    ratio_NA = uniform(generator, shape, low, high).exp()
    sides_NA2 = torch.stack([(area_NA * ratio_NA).sqrt(), (area_NA / ratio_NA).sqrt()], dim=2)
    fits_NA = (sides_NA2 <= 1).all(dim=2)
    first_N = fits_NA.to(torch.uint8).argmax(dim=1)  # the first of equal maxima
    sides_N2 = sides_NA2[torch.arange(num_images), first_N]
    sides_N2 = torch.where(fits_NA.any(dim=1, keepdim=True), sides_N2, 1.0)
    corners_N2 = torch.rand((num_images, 2), generator=generator) * (1 - sides_N2)
    return torch.cat([corners_N2 + sides_N2 / 2, sides_N2], dim=1)


def uniform(generator: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def apply(squares_BCHW: Tensor, params_BP: Tensor, image_size: int) -> Tensor:
    """Augmented images, float32 0..1 [B, C, image_size, image_size], from square uint8 images."""
    images_BCHW = crop(to_unit(squares_BCHW), params_BP[:, :5], image_size)
    return jitter(images_BCHW, params_BP[:, 5:])


def crop(squares_BCHW: Tensor, crops_B5: Tensor, image_size: int) -> Tensor:
    """Each image's box, mirrored where asked, resampled to image_size pixels square.

    The grid is made without a matrix product, which autocast or TF32 would round to a pixel.
    """
    x_B1, y_B1, width_B1, height_B1, mirror_B1 = crops_B5.chunk(5, dim=1)
    steps = torch.arange(image_size, device=crops_B5.device, dtype=torch.float32)
    centres = (2 * steps + 1) / image_size - 1  # pixel centres of the output in -1..1
    columns_BW = centres * (width_B1 * mirror_B1) + (2 * x_B1 - 1)
    rows_BH = centres * height_B1 + (2 * y_B1 - 1)
    shape = (len(crops_B5), image_size, image_size)
    grid_BHW2 = torch.stack(
        [columns_BW[:, None, :].expand(shape), rows_BH[:, :, None].expand(shape)], dim=3
    )
    return functional.grid_sample(
        squares_BCHW, grid_BHW2, mode="bilinear", padding_mode="border", align_corners=False
    )


def jitter(images_BCHW: Tensor, factors_B3: Tensor) -> Tensor:
    """Brightness, contrast and saturation of each image changed by its factors; a new tensor.

    Contrast is taken against the image's mean grey, saturation against each pixel's own grey.
    """
    brightness, contrast, saturation = (f[:, None, None] for f in factors_B3.chunk(3, dim=1))
    images_BCHW = (images_BCHW * brightness).clamp_(0, 1)
    mean_B111 = grey(images_BCHW).mean(dim=(1, 2, 3), keepdim=True)
    images_BCHW = torch.lerp(mean_B111, images_BCHW, contrast).clamp_(0, 1)
    return torch.lerp(grey(images_BCHW), images_BCHW, saturation).clamp_(0, 1)


def grey(images_BCHW: Tensor) -> Tensor:
    """Luma of RGB images, [B, 1, H, W]. Source: ITU-R BT.601."""
    red, green, blue = images_BCHW.chunk(3, dim=1)
    return (red * 0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
