"""Open ends and shapes of a flat graph.

NIR's own inference takes convolution kernels for square and ignores groups, so shapes are inferred
here: forward from everything that declares one, then every edge is compared.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.flatten import FlatGraph
from neurocompile.frontends.nodes import Imported
from neurocompile.frontends.part import Part, Refused
from neurocompile.frontends.raw import Edge, RawNode, shown
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.transforms import Reshape

Nodes = dict[str, Imported | None]


@dataclass
class Shaped:
    """Input shape and :class:`Part` of each node; a Reshape for each edge that needs one."""

    in_shapes: dict[str, Shape] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    reshapes: dict[Edge, Reshape] = field(default_factory=dict)


def close_open_ends(flat: FlatGraph, nodes: Nodes, diagnostics: Diagnostics) -> None:
    """Drops unconnected nodes and adds implicit inputs and outputs, in place.

    Adds E121, E123, E124, W102..W104.
    """
    sources, targets = {a for a, _ in flat.edges}, {b for _, b in flat.edges}
    _check_direction(flat, diagnostics)
    for name in sorted(flat.nodes):
        kind, top = flat.nodes[name].type, flat.is_stop(name)
        if kind == "Output" and top and name not in targets:
            diagnostics.add("E123", shown(name), "the Output has no incoming edge")
        elif name not in sources and name not in targets:
            if kind is not None:
                diagnostics.add("W104", shown(name), "the node has no edges and is left out")
            del flat.nodes[name]
            del nodes[name]
            continue
        if name not in targets and not top:
            _add_input(flat, nodes, name, diagnostics)
        if name not in sources and not top:
            _add_output(flat, nodes, name, diagnostics)
    flat.edges.sort()
    for kind in ("Input", "Output"):
        if not any(flat.is_stop(n) and node.type == kind for n, node in flat.nodes.items()):
            diagnostics.add("E124", "graph", f"the network has no {kind}",
                            hint=f"add an {kind} node")


def _check_direction(flat: FlatGraph, diagnostics: Diagnostics) -> None:
    for a, b in flat.edges:
        label = f"edge {shown(a)} -> {shown(b)}"
        if flat.is_stop(a) and flat.nodes[a].type == "Output":
            diagnostics.add("E123", label, "an Output sends nothing on",
                            hint="start the edge at the node that feeds the Output")
        if flat.is_stop(b) and flat.nodes[b].type == "Input":
            diagnostics.add("E123", label, "an Input takes no edge",
                            hint="end the edge at the nodes the Input feeds")


def _add_input(flat: FlatGraph, nodes: Nodes, name: str, diagnostics: Diagnostics) -> None:
    imported = nodes[name]
    if imported is None:
        return
    shape = imported.in_shape
    if shape is None:
        diagnostics.add("E121", shown(name), "no edge leads to the node and it does not say the "
                        "shape of its input", hint="add an Input node")
        return
    added = _free_name(f"input_{flat.entry_of.get(name, name)}", flat)
    diagnostics.add("W102", shown(name), f"no edge leads to the node; the input {shown(added)!r} "
                    "was added", got=f"shape {shape}")
    flat.nodes[added] = RawNode("Input")
    nodes[added] = Imported("input", shape, shape, lambda s: Part(s))
    flat.edges.append((added, name))


def _add_output(flat: FlatGraph, nodes: Nodes, name: str, diagnostics: Diagnostics) -> None:
    added = _free_name(f"output_{flat.exit_of.get(name, name)}", flat)
    diagnostics.add("W103", shown(name), f"no edge leaves the node; the output {shown(added)!r} "
                    "was added")
    flat.nodes[added] = RawNode("Output")
    nodes[added] = Imported("output", None, None, lambda s: Part(s))
    flat.edges.append((name, added))


def _free_name(wanted: str, flat: FlatGraph) -> str:
    name, i = wanted, 0
    while name in flat.nodes:
        name, i = f"{wanted}_{i}", i + 1
    return name


def infer_shapes(flat: FlatGraph, nodes: Nodes, diagnostics: Diagnostics) -> Shaped:
    """Shapes of all nodes. Adds E106, E120..E122, W101."""
    shaped = _Inference(flat, nodes, diagnostics).run()
    known = {name for name in nodes if name in shaped.parts}
    for a, b in flat.edges:
        if a in known and b in shaped.in_shapes:
            _check_edge(a, b, shaped, diagnostics)
    if not any(d.is_error for d in diagnostics):
        for name in sorted(set(nodes) - known):
            diagnostics.add("E121", shown(name), "the shape of its input cannot be inferred",
                            hint="give its parameters, or those of a node before it, a shape")
    return shaped


class _Inference:
    def __init__(self, flat: FlatGraph, nodes: Nodes, diagnostics: Diagnostics):
        self.nodes = nodes
        self.diagnostics = diagnostics
        self.shaped = Shaped()
        self.before: dict[str, list[str]] = {name: [] for name in flat.nodes}
        self.after: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for a, b in flat.edges:
            self.before[b].append(a)
            self.after[a].append(b)

    def run(self) -> Shaped:
        queue: deque[str] = deque()
        for name in sorted(self.nodes):
            imported = self.nodes[name]
            if imported is not None and imported.in_shape is not None:
                self.build(name, imported, imported.in_shape)
                queue.append(name)
        while queue:
            name = queue.popleft()
            if name not in self.shaped.parts:
                continue
            for successor in self.after[name]:
                imported = self.nodes[successor]
                if imported is None or successor in self.shaped.in_shapes:
                    continue
                self.build(successor, imported, self.shaped.parts[name].out_shape)
                queue.append(successor)
        return self.shaped

    def build(self, name: str, imported: Imported, shape: Shape) -> None:
        self.shaped.in_shapes[name] = shape
        try:
            self.shaped.parts[name] = imported.build(shape)
        except Refused as refused:
            feeding = ", ".join(map(shown, self.before[name][:3])) or "?"
            self.diagnostics.add(refused.code, f"{feeding} -> {shown(name)}", refused.message,
                                 got=refused.got, limit=refused.limit, hint=refused.hint)


def _check_edge(a: str, b: str, shaped: Shaped, diagnostics: Diagnostics) -> None:
    sent, taken = shaped.parts[a].out_shape, shaped.in_shapes[b]
    if sent == taken:
        return
    label = f"edge {shown(a)} -> {shown(b)}"
    if [e for e in sent if e != 1] == [e for e in taken if e != 1]:
        diagnostics.add("W101", label, "the shapes differ by axes of length 1; elements are "
                        "matched in order", got=f"{shown(a)} sends {sent}, "
                        f"{shown(b)} takes {taken}")
        shaped.reshapes[a, b] = Reshape(sent, taken)
        return
    same = n_elements(sent) == n_elements(taken)
    diagnostics.add("E120", label, "the shapes disagree", got=f"{shown(a)} sends {sent}",
                    limit=f"{shown(b)} takes {taken}",
                    hint="add a Flatten node between them" if same and len(taken) == 1 else "")
