"""``ScheduledNetwork`` and ``QuantizedNetwork``: the network as the chip will step through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurocompile.ir.base import FloatArray, IntArray, Node, Shape, n_elements, register
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.discrete import DiscreteNetwork, DiscretePopulation, Role
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Linear

BIAS_SOURCE = "<bias>"
"""Name of the neuron that fires at every step, for biases that must enter as spikes."""

Origin = Literal["input", "network", "encoder", "relay", "bias"]


@register
@dataclass(frozen=True, eq=False)
class ScheduledPopulation(Node):
    """A population on the chip. ``latency``: chip step t is step t - latency of the network.

    ``origin`` says whether it is of the network (then ``of`` is its name there), an input, or was
    added by the compiler: an ``encoder`` or ``relay`` of ``of``, or the constant ``bias`` neuron.
    ``dynamics`` are its float constants; a ``to_value`` reset is "zero" around an offset here.
    """

    name: str
    shape: Shape
    role: Role
    origin: Origin
    of: str
    latency: int
    dynamics: DiscretePopulation
    compare: Literal["gt", "ge"]
    reset: Literal["none", "zero", "subtract", "subtract_delayed"]
    max_spikes: int


@register
@dataclass(frozen=True, eq=False)
class ScheduledProjection(Node):
    """A connection on the chip: a spike at chip step t arrives at t + 1 + source_delay[j] +
    target_delay[i]. ``of`` names the projection or bias of the DiscreteNetwork it carries;
    ``source_value`` is what one spike or payload unit of the source stands for. ``late`` counts
    the steps it arrives after the float network's (accepted feedback only)."""

    name: str
    source: str
    target: str
    of: str
    transform: Linear
    source_delay: IntArray
    target_delay: IntArray
    source_value: float
    late: int


@register
@dataclass(frozen=True, eq=False)
class HostDrive(Node):
    """A projection computed by the host, once a sample, into the bias registers of ``target``."""

    input: str
    target: str
    of: str
    transform: Linear


@register
@dataclass(frozen=True, eq=False)
class ScheduledNetwork(Node):
    """Which populations and connections the chip has, and when each is to be compared.

    State is cleared at a population's ``latency``, and before it no spike of it can reach a
    neuron that has started. ``register_biases[p]`` names the biases of p that its bias register
    holds; the others arrive as spikes of the bias neuron. ``bindings`` holds the resolved binding
    of every input.
    """

    discrete: DiscreteNetwork
    target: TargetSpec
    populations: tuple[ScheduledPopulation, ...]
    projections: tuple[ScheduledProjection, ...]
    host_drives: tuple[HostDrive, ...]
    register_biases: dict[str, tuple[str, ...]]
    bindings: dict[str, InputBinding]

    @property
    def latency(self) -> int:
        """Steps a run is longer than its input, so that every population of the network takes
        all its steps: the largest latency of any."""
        return max((p.latency for p in self.populations if p.origin == "network"), default=0)


@register
@dataclass(frozen=True, eq=False)
class FixedPoint(Node):
    """An integer format: ``bits`` wide with sign, value = integer << exponent."""

    bits: int
    signed: bool
    exponent: int

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1


@register
@dataclass(frozen=True, eq=False)
class QuantizedPopulation(Node):
    """Integer neurons. Flat int64 arrays of length n (empty for a source).

    ``current_decay`` is the register du (current keeps 4096 - (du + offset) of 4096 a step),
    ``membrane_decay`` dv. ``scale[i]`` is how many integer units of v make one float unit, after
    ``offset[i]`` (v_reset) is taken off: v_float = v / scale + offset. ``refractory_steps``: steps
    after a spike in which v stays; 0 for populations that do not spike.
    """

    name: str
    shape: Shape
    role: Role
    latency: int
    current_decay: IntArray
    membrane_decay: IntArray
    threshold: IntArray
    bias_mantissa: IntArray
    bias_exponent: IntArray
    initial_v: IntArray
    compare: Literal["gt", "ge"]
    reset: Literal["none", "zero", "subtract", "subtract_delayed"]
    max_spikes: int
    scale: FloatArray
    offset: FloatArray
    refractory_steps: int = 0

    @property
    def n(self) -> int:
        return n_elements(self.shape)

    @property
    def rule(self) -> tuple[str, str, int, int]:
        """What the neurons do at a spike: with their decays, the configuration of a core."""
        return self.reset, self.compare, self.max_spikes, self.refractory_steps

    @property
    def bias(self) -> IntArray:
        """The bias a step adds: mantissa << exponent."""
        return np.left_shift(self.bias_mantissa, self.bias_exponent)


