"""Current-based LIF and LI (NIR CubaLIF, CubaLI): a synaptic current before the membrane.

    tau_syn dI/dt = -I + w_in S         tau_mem dv/dt = (v_leak - v) + r I

One step with decays a (current) and b (membrane), current before membrane, input after decay:

    I = a I + (1 - a) w_in S            v = b v + (1 - b) (v_leak + r I)

``synapse_input = "before_decay"`` scales S by a; ``current_order = "membrane_first"`` lets the
membrane see the previous step's current, which the discretize pass expresses as one more step
on every connection into the population.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir.base import FloatArray, Node, register
from neurocompile.models.dynamics import (
    Choices,
    Dynamics,
    decay_per_step,
    initial_membrane,
    spike_constants,
)
from neurocompile.models.lif import membrane_gain


@register
@dataclass(frozen=True, eq=False)
class CubaLIF(Node):
    """Arrays of the population's shape; seconds, and the file's units of voltage."""

    tau_mem_s: FloatArray
    tau_syn_s: FloatArray
    r: FloatArray
    v_leak: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray
    w_in: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        syn, gain_syn, mem = _filters(name, self.tau_syn_s, self.tau_mem_s, self.w_in, choices)
        threshold, reset = spike_constants(name, self.v_threshold, self.v_reset, choices)
        return Dynamics(
            role="spiking", syn_decay=syn, gain_syn=gain_syn, mem_decay=mem,
            gain_mem=membrane_gain(name, mem, self.r, choices),
            bias_mem=(1.0 - mem) * self.v_leak, threshold=threshold, reset_value=reset,
            initial_v=initial_membrane(name, self.v_reset, self.v_leak, choices))


@register
@dataclass(frozen=True, eq=False)
class CubaLI(Node):
    """Arrays of the population's shape; seconds, and the file's units of voltage."""

    tau_mem_s: FloatArray
    tau_syn_s: FloatArray
    r: FloatArray
    v_leak: FloatArray
    w_in: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        syn, gain_syn, mem = _filters(name, self.tau_syn_s, self.tau_mem_s, self.w_in, choices)
        return Dynamics(
            role="analog", syn_decay=syn, gain_syn=gain_syn, mem_decay=mem,
            gain_mem=membrane_gain(name, mem, self.r, choices),
            bias_mem=(1.0 - mem) * self.v_leak,
            initial_v=initial_membrane(name, np.zeros_like(self.v_leak), self.v_leak, choices))


def _filters(name: str, tau_syn_s: FloatArray, tau_mem_s: FloatArray, w_in: FloatArray,
             choices: Choices) -> tuple[FloatArray, FloatArray, FloatArray]:
    syn = decay_per_step(tau_syn_s, name, choices)
    mem = decay_per_step(tau_mem_s, name, choices)
    choices.need("current_order", name, "it has a synaptic current")
    unit = choices.need("input_gain", name, "it has w_in and a time constant") == "unit"
    gain = np.ones(syn.shape) if unit else (1.0 - syn) * w_in
    if choices.need("synapse_input", name, "it has a synaptic current") == "before_decay":
        gain = gain * syn
    return syn, gain, mem
