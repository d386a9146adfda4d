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
MAX_SYNAPSES = 1 << 26
"""Synapses of a projection that are written out: 400 MB in network.npz, some GB in Lava."""


def check(network: QuantizedNetwork) -> list[Diagnostic]:
    """E810 to E814, and W816 for what only Lava's simulation has. Empty if Lava can run it."""
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
    return list(found)


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
                             | (p.membrane_decay < 0) | (p.membrane_decay > 4096))),
        "threshold": bool(np.any((p.threshold < 0) | (p.threshold > 131071))),
    }
    if any(wrong.values()):
        found.add("E811", p.name, "Lava's LIF does not have this",
                  got=", ".join(name for name, is_wrong in wrong.items() if is_wrong),
                  limit="spikes above a threshold, reset to 0, starts at 0, bias of 16 bits << 0 "
                        "to 7, decays of 12 bits, thresholds of 17 bits",
                  hint="compile for loihi1 or loihi2, or run it in the simulator")
    if p.role == "analog" and (bounds is None or np.any(
            bounds.v_high > p.threshold << network.target.machine.threshold_shift)):
        found.add("E814", p.name, "its membrane is read, but could reach the largest threshold "
                  "and be reset", got="no bound" if bounds is None else int(bounds.v_high.max()),
                  limit=int((p.threshold << 6).min(initial=131071 << 6)),
                  hint="state the longest run with --max-steps, and do not accept bounds")
    if p.role != "source" and is_per_neuron(p):
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
