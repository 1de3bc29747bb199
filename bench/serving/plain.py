"""The network as torchvision alone builds it, and the lines that load it without bench."""

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn
from torchvision import models

from bench.architectures import ARCHITECTURES
from bench.models.build import Network, builder_options
from bench.record import Cell

HOW_TO_LOAD = """\
import json, sys, torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torchvision import models, transforms as t

about = json.load(open("model.json", encoding="utf-8"))
model, steps = models.get_model(about["architecture"], **about["options"]), about["preprocessing"]
values = model.state_dict()
values.update(load_file("model.safetensors"))
model.load_state_dict(values)
resize = t.Resize(steps["resize_size"], t.InterpolationMode(steps["interpolation"]))
normalise = t.Normalize(steps["mean"], steps["std"])
crop = t.Compose([resize, t.CenterCrop(steps["crop_size"]), t.ToTensor(), normalise])
image = crop(ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB"))
shares = model.eval()(image[None]).softmax(1)[0].tolist()
print(*sorted(zip(shares, about["classes"]), reverse=True)[:5], sep="\\n")
""".splitlines()
"""Lines of a script, to be run in the folder of an export with the path of an image."""


def plain_names(network: Network, architecture: str) -> dict[str, str]:
    """torchvision's own name of every value, by its name in the network."""
    head = ARCHITECTURES[architecture].head
    return {
        name: f"{head}.{name.removeprefix('head.layer.')}"
        if name.startswith("head.")
        else name.removeprefix("backbone.")
        for name in network.state_dict()
    }


def plain_state(network: Network, architecture: str) -> dict[str, Tensor]:
    """All values of a network on the CPU under torchvision's own names."""
    names = plain_names(network, architecture)
    return {
        names[name]: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
    }


def plain_options(cell: Cell) -> dict[str, Any]:
    """What torchvision's builder is told besides the name; plain JSON."""
    own = builder_options(ARCHITECTURES[cell.architecture], cell.image_size)
    return {"num_classes": len(cell.data.classes), **own}


def plain_model(cell: Cell, state: Mapping[str, Tensor]) -> nn.Module:
    """torchvision's model with these values, in eval mode."""
    model = cast(nn.Module, models.get_model(cell.architecture, **plain_options(cell)))
    values = model.state_dict()  # with the versions that some modules ask for
    assert values.keys() == state.keys(), "both are of one architecture"
    values.update(state)
    model.load_state_dict(values)
    return model.eval()
