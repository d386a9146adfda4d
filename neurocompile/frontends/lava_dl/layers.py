"""One importer for each layer type of lava-dl: from checked fields to NIR nodes.

Signals are (channels, height, width) as in slayer, or (neurons,) once flattened; the kernels of
the file are cross-correlations on them, as NIR's. Weights stay the integers of the file.
"""

from __future__ import annotations

import nir
import numpy as np

from neurocompile.frontends.fields import Fields
from neurocompile.frontends.lava_dl.chain import (
    Chain,
    append_neurons,
    delayed,
    flat,
    imports,
    incoming,
    refuse_bias,
)
from neurocompile.frontends.lava_dl.fields import (
    OUT_OF_ORDER,
    delays,
    int_weights,
    is_flat,
    neuron,
    per_channel,
    stated_number,
    stated_shape,
)
from neurocompile.ir.base import FloatArray, IntArray, Shape, n_elements


@imports("input")
def _input(fields: Fields, chain: Chain, _: str) -> None:
    shape = fields.shape("shape", fields.budget.limits.max_neurons)
    held = [key for key in fields.raw.fields if key.startswith("neuron/") or key in (
        "weight", "bias")]
    for key in held:
        if fields.text(key) is None:
            fields.weights(key)
    if held:
        fields.add("E135", "an input layer with a neuron or a transform of its values is not "
                   "converted: slayer feeds it through the current, netx through the bias",
                   got=", ".join(held), hint="encode on the host, and give what this layer sends "
                                             "as the input")
    if chain.last:
        fields.add("E134", "an input layer comes first", got=f"after {chain.last}",
                   hint="remove it from the file")
    elif not fields.failed:
        chain.start(shape)


@imports("flatten")
def _flatten(fields: Fields, chain: Chain, name: str) -> None:
    shape = incoming(fields, chain, None)
    stated_shape(fields, None if shape is None else (n_elements(shape),))
    if shape is not None and not fields.failed:
        flat(chain, name, shape)


@imports("dense")
def _dense(fields: Fields, chain: Chain, name: str) -> None:
    _matrix(fields, chain, name, recurrent=False)


@imports("dense_rec")
def _dense_rec(fields: Fields, chain: Chain, name: str) -> None:
    _matrix(fields, chain, name, recurrent=True)


def _matrix(fields: Fields, chain: Chain, name: str, recurrent: bool) -> None:
    cell, delay = neuron(fields), delays(fields)
    refuse_bias(fields)
    weight = _matrix_weight(fields)
    again = int_weights(fields, "weight_rec", 2) if recurrent else None
    if recurrent and delay is not None:
        fields.add("E135", "a recurrent layer with delays is not converted: slayer delays what "
                   "leaves the layer, netx the loop too", hint="train it without delays")
    if weight is None:
        return
    n_out, n_in = weight.shape
    stated_number(fields, "inFeatures", n_in)
    stated_number(fields, "outFeatures", n_out)
    if again is not None and again.shape != (n_out, n_out):
        fields.shape_error("weight_rec", again.shape, f"{(n_out, n_out)}")
    cell = cell.spread(fields, (n_out,))
    before, after = _axon_delays(fields, delay, n_out, n_in)
    shape = None if fields.failed else incoming(fields, chain, (n_in,))
    if shape is None or not _fits_matrix(fields, n_in, shape):
        return
    flat(chain, name, shape)
    delayed(chain, f"{name}_input_delay", before)
    chain.append(f"{name}_weight", nir.Linear(weight), (n_out,))
    delayed(chain, f"{name}_delay", after)
    append_neurons(fields, chain, name, cell, (n_out,))
    if again is not None:
        chain.nodes[f"{name}_recurrent"] = nir.Linear(again)
        chain.edges += [(name, f"{name}_recurrent"), (f"{name}_recurrent", name)]


def _matrix_weight(fields: Fields) -> FloatArray | None:
    """(outputs, inputs); None after an error. A list of weights is cut into rows, as netx does."""
    shape, sound = fields.sound(lambda: fields.shape("shape", fields.budget.limits.max_neurons))
    n_out = n_elements(shape)
    stored = fields.raw.fields.get("weight")
    if sound and stored is not None and not isinstance(stored, str) and stored.ndim == 1 \
            and not stored.size % n_out:
        fields.raw.fields["weight"] = stored.reshape(n_out, -1)
    weight = int_weights(fields, "weight", 2)
    if weight is not None:
        stated_shape(fields, weight.shape[:1])
    return weight


def _axon_delays(fields: Fields, value: IntArray | None, n_out: int,
                 n_in: int) -> tuple[IntArray | None, IntArray | None]:
    """(delays of the inputs, delays of the outputs) in steps; None without any.

    As in netx: as many values as outputs delay the outputs, as many as inputs the inputs, the
    former where both numbers are equal. One value holds for the layer.
    """
    if value is None:
        return None, None
    if value.size == n_in and value.size not in (1, n_out):
        return value.reshape(-1), None
    return None, per_channel(fields, "delay", value, (n_out,))


def _fits_matrix(fields: Fields, n_in: int, shape: Shape) -> bool:
    if not is_flat(shape):
        fields.add("E134", "a dense layer takes a flat signal", got=shape,
                   hint="put a flatten layer before it: the order of its inputs is stated there")
    elif n_elements(shape) != n_in:
        fields.add("E134", "the weight does not fit the signal", got=f"{n_elements(shape)} inputs",
                   limit=n_in, hint=OUT_OF_ORDER)
    return not fields.failed


@imports("average")
def _average(fields: Fields, chain: Chain, name: str) -> None:
    """The mean over equal groups of neurons, here their sum: whole numbers stay whole."""
    shape = incoming(fields, chain, None)
    n_out = n_elements(fields.shape("shape", fields.budget.limits.max_neurons))
    if shape is None or fields.failed:
        return
    n_in = n_elements(shape)
    if n_in % n_out:
        fields.add("E134", "the neurons do not divide into equal groups", got=f"{n_in} neurons",
                   limit=f"{n_out} groups", hint=OUT_OF_ORDER)
        return
    chain.averaged = n_in // n_out
    if not chain.keep_average:
        return
    if not fields.budget.take(8 * n_in * n_out, name, "the matrix of the average"):
        fields.failed = True
        return
    flat(chain, name, shape)
    groups = np.repeat(np.eye(n_out), chain.averaged, axis=1)
    chain.append(f"{name}_weight", nir.Linear(groups), (n_out,))
    chain.layers.append((name, "average", (n_out,)))
