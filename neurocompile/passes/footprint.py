"""What a block of neurons costs a core: input axons and synaptic memory, counted without unfolding.

A block is a range of flat neuron indices of one population. For every projection into it:

* an input axon for each source neuron that reaches the block (``counts`` inputs: as many as spikes
  may come in a step), and
* the synapses of each such axon, packed in entries of up to 64 synapses,
  ``ceil_word(n * (weight + delay + index bits) + overhead)`` bits each (Loihi 1, as nengo-loihi
  packs them). The index is absent in ``dense`` synapses. A ``conv`` block stores the kernels of its
  output channels once instead.

``neurocompile.verification.recount`` counts the same independently and must arrive at the same
figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import IntArray
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedProjection
from neurocompile.ir.target import CoreLimits, TargetSpec
from neurocompile.ir.transforms import Conv, Dense, Linear, Sparse

SYNAPSES_PER_ENTRY = 64

Encoding = Literal["dense", "sparse", "conv"]
Counts = npt.NDArray[np.int64]

_PREFERENCE: dict[type, tuple[Encoding, ...]] = {
    Dense: ("dense", "sparse"), Sparse: ("sparse", "dense"), Conv: ("conv", "sparse", "dense"),
}


def encoding_of(transform: Linear, target: TargetSpec) -> Encoding:
    """How the target stores the synapses of ``transform``: the form closest to its structure."""
    for encoding in _PREFERENCE[type(transform)]:
        if encoding in target.synapse.encodings:
            return encoding
    raise ValueError(f"{target.name} has neither dense nor sparse synapses")


def index_bits(n_neurons: int) -> int:
    """Bits of the target index in a sparse synapse: 0 for one neuron, else at least 6."""
    return max(6, (n_neurons - 1).bit_length()) if n_neurons > 1 else 0


def packed_bits(n: Counts, bits: int, core: CoreLimits) -> Counts:
    """Memory of axons with ``n`` synapses of ``bits`` each (elementwise; 0 where n is 0)."""
    entries, rest = np.divmod(n, SYNAPSES_PER_ENTRY)
    last = _words(rest * bits + core.synapse_overhead_bits, core)
    full = int(_words(np.int64(SYNAPSES_PER_ENTRY * bits + core.synapse_overhead_bits), core))
    return np.asarray(entries * full + np.where(rest > 0, last, 0), np.int64)


def _words(bits: IntArray | np.int64, core: CoreLimits) -> Counts:
    word = core.synapse_word_bits
    return np.asarray(-(-bits // word) * word, np.int64)


@dataclass(frozen=True)
class Block:
    """Neurons ``start`` to ``stop`` (exclusive) of a population."""

    start: int
    stop: int

    @property
    def n(self) -> int:
        return self.stop - self.start


class Footprint:
    """One projection, as the cores of its target population see it."""

    def __init__(self, projection: QuantizedProjection, quantized: QuantizedNetwork):
        target = quantized.target
        self.projection = projection
        self.transform = projection.transform
        self.core = target.core
        self.n_target = quantized.population(projection.target).n
        self.encoding = encoding_of(projection.transform, target)
        self.axons_per_source = axons_per_source(projection.source, quantized)
        self.weight_bits = stored_weight_bits(projection, target)
        self.synapse_bits = self.weight_bits + max_delay(projection).bit_length()
        self.conv = _ConvCounts(self.transform) if isinstance(self.transform, Conv) else None

    def demand(self, block: Block) -> tuple[int, int]:
        """Input axons and bits of synaptic memory that ``block`` needs for this projection."""
        sizes, times = self._axon_sizes(block)
        axons = int(times.sum()) * self.axons_per_source
        if self.encoding == "conv":
            assert self.conv is not None
            bits = np.int64(self.conv.parameters(block) * self.weight_bits)
            return axons, int(_words(bits, self.core))
        if self.encoding == "dense":
            sizes = np.full(sizes.shape, block.n, np.int64)
        index = index_bits(block.n) if self.encoding == "sparse" else 0
        bits_per_axon = packed_bits(sizes, self.synapse_bits + index, self.core)
        return axons, int((bits_per_axon * times).sum())

    def _axon_sizes(self, block: Block) -> tuple[Counts, Counts]:
        """Synapse counts of the reaching axons, and how many axons have each count."""
        transform = self.transform
        if isinstance(transform, Dense):
            return np.array([block.n]), np.array([transform.weight.shape[1]])
        if isinstance(transform, Sparse):
            _, counts = _distinct(_indices(transform, block))
        else:
            assert self.conv is not None
            counts, times = self.conv.sizes(block)
            return counts, times
        return counts, np.ones(len(counts), np.int64)

    def lone_axons(self) -> Counts:
        """Source neurons that reach each target neuron, shape (n_target,) or (1,) if all equal."""
        if isinstance(self.transform, Dense):
            return np.array([self.transform.weight.shape[1]])
        if isinstance(self.transform, Sparse):
            return np.diff(self.transform.indptr).astype(np.int64)
        assert self.conv is not None
        return self.conv.lone_axons()

    def lone_bits(self) -> Counts:
        """Synaptic memory each target neuron needs on a core of its own."""
        if self.encoding == "conv":
            assert self.conv is not None
            bits = np.int64(self.conv.parameters(Block(0, 1)) * self.weight_bits)
            return _words(bits, self.core).reshape(1)
        one = packed_bits(np.ones(1, np.int64), self.synapse_bits, self.core)
        return np.asarray(self.lone_axons() * one, np.int64)

    def destinations(self, blocks: list[Block], n_source: int) -> Counts:
        """To how many of ``blocks`` each source neuron sends, shape (n_source,)."""
        if isinstance(self.transform, Dense):
            return np.full(n_source, len(blocks), np.int64)
        if self.conv is not None:
            return self.conv.destinations(blocks)
        assert isinstance(self.transform, Sparse)
        count = np.zeros(n_source, np.int64)
        for block in blocks:
            count[_distinct(_indices(self.transform, block))[0]] += 1
        return count

    def fan_out(self, n_source: int) -> Counts:
        """Synapses that leave each source neuron, shape (n_source,)."""
        if isinstance(self.transform, Dense):
            return np.full(n_source, self.transform.weight.shape[0], np.int64)
        if self.conv is not None:
            return self.conv.fan_out()
        assert isinstance(self.transform, Sparse)
        return np.bincount(self.transform.indices, minlength=n_source).astype(np.int64)


def axons_per_source(source: str, quantized: QuantizedNetwork) -> int:
    """Parallel axons of one source neuron: as many as spikes may come in a step (``counts``)."""
    for given in quantized.inputs:
        if given.name == source and given.mode == "counts":
            return max(1, given.high)
    return 1


def stored_weight_bits(projection: QuantizedProjection, target: TargetSpec) -> int:
    """The target's narrowest weight field that holds the projection's weights."""
    bits = projection.format.bits
    return min((b for b in target.synapse.weight_bits if b >= bits), default=bits)


def max_delay(projection: QuantizedProjection) -> int:
    """The largest delay of a synapse of the projection, in steps beyond the one of its edge."""
    latest = [int(d.max()) for d in (projection.source_delay, projection.target_delay) if d.size]
    return sum(latest)


def _indices(transform: Sparse, block: Block) -> IntArray:
    return transform.indices[transform.indptr[block.start]:transform.indptr[block.stop]]


def _distinct(values: IntArray) -> tuple[IntArray, Counts]:
    """The distinct values and how often each occurs (``np.unique`` is ten times slower here)."""
    ordered = np.sort(values)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[:len(ordered)])
    return ordered[first], np.diff(first, append=len(ordered)).astype(np.int64)


@dataclass(frozen=True)
class _Rectangle:
    """Output rows and columns of one channel."""

    rows: tuple[int, int]
    columns: tuple[int, int]


class _ConvCounts:
    """Counts of a convolution from its geometry: a block is at most one partial channel at each
    end and whole channels between; a partial channel is at most three rectangles."""

    def __init__(self, conv: Conv):
        self.conv = conv
        self.reads = tuple(_reads(conv, axis) for axis in (0, 1))
        self.plane = conv.out_chw[1] * conv.out_chw[2]
        self.group_out = conv.out_chw[0] // conv.groups
        self.group_in = conv.in_chw[0] // conv.groups

    def parameters(self, block: Block) -> int:
        """Weights of the output channels that have neurons in the block."""
        channels = (block.stop - 1) // self.plane - block.start // self.plane + 1
        return channels * int(np.prod(self.conv.weight.shape[1:]))

    def sizes(self, block: Block) -> tuple[Counts, Counts]:
        found: list[Counts] = []
        times: list[Counts] = []
        for _, n_groups, (_, counts) in self._groups(block):
            reaching = counts[counts > 0]
            size, n = np.unique(reaching, return_counts=True)
            found.append(size.astype(np.int64))
            times.append(n.astype(np.int64) * self.group_in * n_groups)
        return np.concatenate(found), np.concatenate(times)

    def destinations(self, blocks: list[Block]) -> Counts:
        conv = self.conv
        height, width = conv.in_chw[1:]
        count = np.zeros((conv.groups, height, width), np.int64)
        for block in blocks:
            for group, n_groups, (top, counts) in self._groups(block):
                count[group:group + n_groups, top:top + len(counts)] += counts > 0
        return np.repeat(count, self.group_in, axis=0).reshape(-1)

    def fan_out(self) -> Counts:
        taps = [np.bincount(r[r >= 0], minlength=n)
                for r, n in zip(self.reads, self.conv.in_chw[1:], strict=True)]
        plane = np.outer(taps[0], taps[1]).reshape(-1) * self.group_out
        return np.tile(plane, self.conv.in_chw[0]).astype(np.int64)

    def lone_axons(self) -> Counts:
        taps = [(r >= 0).sum(axis=1) for r in self.reads]
        plane = np.outer(taps[0], taps[1]).reshape(-1) * self.group_in
        return np.tile(plane, self.conv.out_chw[0]).astype(np.int64)

    def _groups(self, block: Block) -> list[tuple[int, int, tuple[int, Counts]]]:
        """(first group, how many alike, (first input row, synapses per input position))."""
        size = self.group_out * self.plane
        first, last = block.start // size, (block.stop - 1) // size
        parts = []
        for group in sorted({first, last}):
            start = max(block.start - group * size, 0)
            stop = min(block.stop - group * size, size)
            parts.append((group, 1, self._counts(start, stop)))
        if last - first > 1:
            parts.append((first + 1, last - first - 1, self._counts(0, size)))
        return parts

    def _counts(self, start: int, stop: int) -> tuple[int, Counts]:
        """Synapses from each input position to outputs start..stop of a group, for one of its
        input channels: (first row, counts of shape (rows, width))."""
        parts = self._channels(start, stop)
        windows = [w for w in (_window(self.reads[0], part.rows) for part, _ in parts) if w]
        if not windows:
            return 0, np.zeros((0, self.conv.in_chw[2]), np.int64)
        top, bottom = min(w[0] for w in windows), max(w[1] for w in windows)
        counts = np.zeros((bottom - top, self.conv.in_chw[2]), np.int64)
        for part, times in parts:
            rows = _taps(self.reads[0], part.rows, self.conv.in_chw[1])[top:bottom]
            columns = _taps(self.reads[1], part.columns, self.conv.in_chw[2])
            counts += times * np.outer(rows, columns)
        return top, counts

    def _channels(self, start: int, stop: int) -> list[tuple[_Rectangle, int]]:
        """The rectangles of a range within a group, and in how many channels each occurs."""
        plane, (_, height, width) = self.plane, self.conv.out_chw
        first, last = -(-start // plane), stop // plane
        if first > last:  # inside one channel
            offset = last * plane
            return [(r, 1) for r in _rectangles(start - offset, stop - offset, width)]
        parts = [(r, 1) for r in _rectangles(start - (first - 1) * plane, plane, width)
                 if start < first * plane]
        if last > first:
            parts.append((_Rectangle((0, height), (0, width)), last - first))
        parts += [(r, 1) for r in _rectangles(0, stop - last * plane, width)]
        return parts


def _reads(conv: Conv, axis: int) -> IntArray:
    """Input coordinate read by (output coordinate, tap) along an axis; -1 outside the input."""
    out = np.arange(conv.out_chw[1 + axis])[:, None] * conv.stride[axis]
    tap = np.arange(conv.weight.shape[2 + axis])[None, :] * conv.dilation[axis]
    where = out + tap - conv.padding[axis]
    return np.where((where < 0) | (where >= conv.in_chw[1 + axis]), -1, where)


def taps_between(conv: Conv, axis: int) -> Counts:
    """How often each output row (axis 0) or column (1) reads each input coordinate, shape
    (n_in, n_out)."""
    reads = _reads(conv, axis)
    taps = np.zeros((conv.in_chw[1 + axis], len(reads)), np.int64)
    output = np.broadcast_to(np.arange(len(reads))[:, None], reads.shape)
    np.add.at(taps, (reads[reads >= 0], output[reads >= 0]), 1)
    return taps


def _window(reads: IntArray, span: tuple[int, int]) -> tuple[int, int] | None:
    """The input coordinates that a span of output coordinates reads, as a range."""
    part = reads[span[0]:span[1]]
    part = part[part >= 0]
    return (int(part.min()), int(part.max()) + 1) if part.size else None


def _taps(reads: IntArray, span: tuple[int, int], n: int) -> Counts:
    """How often a span of output coordinates reads each input coordinate."""
    part = reads[span[0]:span[1]]
    return np.bincount(part[part >= 0], minlength=n).astype(np.int64)


def _rectangles(start: int, stop: int, width: int) -> list[_Rectangle]:
    """A range of a plane in row order, as at most three rectangles."""
    if start >= stop:
        return []
    first, last = -(-start // width), stop // width
    if first > last:  # inside one row
        row = last
        return [_Rectangle((row, row + 1), (start - row * width, stop - row * width))]
    parts = []
    if start < first * width:
        parts.append(_Rectangle((first - 1, first), (start - (first - 1) * width, width)))
    if last > first:
        parts.append(_Rectangle((first, last), (0, width)))
    if stop > last * width:
        parts.append(_Rectangle((last, last + 1), (0, stop - last * width)))
    return parts
