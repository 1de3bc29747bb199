"""Lightning, Hugging Face Trainer and timm on the tutorial loop's task, with their fast flags.

Each is an optional install (`pip install -e '.[versus]'`) and trains the same torchvision model
from the same values on the same files, under its own loop, in bf16 where the device has it:
- lightning: bf16-mixed, workers that persist;
- transformers: bf16, workers that persist, fused AdamW, channels_last inputs;
- timm: its loader (with its prefetcher on a GPU), its scaler-free AMP, channels_last, its AdamW and
  cosine, as its train.py is called with --amp --amp-dtype bfloat16 --channels-last.
None of them decodes once or runs a frozen backbone once: no flag of theirs does.
"""

import logging
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks import tutorial
from tests.benchmarks.tutorial import Loader, Scored, Scores, Task


class Framework(NamedTuple):
    """One opponent, and the packages that it needs."""

    run: Callable[[Task, bool], list[Scores]]  # the flag: whether the device computes in bf16
    modules: tuple[str, ...]

    def load(self) -> None:
        """Import everything, so that no import is timed, and keep it quiet."""
        for name in self.modules:
            import_module(name)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


def loaders(task: Task) -> tuple[Loader, Loader, Loader]:
    """The tutorial's loaders with workers that stay."""
    on_gpu = task.device.startswith("cuda")
    options = {"persistent_workers": task.workers > 0, "pin_memory": on_gpu}
    return (
        tutorial.loader(task, "train", training=True, **options),
        tutorial.loader(task, "val", training=False, **options),
        tutorial.loader(task, "test", training=False, **options),
    )


# ---- Lightning ------------------------------------------------------------------------------


def run_lightning(task: Task, bf16: bool) -> list[Scores]:
    """Every seed under lightning.Trainer."""
    return [_lightning_seed(task, bf16, seed) for seed in range(len(task.starts))]


def _lightning_seed(task: Task, bf16: bool, seed: int) -> Scores:
    import lightning

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, model: nn.Module, steps_per_epoch: int) -> None:
            super().__init__()
            self.model, self.steps_per_epoch = model, steps_per_epoch

        def on_train_epoch_start(self) -> None:
            tutorial.learning(task, self.model)

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            inputs, labels = batch
            return functional.cross_entropy(
                self.model(inputs), labels, label_smoothing=task.label_smoothing
            )

        def predict_step(self, batch: tuple[Tensor, Tensor], number: int) -> tuple[Tensor, Tensor]:
            inputs, labels = batch
            return self.model(inputs).argmax(1), labels

        def configure_optimizers(self) -> dict[str, Any]:
            optimizer = torch.optim.AdamW(
                tutorial.parameter_groups(task, self.model),
                lr=task.lr,
                weight_decay=task.weight_decay,
            )
            scale = tutorial.schedule(task, self.steps_per_epoch)
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
            }

    torch.manual_seed(seed)
    train, val, test = loaders(task)
    module = Module(tutorial.model_of(task, task.starts[seed]), len(train))
    kind, _, index = task.device.partition(":")
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator="gpu" if kind == "cuda" else "cpu",
        devices=[int(index or 0)] if kind == "cuda" else 1,
        precision="bf16-mixed" if bf16 else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tempfile.gettempdir(),
    )
    trainer.fit(module, train)
    parts = []
    for part in (val, test):
        batches = trainer.predict(module, part)
        predicted = torch.cat([batch[0] for batch in batches])
        parts.append(Scored(predicted.tolist(), torch.cat([b[1] for b in batches]).tolist()))
    return Scores(*parts)


# ---- Hugging Face Trainer -------------------------------------------------------------------


def run_transformers(task: Task, bf16: bool) -> list[Scores]:
    """Every seed under transformers.Trainer."""
    return [_transformers_seed(task, bf16, seed) for seed in range(len(task.starts))]


class ImageClassifier(nn.Module):
    """A model in the form that Trainer asks for: a loss and logits by name."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model

    def train(self, mode: bool = True) -> "ImageClassifier":
        """Training mode, but for a frozen backbone."""
        super().train(mode)
        if mode:
            tutorial.learning(self.task, self.model)
        return self

    def forward(self, pixel_values: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The mean loss of a batch, and its logits."""
        logits = self.model(pixel_values)
        smoothing = self.task.label_smoothing
        return {
            "loss": functional.cross_entropy(logits, labels, label_smoothing=smoothing),
            "logits": logits,
        }


