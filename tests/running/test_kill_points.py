"""Whatever becomes of a run on its way, its end is that of an undisturbed one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import command, kill_points
from tests.command import tiny
from tests.kill_points import FAULTS, Fault

pytestmark = pytest.mark.slow

SUITES = st.builds(
    tiny,
    st.lists(
        st.sampled_from(["feature_extraction", "partial", "two_phase", "from_scratch"]),
        min_size=1, max_size=3, unique=True,
    ),
    seeds=st.integers(1, 3),
    epochs=st.integers(2, 4),
    architectures=st.sampled_from([["mobilenet_v3_small"], ["mobilenet_v3_small", "resnet18"]]),
)  # fmt: skip
SCHEDULES = st.lists(
    st.builds(Fault, st.sampled_from(list(FAULTS)), st.floats(0, 6)), min_size=1, max_size=3
)


@given(text=SUITES, faults=SCHEDULES)
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to look for a smaller one would take minutes
    suppress_health_check=list(HealthCheck),
)
def test_a_run_under_faults_ends_as_an_undisturbed_one(
    tmp_path_factory: pytest.TempPathFactory, text: str, faults: list[Fault]
) -> None:
    folder = tmp_path_factory.mktemp("faults")
    here = command.place(folder)
    path, out = here.suite(text), folder / "out"
    ended = command.quick(here, "run", path, "--out", folder / "quiet")
    assert ended.returncode == 0, ended.stderr
    for fault in faults:
        kill_points.sitting(here, path, out, [fault])
    kill_points.survives(here, path, out, folder / "quiet")
    shutil.rmtree(folder)


def lose_a_record(_process: object, out: Path) -> bool:
    next(out.glob("cells/*/record.json")).unlink()
    return True


def train_again(_process: object, out: Path) -> bool:
    path = next(out.glob("cells/*/record.json"))
    path.write_bytes(path.read_bytes() + b"\n")
    return True


@pytest.mark.parametrize("harm", [lose_a_record, train_again])
def test_a_finished_cell_that_is_lost_or_trained_again_is_seen(
    tmp_path: Path, harm: Callable[[object, Path], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, out = command.place(tmp_path), tmp_path / "out"
    path = here.suite(tiny(["feature_extraction"]))
    assert kill_points.sitting(here, path, out) == (0, ())
    monkeypatch.setitem(FAULTS, "harm", harm)
    with pytest.raises(AssertionError, match=r"mobilenet_v3_small-feature_extraction-s0"):
        kill_points.sitting(here, path, out, [Fault("harm", 0.0)])
