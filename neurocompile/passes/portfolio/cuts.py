"""Networks cut into k parts, by METIS and Mt-KaHyPar where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from neurocompile.passes.portfolio.hypergraph import Graph

Homes = npt.NDArray[np.int64]
Cut = Callable[[int, Homes], Homes]
"""From a number of parts and the weight of each vertex to the part of each. Pinned vertices are in
any part and weigh nothing."""

IMBALANCE = 0.03
"""By how much a part of Mt-KaHyPar may be heavier than the mean; METIS has the same by default."""

MOST_WEIGHT = 1 << 30
"""The largest sum of weights for Mt-KaHyPar, which adds them in 32 bits."""


def has_metis() -> bool:
    """Is pymetis installed?"""
    return find_spec("pymetis") is not None


def has_mtkahypar() -> bool:
    """Is mtkahypar installed?"""
    return find_spec("mtkahypar") is not None


def metis(graph: Graph, pinned: Homes, seed: int) -> Cut:
    """METIS, which cuts few edges: who sends to whom, both ways, with rates."""
    import pymetis

    adjacency, n_sources = _adjacency(graph)
    free = pinned < 0

    def cut(k: int, weights: Homes) -> Homes:
        weights = np.concatenate([np.where(free, weights, 0), np.zeros(n_sources, np.int64)])
        parts = pymetis.part_graph(
            k, pymetis.CSRAdjacency(adjacency.indptr, adjacency.indices), vweights=weights,
            eweights=adjacency.data, options=pymetis.Options(seed=seed),
            recursive=k <= 8).vertex_part
        return np.asarray(parts[:len(free)], np.int64)

    return cut


def mtkahypar(graph: Graph, pinned: Homes, seed: int) -> Cut:
    """Mt-KaHyPar, which makes few messages: an axon of n parts, that of its source among them, is
    n - 1 times its rate.

    The deterministic preset: the same for one seed and one version, whatever the threads. It is
    initialised once a process and has no end of that; with one thread it starts none.
    """
    library = import_module("mtkahypar")
    edges, rates = _hyperedges(graph, pinned)
    free = np.flatnonzero(pinned < 0)
    started = library.initialize(1, print_warnings=False)

    def cut(k: int, weights: Homes) -> Homes:
        parts = np.zeros(len(pinned), np.int64)
        if k == 1 or not edges:
            parts[free] = np.arange(len(free)) % k
            return parts
        context = started.context_from_preset(library.PresetType.DETERMINISTIC)
        context.set_partitioning_parameters(k, IMBALANCE, library.Objective.KM1)
        context.logging = False
        library.set_seed(seed % (1 << 31))
        hypergraph = started.create_hypergraph(
            context, len(free), len(edges), edges, _fitting(weights[free]).tolist(), rates)
        parts[free] = hypergraph.partition(context).get_partition()
        return parts

    return cut


def _hyperedges(graph: Graph, pinned: Homes) -> tuple[list[list[int]], list[int]]:
    """The axons that reach several neurons that are not pinned, their sources counted; and weights
    as :func:`_scaled_rates`."""
    number = np.where(pinned < 0, np.cumsum(pinned < 0) - 1, -1)
    edges, rates = [], []
    pins, source = number[graph.pins], np.where(graph.net_home < 0, -1, number[graph.net_home])
    for net, rate in enumerate(_scaled_rates(graph).tolist()):
        if graph.net_axons[net] == 0:
            continue  # kernels are no connections
        reached = pins[graph.net_indptr[net]:graph.net_indptr[net + 1]]
        edge = np.unique(np.append(reached, source[net]))
        edge = edge[np.searchsorted(edge, 0):]
        if len(edge) > 1:
            edges.append(edge.tolist())
            rates.append(rate)
    part = _part(sum(rate * len(edge) for rate, edge in zip(rates, edges, strict=True)))
    return edges, [max(int(rate * part), 1) for rate in rates]


def _fitting(weights: Homes) -> Homes:
    """Scaled so that the library can add them."""
    return np.maximum((weights * _part(int(weights.sum()))).astype(np.int64), 1)


def _part(total: int) -> float:
    """What to multiply weights of this sum with."""
    return min(1.0, MOST_WEIGHT / max(total, 1))


def _scaled_rates(graph: Graph) -> Homes:
    """Rates as whole numbers: ten times the mean's part, at least 1 and at most 1000."""
    scale = max(float(graph.net_rate.mean()) if len(graph.net_rate) else 1.0, 1e-12)
    return np.clip(np.round(10 * graph.net_rate / scale), 1, 1000).astype(np.int64)


def _adjacency(graph: Graph) -> tuple[Any, int]:
    """Who sends to whom, both ways, with rates; sources of the host are vertices after the rest."""
    n = len(graph.population)
    sizes = np.diff(graph.net_indptr)
    real = graph.net_axons > 0  # kernels are no connections
    source = graph.net_home.copy()
    hosts = np.flatnonzero((source < 0) & real)
    source[hosts] = n + np.arange(len(hosts))
    keep = np.repeat(real, sizes)
    rows = np.repeat(source, sizes)[keep]
    columns = graph.pins[keep]
    rate = _scaled_rates(graph).astype(float)
    size = n + len(hosts)
    directed = sp.csr_matrix((np.repeat(rate, sizes)[keep], (rows, columns)), (size, size))
    both = directed + directed.T
    both.setdiag(0)
    both.eliminate_zeros()
    both.data = both.data.astype(np.int64)
    return both.tocsr(), len(hosts)
