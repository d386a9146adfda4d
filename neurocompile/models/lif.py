"""Leaky integrate-and-fire (NIR LIF) and the leaky integrator without spikes (NIR LI).

    tau dv/dt = (v_leak - v) + r I          spike where v > v_threshold, then v := v_reset

One step with decay b (euler: b = 1 - dt/tau; exact: b = exp(-dt/tau)), input held over the step:

    v = b v + (1 - b) (v_leak + r I)
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


@register
@dataclass(frozen=True, eq=False)
class LIF(Node):
    """Arrays of the population's shape; seconds, and the file's units of voltage."""

    tau_s: FloatArray
    r: FloatArray
    v_leak: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        decay = decay_per_step(self.tau_s, name, choices)
        threshold, reset = spike_constants(name, self.v_threshold, self.v_reset, choices)
        return Dynamics(
            role="spiking", mem_decay=decay, gain_mem=membrane_gain(name, decay, self.r, choices),
            bias_mem=(1.0 - decay) * self.v_leak, threshold=threshold, reset_value=reset,
            initial_v=initial_membrane(name, self.v_reset, self.v_leak, choices))


@register
@dataclass(frozen=True, eq=False)
class LI(Node):
    """Arrays of the population's shape; seconds, and the file's units of voltage."""

    tau_s: FloatArray
    r: FloatArray
    v_leak: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        decay = decay_per_step(self.tau_s, name, choices)
        return Dynamics(
            role="analog", mem_decay=decay, gain_mem=membrane_gain(name, decay, self.r, choices),
            bias_mem=(1.0 - decay) * self.v_leak,
            initial_v=initial_membrane(name, np.zeros_like(self.v_leak), self.v_leak, choices))


def membrane_gain(name: str, decay: FloatArray, r: FloatArray, choices: Choices) -> FloatArray:
    """What one unit of current adds to the membrane in a step."""
    if choices.need("input_gain", name, "it has r and a time constant") == "unit":
        return np.ones(decay.shape)
    return (1.0 - decay) * r
