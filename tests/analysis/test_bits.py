"""Bits come back, whoever deflated them."""

import base64
import zlib

import numpy as np
import pytest

from bench.analysis.bits import pack_bits, same_bits, unpack_bits


def test_bits_come_back_and_damaged_ones_do_not() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 7, 8, 1000):
        right_N = draw.random(count) < 0.8
        assert (unpack_bits(pack_bits(right_N), count) == right_N).all()
    for text in ("", "%%%", "AAAA", pack_bits(np.ones(900, dtype=bool))):
        with pytest.raises(ValueError, match="packed bits"):
            unpack_bits(text, 1000)


def test_the_same_bits_in_another_text_are_the_same() -> None:
    right_N = np.random.default_rng(0).random(500) < 0.9
    text = pack_bits(right_N)
    plain = base64.b64encode(zlib.compress(np.packbits(right_N).tobytes(), 0)).decode()
    assert text != plain
    assert same_bits(text, plain, 500)
    assert not same_bits(text, pack_bits(~right_N), 500)
