"""The linear maps a projection is made of, and the pure data movement around them.

A :class:`Dense`, :class:`Conv` or :class:`Sparse` maps an array of ``in_shape`` to one of
``out_shape`` linearly; :meth:`apply` works on a leading batch axis and in any dtype. Pooling is a
depthwise convolution with constant weights and a 1-D convolution one of height 1, so that a
later pass knows three forms only. :class:`Reshape`, :class:`Scale` and :class:`Delay` are what a
front end also emits and ``canonicalize`` folds away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir.base import Array, FloatArray, IntArray, Node, Shape, n_elements, register


@register
@dataclass(frozen=True, eq=False)
class Dense(Node):
    """``y = W x`` over flattened shapes. ``weight``: (n_out, n_in)."""

    weight: Array
    in_shape: Shape
    out_shape: Shape

    @property
    def n_parameters(self) -> int:
        return int(self.weight.size)

    @property
    def n_synapses(self) -> int:
        return int(self.weight.size)

    def apply(self, x: Array) -> Array:
        """``x``: (batch, *in_shape) -> (batch, *out_shape)."""
        flat: Array = x.reshape(len(x), -1) @ self.weight.T.astype(x.dtype, copy=False)
        return flat.reshape(len(x), *self.out_shape)

    def with_weight(self, weight: Array) -> Dense:
        return Dense(weight, self.in_shape, self.out_shape)


@register
@dataclass(frozen=True, eq=False)
class Conv(Node):
    """Cross-correlation (as torch and NIR define "convolution") on (channels, height, width).

    ``weight``: (c_out, c_in / groups, k_h, k_w). ``padding`` is (top, left); what lies to the
    bottom and right follows from ``out_shape``: positions outside the input read as zero.
    ``logical_in`` and ``logical_out`` are the shapes of the populations at both ends where they
    are written otherwise (1-D convolutions, flattened ends); their elements correspond in order.
    """

    weight: Array
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    in_chw: tuple[int, int, int]
    out_chw: tuple[int, int, int]
    in_shape: Shape
    out_shape: Shape

    @property
    def n_parameters(self) -> int:
        return int(self.weight.size)

    @property
    def n_synapses(self) -> int:
        """Synapses if it were unfolded, border effects included."""
        taps = [
            int(sum(np.count_nonzero(_positions(self, axis)[:, k] >= 0)
                    for k in range(self.weight.shape[2 + axis])))
            for axis in (0, 1)
        ]
        return int(self.weight.shape[0] * self.weight.shape[1]) * taps[0] * taps[1]

    def apply(self, x: Array) -> Array:
        """``x``: (batch, *in_shape) -> (batch, *out_shape), by patches and a matrix product."""
        batch = len(x)
        c_in, height, width = self.in_chw
        c_out, out_h, out_w = self.out_chw
        k_h, k_w = self.weight.shape[2:]
        top, left = self.padding
        need_h = (out_h - 1) * self.stride[0] + (k_h - 1) * self.dilation[0] + 1
        need_w = (out_w - 1) * self.stride[1] + (k_w - 1) * self.dilation[1] + 1
        padded = np.zeros((batch, c_in, max(need_h, top + height), max(need_w, left + width)),
                          x.dtype)
        padded[:, :, top:top + height, left:left + width] = x.reshape(batch, *self.in_chw)
        sb, sc, sh, sw = padded.strides
        patches = np.lib.stride_tricks.as_strided(
            padded, (batch, c_in, k_h, k_w, out_h, out_w),
            (sb, sc, sh * self.dilation[0], sw * self.dilation[1],
             sh * self.stride[0], sw * self.stride[1]), writeable=False)
        weight = self.weight.astype(x.dtype, copy=False)
        group_in, group_out = c_in // self.groups, c_out // self.groups
        out = np.empty((batch, c_out, out_h, out_w), x.dtype)
        for g in range(self.groups):
            columns = patches[:, g * group_in:(g + 1) * group_in].reshape(
                batch, group_in * k_h * k_w, out_h * out_w)
            rows = weight[g * group_out:(g + 1) * group_out].reshape(group_out, -1)
            out[:, g * group_out:(g + 1) * group_out] = (rows @ columns).reshape(
                batch, group_out, out_h, out_w)
        return out.reshape(batch, *self.out_shape)

    def with_weight(self, weight: Array) -> Conv:
        return Conv(weight, self.stride, self.padding, self.dilation, self.groups,
                    self.in_chw, self.out_chw, self.in_shape, self.out_shape)

    def with_shapes(self, in_shape: Shape, out_shape: Shape) -> Conv:
        return Conv(self.weight, self.stride, self.padding, self.dilation, self.groups,
                    self.in_chw, self.out_chw, in_shape, out_shape)


@register
@dataclass(frozen=True, eq=False)
class Sparse(Node):
    """``y = W x`` with W in compressed rows: the synapses of output i are
    ``indices[indptr[i]:indptr[i + 1]]`` (sorted source elements) and ``values`` alike.
    """

    indptr: IntArray
    indices: IntArray
    values: Array
    in_shape: Shape
    out_shape: Shape

    @property
    def n_parameters(self) -> int:
        return int(self.values.size)

    @property
    def n_synapses(self) -> int:
        return int(self.values.size)

    @property
    def weight(self) -> Array:
        return self.values

    def apply(self, x: Array) -> Array:
        """``x``: (batch, *in_shape) -> (batch, *out_shape)."""
        flat = x.reshape(len(x), -1)
        terms = flat[:, self.indices] * self.values.astype(x.dtype, copy=False)
        out = np.zeros((len(x), len(self.indptr) - 1), x.dtype)
        filled = np.flatnonzero(np.diff(self.indptr))  # reduceat cannot sum nothing
        if len(filled):
            out[:, filled] = np.add.reduceat(terms, self.indptr[filled], axis=1)
        return out.reshape(len(x), *self.out_shape)

    def with_weight(self, weight: Array) -> Sparse:
        return Sparse(self.indptr, self.indices, weight, self.in_shape, self.out_shape)


Linear = Dense | Conv | Sparse
"""The linear maps that survive ``canonicalize``."""


@register
@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The same elements in the same order under another shape."""

    in_shape: Shape
    out_shape: Shape


