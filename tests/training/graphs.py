"""CUDA graphs on a CPU: a stand-in for what `torch.cuda` records, replays, shares and frees.

Every operation that reaches the dispatcher passes through `Gpu`. What is recorded is not done
before it is replayed; until then its results are not numbers. As on a GPU, work that waits for a
result cannot be recorded, and a matrix product works in memory that torch keeps for each stream.

Where releases of torch differ, each rule is the strictest: memory for matrix products ends with any
graph of its stream (since 2.12), and a recording that fails at its end leaves its generators in
wait and its stream current (until then). Not stood in for: what else tensors take, and the order
between streams.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakSet

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

STREAMS = 32
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero"}
PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear"}

COMMON_POOL = 0
"""Of memory that no graph has to itself."""

Operation = Any  # torch._ops.OpOverload


class Stream:
    """One of the streams of the device; the one of number 0 is its default."""

    def __init__(self, number: int) -> None:
        self.number, self.device, self.device_index = number, torch.device("cpu"), 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    def wait_stream(self, other: "Stream") -> None:
        """There is but one queue here."""


class Workspace:
    """What matrix products of a stream work in."""

    def __init__(self, stream: Stream, pool: int) -> None:
        self.stream, self.pool = stream, pool
        self.freed = False


class State:
    """Of a generator, as graphs hold it."""

    def __init__(self, numbers: torch.Generator) -> None:
        self.numbers = numbers
        self.waiting = False  # for the end of a recording


class DefaultGenerator:
    """That of the device. Its numbers are the CPU's, which torch seeds together with it."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.state = State(torch.default_generator)

    def initial_seed(self) -> int:
        return self.state.numbers.initial_seed()

    def manual_seed(self, seed: int) -> None:
        self.state.numbers.manual_seed(seed)

    def graphsafe_set_state(self, _other: object) -> None:
        """Take another state: the one before keeps its numbers to itself."""
        self.state.numbers = torch.default_generator.clone_state()
        self.state = State(torch.default_generator)


class Node(NamedTuple):
    """A recorded operation, and where its results lie."""

    operation: Operation
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    results: Sequence[Tensor]


