"""The parts of a network under torchvision's names, and published files by their hash."""

from pathlib import Path

import pytest
import torch

from bench.architectures import ARCHITECTURES, nearest_size
from bench.errors import WeightsError
from bench.models import build, libraries
from bench.record import Preprocessing
from bench.serving import predict
from bench.serving.export import plain_model, plain_state
from bench.serving.messages import Trained
from tests.models.conftest import Publisher
from tests.serving.conftest import trained
from tests.training import cells

ONE_OF_EACH_FAMILY = list({row.family: name for name, row in ARCHITECTURES.items()}.values())


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_names_and_shapes_are_torchvisions_own(name: str) -> None:
    size = nearest_size(ARCHITECTURES[name], 224)
    outline = build.outline(name, 7, size)
    # RegNet computes its widths with small tensors, which must have values.
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        row = ARCHITECTURES[name]
        library = libraries.library(row)
        options = {"num_classes": 7, **library.options(row, size)}
        theirs = library.create(row, options).state_dict()
    ours = {path: value.shape for path, value in plain_state(outline, name).items()}
    assert ours == {path: value.shape for path, value in theirs.items()}


@pytest.mark.parametrize("name", ["squeezenet1_1", "mnasnet0_5", "shufflenet_v2_x0_5", "vit_b_16"])
def test_torchvisions_model_is_the_same_function(name: str) -> None:
    cell = cells.cell("from_scratch", name)
    ours = build.build(name, 10, 32, state=None, backbone_seed=1, head_seed=2).eval()
    theirs = plain_model(cell, plain_state(ours, name))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), ours(images), rtol=0, atol=0)


def test_a_published_file_is_downloaded_once(
    published: dict[str, str], publisher: Publisher, checkpoints: Path
) -> None:
    name, member = "squeezenet1_1", "IMAGENET1K_V1"
    for offline in (False, True):
        assert "classifier.1.weight" in predict.imagenet(name, member, offline=offline)
    (file,) = (file for file in publisher.files if file.startswith(name))
    assert publisher.requests[file] == 1
    with pytest.raises(WeightsError, match=r"shufflenet.*not in the cache; offline"):
        predict.imagenet("shufflenet_v2_x0_5", member, offline=True)


def test_the_pipeline_of_another_image_size_is_that_of_the_same_weights(run_folder: Path) -> None:
    found = trained(run_folder, "partial")
    assert predict.pipeline_of(found) == found.pipeline

    def recorded(pipeline: Preprocessing) -> Trained:
        cell = found.record.cell.model_copy(update={"architecture": "resnet50"})
        return found._replace(
            record=found.record.model_copy(update={"cell": cell}), pipeline=pipeline
        )

    # resnet50 was published twice: resized to 256 and to 232 pixels, for crops of 224.
    second = build.preprocessing("resnet50", "IMAGENET1K_V2", 224)
    assert predict.pipeline_of(recorded(second)).resize_size == round(232 * 32 / 224)
    with pytest.raises(WeightsError, match=r"run\.json: no weights of resnet50"):
        predict.pipeline_of(recorded(second.model_copy(update={"resize_size": 999})))
