"""The portfolio: several partitions of one network, the best of those that pass the checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from neurocompile.diagnostics import CompileError, Diagnostic, Diagnostics
from neurocompile.ir.base import FloatArray
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Sparse
from neurocompile.passes.cores import ChipNetwork
from neurocompile.passes.partition import Partition, check_possible, core_lower_bound, wanted_of
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio.tiles import TiledCore, tiled
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import working_cores
from neurocompile.verification.routes import hops_of, links_of
from neurocompile.verification.traffic import traffic

if TYPE_CHECKING:
    from neurocompile.passes.portfolio.cuts import Cut, Homes
    from neurocompile.passes.portfolio.hypergraph import Graph

MOST_SYNAPSES = 20_000_000
"""Above this nothing is unfolded: only sequential blocks and tiles are tried."""
SPREADS = (2, 4)
"""Where operations have a weight, so many times fewer neurons a core are tried as well."""
MOST_PARTED = 50_000_000
"""Synapses times parts above which Mt-KaHyPar is not tried: it takes minutes by then."""
DEFAULT = ("blocks", "tiles", "growth", "metis")
SEARCHES = {"growth": "overlap growth", "metis": "METIS", "mtkahypar": "Mt-KaHyPar"}
"""Methods that move single neurons, in the order they are tried."""
MOST_COUNTS = 500_000_000
"""Largest table of axons by cores (2 bytes each) that the search may take."""


@dataclass(frozen=True)
class Portfolio:
    """Give each neuron a core, by the candidate with the fewest cores, then the fewest messages,
    or the least weighted sum where the user's constraints have weights. Where links between chips
    have a limit, candidates that keep it come first.

    Candidates are sequential blocks, tiles of structured layers and, for networks with sparse
    projections, overlap growth and METIS; or those of ``constraints.methods``, for networks of any
    kind. Each mapping is accepted by the independent checker or is no candidate. The same seed
    gives the same mapping.

    neurons_per_core
        At most so many neurons a core, below the target's own limit; replaces that of
        ``constraints``.
    seed
        Of the order in which the search visits neurons.
    rates
        Mean spikes a step of each neuron by population; messages are weighted by them.
    constraints
        What the user wants of the mapping.
    """

    neurons_per_core: int | None = None
    seed: int = 0
    rates: dict[str, FloatArray] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)

    def run(self, quantized: QuantizedNetwork) -> Mapping:
        """A mapping within every limit of the target; raises as :meth:`Partition.run` does, and
        E549 where none of ``constraints.methods`` gives one."""
        return self.run_with_notes(quantized)[0]

    def run_with_notes(self, quantized: QuantizedNetwork) -> tuple[Mapping, tuple[Diagnostic, ...]]:
        """The mapping, and a note for each candidate that was not tried (I528)."""
        wanted = wanted_of(self.constraints, self.neurons_per_core)
        check_possible(quantized, wanted)
        notes = Diagnostics()
        best = self._best(quantized, wanted, notes)
        if wanted.weights.get("operations"):
            # The worst core has less to do where neurons are spread over more cores.
            fullest = max((use.neurons for use in best.use), default=0)
            for part in SPREADS:
                fewer = replace(wanted, neurons_per_core=-(-fullest // part))
                try:
                    spread = self._best(quantized, fewer, notes)
                except CompileError:
                    continue  # too many cores, or pinned cores that hold more than that
                best = min(best, replace(spread, constraints=wanted), key=self._cost)
        return replace(best, rates=self.rates), tuple(notes)

    def _best(self, quantized: QuantizedNetwork, wanted: Constraints,
              notes: Diagnostics) -> Mapping:
        refused: CompileError | None = None
        best: Mapping | None = None
        if "blocks" in (wanted.methods or DEFAULT):
            try:
                best = Partition(constraints=wanted).run(quantized)
            except CompileError as error:
                refused = error
        for mapping in self._others(quantized, wanted, best, notes):
            candidate = replace(mapping, constraints=wanted)
            if not check_mapping(candidate):
                best = candidate if best is None else min(best, candidate, key=self._cost)
        if best is None:
            raise refused or _none_of(wanted.methods, notes)
        return best

    def _cost(self, mapping: Mapping) -> tuple[float, ...]:
        """What links between chips cannot carry, then cores, then messages, or the weighted sum;
        messages from the host go over the mesh as well."""
        measured = traffic(mapping, self.rates)
        messages = measured.messages + float(measured.from_host.sum())
        weights, limit = mapping.constraints.weights, mapping.target.chip.link_messages
        hops, links = 0.0, []
        if limit or weights.get("hops") or weights.get("links"):
            placed = Place(self.seed).unchecked(replace(mapping, rates=self.rates))
            hops = hops_of(placed) if weights.get("hops") else 0.0
            links = [load for _, _, load in links_of(placed)]
        over = round(sum(max(load - limit, 0.0) for load in links), 9) if limit else 0.0
        if not weights:
            return over, mapping.n_cores, round(messages, 9)
        worst = float(measured.operations.max(initial=0.0))
        values = {"cores": mapping.n_cores, "messages": messages, "operations": worst,
                  "hops": hops, "links": max(links, default=0.0)}
        return over, round(sum(weight * values[name] for name, weight in weights.items()), 9)

    def _others(self, quantized: QuantizedNetwork, wanted: Constraints, first: Mapping | None,
                notes: Diagnostics) -> Iterator[Mapping]:
        most = working_cores(quantized.target.chip, wanted)
        if first is not None and _fewest_cores(quantized, wanted):
            most = min(most, first.n_cores)
        methods = wanted.methods or DEFAULT
        kinds = {type(p.transform) for p in quantized.projections}
        if "tiles" in methods and kinds != {Sparse}:
            cores = tiled(ChipNetwork(quantized, wanted), most)
            if cores is not None:
                yield tiled_mapping(quantized, cores)
        searched = [name for name in SEARCHES if name in methods]
        if searched and most > 1 and (wanted.methods or Sparse in kinds):
            yield from self._searched(quantized, wanted, most, searched, notes)

    def _searched(self, quantized: QuantizedNetwork, wanted: Constraints, most: int,
                  methods: list[str], notes: Diagnostics) -> Iterator[Mapping]:
        # Numba and scipy are loaded for networks that need them only.
        from neurocompile.passes.portfolio import search
        from neurocompile.passes.portfolio.hypergraph import hypergraph, n_pins

        network = ChipNetwork(quantized, wanted)
        pins, apart = n_pins(quantized), _kept_apart(network)
        not_tried = " and ".join(SEARCHES[name] for name in methods) + (
            " were not tried" if len(methods) > 1 else " was not tried")
        if pins > MOST_SYNAPSES:
            notes.add("I528", "network", not_tried, got=f"{pins} synapses",
                      limit=f"{MOST_SYNAPSES}")
            return
        if apart:
            notes.add("I528", "network", not_tried, got=apart,
                      hint="neurons of any populations would be together")
            return
        graph = hypergraph(quantized, self.rates, network.neurons_limit)
        room = MOST_COUNTS // max(1, len(graph.net_kind))
        least = core_lower_bound(quantized)
        if room < least:
            notes.add("I528", "network", not_tried, got=f"{len(graph.net_kind)} axons",
                      limit=f"{MOST_COUNTS} axons x cores")
            return
        most = min(most, room)
        pinned = search.pinned_homes(graph, quantized, network)
        if not (pinned < 0).any():
            return  # nothing is left to choose
        start = 0
        for name in methods:
            if name == "growth":
                home, needed = search.grown(graph, pinned, most, self.seed)
                start = search.first_parts(needed)
            else:
                cut = self._cut(name, graph, pinned, pins * max(start, least), notes)
                home = cut and search.by_parts(graph, pinned, cut, least, most, self.seed, start)
                if home is not None:  # the next one starts where this ended
                    start = int(home.max()) + 1 - network.n_pinned
            if home is not None:
                yield search.mapping_of(quantized, graph, home, network.n_pinned)
                if _fewest_cores(quantized, wanted):
                    most = min(most, int(home.max()) + 1)

    def _cut(self, name: str, graph: Graph, pinned: Homes, parted: int,
             notes: Diagnostics) -> Cut | None:
        """The partitioner of this name, or None after a note that says why not. ``parted``:
        synapses times the parts to start with."""
        from neurocompile.passes.portfolio import cuts

        if name == "metis":
            if cuts.has_metis():
                return cuts.metis(graph, pinned, self.seed)
            package, extra = "pymetis", "mapping"
        else:
            if parted > MOST_PARTED:
                notes.add("I528", "network", "Mt-KaHyPar was not tried",
                          got=f"{parted} synapses x parts", limit=f"{MOST_PARTED}")
                return None
            if cuts.has_mtkahypar():
                return cuts.mtkahypar(graph, pinned, self.seed)
            package, extra = "mtkahypar", "mtkahypar"
        notes.add("I528", "network", f"{SEARCHES[name]} was not tried",
                  got=f"{package} is not installed", hint=f"pip install 'neurocompile[{extra}]'")
        return None


def _fewest_cores(quantized: QuantizedNetwork, wanted: Constraints) -> bool:
    """Is a candidate with more cores than another never better? Not so by weights, nor where it may
    be the one whose links between chips keep their limit."""
    return not wanted.weights and not quantized.target.chip.link_messages


def _none_of(methods: tuple[str, ...], notes: Diagnostics) -> CompileError:
    """E549, and what was not tried."""
    found = Diagnostics()
    found.add("E549", "partition.methods", "none of the methods gives a mapping within the limits",
              got=", ".join(methods), hint="name blocks as well, or leave the key out")
    found.extend(notes)
    return CompileError(found)


def _kept_apart(network: ChipNetwork) -> str:
    """Why some neurons that nobody pinned may not be on a core with some others; '' if they may."""
    free = [p for p in network.populations.values() if p.free()]
    if not network.wanted.share_cores and len(free) > 1:
        return "share_cores = false"
    chips = sorted({p.chip for p in free if p.chip is not None})
    return "populations on chips " + ", ".join(map(str, chips)) if len(chips) > 1 else ""


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
