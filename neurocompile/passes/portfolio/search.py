"""Candidates for unstructured networks: overlap growth, and the parts of a partitioner."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.passes.cores import ChipNetwork
from neurocompile.passes.portfolio.cuts import Cut
from neurocompile.passes.portfolio.grow import grow
from neurocompile.passes.portfolio.hypergraph import Graph, offsets_of
from neurocompile.passes.portfolio.refine import dissolve, improve, repair
from neurocompile.passes.portfolio.state import OUT, State, all_sent, empty_state, legal, load

Homes = npt.NDArray[np.int64]

GROWTH_ROUNDS = 5
"""Rounds of growth; each leaves room for the output axons that the one before needed."""
SETTLED = 0.01
"""Part by which the output axons of a growth may differ from what was left free for them."""
CUTS = 10
"""Numbers of parts that are tried with a partitioner."""
LIKELY = 0.9
"""Partitioners start with this part of the cores that growth needs: they are seldom so much
better."""
REPAIRABLE = 1.1
"""Parts that need so many times more cores are not repaired."""
PASSES = 4
"""Passes of single moves; later ones move almost nothing."""
TIGHT = 0.985
"""Part of the output axons that repairs evict to: what others do next takes some more."""
REPAIRS = 30
FAILURES = 6
"""Cores that could not be emptied before dissolving ends."""


def pinned_homes(graph: Graph, quantized: QuantizedNetwork, network: ChipNetwork) -> Homes:
    """The core of every pinned vertex, -1 for all others."""
    home = np.full(len(graph.population), -1, np.int64)
    for name, offset in offsets_of(quantized).items():
        population = network.populations[name]
        if not population.free():
            for core, block in zip(population.cores, population.blocks or [], strict=True):
                home[offset + block.start:offset + block.stop] = core
    return home


def grown(graph: Graph, pinned: Homes, most_cores: int, seed: int) -> tuple[Homes | None, float]:
    """By overlap growth: the core of every vertex, or None where that needs too many cores; and how
    many cores its fullest resource needs. ``pinned``: see :func:`pinned_homes`."""
    rng = np.random.default_rng(seed)
    order = np.flatnonzero(pinned < 0)[rng.permutation(int((pinned < 0).sum()))]
    first = int(pinned.max(initial=-1)) + 1
    expected = np.diff(graph.out_indptr) * graph.net_slots.max(initial=1)
    best, needed = None, np.inf
    for number in range(GROWTH_ROUNDS):
        state = empty_state(graph, most_cores + 1)
        load(graph, state, pinned)
        n_used = int(grow(_scaled(graph, 1 - 0.01 * number), state, expected, order, first))
        if n_used < 0:
            break
        measured = all_sent(graph, state)
        needed = min(needed, _needed(graph, state, first))
        before = best
        if number or legal(graph, state, first, n_used):  # the first leaves no room: it measures
            best = _better(best, finished(graph, state, n_used, rng, pinned))
        # What was left free is what is needed, or leaving more free only costs cores.
        settled = abs(measured.sum() - expected.sum()) <= SETTLED * measured.sum()
        if best is not None and (settled or best is before):
            break
        expected = measured
    return best[2] if best else None, needed


def first_parts(needed: float) -> int:
    """How many parts to start with where growth needs so many cores, or found nothing (inf)."""
    return int(LIKELY * needed) if np.isfinite(needed) else 0


def by_parts(graph: Graph, pinned: Homes, cut: Cut, least_cores: int, most_cores: int, seed: int,
             start: int = 0) -> Homes | None:
    """By a partitioner, with as many parts as the fullest resource needs, or None as :func:`grown`.

    More parts need more, because neurons send to more of them. So the number is sought where it is
    what it needs, from ``start`` on; and where it needs more cores than there are (or than another
    method took), so does every larger number.

    cut: of :mod:`neurocompile.passes.portfolio.cuts`, made for the same ``pinned``.
    """
    rng = np.random.default_rng(seed)
    first = int(pinned.max(initial=-1)) + 1
    least, most = max(least_cores - first, 1), most_cores - first
    k = max(least, start)
    tried: set[int] = set()
    best = None
    outgoing = np.diff(graph.out_indptr).astype(float)
    while k <= most and k not in tried and len(tried) < CUTS:
        tried.add(k)
        home = np.where(pinned < 0, first + cut(k, _vertex_weights(graph, outgoing)), pinned)
        state = empty_state(graph, first + min(most, k + k // 4 + 4) + 1)
        load(graph, state, home)
        outgoing = all_sent(graph, state).astype(float)
        needed = _needed(graph, state, first)
        if needed > most:
            break
        wanted = max(int(np.ceil(1.03 * needed)), least)
        found = None
        if needed <= REPAIRABLE * k:
            found = finished(graph, state, first + k, rng, pinned)
            best = _better(best, found)
        # More parts if these are not enough, fewer if they are more than enough.
        if found is None:
            k = max(k + 1 + k // 64, wanted)
        elif k == min(tried) and wanted < k:
            k = wanted
        else:
            break
        if best is not None and first + k >= best[0]:
            break
    return best[2] if best else None


def finished(graph: Graph, state: State, n_used: int, rng: np.random.Generator,
             pinned: Homes) -> tuple[int, float, Homes] | None:
    """Repaired and improved: (cores, messages, home), or None where no repair was found."""
    free, first = np.flatnonzero(pinned < 0), int(pinned.max(initial=-1)) + 1
    improve(graph, state, first, n_used, free[rng.permutation(len(free))])
    n_used = int(repair(graph, _scaled(graph, TIGHT), state, first, n_used, REPAIRS))
    if n_used < 0:
        return None
    for _ in range(PASSES):
        moved = improve(graph, state, first, n_used, free[rng.permutation(len(free))])
        emptied = dissolve(graph, state, first, n_used, FAILURES)
        if moved + emptied * 1000 < 0.002 * len(free):
            break
    home = np.unique(state.home, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return int(home.max(initial=-1)) + 1, messages_of(graph, state), home


def messages_of(graph: Graph, state: State) -> float:
    """Messages a step between cores and from the host to cores."""
    on_chip = graph.net_home >= 0
    own = np.zeros(len(graph.net_home), np.int64)
    own[on_chip] = state.pins[np.flatnonzero(on_chip),
                              state.home[graph.net_home[on_chip]]] > 0
    return float(np.sum((state.cores - own) * graph.net_rate))


def mapping_of(quantized: QuantizedNetwork, graph: Graph, home: Homes,
               n_pinned: int = 0) -> Mapping:
    """The mapping of an assignment; pinned cores keep their numbers, all others are numbered by
    the first neuron they hold."""
    _, first, number = np.unique(home, return_index=True, return_inverse=True)
    first[:n_pinned] = np.arange(n_pinned) - n_pinned
    home = np.argsort(np.argsort(first))[number.reshape(-1)]
    state = empty_state(graph, len(first))
    load(graph, state, home)
    slices, fan_out = [], np.zeros(len(first), np.int64)
    for name, offset in offsets_of(quantized).items():
        here = home[offset:offset + quantized.population(name).n]
        sent = _synapses_sent(graph)[offset:offset + len(here)]
        np.maximum.at(fan_out, here, sent)
        order = np.argsort(here, kind="stable")
        starts = np.flatnonzero(np.diff(here[order], prepend=-1))
        slices += [Slice(name, int(here[part[0]]), part)
                   for part in np.split(order, starts[1:]) if part.size]
    rows = np.column_stack([np.arange(len(first)), state.use, fan_out]).tolist()
    use = tuple(CoreUse(*row) for row in rows)
    slices.sort(key=lambda part: part.core)
    return Mapping(quantized, quantized.target, tuple(slices), use)


def _synapses_sent(graph: Graph) -> Homes:
    sent = graph.net_home >= 0
    pins = np.diff(graph.net_indptr)
    total = np.bincount(graph.net_home[sent], pins[sent], len(graph.population))
    return np.array(total, dtype=np.int64)


def _better(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b, key=lambda found: found[:2])


def _needed(graph: Graph, state: State, first: int) -> float:
    """Cores that the sum of each resource on all but pinned cores would fill; the largest."""
    limited = graph.limits[:4] > 0
    total = state.use[first:, :4].sum(axis=0)[limited]
    return float(np.max(total / graph.limits[:4][limited], initial=1.0))


def _vertex_weights(graph: Graph, outgoing: npt.NDArray[np.float64]) -> Homes:
    """The part of a core each vertex takes of its scarcest resource, in thousandths of the mean."""
    fan_in = np.diff(graph.indptr).astype(float)
    shares = [np.ones(len(fan_in)) / graph.limits[0] if graph.limits[0] else 0 * fan_in]
    for limit, use in ((graph.limits[2], outgoing), (graph.limits[3], fan_in * 18.0)):
        shares.append(use / limit if limit else 0 * fan_in)
    share = np.maximum.reduce(shares)
    weights: Homes = np.maximum(np.round(1000 * share / max(share.mean(), 1e-12)), 1).astype(
        np.int64)
    return weights


def _scaled(graph: Graph, part: float) -> Graph:
    """The same with a part of the output axons."""
    limits = graph.limits.copy()
    limits[OUT] = int(limits[OUT] * part)
    return graph._replace(limits=limits)
