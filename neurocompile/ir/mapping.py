"""``Mapping``: which neurons live on which core."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurocompile.ir.base import FloatArray, IntArray, Node, register
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec


@register
@dataclass(frozen=True, eq=False)
class Slice(Node):
    """Neurons of a population on a core. ``neurons``: sorted flat indices (int64)."""

    population: str
    core: int
    neurons: IntArray


@register
@dataclass(frozen=True, eq=False)
class CoreUse(Node):
    """What a core uses of each limit of ``CoreLimits``, and of synaptic memory in bits."""

    core: int
    neurons: int
    input_axons: int
    output_axons: int
    synapse_memory_bits: int
    neuron_configurations: int
    threshold_configurations: int
    max_fan_out: int


@register
@dataclass(frozen=True, eq=False)
class Placement(Node):
    """Where core i is: tile (``x[i]``, ``y[i]``) of chip ``chip[i]``; shape (n_cores,) each."""

    chip: IntArray
    x: IntArray
    y: IntArray


@register
@dataclass(frozen=True, eq=False)
class Mapping(Node):
    """Each neuron on exactly one core; each core within each limit of the target.

    ``rates``: the mean spikes a step of each neuron, by population, that messages are weighted
    with; 1 for populations it does not name. Cores of a placed mapping are 0 to n_cores - 1.
    ``constraints``: what the user wanted; core i is pinned core ``constraints.pinned[i]``.
    """

    quantized: QuantizedNetwork
    target: TargetSpec
    slices: tuple[Slice, ...]
    use: tuple[CoreUse, ...]
    placement: Placement | None = None
    rates: dict[str, FloatArray] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)

    @property
    def n_cores(self) -> int:
        return len(self.use)
