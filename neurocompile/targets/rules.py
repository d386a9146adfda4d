"""What values a target may have: ranges, names, and what must hold between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from neurocompile.ir.contract import InputMode
from neurocompile.ir.target import Machine

PHASES = ("reset", "collect", "update", "fire", "reset_after_spike", "route", "probe")
"""The order of a step that all executors run (docs/numerics.md)."""

_NO_LIMIT = (0, 1 << 40)
RANGES: dict[str, tuple[int, int]] = {
    # The executors keep states in 32-bit integers.
    "machine.u_bits": (4, 31), "machine.v_bits": (4, 31),
    "machine.input_shift": (0, 24), "machine.threshold_shift": (0, 24),
    "machine.current_decay_offset": (0, 1),
    "neuron.decay_max": (1, 4096), "neuron.threshold_max": (1, 1 << 47),
    "neuron.bias_mantissa_max": (0, 1 << 47), "neuron.bias_exponent_max": (0, 24),
    "neuron.refractory_max": (0, 1 << 16), "neuron.max_spikes_per_step": (1, 1 << 16),
    "synapse.weight_bits": (1, 16),
    # A negative exponent loses bits after the sum, which no overflow proof covers.
    "synapse.exponent_min": (0, 24), "synapse.exponent_max": (0, 24),
    "synapse.accumulator_max": (1, (1 << 31) - 1), "synapse.delay_max": (0, 1 << 16),
    "synapse.aligned_bits": (0, 16),
    "input.payload_bits": (1, 32),
    "core.neurons": _NO_LIMIT, "core.input_axons": _NO_LIMIT, "core.output_axons": _NO_LIMIT,
    "core.axon_slots_per_connection": (1, 64), "core.synapse_memory_bits": _NO_LIMIT,
    "core.synapse_word_bits": (1, 4096), "core.synapse_overhead_bits": (0, 4096),
    "core.neuron_configurations": _NO_LIMIT, "core.threshold_configurations": _NO_LIMIT,
    "core.fan_out": _NO_LIMIT,
    "chip.cores": (1, 1 << 30), "chip.mesh_width": (1, 1 << 20), "chip.mesh_height": (1, 1 << 20),
    "chip.cores_per_tile": (1, 1 << 20), "chip.chips": (1, 1 << 30),
    "chip.link_messages": _NO_LIMIT,
    "timing.tick_ps": (1, 1 << 40), "timing.lanes": (1, 1 << 16),
    "timing.router_buffer": (1, 1 << 16), "timing.core_buffer": (1, 1 << 16),
    "timing.link_interval_ticks": (1, 1 << 40),
    "timing.chip_link_interval_ticks": (1, 1 << 40),
    "timing.host_x": (0, 1 << 20), "timing.host_y": (0, 1 << 20),
    "timing.barrier_tiles": (1, 1 << 40), "timing.barrier_ticks": (0, 1 << 40),
    "edge_latency": (0, 1 << 16),
    "fpga.luts": (1, 1 << 40), "fpga.brams": _NO_LIMIT, "fpga.bram_bits": (1, 1 << 40),
    "fpga.dsps": _NO_LIMIT, "fpga.spram_bits": _NO_LIMIT,
}
NAMES: dict[str, tuple[str, ...]] = {
    "machine.overflow": ("fold_saturate", "saturate"),
    "neuron.resets": ("zero", "subtract", "subtract_delayed"),
    "neuron.compares": ("gt", "ge"),
    "synapse.encodings": ("dense", "sparse", "conv"),
    "input.modes": get_args(InputMode),
    "chip.router": ("unicast", "multicast"),
    "fpga.family": ("ice40", "ecp5", "gowin", "zynq"),
    "phases": PHASES,
}

Values = dict[str, Any]
Rule = tuple[tuple[str, ...], Callable[[Values], bool], str,
             str | Callable[[Values], str]]


def _u_limit(v: Values) -> int:
    return _machine(v).u_limit


def _v_limit(v: Values) -> int:
    return _machine(v).v_limit


def _machine(v: Values) -> Machine:
    return Machine(v.get("machine.u_bits", 4), v.get("machine.v_bits", 4),
                   v.get("machine.overflow", "saturate"), 0, 0, 0)


def _at_most(large: str) -> Callable[[Values], str]:
    return lambda v: f"{large} = {v[large]}"


# Each row: the keys it relates, what must hold, what to say if not, and the limit to name. The
# first key is the subject. A row is tried only where all its keys have possible values.
CONTRADICTIONS: tuple[Rule, ...] = (
    (("synapse.accumulator_max", "machine.input_shift", "machine.u_bits", "machine.overflow"),
     lambda v: v["synapse.accumulator_max"] << v["machine.input_shift"] <= _u_limit(v),
     "accumulator_max << input_shift does not fit u",
     lambda v: f"{_u_limit(v) >> v['machine.input_shift']} for {v['machine.u_bits']} bits, "
               f"{v['machine.overflow']}"),
    (("neuron.threshold_max", "machine.threshold_shift", "machine.v_bits"),
     lambda v: v["neuron.threshold_max"] << v["machine.threshold_shift"] <= _v_limit(v),
     "threshold_max << threshold_shift does not fit v",
     lambda v: f"{_v_limit(v) >> v['machine.threshold_shift']} for {v['machine.v_bits']} bits"),
    (("neuron.bias_mantissa_max", "neuron.bias_exponent_max", "machine.v_bits"),
     lambda v: v["neuron.bias_mantissa_max"] << v["neuron.bias_exponent_max"] <= _v_limit(v),
     "bias_mantissa_max << bias_exponent_max does not fit v",
     lambda v: f"{_v_limit(v) >> v['neuron.bias_exponent_max']} for {v['machine.v_bits']} bits"),
    (("neuron.decay_max", "machine.current_decay_offset"),
     lambda v: v["neuron.decay_max"] + v["machine.current_decay_offset"] <= 4096,
     "decay_max and current_decay_offset together take more than all of a current",
     lambda v: f"{4096 - v['machine.current_decay_offset']}"),
    (("neuron.max_spikes_per_step", "neuron.resets"),
     lambda v: v["neuron.max_spikes_per_step"] == 1 or "subtract" in v["neuron.resets"],
     "several spikes a step need the reset subtract", "1"),
    (("synapse.exponent_min", "synapse.exponent_max"),
     lambda v: v["synapse.exponent_min"] <= v["synapse.exponent_max"],
     "exponent_min is above exponent_max", _at_most("synapse.exponent_max")),
    (("synapse.encodings",),
     lambda v: bool({"dense", "sparse"} & set(v["synapse.encodings"])),
     "a chip needs dense or sparse synapses for what is not a convolution",
     "dense or sparse"),
    (("input.payload_bits", "input.payload_signed"),
     lambda v: v["input.payload_bits"] > 1 or not v["input.payload_signed"],
     "a signed payload of one bit holds no positive value", "at least 2 if signed"),
    (("input.modes", "input.payload_bits"),
     lambda v: "graded" not in v["input.modes"] or v["input.payload_bits"] > 1,
     "graded inputs need a payload of more than one bit", "payload_bits >= 2"),
    (("core.synapse_memory_bits", "core.synapse_word_bits"),
     lambda v: v["core.synapse_memory_bits"] == 0
     or v["core.synapse_memory_bits"] >= v["core.synapse_word_bits"],
     "the memory is smaller than one of its words",
     lambda v: f"at least {v['core.synapse_word_bits']}, or 0 for no limit"),
    (("chip.cores", "chip.mesh_width", "chip.mesh_height", "chip.cores_per_tile"),
     lambda v: v["chip.cores"] <= _mesh_cores(v),
     "the mesh has no room for the cores",
     lambda v: f"{_mesh_cores(v)} = mesh_width * mesh_height * cores_per_tile"),
    (("timing.host_x", "timing.host_y", "chip.mesh_width", "chip.mesh_height"),
     lambda v: v["timing.host_x"] < v["chip.mesh_width"]
     and v["timing.host_y"] < v["chip.mesh_height"],
     "the host is at a tile the mesh does not have",
     lambda v: f"a mesh of {v['chip.mesh_width']} x {v['chip.mesh_height']} tiles"),
    (("timing.barrier_tiles", "timing.barrier_ticks"),
     lambda v: len(v["timing.barrier_tiles"]) == len(v["timing.barrier_ticks"]),
     "barrier_tiles and barrier_ticks are columns of one table", "as many of each"),
    (("timing.barrier_tiles",),
     lambda v: v["timing.barrier_tiles"][0] == 1
     and list(v["timing.barrier_tiles"]) == sorted(v["timing.barrier_tiles"]),
     "barrier_tiles starts with 1 and rises", "1, then larger numbers"),
    (("edge_latency",), lambda v: v["edge_latency"] == 1,
     "the executors support only one step from neuron to neuron now", "1"),
    (("phases",), lambda v: v["phases"] == PHASES,
     "the executors support only one order of a step now", ", ".join(PHASES)),
)


def _mesh_cores(v: Values) -> int:
    return int(v["chip.mesh_width"] * v["chip.mesh_height"] * v["chip.cores_per_tile"])
