"""A whole cell as a user would write it by hand: what every fast path is held against.

Slow, and plain to see: torch and torchvision only. Every picture is opened and goes through the
transforms of the weights each time it is looked at, in fp32 and torch's own memory layout; a frozen
backbone runs again for every batch; AdamW has one group for each parameter, by a rule that is
written out here. Only seeds, pictures and recipes are taken from the suite.

Dimensions: N images, B batch, C channels, H, W pixels, K classes.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from torchvision.transforms import v2

from bench.data.sources import open_image, scan_digits
from bench.data.split import Split
from bench.record import Cell
from bench.training.network import derived_seed

HEAD = {
    "resnet18": "fc",
    "mobilenet_v3_small": "classifier.3",
    "squeezenet1_1": "classifier.1",
    "vit_b_16": "heads.head",
}
LAST_STAGE = {
    "resnet18": ["layer4"],
    "mobilenet_v3_small": ["features.11", "features.12", "classifier.0"],
    "vit_b_16": [
        "encoder.layers.encoder_layer_10",
        "encoder.layers.encoder_layer_11",
        "encoder.ln",
    ],
}
EVERYTHING = ""
UNDECAYED = ["class_token", "encoder.pos_embedding"]

LOG_RATIOS = (math.log(3 / 4), math.log(4 / 3))
"""Of a crop's width and height."""

CHUNK = 128
"""Pictures in a batch that is scored, at most."""

DRAWN = 32
"""In one that the statistics of a backbone of random values come from."""


