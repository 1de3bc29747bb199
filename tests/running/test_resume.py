"""A run goes on only where it is the same task."""

from typing import Any

import pytest

from bench.errors import FolderError
from bench.record import Run
from bench.running import resume
from bench.suite import Suite
from tests import records

EARLIER = records.run(["resnet18"], ["fine_tuning", "partial"]).model_copy(
    update={"status": "interrupted", "wall_seconds": 12.0}
)


def changed(**update: Any) -> Run:
    return EARLIER.model_copy(update=update)


def test_a_run_that_goes_on_keeps_its_start_its_time_and_its_source() -> None:
    fresh = changed(started_at="later", wall_seconds=0.0)
    assert resume.go_on(EARLIER, fresh) == EARLIER


def test_another_list_of_weights_alone_is_no_other_task() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, weights=["random"]))
    assert resume.go_on(EARLIER, fresh) == EARLIER


def test_what_is_kept_may_change_and_is_then_what_the_run_says() -> None:
    fresh = changed(suite=records.suite_of(EARLIER, keep_weights="all"))
    gone_on = resume.go_on(EARLIER, fresh)
    assert gone_on.suite.keep_weights == "all"
    assert gone_on.model_copy(update={"suite": EARLIER.suite}) == EARLIER


def test_a_run_of_an_older_bench_goes_on_where_new_keys_are_at_their_default() -> None:
    older = {key: value for key, value in EARLIER.suite.model_dump().items() if key != "target"}
    assert EARLIER.suite.target == 0.9
    earlier = changed(suite=Suite.model_validate(older))
    assert resume.go_on(earlier, EARLIER).started_at == EARLIER.started_at
    with pytest.raises(FolderError, match="the suite changed since"):
        resume.go_on(earlier, changed(suite=records.suite_of(EARLIER, target=0.5)))


@pytest.mark.parametrize(
    ("fresh", "name"),
    [
        (changed(profile="gpu"), "the device profile"),
        (changed(suite=records.suite_of(EARLIER, target=0.5)), "the suite"),
        (
            changed(data=EARLIER.data.model_copy(update={"split_sha256": "e" * 64})),
            "the images or their split",
        ),
        (changed(protocol_version=EARLIER.protocol_version + 1), "bench's protocol"),
        (changed(cells=EARLIER.cells[:1]), "the weights or a default"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_change_of_the_task_is_refused_by_name(fresh: Run, name: str) -> None:
    with pytest.raises(FolderError, match=f"{name} changed since; name a new folder"):
        resume.go_on(EARLIER, fresh)
