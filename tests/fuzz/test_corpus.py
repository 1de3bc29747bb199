"""What fuzzing began with and has found, and short searches of its own."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, accepts

FILES = sorted(CORPUS.glob("*/*"))
SEEDS = {
    name: [path.read_bytes() for path in FILES if path.parent.name == name] for name in TARGETS
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_each_input_of_the_corpus_is_read_or_refused(path: Path) -> None:
    is_read = accepts(path.parent.name, path.read_bytes())
    assert is_read or "sound" not in path.name, "a seed that is refused leads nowhere"


def edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The bytes with pieces replaced, each at a share of the length."""
    for share, length, new in edits:
        at = int(share * len(data))
        data = data[:at] + new + data[at + length :]
    return data


EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=4
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_edited_inputs_are_read_or_refused(name: str) -> None:
    @given(seed=st.sampled_from(SEEDS[name]), edits=EDITS)
    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def search(seed: bytes, edits: list[tuple[float, int, bytes]]) -> None:
        accepts(name, edited(seed, edits))

    search()
