"""One training step: gather and augment a batch, forward, loss, backward, update.

Everything that a step reads or writes stays in place from one step to the next, and nothing in it
waits for the device. So a GPU can record the whole step once and replay it, for other cells of the
same shape too: they start from other values and run at other rates.

Dimensions: N images, B batch, K classes.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.measure.meters import Clock
from bench.models.build import Network
from bench.record import Cell, Recipe
from bench.strategies import STRATEGIES, Rule, live_phase, lr_scales
from bench.training.evaluate import outputs
from bench.training.feeds import Batch, Feed, steps_per_epoch
from bench.training.network import State, seedless
from bench.training.placement import Placement, worth_compiling

Work = Callable[[], None]

WARMUPS = 3
"""Runs before recording: libraries set themselves up and optimisers make their state."""

WARMUP_IMAGES = 8
"""Enough to load the kernels; a whole batch would take a CPU as long as a real one."""

# Freezing stops gradients only. In training mode a frozen batch norm would still move its running
# statistics, and stochastic depth would still drop frozen blocks. So a frozen sub-tree is also put
# in eval mode, again after every change of mode.

UNDECAYED = (
    *("class_token", "cls_token", "dist_token", "reg_token"),
    *("pos_embedding", "pos_embed"),
    "relative_position_bias_table",
    "layer_scale",
    "logit_scale",
)
"""Parameters of two and more dimensions that take no weight decay, as biases and norms do."""


def freeze(model: nn.Module, scales: Mapping[str, float]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(scales[name] > 0)
        parameter.grad = None


def set_train_mode(model: nn.Module) -> None:
    """Training mode where every parameter below learns; eval mode everywhere else.

    A module of which only a part learns is itself in eval mode; its children decide for themselves.
    """
    model.eval()
    _train_learning_parts(model)


def _train_learning_parts(module: nn.Module) -> None:
    learning = [parameter.requires_grad for parameter in module.parameters()]
    if learning and all(learning):
        module.train()
    elif any(learning):
        for child in module.children():
            _train_learning_parts(child)


def param_groups(
    model: nn.Module, scales: Mapping[str, float], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """The trainable parameters grouped by part (head, backbone), rate and decay, for an optimiser.

    Biases, norms and embeddings take no weight decay (He et al. 2019, arXiv:1812.01187, 3.1).
    `first_name` is that of a group's first parameter. Parts have groups of their own even at equal
    rates, so that all phases that train the same parameters have the same groups.
    """
    groups: dict[tuple[str, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if scales[name] > 0:
            spared = parameter.ndim <= 1 or name.rpartition(".")[2] in UNDECAYED
            key = (name.partition(".")[0], scales[name], spared)
            decay = 0.0 if spared else weight_decay
            new = {"params": [], "first_name": name, "lr": lr * scales[name], "weight_decay": decay}
            groups.setdefault(key, new)["params"].append(parameter)
    return list(groups.values())


class Step:
    """A step of `network` under the rules of a phase. It trains the network in place.

    AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) on cross-entropy with label smoothing, which
    is computed in fp32 whatever the network runs in.
    """

    def __init__(
        self,
        network: nn.Module,
        feed: Feed,
        rules: Sequence[Rule],
        recipe: Recipe,
        placement: Placement,
    ) -> None:
        device = placement.device
        self.network, self.feed, self.placement = network, feed, placement
        self.batch_size = min(recipe.batch_size, len(feed.labels_N))
        self.captured = self.compiled = False
        self._label_smoothing = recipe.label_smoothing
        self._forward: nn.Module = network
        self._run = self._step
        scales = lr_scales((name for name, _ in network.named_parameters()), rules)
        freeze(network, scales)
        groups = param_groups(network, scales, lr=recipe.lr, weight_decay=recipe.weight_decay)
        self._peaks = [group["lr"] for group in groups]
        # Rates lie on the device: a number would be recorded into the graph as it was.
        self._rates = [torch.tensor(peak, device=device) for peak in self._peaks]
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate
        self._optimiser = torch.optim.AdamW(groups, fused=True, capturable=device.type == "cuda")
        self._indices_B = torch.zeros(self.batch_size, dtype=torch.int64, device=device)
        self._drawn = feed.draw(torch.Generator()).to(device)
        self._loss_sum = torch.zeros((), device=device)

    @property
    def trainable_parameters(self) -> int:
        groups = self._optimiser.param_groups
        return sum(parameter.numel() for group in groups for parameter in group["params"])

    def begin_epoch(self, generator: torch.Generator) -> None:
        set_train_mode(self.network)
        self._drawn.copy_(self.feed.draw(generator), non_blocking=True)
        self._loss_sum.zero_()

    def run(self, indices_B: Tensor, scale: float) -> None:
        """Train on one batch, each rate at `scale` times its peak."""
        self._indices_B.copy_(indices_B)
        for rate, peak in zip(self._rates, self._peaks, strict=True):
            rate.fill_(peak * scale)
        self._run()

    def loss_sum(self) -> float:
        """Sum of the losses of the epoch's steps; waits for the device."""
        return self._loss_sum.item()

    def _step(self) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        for indices_B in self._indices_B.tensor_split(self.placement.execution.passes):
            inputs_B = self.placement.lay_out(self.feed.batch(indices_B, self._drawn))
            with self.placement.autocast():
                logits_BK = self._forward(inputs_B)
            mean_loss = functional.cross_entropy(
                logits_BK.float(),
                self.feed.labels_N[indices_B],
                label_smoothing=self._label_smoothing,
            )
            loss = mean_loss * (len(indices_B) / self.batch_size)
            loss.backward()  # type: ignore[no-untyped-call]
            self._loss_sum.add_(loss.detach())
        self._optimiser.step()

    def capture(self) -> None:
        """Record the step as a CUDA graph if possible. Call `start_from` afterwards."""
        # An earlier graph goes first, as both may not fit. If the new one finds no memory even so,
        # `compile` records the step once more as it was, and without any graph it still runs.
        self._run = self._step
        set_train_mode(self.network)
        replay = captured_if_possible(self._step, self.placement.device)
        self.captured = replay is not None
        if replay is None:
            self._optimiser.state.clear()  # memory may have run out while it was made
        self._run = replay or self._step

    def compile(self) -> None:
        """Record it with the network's kernels fused by torch.compile, else as `capture` does."""
        self._forward = cast(nn.Module, torch.compile(self.network))
        self.capture()
        self.compiled = self.captured
        if not self.compiled:
            self._forward = self.network
            self.capture()

    def seconds(self, runs: int = 3) -> float:
        """Seconds of one run, the device awaited. Call `start_from` afterwards."""
        torch.cuda.synchronize(self.placement.device)
        before = time.perf_counter()
        for _ in range(runs):
            self._run()
        torch.cuda.synchronize(self.placement.device)
        return (time.perf_counter() - before) / runs

    def start_from(self, values: Mapping[str, Tensor], rules: Sequence[Rule], lr: float) -> None:
        """Begin anew: the network at `values`, no moments, the peak rates of another phase.

        The rules must train the parameters that the step was made for.
        """
        self.network.load_state_dict(values)
        forget_moments(self._optimiser)
        scales = lr_scales((name for name, _ in self.network.named_parameters()), rules)
        groups = self._optimiser.param_groups
        self._peaks = [lr * scales[group["first_name"]] for group in groups]


