"""Integrate-and-fire (NIR IF) and the integrator without spikes (NIR I).

    dv/dt = r I                              spike where v > v_threshold, then v := v_reset

Every importer adds r I a step, without dt (a unit impulse a spike); the equation itself says
r dt I. The contract's ``if_gain`` chooses, and ``if_floor`` whether the membrane stops at
-v_threshold, as sinabs has it: v := max(v, -v_threshold) after the input is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir.base import FloatArray, Node, register
from neurocompile.models.dynamics import Choices, Dynamics, initial_membrane, spike_constants


@register
@dataclass(frozen=True, eq=False)
class IF(Node):
    """Arrays of the population's shape."""

    r: FloatArray
    v_threshold: FloatArray
    v_reset: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        threshold, reset = spike_constants(name, self.v_threshold, self.v_reset, choices)
        ones = np.ones(self.r.shape)
        stops = choices.need("if_floor", name, "inhibition drives it down without a leak")
        return Dynamics(
            role="spiking", mem_decay=ones, gain_mem=_gain(name, self.r, choices),
            floor=-self.v_threshold if stops == "minus_threshold" else None,
            bias_mem=np.zeros(ones.shape), threshold=threshold, reset_value=reset,
            initial_v=initial_membrane(name, self.v_reset, np.zeros_like(self.v_reset), choices))


@register
@dataclass(frozen=True, eq=False)
class Integrator(Node):
    """NIR's ``I``. Array of the population's shape."""

    r: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        ones = np.ones(self.r.shape)
        return Dynamics(role="analog", mem_decay=ones, gain_mem=_gain(name, self.r, choices),
                        bias_mem=np.zeros(ones.shape), initial_v=np.zeros(ones.shape))


def _gain(name: str, r: FloatArray, choices: Choices) -> FloatArray:
    gain = np.asarray(r, np.float64)
    if choices.need("if_gain", name, "it integrates without a time constant") == "r_dt":
        return gain * choices.dt_s()
    return gain
