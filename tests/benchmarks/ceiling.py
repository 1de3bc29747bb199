"""The irreducible work, as bare as it can be run: the ceiling that overhead is measured from.

Resident, normalised batches, at least four of them in turn so that no cache holds them all; no
loader, augmentation, schedule, metric or clock. On a GPU one pass over all batches is captured
as one graph and replayed.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.models.build import Network
from bench.record import Recipe
from bench.strategies import Rule, lr_scales
from bench.training.placement import Placement
from bench.training.step import captured, freeze, param_groups, set_train_mode

Batches = Sequence[tuple[Tensor, Tensor]]
ROTATION = 4


class Ceiling:
    """Work on one batch after another, run any number of times."""

    def __init__(
        self, work: Callable[[int], None], set_mode: Callable[[], object], place: Placement
    ) -> None:
        self._work, self._set_mode = work, set_mode
        self._on_gpu = place.device.type == "cuda"
        set_mode()
        if self._on_gpu:
            self._replay = captured(self._all, place.device)

    def run(self, num_batches: int) -> None:
        """So many batches; on a GPU rounded up to whole rotations, see `batches_run`."""
        if self._on_gpu:
            for _ in range(self.batches_run(num_batches) // ROTATION):
                self._replay()
            return
        self._set_mode()
        for number in range(num_batches):
            self._work(number % ROTATION)

    def batches_run(self, num_batches: int) -> int:
        """How many batches `run` really runs."""
        return -(-num_batches // ROTATION) * ROTATION if self._on_gpu else num_batches

    def _all(self) -> None:
        for number in range(ROTATION):
            self._work(number)


def raw_steps(
    network: Network, rules: Sequence[Rule], recipe: Recipe, batches: Batches, place: Placement
) -> Ceiling:
    """Forward, loss, backward and update of the network, trained in place; rates stand still."""
    scales = lr_scales((name for name, _ in network.named_parameters()), rules)
    freeze(network, scales)
    optimiser = torch.optim.AdamW(
        param_groups(network, scales, lr=0.0, weight_decay=recipe.weight_decay),
        fused=True,
        capturable=place.device.type == "cuda",
    )

    def step(number: int) -> None:
        inputs_BCHW, labels_B = batches[number]
        optimiser.zero_grad(set_to_none=True)
        with place.autocast():
            logits_BK = network(inputs_BCHW)
        loss = functional.cross_entropy(
            logits_BK.float(), labels_B, label_smoothing=recipe.label_smoothing
        )
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return Ceiling(step, partial(set_train_mode, network), place)


def raw_forwards(module: nn.Module, batches: Batches, place: Placement) -> Ceiling:
    """Forward passes in eval mode, their outputs dropped."""

    @torch.no_grad()
    def forward(number: int) -> None:
        with place.autocast():
            module(batches[number][0])

    return Ceiling(forward, module.eval, place)
