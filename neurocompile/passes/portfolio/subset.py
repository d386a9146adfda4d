"""What any set of a convolution's outputs reads and needs, from the geometry alone.

With M[y, x] the channels of a group that the set has at a position, and R and C the taps between
input and output coordinates along each axis, ``R M C'`` is the synapses from each position of each
of the group's input channels. Nothing is unfolded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import IntArray
from neurocompile.ir.transforms import Conv
from neurocompile.passes.footprint import (
    Block,
    Counts,
    Footprint,
    index_bits,
    packed_bits,
    taps_between,
)


class ConvSubsets:
    """Demand and reach of sets of neurons (flat indices) of one convolution's target."""

    def __init__(self, print_: Footprint):
        assert isinstance(print_.transform, Conv)
        self.print_ = print_
        self.conv = print_.transform
        # As floats: a product of integers does not use the BLAS. Counts are far below 2^53.
        self.rows, self.columns = (taps_between(self.conv, axis).astype(float) for axis in (0, 1))
        self.reach = _reach(self.rows), _reach(self.columns)
        self.plane = self.conv.out_chw[1] * self.conv.out_chw[2]
        self.group_out = self.conv.out_chw[0] // self.conv.groups
        self.group_in = self.conv.in_chw[0] // self.conv.groups

    def _groups(self, neurons: IntArray) -> Iterator[tuple[int, tuple[slice, slice], Counts]]:
        """(group, a box of input positions, synapses from each of them of one of the group's input
        channels); there are none outside the box."""
        group, at = np.divmod(neurons, self.group_out * self.plane)
        row, column = np.divmod(at % self.plane, self.conv.out_chw[2])
        for g in np.flatnonzero(np.bincount(group)).tolist():
            mine = group == g
            y, x = row[mine], column[mine]
            (top, bottom), (left, right) = _span(y), _span(x)
            width = right - left
            has = np.bincount((y - top) * width + x - left, minlength=(bottom - top) * width)
            box = _box(self.reach[0], top, bottom), _box(self.reach[1], left, right)
            rows, columns = self.rows[box[0], top:bottom], self.columns[box[1], left:right]
            counts = rows @ has.reshape(-1, width).astype(float) @ columns.T
            yield g, box, np.rint(counts).astype(np.int64)

    def demand(self, neurons: IntArray) -> tuple[int, int]:
        """Input axons and bits of synaptic memory, as :meth:`Footprint.demand` counts them."""
        sizes = np.concatenate([counts[counts > 0] for _, _, counts in self._groups(neurons)])
        axons = len(sizes) * self.group_in * self.print_.axons_per_source
        print_, n = self.print_, len(neurons)
        if print_.encoding == "conv":
            channels = len(np.unique(neurons // self.plane))
            raw = channels * (self.conv.n_parameters // self.conv.out_chw[0]) * print_.weight_bits
            word = print_.core.synapse_word_bits
            return axons, -(-raw // word) * word
        if print_.encoding == "dense":
            sizes = np.full(len(sizes), n, np.int64)
        index = index_bits(n) if print_.encoding == "sparse" else 0
        bits = packed_bits(sizes, print_.synapse_bits + index, print_.core)
        return axons, int(bits.sum()) * self.group_in

    def destinations(self, sets: list[IntArray]) -> Counts:
        """To how many of the sets each input neuron sends, shape (n_in,)."""
        count = np.zeros((self.conv.groups, *self.conv.in_chw[1:]), np.int64)
        for neurons in sets:
            for group, box, counts in self._groups(neurons):
                count[group][box] += counts > 0
        return np.repeat(count, self.group_in, axis=0).reshape(-1)


def _reach(taps: npt.NDArray[np.float64]) -> tuple[Counts, Counts]:
    """The first input coordinate that each output coordinate reads, and the one after the last."""
    reads = taps > 0
    first = np.where(reads.any(axis=0), reads.argmax(axis=0), len(taps))
    stop = np.where(reads.any(axis=0), len(taps) - reads[::-1].argmax(axis=0), 0)
    return first.astype(np.int64), stop.astype(np.int64)


def _span(values: IntArray) -> tuple[int, int]:
    return int(values.min()), int(values.max()) + 1


def _box(reach: tuple[Counts, Counts], first: int, stop: int) -> slice:
    """The input coordinates that the outputs [first, stop) read."""
    begin, end = int(reach[0][first:stop].min()), int(reach[1][first:stop].max())
    return slice(begin, max(begin, end))


def demand_of(print_: Footprint, subsets: ConvSubsets | None, neurons: IntArray,
              block: Block) -> tuple[int, int]:
    """Of a set of neurons: by geometry for a convolution, else as the range ``block``."""
    return subsets.demand(neurons) if subsets else print_.demand(block)


def orders(chw: tuple[int, int, int]) -> Iterator[IntArray]:
    """Orders of a layer whose ranges are compact: groups of channels, and in each of them stripes
    of rows, walked to and fro. The flat order is one of them. Each has shape (c * h * w,)."""
    channels, height, width = chw
    channel, row, column = (a.reshape(-1) for a in np.indices(chw))
    splits = sorted({-(-channels // (1 << i)) for i in range(channels.bit_length() + 1)})
    stripes = sorted({-(-height // i) for i in range(1, min(height, 8) + 1)} | {1})
    for split in splits:
        for stripe in stripes:
            number = row // stripe
            across = np.where(number % 2, width - 1 - column, column)
            yield np.lexsort((channel, row, across, number, channel // split))
