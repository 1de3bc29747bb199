"""What must be known before anything trains: found out in a child that has torch."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from bench import cache
from bench.architectures import TIMM
from bench.data import sources
from bench.data.split import make_split
from bench.errors import Problem, SuiteError, WeightsError, first_line
from bench.expand import Inputs, cells, needs_weights, size_problems
from bench.identity import cell_id
from bench.measure import device as devices
from bench.measure import machine as machines
from bench.measure.cpu import usable_cores
from bench.measure.device import Device
from bench.measure.meters import seconds_of
from bench.models import build, libraries, weights
from bench.models.weights import RANDOM
from bench.models.weights import Request as Wanted
from bench.record import Cell, Data, UsedWeights
from bench.running import plan as plans
from bench.running.plan import Chosen, Hardware, Images, Plan, Request, Speed, Survey
from bench.suite import Suite, labels_of
from bench.training.network import num_bytes, start_of
from bench.training.placement import placement, prepare_device

Tell = Callable[[str | Hardware], None]
"""Hears the hardware when it is known, and what is being waited for."""


def prepare(request: Request, tell: Tell) -> Plan:
    """The plan of a run, with every weights file on this machine.

    Raises DeviceError, DataError, WeightsError, or SuiteError where a size does not fit a network.
    """
    found, suite = find_hardware(request, tell)
    tell("looking at the images")
    images = open_images(suite)
    tell("looking for weights")
    return resolve(request, suite, found, images, choose_weights(suite, request, fetch=True))


def survey(request: Request, tell: Tell) -> Survey:
    """The plan of a dry run: every image is decoded once, and nothing is fetched or written.

    Raises as `prepare` does.
    """
    found, suite = find_hardware(request, tell)
    tell("looking at the images")
    images = open_images(suite)
    before = time.monotonic()
    sources.check_images(images.dataset, usable_cores())
    decoding_seconds = time.monotonic() - before
    tell("looking for weights")
    plan = resolve(request, suite, found, images, choose_weights(suite, request, fetch=False))
    tell("trying a few steps of each architecture")
    prepare_device(found.device)
    one_of = {plans.sizes_of(cell): cell for cell in plan.cells}
    speeds = {sizes: _speed(cell, found.device) for sizes, cell in one_of.items()}
    seconds = plans.seconds(plan.cells, speeds)
    if plan.cache_bytes:
        seconds += decoding_seconds
    num_classes = len(images.data.classes)
    sizes = {
        (name, size): num_bytes(build.outline(name, num_classes, size))
        for name, size in plan.networks
    }
    of_cells = [sizes[plans.sizes_of(cell)] for cell in plan.cells]
    kept = plans.weights_bytes(plan.cells, of_cells, suite.keep_weights)
    return Survey(plan, seconds, kept)


def find_hardware(request: Request, tell: Tell) -> tuple[Hardware, Suite]:
    device = devices.choose(request.device)
    machine = machines.machine(device.type, device.index, cache.root())
    found = Hardware(device, machine, machines.commit())
    tell(found)
    return found, exact(request.file.profiles[device.profile])


def exact(suite: Suite) -> Suite:
    """The suite with the exact names of timm's networks. Raises WeightsError for unknown ones."""
    entries = [
        entry.model_copy(update={"name": libraries.exact(entry.name)})
        for entry in suite.architectures
    ]
    return suite.model_copy(update={"architectures": entries})


def inputs_of(images: Images, chosen: Chosen) -> Inputs:
    found = (chosen.weights, chosen.native_size, chosen.batch_norm)
    return Inputs(images.data, images.dataset.photographs, *found)


def resolve(
    request: Request, suite: Suite, found: Hardware, images: Images, chosen: Chosen
) -> Plan:
    asked = cells(suite, inputs_of(images, chosen))
    counts = Counter(map(cell_id, asked))
    same_ids = [
        Problem("", f"two cells would both be {name}: rename one")
        for name, count in counts.items()
        if count > 1
    ]
    if problems := [*size_problems(asked), *timm_problems(asked), *same_ids]:
        raise SuiteError(request.file.place, problems)
    num_classes = len(images.data.classes)
    networks = {
        (name, size): plans.NetworkSize(
            build.forward_macs(name, num_classes, size),
            build.parameter_counts(build.outline(name, num_classes, size)).total,
        )
        for name, size in sorted(set(map(plans.sizes_of, asked)))
    }
    pipelines = {}
    for cell in asked:
        label, size = cell.architecture_label, cell.image_size
        pipelines[label, size] = build.preprocessing(
            cell.architecture, chosen.pipelines[label], size
        )
    return Plan(suite, found, images, chosen, pipelines, networks, asked, request.reuse_features)


