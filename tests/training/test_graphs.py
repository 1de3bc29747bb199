"""Captured steps on a stand-in for a GPU: what a step learns is what it learns one by one, whatever
else was recorded, could not be recorded, or found no memory.

`tests/training/graphs.py` says what the stand-in does as a GPU would.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import count, permutations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.record import Cell
from bench.strategies import PhasePlan, Rule
from bench.suite import Kind
from bench.training import placement
from bench.training import step as steps
from bench.training.feeds import Feed
from bench.training.heads import Heads, Seeded
from bench.training.phase import fit
from bench.training.run_cell import Outcome
from bench.training.shared import Shared
from bench.training.step import Step, captured, captured_if_possible
from tests.training import cells
from tests.training.graphs import Gpu, emulated

ALL = PhasePlan("all", 1, (Rule("", 1.0),))
RECIPE = cells.recipe(batch_size=4, lr=1e-2, augment="none")


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    """The stand-in, and every tensor on it."""
    with emulated() as made:
        yield made


# ---- the stand-in ---------------------------------------------------------------------------


def test_what_is_recorded_is_done_at_each_replay_and_not_before(gpu: Gpu) -> None:
    total, part = torch.zeros(()), torch.ones(2)
    made: list[Tensor] = []

    def work() -> None:
        made.append(part * 2)
        total.add_(made[-1].sum())

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        work()
    assert total.item() == 0
    assert made[0].isnan().all()
    graph.replay()
    part.fill_(3)
    graph.replay()
    assert total.item() == 2 * 2 + 2 * 6
    assert made[0].tolist() == [6, 6]


def test_the_default_stream_and_work_that_waits_cannot_be_recorded(gpu: Gpu) -> None:
    graph, value = torch.cuda.CUDAGraph(), torch.ones(())
    with pytest.raises(RuntimeError, match="non-default"):
        graph.capture_begin()
    with (
        pytest.raises(RuntimeError, match="previous error"),
        torch.cuda.graph(graph, stream=torch.cuda.Stream()),  # type: ignore[no-untyped-call]
    ):
        value.item()
    with pytest.raises(RuntimeError, match="Offset increment"):
        torch.rand(())  # the generator still waits


def test_a_graph_draws_from_generators_that_it_was_told_of(gpu: Gpu) -> None:
    kept, own = torch.zeros(8), torch.Generator().manual_seed(0)
    with (
        pytest.raises(RuntimeError, match="not in capture"),
        torch.cuda.graph(torch.cuda.CUDAGraph(), stream=torch.cuda.Stream()),  # type: ignore[no-untyped-call]
    ):
        kept.bernoulli_(0.5, generator=own)


def test_graphs_of_one_stream_lose_what_products_work_in_with_the_first_that_ends(
    gpu: Gpu,
) -> None:
    stream, square = torch.cuda.Stream(), torch.eye(2)  # type: ignore[no-untyped-call]
    graphs = [torch.cuda.CUDAGraph() for _ in range(2)]
    for graph in graphs:
        with torch.cuda.graph(graph, stream=stream):
            square @ square
    pools = {workspace.pool for graph in gpu.graphs for workspace in graph.workspaces}
    assert pools == {min(graph.pool for graph in gpu.graphs)}  # that of the first to need it
    graphs[1].replay()
    del graphs[0], graph
    with pytest.raises(RuntimeError, match="illegal memory access"):
        graphs[0].replay()


# ---- steps ----------------------------------------------------------------------------------


def network(seed: int) -> nn.Module:
    """With everything that a recorded step may trip over: products, norms, dropout."""
    torch.manual_seed(seed)
    parts = OrderedDict[str, nn.Module](
        conv=nn.Conv2d(3, 4, 3),
        norm=nn.BatchNorm2d(4),
        drop=nn.Dropout(0.3),
        flat=nn.Flatten(),
        head=nn.Linear(144, 10),
    )
    return nn.Sequential(parts)


def step_of(model: nn.Module, batch_size: int = 4) -> Step:
    images = cells.pictures(12, 8)
    recipe = RECIPE.model_copy(update={"batch_size": batch_size})
    return Step(model, Feed(images, cells.UNIT), ALL.rules, recipe, cells.place())


def trained(step: Step, seed: int = 0) -> dict[str, Tensor]:
    """The values after a phase from the start of a seed."""
    step.start_from(network(seed).state_dict(), ALL.rules, RECIPE.lr)
    torch.manual_seed(seed + 7)  # of dropout
    list(fit(step, ALL, 0.5, torch.Generator().manual_seed(seed)))
    return {name: value.clone() for name, value in step.network.state_dict().items()}


def plain(seed: int = 0, batch_size: int = 4) -> dict[str, Tensor]:
    return trained(step_of(network(seed), batch_size), seed)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(value.equal(other[name]) for name, value in one.items())


def test_a_step_that_is_captured_and_then_compiled_learns_what_the_plain_one_learns(
    gpu: Gpu,
) -> None:
    step = step_of(network(0))
    step.capture()
    assert same(trained(step), plain())
    step.compile()
    assert (step.captured, step.compiled) == (True, True)
    assert same(trained(step), plain())
    assert same(trained(step, 1), plain(1))


def test_the_first_graph_is_gone_before_the_second_is_recorded(gpu: Gpu) -> None:
    step = step_of(network(0))
    for record in (step.capture, step.compile):
        record()
        assert len(gpu.graphs) == 1
    assert gpu.most_graphs == 1


def test_living_graphs_lie_on_streams_of_their_own_however_many_have_ended(gpu: Gpu) -> None:
    square, product = torch.eye(2), torch.zeros(2, 2)

    def work() -> None:
        torch.mm(square, square, out=product)

    first = captured(work, cells.CPU)
    for _ in range(40):  # more than there are streams
        captured(work, cells.CPU)()
    first()
    alive = [captured(work, cells.CPU) for _ in range(31)]
    assert len({graph.stream for graph in gpu.graphs}) == 32
    assert captured_if_possible(work, cells.CPU) is None
    for replay in (first, *alive):
        replay()


@pytest.mark.parametrize("order", [*permutations((2, 3, 4))])
def test_steps_of_several_shapes_learn_by_turns_and_end_in_any_order(
    gpu: Gpu, order: tuple[int, ...]
) -> None:
    made = {size: step_of(network(0), size) for size in (2, 3, 4)}
    for step in made.values():
        step.capture()
    for ending in order:
        for size, step in made.items():
            assert same(trained(step), plain(batch_size=size))
        del made[ending], step


@pytest.fixture
def one_warmup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is like the third, and each point of them takes a test its time."""
    monkeypatch.setattr(steps, "WARMUPS", 1)


