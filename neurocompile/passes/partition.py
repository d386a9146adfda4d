"""``partition``: neurons onto cores, in sequential blocks as large as every limit allows.

The first candidate of :mod:`neurocompile.passes.portfolio`, and what all others are measured by.

Each population is cut into ranges of its flat order. How many output axons a neuron needs depends
on how many blocks its targets are cut into, so populations are cut from the last to the first,
and again where a later cut made them send to more blocks than their core has output axons for.
The last block of a population joins a core that has room for it. Nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.base import IntArray
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import CoreLimits
from neurocompile.passes.constrain import check_wanted
from neurocompile.passes.cores import (
    ChipNetwork,
    ChipPopulation,
    Core,
    demand,
    largest,
    may_share,
    note_destinations,
    part_of,
)
from neurocompile.passes.footprint import Block, Counts, max_delay
from neurocompile.passes.least import LeastMemory, least_cores, most_together, targets_of
from neurocompile.verification.mesh import working_cores

MAX_ROUNDS = 64
"""Cuts of a recurrent network before giving up; two or three are usual."""


@dataclass(frozen=True)
class Partition:
    """Cut populations into blocks and give each block a core.

    neurons_per_core
        At most so many neurons a core, below the target's own limit; replaces that of
        ``constraints``.
    constraints
        What the user wants of the mapping.
    """

    neurons_per_core: int | None = None
    constraints: Constraints = field(default_factory=Constraints)

    def run(self, quantized: QuantizedNetwork) -> Mapping:
        """A mapping within every limit of the target and every constraint.

        Raises :class:`CompileError` with E520 to E527 and E544 to E547: everything no partition
        could satisfy, at once; or that more cores are needed than the target has.
        """
        network = check_possible(quantized, wanted_of(self.constraints, self.neurons_per_core))
        _cut_all(network)
        cores = _fill_cores(network)
        found = Diagnostics()
        if len(cores) > working_cores(quantized.target.chip, network.wanted):
            _too_many(network, str(len(cores)), found)
        _check_pinned(network, cores, found)
        found.raise_if_errors()
        return replace(_mapping(quantized, cores), constraints=network.wanted)


def wanted_of(constraints: Constraints, neurons_per_core: int | None) -> Constraints:
    """The constraints with ``neurons_per_core``, if there is one."""
    if neurons_per_core is None:
        return constraints
    return replace(constraints, neurons_per_core=neurons_per_core)


def check_possible(quantized: QuantizedNetwork, wanted: Constraints) -> ChipNetwork:
    """The network to be cut, if some partition may exist.

    Raises :class:`CompileError` with everything that no partition could satisfy, at once: E520 to
    E526, E544 to E547.
    """
    if wanted.neurons_per_core is not None and wanted.neurons_per_core < 1:
        raise fail("E526", "--neurons-per-core", "a core holds at least one neuron",
                   got=wanted.neurons_per_core, limit="1")
    network = ChipNetwork(quantized, wanted)
    found = Diagnostics()
    _check_delays(quantized, found)
    for population in network.populations.values():
        _check_alone(population, network, found)
    lower_bound = core_lower_bound(quantized)
    if lower_bound > working_cores(quantized.target.chip, wanted):
        _too_many(network, f"at least {lower_bound}", found)
    check_wanted(quantized, wanted, found)
    found.extend(network.found)
    found.raise_if_errors()
    return network


def core_lower_bound(quantized: QuantizedNetwork) -> int:
    """No partition uses fewer cores: the largest ceil(total / limit) over all limits of a core.

    Of what depends on the partition, totals have the least that any needs: a neuron sends to as
    many cores as its targets fill (``neurocompile.passes.least``), and memory is what so few cores
    could do with.
    """
    network = ChipNetwork(quantized)
    core, populations = quantized.target.core, network.populations.values()
    together = {p.name: most_together(p, quantized.target.core) for p in populations}
    input_axons = output_axons = 0
    for print_ in network.footprints:
        source = quantized.population(print_.projection.source)
        targets = targets_of(print_, source.n)
        input_axons += int(np.count_nonzero(targets)) * print_.axons_per_source
        if source.role != "source":
            cores = least_cores(targets, together[print_.projection.target])
            output_axons += int(cores.sum()) * network.slots
    totals = (
        (sum(p.n for p in populations), core.neurons),
        (input_axons, core.input_axons), (output_axons, core.output_axons),
        (_n_distinct([p.configurations for p in populations]), core.neuron_configurations),
        (_n_distinct([p.thresholds for p in populations]), core.threshold_configurations),
    )
    least = max((-(-total // limit) for total, limit in totals if limit), default=0)
    n = sum(p.n for p in populations)
    if not core.synapse_memory_bits or not n:
        return least
    memories = [LeastMemory(print_) for print_ in network.footprints]

    def needed(n_cores: int) -> int:
        bits = sum(memory.bits(n_cores) for memory in memories)
        return math.ceil(bits / core.synapse_memory_bits - 1e-9)

    # More cores need fewer bits of index: the first number that holds its own memory.
    least = max(least, needed(n), 1)
    while needed(least) > least:
        least += 1
    return least


def _n_distinct(parts: list[IntArray]) -> int:
    return len(np.unique(np.concatenate(parts))) if parts else 0


def _check_delays(quantized: QuantizedNetwork, found: Diagnostics) -> None:
    limit = quantized.target.synapse.delay_max
    for projection in quantized.projections:
        delay = max_delay(projection)
        if delay > limit:
            found.add("E524", projection.name, "synapses are later than the target allows",
                      got=f"{delay} steps", limit=f"{quantized.target.name}.delay_max = {limit}",
                      hint="use a larger dt, or shorter delays")


def _check_alone(population: ChipPopulation, network: ChipNetwork, found: Diagnostics) -> None:
    """What a neuron needs on a core of its own, against every limit."""
    axons: Counts = np.zeros(1, np.int64)
    bits: Counts = np.zeros(1, np.int64)
    for print_ in population.inputs:
        axons = axons + print_.lone_axons() * print_.axons_per_source
        bits = bits + print_.lone_bits()
    sent = network.output_axons(population)
    limits = network.limits
    for code, need, field_name, what, hint in (
        ("E520", axons, "input_axons", "input axons",
         "reduce the fan-in, or split the population into two that are summed"),
        ("E521", bits, "synapse_memory_bits", "bits of synaptic memory",
         "use fewer weight bits or a smaller fan-in"),
        ("E522", sent, "output_axons", "output axons", "reduce the projections it has"),
        ("E523", population.fan_out, "fan_out", "outgoing synapses",
         "reduce the fan-out, or use a target without this limit"),
    ):
        limit = getattr(limits, field_name)
        over = np.broadcast_to(need, (population.n,)) > limit
        if limit and over.any():
            n_over = int(over.sum())
            noun = "neuron needs" if n_over == 1 else "neurons each need"
            found.add(code, population.name,
                      f"{n_over} {noun} more {what} than a core of {network.target} has",
                      got=int(need.max()), limit=f"{network.target}.{field_name} = {limit}",
                      hint=hint)


def _too_many(network: ChipNetwork, got: str, found: Diagnostics) -> None:
    chip = network.chip
    left = working_cores(chip, network.wanted)
    faulty = chip.cores * chip.chips - left
    found.add("E525", "network", "it needs more cores than the target has", got=got,
              limit=f"{left} = {chip.chips} chips of {chip.cores} cores"
                    + (f", {faulty} of them forbidden" if faulty else ""),
              hint="use fewer weight bits, a smaller network or a larger target")


def _cut_all(network: ChipNetwork) -> None:
    """Cut every population, until the output axons of all blocks fit the cut of their targets."""
    limit = network.limits.output_axons
    for _ in range(MAX_ROUNDS):
        changed = False
        found = Diagnostics()
        for population in reversed(network.populations.values()):
            if not population.free():
                continue
            sent = network.output_axons(population)
            if limit and int(sent.max(initial=0)) > limit:
                found.add("E522", population.name, "a neuron sends to more cores than it may",
                          got=int(sent.max()), limit=f"{network.target}.output_axons = {limit}",
                          hint="reduce the fan-out of the population")
                continue
            if population.blocks is not None and _sent_fits(population.blocks, sent, limit):
                continue
            if population.blocks is not None:
                population.n_recuts += 1
            population.blocks = _cut(population, network, sent)
            note_destinations(population, network)
            changed = True
        found.raise_if_errors()
        if not changed:
            return
    raise fail("E527", "network", "cutting populations smaller kept raising their output axons",
               got=f"{MAX_ROUNDS} rounds", hint="lower --neurons-per-core")


def _sent_fits(blocks: list[Block], sent: Counts, limit: int) -> bool:
    if not limit or not blocks:
        return True
    totals = np.add.reduceat(sent, [block.start for block in blocks])
    return bool(totals.max() <= limit)


def _cut(population: ChipPopulation, network: ChipNetwork, sent: Counts) -> list[Block]:
    """Blocks in order, each as large as every limit allows.

    Every recut leaves 1 % more of the output axons free: where blocks end moves with each cut, and
    with it what a recurrent population sends, so that filling them to the last never settles.
    """
    limits = network.limits
    before = np.concatenate([[0], np.cumsum(sent)])
    sent_limit = limits.output_axons * max(100 - population.n_recuts, 1) // 100
    distinct = [(_previous(codes), limit) for codes, limit in (
        (population.configurations, limits.neuron_configurations),
        (population.thresholds, limits.threshold_configurations)) if limit]
    blocks: list[Block] = []
    start, guess = 0, network.neurons_limit or population.n
    while start < population.n:
        stop = min(population.n, start + (network.neurons_limit or population.n))
        for previous, limit in distinct:
            stop = _distinct_stop(previous, start, stop, limit)
        if limits.output_axons:
            room = int(np.searchsorted(before, before[start] + sent_limit, side="right")) - 1
            stop = min(stop, max(room, start + 1))
        stop = largest(start, stop, guess, _fits(population, start, limits))
        blocks.append(Block(start, stop))
        start, guess = stop, stop - start
    return blocks


def _previous(codes: IntArray) -> IntArray:
    """Index of the last earlier neuron with the same code, -1 where there is none."""
    order = np.argsort(codes, kind="stable")
    previous = np.full(len(codes), -1, np.int64)
    same = codes[order][1:] == codes[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _distinct_stop(previous: IntArray, start: int, stop: int, limit: int) -> int:
    """The largest stop for which start..stop has at most ``limit`` distinct codes."""
    first_seen = np.flatnonzero(previous[start:stop] < start)
    return stop if len(first_seen) <= limit else start + int(first_seen[limit])


def _fits(population: ChipPopulation, start: int, limits: CoreLimits) -> Callable[[int], bool]:
    def fits(stop: int) -> bool:
        axons, bits = demand(population, Block(start, stop))
        return ((not limits.input_axons or axons <= limits.input_axons)
                and (not limits.synapse_memory_bits or bits <= limits.synapse_memory_bits))
    return fits


def _check_pinned(network: ChipNetwork, cores: list[Core], found: Diagnostics) -> None:
    """The output axons of pinned cores are known only when all others are cut."""
    for number, core in zip(network.wanted.pinned, cores, strict=False):
        for name, used, limit in core.exceeded(network):
            found.add("E546", f"pinned core {number}", "it has no room for what is pinned to it",
                      got=f"{used} {name}", limit=f"{network.target}.{name} = {limit}",
                      hint="pin its populations to more cores")


def _fill_cores(network: ChipNetwork) -> list[Core]:
    """The pinned cores, then a core for each block; the last block of a population joins the first
    that has room."""
    cores = network.pinned_cores()
    first = len(cores)
    for population in filter(ChipPopulation.free, network.populations.values()):
        blocks, own = population.blocks or [], len(cores)
        sent = network.output_axons(population)
        for block in blocks:
            core = part_of(population, block, sent)
            host = None
            if block is blocks[-1] and network.wanted.share_cores:
                host = _host(core, cores[first:own], network)
            if host is None:
                cores.append(core)
            else:
                host.add(core)
    return cores


def _host(core: Core, cores: list[Core], network: ChipNetwork) -> Core | None:
    if not cores:
        return None
    limits = np.array([network.neurons_limit, network.limits.input_axons,
                       network.limits.output_axons, network.limits.synapse_memory_bits])
    room = (np.stack([c.use for c in cores]) + core.use <= limits) | (limits == 0)
    for index in np.flatnonzero(room.all(axis=1)):
        host = cores[index]
        if may_share(host.chip, core.chip) and not host.exceeded(network, core):
            return host
    return None


def _mapping(quantized: QuantizedNetwork, cores: list[Core]) -> Mapping:
    slices = tuple(Slice(name, number, np.arange(block.start, block.stop))
                   for number, core in enumerate(cores) for name, block in core.blocks)
    use = tuple(
        CoreUse(core=number, neurons=int(core.use[0]), input_axons=int(core.use[1]),
                output_axons=int(core.use[2]), synapse_memory_bits=int(core.use[3]),
                neuron_configurations=len(core.configurations),
                threshold_configurations=len(core.thresholds), max_fan_out=core.max_fan_out)
        for number, core in enumerate(cores))
    return Mapping(quantized, quantized.target, slices, use)
