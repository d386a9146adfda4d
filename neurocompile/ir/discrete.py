"""``DiscreteNetwork``: the network in steps, still in float64. The float reference runs it.

A step of population p, for its summed input a (of all projections, and the biases that are on):

    u = syn_decay * u + gain_syn * a          (u = gain_syn * a without a synaptic filter)
    v = mem_decay * v + gain_mem * u + bias_mem
    s = v > threshold  (or >=)                and the reset of the contract

In the ``refractory_steps`` steps after a spike v stays and s is 0; u goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neurocompile.ir.base import FloatArray, IntArray, Node, Shape, n_elements, register
from neurocompile.ir.contract import Contract
from neurocompile.ir.network import Network, Port
from neurocompile.ir.transforms import Linear

ResetRule = Literal["none", "value", "subtract", "subtract_delayed"]
"""After a spike: nothing, v = reset_value, v -= threshold, or the last at the next update."""

Role = Literal["source", "spiking", "analog"]
"""``source``: given from outside. ``spiking``: sends spikes. ``analog``: sends its membrane."""


@register
@dataclass(frozen=True, eq=False)
class DiscretePopulation(Node):
    """Per-neuron arrays are flat, float64, of length n. A source has none of them (empty).

    ``reset`` and ``max_spikes`` follow the contract, except for neurons without memory, which
    have nothing to subtract from. ``floor`` is empty where nothing limits the membrane downwards.
    ``refractory_steps``: steps after a spike in which the membrane stays; of spiking ones only.
    """

    name: str
    shape: Shape
    role: Role
    has_synapse: bool
    syn_decay: FloatArray
    gain_syn: FloatArray
    mem_decay: FloatArray
    gain_mem: FloatArray
    bias_mem: FloatArray
    threshold: FloatArray
    reset_value: FloatArray
    initial_v: FloatArray
    reset: ResetRule = "none"
    max_spikes: int = 1
    floor: FloatArray = field(default_factory=lambda: np.zeros(0))
    refractory_steps: int = 0

    @property
    def n(self) -> int:
        return n_elements(self.shape)


@register
@dataclass(frozen=True, eq=False)
class DiscreteProjection(Node):
    """A linear map with logical delays: source element j reaches target element i after
    ``source_delay[j] + target_delay[i]`` steps (0: within the same step).

    Both have the flat length of their population, or length 1 where all are equal.
    """

    name: str
    source: str
    target: str
    transform: Linear
    source_delay: IntArray
    target_delay: IntArray
    recurrent: bool

    @property
    def min_delay(self) -> int:
        return int(self.source_delay.min() + self.target_delay.min())


@register
@dataclass(frozen=True, eq=False)
class DiscreteBias(Node):
    """``values[i]`` is added to the input of target element i from step ``onset[i]`` on."""

    name: str
    target: str
    values: FloatArray
    onset: IntArray


@register
@dataclass(frozen=True, eq=False)
class DelayError(Node):
    """What rounding the delays of a projection to whole steps did. Seconds; n is the number of
    delays that were not already whole."""

    projection: str
    n_delays: int
    n_rounded: int
    max_error_s: float
    rms_error_s: float
    n_collisions: int


@register
@dataclass(frozen=True, eq=False)
class DiscreteNetwork(Node):
    """Whole steps and decays under one contract. No loop has a total delay of zero."""

    network: Network
    contract: Contract
    populations: tuple[DiscretePopulation, ...]
    projections: tuple[DiscreteProjection, ...]
    biases: tuple[DiscreteBias, ...]
    delay_errors: tuple[DelayError, ...]

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.network.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        return self.network.outputs

    @property
    def dt_s(self) -> float:
        assert self.contract.dt_s is not None
        return self.contract.dt_s

    def population(self, name: str) -> DiscretePopulation:
        return next(p for p in self.populations if p.name == name)
