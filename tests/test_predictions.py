"""Packed predictions come back as they went in, and damage is an error."""

import base64
import struct
import zlib

import numpy as np
import pytest

from bench import predictions


def test_class_ids_survive_the_round_trip_exactly_up_to_65535() -> None:
    labels, predicted = [0, 1, 256, 65535], [65535, 1, 255, 0]
    unpacked = predictions.unpack(predictions.pack(labels, predicted, [0.0, 0.25, 0.5, 1.0]))
    assert unpacked.labels_N.tolist() == labels
    assert unpacked.predicted_N.tolist() == predicted
    assert unpacked.correct_N.tolist() == [False, True, False, False]


def test_confidences_come_back_within_half_a_quantisation_step() -> None:
    confidences = np.random.default_rng(0).random(500)
    zeros = np.zeros(500, dtype=np.int64)
    unpacked = predictions.unpack(predictions.pack(zeros, zeros, confidences))
    assert np.abs(unpacked.confidences_N - confidences).max() <= 0.5 / 65535 + 1e-12


def test_packing_again_what_was_unpacked_gives_the_same_text() -> None:
    draw = np.random.default_rng(1)
    ids, confidences = draw.integers(0, 1000, (2, 300)), draw.random(300)
    packed = predictions.pack(ids[0], ids[1], confidences)
    assert predictions.pack(*predictions.unpack(packed)) == packed


def test_a_column_is_little_endian_on_every_machine() -> None:
    packed = predictions.pack([1, 258], [0, 0], [0.0, 1.0])
    assert zlib.decompress(base64.b64decode(packed.labels)) == struct.pack("<HH", 1, 258)
    assert zlib.decompress(base64.b64decode(packed.confidences)) == struct.pack("<HH", 0, 65535)


def test_mistakes_come_most_confident_first_and_equal_ones_by_index() -> None:
    draw = np.random.default_rng(3)
    labels, predicted = draw.integers(0, 3, (2, 200))
    confidences = draw.integers(1, 6, 200) / 5  # so that many are equal
    packed = predictions.pack(labels, predicted, confidences)
    wrong = [(-confidences[i], i) for i in range(200) if labels[i] != predicted[i]]
    expected = [i for _, i in sorted(wrong)]
    assert predictions.confident_mistakes(packed, limit=500) == expected
    assert predictions.confident_mistakes(packed) == expected[:24]


def test_where_nothing_is_wrong_there_are_no_mistakes() -> None:
    assert predictions.confident_mistakes(predictions.pack([1, 2], [1, 2], [0.5, 1.0])) == []
    assert predictions.confident_mistakes(predictions.pack([], [], [])) == []


def test_no_images_pack_to_empty_columns() -> None:
    unpacked = predictions.unpack(predictions.pack([], [], []))
    assert [len(column) for column in unpacked] == [0, 0, 0]


def test_a_confidence_above_one_is_certainty_within_rounding_and_an_error_beyond() -> None:
    above = np.nextafter(np.float32(1), np.float32(2))
    assert predictions.unpack(predictions.pack([0], [0], [above])).confidences_N.tolist() == [1.0]
    with pytest.raises(ValueError, match="0 to 1"):
        predictions.pack([0], [0], [1.001])


@pytest.mark.parametrize(
    ("labels", "predicted", "confidences"),
    [
        ([0, 1], [0], [0.5]),
        ([0], [0], [0.5, 0.5]),
        ([-1], [0], [0.5]),
        ([0], [65536], [0.5]),
        ([0.5], [0], [0.5]),
        ([0], [0], [float("nan")]),
        ([[0]], [[0]], [[0.5]]),
    ],
)
def test_what_cannot_be_packed_is_an_error(
    labels: list[int], predicted: list[int], confidences: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"expected|need"):
        predictions.pack(labels, predicted, confidences)


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"not zlib").decode(), ""])
def test_a_damaged_column_is_an_error_that_names_it(text: str) -> None:
    packed = predictions.pack([1, 2], [1, 2], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"predictions\.classes"):
        predictions.unpack(packed.model_copy(update={"classes": text}))


def test_a_column_of_the_wrong_length_is_an_error() -> None:
    packed = predictions.pack([1, 2], [1, 2], [0.5, 0.5])
    for num_images in (1, 3):
        with pytest.raises(ValueError, match=r"predictions\.labels"):
            predictions.unpack(packed.model_copy(update={"num_images": num_images}))


def test_bits_come_back_and_damaged_ones_do_not() -> None:
    draw = np.random.default_rng(0)
    for count in (1, 7, 8, 1000):
        right_N = draw.random(count) < 0.8
        assert (predictions.unpack_bits(predictions.pack_bits(right_N), count) == right_N).all()
    for text in ("", "%%%", "AAAA", predictions.pack_bits(np.ones(900, dtype=bool))):
        with pytest.raises(ValueError, match="packed bits"):
            predictions.unpack_bits(text, 1000)
