"""Convolutions as a core holds them: a box of their output, and along an axis, from the side of the
input, which outputs of the box see a place."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from neurocompile.bits import Ints
from neurocompile.ir.program import Geometry


@dataclass(frozen=True)
class Box:
    """Part of the output of a convolution: (channel, row, column) where it begins, and how many of
    each."""

    first: tuple[int, int, int]
    size: tuple[int, int, int]

    @property
    def places(self) -> int:
        """Of a channel."""
        return self.size[1] * self.size[2]


def box_of(element: Ints, out_chw: tuple[int, int, int]) -> Box | None:
    """The box that consists of just these elements of an output, each once; None: there is none."""
    if not len(element) or element.min() < 0 or element.max() >= prod(out_chw):
        return None
    at = np.unravel_index(element, out_chw)
    first = [int(axis.min()) for axis in at]
    size = [int(axis.max()) + 1 - begin for axis, begin in zip(at, first, strict=True)]
    if prod(size) != len(element) or len(np.unique(element)) != len(element):
        return None
    return Box((first[0], first[1], first[2]), (size[0], size[1], size[2]))


@dataclass(frozen=True, eq=False)
class Taps:
    """Along one axis, for each input place: the first output of the box that sees it, by which
    tap, and how many do. From one to the next, ``step`` outputs on and ``tap`` taps back."""

    first: Ints
    first_tap: Ints
    count: Ints
    step: int
    tap: int


def taps_of(g: Geometry, box: Box, axis: int) -> Taps:
    """``axis``: 0 for rows, 1 for columns."""
    kernel, stride = g.kernel[axis], g.stride[axis]
    padding, dilation = g.padding[axis], g.dilation[axis]
    common = gcd(stride, dilation)
    place = np.arange(g.in_chw[1 + axis])[:, None] + padding
    o = np.arange(box.size[1 + axis])
    rest = place - (box.first[1 + axis] + o) * stride
    hit = (rest >= 0) & (rest % dilation == 0) & (rest // dilation < kernel)
    count = hit.sum(1)
    first = np.where(count > 0, hit.argmax(1), 0)
    tap = np.where(count > 0, np.take_along_axis(rest // dilation, first[:, None], 1)[:, 0], 0)
    return Taps(first, tap, np.maximum(count, 1), dilation // common, stride // common)
