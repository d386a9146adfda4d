"""The discretization contract: everything a trained network leaves open about time.

NIR describes neurons by differential equations. How they became steps during training differs
from tool to tool (docs/contract.md lists what each does), and accuracy is lost where it is
guessed. Each field is one such choice. ``None`` means "not stated": allowed as long as it does
not matter for the network at hand, an error that names the options where it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from neurocompile.ir.base import Node, register

InputMode = Literal["spikes", "counts", "graded", "bias", "encoder"]


@register
@dataclass(frozen=True, eq=False)
class InputBinding(Node):
    """How an input reaches the chip.

    mode
        ``spikes``: binary events. ``counts``: n spikes in a step over n parallel axons that share
        one synapse list, at most ``maximum``. ``graded``: one event with an integer payload,
        value = payload * ``scale``. ``bias``: values constant over a sample, the first layer's
        sum is computed by the host and loaded into its bias registers. ``encoder``: a population
        made by the compiler turns values constant over a sample into spike rates; the value
        ``scale`` fires every step.
    scale
        The value of one payload unit (``graded``) or of the full rate (``encoder``).
    maximum, minimum
        The range of values the network will be given, in the input's own unit. Overflow is
        proved for this range, and data outside it are refused.
    """

    mode: InputMode
    scale: float | None = None
    maximum: float | None = None
    minimum: float | None = None


@register
@dataclass(frozen=True, eq=False)
class PopulationChoices(Node):
    """What is stated of a population that spikes, where NIR has no parameter for it.

    refractory_steps
        Steps after a spike in which the membrane stays as the reset left it and no spike is sent;
        the current goes on. None: nothing is stated, which is 0.
    """

    refractory_steps: int | None = None


@register
@dataclass(frozen=True, eq=False)
class Contract(Node):
    """A discretization contract. ``dt_s`` is always needed; the rest where it matters."""

    dt_s: float | None = None
    """Seconds a step."""
    integrator: Literal["euler", "exact"] | None = None
    """Decay a step, with k = dt / tau: ``euler`` 1 - k, ``exact`` exp(-k)."""
    input_gain: Literal["nir", "unit"] | None = None
    """``nir``: input enters with (1 - decay) * r (and (1 - decay) * w_in for currents), as NIR's
    equations say. ``unit``: it is added as it is, r and w_in ignored (sinabs, Rockpool)."""
    if_gain: Literal["r", "r_dt"] | None = None
    """IF and I: input enters with ``r`` a step (every importer) or with ``r_dt`` = r * dt."""
    if_floor: Literal["none", "minus_threshold"] | None = None
    """IF: how far inhibition drives the membrane down; sinabs stops it at -threshold."""
    compare: Literal["gt", "ge"] | None = None
    """Spike where v > threshold or v >= threshold."""
    reset: Literal["zero", "to_value", "subtract", "subtract_delayed"] | None = None
    """After a spike: v = 0, v = v_reset, v -= threshold, or the last at the next step's update
    (snnTorch's default)."""
    max_spikes_per_step: int | None = None
    """1, or how many spikes a neuron may send in a step (floor(v / threshold), subtract only)."""
    current_order: Literal["current_first", "membrane_first"] | None = None
    """CubaLIF and CubaLI: does the membrane see this step's current or the previous one's."""
    synapse_input: Literal["after_decay", "before_decay"] | None = None
    """CubaLIF and CubaLI: is input added to the current after or before its decay of the step."""
    recurrent_bias_at_start: bool | None = None
    """Does the bias of an Affine that only recurrent connections feed act at the first step."""
    recurrent_delay: Literal["added", "included"] | None = None
    """A Delay node on a recurrent connection: on top of the one step, or in place of it."""
    layer_latency: Literal[0, 1] | None = None
    """Steps each connection takes in the float network (0 in most tools, 1 in Lava)."""
    initial_v: Literal["zero", "v_reset", "v_leak"] | None = None
    """The membrane before the first step."""
    delay_unit: Literal["s", "ms", "steps"] | None = None
    """The unit of NIR's Delay."""
    feedback: Literal["exact", "late"] | None = None
    """A loop over several populations that a chip's step per connection makes longer than the
    float network: ``exact`` refuses it, ``late`` accepts the extra steps and reports them."""
    integer_scale: int | None = None
    """How many units of the chip's membrane one float unit is, for networks trained in integers.
    Where it is stated, no weight, decay, bias or threshold may be rounded: compiling is exact or
    refused. Where it is not, each population's scale is searched."""
    inputs: dict[str, InputBinding] = field(default_factory=dict)
    """How each input reaches the chip; key ``*`` holds for every input not named."""
    populations: dict[str, PopulationChoices] = field(default_factory=dict)
    """What is stated of single populations; key ``*`` holds for every one that spikes and is not
    named."""

    def binding(self, name: str) -> InputBinding | None:
        return self.inputs.get(name, self.inputs.get("*"))

    def refractory_steps(self, name: str) -> int:
        """Refractory period of a population that spikes, in steps."""
        stated = self.populations.get(name, self.populations.get("*"))
        return 0 if stated is None else stated.refractory_steps or 0
