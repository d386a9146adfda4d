"""``TargetSpec``: a chip as data. Read from TOML by ``neurocompile.targets``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurocompile.ir.base import Node, register


@register
@dataclass(frozen=True, eq=False)
class Machine(Node):
    """The integer arithmetic of one neuron step (docs/numerics.md).

    u_bits, v_bits
        Two's complement widths of current and membrane, sign included.
    overflow
        ``fold_saturate``: u folds once at 2**(u_bits - 1), v saturates (Loihi).
        ``saturate``: both saturate.
    input_shift, threshold_shift
        The summed input enters as ``a << input_shift``; a stored threshold means
        ``threshold << threshold_shift``.
    current_decay_offset
        1 where the current always leaks 1/4096 more than its register says (Loihi).
    """

    u_bits: int
    v_bits: int
    overflow: Literal["fold_saturate", "saturate"]
    input_shift: int
    threshold_shift: int
    current_decay_offset: int

    @property
    def u_fold_bits(self) -> int:
        """Loihi's u folds where the 24-bit value would leave its range."""
        return self.u_bits - 1

    @property
    def u_limit(self) -> int:
        """The largest |u| that no overflow rule touches."""
        if self.overflow == "fold_saturate":
            return (1 << (self.u_fold_bits - 1)) - 1
        return (1 << (self.u_bits - 1)) - 1

    @property
    def v_limit(self) -> int:
        """The largest |v|; beyond it v saturates."""
        return (1 << (self.v_bits - 1)) - 1


@register
@dataclass(frozen=True, eq=False)
class NeuronLimits(Node):
    """Registers of a neuron. ``decay_max`` in 1/4096; bias = mantissa << exponent."""

    decay_max: int
    threshold_max: int
    bias_mantissa_max: int
    bias_exponent_max: int
    refractory_max: int
    resets: tuple[str, ...]
    compares: tuple[str, ...]
    max_spikes_per_step: int
    initial_v: bool
    graded_output: bool


@register
@dataclass(frozen=True, eq=False)
class SynapseLimits(Node):
    """Weights are mantissa << exponent. ``accumulator_max`` bounds |sum of weights << exponent|
    in a step, before ``input_shift``. ``delay_max`` counts steps beyond the one of every edge.
    ``aligned_bits``: mantissas narrower than this are stored left-aligned in it, so that their
    low bits are zero and the exponent counts from there (8 on Loihi; 0: not aligned)."""

    weight_bits: tuple[int, ...]
    exponent_min: int
    exponent_max: int
    accumulator_max: int
    delay_max: int
    aligned_bits: int
    encodings: tuple[str, ...]


@register
@dataclass(frozen=True, eq=False)
class InputLimits(Node):
    """What the chip takes from outside; payloads are integers of ``payload_bits``, sign included
    if ``payload_signed``."""

    modes: tuple[str, ...]
    payload_bits: int
    payload_signed: bool


@register
@dataclass(frozen=True, eq=False)
class CoreLimits(Node):
    """What one core holds. 0 means: no such limit on this chip."""

    neurons: int
    input_axons: int
    output_axons: int
    axon_slots_per_connection: int
    synapse_memory_bits: int
    synapse_word_bits: int
    synapse_overhead_bits: int
    neuron_configurations: int
    threshold_configurations: int
    fan_out: int


@register
@dataclass(frozen=True, eq=False)
class ChipLayout(Node):
    """Cores on a mesh of tiles, and how many such chips a system may have.

    ``router``: whether a spike travels once to each core it is for (``unicast``) or once along the
    tree of their routes, copied where these part (``multicast``).

    ``link_messages``: messages a step that may go from a chip to the next, and as many back; 0: no
    such limit.
    """

    cores: int
    mesh_width: int
    mesh_height: int
    cores_per_tile: int
    chips: int
    router: Literal["unicast", "multicast"] = "unicast"
    link_messages: int = 0


@register
@dataclass(frozen=True, eq=False)
class Timing(Node):
    """What the cycle-accurate simulator needs beside ``costs`` (docs/timing.md).

    tick_ps
        One tick in ps; the time of every event is a whole number of ticks.
    lanes
        Synapses a core reads at once: n of them take ceil(n / lanes) times the event's time.
    router_buffer, core_buffer
        Flits that wait at each input of a router, and at the entrance of a core.
    link_interval_ticks, chip_link_interval_ticks
        Ticks from one flit to the next over a link inside a chip and between two chips. How long
        a flit is on its way is the time of its hop.
    host_x, host_y
        The tile of each chip where spikes of inputs enter.
    barrier_tiles, barrier_ticks
        A step ends with ``barrier_ticks[i]`` ticks, i the last with ``barrier_tiles[i]`` at most
        the number of tiles in use.
    """

    tick_ps: int
    lanes: int
    router_buffer: int
    core_buffer: int
    link_interval_ticks: int
    chip_link_interval_ticks: int
    host_x: int
    host_y: int
    barrier_tiles: tuple[int, ...]
    barrier_ticks: tuple[int, ...]


EVENTS = ("hop_east_west", "hop_north_south", "hop_chip", "axon_in", "axon_out", "synapse_dense",
          "synapse_sparse", "synapse_conv", "neuron_access", "neuron_update", "neuron_spike",
          "host_message")
"""What a target states the energy and time of (docs/timing.md)."""


@register
@dataclass(frozen=True, eq=False)
class Fpga(Node):
    """The device that the cores are built in (docs/rtl.md).

    family
        What synthesis and place and route are called for.
    device, package
        As the tools of the family name them.
    luts, brams, dsps
        Logic cells of a 4-input LUT and a flip-flop; block RAMs of ``bram_bits``; multipliers.
    spram_bits
        RAM that a bitstream cannot fill, in all.
    patchable
        The logic is made for any weights of the network's shape, not for those it has: widths are
        the machine's, and constants of neurons lie in memory.
    """

    family: Literal["ice40", "ecp5", "gowin", "zynq"]
    device: str
    package: str
    luts: int
    brams: int
    bram_bits: int
    dsps: int
    spram_bits: int
    patchable: bool


@register
@dataclass(frozen=True, eq=False)
class Citation(Node):
    """Where a number of the target file comes from. ``assumed`` marks those without a source."""

    key: str
    source: str
    assumed: bool


@register
@dataclass(frozen=True, eq=False)
class TargetSpec(Node):
    """A chip. ``phases`` is the published order of a step; ``edge_latency`` the steps a spike
    takes from neuron to neuron; ``costs`` maps each of ``EVENTS`` to (energy in pJ, time in ns);
    ``fpga`` is the device where the cores are logic."""

    name: str
    revision: str
    description: str
    machine: Machine
    neuron: NeuronLimits
    synapse: SynapseLimits
    input: InputLimits
    core: CoreLimits
    chip: ChipLayout
    timing: Timing
    phases: tuple[str, ...]
    edge_latency: int
    costs: dict[str, tuple[float, float]]
    citations: tuple[Citation, ...]
    fpga: Fpga | None = None
