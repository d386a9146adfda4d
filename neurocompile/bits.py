"""Bits of memory images: integers of any width packed side by side.

Bit i of an image is bit ``i % 8`` of byte ``i // 8``. A field holds its lowest bit first; signed
fields are two's complement.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.integer[Any]]

MAX_FIELD = 62


def put(bits: Bits, position: Ints, values: Ints, width: int) -> None:
    """Write ``values[i]`` into ``bits`` (one element a bit) from ``position[i]`` on.

    Raises ``ValueError`` where no field of ``width`` bits, signed or unsigned, holds all values.
    """
    if width_of(values) > width:
        raise ValueError(f"{int(values.min())} to {int(values.max())} need more than {width} bits")
    for bit in range(width):  # bit by bit: memory does not grow with the width
        bits[position + bit] = (values >> bit) & 1


def take(bits: Bits, position: Ints, width: int, signed: bool = False) -> Ints:
    """The integers that :func:`put` wrote."""
    values = np.zeros(len(position), np.int64)
    for bit in range(width):
        weight = -1 << bit if signed and bit == width - 1 else 1 << bit
        values += bits[position + bit] * np.int64(weight)
    return values


def to_bytes(bits: Bits) -> Bytes:
    """An image of a whole number of bytes, from one element a bit."""
    return np.packbits(bits, bitorder="little")


def to_bits(image: Bytes) -> Bits:
    """One element a bit, from the bytes of an image."""
    return np.unpackbits(image, bitorder="little")


def width_of(values: Ints) -> int:
    """Bits that hold all of ``values`` (unsigned; two's complement if any is negative)."""
    if not len(values):
        return 0
    low, high = int(values.min()), int(values.max())
    if low < 0:
        return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1
    return high.bit_length()
