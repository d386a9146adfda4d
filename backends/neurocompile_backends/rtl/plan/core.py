"""A core of hardware: its parameters, and what each of its memories holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Ints
from neurocompile.images import CoreContents
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile_backends.rtl.plan.design import CorePlan, Image, Unsupported, bits_for
from neurocompile_backends.rtl.plan.neurons import neuron_parameters, neuron_records, plan_neurons
from neurocompile_backends.rtl.plan.placement import Placement, place_neurons
from neurocompile_backends.rtl.plan.synapses import axon_records, plan_synapses, synaptic_memory
from neurocompile_backends.rtl.plan.widths import Payloads

MOST_ACCUMULATORS = 1 << 23
"""Of a lane, delays and rows: what a constant of a format (``synapses.FORMAT_FIELD``) can step
over in both directions."""


@dataclass(frozen=True)
class Shared:
    """What all cores of a chip agree on: widths of a place and an axon in a flit, of its payload,
    of the step's number; depth of FIFOs. ``outputs``: populations that send to the host, and the
    number of their first neuron there."""

    place_bits: int
    axon_bits: int
    carried: int
    step_bits: int
    log2_fifo: int
    payloads: Payloads
    outputs: dict[str, int]


def plan_core(program: Program, network: QuantizedNetwork, c: CoreContents, index: int,
              lanes: int, shared: Shared) -> CorePlan:
    """``lanes``: neurons that a spike reaches at once. Raises ``Unsupported``."""
    placement = place_neurons(c, lanes)
    synapses = plan_synapses(program, c, placement)
    ring = synapses.ring
    if ring.size > MOST_ACCUMULATORS:
        raise Unsupported(f"core {index}", "it has more accumulators than this hardware numbers",
                          got=f"{ring.slots:,} delays of {ring.rows:,} rows",
                          limit=f"{MOST_ACCUMULATORS:,}", hint="more lanes, or shorter delays")
    neurons = plan_neurons(program, network, c)
    sent = max(shared.payloads.population[p.name] for p in neurons.populations)
    axons = len(c.inputs["format"])
    parameters = {
        "LANES": lanes, "LANE": bits_for(lanes), "ROWS": placement.rows, "SLOTS": ring.slots,
        "INDEX": bits_for(placement.slots), "ADDR": bits_for(ring.size),
        "AXON": bits_for(axons), "AXONS": max(1, axons),
        "PAYLOAD": shared.payloads.core[index], "LOG2_FIFO": shared.log2_fifo,
        "CARRIED": shared.carried, "STEP": shared.step_bits,
        **neuron_parameters(neurons, synapses.base, sent, index)}
    images: dict[str, Image] = {}
    axon_records(synapses, parameters, images)
    synaptic_memory(synapses, network, index, parameters, images)
    neuron_records(neurons, placement, parameters, images)
    out = _out_axons(program, c, placement, shared)
    _out_records(out, placement, shared, parameters, images)
    return CorePlan(index, parameters, images, placement.slot, synapses.walk(), out.first,
                    out.place, out.axon)


@dataclass(frozen=True, eq=False)
class _Out:
    """Output axons by hardware neuron, as ``CorePlan`` has them."""

    first: Ints
    place: Ints
    axon: Ints


def _out_axons(program: Program, c: CoreContents, placement: Placement, shared: Shared) -> _Out:
    """Those of the program, and one to the host of each neuron that it wants."""
    host = np.full(c.n_neurons, -1, np.int64)
    for s in range(len(c.sections["count"])):
        name = program.symbols.populations[int(c.sections["population"][s])]
        if name in shared.outputs:
            first = int(c.sections["first"][s])
            span = slice(first, first + int(c.sections["count"][s]))
            host[span] = shared.outputs[name] + c.neurons["element"][span]
    begin, count = c.neurons["output"], c.neurons["outputs"]
    place: list[Ints] = [np.zeros(0, np.int64)]
    axon: list[Ints] = [np.zeros(0, np.int64)]
    counts = np.zeros(placement.slots, np.int64)
    for neuron in np.argsort(placement.slot).tolist():
        mine = slice(int(begin[neuron]), int(begin[neuron] + count[neuron]))
        place.append(c.outputs["core"][mine])
        axon.append(c.outputs["axon"][mine])
        to_host = host[neuron] >= 0
        if to_host:
            place.append(np.array([len(program.cores)], np.int64))
            axon.append(host[neuron:neuron + 1])
        counts[placement.slot[neuron]] = count[neuron] + to_host
    return _Out(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                np.concatenate(place), np.concatenate(axon))


def _out_records(out: _Out, placement: Placement, shared: Shared, p: dict[str, int],
                 images: dict[str, Image]) -> None:
    counts = np.diff(out.first)
    total = max(1, len(out.place))
    p["OUTS"], p["OUT"] = total, bits_for(total)
    p["FAN"] = max(1, int(counts.max(initial=0)).bit_length())
    p["FLIT"] = shared.place_bits + shared.axon_bits
    images["OUT_FIRSTS"] = Image(placement.slots, (
        (np.minimum(out.first[:-1], total - 1), p["OUT"]), (counts, p["FAN"])))
    none = np.zeros(1, np.int64)
    images["OUT_AXONS"] = Image(total, (
        (out.axon if len(out.axon) else none, shared.axon_bits),
        (out.place if len(out.place) else none, shared.place_bits)))
