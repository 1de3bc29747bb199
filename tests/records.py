"""Records of a made-up run, built through the schema: realistic sizes, every number drawn."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench import identity, predictions
from bench.analysis.choice import Summary, summarise
from bench.analysis.table import table
from bench.folder import CHECKSUM, sealed
from bench.record import (
    Cell,
    Cost,
    Data,
    Energy,
    EpochPoint,
    Execution,
    Failure,
    Latency,
    Machine,
    Memory,
    Preprocessing,
    Provenance,
    Quality,
    Recipe,
    Result,
    Run,
    Scores,
    Seconds,
    Throughput,
    UsedWeights,
    Weights,
)
from bench.suite import ArchitectureEntry, Kind, Suite


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change run.json or a record as one who knows how its checksum is made."""
    content = json.loads(path.read_text("utf-8"))
    content.pop(CHECKSUM)
    change(content)
    path.write_text(sealed(content), encoding="utf-8")


CPU = Machine(
    device="cpu", gpu_name=None, gpu_memory_bytes=None, gpu_count=0, compute_capability=None,
    mig=None, power_limit_watts=None, driver=None, cuda=None, cudnn=None, cpu_model="AMD EPYC",
    cpu_capability="AVX512", usable_cores=2, memory_gib=6, python="3.11.9", torch="2.15.0",
    torchvision="0.29.2", numpy="2.3.1", pillow="11.0.0", os="Linux", container=True,
    torch_commit="d0f2af8b", torch_build="07f0372b5746",
    cpu_signature="AuthenticAMD 26-2-1",
)  # fmt: skip
GPU = CPU.model_copy(
    update={
        "device": "cuda", "gpu_name": "NVIDIA H200", "gpu_memory_bytes": 150_000_000_000,
        "gpu_count": 1, "compute_capability": "9.0", "mig": False, "power_limit_watts": 700.0,
        "driver": "570.1", "cuda": "12.8", "cudnn": "9.7", "usable_cores": 16,
        "driver_branch": "570", "gpu_multiprocessors": 132, "ecc": True,
    }
)  # fmt: skip

# Skill, parameters, MACs and seconds per pass of networks as they might come out.
ARCHITECTURES = {
    "resnet18": (0.94, 11_181_642, 83_000_000, 1.0),
    "resnet50": (0.93, 23_528_522, 190_000_000, 2.6),
    "efficientnet_b0": (0.90, 4_020_358, 18_000_000, 1.7),
    "efficientnet_b4": (0.86, 17_566_546, 71_000_000, 4.1),
    "vit_b_16": (0.72, 85_806_346, 850_000_000, 6.5),
    "mobilenet_v3_small": (0.88, 1_528_106, 3_000_000, 0.7),
}
STRATEGIES: dict[str, tuple[Kind, float, float, float]] = {
    "feature_extraction": ("feature_extraction", -0.12, 0.05, 0.001),
    "fine_tuning": ("fine_tuning", 0.03, 1.0, 1.0),
    "two_phase": ("two_phase", 0.025, 0.6, 1.0),
    "partial": ("partial", 0.0, 0.5, 0.6),
    "from_scratch": ("from_scratch", -0.2, 1.0, 1.0),
}


def spec(name: str) -> tuple[float, int, int, float]:
    """Numbers of a known architecture, or resnet18's for a name made up by a test."""
    return ARCHITECTURES.get(name, ARCHITECTURES["resnet18"])


def scores(correct: int, num_images: int, num_classes: int = 10) -> Scores:
    """Scores of a network that gets the first `correct` of `num_images` right."""
    labels = np.arange(num_images) % num_classes
    return answers(labels, np.arange(num_images) < correct, num_classes)


