"""What every partition works on: the populations on the chip, how they are cut, and cores as they
fill. Populations that the user pinned are cut here, once for all methods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import IntArray
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation
from neurocompile.passes.footprint import Block, Counts, Footprint

NOTHING = Constraints()
LIMITS = ("neurons", "input_axons", "output_axons", "synapse_memory_bits")
"""What ``Core.use`` counts."""


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
        self.cores: tuple[int, ...] = ()  # of each block, where the population is pinned
        self.chip: int | None = None
        self.n_recuts = 0

    def free(self) -> bool:
        """May a partition cut it?"""
        return not self.cores


class ChipNetwork:
    """The populations on the chip and the projections into them.

    Cores 0 to ``n_pinned - 1`` hold the pinned populations; ``found`` is why they cannot.
    """

    def __init__(self, quantized: QuantizedNetwork, wanted: Constraints = NOTHING):
        self.wanted = wanted
        self.n_pinned = len(wanted.pinned)
        self.target = quantized.target.name
        self.limits = quantized.target.core
        self.chip = quantized.target.chip
        self.slots = self.limits.axon_slots_per_connection
        asked = [n for n in (self.limits.neurons, wanted.neurons_per_core) if n]
        self.neurons_limit = min(asked, default=0)
        self.footprints = [Footprint(p, quantized) for p in quantized.projections]
        sizes = {p.name: p.n for p in quantized.populations}
        rules: dict[tuple[object, ...], int] = {}
        self.populations: dict[str, ChipPopulation] = {}
        for p in quantized.populations:
            if p.role == "source":
                continue  # fed by the host: on no core
            rule = rules.setdefault(p.rule, len(rules))
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
        for name, chip in wanted.chips.items():
            if name in self.populations:
                self.populations[name].chip = chip
        self.found = Diagnostics()
        _pin(self)

    def output_axons(self, population: ChipPopulation) -> Counts:
        """Output axons of each neuron, shape (n,): one for each projection and core it reaches."""
        total = np.zeros(population.n, np.int64)
        for print_ in population.outputs:
            total += self.sends[print_.projection.name]
        return total * self.slots


    def pinned_cores(self) -> list[Core]:
        """The cores of pinned populations, with what they use as all populations are cut now."""
        cores = [Core() for _ in range(self.n_pinned)]
        for population in self.populations.values():
            if population.free():
                continue
            sent = self.output_axons(population)
            for core, block in zip(population.cores, population.blocks or [], strict=True):
                cores[core].add(part_of(population, block, sent))
        return cores


@dataclass
class Core:
    """A core as it fills. ``use``: neurons, input axons, output axons, synaptic memory in bits."""

    use: Counts = field(default_factory=lambda: np.zeros(4, np.int64))
    configurations: set[int] = field(default_factory=set)
    thresholds: set[int] = field(default_factory=set)
    max_fan_out: int = 0
    chip: int | None = None
    blocks: list[tuple[str, Block]] = field(default_factory=list)

    def add(self, part: Core) -> None:
        """Put what ``part`` holds on this core."""
        self.use = self.use + part.use
        self.configurations |= part.configurations
        self.thresholds |= part.thresholds
        self.max_fan_out = max(self.max_fan_out, part.max_fan_out)
        self.chip = part.chip if self.chip is None else self.chip
        self.blocks += part.blocks

    def exceeded(self, network: ChipNetwork,
                 part: Core | None = None) -> list[tuple[str, int, int]]:
        """(limit, used, allowed) of every limit that does not hold, with ``part`` added."""
        part = part or Core()
        limits = network.limits
        rows = (*zip(LIMITS, (self.use + part.use).tolist(),
                     (network.neurons_limit, limits.input_axons, limits.output_axons,
                      limits.synapse_memory_bits), strict=True),
                ("neuron_configurations", len(self.configurations | part.configurations),
                 limits.neuron_configurations),
                ("threshold_configurations", len(self.thresholds | part.thresholds),
                 limits.threshold_configurations))
        return [row for row in rows if row[2] and row[1] > row[2]]


def may_share(chip: int | None, other: int | None) -> bool:
    """May populations that are to be on these chips (None: on any) have a core together?"""
    return chip is None or other is None or chip == other


def part_of(population: ChipPopulation, block: Block, sent: Counts) -> Core:
    """A block as the only one on a core."""
    span = slice(block.start, block.stop)
    axons, bits = demand(population, block)
    return Core(
        use=np.array([block.n, axons, int(sent[span].sum()), bits], np.int64),
        configurations=set(np.unique(population.configurations[span]).tolist()),
        thresholds=set(np.unique(population.thresholds[span]).tolist()),
        max_fan_out=int(population.fan_out[span].max()),
        chip=population.chip,
        blocks=[(population.name, block)])


def demand(population: ChipPopulation, block: Block) -> tuple[int, int]:
    """Input axons and bits of synaptic memory of a block."""
    axons = bits = 0
    for print_ in population.inputs:
        more_axons, more_bits = print_.demand(block)
        axons, bits = axons + more_axons, bits + more_bits
    return axons, bits


def note_destinations(population: ChipPopulation, network: ChipNetwork) -> None:
    """To how many blocks of ``population`` each neuron sends."""
    for print_ in population.inputs:
        source = network.populations.get(print_.projection.source)
        if source is not None:
            network.sends[print_.projection.name] = print_.destinations(
                population.blocks or [], source.n)


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


def _pin(network: ChipNetwork) -> None:
    """Cut the pinned populations: evenly over the cores they name, or where a limit does not allow
    that, as many neurons on each in turn as it does. Those on one core come first."""
    wanted = network.wanted
    number = {pinned: core for core, pinned in enumerate(wanted.pinned)}
    filling = [Core() for _ in wanted.pinned]
    for name in sorted(wanted.cores, key=lambda name: len(wanted.cores[name]) > 1):
        population = network.populations.get(name)
        if population is None:
            continue  # said by neurocompile.passes.constrain
        cores = tuple(number[pinned] for pinned in wanted.cores[name])
        if len(cores) > population.n:
            network.found.add("E546", name, "it is pinned to more cores than it has neurons",
                              got=f"{len(cores)} cores", limit=f"{population.n} neurons")
            continue
        hosts = [filling[core] for core in cores]
        sent = network.output_axons(population)
        even = _evenly(population.n, len(cores))
        blocks = even
        if not _all_fit(population, network, hosts, even, sent):
            blocks = _in_turn(population, network, hosts, sent) or even
        for pinned, host, block in zip(wanted.cores[name], hosts, blocks, strict=True):
            part = part_of(population, block, sent)
            for field_name, used, limit in host.exceeded(network, part):
                own = field_name == "neurons" and limit == wanted.neurons_per_core
                network.found.add(
                    "E546", name, f"core {pinned} has no room for what is pinned to it", got=(
                        f"{used} {field_name}"),
                    limit=f"{'neurons_per_core' if own else f'{network.target}.{field_name}'} = "
                          f"{limit}", hint="pin it to more cores")
            host.add(part)
        population.blocks, population.cores = blocks, cores
        note_destinations(population, network)


def _evenly(n: int, parts: int) -> list[Block]:
    ends = [n * i // parts for i in range(parts + 1)]
    return [Block(a, b) for a, b in pairwise(ends)]


def _all_fit(population: ChipPopulation, network: ChipNetwork, hosts: list[Core],
             blocks: list[Block], sent: Counts) -> bool:
    return not any(host.exceeded(network, part_of(population, block, sent))
                   for host, block in zip(hosts, blocks, strict=True))


def _in_turn(population: ChipPopulation, network: ChipNetwork, hosts: list[Core],
             sent: Counts) -> list[Block] | None:
    """Blocks as large as there is room on each core, at least one neuron each; None if neurons are
    left."""
    blocks: list[Block] = []
    start = 0
    for i, host in enumerate(hosts):
        def fits(stop: int, start: int = start, host: Core = host) -> bool:
            return not host.exceeded(network, part_of(population, Block(start, stop), sent))

        most = population.n - (len(hosts) - i - 1)
        if not fits(start + 1):
            return None
        stop = largest(start, most, most - start, fits)
        blocks.append(Block(start, stop))
        start = stop
    return blocks if start == population.n else None