def collate(items: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
    """A batch in the form that Trainer asks for, channels last."""
    pixels = torch.stack([pixels for pixels, _ in items])
    return {
        "pixel_values": pixels.contiguous(memory_format=torch.channels_last),
        "labels": torch.tensor([label for _, label in items]),
    }


def _transformers_seed(task: Task, bf16: bool, seed: int) -> Scores:
    from transformers import PrinterCallback, Trainer, TrainingArguments

    parts = [tutorial.loader(task, part, training=part == "train") for part in tutorial.PARTS]
    train, val, test = parts
    model = tutorial.model_of(task, task.starts[seed]).to(memory_format=torch.channels_last)
    classifier = ImageClassifier(task, model)
    optimizer = torch.optim.AdamW(
        tutorial.parameter_groups(task, model),
        lr=task.lr,
        weight_decay=task.weight_decay,
        fused=True,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, tutorial.schedule(task, len(train)))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=classifier,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=task.epochs,
                per_device_train_batch_size=train.batch_size or 1,
                per_device_eval_batch_size=train.batch_size or 1,
                dataloader_num_workers=task.workers,
                dataloader_persistent_workers=task.workers > 0,
                dataloader_drop_last=True,
                bf16=bf16,
                use_cpu=task.device == "cpu",
                seed=seed,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                remove_unused_columns=False,
            ),
            data_collator=collate,
            train_dataset=train.dataset,
            optimizers=(optimizer, scheduler),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        trainer.args.dataloader_drop_last = False
        scored = [trainer.predict(part.dataset) for part in (val, test)]
    return Scores(*(Scored(o.predictions.argmax(1).tolist(), o.label_ids.tolist()) for o in scored))


# ---- timm -----------------------------------------------------------------------------------


def run_timm(task: Task, bf16: bool) -> list[Scores]:
    """Every seed under the pieces of timm's train.py."""
    return [_timm_seed(task, bf16, seed) for seed in range(len(task.starts))]


def _timm_loader(task: Task, part: str, *, training: bool) -> Any:
    from timm.data import create_loader

    on_gpu = task.device.startswith("cuda")
    images = tutorial.images(task, part, None)
    return create_loader(
        images,
        input_size=(3, task.crop_size, task.crop_size),
        batch_size=min(task.batch_size, len(images)),
        is_training=training,
        use_prefetcher=on_gpu,
        scale=(0.6, 1.0),
        hflip=0.5,
        color_jitter=None,
        interpolation=task.interpolation,
        mean=tuple(task.mean),
        std=tuple(task.std),
        crop_pct=task.crop_size / task.resize_size,
        num_workers=task.workers,
        pin_memory=on_gpu,
        device=torch.device(task.device),
        persistent_workers=task.workers > 0,
    )


def _timm_seed(task: Task, bf16: bool, seed: int) -> Scores:
    from timm.optim import create_optimizer_v2

    torch.manual_seed(seed)
    device = torch.device(task.device)
    model = tutorial.model_of(task, task.starts[seed]).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(
        tutorial.parameter_groups(task, model),
        opt="adamw",
        lr=task.lr,
        weight_decay=task.weight_decay,
    )
    images = _timm_loader(task, "train", training=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, tutorial.schedule(task, len(images)))

    def forward(inputs: Tensor) -> Tensor:
        inputs = inputs.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            logits: Tensor = model(inputs)
        return logits.float()

    for _ in range(task.epochs):
        tutorial.learning(task, model)
        for inputs, labels in images:
            logits = forward(inputs)
            loss = functional.cross_entropy(
                logits, labels.to(device), label_smoothing=task.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
    model.eval()
    parts = []
    for part in ("val", "test"):
        predicted: list[int] = []
        true: list[int] = []
        with torch.no_grad():
            for inputs, labels in _timm_loader(task, part, training=False):
                predicted += forward(inputs).argmax(1).tolist()
                true += labels.tolist()
        parts.append(Scored(predicted, true))
    return Scores(*parts)


FRAMEWORKS: Mapping[str, Framework] = {
    "lightning": Framework(run_lightning, ("lightning",)),
    "transformers": Framework(run_transformers, ("transformers", "accelerate")),
    "timm": Framework(run_timm, ("timm.data", "timm.optim")),
}
