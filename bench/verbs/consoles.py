"""Where a person is spoken to: standard output, and standard error."""

from rich.console import Console

from bench.terminal import screen

out = screen()
err = Console(stderr=True, highlight=False, soft_wrap=True)
