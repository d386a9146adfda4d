"""Reads a program back and compares it with the mapping it is to carry out.

Only the images are read: which neuron sends to which synapse is found by following output axons to
input axons and these into synaptic memory, as the chip does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Ints
from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.images import Columns, CoreContents, read_core, unpack
from neurocompile.ir.mapping import CoreUse, Mapping, Placement, Slice
from neurocompile.ir.program import COMPARES, KINDS, RESETS, SIGNS, Program
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.transforms import synapses_of


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses of one projection on one core, by source and target element of its populations;
    of each: weight mantissa with sign, and delay in steps beyond the one of every edge."""

    projection: str
    core: int
    exponent: int
    source: Ints
    target: Ints
    weight: Ints
    delay: Ints


class Reread:
    """A program, read from its images. Raises ``ValueError`` for what no assembler wrote."""

    def __init__(self, program: Program):
        self.program = program
        self.cores = [read_core(program, i) for i in range(len(program.cores))]
        self.names = program.symbols.populations
        self.sender = [np.full((2, len(core.inputs["format"])), -1, np.int64)
                       for core in self.cores]
        for core in self.cores:
            population = np.repeat(core.sections["population"], core.sections["count"])
            of = np.repeat(np.arange(core.n_neurons), core.neurons["outputs"])
            _must(len(of) == len(core.outputs["core"]), "output axons that no neuron has")
            self._send(core.outputs, population[of], core.neurons["element"][of])
        for table in program.host:
            number = self.names.index(table.population)
            _must(len(table.first) == program.symbols.sizes[number] + 1, "host axons of no element")
            records = unpack(program.layout("outputs"), table.outputs)
            of = np.repeat(np.arange(len(table.first) - 1), np.diff(table.first))
            _must(len(of) == len(records["core"]), "host axons of no element")
            self._send(records, np.full(len(of), number), of)
        _must(all(np.all(sender >= 0) for sender in self.sender), "input axons without a sender")

    def _send(self, outputs: Columns, population: Ints, element: Ints) -> None:
        order = np.argsort(outputs["core"], kind="stable")
        ends = np.cumsum(np.bincount(outputs["core"], minlength=len(self.cores)))
        for core, part in enumerate(np.split(order, ends[:-1])):
            axon, sender = outputs["axon"][part], self.sender[core]
            _must(not len(axon) or int(axon.max()) < sender.shape[1], "an axon that is not there")
            _must(bool(np.all(sender[0, axon] < 0)) and len(np.unique(axon)) == len(axon),
                  "an input axon with two senders")
            sender[0, axon], sender[1, axon] = population[part], element[part]

    def slices(self) -> tuple[Slice, ...]:
        """Which neurons are on which core."""
        return tuple(
            Slice(self.names[population], core.core, core.neurons["element"][first:first + count])
            for core in self.cores
            for population, first, count in zip(*(core.sections[name].tolist() for name in (
                "population", "first", "count")), strict=True))

    def placement(self) -> Placement:
        p = self.program
        return Placement(p.chip, p.x, p.y)

    def use(self) -> tuple[CoreUse, ...]:
        """What each core uses, counted from its images."""
        slots = self.program.target.core.axon_slots_per_connection
        return tuple(CoreUse(
            core.core, core.n_neurons, len(core.inputs["format"]),
            len(core.outputs["core"]) * slots, len(core.memory),
            len(core.configurations["reset"]), len(core.thresholds["threshold"]),
            int(self._fan_out(core).max(initial=0))) for core in self.cores)

    def _fan_out(self, core: CoreContents) -> Ints:
        synapses = np.zeros(len(core.outputs["core"]), np.int64)
        for c in np.unique(core.outputs["core"]).tolist():
            there = core.outputs["core"] == c
            synapses[there] = self.cores[c].inputs["synapses"][core.outputs["axon"][there]]
        of = np.repeat(np.arange(core.n_neurons), core.neurons["outputs"])
        return np.bincount(of, synapses, core.n_neurons).astype(np.int64)

    def connections(self) -> Iterator[Connection]:
        """Every synapse that is not 0, a core and format at a time."""
        for index, core in enumerate(self.cores):
            for f in range(len(core.formats["section"])):
                s = core.unfolded(f)
                sender = self.sender[index][:, s.axon]
                # Parallel axons of one sender share their synapses: one of them stands for all.
                copies = self.sender[index][:, core.axons(f)]
                first = np.unique(copies[1], return_index=True)[1]
                keep = np.isin(s.axon, core.axons(f)[first]) & (s.weight != 0)
                target = core.neurons["element"][s.neuron]
                order = np.lexsort((target[keep], sender[1][keep]))
                yield Connection(
                    self.program.symbols.projections[int(core.formats["projection"][f])], index,
                    int(core.formats["exponent"][f]), *(column[keep][order] for column in (
                        sender[1], target, s.weight, s.delay)))


def mapping_of(program: Program, quantized: QuantizedNetwork) -> Mapping:
    """The mapping that a program carries out, read back from its images. ``quantized``: the
    network it says it is of. Mean rates are no part of a program. Raises ``ValueError``."""
    _must(program.network == quantized.digest(), "the program is of another network")
    read = Reread(program)
    return Mapping(quantized, program.target, read.slices(), read.use(), read.placement())