class Graph:
    """A recording: torch.cuda.CUDAGraph."""

    def __init__(self, gpu: "Gpu") -> None:
        self.stream: Stream | None = None
        self.pool = gpu.new_pool()
        self.workspaces: set[Workspace] = set()
        self._gpu = gpu
        self._nodes: list[Node] = []
        self._states: list[State] = []
        self._is_broken = self._is_whole = False

    def register_generator_state(self, generator: torch.Generator) -> None:
        self._states.append(self._gpu.state(generator))

    def capture_begin(self, **_modes: object) -> None:
        if self._gpu.stream.number == 0:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self.stream = self._gpu.stream
        self._states.append(self._gpu.default_generators[0].state)
        for state in self._states:
            state.waiting = True
        self._gpu.recording = self
        self._gpu.graphs.add(self)
        self._gpu.most_graphs = max(self._gpu.most_graphs, len(self._gpu.graphs))

    def capture_end(self) -> None:
        self._gpu.recording = None
        if self._is_broken:
            raise RuntimeError("CUDA error: operation failed due to a previous error")
        for state in self._states:
            state.waiting = False
        if not self._nodes:
            warnings.warn("The CUDA Graph is empty.", stacklevel=2)
        self._is_whole = True

    def break_off(self) -> None:
        """What is recorded counts for nothing from here on."""
        self._is_broken = True
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    def record(
        self, operation: Operation, arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        """Its results as they will lie after a replay, without doing it."""
        known = facts(operation)
        if known.name in WAITS:
            self.break_off()
        if known.is_random and self._gpu.state(named.get("generator")) not in self._states:
            raise RuntimeError("Attempt to increase offset for a CUDA generator not in capture")
        if known.is_view:
            return operation(*arguments, **named)
        if known.name in PRODUCTS:
            self.workspaces.add(self._gpu.workspace())
        done = self._gpu.without_effect(operation, arguments, named)
        fresh = new_tensors(operation, done)
        for result in fresh:
            result.fill_(torch.nan) if result.is_floating_point() else result.zero_()
        self._nodes.append(Node(operation, *tree_map(bare, (arguments, dict(named), fresh))))
        given = dict(zip(known.arguments, arguments, strict=False)) | dict(named)
        values = [
            given[argument] if argument else value
            for value, argument in zip(returned(operation, done), known.returns, strict=True)
        ]
        return values[0] if len(values) == 1 else tuple(values) or None

    def replay(self) -> None:
        if not self._is_whole:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        if any(state.waiting for state in self._states):
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
        if any(workspace.freed for workspace in self.workspaces):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        with _disable_current_modes(), torch.no_grad():
            for node in self._nodes:
                self._do(node)

    def _do(self, node: Node) -> None:
        own = self._states[-1].numbers  # the default generator's, as it was when this was recorded
        is_random = facts(node.operation).is_random
        with numbers_of(own if is_random else torch.default_generator):
            done = node.operation(*node.arguments, **node.named)
        for made, place in zip(new_tensors(node.operation, done), node.results, strict=True):
            place.copy_(made)

    def __del__(self) -> None:
        if self.stream is not None:
            self._gpu.free_workspace(self.stream)


@contextmanager
def numbers_of(generator: torch.Generator) -> Iterator[None]:
    """Within, the default generator draws what this one would."""
    if generator is torch.default_generator:
        yield
        return
    before = torch.default_generator.get_state()
    torch.default_generator.set_state(generator.get_state())
    yield
    generator.set_state(torch.default_generator.get_state())
    torch.default_generator.set_state(before)


def bare(value: Any) -> Any:
    """The same memory, without its history."""
    return value.detach() if isinstance(value, Tensor) else value


class Facts(NamedTuple):
    """What an operation's schema says of it."""

    name: str
    arguments: tuple[str, ...]
    returns: tuple[str | None, ...]  # the argument that it is, which was written; None: new
    is_view: bool
    is_random: bool
    allocates: bool


@cache
def facts(operation: Operation) -> Facts:
    schema = operation._schema  # made anew at each look
    written = {
        frozenset(argument.alias_info.before_set): argument.name
        for argument in schema.arguments
        if argument.alias_info and argument.alias_info.is_write
    }
    aliases = [returned.alias_info for returned in schema.returns]
    return Facts(
        schema.name,
        tuple(argument.name for argument in schema.arguments),
        tuple(one and written.get(frozenset(one.before_set)) for one in aliases),
        any(one and not one.is_write for one in aliases),
        torch.Tag.nondeterministic_seeded in operation.tags,
        any(one.alias_info is None and "Tensor" in str(one.type) for one in schema.returns),
    )


def returned(operation: Operation, done: Any) -> Sequence[Any]:
    """The values that a call returned, as many as the schema has."""
    number = len(facts(operation).returns)
    return () if number == 0 else (done,) if number == 1 else done


def new_tensors(operation: Operation, done: Any) -> list[Tensor]:
    """Those of them that no argument is."""
    pairs = zip(returned(operation, done), facts(operation).returns, strict=True)
    leaves = tree_flatten([value for value, argument in pairs if argument is None])[0]
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


class Gpu(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stream = Stream(0)
        self.recording: Graph | None = None
        self.graphs: WeakSet[Graph] = WeakSet()
        self.most_graphs = 0  # alive at once
        self.default_generators = (DefaultGenerator(),)
        self.allocations = 0
        self.full_at: int | None = None  # the allocation that finds no memory
        self.recording_is_full = False  # no recording finds memory
        self.recorded = 0
        self.refused_at: int | None = None  # the operation that cannot be recorded
        self._num_streams = self._num_pools = 0
        self._capture_stream: Stream | None = None
        self._workspaces: dict[Stream, Workspace] = {}
        self._registered: list[tuple[torch.Generator, State]] = []

    # ---- what torch.cuda has ------------------------------------------------------------------

    def new_stream(self, _device: object = None) -> Stream:
        self._num_streams += 1
        return Stream(1 + (self._num_streams - 1) % STREAMS)

    def new_graph(self) -> Graph:
        return Graph(self)

    def current_stream(self, _device: object = None) -> Stream:
        return self.stream

    def set_stream(self, stream: Stream) -> None:
        self.stream = stream

    @contextmanager
    def on_stream(self, stream: Stream) -> Iterator[None]:
        before, self.stream = self.stream, stream
        try:
            yield
        finally:
            self.stream = before

    @contextmanager
    def graph(self, graph: Graph, *, stream: Stream | None = None) -> Iterator[None]:
        if self._capture_stream is None:
            self._capture_stream = self.new_stream()  # torch has one for all
        before, self.stream = self.stream, stream or self._capture_stream
        graph.capture_begin()
        try:
            yield
        finally:
            graph.capture_end()  # where it raises, torch does not go back to the stream before
            self.stream = before

    def synchronize(self, _device: object = None) -> None:
        """Everything is done already."""

    # ---- behind it ----------------------------------------------------------------------------

    def __torch_dispatch__(
        self,
        func: Operation,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func.namespace != "aten":
            return func(*args, **named)
        known = facts(func)
        if known.allocates:
            self.allocations += 1
            if self.allocations == self.full_at or (self.recording and self.recording_is_full):
                raise torch.OutOfMemoryError("CUDA out of memory.")
        if self.recording is not None:
            self.recorded += 1
            if self.recorded == self.refused_at:
                self.recording.break_off()
            return self.recording.record(func, args, named)
        if known.is_random and self.state(named.get("generator")).waiting:
            raise RuntimeError("Offset increment outside graph capture encountered unexpectedly.")
        if known.name in PRODUCTS:
            self.workspace()
        return func(*args, **named)

    def state(self, generator: torch.Generator | None) -> State:
        if generator is None:
            return self.default_generators[0].state
        for known, state in self._registered:
            if known._cdata == generator._cdata:  # type: ignore[attr-defined]
                return state
        self._registered.append((generator, State(generator)))
        return self._registered[-1][1]

    def workspace(self) -> Workspace:
        """That of the current stream."""
        if self.stream not in self._workspaces:
            pool = COMMON_POOL if self.recording is None else self.recording.pool
            self._workspaces[self.stream] = Workspace(self.stream, pool)
        return self._workspaces[self.stream]

    def new_pool(self) -> int:
        self._num_pools += 1
        return self._num_pools

    def free_workspace(self, stream: Stream) -> None:
        workspace = self._workspaces.pop(stream, None)
        if workspace is not None:
            workspace.freed = True

    def without_effect(
        self, operation: Operation, arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Any:
        """What an operation returns, done on copies of everything that it could change."""

        def copy(value: Any) -> Any:
            if isinstance(value, torch.Generator):
                return value.clone_state()
            return value.clone() if isinstance(value, Tensor) else value

        numbers = torch.default_generator.get_state()
        try:
            return operation(*tree_map(copy, arguments), **tree_map(copy, dict(named)))
        finally:
            torch.default_generator.set_state(numbers)


def compiled(module: nn.Module) -> nn.Module:
    """torch.compile: other kernels for the same module."""
    return nn.Sequential(module)


@contextmanager
def emulated() -> Iterator[Gpu]:
    """Within, torch.cuda is the stand-in, and every tensor of the CPU lies on it."""
    gpu = Gpu()
    replaced: dict[str, Any] = {
        "Stream": gpu.new_stream,
        "CUDAGraph": gpu.new_graph,
        "current_stream": gpu.current_stream,
        "set_stream": gpu.set_stream,
        "stream": gpu.on_stream,
        "graph": gpu.graph,
        "synchronize": gpu.synchronize,
        "default_generators": gpu.default_generators,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, one in replaced.items():
            patch.setattr(torch.cuda, name, one)
        patch.setattr(torch, "compile", compiled)
        with gpu:
            yield gpu
