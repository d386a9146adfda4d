"""Tiles: blocks of structured layers, compact in space and never unfolded.

Each population is cut into ranges of an order: a convolution's targets in stripes, by the order
with the fewest tiles, then the fewest input axons; all others in their flat order, which for a
dense layer is as good as any. A tile goes where there is room, and a core holds at most one tile
of a population, so that what a core uses is the sum over its tiles. Populations are cut from the
last to the first, because a neuron's output axons depend on the tiles of its targets; where a loop
made them more than was allowed for, again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from neurocompile.ir.base import IntArray
from neurocompile.ir.transforms import Conv, Sparse
from neurocompile.passes.cores import ChipNetwork, ChipPopulation, largest, may_share
from neurocompile.passes.footprint import Block, Counts, Footprint
from neurocompile.passes.portfolio.subset import ConvSubsets, demand_of, orders

ROUNDS = 12


@dataclass
class Tile:
    """Neurons of a population (sorted flat indices) and what they need.

    ``part``: their range in the order of the layer. ``use``: neurons, input axons, output axons,
    bits of synaptic memory.
    """

    population: str
    part: Block
    neurons: IntArray
    use: Counts
    configurations: frozenset[int]
    thresholds: frozenset[int]
    max_fan_out: int
    chip: int | None


@dataclass
class TiledCore:
    """Tiles of different populations, and the sum of what they use."""

    tiles: list[Tile] = field(default_factory=list)
    use: Counts = field(default_factory=lambda: np.zeros(4, np.int64))
    configurations: frozenset[int] = frozenset()
    thresholds: frozenset[int] = frozenset()
    chip: int | None = None

    def add(self, tile: Tile) -> None:
        self.tiles.append(tile)
        self.use = self.use + tile.use
        self.configurations |= tile.configurations
        self.thresholds |= tile.thresholds
        self.chip = tile.chip if self.chip is None else self.chip


class _Layer:
    """A population, the orders it may be cut in, and the one it is cut in now."""

    def __init__(self, population: ChipPopulation):
        self.population = population
        flat = np.arange(population.n)
        convs = [p for p in population.inputs if isinstance(p.transform, Conv)]
        shapes = {c.transform.out_chw for c in convs if isinstance(c.transform, Conv)}
        # A sparse input is counted by ranges of the flat order.
        boxed = len(shapes) == 1 and not any(
            isinstance(p.transform, Sparse) for p in population.inputs)
        self.orders = list(orders(shapes.pop())) if boxed else [flat]
        self.subsets = [ConvSubsets(p) if boxed and p in convs else None
                        for p in population.inputs]
        self.order: IntArray = flat
        self.sent: Counts = np.zeros(population.n, np.int64)


def tiled(network: ChipNetwork, most_cores: int) -> list[TiledCore] | None:
    """Every neuron in a tile on a core, or None where that needs more than ``most_cores`` or the
    output axons of a loop do not settle."""
    layers = [_Layer(p) for p in reversed(network.populations.values()) if p.n and p.free()]
    for _ in range(ROUNDS):
        cores = _pinned(network)
        for layer in layers:
            tiles = _place(layer, network, cores)
            if tiles is None or len(cores) > most_cores:
                return None
            for print_, subsets in zip(layer.population.inputs, layer.subsets, strict=True):
                name = print_.projection.name
                if name in network.sends:
                    network.sends[name] = _destinations(
                        print_, subsets, tiles, len(network.sends[name]))
        if _settled(network, cores):
            return cores
    return None


def _pinned(network: ChipNetwork) -> list[TiledCore]:
    """The cores of pinned populations, in ranges of the flat order."""
    cores = [TiledCore() for _ in range(network.n_pinned)]
    for population in network.populations.values():
        if population.free():
            continue
        layer = _Layer(population)
        layer.sent = network.output_axons(population)
        for core, block in zip(population.cores, population.blocks or [], strict=True):
            cores[core].add(_tile(layer, block.start, block.stop))
    return cores


def _settled(network: ChipNetwork, cores: list[TiledCore]) -> bool:
    """Count output axons again, as all tiles are now; within the limit everywhere?"""
    for core in cores:
        core.use[2] = 0
        for tile in core.tiles:
            sent = network.output_axons(network.populations[tile.population])[tile.neurons]
            tile.use[2] = sent.sum()
            core.use[2] += tile.use[2]
    limit = network.limits.output_axons
    return not limit or all(core.use[2] <= limit for core in cores)


def _room(network: ChipNetwork, core: TiledCore, tile: Tile) -> bool:
    limits = network.limits
    return all(not limit or used <= limit for used, limit in (
        *zip((core.use + tile.use).tolist(), _limits(network), strict=True),
        (len(core.configurations | tile.configurations), limits.neuron_configurations),
        (len(core.thresholds | tile.thresholds), limits.threshold_configurations)))


def _limits(network: ChipNetwork) -> tuple[int, int, int, int]:
    core = network.limits
    return (network.neurons_limit, core.input_axons, core.output_axons, core.synapse_memory_bits)


def _place(layer: _Layer, network: ChipNetwork, cores: list[TiledCore]) -> list[Tile] | None:
    """Tiles in the layer's best order: as few new cores as possible, then as few tiles."""
    layer.sent = network.output_axons(layer.population)
    fresh = None
    for order in layer.orders:
        layer.order = order
        made = _cut(layer, network, (TiledCore() for _ in range(layer.population.n)))
        if made and (fresh is None or _worth(made) < _worth(fresh[1])):
            fresh = order, made
    if fresh is None:
        return None
    layer.order = fresh[0]
    hosts = _helpful(layer, network, cores, len(fresh[1]))
    tiles = _cut(layer, network, [*hosts, *(TiledCore() for _ in fresh[1])])
    if tiles is None:
        return None
    for tile, host in tiles:
        if not host.tiles:
            cores.append(host)
        host.add(tile)
    return [tile for tile, _ in tiles]


