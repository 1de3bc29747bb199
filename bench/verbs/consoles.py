"""Where a person is spoken to: standard output, and standard error."""

import sys

from rich.console import Console

from bench.terminal import screen

out = screen()
err = Console(stderr=True, highlight=False, soft_wrap=True)

beside = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())
"""Where work is watched whose result goes to standard output, which a program may be reading."""
