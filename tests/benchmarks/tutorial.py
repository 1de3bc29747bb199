"""The loop of PyTorch's transfer-learning tutorial, as its readers write it; without bench.

ImageFolder and DataLoader, every JPEG decoded in every epoch, fp32, the frozen backbone run again
in every epoch, a number read from the device at every step. It is spared what would be unfair or
make the scores differ: val is scored once, after the last epoch; a frozen backbone is in eval mode;
the last, smaller batch is dropped; optimiser and rates are bench's, and so is the scale of its
crops. Colours are not jittered, which bench does.

Source: docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html

`python tests/benchmarks/tutorial.py TASK.json` runs it as a script would run.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms
from torchvision.transforms import InterpolationMode

Loader = DataLoader[tuple[Tensor, Tensor]]
PARTS = ("train", "val", "test")


class Task(NamedTuple):
    """What to train, on what, how. Plain values, so that it can be handed on as JSON."""

    folder: str  # train, val and test, each with class folders
    architecture: str
    head: str  # dotted name of the last layer
    num_classes: int
    starts: list[str]  # for each seed a file with the state dict to start from
    resize_size: int
    crop_size: int
    interpolation: str
    mean: list[float]
    std: list[float]
    epochs: int
    batch_size: int
    lr: float
    backbone_lr: float  # 0: frozen
    weight_decay: float
    warmup_epochs: float
    label_smoothing: float
    workers: int
    device: str

    @property
    def frozen(self) -> bool:
        """Whether only the head learns."""
        return self.backbone_lr == 0


class Scored(NamedTuple):
    """Predicted and true class of every image of a part, in the order of the file names."""

    predicted: list[int]
    labels: list[int]


class Scores(NamedTuple):
    """What one seed came to."""

    val: Scored
    test: Scored


def images(task: Task, part: str, pipeline: Any) -> datasets.ImageFolder:
    """The images of one part, each under the pipeline."""
    return datasets.ImageFolder(f"{task.folder}/{part}", pipeline)


def loader(task: Task, part: str, *, training: bool, **options: Any) -> Loader:
    """Batches of one part, decoded and transformed image by image."""
    mode = InterpolationMode(task.interpolation)
    if training:
        crop = [
            transforms.RandomResizedCrop(task.crop_size, scale=(0.6, 1.0), interpolation=mode),
            transforms.RandomHorizontalFlip(),
        ]
    else:
        crop = [
            transforms.Resize(task.resize_size, interpolation=mode),
            transforms.CenterCrop(task.crop_size),
        ]
    normalize = transforms.Normalize(task.mean, task.std)
    found = images(task, part, transforms.Compose([*crop, transforms.ToTensor(), normalize]))
    return DataLoader(
        found,
        batch_size=min(task.batch_size, len(found)),
        shuffle=training,
        drop_last=training,
        num_workers=task.workers,
        **options,
    )


def drawn_model(task: Task) -> nn.Module:
    """torchvision's model at values of its own."""
    size = {"image_size": task.crop_size} if task.architecture.startswith("vit") else {}
    model = models.get_model(task.architecture, num_classes=task.num_classes, **size)
    return cast(nn.Module, model)


def model_of(task: Task, start: str) -> nn.Module:
    """torchvision's model at its start values, with the backbone frozen where it is to be."""
    model = drawn_model(task)
    model.load_state_dict(torch.load(start, map_location="cpu", weights_only=True))
    if task.frozen:
        model.requires_grad_(False)
        model.get_submodule(task.head).requires_grad_(True)
    return model.to(task.device)


def parameter_groups(task: Task, model: nn.Module) -> list[dict[str, Any]]:
    """The head, and the backbone at its own rate where it learns."""
    head = list(model.get_submodule(task.head).parameters())
    groups: list[dict[str, Any]] = [{"params": head}]
    if not task.frozen:
        of_head = {id(parameter) for parameter in head}
        backbone = [p for p in model.parameters() if id(p) not in of_head]
        groups.append({"params": backbone, "lr": task.backbone_lr})
    return groups


def schedule(task: Task, steps_per_epoch: int) -> Callable[[int], float]:
    """A line up, then half a cosine to zero: the rate of each step relative to its peak."""
    total = steps_per_epoch * task.epochs
    warmup = steps_per_epoch * min(task.warmup_epochs, task.epochs / 2)

    def scale(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1.0, total - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return scale


def learning(task: Task, model: nn.Module) -> None:
    """Training mode, but for a frozen backbone."""
    model.train(not task.frozen)


def train(task: Task, model: nn.Module, images: Loader) -> None:
    """All epochs of the tutorial's loop."""
    criterion = nn.CrossEntropyLoss(label_smoothing=task.label_smoothing)
    optimizer = torch.optim.AdamW(
        parameter_groups(task, model), lr=task.lr, weight_decay=task.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(task, len(images)))
    for _ in range(task.epochs):
        learning(task, model)
        running_loss, running_corrects = 0.0, 0.0
        for inputs, labels in images:
            inputs, labels = inputs.to(task.device), labels.to(task.device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            running_loss += loss.item() * len(inputs)
            running_corrects += (outputs.argmax(1) == labels).sum().item()


@torch.no_grad()
def scored(task: Task, model: nn.Module, images: Loader) -> Scored:
    """The model's predictions on one part."""
    model.eval()
    predicted: list[int] = []
    true: list[int] = []
    for inputs, labels in images:
        predicted += model(inputs.to(task.device)).argmax(1).tolist()
        true += labels.tolist()
    return Scored(predicted, true)


def run(task: Task) -> list[Scores]:
    """Every seed from its start to its scores."""
    results = []
    for seed, start in enumerate(task.starts):
        torch.manual_seed(seed)
        model = model_of(task, start)
        train(task, model, loader(task, "train", training=True))
        val, test = (
            scored(task, model, loader(task, part, training=False)) for part in ("val", "test")
        )
        results.append(Scores(val, test))
    return results


def main() -> None:
    """Run the task of a file and print the accuracies."""
    task = Task(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for scores in run(task):
        for name, part in scores._asdict().items():
            correct = [a == b for a, b in zip(part.predicted, part.labels, strict=True)]
            print(name, sum(correct) / len(correct))


if __name__ == "__main__":
    main()
