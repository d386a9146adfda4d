"""Convolutions and pools as :class:`Conv`, with torch's arithmetic for sizes and padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neurocompile.frontends.fields import Fields
from neurocompile.frontends.part import Part, Refused
from neurocompile.ir.base import Array, Shape, n_elements
from neurocompile.ir.transforms import Conv


@dataclass(frozen=True)
class Window:
    """How a kernel moves; one entry an axis (length, or height and width)."""

    kernel: Shape
    stride: tuple[int, ...]
    padding: tuple[int, ...] | Literal["same", "valid"]
    dilation: tuple[int, ...]
    groups: int

    def axis(self, i: int, extent: int) -> tuple[int, int, int]:
        """Padding before, padding in all, and output size along an axis of this extent."""
        reach = self.dilation[i] * (self.kernel[i] - 1)
        if self.padding == "same":
            # As torch does: an odd total puts the extra zero behind.
            return reach // 2, reach, extent
        if self.padding == "valid":
            before = 0
        else:
            before = int(self.padding[i])
        size = (extent + 2 * before - reach - 1) // self.stride[i] + 1
        return before, 2 * before, size

    def with_row(self) -> Window:
        """A window over a length as one over (height 1, length)."""
        padding = self.padding if isinstance(self.padding, str) else (0, *self.padding)
        return replace(self, kernel=(1, *self.kernel), stride=(1, *self.stride), padding=padding,
                       dilation=(1, *self.dilation))


def conv2d(fields: Fields, weight: Array, bias: Array | None, window: Window,
           shape: Shape) -> Part:
    """A Conv2d on (channels, height, width). Raises :class:`Refused` if the input does not fit."""
    if len(shape) != 3:
        raise Refused("E122", "a 2-D convolution takes (channels, height, width)",
                      got=f"shape {shape}")
    conv = _conv(fields, weight, window, (shape[0], shape[1], shape[2]))
    return Part(conv.out_shape, op=conv, bias=_spread_bias(fields, bias, conv))


def conv1d(fields: Fields, weight: Array, bias: Array | None, window: Window,
           shape: Shape) -> Part:
    """A Conv1d on (channels, length), as a convolution of height 1."""
    if len(shape) != 2:
        raise Refused("E122", "a 1-D convolution takes (channels, length)", got=f"shape {shape}")
    flat = _conv(fields, weight[:, :, None, :], window.with_row(), (shape[0], 1, shape[1]))
    conv = flat.with_shapes(shape, (flat.out_chw[0], flat.out_chw[2]))
    return Part(conv.out_shape, op=conv, bias=_spread_bias(fields, bias, conv))


def pool2d(fields: Fields, value: float, window: Window, shape: Shape) -> Part:
    """A pool as a depthwise convolution with the constant weight ``value``."""
    if len(shape) != 3:
        raise Refused("E122", "a 2-D pool takes (channels, height, width)", got=f"shape {shape}")
    channels = shape[0]
    fields.reserve(8 * channels * n_elements(window.kernel), "the weight of the pool")
    weight = np.full((channels, 1, *window.kernel), value)
    conv = _conv(fields, weight, replace(window, groups=channels), (channels, shape[1], shape[2]))
    return Part(conv.out_shape, op=conv)


def _conv(fields: Fields, weight: Array, window: Window, chw: tuple[int, int, int]) -> Conv:
    if chw[0] != weight.shape[1] * window.groups:
        raise Refused("E122", "the number of channels does not fit the weight",
                      got=f"{chw[0]} channels",
                      limit=f"{weight.shape[1]} a group in {window.groups} groups")
    top, rows, height = window.axis(0, chw[1])
    left, columns, width = window.axis(1, chw[2])
    if height < 1 or width < 1:
        raise Refused("E122", "the kernel is larger than its padded input",
                      got=f"kernel {window.kernel}, dilation {window.dilation}",
                      limit=f"input {chw[1:]}, padding {window.padding}")
    out_chw = (weight.shape[0], height, width)
    padded = (chw[0], chw[1] + rows, chw[2] + columns)
    limit = fields.budget.limits.max_neurons
    for what, extents in (("output", out_chw), ("padded input", padded)):
        if n_elements(extents) > limit:
            raise Refused("E106", f"the {what} has too many elements",
                          got=f"{extents} = {n_elements(extents)}", limit=str(limit),
                          hint="raise ReadLimits.max_neurons if the file is trusted")
    return Conv(weight, (window.stride[0], window.stride[1]), (top, left),
                (window.dilation[0], window.dilation[1]), window.groups, chw, out_chw,
                chw, out_chw)


def _spread_bias(fields: Fields, bias: Array | None, conv: Conv) -> Array | None:
    """One value a channel, repeated over the output."""
    if bias is None:
        return None
    column = bias.reshape(-1, *([1] * (len(conv.out_shape) - 1)))
    return fields.spread(column, conv.out_shape)
