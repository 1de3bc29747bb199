"""Cells on a GPU: what the CPU computes, within rounding; captured, what the same steps compute one
by one; and peaks that do not depend on company.

resnet18 has no dropout, whose draws would differ between the devices.
"""

from collections import OrderedDict
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench.data.images import Images
from bench.measure.device import Device
from bench.measure.meters import Clock
from bench.record import Cell
from bench.strategies import HEAD_ONLY, PhasePlan, live_phase
from bench.suite import Kind
from bench.training import step as steps
from bench.training.evaluate import host
from bench.training.feeds import AugmentedFeed
from bench.training.heads import FeatureExam, Heads, Seeded, train_heads
from bench.training.network import start_of
from bench.training.phase import Course, fit
from bench.training.placement import placement, prepare_device
from bench.training.run_cell import Outcome
from bench.training.step import Step
from tests.training import cells

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

GPU = Device("cuda", 0)
KINDS: tuple[Kind, ...] = (
    "fine_tuning",
    "from_scratch",
    "two_phase",
    "feature_extraction",
    "partial",
)


class Uncaptured(cells.Worker):
    """A worker whose steps are launched kernel by kernel."""

    captures = False


def outcomes(
    device: Device,
    *asked: Cell,
    worker: type[cells.Worker] = cells.Worker,
) -> list[Outcome]:
    """The outcomes of cells, one after another in one worker on the device."""
    prepare_device(device)
    names = {one.architecture for one in asked}
    shared = worker(cells.context(*names)._replace(device=device), asked)
    found = []
    for one in asked:
        found.append(cells.run(one, shared))
        shared.release(one)
    return found


def losses(outcome: Outcome) -> list[float]:
    return [point.train_loss for point in outcome.curve]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_in_fp32_learns_what_it_learns_on_the_cpu(kind: Kind) -> None:
    (there,) = outcomes(GPU, cells.cell(kind))
    (here,) = outcomes(Device("cpu", None), cells.cell(kind))
    # A few steps: rounding (1e-7) is amplified by AdamW's division, but not to per cent.
    assert losses(there) == pytest.approx(losses(here), rel=2e-2)
    assert there.quality.test.nll == pytest.approx(here.quality.test.nll, rel=5e-2)
    assert there.execution.captured


@pytest.mark.parametrize("kind", ["fine_tuning", "partial", "from_scratch"])
@pytest.mark.parametrize("architecture", ["resnet18", "efficientnet_b0", "vit_b_16"])
def test_a_captured_cell_learns_what_the_same_steps_learn_one_by_one(
    kind: Kind, architecture: str
) -> None:
    asked = [cells.cell(kind, architecture, seed=seed, epochs=3) for seed in (0, 1)]
    captured = outcomes(GPU, *asked)
    eager = outcomes(GPU, *asked, worker=Uncaptured)
    for one, other in zip(captured, eager, strict=True):
        assert (one.execution.captured, other.execution.captured) == (True, False)
        # The same kernels and, by the same seed, the same dropout; atomic sums differ in order.
        assert losses(one) == pytest.approx(losses(other), rel=2e-2)
    assert losses(captured[0]) != losses(captured[1])


def test_dropout_in_a_replay_differs_from_step_to_step_and_repeats_with_the_seed() -> None:
    prepare_device(GPU)
    device = torch.device("cuda", 0)
    kept = torch.zeros(64, device=device)
    generator = torch.Generator(device).manual_seed(3)

    def draw() -> None:
        kept.bernoulli_(0.5, generator=generator)

    replay = steps.captured(draw, device, [generator])
    found = []
    for _ in range(2):
        generator.manual_seed(3)
        for _ in range(2):
            replay()
            found.append(kept.clone())
    assert not found[0].equal(found[1])
    assert found[0].equal(found[2])
    assert found[1].equal(found[3])