@register
@dataclass(frozen=True, eq=False)
class QuantizedProjection(Node):
    """Integer synapses: ``transform`` holds weight mantissas, value = mantissa << format.exponent.

    ``sign_mode`` as in Lava (1 MIXED, 2 EXCITATORY, 3 INHIBITORY), always explicit. Delays as in
    ``ScheduledProjection``.
    """

    name: str
    source: str
    target: str
    transform: Linear
    format: FixedPoint
    sign_mode: Literal["mixed", "excitatory", "inhibitory"]
    source_delay: IntArray
    target_delay: IntArray


@register
@dataclass(frozen=True, eq=False)
class QuantizedInput(Node):
    """An input on the chip: payload integers in [low, high], value = payload * ``scale``."""

    name: str
    mode: Literal["spikes", "counts", "graded"]
    scale: float
    low: int
    high: int


@register
@dataclass(frozen=True, eq=False)
class QuantizedDrive(Node):
    """Bias registers loaded a sample: bias = clip(round(scale * (transform(x)) + offset)).

    ``transform`` is float and stays on the host. The result is rounded to ``mantissa <<
    exponent`` of the target; ``low`` and ``high`` bound the input for the overflow proof.
    """

    input: str
    target: str
    transform: Linear
    gain: FloatArray
    constant: FloatArray
    low: float
    high: float
    mantissa_max: int
    exponent_max: int


@register
@dataclass(frozen=True, eq=False)
class Bounds(Node):
    """Proved ranges of a population's neurons (int64, length n each) under the declared inputs:
    summed input a, current u, and membrane v before reset. ``v_saturates`` counts neurons whose
    membrane can reach the saturation limit (downwards: inhibition without a leak)."""

    population: str
    a_low: IntArray
    a_high: IntArray
    u_low: IntArray
    u_high: IntArray
    v_low: IntArray
    v_high: IntArray
    v_saturates: int
    proved: bool


@register
@dataclass(frozen=True, eq=False)
class QuantizationError(Node):
    """How far a population or projection is from its float origin (relative RMS unless said)."""

    subject: str
    quantity: Literal["weight", "membrane_decay", "current_decay", "bias", "threshold"]
    relative_rms: float
    worst: float


@register
@dataclass(frozen=True, eq=False)
class QuantizedNetwork(Node):
    """Integers only: the numeric contract all executors share.

    ``max_steps``: the longest run (input steps) its bounds hold for, None where they always do.

    Invariants, checked by ``neurocompile.ir.check.check_quantized``: every value fits its declared
    format and the target's; the legality gate passed.
    """

    scheduled: ScheduledNetwork
    populations: tuple[QuantizedPopulation, ...]
    projections: tuple[QuantizedProjection, ...]
    inputs: tuple[QuantizedInput, ...]
    drives: tuple[QuantizedDrive, ...]
    bounds: tuple[Bounds, ...]
    errors: tuple[QuantizationError, ...]
    max_steps: int | None = None

    @property
    def target(self) -> TargetSpec:
        return self.scheduled.target

    @property
    def latency(self) -> int:
        return self.scheduled.latency

    def population(self, name: str) -> QuantizedPopulation:
        return next(p for p in self.populations if p.name == name)
