"""All rounding, shifting and saturation of integers. Nothing else uses a bare shift.

Every function works on numpy integer arrays (int64 recommended) and returns the same dtype.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

IntT = TypeVar("IntT", bound=np.integer)


class Rounding(str, Enum):
    """How bits below the binary point vanish."""

    TOWARD_ZERO = "toward_zero"
    FLOOR = "floor"
    NEAREST = "nearest"


def shift(x: npt.NDArray[IntT], bits: int, rounding: Rounding) -> npt.NDArray[IntT]:
    """``x / 2**bits`` rounded as said; ties of ``NEAREST`` go away from zero."""
    if bits == 0:
        return x
    if rounding is Rounding.FLOOR:
        floored: npt.NDArray[IntT] = np.right_shift(x, bits)
        return floored
    magnitude = np.abs(x)
    if rounding is Rounding.NEAREST:
        magnitude = magnitude + (1 << (bits - 1))
    rounded: npt.NDArray[IntT] = np.sign(x) * np.right_shift(magnitude, bits)
    return rounded


def decay(x: npt.NDArray[np.int64], amount: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``trunc(x * (4096 - amount), 12)``: one step of exponential decay, toward zero.

    ``amount`` lies in [0, 4096]; 4096 forgets everything.
    """
    return shift(x * (4096 - amount), 12, Rounding.TOWARD_ZERO)


def fold(x: npt.NDArray[IntT], bits: int) -> npt.NDArray[IntT]:
    """Loihi's current: one fold by ``2**bits`` where x leaves (-2**(bits-1), 2**(bits-1)].

    Not two's complement: +2**(bits-1) stays, and a second fold does not happen (lava-nc
    ``fixed_pt`` LIF, see docs/numerics.md).
    """
    half = 1 << (bits - 1)
    folded: npt.NDArray[IntT] = np.where(x > half, x - 2 * half,
                                         np.where(x <= -half, x + 2 * half, x))
    return folded


def saturate(x: npt.NDArray[IntT], limit: int) -> npt.NDArray[IntT]:
    """Clip to [-limit, limit]."""
    clipped: npt.NDArray[IntT] = np.clip(x, -limit, limit)
    return clipped


def to_registers(value: npt.NDArray[np.floating[Any]], mantissa_max: int, exponent_max: int,
                 ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The nearest ``mantissa << exponent`` with the least exponent that holds it; saturates."""
    value = np.asarray(value, np.float64)
    exponent = np.zeros(value.shape, np.int64)
    for e in range(exponent_max):
        exponent = np.where(np.rint(np.abs(value) / (1 << e)) > mantissa_max, e + 1, exponent)
    mantissa = np.rint(value / np.left_shift(1, exponent))
    return np.clip(mantissa, -mantissa_max, mantissa_max).astype(np.int64), exponent
