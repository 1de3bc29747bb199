"""A step that is used again for another cell is as good as a new one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from bench.data.images import Images
from bench.models.build import Network
from bench.record import Recipe
from bench.strategies import PhasePlan, live_phase
from bench.suite import Kind
from bench.training.cell import start_of
from bench.training.feeds import AugmentedImages
from bench.training.fit import fit
from bench.training.step import Step
from tests.training import cells

PIPELINE = cells.UNIT.model_copy(update={"crop_size": 32})


def images() -> Images:
    return cells.pictures(24, 40)


def start(seed: int) -> Network:
    return start_of(cells.cell("from_scratch", "mobilenet_v3_small", seed=seed), None)


def step_on(network: Network, plan: PhasePlan, recipe: Recipe) -> Step:
    feed = AugmentedImages(images(), PIPELINE, flip=True)
    return Step(cells.place().place(network), feed, plan.rules, recipe, cells.place())


def trained(step: Step, plan: PhasePlan) -> dict[str, Tensor]:
    """The values after a phase, its dropout and batches drawn from fixed seeds."""
    torch.manual_seed(3)
    list(fit(step, plan, 0.5, torch.Generator().manual_seed(4)))
    return {name: value.clone() for name, value in step.network.state_dict().items()}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("fine_tuning", "fine_tuning"),
        ("two_phase", "from_scratch"),
        ("from_scratch", "two_phase"),
        ("partial", "partial"),
    ],
)
def test_a_step_that_starts_from_other_values_trains_them_as_a_new_one_would(
    first: Kind, then: Kind
) -> None:
    made = cells.cell(first, "mobilenet_v3_small", epochs=4, lr=3e-3).recipe
    wanted = cells.cell(then, "mobilenet_v3_small", epochs=4, lr=1e-3).recipe
    stages = start(0).stages
    plans: list[PhasePlan] = [
        live_phase(first, made, stages), live_phase(then, wanted, stages)
    ]  # fmt: skip
    used = step_on(start(0), plans[0], made)
    trained(used, plans[0])
    used.start_from(start(1).state_dict(), plans[1].rules, wanted.lr)
    again = trained(used, plans[1])
    fresh = trained(step_on(start(1), plans[1], wanted), plans[1])
    assert all(value.equal(fresh[name]) for name, value in again.items())
    moved = {name for name, value in start(1).state_dict().items() if not value.equal(again[name])}
    assert moved, "nothing was trained"


def test_what_a_step_reads_and_writes_stays_where_it_is() -> None:
    recipe = cells.cell("fine_tuning", "mobilenet_v3_small").recipe
    plan = live_phase("fine_tuning", recipe, start(0).stages)
    step = step_on(start(0), plan, recipe)
    trained(step, plan)  # the optimiser makes its moments in the first step
    where: Callable[[], list[int]] = lambda: [  # noqa: E731
        *(value.data_ptr() for value in step.network.state_dict().values()),
        *(t.data_ptr() for s in step._optimiser.state.values() for t in s.values()),
        *(t.data_ptr() for t in (step._indices_B, step._drawn, step._loss_sum, *step._rates)),
    ]
    before = where()
    trained(step, plan)
    step.start_from(start(1).state_dict(), plan.rules, 0.1)
    assert where() == before
