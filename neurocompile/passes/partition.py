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
from dataclasses import dataclass, field

import numpy as np

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation
from neurocompile.ir.target import CoreLimits
from neurocompile.passes.footprint import (
    SYNAPSES_PER_ENTRY,
    Block,
    Counts,
    Footprint,
    index_bits,
    max_delay,
    packed_bits,
)

MAX_ROUNDS = 64
"""Cuts of a recurrent network before giving up; two or three are usual."""


@dataclass(frozen=True)
class Partition:
    """Cut populations into blocks and give each block a core.

    neurons_per_core
        At most so many neurons a core, below the target's own limit.
    """

    neurons_per_core: int | None = None

    def run(self, quantized: QuantizedNetwork) -> Mapping:
        """A mapping within every limit of the target.

        Raises :class:`CompileError` with E520 to E527: everything no partition could satisfy, at
        once; or that more cores are needed than the target has.
        """
        network = check_possible(quantized, self.neurons_per_core)
        _cut_all(network)
        cores = _fill_cores(network)
        if len(cores) > quantized.target.chip.cores * quantized.target.chip.chips:
            found = Diagnostics()
            _too_many(quantized, str(len(cores)), found)
            found.raise_if_errors()
        return _mapping(quantized, cores)


def check_possible(quantized: QuantizedNetwork, neurons_per_core: int | None) -> ChipNetwork:
    """The network to be cut, if some partition may exist.

    Raises :class:`CompileError` with everything that no partition could satisfy, at once: E520 to
    E526.
    """
    if neurons_per_core is not None and neurons_per_core < 1:
        raise fail("E526", "--neurons-per-core", "a core holds at least one neuron",
                   got=neurons_per_core, limit="1")
    network = ChipNetwork(quantized, neurons_per_core)
    found = Diagnostics()
    _check_delays(quantized, found)
    for population in network.populations.values():
        _check_alone(population, network, found)
    lower_bound = core_lower_bound(quantized)
    if lower_bound > quantized.target.chip.cores * quantized.target.chip.chips:
        _too_many(quantized, f"at least {lower_bound}", found)
    found.raise_if_errors()
    return network


def core_lower_bound(quantized: QuantizedNetwork) -> int:
    """No partition uses fewer cores: the largest ceil(total / limit) over all limits of a core.

    Totals leave out what depends on the partition (axons to several cores), so that the bound
    holds for every partition. Memory is the least that so few cores could do with.
    """
    network = ChipNetwork(quantized, None)
    core, populations = quantized.target.core, network.populations.values()
    input_axons = output_axons = 0
    for print_ in network.footprints:
        source = quantized.population(print_.projection.source)
        sent = print_.fan_out(source.n)
        reaching = int(np.count_nonzero(sent))
        input_axons += reaching * print_.axons_per_source
        output_axons += reaching * network.slots if source.role != "source" else 0
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
    memories = [_LeastMemory(print_) for print_ in network.footprints]

    def needed(n_cores: int) -> int:
        bits = sum(memory.bits(n_cores) for memory in memories)
        return math.ceil(bits / core.synapse_memory_bits - 1e-9)

    # More cores need fewer bits of index: the first number that holds its own memory.
    least = max(least, needed(n), 1)
    while needed(least) > least:
        least += 1
    return least


