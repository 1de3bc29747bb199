"""Features, logits and batch-norm statistics against plain arithmetic."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from bench.training.feeds import Batch, eval_batch
from bench.training.fit import Diverged
from bench.training.freezing import batch_norms
from bench.training.inference import estimate_statistics, even_chunks, logits, outputs
from tests.training import cells


def images_of(values_N1HW: torch.Tensor) -> Batch:
    return lambda indices_B: values_N1HW[indices_B]


@pytest.mark.parametrize("num_images", [1, 128, 129, 500, 1797, 12_701, 16_257])
def test_chunks_hold_every_image_once_and_differ_by_one_at_most(num_images: int) -> None:
    chunks = even_chunks(num_images, 128, cells.CPU)
    sizes = {len(chunk) for chunk in chunks}
    assert torch.cat(list(chunks)).equal(torch.arange(num_images))
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 128


def one_norm() -> nn.Sequential:
    layers = OrderedDict(
        norm=nn.BatchNorm2d(2, momentum=0.3), drop=nn.Dropout(0.5), pool=nn.AvgPool2d(4)
    )
    return nn.Sequential(layers)


def test_statistics_are_the_mean_and_variance_of_all_images() -> None:
    values_NCHW = torch.randn(100, 2, 4, 4, dtype=torch.float64).float() * 3 + 5
    network = one_norm()
    estimate_statistics(network, batch_norms(network), images_of(values_NCHW), 100, cells.place())
    pixels = values_NCHW.double().transpose(0, 1).flatten(1)
    norm = network.get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # float32 sums of 1,600 values
    torch.testing.assert_close(norm.running_mean, pixels.mean(1).float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(norm.running_var, pixels.var(1).float(), rtol=1e-5, atol=1e-5)
    assert norm.momentum == 0.3
    assert not any(module.training for module in network.modules())


def test_statistics_of_several_chunks_are_the_plain_average_over_them() -> None:
    values_NCHW = torch.randn(300, 2, 4, 4)
    network = one_norm()
    estimate_statistics(network, batch_norms(network), images_of(values_NCHW), 300, cells.place())
    means = [values_NCHW[i : i + 100].mean((0, 2, 3)) for i in (0, 100, 200)]
    variances = [values_NCHW[i : i + 100].transpose(0, 1).flatten(1).var(1) for i in (0, 100, 200)]
    state = network.state_dict()
    torch.testing.assert_close(state["norm.running_mean"], sum(means) / 3, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state["norm.running_var"], sum(variances) / 3, rtol=1e-5, atol=1e-6)


def test_earlier_statistics_leave_no_trace() -> None:
    values_NCHW = torch.randn(20, 2, 4, 4)
    fresh, used = one_norm(), one_norm()
    for _ in range(3):
        used(torch.randn(8, 2, 4, 4) + 100)
    for network in (fresh, used):
        norms = batch_norms(network)
        estimate_statistics(network, norms, images_of(values_NCHW), 20, cells.place())
    assert all(value.equal(fresh.state_dict()[name]) for name, value in used.state_dict().items())


def test_dropout_before_a_norm_does_not_skew_its_statistics() -> None:
    network = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm2d(2))
    values_NCHW = torch.randn(20, 2, 4, 4)
    estimate_statistics(network, batch_norms(network), images_of(values_NCHW), 20, cells.place())
    mean = network.state_dict()["1.running_mean"]
    torch.testing.assert_close(mean, values_NCHW.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)


def test_only_the_norms_that_are_named_change() -> None:
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2))
    last = batch_norms(network)[1:]
    estimate_statistics(network, last, images_of(torch.randn(9, 2, 4, 4) + 7), 9, cells.place())
    state = network.state_dict()
    assert state["0.running_mean"].tolist() == [0.0, 0.0]
    assert state["1.running_mean"].min() > 6


def test_logits_that_are_not_finite_are_an_error() -> None:
    values = torch.ones(3, 2)
    values[1, 1] = torch.nan
    with pytest.raises(Diverged, match="logits are not finite"):
        logits(nn.Identity(), images_of(values), 3, cells.place())


def test_outputs_are_those_of_eval_mode_one_image_at_a_time() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3)
    )
    images = cells.pictures(150, 8)
    network(torch.rand(4, 3, 8, 8))
    found_NK = outputs(network, eval_batch(images, cells.UNIT), 150, cells.place())
    with torch.no_grad():
        singly_NK = torch.cat([network(crop[None] / 255) for crop in cells.crops_of(images)])
    assert not network.training
    # float32 convolutions that sum in another order
    np.testing.assert_allclose(found_NK.numpy(), singly_NK.numpy(), rtol=1e-4, atol=1e-5)
