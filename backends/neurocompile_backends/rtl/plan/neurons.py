"""What the neurons of a core need: widths of their states and sums, and their records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Ints
from neurocompile.images import CoreContents
from neurocompile.ir.program import COMPARES, KINDS, RESETS, Program
from neurocompile.ir.quantized import Bounds, QuantizedNetwork, QuantizedPopulation
from neurocompile_backends.rtl.plan.design import Image, Unsupported, signed_bits
from neurocompile_backends.rtl.plan.placement import Placement
from neurocompile_backends.rtl.plan.widths import membrane_bits, patchable

EARLY = ("KEEP_U", "KEEP_V", "INITIAL", "START")
"""Parameters of a neuron that ``nc_neurons`` needs first."""

KEEP_BITS = 13
"""Of what a decay keeps, in 1/4096: 0 to 4096."""

MOST_SUM = 32
"""Bits of a sum in ``nc_neurons``."""


@dataclass(frozen=True, eq=False)
class NeuronPlan:
    """The neurons of a core in registers of the hardware, by local neuron, and the largest that
    these may become where weights can be exchanged.

    populations
        Of each section.
    bias, threshold, keep_u
        Shifted as the hardware adds and compares them; what the synaptic current keeps, in 1/4096.
    biased
        Does any network of this shape have biases here?
    most_bias, most_threshold
        Of both signs; what the host loads is in it.
    loaded
        Does the host load biases?
    """

    program: Program
    c: CoreContents
    populations: tuple[QuantizedPopulation, ...]
    bounds: tuple[Bounds | None, ...]
    bias: Ints
    threshold: Ints
    keep_u: Ints
    biased: bool
    most_bias: int
    most_threshold: int
    loaded: bool

    @property
    def delayed(self) -> bool:
        """Is something subtracted a step later?"""
        return any(p.reset == "subtract_delayed" for p in self.populations)


def plan_neurons(program: Program, network: QuantizedNetwork, c: CoreContents) -> NeuronPlan:
    machine, limit = program.target.machine, program.target.neuron
    populations = tuple(network.population(program.symbols.populations[int(p)])
                        for p in c.sections["population"])
    names = {p.name for p in populations}
    bounds = {b.population: b for b in network.bounds}
    loaded = [d for d in network.drives if d.target in names]
    bias = np.left_shift(c.neurons["bias_mantissa"], c.neurons["bias_exponent"])
    biased = bool(np.any(bias)) or any(network.scheduled.register_biases.get(n) for n in names)
    threshold = np.left_shift(c.thresholds["threshold"][c.neurons["threshold"]],
                              machine.threshold_shift)
    most_bias, most_threshold = int(np.abs(bias).max(initial=0)), int(threshold.max(initial=0))
    if patchable(program):
        most_threshold = limit.threshold_max << machine.threshold_shift
        if biased:
            most_bias = limit.bias_mantissa_max << limit.bias_exponent_max
    most_loaded = max((d.mantissa_max << d.exponent_max for d in loaded), default=0)
    keep_u = 4096 - machine.current_decay_offset - (
        c.configurations["current_decay"][c.neurons["configuration"]])
    return NeuronPlan(program, c, populations, tuple(bounds.get(p.name) for p in populations),
                      bias, threshold, keep_u, biased, most_bias + most_loaded, most_threshold,
                      bool(loaded))


@dataclass(frozen=True)
class States:
    """Bits of sums of synapses (``acc``), synaptic currents and membranes; where the latter two
    saturate (0: proved never to)."""

    acc: int
    u: int
    u_limit: int
    v: int
    v_limit: int


def states_of(plan: NeuronPlan, base: int) -> States:
    """``base``: the exponent that all synapses share."""
    acc, u, u_limit = _currents(plan, base)
    v, v_limit = _membranes(plan)
    return States(max(acc, 2), u, u_limit, v, v_limit)


def _membranes(plan: NeuronPlan) -> tuple[int, int]:
    machine, initial = plan.program.target.machine, plan.c.neurons["initial_v"]
    each = [membrane_bits(plan.program, b, p.name)
            for b, p in zip(plan.bounds, plan.populations, strict=True)]
    saturates = plan.delayed or any(limit for _, limit in each)
    bits = machine.v_bits if saturates else max(bits for bits, _ in each)
    least = signed_bits(int(initial.min(initial=0)), int(initial.max(initial=0)))
    return max(bits, least), machine.v_limit if saturates else 0


def _currents(plan: NeuronPlan, base: int) -> tuple[int, int, int]:
    machine = plan.program.target.machine
    # What no proof narrows is as wide as quantization may make it.
    widest = plan.program.target.synapse.accumulator_max
    acc = signed_bits(-widest, widest) - base
    proved = [b for b in plan.bounds if b is not None and b.proved]
    if len(proved) < len(plan.bounds):
        return acc, machine.u_bits, machine.u_limit
    highest = max(signed_bits(int(b.u_low.min(initial=0)), int(b.u_high.max(initial=0)))
                  for b in proved)
    u_limit = 0 if highest <= machine.u_bits else machine.u_limit
    if patchable(plan.program):
        return acc, machine.u_bits, u_limit
    low = min(int(b.a_low.min(initial=0)) for b in proved)
    high = max(int(b.a_high.max(initial=0)) for b in proved)
    return (signed_bits(-(-low >> base), high >> base), min(highest, machine.u_bits), u_limit)


def neuron_parameters(plan: NeuronPlan, base: int, sent: int, index: int) -> dict[str, int]:
    """Parameters of ``nc_neurons``. ``sent``: bits of the payload that its spikes carry. Raises
    ``Unsupported`` where sums of core ``index`` are wider than the hardware has."""
    states = states_of(plan, base)
    shift = plan.program.target.machine.input_shift + base
    count = max((p.max_spikes for p in plan.populations if p.role != "analog"),
                default=1).bit_length()
    most = ((1 << (states.u - 1)) + (1 << (states.acc - 1 + shift)),
            (1 << (states.v - 1)) + (1 << (states.u - 1)) + plan.most_bias, plan.most_threshold)
    total = max(signed_bits(-m, m) for m in most) + (count if plan.delayed else 0)
    if total > MOST_SUM:
        raise Unsupported(f"core {index}", "its sums are wider than this hardware has",
                          got=f"{total} bits", limit=f"{MOST_SUM} bits")
    return {
        "ACC": states.acc, "SHIFT": shift, "U": states.u, "V": states.v,
        "SUM": max(total, states.u + 1, states.v + 1, sent, count + 1),
        "U_LIMIT": states.u_limit, "V_LIMIT": states.v_limit,
        "FILTER": int(np.any(plan.keep_u > 0)), "DELAYED": int(plan.delayed),
        "REFRACTORY": max(p.refractory_steps for p in plan.populations).bit_length(),
        "COUNT": count, "SENT": sent,
        "LOADED": signed_bits(-plan.most_bias, plan.most_bias) if plan.loaded else 0}


def neuron_records(plan: NeuronPlan, placement: Placement, p: dict[str, int],
                   images: dict[str, Image]) -> None:
    """Adds to a core's parameters ``p`` and its ``images`` what its neurons have: a value that
    all share is a parameter, others are fields of a record."""
    n = placement.slots
    values = _values(plan)
    early: list[tuple[Ints, int]] = []
    late: list[tuple[Ints, int]] = []
    if plan.c.n_neurons < n:
        valid = np.zeros(n, np.int64)
        valid[placement.slot] = 1
        late.append((valid, 1))
        p["VALID_BITS"], p["VALID_AT"] = 1, 0
    if plan.loaded:
        biases = np.zeros(n, np.int64)
        biases[placement.slot] = values.pop("BIAS")
        images["BIASES"] = Image(n, ((biases, p["LOADED"]),))
    fields = _open_fields(plan, p) if patchable(plan.program) else {}
    for name, column in values.items():
        column = np.asarray(column, np.int64)
        low, high = int(column.min()), int(column.max())
        if low == high and name not in fields:
            p[name] = low & 0xFFFFFFFF
            continue
        signed = name in ("BIAS", "INITIAL")
        width = fields.get(name) or (signed_bits(low, high) if signed else high.bit_length())
        whole = np.full(n, column[0])
        whole[placement.slot] = column
        part = early if name in EARLY else late
        p[name + "_BITS"], p[name + "_AT"] = width, sum(bits for _, bits in part)
        part.append((whole, width))
    for name, part in (("NEURON", early), ("LATE", late)):
        p[name + "_RECORD"] = max(1, sum(bits for _, bits in part))
        if part:
            images[name + "_RECORDS"] = Image(n, tuple(part))


def _values(plan: NeuronPlan) -> dict[str, Ints]:
    """By local neuron, under the names of ``nc_neurons``."""
    c = plan.c
    section = np.repeat(np.arange(len(c.sections["count"])), c.sections["count"])
    shared = {name: column[c.neurons["configuration"]]
              for name, column in c.configurations.items()}
    assert RESETS == ("none", "zero", "subtract", "subtract_delayed")  # as nc_neurons has it
    assert COMPARES == ("gt", "ge")
    analog = c.sections["kind"][section] == KINDS.index("analog")
    return {
        "KEEP_U": plan.keep_u, "KEEP_V": 4096 - shared["membrane_decay"],
        "THRESHOLD": plan.threshold, "BIAS": plan.bias,
        "INITIAL": c.neurons["initial_v"], "RESET": shared["reset"],
        "GE": shared["compare"], "MOST": np.where(analog, 1, shared["max_spikes"]),
        "ANALOG": analog.astype(np.int64), "START": c.sections["start"][section],
        "PERIOD": np.where(analog, 0, shared["refractory_steps"])}


def _open_fields(plan: NeuronPlan, p: dict[str, int]) -> dict[str, int]:
    """Bits of what depends on a network's training: fields, even where all neurons share it.
    Resets, comparisons and starts do not."""
    fields = {"KEEP_V": KEEP_BITS, "THRESHOLD": plan.most_threshold.bit_length()}
    if p["FILTER"]:
        fields["KEEP_U"] = KEEP_BITS
    if plan.biased:
        fields["BIAS"] = signed_bits(-plan.most_bias, plan.most_bias)
    if np.any(plan.c.neurons["initial_v"]):
        fields["INITIAL"] = p["V"]
    return fields
