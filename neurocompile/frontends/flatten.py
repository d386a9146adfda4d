"""Subgraphs flattened into one graph, and ends added where a file leaves them open."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import dataclass, field

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.raw import Edge, RawGraph, RawNode, joined, shown

_MAX_HINTS = 20
"""Looking for similar names costs time; after this many a reader has understood."""


@dataclass
class FlatGraph:
    """Nodes by flat name (``outer.inner``); ``inner`` names those of subgraphs, whose Input and
    Output nodes pass signals through. ``entry_of`` and ``exit_of`` map the only Input and Output
    of a subgraph to the subgraph's own name. With ``edges_lost`` (already reported) nodes may look
    unconnected that are not."""

    nodes: dict[str, RawNode] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    inner: set[str] = field(default_factory=set)
    entry_of: dict[str, str] = field(default_factory=dict)
    exit_of: dict[str, str] = field(default_factory=dict)
    edges_lost: bool = False

    def is_stop(self, name: str) -> bool:
        """Whether the node is an Input or Output of the whole network."""
        return name not in self.inner and self.nodes[name].type in ("Input", "Output")


def flatten(graph: RawGraph, diagnostics: Diagnostics) -> FlatGraph:
    """One flat graph, edges sorted. Adds E117..E119, E127, W106."""
    flat = FlatGraph()
    _Flattener(flat, diagnostics).graph(graph, "")
    flat.edges.sort()
    return flat


class _Flattener:
    def __init__(self, flat: FlatGraph, diagnostics: Diagnostics):
        self.flat = flat
        self.diagnostics = diagnostics
        self.hints_left = _MAX_HINTS
        self.ends: dict[tuple[str, bool], str | None] = {}

    def graph(self, graph: RawGraph, where: str) -> None:
        for name in sorted(graph.nodes):
            node, flat_name = graph.nodes[name], joined(where, name)
            if isinstance(node, RawGraph):
                self.graph(node, flat_name)
                continue
            if flat_name in self.flat.nodes:
                self.diagnostics.add("E127", shown(flat_name), "two nodes have this name once "
                                     "subgraphs are flattened", hint="rename one of them")
            self.flat.nodes[flat_name] = node
            if where:
                self.flat.inner.add(flat_name)
        for only, target in (("Input", self.flat.entry_of), ("Output", self.flat.exit_of)):
            found = _of_type(graph, only)
            if where and len(found) == 1:
                target[joined(where, found[0])] = where
        self.edges(graph, where)

    def edges(self, graph: RawGraph, where: str) -> None:
        self.flat.edges_lost |= graph.edges_lost
        for edge, count in sorted(Counter(graph.edges).items()):
            if not self.exists(edge, graph, where):
                self.flat.edges_lost = True
                continue
            label = _label(edge, where)
            if count > 1:
                self.diagnostics.add(
                    "E118", label, "the edge is given more than once", got=f"{count} times",
                    hint="remove the copies; to count a signal twice, use a Scale node")
            source = self.end(graph, edge[0], where, False, label)
            target = self.end(graph, edge[1], where, True, label)
            if source is not None and target is not None:
                self.flat.edges.append((source, target))
            else:
                self.flat.edges_lost = True

    def exists(self, edge: Edge, graph: RawGraph, where: str) -> bool:
        known = True
        for name in dict.fromkeys(edge):
            if name in graph.nodes:
                continue
            known = False
            group = graph.nodes.get(name.split("/")[0]) if "/" in name else None
            if isinstance(group, RawNode) and group.type is None:
                continue  # the name with slashes is reported already
            self.diagnostics.add("E117", _label(edge, where),
                                 f"there is no node {shown(name)!r}",
                                 hint=self.similar(name, graph))
        return known

    def similar(self, name: str, graph: RawGraph) -> str:
        if not self.hints_left or len(graph.nodes) > 5000 or len(name) > 200:
            return ""
        self.hints_left -= 1
        close = difflib.get_close_matches(name, sorted(graph.nodes), n=1, cutoff=0.5)
        return f"did you mean {shown(close[0])!r}" if close else ""

    def end(self, graph: RawGraph, name: str, where: str, entry: bool,
            label: str) -> str | None:
        """The flat node an edge meets: the node itself, or the Input or Output inside it."""
        node, flat_name = graph.nodes[name], joined(where, name)
        if isinstance(node, RawNode):
            return flat_name
        key = (flat_name, entry)
        if key not in self.ends:
            inner = self.only_end(node, flat_name, entry, label)
            self.ends[key] = None if inner is None else self.end(
                node, inner, flat_name, entry, label)
        return self.ends[key]

    def only_end(self, graph: RawGraph, where: str, entry: bool, label: str) -> str | None:
        kind = "Input" if entry else "Output"
        declared = _of_type(graph, kind)
        if len(declared) == 1:
            return declared[0]
        if not declared:
            taken = {edge[1 if entry else 0] for edge in graph.edges}
            taken.update(_of_type(graph, "Output" if entry else "Input"))
            others = [name for name in sorted(graph.nodes) if name not in taken]
            if len(others) == 1:
                self.diagnostics.add(
                    "W106", shown(where), f"the subgraph has no {kind}; its only open node "
                    f"{shown(others[0])!r} is taken for it")
                return others[0]
        self.diagnostics.add(
            "E119", label, f"it is not defined which {kind} of subgraph {shown(where)!r} is meant",
            got=", ".join(map(shown, declared)) or "none", limit=f"exactly one {kind}",
            hint="NIR edges name whole subgraphs: split the subgraph or merge its ends")
        return None


def _of_type(graph: RawGraph, kind: str) -> list[str]:
    return sorted(name for name, node in graph.nodes.items()
                  if isinstance(node, RawNode) and node.type == kind)


def _label(edge: Edge, where: str) -> str:
    text = f"edge {shown(edge[0])} -> {shown(edge[1])}"
    return f"{text} in {shown(where)}" if where else text
