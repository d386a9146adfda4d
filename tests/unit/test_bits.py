"""Bits of images against plain Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.bits import MAX_FIELD, put, take, to_bits, to_bytes, width_of

WIDTHS = st.integers(1, MAX_FIELD)


def field(number: int, position: int, width: int) -> int:
    """Bits ``position`` to ``position + width - 1`` of a whole image as one big integer."""
    return number >> position & (1 << width) - 1


def signed(value: int, width: int) -> int:
    return value - (value >> width - 1 << width)


@st.composite
def written(draw: st.DrawFn) -> tuple[int, list[int], list[int], int]:
    """Width, ascending positions that leave gaps of any size, values, bits of the image."""
    width = draw(WIDTHS)
    gaps = draw(st.lists(st.integers(0, 13), max_size=12))
    positions = [sum(gaps[:i + 1]) + i * width for i in range(len(gaps))]
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if draw(st.booleans()) else (
        0, (1 << width) - 1)
    values = [draw(st.integers(low, high)) for _ in positions]
    return width, positions, values, sum(gaps) + len(gaps) * width + draw(st.integers(0, 13))


@given(written())
def test_fields_are_the_bits_of_one_big_integer(
        case: tuple[int, list[int], list[int], int]) -> None:
    width, positions, values, size = case
    bits = np.zeros(size, np.uint8)
    put(bits, np.array(positions, np.int64), np.array(values, np.int64), width)
    image = to_bytes(bits)
    number = int.from_bytes(image.tobytes(), "little")
    expected = 0
    for position, value in zip(positions, values, strict=True):
        expected |= (value & (1 << width) - 1) << position
    assert number == expected
    assert len(image) == -(-size // 8)
    at = np.array(positions, np.int64)
    unsigned = [field(number, position, width) for position in positions]
    assert take(to_bits(image), at, width).tolist() == unsigned
    assert take(to_bits(image), at, width, True).tolist() == [signed(v, width) for v in unsigned]


@given(st.binary(min_size=1, max_size=40), st.data())
def test_any_field_of_any_bytes_is_read_as_python_reads_it(
        raw: bytes, data: st.DataObject) -> None:
    number = int.from_bytes(raw, "little")
    width = data.draw(st.integers(1, min(MAX_FIELD, 8 * len(raw))))
    last = 8 * len(raw) - width
    positions = data.draw(st.lists(st.integers(0, last), max_size=8))  # in any order, overlapping
    bits, at = to_bits(np.frombuffer(raw, np.uint8)), np.array(positions, np.int64)
    wanted = [field(number, position, width) for position in positions]
    assert take(bits, at, width).tolist() == wanted
    assert take(bits, at, width, True).tolist() == [signed(v, width) for v in wanted]
    assert to_bytes(bits).tobytes() == raw


@given(WIDTHS, st.data())
def test_what_no_field_of_a_width_holds_is_refused(width: int, data: st.DataObject) -> None:
    half, whole = 1 << width - 1, 1 << width
    bits = np.zeros(2 * width, np.uint8)
    at = np.array([0, width])
    for values in ([whole, 0], [-half - 1, 0], [-1, half]):
        assert width_of(np.array(values)) > width
        with pytest.raises(ValueError, match=f"need more than {width} bits"):
            put(bits, at, np.array(values), width)
    assert not bits.any(), "refused, and written all the same"
    inside = data.draw(st.sampled_from([[whole - 1, 0], [-half, half - 1]]))
    put(bits, at, np.array(inside), width)
    assert take(bits, at, width, inside[0] < 0).tolist() == inside


def test_a_field_of_no_bits_holds_zeros_alone() -> None:
    bits, at = np.ones(3, np.uint8), np.array([0, 3])
    put(bits, at, np.zeros(2, np.int64), 0)
    assert bits.tolist() == [1, 1, 1]
    assert take(bits, at, 0).tolist() == take(bits, at, 0, True).tolist() == [0, 0]
    with pytest.raises(ValueError, match="0 to 1 need more than 0 bits"):
        put(bits, at, np.array([0, 1]), 0)


def test_bit_i_is_bit_i_mod_8_of_byte_i_div_8() -> None:
    bits = np.zeros(20, np.uint8)
    put(bits, np.array([6]), np.array([0b1_0000_0011]), 9)
    assert to_bytes(bits).tolist() == [0b1100_0000, 0b0100_0000, 0]


@pytest.mark.parametrize(("values", "width"), [
    ([], 0), ([0], 0), ([0, 1], 1), ([3], 2), ([4], 3), ([-1], 1), ([-1, 0], 1), ([-1, 1], 2),
    ([-2, 1], 2), ([-3], 3), ([-128, 127], 8), ([-128, 128], 9), ([-129], 9), ([255], 8),
    ([(1 << 62) - 1], 62), ([-(1 << 61), (1 << 61) - 1], 62)])
def test_width_of_is_exact(values: list[int], width: int) -> None:
    assert width_of(np.array(values, np.int64)) == width


@given(st.lists(st.integers(-(1 << 61), (1 << 61) - 1), min_size=1))
def test_no_narrower_width_would_do(values: list[int]) -> None:
    width, array = width_of(np.array(values)), np.array(values)
    low = -(1 << width - 1) if min(values) < 0 else 0
    assert low <= min(values)
    assert max(values) < (1 << width - 1 if min(values) < 0 else 1 << width)
    bits, at = np.zeros(max(1, width) * len(values), np.uint8), np.arange(len(values)) * width
    put(bits, at, array, width)
    assert take(bits, at, width, min(values) < 0).tolist() == values
    if width:
        with pytest.raises(ValueError, match="need more than"):
            put(bits, at, array, width - 1)
