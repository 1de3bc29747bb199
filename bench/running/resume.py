"""Whether a run folder is gone on with: only where the later sitting is the same task."""

from typing import Any

from bench.errors import FolderError
from bench.record import Run
from bench.suite import Suite

WANTED_NOW = ("keep_weights", "compare")
"""Keys of the suite that change no cell: the later sitting's count."""


def go_on(earlier: Run, fresh: Run) -> Run:
    """The earlier run, to be continued. Raises FolderError where it was another task."""
    changed = [
        name
        for name, same in (
            ("the device profile", earlier.profile == fresh.profile),
            ("the suite", _asked(earlier) == _asked(fresh)),
            ("the images or their split", earlier.data == fresh.data),
            ("bench's protocol", earlier.protocol_version == fresh.protocol_version),
            ("the weights or a default", earlier.cells == fresh.cells),
        )
        if not same
    ]
    if changed:
        raise FolderError(
            f"--out: the run in this folder was another task: {changed[0]} changed since; "
            "name a new folder"
        )
    wanted_now = {key: fresh.suite[key] for key in WANTED_NOW if key in fresh.suite}
    return earlier.model_copy(update={"suite": {**earlier.suite, **wanted_now}})


def _asked(run: Run) -> dict[str, Any]:
    """What the suite asks for; keys that an older bench did not have are at their default.

    Without the weights: of the list, a run keeps what it found first. What is wanted now changes
    no cell.
    """
    defaults = {name: field.default for name, field in Suite.model_fields.items()}
    unsaid = {key: value for key, value in defaults.items() if isinstance(value, str | float)}
    asked = {**unsaid, **run.suite}
    return {key: value for key, value in asked.items() if key not in ("weights", *WANTED_NOW)}
