"""Reads a .nir file without trusting it.

``nir.read`` reads whatever a file declares. Here every link and dataset is looked at before it is
opened or read: nothing outside the file, nothing larger than the limits, no endless nesting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.raw import (
    Budget,
    Edge,
    LimitReached,
    RawGraph,
    RawNode,
    joined,
    name_is_usable,
    shown,
)
from neurocompile.frontends.stored import (
    H5_ERRORS,
    StoredReader,
    described,
    has,
    is_openable,
    keys,
    reason,
)
from neurocompile.ir.base import n_elements

METADATA = ("metadata", "__metadata")


def read_file(path: Path, budget: Budget,
              diagnostics: Diagnostics) -> tuple[RawGraph | None, str]:
    """The graph of a file and the NIR version it states ("unknown" if none).

    Adds E101..E129 to ``diagnostics``; the graph is None where there is nothing to go on with.
    """
    name = shown(path.name)
    if not is_openable(path, name, ".nir", "nir.write", diagnostics):
        return None, "unknown"
    try:
        with h5py.File(path, "r") as file:
            return _Reader(budget, diagnostics).root(file, name)
    except LimitReached:
        return None, "unknown"
    except H5_ERRORS as error:
        diagnostics.add("E102", name, "the HDF5 file is truncated or damaged",
                        got=reason(error), hint="write or download the file again")
        return None, "unknown"


class _Reader(StoredReader):
    """Walks the groups of one file."""

    def root(self, file: Any, name: str) -> tuple[RawGraph | None, str]:
        stated = self.member(file, "version", "version") if has(file, "version") else None
        version = self.text(stated, "version") if isinstance(stated, h5py.Dataset) else None
        if version is None or not version.isprintable() or len(version) > 40:
            version = "unknown"
        if not has(file, "node"):
            self.diagnostics.add("E103", name, "the file has no group 'node'",
                                 hint="write the graph with nir.write (nir.write_data stores "
                                      "recordings, not networks)")
            return None, version
        group = self.member(file, "node", "node")
        if not isinstance(group, h5py.Group):
            if group is not None:
                self.diagnostics.add("E103", name, "'node' is not a group")
            return None, version
        kind = self.kind(group, name)
        if kind is None:
            return None, version
        if kind != "NIRGraph":
            self.diagnostics.add("E103", name, "the file holds a single node, not a graph",
                                 got=shown(kind), limit="NIRGraph",
                                 hint="wrap the node with nir.NIRGraph.from_list")
            return None, version
        return self.graph(group, "", 0), version

    def kind(self, group: Any, subject: str) -> str | None:
        if not has(group, "type"):
            self.diagnostics.add("E109", shown(subject), "the node has no 'type'")
            return None
        member = self.member(group, "type", joined(subject, "type"))
        if member is None:
            return None
        if not isinstance(member, h5py.Dataset):
            self.diagnostics.add("E112", shown(subject), "'type' is not text")
            return None
        return self.text(member, joined(subject, "type"))

    def graph(self, group: Any, where: str, depth: int) -> RawGraph:
        graph = RawGraph()
        if depth > self.budget.limits.max_depth:
            self.diagnostics.add("E107", shown(where), "subgraphs are nested too deep",
                                 limit=f"{self.budget.limits.max_depth} levels",
                                 hint="a hard link may lead back to a group around it")
            raise LimitReached
        subject = where or "graph"
        nodes = self.member(group, "nodes", subject) if has(group, "nodes") else None
        if isinstance(nodes, h5py.Group):
            for name in keys(nodes):
                self.budget.node(shown(joined(where, name)))
                node = self.node(nodes, name, where, depth)
                if node is not None:
                    graph.nodes[name] = node
        else:
            self.diagnostics.add("E111", shown(subject), "the graph has no group 'nodes'")
        before = len(self.diagnostics)
        graph.edges = self.edges(group, subject)
        graph.edges_lost = len(self.diagnostics) > before
        return graph

    def node(self, nodes: Any, name: str, where: str, depth: int) -> RawNode | RawGraph | None:
        subject = joined(where, name)
        if not name_is_usable(name, where, self.diagnostics):
            return RawNode(None)
        group = self.member(nodes, name, subject)
        if group is None:
            return RawNode(None)
        if not isinstance(group, h5py.Group):
            self.diagnostics.add("E112", shown(subject), "a node must be a group of fields")
            return RawNode(None)
        if name in METADATA and not has(group, "type"):
            return None
        if not has(group, "type") and self.holds_nodes(group):
            self.diagnostics.add(
                "E108", shown(subject), "the group has no 'type' but holds nodes: node names with "
                "slashes become nested groups in a file",
                hint="rename the nodes, for example with '_' or '.', and write the file again")
            return RawNode(None)
        kind = self.kind(group, subject)
        if kind == "NIRGraph":
            return self.graph(group, subject, depth + 1)
        node = RawNode(kind)
        if kind is not None:
            self.fields(group, subject, node)
        return node

    @staticmethod
    def holds_nodes(group: Any) -> bool:
        return any(group.get(key, getclass=True, getlink=True) is h5py.HardLink
                   and group.get(key, getclass=True) is h5py.Group for key in keys(group))

    def fields(self, group: Any, subject: str, node: RawNode) -> None:
        for key in sorted(keys(group)):
            if key == "type" or key in METADATA:
                continue
            before = len(self.diagnostics)
            value = self.field(group, key, joined(subject, key))
            if value is not None:
                node.fields[key] = value
            elif len(self.diagnostics) > before:
                node.lost.add(key)

    def edges(self, group: Any, where: str) -> list[Edge]:
        if not has(group, "edges"):
            self.diagnostics.add("E116", shown(where), "the graph has no 'edges'")
            return []
        data = self.member(group, "edges", joined(where, "edges"))
        if data is None:
            return []
        try:
            shape = data.shape if isinstance(data, h5py.Dataset) else None
            if shape is not None and not n_elements(shape):
                return []
            if shape is None or len(shape) != 2 or shape[1] != 2 or \
                    h5py.check_string_dtype(data.dtype) is None:
                self.diagnostics.add("E116", shown(where), "'edges' is not a list of name pairs",
                                     got=described(data), limit="text of shape (n, 2)")
                return []
            if shape[0] > 16 * self.budget.limits.max_nodes:
                self.diagnostics.add("E106", shown(where), "too many edges", got=shape[0],
                                     limit=16 * self.budget.limits.max_nodes)
                return []
            if not self.is_safe(data, joined(where, "edges")):
                return []
            return [(_decoded(a), _decoded(b)) for a, b in data[()]]
        except UnicodeDecodeError:
            self.diagnostics.add("E116", shown(where), "an edge holds a name that is not UTF-8")
        except H5_ERRORS as error:
            self.damaged(joined(where, "edges"), error)
        return []


def _decoded(name: Any) -> str:
    return bytes(name).decode("utf8") if isinstance(name, bytes) else str(name)
