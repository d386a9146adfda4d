"""Composition of linear maps, keeping structure: a convolution after a pooling stays one."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurocompile.ir.base import Array, FloatArray, Shape, n_elements
from neurocompile.ir.transforms import Conv, Dense, Linear, Sparse, to_sparse


class UnfoldingError(Exception):
    """A composition has no structured form and would need more synapses than allowed."""

    def __init__(self, n_synapses: int):
        super().__init__(n_synapses)
        self.n_synapses = n_synapses


def compose(first: Linear, second: Linear, max_unfolded: int) -> Linear:
    """The map ``second(first(x))``.

    Two convolutions give a convolution where that is exact at the borders, anything with a dense
    map gives a dense map, the rest compressed rows. Raises :class:`UnfoldingError` if more than
    ``max_unfolded`` synapses would have to be written out.
    """
    if isinstance(first, Conv) and isinstance(second, Conv):
        joined = _conv_conv(first, second)
        if joined is not None:
            return joined
    if isinstance(first, Sparse) and is_diagonal(first):
        scaled = scale_columns(second, first.values, first.in_shape)
        if scaled is not None:
            return scaled
    if isinstance(second, Sparse) and is_diagonal(second):
        scaled = scale_rows(first, second.values, second.out_shape)
        if scaled is not None:
            return scaled
    if isinstance(first, Dense) and isinstance(second, Dense):
        _guard(second.weight.shape[0] * first.weight.shape[1], max_unfolded)
        weight = second.weight.astype(np.float64) @ first.weight.astype(np.float64)
        return Dense(weight, first.in_shape, second.out_shape)
    return _by_matrices(first, second, max_unfolded)


def scale_rows(transform: Linear, factor: FloatArray, out_shape: Shape) -> Linear | None:
    """Multiply each output element by ``factor`` (flat); None where a kernel cannot hold it."""
    if isinstance(transform, Dense):
        return Dense(transform.weight * factor[:, None], transform.in_shape, out_shape)
    if isinstance(transform, Sparse):
        rows = np.repeat(np.arange(len(factor)), np.diff(transform.indptr))
        return Sparse(transform.indptr, transform.indices, transform.values * factor[rows],
                      transform.in_shape, out_shape)
    per_channel = _uniform(factor, transform.out_chw[0])
    if per_channel is None:
        return None
    scaled = transform.with_weight(transform.weight * per_channel[:, None, None, None])
    return scaled.with_shapes(transform.in_shape, out_shape)


def scale_columns(transform: Linear, factor: FloatArray, in_shape: Shape) -> Linear | None:
    """Multiply each input element by ``factor`` (flat); None where a kernel cannot hold it."""
    if isinstance(transform, Dense):
        return Dense(transform.weight * factor[None, :], in_shape, transform.out_shape)
    if isinstance(transform, Sparse):
        return Sparse(transform.indptr, transform.indices,
                      transform.values * factor[transform.indices], in_shape, transform.out_shape)
    per_channel = _uniform(factor, transform.in_chw[0])
    if per_channel is None:
        return None
    group_in = transform.weight.shape[1]
    group_out = transform.weight.shape[0] // transform.groups
    weight = np.array(transform.weight, np.float64)
    for g in range(transform.groups):
        weight[g * group_out:(g + 1) * group_out] *= per_channel[
            g * group_in:(g + 1) * group_in][None, :, None, None]
    return transform.with_weight(weight).with_shapes(in_shape, transform.out_shape)


def is_diagonal(transform: Linear) -> bool:
    """One synapse from each element to its counterpart and nothing else."""
    if not isinstance(transform, Sparse):
        return False
    n = len(transform.indices)
    return (n == len(transform.indptr) - 1 == n_elements(transform.in_shape)
            and bool(np.all(np.diff(transform.indptr) == 1))
            and bool(np.array_equal(transform.indices, np.arange(n))))


def _uniform(factor: FloatArray, channels: int) -> FloatArray | None:
    per_channel = factor.reshape(channels, -1)
    if np.all(per_channel == per_channel[:, :1]):
        return per_channel[:, 0]
    return None


def _guard(n_synapses: int, limit: int) -> None:
    if n_synapses > limit:
        raise UnfoldingError(n_synapses)


def full_kernel(conv: Conv) -> Array:
    """The kernel without groups: (c_out, c_in, k_h, k_w) with zeros between groups."""
    if conv.groups == 1:
        return conv.weight
    c_out, group_in, k_h, k_w = conv.weight.shape
    group_out = c_out // conv.groups
    full = np.zeros((c_out, conv.in_chw[0], k_h, k_w), conv.weight.dtype)
    for g in range(conv.groups):
        rows = slice(g * group_out, (g + 1) * group_out)
        full[rows, g * group_in:(g + 1) * group_in] = conv.weight[rows]
    return full


def _conv_conv(first: Conv, second: Conv) -> Conv | None:
    if first.out_chw != second.in_chw:
        return None
    if not all(_border_is_exact(first, second, axis) for axis in (0, 1)):
        return None
    depthwise = (first.groups == first.in_chw[0] == first.out_chw[0]
                 and second.groups == second.in_chw[0] == second.out_chw[0])
    if depthwise:
        k1 = first.weight.astype(np.float64)
        k2 = second.weight.astype(np.float64)
    else:
        k1 = full_kernel(first).astype(np.float64)
        k2 = full_kernel(second).astype(np.float64)
    size = [(k1.shape[2 + a] - 1) * first.dilation[a]
            + first.stride[a] * second.dilation[a] * (k2.shape[2 + a] - 1) + 1 for a in (0, 1)]
    kernel = np.zeros((k2.shape[0], k1.shape[1], size[0], size[1]))
    for jy in range(k2.shape[2]):
        for jx in range(k2.shape[3]):
            top = jy * first.stride[0] * second.dilation[0]
            left = jx * first.stride[1] * second.dilation[1]
            rows = slice(top, top + (k1.shape[2] - 1) * first.dilation[0] + 1, first.dilation[0])
            cols = slice(left, left + (k1.shape[3] - 1) * first.dilation[1] + 1,
                         first.dilation[1])
            if depthwise:
                kernel[:, :, rows, cols] += k2[:, :, jy:jy + 1, jx:jx + 1] * k1
            else:
                kernel[:, :, rows, cols] += np.einsum("om,mihw->oihw", k2[:, :, jy, jx], k1)
    stride = (first.stride[0] * second.stride[0], first.stride[1] * second.stride[1])
    padding = (first.padding[0] + first.stride[0] * second.padding[0],
               first.padding[1] + first.stride[1] * second.padding[1])
    return Conv(kernel, stride, padding, (1, 1), first.in_chw[0] if depthwise else 1,
                first.in_chw, second.out_chw, first.in_shape, second.out_shape)


def _border_is_exact(first: Conv, second: Conv, axis: int) -> bool:
    """Does every padded position the second map reads see only padding of the first?

    The second map reads zero outside the intermediate array; the joined kernel would read there
    what the first map gives for windows beyond its last one. Both agree if those windows hold
    nothing but padding.
    """
    k1, k2 = first.weight.shape[2 + axis], second.weight.shape[2 + axis]
    out = np.arange(second.out_chw[1 + axis])[:, None] * second.stride[axis]
    middle = (out + np.arange(k2)[None, :] * second.dilation[axis]
              - second.padding[axis]).reshape(-1)
    outside = middle[(middle < 0) | (middle >= first.out_chw[1 + axis])]
    read = (outside[:, None] * first.stride[axis]
            + np.arange(k1)[None, :] * first.dilation[axis] - first.padding[axis])
    return not bool(np.any((read >= 0) & (read < first.in_chw[1 + axis])))


def _to_scipy(transform: Linear) -> Any:
    from scipy.sparse import csr_matrix

    sparse = to_sparse(transform)
    n_out = len(sparse.indptr) - 1
    n_in = int(np.prod(sparse.in_shape, dtype=np.int64))
    return csr_matrix((sparse.values.astype(np.float64), sparse.indices, sparse.indptr),
                      shape=(n_out, n_in))


def _by_matrices(first: Linear, second: Linear, limit: int) -> Linear:
    dense_out = isinstance(first, Dense) or isinstance(second, Dense)
    for part in (first, second):
        _guard(part.n_synapses, limit)
    if dense_out:
        n_out = int(np.prod(second.out_shape, dtype=np.int64))
        n_in = int(np.prod(first.in_shape, dtype=np.int64))
        _guard(n_out * n_in, limit)
        a = first.weight.astype(np.float64) if isinstance(first, Dense) else _to_scipy(first)
        b = second.weight.astype(np.float64) if isinstance(second, Dense) else _to_scipy(second)
        return Dense(np.asarray(b @ a), first.in_shape, second.out_shape)
    product = _to_scipy(second) @ _to_scipy(first)
    _guard(int(product.nnz), limit)
    product.sort_indices()
    return Sparse(product.indptr.astype(np.int64), product.indices.astype(np.int64),
                  product.data, first.in_shape, second.out_shape)
