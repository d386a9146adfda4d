"""Brings a ``nir.NIRGraph`` in memory to the same raw form as a file."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neurocompile.diagnostics import Diagnostics
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
from neurocompile.ir.base import Array

_NOT_FIELDS = ("input_type", "output_type", "metadata")


def read_object(graph: Any, budget: Budget, diagnostics: Diagnostics) -> RawGraph | None:
    """The raw form of a ``nir.NIRGraph``. Adds E106..E116; None if a limit is exceeded."""
    try:
        return _graph(graph, "", 0, budget, diagnostics)
    except LimitReached:
        return None


def _graph(graph: Any, where: str, depth: int, budget: Budget,
           diagnostics: Diagnostics) -> RawGraph:
    if depth > budget.limits.max_depth:
        diagnostics.add("E107", shown(where), "subgraphs are nested too deep",
                        limit=f"{budget.limits.max_depth} levels",
                        hint="a graph may contain itself")
        raise LimitReached
    raw = RawGraph()
    for key, node in graph.nodes.items():
        name = str(key)
        subject = joined(where, name)
        budget.node(shown(subject))
        if not name_is_usable(name, where, diagnostics):
            raw.nodes[name] = RawNode(None)
        elif type(node).__name__ == "NIRGraph":
            raw.nodes[name] = _graph(node, subject, depth + 1, budget, diagnostics)
        else:
            raw.nodes[name] = _node(node, subject, diagnostics)
    raw.edges = _edges(graph.edges, where or "graph", diagnostics)
    raw.edges_lost = len(raw.edges) < len(graph.edges)
    return raw


def _edges(edges: Any, where: str, diagnostics: Diagnostics) -> list[Edge]:
    pairs: list[Edge] = []
    for edge in edges:
        if not isinstance(edge, (tuple, list)) or len(edge) != 2:
            diagnostics.add("E116", shown(where), "an edge is not a pair of names",
                            got=shown(repr(edge)))
            continue
        pairs.append((str(edge[0]), str(edge[1])))
    return pairs


def _node(node: Any, subject: str, diagnostics: Diagnostics) -> RawNode:
    names = [f.name for f in dataclasses.fields(node)] if dataclasses.is_dataclass(node) else []
    values = {key: getattr(node, key, None) for key in names if key not in _NOT_FIELDS}
    kind = type(node).__name__
    if kind == "Input":
        values["shape"] = _declared(node, "input")
    if kind == "Output":
        values["shape"] = _declared(node, "output")
    if kind == "Flatten":
        values["input_type"] = _declared(node, "input")
    raw = RawNode(kind)
    for key, value in values.items():
        read = _value(value, joined(subject, key), diagnostics)
        if read is not None:
            raw.fields[key] = read
        elif value is not None:
            raw.lost.add(key)
    return raw


def _declared(node: Any, end: str) -> Any:
    types = getattr(node, f"{end}_type", None)
    return types.get(end) if isinstance(types, dict) else None


def _value(value: Any, subject: str, diagnostics: Diagnostics) -> Value | None:
    if value is None:
        return None
    if isinstance(value, (str, bytes)):
        return value.decode("utf8", "replace") if isinstance(value, bytes) else value
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):
        array = np.asarray(None, dtype=object)
    if array.dtype.kind not in "fiu":
        diagnostics.add("E112", shown(subject), "the field must hold real numbers",
                        got=f"dtype {array.dtype}")
        return None
    # The network must not change when the caller's array does.
    own: Array = array.copy()
    return own