class _LeastMemory:
    """The synaptic memory a projection takes on any so many cores together, at the least.

    A core with up to 2^j neurons of the target has indices of j bits. On k cores at most k * 2^j
    neurons can have no more than that: those with the most synapses. Entries are filled in the
    way that wastes least.
    """

    def __init__(self, print_: Footprint):
        self.print_ = print_
        n = print_.n_target
        fan_in = np.broadcast_to(print_.lone_axons(), (n,))
        self.largest = np.concatenate([[0], np.cumsum(-np.sort(-fan_in))])

    def bits(self, n_cores: int) -> float:
        print_ = self.print_
        if print_.encoding == "conv":
            return print_.transform.n_parameters * print_.weight_bits
        n, total = len(self.largest) - 1, int(self.largest[-1])
        before = self._bits_a_synapse(0)
        bits, held = total * before, n_cores
        while print_.encoding == "sparse" and held < n:
            now = self._bits_a_synapse(index_bits(held // n_cores + 1))
            bits += (total - int(self.largest[held])) * (now - before)
            before, held = now, max(2 * held, 64 * n_cores)
        return bits

    def _bits_a_synapse(self, index: int) -> float:
        counts = np.arange(1, SYNAPSES_PER_ENTRY + 1)
        return float(np.min(packed_bits(counts, self.print_.synapse_bits + index,
                                        self.print_.core) / counts))


def _n_distinct(parts: list[IntArray]) -> int:
    return len(np.unique(np.concatenate(parts))) if parts else 0


class ChipPopulation:
    """A population on the chip: what is known of its neurons, and how it is cut now."""

    def __init__(self, quantized: QuantizedPopulation, configurations: IntArray):
        self.name = quantized.name
        self.n = quantized.n
        self.configurations = configurations
        self.thresholds = quantized.threshold
        self.inputs: list[Footprint] = []
        self.outputs: list[Footprint] = []
        self.fan_out: Counts = np.zeros(self.n, np.int64)
        self.blocks: list[Block] | None = None
        self.n_recuts = 0


class ChipNetwork:
    """The populations on the chip and the projections into them."""

    def __init__(self, quantized: QuantizedNetwork, neurons_per_core: int | None):
        self.target = quantized.target.name
        self.limits = quantized.target.core
        self.slots = self.limits.axon_slots_per_connection
        asked = [n for n in (self.limits.neurons, neurons_per_core) if n]
        self.neurons_limit = min(asked, default=0)
        self.footprints = [Footprint(p, quantized) for p in quantized.projections]
        sizes = {p.name: p.n for p in quantized.populations}
        rules: dict[tuple[object, ...], int] = {}
        self.populations: dict[str, ChipPopulation] = {}
        for p in quantized.populations:
            if p.role == "source":
                continue  # fed by the host: on no core
            rule = rules.setdefault((p.reset, p.compare, p.max_spikes), len(rules))
            codes = (rule * 8192 + p.current_decay) * 8192 + p.membrane_decay  # each <= 4096
            self.populations[p.name] = ChipPopulation(p, codes)
        # Per projection: destination blocks of each source neuron; at least one where it reaches.
        self.sends: dict[str, Counts] = {}
        for print_ in self.footprints:
            projection = print_.projection
            self.populations[projection.target].inputs.append(print_)
            source = self.populations.get(projection.source)
            if source is not None:
                source.outputs.append(print_)
                sent = print_.fan_out(sizes[projection.source])
                source.fan_out = source.fan_out + sent
                self.sends[projection.name] = (sent > 0).astype(np.int64)

    def output_axons(self, population: ChipPopulation) -> Counts:
        """Output axons of each neuron, shape (n,): one for each projection and core it reaches."""
        total = np.zeros(population.n, np.int64)
        for print_ in population.outputs:
            total += self.sends[print_.projection.name]
        return total * self.slots


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


def _too_many(quantized: QuantizedNetwork, got: str, found: Diagnostics) -> None:
    chip = quantized.target.chip
    found.add("E525", "network", "it needs more cores than the target has", got=got,
              limit=f"{chip.cores * chip.chips} = {chip.chips} chips of {chip.cores} cores",
              hint="use fewer weight bits, a smaller network or a larger target")


def _cut_all(network: ChipNetwork) -> None:
    """Cut every population, until the output axons of all blocks fit the cut of their targets."""
    limit = network.limits.output_axons
    for _ in range(MAX_ROUNDS):
        changed = False
        found = Diagnostics()
        for population in reversed(network.populations.values()):
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
            _note_destinations(population, network)
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


def _note_destinations(population: ChipPopulation, network: ChipNetwork) -> None:
    for print_ in population.inputs:
        source = network.populations.get(print_.projection.source)
        if source is not None:
            network.sends[print_.projection.name] = print_.destinations(
                population.blocks or [], source.n)


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
        axons, bits = _demand(population, Block(start, stop))
        return ((not limits.input_axons or axons <= limits.input_axons)
                and (not limits.synapse_memory_bits or bits <= limits.synapse_memory_bits))
    return fits


def _demand(population: ChipPopulation, block: Block) -> tuple[int, int]:
    axons = bits = 0
    for print_ in population.inputs:
        more_axons, more_bits = print_.demand(block)
        axons, bits = axons + more_axons, bits + more_bits
    return axons, bits


def largest(start: int, stop: int, guess: int, fits: Callable[[int], bool]) -> int:
    """The largest end in (start, stop] that fits, by doubling steps away from ``guess`` neurons
    and then halving. A single neuron fits (checked before); what fits stays so when smaller."""
    good, bad = start + 1, stop + 1
    probe, step = min(max(start + guess, good), stop), 1
    while good + 1 < bad:
        if fits(probe):
            good, probe = probe, min(probe + step, stop)
        else:
            bad, probe = probe, max(probe - step, start + 1)
        step *= 2
        if not good < probe < bad:
            probe = (good + bad) // 2
    return good


@dataclass
class _Core:
    """A core as it fills. ``use``: neurons, input axons, output axons, synaptic memory in bits."""

    use: Counts
    configurations: set[int]
    thresholds: set[int]
    max_fan_out: int
    blocks: list[tuple[str, Block]] = field(default_factory=list)


def _fill_cores(network: ChipNetwork) -> list[_Core]:
    """A core for each block; the last block of a population joins the first that has room."""
    cores: list[_Core] = []
    limits = np.array([network.neurons_limit, network.limits.input_axons,
                       network.limits.output_axons, network.limits.synapse_memory_bits])
    for population in network.populations.values():
        blocks, own = population.blocks or [], len(cores)
        sent = network.output_axons(population)
        for block in blocks:
            core = _as_core(population, block, sent)
            host = None
            if block is blocks[-1]:
                host = _host(core, cores[:own], limits, network.limits)
            if host is None:
                cores.append(core)
            else:
                host.use = host.use + core.use
                host.configurations |= core.configurations
                host.thresholds |= core.thresholds
                host.max_fan_out = max(host.max_fan_out, core.max_fan_out)
                host.blocks += core.blocks
    return cores


def _as_core(population: ChipPopulation, block: Block, sent: Counts) -> _Core:
    span = slice(block.start, block.stop)
    axons, bits = _demand(population, block)
    return _Core(
        use=np.array([block.n, axons, int(sent[span].sum()), bits], np.int64),
        configurations=set(np.unique(population.configurations[span]).tolist()),
        thresholds=set(np.unique(population.thresholds[span]).tolist()),
        max_fan_out=int(population.fan_out[span].max()),
        blocks=[(population.name, block)])


def _host(core: _Core, cores: list[_Core], limits: Counts, core_limits: CoreLimits) -> _Core | None:
    if not cores:
        return None
    room = (np.stack([c.use for c in cores]) + core.use <= limits) | (limits == 0)
    for index in np.flatnonzero(room.all(axis=1)):
        host = cores[index]
        n_configurations = len(host.configurations | core.configurations)
        n_thresholds = len(host.thresholds | core.thresholds)
        if (n_configurations <= (core_limits.neuron_configurations or n_configurations)
                and n_thresholds <= (core_limits.threshold_configurations or n_thresholds)):
            return host
    return None


def _mapping(quantized: QuantizedNetwork, cores: list[_Core]) -> Mapping:
    slices = tuple(Slice(name, number, np.arange(block.start, block.stop))
                   for number, core in enumerate(cores) for name, block in core.blocks)
    use = tuple(
        CoreUse(core=number, neurons=int(core.use[0]), input_axons=int(core.use[1]),
                output_axons=int(core.use[2]), synapse_memory_bits=int(core.use[3]),
                neuron_configurations=len(core.configurations),
                threshold_configurations=len(core.thresholds), max_fan_out=core.max_fan_out)
        for number, core in enumerate(cores))
    return Mapping(quantized, quantized.target, slices, use)
