"""Checked access to what lava-dl's layers have in common: whole weights, neurons, delays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.frontends.fields import Fields
from neurocompile.frontends.raw import shown
from neurocompile.ir.base import Array, FloatArray, IntArray, Shape, n_elements

NEURONS = ("CUBA", "LOIHI")
MAX_DELAY = 62  # slayer clamps its axon delays to it, netx too
AGAIN = "the file contradicts itself: export the network again"
OUT_OF_ORDER = "is a layer missing, or out of order?"
_UNUSED = ("neuron/scaleRho", "neuron/tauRho", "neuron/theta")
"""Of the surrogate gradient in training; no run reads them."""


@dataclass(frozen=True, eq=False)
class Neuron:
    """Registers as in the file; decays in 1/4096 a step, one or one a channel."""

    i_decay: IntArray
    v_decay: IntArray
    threshold: int

    def spread(self, fields: Fields, shape: Shape) -> Neuron:
        """The same with decays of the shape of the layer. E115 if they do not fit it."""
        return Neuron(per_channel(fields, "neuron/iDecay", self.i_decay, shape),
                      per_channel(fields, "neuron/vDecay", self.v_decay, shape), self.threshold)


def whole(fields: Fields, key: str, default: int | None = None, *, low: int,
          high: int) -> IntArray:
    """Whole numbers in [low, high] of any shape; E111 to E114 and ``low`` otherwise."""
    value, sound = fields.sound(
        lambda: fields.numbers(key, None if default is None else float(default)))
    if bool(np.all((value == np.rint(value)) & (value >= low) & (value <= high))):
        return value.astype(np.int64)
    if sound:
        wrong = value[(value != np.rint(value)) | (value < low) | (value > high)]
        fields.add("E114", f"{key} is not a whole number in range",
                   got=f"{wrong.reshape(-1)[0]:g}", limit=f"{low} to {high}")
    return np.full(value.shape, low)


def neuron(fields: Fields) -> Neuron:
    """The current-based LIF of a layer. Adds E132 for every other neuron or option."""
    for key in _UNUSED:
        if key in fields.raw.fields:
            fields.weights(key)
    kind = fields.text("neuron/type")
    if kind not in NEURONS:
        got = "no neuron" if kind is None else shown(kind)
        fields.add("E132", "the neuron is not a current-based LIF", got=got,
                   limit=" or ".join(NEURONS),
                   hint="sigma-delta, resonate-and-fire and adaptive neurons, and layers that "
                        "are read without spiking, have no integer form here")
        return Neuron(np.zeros(1, np.int64), np.zeros(1, np.int64), 1)
    _options(fields)
    decays = [whole(fields, key, low=0, high=4096) for key in ("neuron/iDecay", "neuron/vDecay")]
    threshold = whole(fields, "neuron/vThMant", low=1, high=131071)
    if threshold.size != 1:
        fields.add("E132", "vThMant differs within the layer: a population has one threshold",
                   got=f"shape {threshold.shape}", limit="one number")
        threshold = np.ones(1, np.int64)
    return Neuron(decays[0], decays[1], int(threshold.reshape(-1)[0]))


def _options(fields: Fields) -> None:
    for key, only, hint in (
            ("neuron/gradedSpike", 0, "graded spikes carry values; only binary ones are exact"),
            ("neuron/messageBits", 0, "graded spikes carry values; only binary ones are exact"),
            ("neuron/refDelay", 1, "slayer writes 1, and neither it nor netx waits: write 1, and "
             "state refractory_steps in the contract where neurons shall wait"),
            ("neuron/wgtExp", 0, "netx does not read it: fold it into the weights"),
            ("neuron/weight_exp", 0, "netx does not read it: fold it into the weights")):
        value = fields.numbers(key, float(only))
        if bool(np.any(value != only)) and key not in fields.raw.lost:
            fields.add("E132", f"{key.removeprefix('neuron/')} is not supported",
                       got=f"{value.reshape(-1)[0]:g}", limit=only, hint=hint)


def per_channel(fields: Fields, key: str, value: Array, shape: Shape) -> Array:
    """One value, or one a channel, spread over the layer. E115 for any other number of them."""
    if value.size == 1:
        return fields.spread(value.reshape(()), shape)
    if value.size == shape[0]:
        return fields.spread(value.reshape(-1, *[1] * (len(shape) - 1)), shape)
    fields.add("E115", f"{key} is neither one value nor one a channel", got=value.shape,
               limit=f"{shape[0]} channels")
    return np.zeros(shape, np.int64)


def int_weights(fields: Fields, key: str, ndim: int) -> FloatArray | None:
    """Whole weights with an exact 8-bit form, of ``ndim`` axes; None after E111 to E133.

    Trailing axes of length 1 (slayer's time axis) are taken off.
    """
    if f"{key}/real" in fields.raw.fields or f"{key}/imag" in fields.raw.fields:
        fields.add("E131", "complex weights are not supported", limit="real weights")
        return None
    stored, sound = fields.sound(lambda: fields.weights(key))
    if not sound:
        return None
    fields.reserve(8 * stored.size, "a weight in float64")
    weight = np.asarray(stored, np.float64)
    while weight.ndim > ndim and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if weight.ndim != ndim or not weight.size:
        fields.shape_error(key, weight.shape, f"{ndim} axes, none of them 0")
        return None
    return weight if _has_format(fields, key, weight) else None


def _has_format(fields: Fields, key: str, weight: FloatArray) -> bool:
    """8 bits: signed for mixed signs, else a magnitude; times a power of two for all of them."""
    fraction = weight[weight != np.rint(weight)]
    if fraction.size:
        fields.add("E133", f"{key} holds numbers that are not whole",
                   got=f"{fraction[0]:g}, {fraction.size} of {weight.size}",
                   hint="export with quantization (pre_hook_fx), as netx needs it too")
        return False
    low, high = float(weight.min()), float(weight.max())
    least, most = (-128, 127) if low < 0 < high else (-255, 255)
    step = 1
    while step < 256 and not np.any(weight % (2 * step)):
        step *= 2
    if low < least * step or high > most * step:
        fields.add("E133", f"{key} does not fit 8 bits and a sign", got=f"{low:g} to {high:g} in "
                   f"steps of {step}", limit=f"{least * step} to {most * step}",
                   hint="slayer's quantize_8bit gives even numbers from -256 to 254")
        return False
    return True


def delays(fields: Fields) -> IntArray | None:
    """The delays of a layer in steps, one or one a channel; None without any."""
    if "delay" not in fields.raw.fields and "delay" not in fields.raw.lost:
        return None
    value = whole(fields, "delay", low=0, high=MAX_DELAY)
    return value if value.any() else None


def stated_shape(fields: Fields, shape: Shape | None) -> None:
    """E134 if the layer's own ``shape`` (channels, height, width) is another one; None: unknown."""
    if "shape" not in fields.raw.fields:
        return
    stated, sound = fields.sound(
        lambda: fields.shape("shape", fields.budget.limits.max_neurons))
    if shape is not None and sound and without_ones(stated) != without_ones(shape):
        fields.add("E134", "the stated shape is not what its inputs and weights give",
                   got=stated, limit=shape, hint=AGAIN)


def without_ones(shape: Shape) -> Shape:
    """(10, 1, 1) and (10,) name the same layer."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def stated_number(fields: Fields, key: str, n: int) -> None:
    """E134 if a count that the file repeats is another one."""
    if key in fields.raw.fields:
        (got,), sound = fields.sound(lambda: fields.integers(key, 1, minimum=0))
        if sound and got != n:
            fields.add("E134", f"{key} is not what the weight says", got=got, limit=n,
                       hint=AGAIN)


def is_flat(shape: Shape) -> bool:
    return n_elements(shape) == max(shape)