def answers(labels_N: ArrayLike, right_N: ArrayLike, num_classes: int = 10) -> Scores:
    """Scores of a network by what it gets right, [N] each; else it says the next class."""
    labels, right = np.asarray(labels_N), np.asarray(right_N, dtype=bool)
    predicted = np.where(right, labels, (labels + 1) % num_classes)
    confusion = np.zeros((num_classes, num_classes), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    top1 = float(right.mean())
    recall = [float(right[labels == k].mean()) for k in np.unique(labels)]
    return Scores(
        num_images=len(labels), top1=top1, top5=min(1.0, top1 + 0.04), macro_f1=top1,
        balanced_accuracy=float(np.mean(recall)), recall=(top1,) * num_classes, ece=0.03, nll=0.4,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        predictions=predictions.pack(labels, predicted, np.full(len(labels), 0.9)),
    )  # fmt: skip


def data(classes: Sequence[str] = tuple("0123456789")) -> Data:
    """The digits, split as the CPU capstone splits them."""
    return Data(
        name="digits", classes=tuple(classes), content_sha256="c" * 64, split_sha256="d" * 64,
        num_train=300, num_val=400, num_test=1000,
    )  # fmt: skip


def kind(strategy: str) -> Kind:
    """Of a strategy; one made up by a test is of the kind fine_tuning."""
    return STRATEGIES[strategy][0] if strategy in STRATEGIES else "fine_tuning"


def entry(label: str) -> ArchitectureEntry:
    """The architecture of a label, in a suite."""
    name, _, weights = label.partition(":")
    return ArchitectureEntry(name=name, weights=weights or None)


def cell(architecture: str, strategy: str, seed: int, source: str = "random") -> Cell:
    """A cell of the made-up suite; an unknown strategy is of the kind fine_tuning."""
    kind_ = kind(strategy)
    recipe = Recipe(
        epochs=10, head_epochs=5 if kind_ == "two_phase" else None,
        stages=1 if kind_ == "partial" else None, batch_size=32, lr=1e-3, backbone_lr_scale=0.3,
        weight_decay=0.05, warmup_epochs=1.0, label_smoothing=0.1, augment="standard", flip=False,
        views=1, precise_bn=True, checkpoint="last", precision="auto",
    )  # fmt: skip
    weights = {
        "imagenet": Weights(source="imagenet", name="IMAGENET1K_V1", sha256="f37072fd" * 8),
        "random": Weights(source="random", name="random", init_seed=0),
    }
    scratch = Weights(source="scratch", name="scratch")
    return Cell(
        architecture=architecture.partition(":")[0], architecture_label=architecture,
        weights=scratch if kind_ == "from_scratch" else weights[source], strategy=strategy,
        kind=kind_, recipe=recipe, image_size=48, data=data(), seed=seed,
    )  # fmt: skip


def seconds(train: float) -> Seconds:
    """A split of the time whose parts add up."""
    return Seconds(wall=train + 2.5, data=0.4, build=0.6, warmup=0.2, train=train, eval=1.3)


def curve(of: Cell, final: float, draw: np.random.Generator) -> tuple[EpochPoint, ...]:
    """A learning curve that rises to `final`, with the phases of the cell's kind."""
    points = []
    for epoch in range(1, of.recipe.epochs + 1):
        head = of.kind == "two_phase" and epoch <= (of.recipe.head_epochs or 0)
        reached = final * (1 - 0.85 * np.exp(-epoch / 2.5)) * (0.85 if head else 1)
        noise = draw.normal(0, 0.01)
        points.append(
            EpochPoint(
                phase="head" if head else "all",
                epoch=epoch,
                train_loss=0.55 + 2 * (1 - final) + 1.7 * np.exp(-epoch * final / 2.5) + abs(noise),
                val_score=float(np.clip(reached + noise, 0, 1)),
            )
        )
    return tuple(points)


def result(
    of: Cell,
    val: int = 380,
    test: int = 950,
    train_seconds: float = 10.0,
    peak_memory_bytes: int | None = 200 * 2**20,
    machine: Machine = CPU,
) -> Result:
    """An ok record with so many val and test images right."""
    draw = np.random.default_rng(zlib.crc32(identity.cell_id(of).encode()))
    _, parameters, macs, slowness = spec(of.architecture_label)
    share = STRATEGIES[of.strategy][3] if of.strategy in STRATEGIES else 1.0
    on_gpu = machine.device == "cuda"
    execution = Execution(
        precision="fp32", channels_last=True, threads=2, allow_tf32=False, deterministic=False,
        cudnn_benchmark=False, captured=on_gpu, compiled=False, resident=True,
        cudnn_allow_tf32=False, cudnn_deterministic=False, float32_matmul_precision="highest",
        cublas_workspace="unset", hash_seed="unset",
    )  # fmt: skip
    latency = Latency(
        batch1_p50_seconds=0.006 * slowness, batch1_p95_seconds=0.008 * slowness, num_calls=50,
        batch_size=64, images_per_second=900 / slowness,
    )  # fmt: skip
    return Result(
        cell_id=identity.cell_id(of), cell=of,
        quality=Quality(val=scores(val, 400), test=scores(test, 1000)),
        curve=curve(of, val / 400, draw),
        cost=Cost(
            attributed=seconds(train_seconds), marginal=seconds(train_seconds), shared_by=1,
            images_per_second=Throughput(
                median=300 / slowness, lower_quartile=280 / slowness,
                upper_quartile=310 / slowness, num_epochs=9,
            ),
            latency=latency, total_parameters=parameters,
            trainable_parameters=int(parameters * share), trainable_share=share,
            phases=(), forward_macs=macs, seconds_to_target=train_seconds / 2, images="cold",
            features="computed" if of.kind in ("feature_extraction", "two_phase") else None,
        ),
        memory=Memory(
            gpu_allocated_bytes=peak_memory_bytes if on_gpu else None,
            gpu_reserved_bytes=None, gpu_device_bytes=None,
            cpu_rss_above_start_bytes=None if on_gpu else peak_memory_bytes,
        ),
        energy=Energy(attributed_joules=None, marginal_joules=None),
        machine=machine, execution=execution, keys=identity.keys(of, execution, machine),
        provenance=Provenance(
            bench="0.1.0", commit=None, finished_at="2026-11-02T10:00:00Z"
        ),
    )  # fmt: skip


def answered(of: Cell, right_N: ArrayLike, labels_N: ArrayLike | None = None) -> Result:
    """An ok record by the val images that are right, [N], of ten classes in turn if not told."""
    labels = np.arange(len(np.asarray(right_N))) % 10 if labels_N is None else labels_N
    one = result(of)
    quality = one.quality.model_copy(update={"val": answers(labels, right_N)})
    return one.model_copy(update={"quality": quality})


def with_test(one: Result, labels_N: Sequence[int]) -> Result:
    """The record of a network that has all these test images right."""
    test = answers(labels_N, np.ones(len(labels_N), dtype=bool))
    return one.model_copy(update={"quality": one.quality.model_copy(update={"test": test})})


def wrong_on_val(one: Result, wrong: slice) -> Result:
    """The record of a network that has these of the 400 val images wrong."""
    right_N = np.ones(400, dtype=bool)
    right_N[wrong] = False
    val = answers(np.arange(400) % 10, right_N)
    return one.model_copy(update={"quality": one.quality.model_copy(update={"val": val})})


def failure(of: Cell, status: str = "diverged", reason: str = "loss is NaN in epoch 3") -> Failure:
    """The record of a cell that did not finish."""
    return Failure.model_validate(
        {
            "cell_id": identity.cell_id(of), "status": status, "kind": "training",
            "reason": reason, "cell": of, "seconds": 3.0, "machine": CPU,
            "provenance": Provenance(
                bench="0.1.0", commit=None, finished_at="2026-11-02T10:00:00Z"
            ),
        }
    )  # fmt: skip


def run(
    architectures: Sequence[str],
    strategies: Sequence[str],
    seeds: Sequence[int] = (0,),
    machine: Machine = CPU,
    source: str = "random",
    own_seeds: Mapping[str, Sequence[int]] = MappingProxyType({}),
    **suite: object,
) -> Run:
    """run.json of a finished run that asked for every combination; `own_seeds` by strategy."""
    asked = [
        cell(a, s, seed, source)
        for a in architectures
        for s in strategies
        for seed in own_seeds.get(s, seeds)
    ]
    preprocessing = Preprocessing(
        resize_size=55, crop_size=48, interpolation="bilinear", antialias=True,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
    )  # fmt: skip
    return Run(
        suite_name="capstone",
        suite=Suite.model_validate(
            {
                "name": "capstone",
                "architectures": [entry(name) for name in architectures],
                "strategies": [
                    {"name": name, "kind": kind(name), "seeds": own_seeds.get(name)}
                    for name in strategies
                ],
                "seeds": list(seeds),
                **suite,
            }
        ),
        profile="gpu" if machine.device == "cuda" else "cpu",
        machine=machine, data=data(), data_notes=("3 hidden files were left out",),
        duplicates={"train/test": 0}, source=UsedWeights(wanted=(source,), used=source),
        preprocessing=dict.fromkeys(architectures, preprocessing),
        cells=tuple(identity.cell_id(one) for one in asked), status="finished",
        started_at="2026-11-02T09:50:00Z", finished_at="2026-11-02T10:00:00Z", wall_seconds=512.0,
    )  # fmt: skip


def suite_of(run_: Run, **changes: Any) -> Suite:
    """The suite of a run with other values for some keys, checked."""
    return Suite.model_validate({**run_.suite.model_dump(), **changes})


def drawn(run_: Run, strategies: Sequence[str], source: str = "random") -> list[Result]:
    """An ok record for every cell of a run, with scores and costs as they might come out."""
    draw = np.random.default_rng(7)
    own = {entry.name: entry.seeds for entry in run_.suite.strategies if entry.seeds}
    found = []
    for architecture in run_.preprocessing:
        skill, _, _, slowness = spec(architecture)
        base = skill + draw.normal(0, 0.01)
        for strategy in strategies:
            _, gain, cost, share = STRATEGIES.get(strategy, ("fine_tuning", 0.0, 0.8, 0.7))
            for seed in own.get(strategy, run_.suite.seeds):
                top1 = float(np.clip(base + gain + draw.normal(0, 0.012), 0.05, 0.99))
                found.append(
                    result(
                        cell(architecture, strategy, seed, source),
                        val=round(400 * float(np.clip(top1 + draw.normal(0, 0.01), 0, 1))),
                        test=round(1000 * top1),
                        train_seconds=30 * slowness * cost * float(draw.uniform(0.9, 1.1)),
                        peak_memory_bytes=int(2**20 * (60 + 90 * slowness * (0.3 + share))),
                        machine=run_.machine,
                    )
                )
    return found


def reused(record: Result) -> Result:
    """The record of a cell that used the features of an earlier run."""
    return record.model_copy(update={"cost": record.cost.model_copy(update={"features": "reused"})})


def executed(record: Result, **changed: object) -> Result:
    """The record of a cell that ran in another way."""
    execution = record.execution.model_copy(update=changed)
    return record.model_copy(update={"execution": execution})


def summarised(run_: Run, records: Sequence[Result | Failure]) -> Summary:
    """The choice of a run by its records."""
    return summarise(table(run_, records))
