"""Counted work against published counts and against floors worked out by hand elsewhere."""

import pytest

from bench.models.build import forward_macs
from bench.models.roofline import (
    Ceilings,
    Layer,
    image_seconds,
    layers_of,
    passes,
    product,
    train_seconds,
)
from bench.record import Calibration

H200 = Ceilings(790e12, 4.3e12)

# GFLOP of a forward pass and of a training step; MB of bf16 activations moved in training; training
# images/s at the roofline of an H200 (790 TFLOP/s, 4.3 TB/s): worked out independently from the
# published networks, of which torchvision states the multiply-adds.
FLOORS = {
    ("resnet18", 224): (3.628, 10.65, 67.4, 42_400),
    ("resnet50", 224): (8.178, 24.30, 308, 12_000),
    ("efficientnet_b0", 224): (0.772, 2.293, 189, 22_800),
    ("efficientnet_b4", 224): (3.007, 8.990, 477, 8_900),
    ("efficientnet_b4", 380): (8.788, 26.27, 1385, 3_080),
    ("vit_b_16", 224): (35.13, 105.15, 372, 5_770),
    ("mobilenet_v3_small", 224): (0.113, 0.328, 40.0, 108_000),
}


def counted(name: str, image_size: int) -> tuple[Layer, ...]:
    layers = layers_of(name, image_size)
    assert layers is not None
    return layers


@pytest.mark.slow
@pytest.mark.parametrize(("network", "floor"), FLOORS.items(), ids=lambda value: str(value[0]))
def test_totals_and_rooflines_agree_with_those_worked_out_by_hand(
    network: tuple[str, int], floor: tuple[float, float, float, float]
) -> None:
    layers = counted(*network)
    forward, train, moved, images_per_second = floor
    assert sum(layer.forward_flop for layer in layers) / 1e9 == pytest.approx(forward, rel=0.01)
    assert sum(layer.train_flop for layer in layers) / 1e9 == pytest.approx(train, rel=0.01)
    megabytes = sum(2 * layer.train_numbers for layer in layers) / 1e6
    assert megabytes == pytest.approx(moved, rel=0.01)
    assert 1 / train_seconds(layers, H200, 2) == pytest.approx(images_per_second, rel=0.02)


@pytest.mark.parametrize("name", ["resnet18", "vit_b_16", "mobilenet_v3_small"])
def test_forward_work_agrees_with_torchs_own_counter(name: str) -> None:
    flop = sum(layer.forward_flop for layer in counted(name, 64))
    assert flop / 2 == pytest.approx(forward_macs(name, 1000, 64), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t", "swin_v2_t", "maxvit_t"])
def test_networks_with_layers_that_have_no_count_have_no_roofline(name: str) -> None:
    assert layers_of(name, 224) is None


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "regnet_y_400mf", "squeezenet1_1"])
def test_convolutional_networks_have_one(name: str) -> None:
    assert layers_of(name, 224)


def test_the_roofline_is_that_of_the_calibration_in_the_precision_of_the_cell() -> None:
    reached = Calibration(
        matmul_fp32_flops=50e12,
        matmul_bf16_flops=790e12,
        copy_bytes_per_second=4.3e12,
        upload_bytes_per_second=None,
        conv_seconds=None,
        loop_seconds=None,
        seconds=1,
    )
    assert image_seconds("resnet18", 224, "bf16", reached) == pytest.approx(1 / 42_400, rel=0.02)
    # No layer of it is bound by memory at 50 TFLOP/s in fp32 but the passes of its batch norms.
    slower = image_seconds("resnet18", 224, "fp32", reached)
    assert slower is not None
    assert 10.65e9 / 50e12 < slower < 1.2 * 10.65e9 / 50e12
    without = reached.model_copy(update={"matmul_bf16_flops": None})
    assert image_seconds("resnet18", 224, "bf16", without) is None
    assert image_seconds("swin_t", 224, "bf16", reached) is None


def test_each_layer_is_bound_by_the_slower_of_computing_and_moving() -> None:
    computing, moving = Layer(0, 10.0, 0, 1.0), Layer(0, 1.0, 0, 10.0)
    # 10 / 2 against 2 bytes / 1; 1 / 2 against 20 / 1.
    assert train_seconds([computing, moving], Ceilings(2.0, 1.0), 2) == 5.0 + 20.0


def test_the_first_layer_needs_no_gradient_of_its_input() -> None:
    assert product(5, 3, 4) == Layer(10, 30, 7, 21)
    assert product(5, 3, 4, first=True) == Layer(10, 20, 7, 18)
    assert passes(3, 2, 8) == Layer(0, 0, 6, 24)