def timm_problems(asked: Sequence[Cell]) -> list[Problem]:
    """Sizes and stages that timm's networks do not have; only building one can tell."""
    problems = []
    for cell in asked:
        if cell.architecture.startswith(TIMM):
            try:
                build.forward_macs(cell.architecture, len(cell.data.classes), cell.image_size)
            except (WeightsError, RuntimeError, AssertionError, ValueError) as error:
                text = f"{cell.architecture} cannot use {cell.image_size} px: {first_line(error)}"
                problems.append(Problem("recipe.image_size", text))
            stages = len(libraries.architecture(cell.architecture).stages)
            if (cell.recipe.stages or 1) > stages:
                text = f"{cell.architecture} has {stages} stages (got {cell.recipe.stages})"
                problems.append(Problem("recipe.stages", text))
    return list(dict.fromkeys(problems))


def open_images(suite: Suite) -> Images:
    """Scan and split the images, and find the scale of 16-bit grey.

    Raises DataError with every problem that needs no decoding, or too many damaged images.
    """
    table = suite.dataset
    dataset = sources.scan(table.source, table.follow_links)
    if table.skip_damaged:
        dataset = sources.without_damaged(dataset, table.skip_damaged, usable_cores())
    default = sources.source_of(table.source)
    split = make_split(
        dataset,
        default.train_per_class if table.train_per_class is None else table.train_per_class,
        default.val_per_class if table.val_per_class is None else table.val_per_class,
        table.split_seed,
    )
    dataset = sources.scaled(dataset, split.train)
    data = Data(
        name=dataset.name,
        classes=dataset.classes,
        content_sha256=dataset.content_sha256,
        split_sha256=split.sha256,
        num_train=len(split.train),
        num_val=len(split.val),
        num_test=len(split.test),
        white=dataset.items[0].white,
    )
    return Images(dataset, split, data)


def choose_weights(suite: Suite, request: Request, *, fetch: bool) -> Chosen:
    """The source of all weights, with every file brought here or only named as still to come.

    With the pipeline that belongs to the weights of each label, and its own image size.
    Raises WeightsError.
    """
    wanted = {label: Wanted(one.name, one.weights) for label, one in labels_of(suite).items()}
    if needs_weights(suite):
        choice = weights.choose(
            wanted,
            suite.weights,
            offline=request.offline,
            pinned_source=request.pinned_source,
            fetch=fetch,
        )
    else:
        drawn = dict.fromkeys(wanted, RANDOM)
        source = UsedWeights(wanted=tuple(map(weights.shown, suite.weights)), used="scratch")
        choice = weights.Choice(source, drawn, dict.fromkeys(drawn), {}, {})
    members = {label: pipeline(one) for label, one in wanted.items()}
    native = {
        label: build.preprocessing(one.architecture, members[label], None).crop_size
        for label, one in wanted.items()
    }
    return Chosen(
        choice.source,
        choice.weights,
        choice.paths,
        members,
        native,
        {
            label: libraries.architecture(one.architecture).batch_norm
            for label, one in wanted.items()
        },
        choice.pretrained_on,
        tuple((Path(address).name, size) for address, size in choice.downloads.items()),
    )


def pipeline(one: Wanted) -> str:
    """The published weights whose transforms apply: the exact ones, or else the pinned ones."""
    exact = one.weights
    if exact is None or exact in ("imagenet", "random") or "/" in exact:
        return libraries.architecture(one.architecture).pinned
    return weights.published_weights(one.architecture, exact).name


def _speed(cell: Cell, device: Device) -> Speed:
    torch_device = torch.device(str(device))
    place = placement(cell.architecture, cell.recipe, cell.image_size, torch_device)
    network = start_of(cell, None)
    place.place(network)
    size, batch = cell.image_size, cell.recipe.batch_size
    scored = place.eval_batch

    def images(number: int) -> Tensor:
        return place.lay_out(torch.rand(number, 3, size, size, device=torch_device))

    trained_BCHW, scored_BCHW = images(batch), images(scored)
    labels_B = torch.zeros(batch, dtype=torch.int64, device=torch_device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.0, fused=True)

    def train() -> None:
        network.train()
        optimiser.zero_grad()
        with place.autocast():
            logits_BK = network(trained_BCHW)
        functional.cross_entropy(logits_BK.float(), labels_B).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def forward() -> None:
        network.eval()
        with torch.no_grad(), place.autocast():
            network(scored_BCHW)

    seconds = []
    for step, number in ((train, batch), (forward, scored)):
        step()  # allocates, and loads kernels
        seconds.append(min(seconds_of(step, device), seconds_of(step, device)) / number)
    return Speed(*seconds)
