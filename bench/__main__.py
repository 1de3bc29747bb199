"""`python -m bench`, and the command `bench`."""

import os
import signal
from types import FrameType


def leave(number: int, frame: FrameType | None) -> None:
    """End without a word: nothing has begun yet."""
    os._exit(128 + number)


# From here on, since the modules below take a while to load.
for early in (signal.SIGINT, signal.SIGTERM):
    signal.signal(early, leave)

from bench.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
