"""From a flat graph with shapes to a :class:`Network`.

Populations are the neuron nodes, the inputs, and a ``Sum`` for every output that is not simply
one population. Every path of linear nodes from a population to the next is one projection; nodes
shared by several paths are shared objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.flatten import FlatGraph
from neurocompile.frontends.raw import ReadLimits, shown
from neurocompile.frontends.recurrence import recurrent_pairs
from neurocompile.frontends.shapes import Shaped
from neurocompile.ir.base import Array, n_elements
from neurocompile.ir.network import Bias, Network, Population, Port, Projection
from neurocompile.ir.transforms import Reshape, Transform
from neurocompile.models import Source, Sum

_OPS_A_PATH = 100
"""With ``max_paths``, bounds the summed length of all paths."""


@dataclass(frozen=True)
class _Path:
    """From ``source`` through ``nodes`` to ``end`` (a population or an output node)."""

    source: str
    nodes: tuple[str, ...]
    end: str
    ops: tuple[Transform, ...]
    via: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        return self.source, self.end, self.nodes


def build_network(flat: FlatGraph, shaped: Shaped, limits: ReadLimits,
                  provenance: tuple[tuple[str, str], ...],
                  diagnostics: Diagnostics) -> Network | None:
    """The network of a graph without errors so far; None if E106, E125 or E126 was added."""
    builder = _Builder(flat, shaped)
    for cycle in builder.cycles():
        delayed = any(flat.nodes[name].type == "Delay" for name in cycle)
        diagnostics.add(
            "E125", ", ".join(map(shown, cycle[:8])), "these nodes form a cycle without a neuron",
            got="a Delay node alone does not break a cycle" if delayed else "",
            hint="put a neuron into the loop")
    if any(d.is_error for d in diagnostics):
        return None
    n_paths, n_ops = builder.count_paths()
    if n_paths > limits.max_paths or n_ops > _OPS_A_PATH * limits.max_paths:
        diagnostics.add(
            "E126", "graph", "linear nodes between populations branch and join too often",
            got=f"{n_paths:.3g} paths of {n_ops:.3g} nodes in all" if n_ops < 10**300 else "",
            limit=f"{limits.max_paths} paths of {_OPS_A_PATH * limits.max_paths} nodes",
            hint="put a neuron between them, or fold them into one matrix")
        return None
    network = builder.network(provenance, diagnostics)
    total = sum(n_elements(p.shape) for p in network.populations)
    if total > limits.max_neurons:
        diagnostics.add("E106", "graph", "the network has too many neurons", got=total,
                        limit=limits.max_neurons,
                        hint="raise ReadLimits.max_neurons if the file is trusted")
        return None
    return network


class _Builder:
    def __init__(self, flat: FlatGraph, shaped: Shaped):
        self.flat = flat
        self.shaped = shaped
        self.after: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for a, b in sorted(flat.edges):
            self.after[a].append(b)
        self.names = sorted(flat.nodes)
        self.linear = [n for n in self.names if not self.is_end(n)]
        self.taken: set[str] = set()

    def is_end(self, name: str) -> bool:
        """Whether paths start and end here: populations, inputs and outputs of the network."""
        return self.shaped.parts[name].model is not None or self.flat.is_stop(name)

    def linear_graph(self) -> Any:
        graph = nx.DiGraph()
        graph.add_nodes_from(self.linear)
        graph.add_edges_from((a, b) for a in self.linear for b in self.after[a]
                             if not self.is_end(b))
        return graph

    def cycles(self) -> list[list[str]]:
        graph = self.linear_graph()
        found = [sorted(part) for part in nx.strongly_connected_components(graph)
                 if len(part) > 1 or graph.has_edge(*(2 * list(part)))]
        return sorted(found)

    def count_paths(self) -> tuple[int, int]:
        """How many paths projections and biases need, and their summed length; not listed yet."""
        count: dict[str, int] = {}
        length: dict[str, int] = {}
        for name in reversed(list(nx.topological_sort(self.linear_graph()))):
            count[name], length[name] = self._count(name, count, length)
        starts = [n for n in self.names if self.is_end(n) or self.shaped.parts[n].bias is not None]
        counted = [self._count(n, count, length) for n in starts]
        return sum(c for c, _ in counted), sum(n for _, n in counted)

    def _count(self, name: str, count: dict[str, int],
               length: dict[str, int]) -> tuple[int, int]:
        ends = sum(self.is_end(b) for b in self.after[name])
        onward = [b for b in self.after[name] if not self.is_end(b)]
        n = ends + sum(count[b] for b in onward)
        return n, ends + sum(length[b] + count[b] for b in onward)

    def paths(self, source: str) -> Iterator[_Path]:
        """Every path from a node to the next population or output.

        Links lead from the end of a path to its start, so that long ones share their beginning.
        """
        stack: list[tuple[str, Any]] = [(source, None)]
        while stack:
            name, link = stack.pop()
            if link is not None and self.is_end(name):
                yield self._path(source, name, link)
                continue
            for successor in reversed(self.after[name]):
                stack.append((successor, (name, link)))

    def _path(self, source: str, end: str, link: Any) -> _Path:
        nodes = [end]
        while link is not None:
            name, link = link
            nodes.append(name)
        nodes.reverse()
        ops: list[Transform] = []
        via: list[str] = []
        for a, b in pairwise(nodes):
            reshape = self.shaped.reshapes.get((a, b))
            ops.extend([reshape] if reshape is not None else [])
            op = self.shaped.parts[b].op if b != end else None
            if op is not None:
                ops.append(op)
                via.append(b)
        return _Path(source, tuple(nodes[1:-1]), end, tuple(ops), tuple(via))

    def network(self, provenance: tuple[tuple[str, str], ...],
                diagnostics: Diagnostics) -> Network:
        ends = [n for n in self.names if self.is_end(n)]
        paths = sorted((p for n in ends for p in self.paths(n)), key=lambda p: p.key)
        populations = self.populations(ends)
        read, sums = self.outputs(ends, paths)
        populations += [Population(name, self.shaped.in_shapes[output],
                                   Sum(n_elements(self.shaped.in_shapes[output])))
                        for output, name in sums.items()]
        kept = [p for p in paths if p.end not in read or p.end in sums]
        pairs = {(p.source, sums.get(p.end, p.end)) for p in kept}
        late = recurrent_pairs([p.name for p in populations], pairs)
        self.taken = set()
        projections = tuple(self.projection(p, sums, late) for p in kept)
        biases = self.biases(sums, read, kept, late)
        _report_loops(projections, diagnostics)
        ports = [Port(n, n, self.shaped.parts[n].out_shape) for n in ends
                 if self.flat.nodes[n].type == "Input" and self.flat.is_stop(n)]
        outputs = [Port(n, read[n], self.shaped.in_shapes[n]) for n in sorted(read)]
        return Network(tuple(sorted(populations, key=lambda p: p.name)), projections, biases,
                       tuple(ports), tuple(outputs), provenance)

    def populations(self, ends: Iterable[str]) -> list[Population]:
        found = []
        for name in ends:
            part = self.shaped.parts[name]
            if part.model is not None:
                found.append(Population(name, part.out_shape, part.model))
            elif self.flat.nodes[name].type == "Input":
                found.append(Population(name, part.out_shape, Source(n_elements(part.out_shape))))
        return found

    def outputs(self, ends: Iterable[str],
                paths: list[_Path]) -> tuple[dict[str, str], dict[str, str]]:
        """Per output node the population that is read, and those that need a Sum, by its name."""
        arriving: dict[str, list[_Path]] = {}
        for path in paths:
            arriving.setdefault(path.end, []).append(path)
        read: dict[str, str] = {}
        sums: dict[str, str] = {}
        for name in ends:
            if self.flat.nodes[name].type != "Output" or not self.flat.is_stop(name):
                continue
            only = arriving[name][0] if len(arriving[name]) == 1 else None
            if only is not None and self.shaped.parts[only.source].model is not None \
                    and all(isinstance(op, Reshape) for op in only.ops):
                read[name] = only.source
                continue
            summed = f"{name}.sum"
            while summed in self.flat.nodes:
                summed += "_"
            read[name] = sums[name] = summed
        return read, sums

    def unique(self, wanted: str) -> str:
        """``wanted``, or with "#2" and so on for further ones between the same ends."""
        name, i = wanted, 2
        while name in self.taken:
            name, i = f"{wanted}#{i}", i + 1
        self.taken.add(name)
        return name

    def projection(self, path: _Path, sums: dict[str, str],
                   late: set[tuple[str, str]]) -> Projection:
        target = sums.get(path.end, path.end)
        return Projection(self.unique(f"{path.source}->{target}"), path.source, target, path.ops,
                          (path.source, target) in late, path.via)

    def biases(self, sums: dict[str, str], read: dict[str, str], kept: list[_Path],
               late: set[tuple[str, str]]) -> tuple[Bias, ...]:
        """One bias for each node that has one and each way it reaches a population.

        It is recurrent if all that reaches the node and goes the same way on does so late.
        """
        on_time: set[tuple[str, str]] = set()
        for path in kept:
            target = sums.get(path.end, path.end)
            if (path.source, target) not in late:
                on_time.update((node, target) for node in path.nodes)
        found = []
        self.taken = set()
        for node in self.linear:
            value = self.shaped.parts[node].bias
            if value is None or not np.any(value != 0):
                continue
            for path in sorted(self.paths(node), key=lambda p: p.key):
                target = sums.get(path.end, path.end)
                if path.end in read and path.end not in sums:
                    continue
                found.append(Bias(self.unique(f"{node}.bias->{target}"), _read_only(value), target,
                                  path.ops, (node, target) not in on_time, (node, *path.via)))
        return tuple(found)


def _read_only(value: Array) -> Array:
    value.flags.writeable = False  # one array for every bias made of it
    return value


def _report_loops(projections: Iterable[Projection], diagnostics: Diagnostics) -> None:
    late = [p.name for p in projections if p.recurrent and p.source != p.target]
    if late:
        diagnostics.add("I101", "graph", "loops over several populations: these projections "
                        "deliver one step late: " + ", ".join(map(shown, late)))