def at_once(batch: int, image_size: int) -> int:
    """Pictures in a batch that statistics come from: more where they are smaller than 64 px."""
    return min(CHUNK, max(batch, 128 * 32 * 32 // image_size**2))


class Learned(NamedTuple):
    """What came of a cell."""

    losses: list[float]  # of each epoch, through all phases
    val_scores: list[float]
    heads: list[dict[str, Tensor]]  # of each phase, at its end
    test_logits_NK: Tensor
    test_labels_N: Tensor


class Phase(NamedTuple):
    """Epochs under the same rates."""

    epochs: int
    rates: dict[str, float]  # by prefix, the first that covers a parameter; frozen where none does


def learn(cell: Cell, split: Split, dtype: torch.dtype = torch.float32) -> Learned:
    """Train and score a cell on the digits. It has at most five epochs to each phase."""
    train, val, test = (Pictures(cell, part, dtype) for part in split[:3])
    network = start(cell, train)
    losses, val_scores, heads = [], [], []
    for phase in phases(cell):
        # Each phase has its own order and dropped units, from the same seeds.
        order = torch.Generator().manual_seed(derived_seed(cell.seed, "batches"))
        torch.manual_seed(derived_seed(cell.seed, "dropout"))
        for loss in epochs(network, cell, phase, train, order):
            losses.append(loss)
            if cell.recipe.precise_bn:
                size = at_once(cell.recipe.batch_size, cell.image_size)
                average_statistics(network, learning_norms(network, phase), train, 512, size)
            correct_N = logits(network, val).argmax(dim=1) == val.labels_N
            val_scores.append(int(correct_N.sum()) / len(correct_N))
        head = network.get_submodule(HEAD[cell.architecture])
        heads.append({name: value.clone() for name, value in head.state_dict().items()})
    return Learned(losses, val_scores, heads, logits(network, test), test.labels_N)


# ---- pictures -------------------------------------------------------------------------------


class Pictures:
    """One part of the digits, opened and transformed anew whenever it is looked at."""

    def __init__(self, cell: Cell, items: Sequence[int], dtype: torch.dtype) -> None:
        self._items, self.dtype = items, dtype
        self._digits = scan_digits("digits")
        self._random, self._flip = random.Random(cell.seed), cell.recipe.flip
        self.labels_N = torch.tensor([self._digits.items[item].label for item in items])
        published = models.get_model_weights(cell.architecture)["IMAGENET1K_V1"].transforms()
        (own_size,), (own_resize,) = published.crop_size, published.resize_size
        self._size, self._interpolation = cell.image_size, published.interpolation
        self._resize = round(own_resize * self._size / own_size)
        self._eval = type(published)(
            crop_size=self._size,
            resize_size=self._resize,
            mean=published.mean,
            std=published.std,
            interpolation=published.interpolation,
            antialias=published.antialias,
        )
        self._jitter = v2.Compose(
            [
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
                v2.Normalize(published.mean, published.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, indices_B: Tensor, *, augment: bool = False) -> Tensor:
        """Some of the pictures, [B, C, H, W]."""
        transform = self._augmented if augment else self._eval
        chosen = [self._digits.items[self._items[index]] for index in indices_B.tolist()]
        pictures = [transform(open_image(self._digits, item)) for item in chosen]
        return torch.stack(pictures).to(self.dtype)

    def _augmented(self, picture: Image.Image) -> Tensor:
        """As torchvision's RandomResizedCrop and ColorJitter.

        But for crops of whole pixels: of 37, their places vary by an eighth more than those of
        large pictures do.
        """
        side = self._resize
        square = v2.functional.resize(picture, [side], self._interpolation)
        square = v2.functional.center_crop(square, [side])
        left, top, width, height = self._box(side)
        box = (left, top, left + width, top + height)
        crop = square.resize((self._size, self._size), Image.Resampling.BILINEAR, box=box)
        if self._flip and self._random.random() < 0.5:
            crop = ImageOps.mirror(crop)
        jittered: Tensor = self._jitter(crop)
        return jittered

    def _box(self, side: float) -> tuple[float, float, float, float]:
        """Left, top, width and height of a random crop of a square."""
        uniform = self._random.uniform
        for _ in range(10):
            area, ratio = uniform(0.6, 1.0) * side**2, math.exp(uniform(*LOG_RATIOS))
            width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
            if width <= side and height <= side:
                return uniform(0, side - width), uniform(0, side - height), width, height
        return 0, 0, side, side


# ---- the network ----------------------------------------------------------------------------


def start(cell: Cell, train: Pictures) -> nn.Module:
    """torchvision's network before its first step, drawn from the seeds of the cell."""
    scratch = cell.kind == "from_scratch"
    size: dict[str, Any] = {}
    if cell.architecture.startswith("vit"):
        size = {"image_size": cell.image_size}
    torch.manual_seed(derived_seed(cell.seed, "backbone") if scratch else 0)
    network: nn.Module = models.get_model(cell.architecture, weights=None, **size)
    path = HEAD[cell.architecture]
    old = network.get_submodule(path)
    torch.manual_seed(derived_seed(cell.seed, "head"))
    new: nn.Module
    if isinstance(old, nn.Conv2d):
        new = nn.Conv2d(old.in_channels, len(cell.data.classes), kernel_size=1)
    else:
        assert isinstance(old, nn.Linear)
        new = nn.Linear(old.in_features, len(cell.data.classes))
    network.set_submodule(path, new)
    network.to(train.dtype)
    if not scratch:
        # A backbone of random values has statistics of its own only once it has seen pictures.
        norms = norms_under(network, [EVERYTHING])
        average_statistics(network, norms, train, len(train), at_once(DRAWN, cell.image_size))
    return network


def norms_under(network: nn.Module, prefixes: Sequence[str]) -> list[nn.BatchNorm2d]:
    """The batch norms at and below these paths."""
    below = [module for prefix in prefixes for module in network.get_submodule(prefix).modules()]
    return [module for module in dict.fromkeys(below) if isinstance(module, nn.BatchNorm2d)]


def learning_norms(network: nn.Module, phase: Phase) -> list[nn.BatchNorm2d]:
    """Those whose statistics move in a phase."""
    return norms_under(network, list(phase.rates))


@torch.no_grad()
def average_statistics(
    network: nn.Module,
    norms: Sequence[nn.BatchNorm2d],
    train: Pictures,
    at_most: int,
    batch_size: int,
) -> None:
    """Set running statistics to the average of those of batches of train."""
    if not norms:
        return
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        (maps_BCHW,) = inputs
        seen[norm].append((maps_BCHW.mean((0, 2, 3)), maps_BCHW.var((0, 2, 3), correction=1)))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
    shuffled_N = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    for indices_B in chunked(min(at_most, len(train)), batch_size):
        network(train.batch(shuffled_N[indices_B]))
    for hook in hooks:
        hook.remove()
    for norm in norms:
        means, variances = zip(*seen[norm], strict=True)
        norm.running_mean = sum(means) / len(means)
        norm.running_var = sum(variances) / len(variances)
    network.eval()


@torch.no_grad()
def logits(network: nn.Module, pictures: Pictures) -> Tensor:
    """Logits of all pictures in eval mode, [N, K]."""
    network.eval()
    chunks = chunked(len(pictures), CHUNK)
    return torch.cat([network(pictures.batch(indices_B)) for indices_B in chunks])


def chunked(num_images: int, at_most: int) -> Sequence[Tensor]:
    """All indices, in as few even chunks as there may be."""
    return torch.arange(num_images).tensor_split(math.ceil(num_images / at_most))


# ---- training -------------------------------------------------------------------------------


def phases(cell: Cell) -> list[Phase]:
    """The phases of a strategy, written out."""
    recipe, head = cell.recipe, HEAD[cell.architecture]
    lr, low = recipe.lr, recipe.lr * recipe.backbone_lr_scale
    match cell.kind:
        case "feature_extraction":
            return [Phase(recipe.epochs, {head: lr})]
        case "partial":
            stage = dict.fromkeys(LAST_STAGE[cell.architecture], low)
            return [Phase(recipe.epochs, {head: lr, **stage})]
        case "two_phase":
            first = recipe.head_epochs or recipe.epochs // 2
            return [Phase(first, {head: lr}), Phase(recipe.epochs - first, {EVERYTHING: low})]
        case "fine_tuning" | "from_scratch":
            return [Phase(recipe.epochs, {head: lr, EVERYTHING: low})]
    raise AssertionError(f"no plain phases of {cell.kind}")


def epochs(
    network: nn.Module, cell: Cell, phase: Phase, train: Pictures, order: torch.Generator
) -> Iterator[float]:
    """Train through a phase; the mean loss of each epoch."""
    recipe, optimiser = cell.recipe, optimiser_of(network, phase, cell.recipe.weight_decay)
    peaks = [group["lr"] for group in optimiser.param_groups]
    size = min(recipe.batch_size, len(train))
    steps = len(train) // size
    warmup, total = min(recipe.warmup_epochs, phase.epochs / 2) * steps, phase.epochs * steps
    taken = 0
    for _ in range(phase.epochs):
        set_modes(network, phase)
        shuffled_N = torch.randperm(len(train), generator=order)
        losses = []
        for first in range(0, steps * size, size):
            indices_B = shuffled_N[first : first + size]
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * rate_at(taken, warmup, total)
            images_BCHW = train.batch(indices_B, augment=augments(cell, phase))
            loss = functional.cross_entropy(
                network(images_BCHW),
                train.labels_N[indices_B],
                label_smoothing=recipe.label_smoothing,
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
            taken += 1
        yield sum(losses) / steps


def augments(cell: Cell, phase: Phase) -> bool:
    """A head alone sees the eval crops."""
    return cell.recipe.augment == "standard" and list(phase.rates) != [HEAD[cell.architecture]]


def optimiser_of(network: nn.Module, phase: Phase, weight_decay: float) -> torch.optim.AdamW:
    """AdamW on what learns in a phase; the rest is frozen."""
    groups = []
    for name, parameter in network.named_parameters():
        rate = rate_of(name, phase)
        parameter.requires_grad_(rate is not None)
        if rate is not None:
            spared = parameter.ndim < 2 or name in UNDECAYED
            decay = 0.0 if spared else weight_decay
            groups.append({"params": [parameter], "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups)


def rate_of(name: str, phase: Phase) -> float | None:
    """The peak rate of a parameter; None for a frozen one."""
    for prefix, rate in phase.rates.items():
        if prefix == EVERYTHING or name.startswith(f"{prefix}."):
            return rate
    return None


def set_modes(network: nn.Module, phase: Phase) -> None:
    """Training mode for what learns, and for the dropout before the head."""
    network.eval()
    for prefix in phase.rates:
        network.get_submodule(prefix).train()
    for name, module in network.named_modules():
        if isinstance(module, nn.Dropout) and name.startswith("classifier."):
            module.train()


def rate_at(taken: int, warmup: float, total: int) -> float:
    """Share of the peak rate in a step: a line up, then half a cosine to zero."""
    if taken < warmup:
        return (taken + 1) / (warmup + 1)
    return (1 + math.cos(math.pi * (taken - warmup) / (total - warmup))) / 2
