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
from neurocompile.images import Columns, CoreContents, read_core, read_host
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.program import COMPARES, KINDS, RESETS, SIGNS, HostTable, Program
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Dense, synapses_of
from neurocompile.passes.footprint import (
    axons_per_source,
    encoding_of,
    index_bits,
    max_delay,
    stored_weight_bits,
)


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses of one projection on one core, by source and target element of its populations;
    of each: weight mantissa with sign, and delay in steps beyond the one of every edge. Those that
    are stored and 0 are among them. ``widths``: bits of weight, delay and index, as far as the
    encoding has them."""

    projection: str
    core: int
    source_population: str
    target_population: str
    encoding: str
    sign: str
    exponent: int
    widths: tuple[int, ...]
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
            self._send(core.outputs, population[of], core.neurons["element"][of])
        for table in program.host:
            records = read_host(program, table)
            of = np.repeat(np.arange(len(table.first) - 1), np.diff(table.first))
            self._send(records, np.full(len(of), self.names.index(table.population)), of)
        _must(all(np.all(sender >= 0) for sender in self.sender), "input axons without a sender")
        for table in program.host:
            if table.parallel > 1:
                self._check_turns(table)

    def _send(self, outputs: Columns, population: Ints, element: Ints) -> None:
        order = np.argsort(outputs["core"], kind="stable")
        counts = np.bincount(outputs["core"], minlength=len(self.cores)).tolist()
        end = 0
        for core, count in enumerate(counts):
            begin, end = end, end + count
            part = order[begin:end]
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

    def use(self) -> tuple[CoreUse, ...]:
        """What each core uses, counted from its images. Fan-out counts what is stored: zeros too
        that fill the rows of a sparse structure on a target with dense synapses alone."""
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

    def _check_turns(self, table: HostTable) -> None:
        """Each of the parallel parts of an element's axons reaches the same synapses."""
        records = read_host(self.program, table)
        place = np.zeros((3, len(records["core"])), np.int64)  # core, format, first of its synapses
        for index, core in enumerate(self.cores):
            there = records["core"] == index
            axon = records["axon"][there]
            place[0, there] = index
            place[1:, there] = core.inputs["format"][axon], self.lead(index)[axon]
        for first, stop in zip(table.first[:-1].tolist(), table.first[1:].tolist(), strict=True):
            turns = place[:, first:stop].reshape(3, table.parallel, -1)
            _must(bool(np.all(turns == turns[:, :1])), "parallel axons to different synapses")

    def lead(self, index: int) -> Ints:
        """For each input axon of a core the first of those that share its synapses."""
        core = self.cores[index]
        lead = np.zeros(len(core.inputs["format"]), np.int64)
        for f in range(len(core.formats["section"])):
            lead[core.axons(f)] = core.shared(f)[1]
        return lead

    def connections(self) -> Iterator[Connection]:
        """Every synapse that is stored, a core and format at a time."""
        for index, core in enumerate(self.cores):
            for f in range(len(core.formats["section"])):
                s = core.unfolded(f)
                axons, lead = core.axons(f), core.shared(f)[1]
                population, element = self.sender[index]
                _must(bool(np.all(population[axons] == population[lead]))
                      and bool(np.all(element[axons] == element[lead])),
                      "axons of different senders with the same synapses")
                _must(len(np.unique(element[np.unique(lead)])) == len(np.unique(lead)),
                      "two axons of one sender with synapses of one format")
                senders = np.unique(population[axons])
                _must(len(senders) == 1, "a format whose axons are of several populations")
                row = {name: int(column[f]) for name, column in core.formats.items()}
                if core.encoding(f) == "conv":
                    _must(bool(np.all(core.inputs["address"][axons] == element[axons])),
                          "an axon of another element than its sender")
                widths = [row[f"{name}_bits"] for name in ("weight", "delay", "index")]
                source, target = element[s.axon], core.neurons["element"][s.neuron]
                order = np.lexsort((target, source))
                yield Connection(
                    self.program.symbols.projections[row["projection"]], index,
                    self.names[int(senders[0])],
                    self.names[int(core.sections["population"][row["section"]])],
                    core.encoding(f), SIGNS[row["sign"]], row["exponent"],
                    tuple(widths[:1] if core.encoding(f) == "conv" else widths),
                    *(column[order] for column in (source, target, s.weight, s.delay)))


