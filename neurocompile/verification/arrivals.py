"""Which axons arrive at which cores: asked of every synapse, by the core of its target neuron."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedProjection
from neurocompile.ir.transforms import Conv, Dense, Sparse

_CHUNK = 1 << 22
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """Axons that arrive at cores: element k is source neuron ``source[k]`` with ``synapses[k]``
    synapses on core ``core[k]``."""

    core: _Ints
    source: _Ints
    synapses: _Ints


def arrivals(projection: QuantizedProjection, home: _Ints) -> Iterator[Arrivals]:
    """The axons of a projection, in parts that no core spans; a convolution by its positions."""
    transform = projection.transform
    if isinstance(transform, Dense):
        n_source = transform.weight.shape[1]
        for core, n in zip(*np.unique(home, return_counts=True), strict=True):
            yield Arrivals(np.full(n_source, core), np.arange(n_source), np.full(n_source, n))
        return
    order = np.argsort(home, kind="stable")
    for targets in _chunks(order, home, _per_target(transform)):
        if isinstance(transform, Sparse):
            core, source = _sparse_pairs(transform, targets, home)
            yield _counted(core, source, max(int(np.prod(transform.in_shape)), 1))
        else:
            yield _conv_pairs(transform, targets, home)


def _per_target(transform: Conv | Sparse) -> int:
    if isinstance(transform, Conv):
        return int(np.prod(transform.weight.shape[1:]))
    return max(1, -(-transform.n_synapses // max(1, len(transform.indptr) - 1)))


def _chunks(order: _Ints, home: _Ints, per_target: int) -> Iterator[_Ints]:
    """``order`` in parts of whole cores with some millions of synapses each."""
    starts = np.flatnonzero(np.diff(home[order], prepend=-1))
    ends = np.append(starts[1:], len(order))
    begin = 0
    for i, end in enumerate(ends.tolist()):
        last = i + 1 == len(ends)
        if last or (int(ends[i + 1]) - begin) * per_target > _CHUNK:
            yield order[begin:end]
            begin = end


def _sparse_pairs(transform: Sparse, targets: _Ints, home: _Ints) -> tuple[_Ints, _Ints]:
    first = transform.indptr[targets]
    lengths = transform.indptr[targets + 1] - first
    offset = np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    where = np.arange(int(lengths.sum())) + offset
    return np.repeat(home[targets], lengths), transform.indices[where].astype(np.int64)


def _conv_pairs(conv: Conv, targets: _Ints, home: _Ints) -> Arrivals:
    (c_in, height, width), (c_out, out_h, out_w) = conv.in_chw, conv.out_chw
    channel, rest = np.divmod(targets, out_h * out_w)
    row, column = np.divmod(rest, out_w)
    taps_y = np.arange(conv.weight.shape[2]) * conv.dilation[0] - conv.padding[0]
    taps_x = np.arange(conv.weight.shape[3]) * conv.dilation[1] - conv.padding[1]
    y = (row * conv.stride[0])[:, None, None] + taps_y[None, :, None]
    x = (column * conv.stride[1])[:, None, None] + taps_x[None, None, :]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    group = (channel // (c_out // conv.groups))[:, None, None]
    place = ((group * height + y) * width + x)[inside]
    core = np.broadcast_to(home[targets][:, None, None], inside.shape)[inside]
    seen = _counted(core, place, conv.groups * height * width)
    # Every input channel of the group is read at the same positions.
    per_group = c_in // conv.groups
    group_of, position = np.divmod(seen.source, height * width)
    channels = group_of[:, None] * per_group + np.arange(per_group)
    source = channels * height * width + position[:, None]
    return Arrivals(np.repeat(seen.core, per_group), source.reshape(-1),
                     np.repeat(seen.synapses, per_group))


def _counted(core: _Ints, source: _Ints, n_source: int) -> Arrivals:
    keys, synapses = np.unique(core * n_source + source, return_counts=True)
    return Arrivals(keys // n_source, keys % n_source, synapses.astype(np.int64))
