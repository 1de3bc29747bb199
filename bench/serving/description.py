"""What model.json says of an exported network; plain JSON, and no path of this machine."""

from typing import Any

import torch
import torchvision

import bench
from bench.record import Preprocessing, Result, Scores
from bench.serving.plain import HOW_TO_LOAD, plain_options

FORMAT = 1
"""Of model.json."""


def description(record: Result, pipeline: Preprocessing) -> dict[str, Any]:
    """Everything but the files, which are known once they are written."""
    cell = record.cell
    return {
        "format": FORMAT,
        "architecture": cell.architecture,
        "options": plain_options(cell),
        "classes": list(cell.data.classes),
        "image_size": cell.image_size,
        "preprocessing": pipeline.model_dump(mode="json"),
        "input": "normalised images, float32 [batch, 3, height, width]",
        "output": "logits [batch, classes]; their softmax are probabilities",
        "trained": {
            "cell_id": record.cell_id,
            "strategy": cell.strategy,
            "kind": cell.kind,
            "seed": cell.seed,
            "weights": cell.weights.model_dump(mode="json", exclude_none=True),
            "images": cell.data.name,
            "num_train": cell.data.num_train,
        },
        "scores": {
            "of": "this network alone, one seed",
            "val": scores(record.quality.val),
            "test": scores(record.quality.test),
        },
        "versions": {
            "trained_with": {
                "bench": record.provenance.bench,
                "torch": record.machine.torch,
                "torchvision": record.machine.torchvision,
            },
            "exported_with": {
                "bench": bench.__version__,
                "torch": str(torch.__version__),
                "torchvision": torchvision.__version__,
            },
        },
        "how_to_load": HOW_TO_LOAD,
    }


def scores(found: Scores) -> dict[str, Any]:
    """The scores of one part, shares of 1, with the number of its images."""
    return {
        "num_images": found.num_images,
        "top1": found.top1,
        "top5": found.top5,
        "balanced_accuracy": found.balanced_accuracy,
        "macro_f1": found.macro_f1,
    }