def forget_moments(optimiser: torch.optim.Optimizer) -> None:
    for moments in optimiser.state.values():
        for value in moments.values():
            value.zero_()


def step_of(cell: Cell, network: Network, feed: Feed, place: Placement) -> Step:
    rules = live_phase(cell.kind, cell.recipe, network.stages).rules
    return Step(network, feed, rules, cell.recipe, place)


def warm_up(
    cell: Cell, backbone: State | None, crops: Batch, feed: Feed, place: Placement, clock: Clock
) -> None:
    """First steps on a network that is thrown away: kernels are loaded, libraries set up."""
    with clock.part("warmup"):
        network = place.place(seedless(cell, backbone))
        size = min(max(WARMUP_IMAGES, 2 * place.execution.passes), cell.recipe.batch_size)
        outputs(network, crops, min(size, len(feed.labels_N)), place)
        if STRATEGIES[cell.kind].live:
            recipe = cell.recipe.model_copy(update={"batch_size": size})
            small = cell.model_copy(update={"recipe": recipe})
            step = step_of(small, network, feed, place)
            step.begin_epoch(torch.Generator())
            step.run(torch.arange(step.batch_size, device=place.device), 0.0)


def captured_step(
    cell: Cell, backbone: State | None, feed: Feed, place: Placement, num_cells: int, clock: Clock
) -> Step:
    """The step of so many cells, recorded on a GPU; compiled as well where that pays.

    Its network's values do not matter: each cell starts from its own.
    """
    with clock.part("warmup"):
        network = place.place(seedless(cell, backbone))
        step = step_of(cell, network, feed, place)
        step.capture()
        epochs = live_phase(cell.kind, cell.recipe, network.stages).epochs
        steps = epochs * steps_per_epoch(cell.data.num_train, step.batch_size)
        if worth_compiling(step.seconds() * steps * num_cells):
            step.compile()
    return step