def _worth(made: list[tuple[Tile, TiledCore]]) -> tuple[int, int]:
    return len(made), sum(int(tile.use[1]) for tile, _ in made)


def _helpful(layer: _Layer, network: ChipNetwork, cores: list[TiledCore],
             n_fresh: int) -> list[TiledCore]:
    """The fewest cores with room that save new ones, those with most room first."""
    rooms = []
    if not network.wanted.share_cores:
        return []
    for index, core in enumerate(cores):
        if index < network.n_pinned or not may_share(core.chip, layer.population.chip):
            continue
        stop = _stop(layer, network, core, 0, layer.population.n)
        if stop:
            rooms.append((-stop, index))
    hosts: list[TiledCore] = []
    best: list[TiledCore] = []
    needed = n_fresh
    for _, index in sorted(rooms):
        hosts.append(cores[index])
        tiles = _cut(layer, network, [*hosts, *(TiledCore() for _ in range(n_fresh))])
        new = n_fresh if tiles is None else sum(not host.tiles for _, host in tiles)
        if new < needed:
            needed, best = new, list(hosts)
        if not new:
            break
    return best


def _cut(layer: _Layer, network: ChipNetwork,
         hosts: Iterable[TiledCore]) -> list[tuple[Tile, TiledCore]] | None:
    """Ranges of the order, as large as the room on each host in turn; None if neurons are left."""
    made: list[tuple[Tile, TiledCore]] = []
    start, guess, n = 0, network.neurons_limit or layer.population.n, layer.population.n
    for host in hosts:
        if start == n:
            break
        stop = _stop(layer, network, host, start, guess)
        if stop == start:
            if not host.tiles:
                return None
            continue
        made.append((_tile(layer, start, stop), host))
        start, guess = stop, stop - start
    return made if start == n else None


def _stop(layer: _Layer, network: ChipNetwork, host: TiledCore, start: int, guess: int) -> int:
    """The end of the largest range from ``start`` that the host has room for."""
    def fits(stop: int) -> bool:
        return _room(network, host, _tile(layer, start, stop))

    if not fits(start + 1):
        return start
    stop = min(layer.population.n, start + (network.neurons_limit or layer.population.n))
    return largest(start, stop, guess, fits)


def _tile(layer: _Layer, start: int, stop: int) -> Tile:
    population, neurons = layer.population, layer.order[start:stop]
    axons = bits = 0
    for print_, subsets in zip(population.inputs, layer.subsets, strict=True):
        more = demand_of(print_, subsets, neurons, Block(start, stop))
        axons, bits = axons + more[0], bits + more[1]
    return Tile(population.name, Block(start, stop), np.sort(neurons),
                np.array([len(neurons), axons, layer.sent[neurons].sum(), bits], np.int64),
                frozenset(np.unique(population.configurations[neurons]).tolist()),
                frozenset(np.unique(population.thresholds[neurons]).tolist()),
                int(population.fan_out[neurons].max()), population.chip)


def _destinations(print_: Footprint, subsets: ConvSubsets | None, tiles: list[Tile],
                  n_source: int) -> Counts:
    """To how many tiles each source neuron sends, shape (n_source,)."""
    if subsets:
        return subsets.destinations([tile.neurons for tile in tiles])
    return print_.destinations([tile.part for tile in tiles], n_source)