@register
@dataclass(frozen=True, eq=False)
class Scale(Node):
    """Elementwise product. ``factor`` has shape ``in_shape`` (= ``out_shape``)."""

    factor: FloatArray
    in_shape: Shape
    out_shape: Shape


@register
@dataclass(frozen=True, eq=False)
class Delay(Node):
    """Elementwise delay. ``delay`` has shape ``in_shape``, in the contract's ``delay_unit``."""

    delay: FloatArray
    in_shape: Shape
    out_shape: Shape


Transform = Dense | Conv | Sparse | Reshape | Scale | Delay
"""Everything a front end may put into a projection."""


def as_float64(transform: Linear) -> Linear:
    """The same map with its weights in float64; the map itself where they are."""
    if transform.weight.dtype == np.float64:
        return transform
    return transform.with_weight(transform.weight.astype(np.float64))


def identity(shape: Shape) -> Sparse:
    """One synapse of weight 1 from each element to its counterpart."""
    n = n_elements(shape)
    return Sparse(np.arange(n + 1), np.arange(n), np.ones(n), shape, shape)


def _positions(conv: Conv, axis: int) -> IntArray:
    """Input coordinate read by (output coordinate, tap) along an axis; -1 outside the input."""
    out = np.arange(conv.out_chw[1 + axis])[:, None] * conv.stride[axis]
    tap = np.arange(conv.weight.shape[2 + axis])[None, :] * conv.dilation[axis]
    where = out + tap - conv.padding[axis]
    where[(where < 0) | (where >= conv.in_chw[1 + axis])] = -1
    return where


def to_sparse(transform: Linear) -> Sparse:
    """The same map as compressed rows; memory grows with the unfolded synapses."""
    if isinstance(transform, Sparse):
        return transform
    if isinstance(transform, Dense):
        keep = transform.weight != 0
        indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64)
        return Sparse(indptr, np.nonzero(keep)[1].astype(np.int64), transform.weight[keep],
                      transform.in_shape, transform.out_shape)
    c_out, out_h, out_w = transform.out_chw
    c_in, height, width = transform.in_chw
    ys, xs = _positions(transform, 0), _positions(transform, 1)
    group_in, group_out = c_in // transform.groups, c_out // transform.groups
    co, oy, ox, ci, ky, kx = np.meshgrid(
        np.arange(c_out), np.arange(out_h), np.arange(out_w), np.arange(group_in),
        np.arange(ys.shape[1]), np.arange(xs.shape[1]), indexing="ij", sparse=True)
    y, x = ys[oy, ky], xs[ox, kx]
    inside = np.broadcast_to((y >= 0) & (x >= 0), (c_out, out_h, out_w, group_in,
                                                   ys.shape[1], xs.shape[1]))
    channel = (co // group_out) * group_in + ci
    source = np.broadcast_to((channel * height + y) * width + x, inside.shape)
    weight = np.broadcast_to(transform.weight[co, ci, ky, kx], inside.shape)
    counts = inside.reshape(c_out * out_h * out_w, -1).sum(axis=1)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Sparse(indptr, source[inside].astype(np.int64), weight[inside],
                  transform.in_shape, transform.out_shape)


def synapses_of(transform: Linear, targets: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The synapses of some outputs: (source element, index into ``targets``, weight) of each.

    ``targets``: flat output elements. Weights as int64; what a convolution reads outside its input
    is no synapse. Memory grows with the synapses of ``targets`` alone.
    """
    if isinstance(transform, Dense):
        n_source = transform.weight.shape[1]
        return (np.tile(np.arange(n_source), len(targets)),
                np.repeat(np.arange(len(targets)), n_source),
                transform.weight[targets].reshape(-1).astype(np.int64))
    if isinstance(transform, Sparse):
        first = transform.indptr[targets].astype(np.int64)
        counts = transform.indptr[targets + 1] - first
        where = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        return (transform.indices[where].astype(np.int64),
                np.repeat(np.arange(len(targets)), counts),
                transform.values[where].astype(np.int64))
    c_out, out_h, out_w = transform.out_chw
    c_in, height, width = transform.in_chw
    group_in = c_in // transform.groups
    channel, place = np.divmod(np.asarray(targets, np.int64), out_h * out_w)
    # Axes: target, input channel of its group, tap row, tap column.
    y = _positions(transform, 0)[place // out_w][:, None, :, None]
    x = _positions(transform, 1)[place % out_w][:, None, None, :]
    first_in = (channel // (c_out // transform.groups) * group_in)[:, None]
    ci = (first_in + np.arange(group_in))[:, :, None, None]
    inside = np.broadcast_to((y >= 0) & (x >= 0),
                             (len(targets), group_in, y.shape[2], x.shape[3]))
    source = np.broadcast_to((ci * height + y) * width + x, inside.shape)[inside]
    which = np.broadcast_to(np.arange(len(targets))[:, None, None, None], inside.shape)[inside]
    return source, which, transform.weight[channel][inside].astype(np.int64)