# A step of a small network keeps a GPU waiting for Python: it is hundreds of kernels of a few
# microseconds each. A graph launches all of them at once. What it reads and writes lies at fixed
# places, so whoever records it keeps its tensors and changes them in place only.

STREAMS = 32
"""How many streams torch has on a device; it hands them out in turn."""

_recorded_on: WeakKeyDictionary[torch.cuda.CUDAGraph, torch.cuda.Stream] = WeakKeyDictionary()
"""The streams of the graphs that live."""


def free_stream(device: torch.device) -> torch.cuda.Stream:
    """A stream that no living graph was recorded on. Raises RuntimeError where there is none.

    Matrix products work in memory that torch keeps for each stream. Graphs of one stream share it,
    and the first of them to end gives it back under the others (pytorch issue 193402).
    """
    taken = set(_recorded_on.values())
    for _ in range(STREAMS):
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        if stream not in taken:
            return stream
    raise RuntimeError("every stream has a graph of its own already")


def captured(work: Work, device: torch.device, generators: Sequence[torch.Generator] = ()) -> Work:
    """A replay of `work` on a GPU: the same kernels in the same order.

    `work` runs WARMUPS times first: the caller undoes what that changed. `generators` are those
    that it draws from besides the default one. Raises RuntimeError where it cannot be recorded,
    for example because it waits for the device, or finds no memory.
    """
    before, stream = torch.cuda.current_stream(device), free_stream(device)
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        for _ in range(WARMUPS):
            work()
    before.wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    _recorded_on[graph] = stream
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        with torch.cuda.graph(graph, stream=stream):
            work()
    except RuntimeError:
        torch.cuda.set_stream(before)  # a recording that fails at its end leaves its own behind
        torch.cuda.synchronize(device)
        end_recording(stream, generators)
        raise
    return graph.replay


def end_recording(stream: torch.cuda.Stream, generators: Sequence[torch.Generator]) -> None:
    """Let generators draw again that a failed recording has left waiting for its end (torch 2.11).

    A recording that succeeds ends the wait. Another state would too, but the graphs that live hold
    the present one, and would go on with random numbers that nobody seeds.
    """
    graph, nothing = torch.cuda.CUDAGraph(), torch.zeros((), device=stream.device)
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.stream(stream):
        graph.capture_begin()
        nothing.zero_()
        graph.capture_end()


def captured_if_possible(
    work: Work, device: torch.device, generators: Sequence[torch.Generator] = ()
) -> Work | None:
    """The same, or None where it cannot be recorded or finds no memory; the cell's log says why.

    A recording takes memory of its own, which a device may lack while the work itself fits. Where
    that does not fit either, whoever goes on with it meets the error.
    """
    try:
        return captured(work, device, generators)
    except RuntimeError as error:
        sys.stderr.write(f"not captured as a CUDA graph, runs step by step: {error}\n")
        return None
