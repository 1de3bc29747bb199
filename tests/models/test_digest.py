"""The hash of tensors changes with every value, name, type and shape, and with nothing else."""

import hashlib

import pytest
import torch
from torch import Tensor

from bench.models.state import digest

TENSORS = {"b": torch.arange(12.0).view(1, 3, 2, 2), "a": torch.tensor(7)}


def test_it_is_the_hash_of_headers_and_little_endian_bytes() -> None:
    header = b"a\0torch.int64\0[]\0" + (7).to_bytes(8, "little")
    values = b"".join(torch.tensor(float(v)).numpy().tobytes() for v in range(12))
    whole = header + b"b\0torch.float32\0[1, 3, 2, 2]\0" + values
    assert digest(TENSORS) == hashlib.sha256(whole).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor(7)},
        {**TENSORS, "a": torch.tensor(8)},
        {**TENSORS, "a": torch.tensor(7, dtype=torch.int32)},
        {**TENSORS, "b": TENSORS["b"].view(3, 1, 2, 2)},
        {"b": TENSORS["b"], "c": TENSORS["a"]},
        {**TENSORS, "b": TENSORS["b"].nextafter(torch.tensor(99.0))},
    ],
)
def test_it_tells_other_tensors_apart(other: dict[str, Tensor]) -> None:
    assert digest(other) != digest(TENSORS)


def test_order_and_layout_do_not_enter_it() -> None:
    laid_out = TENSORS["b"].contiguous(memory_format=torch.channels_last)
    parameter = torch.nn.Parameter(laid_out)
    assert digest({"a": TENSORS["a"], "b": parameter}) == digest(TENSORS)
