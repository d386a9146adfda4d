"""Parts of a convolution that a core of the RTL holds: boxes, and which of their outputs see an
input, against counting them."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir.program import Geometry
from neurocompile_backends.rtl.plan.taps import Box, box_of, taps_of


@st.composite
def parts(draw: st.DrawFn) -> tuple[Geometry, Box]:
    """A convolution and a box of its output."""
    axes = []
    for _ in range(2):
        kernel, stride, dilation, padding = (draw(st.integers(low, high)) for low, high in (
            (1, 4), (1, 4), (1, 3), (0, 3)))
        reach = dilation * (kernel - 1) + 1
        size = draw(st.integers(max(1, reach - 2 * padding), 12))
        axes.append((kernel, stride, dilation, padding, size, (size + 2 * padding - reach) // stride
                     + 1))
    kernel, stride, dilation, padding, size, out = zip(*axes, strict=True)
    channels = draw(st.integers(1, 6))
    shape = (channels, out[0], out[1])
    first = tuple(draw(st.integers(0, n - 1)) for n in shape)
    extent = tuple(draw(st.integers(1, n - at)) for n, at in zip(shape, first, strict=True))
    return Geometry((2, size[0], size[1]), shape, kernel, stride, padding, dilation, 1), Box(
        (first[0], first[1], first[2]), (extent[0], extent[1], extent[2]))


@given(parts())
def test_the_outputs_that_see_a_place_are_those_that_are_walked(part: tuple[Geometry, Box]) -> None:
    geometry, box = part
    for axis in (0, 1):
        taps = taps_of(geometry, box, axis)
        kernel, stride = geometry.kernel[axis], geometry.stride[axis]
        for place in range(geometry.in_chw[1 + axis]):
            seen = {(o, tap) for o in range(box.size[1 + axis]) for tap in range(kernel)
                    if (box.first[1 + axis] + o) * stride + tap * geometry.dilation[axis]
                    == place + geometry.padding[axis]}
            walked = {(int(taps.first[place]) + k * taps.step,
                       int(taps.first_tap[place]) - k * taps.tap)
                      for k in range(int(taps.count[place]))}
            assert walked == seen or (not seen and taps.count[place] == 1)


@given(parts(), st.randoms(use_true_random=False))
def test_a_box_is_found_in_any_order_and_nothing_else_is_one(part: tuple[Geometry, Box],
                                                             random: object) -> None:
    geometry, box = part
    inside = np.zeros(geometry.out_chw, bool)
    c, y, x = (slice(at, at + n) for at, n in zip(box.first, box.size, strict=True))
    inside[c, y, x] = True
    element = np.flatnonzero(inside)
    random.shuffle(element)  # type: ignore[attr-defined]
    assert box_of(element, geometry.out_chw) == box
    for left_out in element[:4]:
        rest = box_of(element[element != left_out], geometry.out_chw)
        assert rest is None or prod(rest.size) == len(element) - 1
    assert box_of(np.append(element, element[0]), geometry.out_chw) is None
    assert box_of(element[:0], geometry.out_chw) is None
    assert box_of(np.append(element, prod(geometry.out_chw)), geometry.out_chw) is None
