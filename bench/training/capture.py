"""Work that is launched over and over, recorded once as a CUDA graph and replayed.

A step of a small network keeps a GPU waiting for Python: it is hundreds of kernels of a few
microseconds each. A graph launches all of them at once. What it reads and writes lies at fixed
places, so whoever records it keeps its tensors and changes them in place only.
"""

import sys
from collections.abc import Callable, Sequence

import torch

Work = Callable[[], None]

WARMUPS = 3
"""Runs before recording: libraries set themselves up and optimisers make their state."""


def captured(work: Work, device: torch.device, generators: Sequence[torch.Generator] = ()) -> Work:
    """A replay of `work` on a GPU: the same kernels in the same order.

    `work` runs WARMUPS times first: the caller sets back what that changed. `generators` are those
    that it draws from besides the default one. Raises RuntimeError where it cannot be recorded,
    because it waits for the device, say.
    """
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(WARMUPS):
            work()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def captured_if_possible(
    work: Work, device: torch.device, generators: Sequence[torch.Generator] = ()
) -> Work | None:
    """The same, or None where the work cannot be recorded; why is written to the cell's log."""
    stream = torch.cuda.current_stream(device)
    try:
        return captured(work, device, generators)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        torch.cuda.set_stream(stream)  # a recording that fails at its end leaves its own behind
        torch.cuda.synchronize(device)
        for generator in (torch.cuda.default_generators[stream.device_index], *generators):
            _renew(generator)
        sys.stderr.write(f"not captured as a CUDA graph, runs step by step: {error}\n")
        return None


def _renew(generator: torch.Generator) -> None:
    """Begin the generator's sequence again.

    A recording that fails at its end leaves its generators waiting for replays: whatever draws
    from them raises from then on, in every later cell. Only their state as a whole can be replaced.
    """
    seed = generator.initial_seed()
    generator.graphsafe_set_state(torch.Generator(generator.device).graphsafe_get_state())
    generator.manual_seed(seed)
