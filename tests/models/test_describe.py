"""The description of an architecture, against numbers from torchvision's own pages and papers."""

import pytest
import torch
from torchvision import models

from bench.architectures import ARCHITECTURES
from bench.models.build import describe


def test_resnet18_is_described_as_its_paper_and_torchvision_do() -> None:
    found = describe("resnet18")
    assert (found.parameters, found.head_parameters) == (11_689_512, 512 * 1000 + 1000)
    assert (found.head, found.head_kind, found.in_features) == ("fc", "linear", 512)
    assert found.head_dropout is None
    assert [stage.prefixes[0] for stage in found.stages] == [
        *("conv1", "layer1", "layer2", "layer3", "layer4")
    ]
    # 7 x 7 x 3 x 64 weights and the batch norm's two times 64.
    assert found.stages[0].parameters == 7 * 7 * 3 * 64 + 2 * 64
    assert round(found.macs / 1e9, 1) == 1.8
    pinned, pipeline = found.pinned, found.preprocessing
    assert pinned is not None
    assert pinned.file.address == "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert pinned.file.name == "resnet18-f37072fd.pth"
    assert (pinned.megabytes, pinned.top1, pinned.top5) == (44.661, 69.758, 89.078)
    assert (pipeline.resize_size, pipeline.crop_size) == (256, 224)
    assert found.other_weights == ()


def test_a_convolutional_head_is_called_one() -> None:
    found = describe("squeezenet1_1")
    assert (found.head_kind, found.in_features, found.head_dropout) == ("1x1 convolution", 512, 0.5)


def test_other_weights_are_listed() -> None:
    assert describe("resnet50").other_weights == ("IMAGENET1K_V2",)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["regnet_y_400mf", "vit_b_32", "inception_v3", "maxvit_t"])
def test_the_parts_add_up(name: str) -> None:
    found = describe(name)
    assert sum(s.parameters for s in found.stages) + found.head_parameters == found.parameters
    assert found.pinned is not None
    assert found.pinned.name == ARCHITECTURES[name].pinned


@pytest.mark.slow
def test_describing_the_largest_allocates_no_weights() -> None:
    before = torch.random.get_rng_state()
    found = describe("regnet_y_128gf")
    meta = models.RegNet_Y_128GF_Weights.IMAGENET1K_SWAG_E2E_V1.meta
    assert found.parameters == meta["num_params"]  # 2.6 GB, were it built
    assert torch.equal(torch.random.get_rng_state(), before)
