"""Reads a .nir file without trusting it.

``nir.read`` reads whatever a file declares. Here every link and dataset is looked at before it is
opened or read: nothing outside the file, nothing larger than the limits, no endless nesting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.heaps import has_endless_heap
from neurocompile.frontends.raw import (
    Budget,
    Edge,
    LimitReached,
    RawGraph,
    RawNode,
    Value,
    joined,
    name_is_usable,
    shown,
)
from neurocompile.ir.base import n_elements

# What h5py raises on damaged files; MemoryError where a limit is set above the machine's memory.
H5_ERRORS = (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError,
             MemoryError, SystemError)
METADATA = ("metadata", "__metadata")


def read_file(path: Path, budget: Budget,
              diagnostics: Diagnostics) -> tuple[RawGraph | None, str]:
    """The graph of a file and the NIR version it states ("unknown" if none).

    Adds E101..E129 to ``diagnostics``; the graph is None where there is nothing to go on with.
    """
    name = shown(path.name)
    if not _is_openable(path, name, diagnostics):
        return None, "unknown"
    try:
        with h5py.File(path, "r") as file:
            return _Reader(budget, diagnostics).root(file, name)
    except LimitReached:
        return None, "unknown"
    except H5_ERRORS as error:
        diagnostics.add("E102", name, "the HDF5 file is truncated or damaged",
                        got=_reason(error), hint="write or download the file again")
        return None, "unknown"


def _is_openable(path: Path, name: str, diagnostics: Diagnostics) -> bool:
    try:
        if not path.exists():
            diagnostics.add("E101", name, "no such file")
            return False
        if not path.is_file():
            diagnostics.add("E101", name, "not a regular file", hint="give the .nir file itself")
            return False
        with path.open("rb") as file:
            empty = not file.read(1)
        if empty or not h5py.is_hdf5(path):
            diagnostics.add("E102", name, "the file is empty" if empty else "not an HDF5 file",
                            hint="a .nir file is written by nir.write")
            return False
        if has_endless_heap(path):
            diagnostics.add("E102", name, "the HDF5 file is truncated or damaged",
                            got="a text heap without an end",
                            hint="write or download the file again")
            return False
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        diagnostics.add("E101", name, "the file cannot be opened", got=_reason(error))
        return False
    return True


def _reason(error: BaseException) -> str:
    """The last clause of an HDF5 message, without addresses and paths, which vary."""
    text = type(error).__name__ if isinstance(error, MemoryError) else str(error)
    detail = text[text.rfind("(") + 1:].rstrip(")'\"") if "(" in text else ""
    if isinstance(error, OSError) and error.strerror and not detail:
        detail = error.strerror
    return shown(detail.split(", eof")[0].split(":")[0].strip()) if detail else type(error).__name__


class _Reader:
    """Walks the groups of one file."""

    def __init__(self, budget: Budget, diagnostics: Diagnostics):
        self.budget = budget
        self.diagnostics = diagnostics

    def root(self, file: Any, name: str) -> tuple[RawGraph | None, str]:
        stated = self.member(file, "version", "version") if _has(file, "version") else None
        version = self.text(stated, "version") if isinstance(stated, h5py.Dataset) else None
        if version is None or not version.isprintable() or len(version) > 40:
            version = "unknown"
        if not _has(file, "node"):
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

    def member(self, group: Any, key: str, subject: str) -> Any:
        """The object behind a hard link; None, with a diagnostic, for everything else."""
        self.budget.stored_object(shown(subject))
        try:
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a soft link"
                self.diagnostics.add("E104", shown(subject), f"{kind} is not followed",
                                     hint="store the data in the file itself")
                return None
            return group[key]
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None

    def damaged(self, subject: str, error: BaseException) -> None:
        self.diagnostics.add("E129", shown(subject), "this part of the file cannot be read",
                             got=_reason(error), hint="write or download the file again")

    def kind(self, group: Any, subject: str) -> str | None:
        if not _has(group, "type"):
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
        nodes = self.member(group, "nodes", subject) if _has(group, "nodes") else None
        if isinstance(nodes, h5py.Group):
            for name in _keys(nodes):
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
        if name in METADATA and not _has(group, "type"):
            return None
        if not _has(group, "type") and self.holds_nodes(group):
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
                   and group.get(key, getclass=True) is h5py.Group for key in _keys(group))

    def fields(self, group: Any, subject: str, node: RawNode) -> None:
        for key in sorted(_keys(group)):
            if key == "type" or key in METADATA:
                continue
            before = len(self.diagnostics)
            value = self.field(group, key, joined(subject, key))
            if value is not None:
                node.fields[key] = value
            elif len(self.diagnostics) > before:
                node.lost.add(key)

    def field(self, group: Any, key: str, label: str) -> Value | None:
        member = self.member(group, key, label)
        if member is None:
            return None
        if not isinstance(member, h5py.Dataset):
            self.diagnostics.add("E112", shown(label), "a field must be a dataset")
            return None
        return self.value(member, label)

    def value(self, data: Any, subject: str) -> Value | None:
        """A number array or a text; None if absent (HDF5's empty dataset) or refused."""
        try:
            if data.shape is None or not self.is_safe(data, subject):
                return None
            if h5py.check_string_dtype(data.dtype) is not None:
                return self.text(data, subject)
            if data.dtype.kind not in "fiu":
                self.diagnostics.add("E112", shown(subject), "the field must hold real numbers",
                                     got=f"dtype {data.dtype}")
                return None
            return np.asarray(data[()])
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None

    def is_safe(self, data: Any, subject: str) -> bool:
        """Whether the data lie in this file and fit the budget; checked before reading."""
        if data.is_virtual or data.external:
            self.diagnostics.add("E105", shown(subject), "the array is stored in another file",
                                 hint="store the data in the file itself")
            return False
        size = n_elements(data.shape)
        # One chunk is decompressed whole, and may be declared larger than the array.
        n_bytes = max(size, n_elements(data.chunks or ())) * data.dtype.itemsize
        what = f"the declared array {data.shape} of {data.dtype}"
        if not self.budget.take(n_bytes, shown(subject), what):
            return False
        if size and not data.id.get_storage_size():
            self.diagnostics.add("E128", shown(subject), "the array is declared but never written")
            return False
        return True

    def text(self, data: Any, subject: str) -> str | None:
        try:
            if data.shape is None or n_elements(data.shape) != 1 or \
                    h5py.check_string_dtype(data.dtype) is None:
                self.diagnostics.add("E112", shown(subject), "the field must be one text",
                                     got=f"dtype {data.dtype}, shape {data.shape}")
                return None
            if not self.is_safe(data, subject):
                return None
            value = np.asarray(data[()], dtype=object).reshape(-1)[0]
            return value.decode("utf8") if isinstance(value, bytes) else str(value)
        except H5_ERRORS as error:
            self.damaged(subject, error)
            return None

    def edges(self, group: Any, where: str) -> list[Edge]:
        if not _has(group, "edges"):
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
                                     got=_described(data), limit="text of shape (n, 2)")
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


def _has(group: Any, key: str) -> bool:
    """Like ``key in group``, which would follow a soft or external link to look."""
    return bool(group.id.links.exists(key.encode()))


def _keys(group: Any) -> list[str]:
    """Names in a group; h5py gives bytes for those that are not UTF-8, here not printable."""
    return [key.decode("utf8", "surrogateescape") if isinstance(key, bytes) else key
            for key in group]


def _described(data: Any) -> str:
    return f"dtype {data.dtype}, shape {data.shape}" if isinstance(data, h5py.Dataset) \
        else "a group"


def _decoded(name: Any) -> str:
    return bytes(name).decode("utf8") if isinstance(name, bytes) else str(name)
