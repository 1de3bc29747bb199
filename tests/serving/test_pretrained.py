"""Networks with published ImageNet weights, on scikit-learn's two photographs."""

import json
from pathlib import Path

import pytest
import sklearn.datasets

from tests.spoken import Bench

PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / "images"


@pytest.mark.slow
def test_a_pagoda_is_a_palace_and_a_flower_a_daisy(bench: Bench) -> None:
    """What timm's own network and pipeline say of the same files (measured with timm 1.0.31)."""
    paths = [str(PHOTOGRAPHS / name) for name in ("china.jpg", "flower.jpg")]
    said = bench("predict", "efficientnet_lite0", *paths, "--json", "--device", "cpu")
    assert said.code == 0
    tops = [image["classes"][0] for image in json.loads(said.out)["images"]]
    assert [top["class"].split(",")[0] for top in tops] == ["palace", "daisy"]
    assert [top["probability"] for top in tops] == pytest.approx([0.298, 0.323], abs=0.01)
