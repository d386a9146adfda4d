"""The portfolio: several partitions of one network, the best of those that pass the checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from neurocompile.diagnostics import CompileError, Diagnostic, Diagnostics
from neurocompile.ir.base import FloatArray
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Sparse
from neurocompile.passes.partition import ChipNetwork, Partition, check_possible, core_lower_bound
from neurocompile.passes.portfolio.tiles import TiledCore, tiled
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.traffic import traffic

MOST_SYNAPSES = 20_000_000
"""Above this nothing is unfolded: only sequential blocks and tiles are tried."""
MOST_COUNTS = 500_000_000
"""Largest table of axons by cores (2 bytes each) that the search may take."""


@dataclass(frozen=True)
class Portfolio:
    """Give each neuron a core, by the candidate with the fewest cores, then the fewest messages.

    Candidates are sequential blocks, tiles of structured layers and, for networks with sparse
    projections, overlap growth and METIS; each mapping is accepted by the independent checker or
    is no candidate. The same seed gives the same mapping.

    neurons_per_core
        At most so many neurons a core, below the target's own limit.
    seed
        Of the order in which the search visits neurons.
    rates
        Mean spikes a step of each neuron by population; messages are weighted by them.
    """

    neurons_per_core: int | None = None
    seed: int = 0
    rates: dict[str, FloatArray] = field(default_factory=dict)

    def run(self, quantized: QuantizedNetwork) -> Mapping:
        """A mapping within every limit of the target; raises as :meth:`Partition.run` does."""
        return self.run_with_notes(quantized)[0]

    def run_with_notes(self, quantized: QuantizedNetwork) -> tuple[Mapping, tuple[Diagnostic, ...]]:
        """The mapping, and a note for each candidate that was not tried (I528)."""
        check_possible(quantized, self.neurons_per_core)
        notes = Diagnostics()
        refused: CompileError | None = None
        best: Mapping | None = None
        try:
            best = Partition(self.neurons_per_core).run(quantized)
        except CompileError as error:
            refused = error
        for mapping in self._others(quantized, best, notes):
            if not check_mapping(mapping):
                best = mapping if best is None else min(best, mapping, key=self._cost)
        if best is None:
            assert refused is not None
            raise refused
        return replace(best, rates=self.rates), tuple(notes)

    def _cost(self, mapping: Mapping) -> tuple[int, float]:
        """Cores, then messages; those from the host go over the mesh as well."""
        measured = traffic(mapping, self.rates)
        return mapping.n_cores, round(measured.messages + float(measured.from_host.sum()), 9)

    def _others(self, quantized: QuantizedNetwork, first: Mapping | None,
                notes: Diagnostics) -> Iterator[Mapping]:
        chip = quantized.target.chip
        most = min(chip.cores * chip.chips, first.n_cores if first else chip.cores * chip.chips)
        kinds = {type(p.transform) for p in quantized.projections}
        if kinds != {Sparse}:
            cores = tiled(ChipNetwork(quantized, self.neurons_per_core), most)
            if cores is not None:
                yield tiled_mapping(quantized, cores)
        if Sparse in kinds and most > 1:
            yield from self._searched(quantized, most, notes)

    def _searched(self, quantized: QuantizedNetwork, most: int,
                  notes: Diagnostics) -> Iterator[Mapping]:
        # Numba and scipy are loaded for networks that need them only.
        from neurocompile.passes.portfolio import search
        from neurocompile.passes.portfolio.hypergraph import hypergraph, n_pins

        pins = n_pins(quantized)
        if pins > MOST_SYNAPSES:
            notes.add("I528", "network", "overlap growth and METIS were not tried",
                      got=f"{pins} synapses", limit=f"{MOST_SYNAPSES}")
            return
        network = ChipNetwork(quantized, self.neurons_per_core)
        graph = hypergraph(quantized, self.rates, network.neurons_limit)
        room = MOST_COUNTS // max(1, len(graph.net_kind))
        if room < core_lower_bound(quantized):
            notes.add("I528", "network", "overlap growth and METIS were not tried",
                      got=f"{len(graph.net_kind)} axons", limit=f"{MOST_COUNTS} axons x cores")
            return
        most = min(most, room)
        home = search.grown(graph, most, self.seed)
        if home is not None:
            yield search.mapping_of(quantized, graph, home)
            most = min(most, int(home.max()) + 1)
        if not search.has_metis():
            notes.add("I528", "network", "METIS was not tried", got="pymetis is not installed",
                      hint="pip install 'neurocompile[mapping]'")
            return
        home = search.by_metis(graph, core_lower_bound(quantized), most, self.seed)
        if home is not None:
            yield search.mapping_of(quantized, graph, home)


def tiled_mapping(quantized: QuantizedNetwork, cores: list[TiledCore]) -> Mapping:
    """The mapping of tiles on cores, in the order of the cores."""
    slices = tuple(Slice(tile.population, number, tile.neurons)
                   for number, core in enumerate(cores) for tile in core.tiles)
    use = tuple(CoreUse(
        core=number, neurons=int(core.use[0]), input_axons=int(core.use[1]),
        output_axons=int(core.use[2]), synapse_memory_bits=int(core.use[3]),
        neuron_configurations=len(core.configurations),
        threshold_configurations=len(core.thresholds),
        max_fan_out=max(tile.max_fan_out for tile in core.tiles))
        for number, core in enumerate(cores))
    return Mapping(quantized, quantized.target, slices, use)
