"""Whether a run folder is gone on with: only where the later sitting is the same task."""

from bench.errors import FolderError
from bench.record import Run

WANTED_NOW = ("keep_weights", "compare")
"""Keys of the suite that change no cell: the later sitting's count."""


def go_on(earlier: Run, fresh: Run) -> Run:
    """The earlier run, to be continued. Raises FolderError where it was another task."""
    # Of the list of weights, a run keeps what it found first.
    fresh_suite = fresh.suite.model_copy(update={"weights": earlier.suite.weights})
    wanted_now = {name: getattr(fresh_suite, name) for name in WANTED_NOW}
    suite = earlier.suite.model_copy(update=wanted_now)
    changed = [
        name
        for name, same in (
            ("the device profile", earlier.profile == fresh.profile),
            ("the suite", suite == fresh_suite),
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
    return earlier.model_copy(update={"suite": suite})
