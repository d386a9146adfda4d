"""Convolutions along one axis, from the side of the input."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from neurocompile.bits import Ints
from neurocompile.ir.program import Geometry


@dataclass(frozen=True, eq=False)
class Taps:
    """Along one axis, for each input place: the first output that sees it, by which tap, and how
    many do. From one to the next, ``step`` outputs on and ``tap`` taps back."""

    first: Ints
    first_tap: Ints
    count: Ints
    step: int
    tap: int


def taps_of(g: Geometry, axis: int) -> Taps:
    size, out = g.in_chw[1 + axis], g.out_chw[1 + axis]
    kernel, stride = g.kernel[axis], g.stride[axis]
    padding, dilation = g.padding[axis], g.dilation[axis]
    common = gcd(stride, dilation)
    place = np.arange(size)[:, None] + padding
    o = np.arange(out)
    rest = place - o * stride
    hit = (rest >= 0) & (rest % dilation == 0) & (rest // dilation < kernel)
    count = hit.sum(1)
    first = np.where(count > 0, hit.argmax(1), 0)
    tap = np.where(count > 0, np.take_along_axis(rest // dilation, first[:, None], 1)[:, 0], 0)
    return Taps(first, tap, np.maximum(count, 1), dilation // common, stride // common)