def check_program(program: Program, mapping: Mapping) -> list[Diagnostic]:
    """Everything in which a program differs from its mapping: E550 to E553. Empty if nothing."""
    found = Diagnostics()
    try:
        read = Reread(program)
        _check_places(read, mapping, found)
        _check_neurons(read, mapping, found)
        _check_synapses(read, mapping, found)
    except ValueError as error:
        found.add("E550", "program", "its images cannot be read", got=str(error))
    return list(found)


def _check_places(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    theirs = {(s.core, s.population): s.neurons for s in read.slices()}
    ours = {(s.core, s.population): s.neurons for s in mapping.slices}
    for core, name in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get((core, name)), ours.get((core, name))
        if a is None or b is None or not np.array_equal(a, b):
            found.add("E551", f"core {core}", f"it does not hold the neurons of {name} that the "
                      "mapping puts there")
    places = mapping.placement
    if places is None or not all(np.array_equal(getattr(read.placement(), c), getattr(places, c))
                                 for c in ("chip", "x", "y")):
        found.add("E551", "program", "its cores are not where the mapping places them")
    for uses, counted in zip(read.use(), mapping.use, strict=False):
        wrong = [n for n in vars(uses) if getattr(uses, n) != getattr(counted, n)]
        if wrong:
            found.add("E551", f"core {counted.core}", f"{wrong[0]} is not what the mapping counts",
                      got=getattr(uses, wrong[0]), limit=getattr(counted, wrong[0]))


def _check_neurons(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    """Every register of every neuron."""
    for core in read.cores:
        for population, first, count, kind, start in zip(*(core.sections[c].tolist() for c in (
                "population", "first", "count", "kind", "start")), strict=True):
            p = mapping.quantized.population(read.names[population])
            part = slice(first, first + count)
            wanted = _registers(p, core.neurons["element"][part])
            got = {name: core.neurons[name][part] for name in (
                "bias_mantissa", "bias_exponent", "initial_v")}
            shared = core.neurons["configuration"][part]
            got |= {name: column[shared] for name, column in core.configurations.items()}
            got["threshold"] = core.thresholds["threshold"][core.neurons["threshold"][part]]
            got["kind"], got["start"] = np.full(count, kind), np.full(count, start)
            for name, values in wanted.items():
                if not np.array_equal(values, got[name]):
                    found.add("E552", f"core {core.core}", f"{name} of {p.name} differs", got=int(
                        np.count_nonzero(values != got[name])), limit="0 neurons")


def _registers(p: QuantizedPopulation, neurons: Ints) -> dict[str, Ints]:
    each: dict[str, Ints] = {name: getattr(p, name)[neurons] for name in (
        "bias_mantissa", "bias_exponent", "initial_v", "current_decay", "membrane_decay",
        "threshold")}
    same = {"reset": RESETS.index(p.reset), "compare": COMPARES.index(p.compare),
            "max_spikes": p.max_spikes, "kind": KINDS.index(p.role), "start": p.latency}
    return each | {name: np.full(len(neurons), value) for name, value in same.items()}


def _check_synapses(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    """Every synapse of every core, against the network's own weights and delays."""
    seen: dict[tuple[str, int], Connection] = {(c.projection, c.core): c
                                               for c in read.connections()}
    for q in mapping.quantized.projections:
        for index, core in enumerate(read.cores):
            names = [read.names[i] for i in core.sections["population"].tolist()]
            if q.target not in names:
                continue
            section = names.index(q.target)
            first = int(core.sections["first"][section])
            neurons = core.neurons["element"][first:first + int(core.sections["count"][section])]
            wanted = _wanted(q, neurons)
            got = seen.pop((q.name, index), None)
            columns = ("source", "target", "weight", "delay")
            wrong = got is None and len(wanted[0]) > 0
            if got is not None:
                wrong = got.exponent != q.format.exponent or any(
                    not np.array_equal(getattr(got, c), w)
                    for c, w in zip(columns, wanted, strict=True))
                sign = {SIGNS[int(s)] for s in core.formats["sign"][
                    core.formats["projection"] == mapping.quantized.projections.index(q)]}
                wrong |= sign != {q.sign_mode}
            if wrong:
                found.add("E553", f"core {core.core}", f"synapses of {q.name} differ")
    for name, index in seen:
        found.add("E553", f"core {index}", f"it has synapses of {name} for nobody here")


def _wanted(q: QuantizedProjection, neurons: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    source, which, weight = synapses_of(q.transform, neurons)
    keep = weight != 0
    source, target, weight = source[keep], neurons[which[keep]], weight[keep]
    n_source = int(np.prod(q.transform.in_shape))
    n_target = int(np.prod(q.transform.out_shape))
    delay = (np.broadcast_to(q.source_delay, (n_source,))[source]
             + np.broadcast_to(q.target_delay, (n_target,))[target])
    order = np.lexsort((target, source))
    return source[order], target[order], weight[order], delay[order].astype(np.int64)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
