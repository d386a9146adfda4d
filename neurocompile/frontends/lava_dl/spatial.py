"""Convolutions and pools. Height comes before width everywhere."""

from __future__ import annotations

import nir
import numpy as np

from neurocompile.frontends.convolution import Window
from neurocompile.frontends.fields import Fields
from neurocompile.frontends.lava_dl.chain import (
    Chain,
    append_neurons,
    delayed,
    imports,
    incoming,
    refuse_bias,
)
from neurocompile.frontends.lava_dl.fields import (
    AGAIN,
    OUT_OF_ORDER,
    Neuron,
    delays,
    int_weights,
    neuron,
    per_channel,
    stated_number,
    stated_shape,
)
from neurocompile.ir.base import FloatArray, IntArray, Shape, n_elements


@imports("conv")
def _conv(fields: Fields, chain: Chain, name: str) -> None:
    cell = _cell(fields)
    weight = int_weights(fields, "weight", 4)
    groups = fields.integers("groups", 1, minimum=1)[0]
    window = _window(fields, weight, groups)
    if weight is None:
        return
    stated_number(fields, "inChannels", weight.shape[1] * groups)
    stated_number(fields, "outChannels", weight.shape[0])
    if weight.shape[0] % groups:
        fields.add("E115", "groups do not divide the output channels",
                   got=f"{weight.shape[0]} channels, {groups} groups")
    _append(fields, chain, name, weight, window, cell)


@imports("pool")
def _pool(fields: Fields, chain: Chain, name: str) -> None:
    """Every channel is summed by one small kernel. slayer fills up what a stride leaves over."""
    cell = _cell(fields)
    kernel = int_weights(fields, "weight", 4)
    window = _window(fields, kernel, 1)
    if kernel is None:
        return
    if kernel.shape[:2] != (1, 1):
        fields.shape_error("weight", kernel.shape, "(1, 1, height, width)")
    if window.stride != window.kernel or set(window.padding) != {0} or set(window.dilation) != {1}:
        fields.add("E135", "lava-dl's pool lets rows of one channel reach into the next unless its "
                   "stride is its kernel, without padding or dilation",
                   got=f"kernel {window.kernel}, stride {window.stride}, padding {window.padding}, "
                       f"dilation {window.dilation}", hint="use a conv layer with groups")
    shape = None if fields.failed else incoming(fields, chain, None)
    if shape is None or not _is_image(fields, shape):
        return
    # slayer appends (size % kernel) zeros behind. NIR pads both sides alike, so the kernel grows
    # by as many zeros in front, which lie over the padding there.
    extra = [extent % k for extent, k in zip(shape[1:], window.kernel, strict=True)]
    if any((extent + e) % k for extent, e, k in zip(shape[1:], extra, window.kernel, strict=True)):
        fields.add("E135", "lava-dl's pool mixes channels of this size", got=f"size {shape[1:]}, "
                   f"kernel {window.kernel}", hint="use a conv layer with groups")
        return
    fields.reserve(8 * shape[0] * 4 * kernel.size, "the weight of the pool")
    grown = np.pad(kernel, ((0, 0), (0, 0), (extra[0], 0), (extra[1], 0)))
    _append(fields, chain, name, np.repeat(grown, shape[0], axis=0), Window(
        grown.shape[2:], window.stride, (extra[0], extra[1]), (1, 1), shape[0]), cell)


def _cell(fields: Fields) -> tuple[Neuron, IntArray | None]:
    """The neurons of a layer and their delays."""
    refuse_bias(fields)
    return neuron(fields), delays(fields)


def _window(fields: Fields, weight: FloatArray | None, groups: int) -> Window:
    """A third entry (slayer's time axis) is taken off."""
    numbers = []
    for key, low in (("stride", 1), ("padding", 0), ("dilation", 1)):
        numbers.append(_pair(fields, key, low))
    kernel = (1, 1) if weight is None else (weight.shape[2], weight.shape[3])
    if "kernelSize" in fields.raw.fields:
        size, sound = fields.sound(lambda: _pair(fields, "kernelSize", 1))
        if weight is not None and sound and size != kernel:
            fields.add("E134", "kernelSize is not what the weight says", got=size, limit=kernel,
                       hint=AGAIN)
    return Window(kernel, numbers[0], numbers[1], numbers[2], groups)


def _pair(fields: Fields, key: str, low: int) -> tuple[int, int]:
    value = fields.raw.fields.get(key)
    if value is not None and not isinstance(value, str) and value.size == 3:
        fields.raw.fields[key] = value.reshape(-1)[:2]
    height, width = fields.integers(key, 2, minimum=low)
    return height, width


def _append(fields: Fields, chain: Chain, name: str, weight: FloatArray, window: Window,
            cell: tuple[Neuron, IntArray | None]) -> None:
    """A convolution and the neurons behind it."""
    shape = None if fields.failed else incoming(fields, chain, None)
    out = None if shape is None else _sizes(fields, shape, weight, window)
    if shape is None or out is None:
        return
    stated_shape(fields, out)
    neurons, delay = cell[0].spread(fields, out), cell[1]
    after = None if delay is None else per_channel(fields, "delay", delay, out)
    if fields.failed:
        return
    top, left = (window.axis(i, shape[1 + i])[0] for i in (0, 1))
    chain.append(f"{name}_weight", nir.Conv2d(
        (shape[1], shape[2]), weight, (window.stride[0], window.stride[1]), (top, left),
        (window.dilation[0], window.dilation[1]), window.groups, np.zeros(weight.shape[0])), out)
    delayed(chain, f"{name}_delay", after)
    append_neurons(fields, chain, name, neurons, out)


def _sizes(fields: Fields, shape: Shape, weight: FloatArray, window: Window) -> Shape | None:
    """What a convolution sends; None after an error."""
    if not _is_image(fields, shape):
        return None
    if shape[0] != weight.shape[1] * window.groups:
        fields.add("E134", "the weight does not fit the signal", got=f"{shape[0]} channels",
                   limit=f"{weight.shape[1]} a group in {window.groups} groups",
                   hint=OUT_OF_ORDER)
        return None
    out = (weight.shape[0], window.axis(0, shape[1])[2], window.axis(1, shape[2])[2])
    if min(out) < 1:
        fields.add("E134", "the kernel is larger than its padded input",
                   got=f"kernel {window.kernel}, dilation {window.dilation}",
                   limit=f"input {shape[1:]}, padding {window.padding}", hint=OUT_OF_ORDER)
        return None
    if n_elements(out) > fields.budget.limits.max_neurons:
        fields.add("E106", "the layer has too many neurons", got=f"{out}",
                   limit=fields.budget.limits.max_neurons,
                   hint="raise ReadLimits.max_neurons if the file is trusted")
        return None
    return out


def _is_image(fields: Fields, shape: Shape) -> bool:
    if len(shape) != 3:
        fields.add("E134", "the layer takes (channels, height, width)", got=shape,
                   hint=OUT_OF_ORDER)
    return len(shape) == 3