def test_each_graph_that_lives_was_recorded_on_a_stream_of_its_own() -> None:
    device = torch.device("cuda", 0)
    square, product = torch.eye(64, device=device), torch.zeros(64, 64, device=device)
    used: list[torch.cuda.Stream] = []

    def work() -> None:
        used.append(torch.cuda.current_stream(device))
        torch.mm(square, square, out=product)

    alive = []
    for _ in range(20):  # two streams each would be more than torch has
        alive.append(steps.captured(work, device))
        steps.captured(work, device)
    recorded = used[:: 2 * (steps.WARMUPS + 1)]
    assert len(set(recorded)) == len(alive) == 20
    torch.cuda.empty_cache()
    for replay in alive:
        product.zero_()
        replay()
        assert product.equal(square)


def test_heads_of_several_seeds_learn_on_a_gpu_what_they_learn_on_the_cpu() -> None:
    asked = [cells.cell("feature_extraction", seed=seed, epochs=4) for seed in (0, 1, 2)]
    for there, here in zip(
        outcomes(GPU, *asked), outcomes(Device("cpu", None), *asked), strict=True
    ):
        assert there.execution.captured
        assert losses(there) == pytest.approx(losses(here), rel=2e-2)


def test_work_that_waits_for_the_device_is_not_captured_and_the_log_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = torch.zeros((), device="cuda")
    own = torch.Generator("cuda").manual_seed(3)
    expected = torch.rand(4, generator=own, device="cuda")

    def wait() -> None:
        value.fill_(torch.rand((), generator=own, device="cuda").item() + torch.rand_like(value))

    def forget() -> None:
        value.zero_()

    assert steps.captured_if_possible(wait, value.device, [own]) is None
    assert "not captured as a CUDA graph" in capsys.readouterr().err
    assert torch.ones((), device="cuda").item() == 1, "the device must go on"
    assert 0 <= torch.rand((), device="cuda").item() < 1, "and so must its random numbers"
    own.manual_seed(3)
    assert torch.rand(4, generator=own, device="cuda").equal(expected)
    torch.cuda.empty_cache()  # as before every cell
    assert steps.captured_if_possible(forget, value.device) is not None


def test_a_failed_recording_leaves_earlier_graphs_their_random_numbers() -> None:
    device = torch.device("cuda", 0)
    kept = torch.zeros(64, device=device)

    def draw() -> None:
        kept.copy_(torch.rand(64, device=device))

    def wait() -> None:
        draw()
        kept[0].item()

    def drawn() -> Tensor:
        torch.manual_seed(3)
        replay()
        return kept.clone()

    replay = steps.captured(draw, device)
    before = drawn()
    assert steps.captured_if_possible(wait, device) is None
    assert drawn().equal(before)


@pytest.mark.parametrize("kind", ["feature_extraction", "two_phase"])
def test_features_that_do_not_fit_the_device_stay_on_the_host_and_heads_train_there(
    monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    one = cells.cell(kind)
    (expected,) = outcomes(GPU, one)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device=None: (1_000, 80_000_000_000))
    shared = cells.Worker(cells.context("resnet18")._replace(device=GPU), [one])
    found = cells.run(one, shared)
    assert cells.features_of(one, shared).value.train_VN.device.type == "cpu"
    assert not found.execution.resident
    assert losses(found) == pytest.approx(losses(expected), rel=2e-2)


def resident_pictures() -> Images:
    """Noise on the GPU."""
    images = cells.pictures(24, 40)
    crops_NCHW = cells.crops_of(images).cuda()
    return Images(crops_NCHW, crops_NCHW, images.labels_N.cuda())


def test_a_compiled_step_learns_what_the_plain_one_learns() -> None:
    prepare_device(GPU)
    one = cells.cell("fine_tuning", epochs=3)
    plan = live_phase(one.kind, one.recipe, start_of(one, None).stages)
    place = placement("resnet18", one.recipe, 32, torch.device("cuda", 0))
    means = []
    for compiled in (False, True):
        network = place.place(start_of(one, None))
        feed = AugmentedFeed(
            resident_pictures(), cells.UNIT.model_copy(update={"crop_size": 32}), flip=True
        )
        step = Step(network, feed, plan.rules, one.recipe, place)
        if compiled:
            step.capture()  # as every step is before it is compiled
            step.compile()
            assert step.compiled
            torch.cuda.empty_cache()  # unmaps what the first graph left, should the second use it
            step.start_from(start_of(one, None).state_dict(), plan.rules, one.recipe.lr)
        generator = torch.Generator().manual_seed(0)
        means.append([epoch.train_loss for epoch in fit(step, plan, 0.5, generator)])
    assert means[0] == pytest.approx(means[1], rel=2e-2)


