"""What must be known before anything trains, and what only torch can tell: runs in children."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch.nn import functional

from bench import cache
from bench.architectures import ARCHITECTURES
from bench.measure import device as devices
from bench.measure import hardware
from bench.measure.device import Device
from bench.measure.meters import synchronize
from bench.models import build, weights
from bench.models.build import Network
from bench.models.source import Download
from bench.models.weights import RANDOM, Request
from bench.record import Cell, Preprocessing, Source, Weights
from bench.running.findings import Hardware, Prepared, Speed, Wanted
from bench.training.cell import start_of
from bench.training.placement import placement, prepare_device
from bench.training.trained import trained_bytes

T = TypeVar("T")


def find_hardware(asked: str) -> Hardware:
    """The device for --device. Raises DeviceError."""
    device = devices.choose(asked)
    machine = hardware.machine(device.type, device.index, cache.root())
    return Hardware(device, machine, hardware.commit())


def fetch_weights(wanted: Wanted) -> Prepared:
    """Choose the source of all weights and bring every file here. Raises WeightsError."""
    if not wanted.needed:
        return _without_weights(wanted)
    choice = decided(weights.choose, wanted)
    return _prepared(wanted, choice.source, choice.weights, choice.paths, ())


def survey_weights(wanted: Wanted) -> Prepared:
    """The same without fetching anything; weights to come have no hash yet."""
    if not wanted.needed:
        return _without_weights(wanted)
    survey = decided(weights.survey, wanted)
    ready: dict[str, Weights] = {}
    for label, finding in survey.findings.items():
        if isinstance(finding, Download):
            ready[label] = Weights(source="imagenet", name=finding.member.name)
        else:
            ready[label] = finding.weights
    downloads = tuple((Path(d.address).name, d.megabytes) for d in survey.downloads)
    return _prepared(wanted, survey.source, ready, dict.fromkeys(ready), downloads)


def decided(decide: Callable[..., T], wanted: Wanted) -> T:
    """What `choose` or `survey` makes of the wishes."""
    return decide(
        requests_of(wanted),
        wanted.preference,
        offline=wanted.offline,
        pinned_source=wanted.pinned_source,
    )


def requests_of(wanted: Wanted) -> dict[str, Request]:
    """The requests in the words of the weights."""
    return {label: Request(*request) for label, request in wanted.requests.items()}


def _without_weights(wanted: Wanted) -> Prepared:
    source = Source(wanted=("scratch",), used="scratch")
    drawn = dict.fromkeys(wanted.requests, RANDOM)
    return _prepared(wanted, source, drawn, dict.fromkeys(drawn), ())


def _prepared(
    wanted: Wanted,
    source: Source,
    chosen: Mapping[str, Weights],
    files: Mapping[str, Path | None],
    downloads: tuple[tuple[str, float], ...],
) -> Prepared:
    pipelines = {label: _pipeline(request) for label, request in requests_of(wanted).items()}
    native = {
        label: build.preprocessing(request.architecture, pipelines[label], None).crop_size
        for label, request in requests_of(wanted).items()
    }
    return Prepared(source, chosen, files, pipelines, native, downloads)


def _pipeline(request: Request) -> str:
    """The enum member whose transforms apply: the exact one, or else the pinned one."""
    exact = request.weights
    if exact is None or exact in ("imagenet", "random") or "/" in exact:
        return ARCHITECTURES[request.architecture].pinned
    name: str = weights.member(request.architecture, exact).name
    return name


def pipelines(cells: Sequence[Cell], prepared: Prepared) -> dict[tuple[str, int], Preprocessing]:
    """The eval pipeline by architecture label and image size, in the order of the cells."""
    found = {}
    for cell in cells:
        label, size = cell.architecture_label, cell.image_size
        member = prepared.pipelines[label]
        found[label, size] = build.preprocessing(cell.architecture, member, size)
    return found


def forward_macs(wanted: Iterable[tuple[str, int]], num_classes: int) -> dict[tuple[str, int], int]:
    """Multiply-accumulates of one image for each architecture and size."""
    return {(name, size): build.forward_macs(name, num_classes, size) for name, size in wanted}


def trained_sizes(cells: Sequence[Cell]) -> list[int]:
    """Bytes of the trained values of each cell; seeds of a strategy have the same."""
    outlines: dict[tuple[str, int], Network] = {}
    sizes: dict[tuple[str, str], int] = {}
    for cell in cells:
        shape, row = (cell.architecture, cell.image_size), (cell.architecture_label, cell.strategy)
        if shape not in outlines:
            outlines[shape] = build.outline(shape[0], len(cell.data.classes), shape[1])
        if row not in sizes:
            sizes[row] = trained_bytes(cell, outlines[shape])
    return [sizes[cell.architecture_label, cell.strategy] for cell in cells]


def measure_speeds(cells: Sequence[Cell], device: Device) -> dict[tuple[str, int], Speed]:
    """Seconds per image of a few real steps for each architecture and size among the cells."""
    prepare_device(device)
    wanted = {(cell.architecture, cell.image_size): cell for cell in cells}
    return {key: _speed(cell, device) for key, cell in wanted.items()}


def _speed(cell: Cell, device: Device) -> Speed:
    torch_device = torch.device(str(device))
    place = placement(cell.architecture, cell.recipe, cell.image_size, torch_device)
    network = start_of(cell, None)
    place.place(network)
    size, batch = cell.image_size, cell.recipe.batch_size
    images_BCHW = place.lay_out(torch.rand(batch, 3, size, size, device=torch_device))
    labels_B = torch.zeros(batch, dtype=torch.int64, device=torch_device)

    def train() -> None:
        network.train()
        with place.autocast():
            logits_BK = network(images_BCHW)
        functional.cross_entropy(logits_BK.float(), labels_B).backward()  # type: ignore[no-untyped-call]

    def forward() -> None:
        network.eval()
        with torch.no_grad(), place.autocast():
            network(images_BCHW)

    seconds = [_seconds(step, device) / batch for step in (train, forward)]
    return Speed(*seconds)


def _seconds(step: Callable[[], None], device: Device) -> float:
    """The quicker of two calls of a step, after one that allocates and loads kernels."""
    step()
    seconds = []
    for _ in range(2):
        synchronize(device)
        before = time.perf_counter()
        step()
        synchronize(device)
        seconds.append(time.perf_counter() - before)
    return min(seconds)
