"""What of a QuantizedNetwork Lava cannot say. Everything at once, before anything is written."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.ir.quantized import (
    Bounds,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
)
from neurocompile_backends.lava.plan import (
    ALIGNED_BITS,
    delays,
    fits_conv,
    is_per_neuron,
    weight_shift,
)

DELAY_MAX = 63
MACHINE = {"u_bits": 25, "v_bits": 24, "overflow": "fold_saturate", "input_shift": 6,
           "threshold_shift": 6, "current_decay_offset": 1, "edge_latency": 1}
"""The step of Lava's fixed_pt LIF (docs/lava.md)."""
SHIFTED_MAX = (1 << 31) - 1
MAX_SYNAPSES = 1 << 26
"""Synapses of a projection that are written out: 400 MB in network.npz, some GB in Lava."""


def check(network: QuantizedNetwork) -> list[Diagnostic]:
    """E810 to E814 and E817; W816 for what only Lava's simulation has, W818 for outputs that the
    program does not write. Empty if Lava has all of it."""
    found = Diagnostics()
    target = network.target
    steps = {**asdict(target.machine), "edge_latency": target.edge_latency}
    other = {name: value for name, value in steps.items() if MACHINE[name] != value}
    if other:
        found.add("E810", target.name, "its neurons do not step as Lava's fixed_pt LIF does",
                  got=", ".join(f"{name} {value}" for name, value in other.items()),
                  limit=", ".join(f"{name} {MACHINE[name]}" for name in other),
                  hint="compile for loihi1 or loihi2")
    bounds = {b.population: b for b in network.bounds}
    for p in network.populations:
        if p.role != "source":
            _neurons(p, bounds.get(p.name), network, found)
    if all(p.role == "source" for p in network.populations):
        found.add("E811", "network", "it has no neurons on the chip: there is nothing to run")
    for q in network.projections:
        _connection(q, found)
    _ends(network, found)
    return list(found)


def _ends(network: QuantizedNetwork, found: Diagnostics) -> None:
    """Inputs, outputs and what the host loads."""
    populations = {p.name: p for p in network.populations}
    for i in network.inputs:
        if i.low < -1 << 31 or i.high >= 1 << 31:
            found.add("E817", i.name, "its payloads do not fit a message of Lava",
                      got=f"{i.low} to {i.high}", limit="32 bits with sign",
                      hint="fewer levels: a larger scale")
    for d in network.drives:
        registers = d.mantissa_max > 4095 or d.exponent_max > 7
        if registers or np.any(populations[d.target].bias):
            found.add("E811", d.target, "the host loads bias registers that Lava's LIF does not "
                      "have, or that hold a bias already",
                      got=f"mantissas to {d.mantissa_max} << {d.exponent_max}",
                      limit="4095 << 7, and no bias of its own",
                      hint="compile for loihi1 or loihi2")
    for port in network.scheduled.discrete.outputs:
        if port.population not in populations or populations[port.population].role == "source":
            found.add("W818", port.name, "this output is an input: the program does not write it",
                      got=port.population)


def _neurons(p: QuantizedPopulation, bounds: Bounds | None, network: QuantizedNetwork,
             found: Diagnostics) -> None:
    wrong = {
        "compare": p.role == "spiking" and p.compare != "gt",
        "reset": p.role == "spiking" and p.reset != "zero",
        "max_spikes": p.max_spikes != 1,
        "initial_v": bool(np.any(p.initial_v)),
        "bias exponent": bool(np.any((p.bias_exponent < 0) | (p.bias_exponent > 7))),
        "bias mantissa": bool(np.any(np.abs(p.bias_mantissa) > np.iinfo(np.int16).max)),
        "decay": bool(np.any((p.current_decay < 0) | (p.current_decay > 4095)
                             | (p.membrane_decay < 0) | (p.membrane_decay > 4095))),
        "threshold": bool(np.any((p.threshold < 0) | (p.threshold > 131071))),
    }
    if any(wrong.values()):
        found.add("E811", p.name, "Lava's LIF does not have this",
                  got=", ".join(name for name, is_wrong in wrong.items() if is_wrong),
                  limit="spikes above a threshold, reset to 0, starts at 0, bias of 16 bits << 0 "
                        "to 7, decays of 12 bits, thresholds of 17 bits",
                  hint="compile for loihi1 or loihi2, or run it in the simulator")
    if p.refractory_steps:
        found.add("E811", p.name, "Lava has no integer model of a refractory period: its "
                  "LIFRefractory is of floating point alone",
                  got=f"refractory_steps = {p.refractory_steps}", limit=0,
                  hint="run it in the simulator, or compile it for the backend chip or rtl")
    if p.role == "analog" and (bounds is None or np.any(
            bounds.v_high > p.threshold << network.target.machine.threshold_shift)):
        found.add("E814", p.name, "its membrane is read, but could reach the largest threshold "
                  "and be reset", got="no bound" if bounds is None else int(bounds.v_high.max()),
                  limit=int((p.threshold << 6).min(initial=131071 << 6)),
                  hint="state the longest run with --max-steps, and do not accept bounds")
    reach = 0 if bounds is None else max(int(-bounds.a_low.min(initial=0)),
                                         int(bounds.a_high.max(initial=0)))
    if reach << 6 > SHIFTED_MAX:
        found.add("E817", p.name, "Lava shifts sums by 6 in 32 bits, where this one could wrap",
                  got=reach, limit=SHIFTED_MAX >> 6, hint="smaller weights or payloads")
    if is_per_neuron(p):
        found.add("W816", p.name, "its neurons differ in decay or threshold, which Lava's LIF does "
                  "not have: the program has a process of its own for it, which runs in Lava's "
                  "simulation and not on a chip")


def _connection(q: QuantizedProjection, found: Diagnostics) -> None:
    shift = weight_shift(q)
    if q.format.bits > ALIGNED_BITS or q.format.exponent < shift:
        found.add("E812", q.name, "Lava does not have weights of this format",
                  got=f"{q.format.bits} bits << {q.format.exponent}",
                  limit=f"{ALIGNED_BITS} bits << {max(0, shift)} or more",
                  hint="compile for loihi1 or loihi2")
    if q.transform.n_synapses > MAX_SYNAPSES and not fits_conv(q):
        found.add("E812", q.name, "Lava would hold each synapse by itself",
                  got=f"{q.transform.n_synapses} synapses", limit=MAX_SYNAPSES,
                  hint="run it in the simulator, which keeps the kernel")
    if delays(q)[1] > DELAY_MAX:
        found.add("E813", q.name, "a delay is longer than Lava's connections hold",
                  got=f"{delays(q)[1]} steps", limit=f"{DELAY_MAX} steps",
                  hint="compile for loihi1 or loihi2, which relay longer ones")