class UnwaitedStep(Step):
    """Raises where the host waits for the device from the first run of an epoch to its loss."""

    def run(self, indices_B: Tensor, scale: float) -> None:
        torch.cuda.set_sync_debug_mode("error")
        super().run(indices_B, scale)

    def loss_sum(self) -> float:
        torch.cuda.set_sync_debug_mode("default")
        return super().loss_sum()


class UnwaitedHeads(Heads):
    """The same of heads."""

    def run(self, indices_SB: Tensor, scale: float) -> None:
        torch.cuda.set_sync_debug_mode("error")
        super().run(indices_SB, scale)

    def loss_sums(self) -> list[float]:
        torch.cuda.set_sync_debug_mode("default")
        return super().loss_sums()


@pytest.fixture
def sync_debug_mode() -> Iterator[None]:
    """Set back, whatever a test leaves."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("sync_debug_mode")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_the_host_waits_for_no_step_of_an_epoch() -> None:
    prepare_device(GPU)
    one = cells.cell("fine_tuning", epochs=2)
    plan = live_phase(one.kind, one.recipe, start_of(one, None).stages)
    place = placement("resnet18", one.recipe, 32, torch.device("cuda", 0))
    feed = AugmentedFeed(
        resident_pictures(), cells.UNIT.model_copy(update={"crop_size": 32}), flip=True
    )
    step = UnwaitedStep(place.place(start_of(one, None)), feed, plan.rules, one.recipe, place)
    assert len(list(fit(step, plan, 0.5, torch.Generator().manual_seed(0)))) == 2
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match="synchronizing"):
        Step.loss_sum(step)


@pytest.mark.usefixtures("sync_debug_mode")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_the_host_waits_for_no_step_of_heads() -> None:
    prepare_device(GPU)
    features_VN, labels_N = torch.rand(2, 24, 4).cuda(), (torch.arange(24) % 6).cuda()
    parts = OrderedDict[str, nn.Module](dropout=nn.Dropout(0.5), layer=nn.Linear(4, 6))
    starts = [
        Seeded(nn.Sequential(parts), torch.Generator(), torch.Generator("cuda")) for _ in range(2)
    ]
    recipe, val = cells.recipe(batch_size=4), FeatureExam(features_VN[0], host(labels_N))
    heads = UnwaitedHeads(starts, features_VN, labels_N, recipe)
    plan = PhasePlan("head", 2, HEAD_ONLY)
    courses = train_heads(heads, plan, recipe, val, "top1", Clock(GPU))
    assert all(isinstance(course, Course) for course in courses)


def test_auto_runs_in_bf16_where_the_gpu_has_it_and_memory_is_known() -> None:
    (found,) = outcomes(GPU, cells.cell("fine_tuning", precision="auto"))
    modern = torch.cuda.get_device_capability(0) >= (8, 0)
    assert found.execution.precision == ("bf16" if modern else "fp32")
    # 11.2 million parameters: fp32 values, gradients and two moments of AdamW.
    assert (found.memory.gpu_allocated_bytes or 0) > 4 * 4 * 11_000_000
    assert (found.memory.gpu_reserved_bytes or 0) >= (found.memory.gpu_allocated_bytes or 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_has_the_same_peak_alone_and_last_in_its_worker(kind: Kind) -> None:
    others = [cells.cell(other) for other in KINDS if other != kind]
    alone = outcomes(GPU, cells.cell(kind))[0].memory.gpu_allocated_bytes
    last = outcomes(GPU, *others, cells.cell(kind))[-1].memory.gpu_allocated_bytes
    assert last == pytest.approx(alone, rel=0.02)