def mapping_of(program: Program, quantized: QuantizedNetwork) -> Mapping:
    """The mapping that a program carries out, read back from its images. ``quantized``: the
    network it says it is of. Mean rates are no part of a program. Raises ``ValueError``."""
    _must(program.network == quantized.digest(), "the program is of another network")
    read = Reread(program)
    return Mapping(quantized, program.target, read.slices(), read.use(), program.placement)


def check_program(program: Program, mapping: Mapping) -> list[Diagnostic]:
    """Everything in which a program differs from its mapping: E550 to E553. Empty if nothing."""
    found = Diagnostics()
    try:
        read = Reread(program)
        _check_names(read, mapping)
        _check_places(read, mapping, found)
        _check_neurons(read, mapping, found)
        _check_synapses(read, mapping, found)
    except ValueError as error:
        found.add("E550", "program", "its images cannot be read", got=str(error))
    return list(found)


def _check_names(read: Reread, mapping: Mapping) -> None:
    """What a program says of itself beside its images."""
    program, network = read.program, mapping.quantized
    told = {
        "target": (program.target.digest(), mapping.target.digest()),
        "network": (program.network, network.digest()),
        "latency": (program.latency, network.latency),
        "proved": (program.proved, all(b.proved for b in network.bounds)),
        "populations": (program.symbols.populations, tuple(p.name for p in network.populations)),
        "sizes": (program.symbols.sizes, tuple(p.n for p in network.populations)),
        "projections": (program.symbols.projections, tuple(q.name for q in network.projections)),
        "inputs": (tuple((t.population, t.parallel) for t in program.host),
                   tuple((p.name, axons_per_source(p.name, network))
                         for p in network.populations if p.role == "source"))}
    for what, (got, limit) in told.items():
        _must(got == limit, f"{what}: {got!s:.60}, not {limit!s:.60}")
    _must(len(program.cores) == len(mapping.use),
          f"it has {len(program.cores)} cores, not {len(mapping.use)}")


