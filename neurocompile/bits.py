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

    Raises ``ValueError`` where a value needs more than ``width`` bits as signed or unsigned.
    """
    if not width or not len(values):
        return
    if max(int(values.max()), 0) >> width or int(values.min()) < -(1 << (width - 1)):
        raise ValueError(f"{int(values.min())} to {int(values.max())} need more than {width} bits")
    each = np.arange(width)
    bits[position[:, None] + each] = (values[:, None] >> each) & 1


def take(bits: Bits, position: Ints, width: int, signed: bool = False) -> Ints:
    """The integers that :func:`put` wrote."""
    if not width:
        return np.zeros(len(position), np.int64)
    each = np.arange(width)
    weight = np.left_shift(np.int64(1), each.astype(np.int64))
    if signed:
        weight[-1] = -weight[-1]
    return np.asarray(bits[position[:, None] + each].astype(np.int64) @ weight, np.int64)


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
        return max((-low - 1).bit_length(), high.bit_length()) + 1
    return high.bit_length()
