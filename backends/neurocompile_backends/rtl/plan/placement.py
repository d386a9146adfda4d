"""Where each neuron of a core lies.

Neuron n of a core is in lane ``n % lanes`` of row ``n // lanes``; each population begins a row of
its own. Where a convolution ends in it, and the core has a box of its output, the lanes are
channels, so that one weight a lane serves ``lanes`` output channels at once; elsewhere neurons
follow one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Ints
from neurocompile.images import CoreContents
from neurocompile_backends.rtl.plan.taps import Box, box_of


@dataclass(frozen=True, eq=False)
class Place:
    """Where a section lies: first row, rows, and for each of its neurons lane and row in it.
    ``box``: of a convolution's output, lanes are channels; None: neurons follow one another."""

    first: int
    rows: int
    lane: Ints
    row: Ints
    box: Box | None


@dataclass(frozen=True, eq=False)
class Placement:
    """The sections of a core. ``slot``: for each neuron its number in the hardware, of which there
    are ``slots``: lanes may hold none."""

    lanes: int
    rows: int
    places: tuple[Place, ...]
    slot: Ints

    @property
    def slots(self) -> int:
        return self.rows * self.lanes


def place_neurons(c: CoreContents, lanes: int) -> Placement:
    places: list[Place] = []
    slot = np.zeros(c.n_neurons, np.int64)
    row = 0
    for s in range(len(c.sections["count"])):
        place = _place(c, s, row, lanes)
        first, count = int(c.sections["first"][s]), int(c.sections["count"][s])
        slot[first:first + count] = (row + place.row) * lanes + place.lane
        places.append(place)
        row += place.rows
    return Placement(lanes, max(row, 1), tuple(places), slot)


def _place(c: CoreContents, section: int, row: int, lanes: int) -> Place:
    """A section whose first row is ``row``."""
    first, count = int(c.sections["first"][section]), int(c.sections["count"][section])
    found = _box(c, section)
    if found is None:
        local = np.arange(count)
        return Place(row, -(-count // lanes), local % lanes, local // lanes, None)
    box, shape = found
    at = np.unravel_index(c.neurons["element"][first:first + count], shape)
    channel, y, x = (axis - begin for axis, begin in zip(at, box.first, strict=True))
    return Place(row, -(-box.size[0] // lanes) * box.places, channel % lanes,
                 channel // lanes * box.places + y * box.size[2] + x, box)


def _box(c: CoreContents, section: int) -> tuple[Box, tuple[int, int, int]] | None:
    """Which part of its output a section is, and the shape of all of it, where a convolution
    ends in it."""
    shapes = {c.geometry(f).out_chw for f in range(len(c.formats["section"]))
              if c.formats["section"][f] == section and c.encoding(f) == "conv"}
    if len(shapes) != 1:
        return None
    (shape,) = shapes
    first, count = int(c.sections["first"][section]), int(c.sections["count"][section])
    box = box_of(c.neurons["element"][first:first + count], shape)
    return None if box is None else (box, shape)
