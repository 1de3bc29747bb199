"""Folding changes the work, not the function."""

import pytest
import torch
from torch import nn

from bench.models.build import build, folded


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def lively(name: str) -> nn.Module:
    """A backbone whose norms have statistics and weights of their own, as after training."""
    backbone = build(name, 2, 64, state=None, backbone_seed=0, head_seed=0).backbone
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_mean, module.running_var, module.weight, module.bias):
                assert value is not None
                value.data.uniform_(0.5, 1.5, generator=generator)
    return backbone.eval()


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("resnet18", 0),
        ("mobilenet_v3_small", 0),
        ("efficientnet_b0", 0),
        ("regnet_y_400mf", 0),
        ("shufflenet_v2_x1_0", 0),
        ("googlenet", 0),
        ("densenet121", 62),  # before the convolutions, not after them: 121 less 59 that are
        ("vit_b_16", 0),
        ("swin_t", 0),
    ],
)
def test_a_folded_network_computes_the_same_with_fewer_norms(name: str, left: int) -> None:
    plain = lively(name)
    images_BCHW = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = plain(images_BCHW)
        less = folded(plain)
        torch.testing.assert_close(less(images_BCHW), expected, rtol=1e-3, atol=1e-4)
    assert norms(less) == left


def test_a_convolution_whose_output_is_used_twice_keeps_its_norm() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.norm.running_mean = torch.ones(4)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            once: torch.Tensor = self.convolution(images)
            normed: torch.Tensor = self.norm(once)
            return once + normed

    plain, images = Twice().eval(), torch.rand(1, 3, 2, 2)
    torch.testing.assert_close(folded(plain)(images), plain(images))
    assert norms(folded(plain)) == 1


def test_a_network_whose_path_depends_on_its_input_comes_back_as_it_is() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            bright: bool = images.sum().item() > 0
            normed: torch.Tensor = self.norm(images)
            return normed if bright else images

    plain = Branching()
    assert folded(plain) is plain
