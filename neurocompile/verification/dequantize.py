"""The float network with some of its parts as the chip holds them: what causes a difference.

Each variant replaces one kind of parameter (weights, decays, biases) by the value the integers
stand for, or all of them, and leaves the arithmetic in float64.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from neurocompile.ir.base import FloatArray
from neurocompile.ir.discrete import DiscreteBias, DiscreteNetwork, DiscretePopulation
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.transforms import as_float64, to_sparse
from neurocompile.passes.compose import scale_rows

Cause = Literal["weights", "decays", "biases", "all"]
CAUSES: tuple[Cause, ...] = ("weights", "decays", "biases", "all")


def with_quantized(network: QuantizedNetwork, cause: Cause) -> DiscreteNetwork:
    """The discrete network with the named parts replaced. Structure and timing do not change.

    Connections that were split to pass relays keep their float weights.
    """
    discrete = network.scheduled.discrete
    if cause in ("weights", "all"):
        discrete = _weights(network, discrete)
    if cause in ("decays", "all"):
        discrete = replace(discrete, populations=tuple(
            _decays(network, p) for p in discrete.populations))
    if cause in ("biases", "all"):
        discrete = _biases(network, discrete)
    return discrete


def _unit(p: QuantizedPopulation, q: QuantizedProjection, network: QuantizedNetwork) -> FloatArray:
    """Float weight that one mantissa unit of ``q`` stands for, per target neuron."""
    d = next(s for s in network.scheduled.populations if s.name == p.name).dynamics
    value = next(s for s in network.scheduled.projections if s.name == q.name).source_value
    gain = d.gain_mem * (d.gain_syn if d.has_synapse else 1.0) * value
    step = float(1 << (q.format.exponent + network.target.machine.input_shift))
    # A neuron without gain hears nothing, whatever its weights are.
    return step / np.where(gain == 0, np.inf, p.scale * gain)


def _carriers(network: QuantizedNetwork, of: str) -> list[QuantizedProjection]:
    names = {s.name for s in network.scheduled.projections if s.of == of}
    return [q for q in network.projections if q.name in names]


def _weights(network: QuantizedNetwork, discrete: DiscreteNetwork) -> DiscreteNetwork:
    projections = []
    for projection in discrete.projections:
        carriers = _carriers(network, projection.name)
        if len(carriers) == 1:
            q = carriers[0]
            unit = _unit(network.population(q.target), q, network)
            mantissa = as_float64(q.transform)
            back = scale_rows(mantissa, unit, mantissa.out_shape)
            if back is None:  # units of a channel that differ in the last bit
                back = scale_rows(to_sparse(mantissa), unit, mantissa.out_shape)
            assert back is not None, "rows of compressed maps can always be scaled"
            projection = replace(projection, transform=back)
        projections.append(projection)
    return replace(discrete, projections=tuple(projections))


def _decays(network: QuantizedNetwork, p: DiscretePopulation) -> DiscretePopulation:
    if p.role == "source":
        return p
    q = network.population(p.name)
    offset = network.target.machine.current_decay_offset
    return replace(p, mem_decay=1.0 - q.membrane_decay / 4096.0,
                   syn_decay=(1.0 - (q.current_decay + offset) / 4096.0 if p.has_synapse
                              else p.syn_decay))


def _biases(network: QuantizedNetwork, discrete: DiscreteNetwork) -> DiscreteNetwork:
    """Register biases move into ``bias_mem``; those that travel as spikes keep their place."""
    held = {name for names in network.scheduled.register_biases.values() for name in names}
    driven = {drive.target for drive in network.drives}
    populations = []
    for p in discrete.populations:
        if p.role != "source" and p.name not in driven:
            q = network.population(p.name)
            p = replace(p, bias_mem=q.bias / q.scale + (1.0 - p.mem_decay) * q.offset)
        populations.append(p)
    biases = []
    for bias in discrete.biases:
        if bias.name in held and bias.target not in driven:
            continue
        carriers = _carriers(network, bias.name)
        biases.append(_as_spikes(network, bias, carriers[0]) if carriers else bias)
    return replace(discrete, populations=tuple(populations), biases=tuple(biases))


def _as_spikes(network: QuantizedNetwork, bias: DiscreteBias,
               q: QuantizedProjection) -> DiscreteBias:
    unit = _unit(network.population(q.target), q, network)
    weights = q.transform.weight.astype(np.float64).reshape(-1)
    return replace(bias, values=weights * unit)
