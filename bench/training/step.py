"""One training step: gather and augment a batch, forward, loss, backward, update.

All that a step reads or writes stays in place from one step to the next, and nothing in it waits
for the device. So on a GPU the whole of it can be recorded once and replayed, also for other
cells of the same shape: they start from other values and run at other rates.

Dimensions: N images, B batch, K classes.
"""

import time
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.record import Recipe
from bench.strategies import Rule, lr_scales
from bench.training.capture import captured_if_possible
from bench.training.feeds import Feed
from bench.training.freezing import freeze, param_groups, set_train_mode
from bench.training.placement import Placement


class Step:
    """A step of `network` under the rules of a phase. The network is trained in place.

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
        """Elements of all parameters that the optimiser holds."""
        groups = self._optimiser.param_groups
        return sum(parameter.numel() for group in groups for parameter in group["params"])

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw the epoch's random numbers, and count its loss from zero."""
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
        inputs_B = self.placement.lay_out(self.feed.batch(self._indices_B, self._drawn))
        with self.placement.autocast():
            logits_BK = self._forward(inputs_B)
        loss = functional.cross_entropy(
            logits_BK.float(),
            self.feed.labels_N[self._indices_B],
            label_smoothing=self._label_smoothing,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._loss_sum.add_(loss.detach())

    # ---- recorded, compiled, and used again -------------------------------------------------

    def capture(self) -> None:
        """Record the step as a CUDA graph, if it can be; `start_from` is to follow."""
        set_train_mode(self.network)
        replay = captured_if_possible(self._step, self.placement.device)
        self.captured = replay is not None
        self._run = replay or self._step

    def compile(self) -> None:
        """Record it with the network's kernels fused by torch.compile, if that can be done."""
        self._forward = cast(nn.Module, torch.compile(self.network))
        self.capture()
        self.compiled = self.captured
        if not self.compiled:
            self._forward = self.network
            self.capture()

    def seconds(self, runs: int = 3) -> float:
        """Of one run, awaited; `start_from` is to follow."""
        torch.cuda.synchronize(self.placement.device)
        before = time.perf_counter()
        for _ in range(runs):
            self._run()
        torch.cuda.synchronize(self.placement.device)
        return (time.perf_counter() - before) / runs

    def start_from(self, values: Mapping[str, Tensor], rules: Sequence[Rule], lr: float) -> None:
        """Begin anew: the network at `values`, no moments, peak rates of another phase.

        The rules must train the parameters that the step was made for.
        """
        self.network.load_state_dict(values)
        for moments in self._optimiser.state.values():
            for value in moments.values():
                value.zero_()
        scales = lr_scales((name for name, _ in self.network.named_parameters()), rules)
        groups = self._optimiser.param_groups
        self._peaks = [lr * scales[group["first_name"]] for group in groups]