def _check_places(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    theirs = {(s.core, s.population): s.neurons for s in read.slices()}
    ours = {(s.core, s.population): s.neurons for s in mapping.slices}
    _must(len(theirs) == len(read.slices()), "a population twice on one core")
    for core, name in sorted(theirs.keys() | ours.keys()):
        a, b = theirs.get((core, name)), ours.get((core, name))
        if a is None or b is None or not np.array_equal(a, b):
            found.add("E551", f"core {core}", f"it does not hold the neurons of {name} that the "
                      "mapping puts there")
    theirs_at, places = read.program.placement, mapping.placement
    if places is None or not all(np.array_equal(getattr(theirs_at, c), getattr(places, c))
                                 for c in ("chip", "x", "y")):
        found.add("E551", "program", "its cores are not where the mapping places them")
    filled = any(encoding_of(q.transform, mapping.target) == "dense"
                 and not isinstance(q.transform, Dense) for q in mapping.quantized.projections)
    for uses, counted in zip(read.use(), mapping.use, strict=True):
        wrong = [n for n in vars(uses) if getattr(uses, n) != getattr(counted, n)
                 and not (filled and n == "max_fan_out")]
        if wrong:
            found.add("E551", f"core {counted.core}", f"{wrong[0]} is not what the mapping counts",
                      got=getattr(uses, wrong[0]), limit=getattr(counted, wrong[0]))


def _check_neurons(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    """Every register of every neuron."""
    for core in read.cores:
        for population, first, count, kind, start in zip(*(core.sections[c].tolist() for c in (
                "population", "first", "count", "kind", "start")), strict=True):
            p = mapping.quantized.population(read.names[population])
            if p.role == "source":  # has no registers, and its neurons were missed elsewhere: E551
                continue
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
                    found.add("E552", f"core {core.core}", f"{name} of {p.name} differs",
                              got=f"in {np.count_nonzero(values != got[name])} neurons")


def _registers(p: QuantizedPopulation, neurons: Ints) -> dict[str, Ints]:
    each: dict[str, Ints] = {name: getattr(p, name)[neurons] for name in (
        "bias_mantissa", "bias_exponent", "initial_v", "current_decay", "membrane_decay",
        "threshold")}
    same = {"reset": RESETS.index(p.reset), "compare": COMPARES.index(p.compare),
            "max_spikes": p.max_spikes, "refractory_steps": p.refractory_steps,
            "kind": KINDS.index(p.role), "start": p.latency}
    return each | {name: np.full(len(neurons), value) for name, value in same.items()}


def _check_synapses(read: Reread, mapping: Mapping, found: Diagnostics) -> None:
    """Every synapse of every core, against the network's own weights and delays."""
    seen: dict[tuple[str, int], Connection] = {}
    for c in read.connections():
        _must((c.projection, c.core) not in seen, f"{c.projection} twice on one core")
        seen[c.projection, c.core] = c
    for q in mapping.quantized.projections:
        for index, core in enumerate(read.cores):
            names = [read.names[i] for i in core.sections["population"].tolist()]
            if q.target not in names:
                continue
            section = names.index(q.target)
            first = int(core.sections["first"][section])
            neurons = core.neurons["element"][first:first + int(core.sections["count"][section])]
            got = seen.pop((q.name, index), None)
            encoding = None if got is None else got.encoding
            wanted = _wanted(q, neurons, encoding == "dense")
            wrong = len(wanted[0]) > 0
            if got is not None:
                told = (got.source_population, got.target_population, got.sign, got.exponent,
                        got.encoding, got.widths)
                columns = got.source, got.target, got.weight, got.delay
                wrong = told != _stored(q, len(neurons), mapping.target) or not all(
                    np.array_equal(a, b) for a, b in zip(columns, wanted, strict=True))
            if wrong:
                found.add("E553", f"core {core.core}", f"synapses of {q.name} differ")
    for name, index in seen:
        found.add("E553", f"core {read.cores[index].core}",
                  f"it has synapses of {name} for nobody here")


def _stored(q: QuantizedProjection, neurons: int, target: TargetSpec) -> tuple[object, ...]:
    """Populations at both ends, sign, exponent, encoding and widths of a projection's synapses on
    a core with so many neurons of its target."""
    encoding = encoding_of(q.transform, target)
    index = index_bits(neurons) if encoding == "sparse" else 0
    widths = stored_weight_bits(q, target), max_delay(q).bit_length(), index
    return (q.source, q.target, q.sign_mode, q.format.exponent, encoding,
            widths[:1] if encoding == "conv" else widths)


def _wanted(q: QuantizedProjection, neurons: Ints, rows: bool,
            ) -> tuple[Ints, Ints, Ints, Ints]:
    """Source, target, weight and delay of each synapse that is to be stored. ``rows``: each source
    has one for every neuron, some of them perhaps 0."""
    source, which, weight = synapses_of(q.transform, neurons)
    if rows and not isinstance(q.transform, Dense):
        distinct, row = np.unique(source, return_inverse=True)
        full = np.zeros((len(distinct), len(neurons)), np.int64)
        full[row.reshape(-1), which] = weight
        source, which = (part.reshape(-1) for part in np.broadcast_arrays(
            distinct[:, None], np.arange(len(neurons))[None, :]))
        weight = full.reshape(-1)
    target = neurons[which]
    n_source = int(np.prod(q.transform.in_shape))
    n_target = int(np.prod(q.transform.out_shape))
    delay = (np.broadcast_to(q.source_delay, (n_source,))[source]
             + np.broadcast_to(q.target_delay, (n_target,))[target])
    order = np.lexsort((target, source))
    return source[order], target[order], weight[order], delay[order].astype(np.int64)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