@pytest.mark.slow
@pytest.mark.usefixtures("one_warmup")
def test_a_step_that_finds_no_memory_at_some_point_learns_what_the_plain_one_learns(
    gpu: Gpu,
) -> None:
    expected = plain()
    found = set()
    for full_at in count(1):
        step = step_of(network(0))
        gpu.full_at = gpu.allocations + full_at
        step.capture()
        step.compile()
        is_past_the_end, gpu.full_at = gpu.allocations < gpu.full_at, None
        if is_past_the_end:
            break
        found.add((step.captured, step.compiled))
        assert same(trained(step), expected)
    assert found == {(True, True), (True, False)}  # it is captured again whenever that can be


def test_a_step_without_memory_for_any_recording_runs_one_by_one(gpu: Gpu) -> None:
    step = step_of(network(0))
    step.capture()
    gpu.recording_is_full = True
    step.compile()
    assert (step.captured, step.compiled) == (False, False)
    assert same(trained(step), plain())


@pytest.mark.slow
@pytest.mark.usefixtures("one_warmup")
def test_a_recording_that_is_refused_at_some_point_leaves_earlier_graphs_as_they_were(
    gpu: Gpu, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, small = plain(), plain(batch_size=2)
    earlier = step_of(network(0), 2)
    earlier.capture()
    for refused_at in count(1):
        step = step_of(network(0))
        gpu.refused_at = gpu.recorded + refused_at
        step.capture()
        is_past_the_end, gpu.refused_at = gpu.recorded < gpu.refused_at, None
        if is_past_the_end:
            break
        assert "not captured as a CUDA graph" in capsys.readouterr().err
        assert (step.captured, gpu.stream.number) == (False, 0)
        assert same(trained(step), expected)
        assert same(trained(earlier), small)
    assert refused_at > 50


def test_work_that_waits_leaves_earlier_graphs_their_random_numbers(gpu: Gpu) -> None:
    kept = torch.zeros(8)

    def draw() -> None:
        kept.copy_(torch.rand(8))

    def wait() -> None:
        draw()
        kept[0].item()

    replay = captured(draw, cells.CPU)
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        replay()
        found.append(kept.clone())
        assert captured_if_possible(wait, cells.CPU) is None
    assert found[0].equal(found[1])


# ---- heads ----------------------------------------------------------------------------------


def heads_of() -> Heads:
    features_VN = torch.rand(2, 12, 6, generator=torch.Generator().manual_seed(0))
    starts = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        parts = OrderedDict[str, nn.Module](dropout=nn.Dropout(0.5), layer=nn.Linear(6, 10))
        order, dropout = (torch.Generator().manual_seed(seed + n) for n in (5, 9))
        starts.append(Seeded(nn.Sequential(parts), order, dropout))
    return Heads(starts, features_VN, torch.arange(12) % 10, RECIPE)


def learned(heads: Heads) -> list[Tensor]:
    for _ in range(2):
        for indices_SB in torch.split(heads.begin_epoch(), 4, dim=1):
            heads.run(indices_SB, 1.0)
    return [value for seed in (0, 1) for value in heads.values(seed).values()]


def test_captured_heads_learn_what_they_learn_one_by_one(gpu: Gpu) -> None:
    heads = heads_of()
    heads.capture()
    assert heads.captured
    for one, other in zip(learned(heads), learned(heads_of()), strict=True):
        assert one.equal(other)


@pytest.mark.slow
@pytest.mark.usefixtures("one_warmup")
def test_heads_that_find_no_memory_at_some_point_go_on_without(gpu: Gpu) -> None:
    expected = learned(heads_of())
    for full_at in count(1):
        heads = heads_of()
        gpu.full_at = gpu.allocations + full_at
        heads.capture()
        is_past_the_end, gpu.full_at = gpu.allocations < gpu.full_at, None
        if is_past_the_end:
            break
        assert not heads.captured
        assert all(map(Tensor.equal, learned(heads), expected))


# ---- cells ----------------------------------------------------------------------------------

KINDS: tuple[Kind, ...] = (
    "feature_extraction", "two_phase", "partial", "fine_tuning", "from_scratch"
)  # fmt: skip
SMALL = "mobilenet_v3_small"


class Capturing(cells.Worker):
    """A worker as on a GPU."""

    captures = True


def outcomes(worker: Callable[..., Shared], *asked: Cell) -> list[Outcome]:
    """Of cells in one worker on the stand-in, under which torch takes other kernels of the CPU."""
    shared, found = worker(cells.context(SMALL), asked), []
    with emulated():
        for one in asked:
            found.append(cells.run(one, shared))
            shared.release(one)
    return found


def told(outcome: Outcome) -> tuple[object, ...]:
    """All that must not depend on how the steps were launched."""
    return outcome.curve, outcome.quality


@pytest.mark.slow
@pytest.mark.parametrize("compiles", [False, True])
def test_a_captured_cell_of_every_kind_learns_what_it_learns_one_by_one(
    monkeypatch: pytest.MonkeyPatch, compiles: bool
) -> None:
    if compiles:
        monkeypatch.setattr(placement, "COMPILE_SECONDS", 0.0)
    asked = [cells.cell(kind, SMALL) for kind in KINDS]
    there = outcomes(Capturing, *asked)
    assert all(outcome.execution.captured for outcome in there)
    for one, outcome in zip(asked, there, strict=True):
        assert outcome.execution.compiled == (compiles and one.kind != "feature_extraction")
    assert list(map(told, there)) == list(map(told, outcomes(cells.Worker, *asked)))


@pytest.mark.slow
def test_cells_whose_steps_differ_learn_by_turns_what_they_learn_one_by_one() -> None:
    changes: tuple[dict[str, Any], ...] = ({}, {"augment": "none"}, {"batch_size": 4})
    asked = [
        cells.cell("fine_tuning", SMALL, seed=seed, epochs=1, **changed)
        for seed in (0, 1)
        for changed in changes
    ]
    there = outcomes(Capturing, *asked)
    assert list(map(told, there)) == list(map(told, outcomes(cells.Worker, *asked)))
