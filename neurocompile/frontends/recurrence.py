"""Which connections of a network lead back, and so deliver one step late."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx

Pair = tuple[str, str]


def recurrent_pairs(populations: Iterable[str], pairs: Iterable[Pair]) -> set[Pair]:
    """The recurrent (source, target) pairs of a population graph.

    Within a strongly connected component populations are ordered by their distance from the
    entries: those with a connection from outside, or the smallest name if there are none. A
    connection that does not lead to a greater distance is recurrent; self loops always are.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(populations))
    graph.add_edges_from(sorted(pairs))
    late: set[Pair] = set()
    for component in nx.strongly_connected_components(graph):
        entries = sorted(n for n in component if set(graph.predecessors(n)) - component)
        depth = _distances(graph.subgraph(component), entries or [min(component)])
        late.update((p, q) for p in component for q in graph.successors(p)
                    if q in component and depth[q] <= depth[p])
    return late


def _distances(graph: nx.DiGraph[str], entries: list[str]) -> dict[str, int]:
    depth = dict.fromkeys(entries, 0)
    frontier = entries
    while frontier:
        found = sorted({q for p in frontier for q in graph.successors(p)} - set(depth))
        depth.update((q, depth[frontier[0]] + 1) for q in found)
        frontier = found
    return depth
