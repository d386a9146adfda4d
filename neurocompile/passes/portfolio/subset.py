"""What any set of a convolution's outputs reads and needs, from the geometry alone.

With M[y, x] the channels of a group that the set has at a position, and R and C the taps between
input and output coordinates along each axis, ``R M C'`` is the synapses from each position of each
of the group's input channels. Nothing is unfolded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
        self.plane = self.conv.out_chw[1] * self.conv.out_chw[2]
        self.group_out = self.conv.out_chw[0] // self.conv.groups
        self.group_in = self.conv.in_chw[0] // self.conv.groups

    def _groups(self, neurons: IntArray) -> Iterator[tuple[int, Counts]]:
        """(group, synapses from each position of one of its input channels)."""
        size = self.group_out * self.plane
        group = neurons // size
        shape = self.conv.out_chw[1:]
        for g in np.unique(group).tolist():
            at = neurons[group == g] % self.plane
            has = np.bincount(at, minlength=self.plane).reshape(shape).astype(float)
            yield g, np.rint(self.rows @ has @ self.columns.T).astype(np.int64)

    def demand(self, neurons: IntArray) -> tuple[int, int]:
        """Input axons and bits of synaptic memory, as :meth:`Footprint.demand` counts them."""
        sizes = np.concatenate([counts[counts > 0] for _, counts in self._groups(neurons)])
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
            for group, counts in self._groups(neurons):
                count[group] += counts > 0
        return np.repeat(count, self.group_in, axis=0).reshape(-1)


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
