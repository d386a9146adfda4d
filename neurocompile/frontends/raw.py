"""The neutral form of a NIR graph between reading (file or objects) and importing its nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import Array

Value = str | Array
Edge = tuple[str, str]


@dataclass(frozen=True)
class ReadLimits:
    """What a file may declare. ``max_bytes`` counts all arrays, read or derived, in bytes."""

    max_bytes: int = 4 << 30
    max_neurons: int = 1 << 26
    max_nodes: int = 100_000
    max_depth: int = 32
    max_paths: int = 10_000


@dataclass
class RawNode:
    """A node as written. ``type`` is None if the node could not be read, ``lost`` names the fields
    that could not (both already reported)."""

    type: str | None
    fields: dict[str, Value] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)


@dataclass
class RawGraph:
    """A graph as written; subgraphs are among its nodes."""

    nodes: dict[str, RawNode | RawGraph] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    edges_lost: bool = False
    """Edges could not be read (already reported), so that nodes look unconnected."""


class LimitReached(Exception):
    """Reading stops here; the reason is already among the diagnostics."""


class Budget:
    """Counts bytes and nodes against the limits before anything is allocated."""

    def __init__(self, limits: ReadLimits, diagnostics: Diagnostics):
        self.limits = limits
        self.bytes_left = limits.max_bytes
        self._nodes = 0
        self._objects = 0
        self._diagnostics = diagnostics

    def take(self, n_bytes: int, subject: str, what: str) -> bool:
        """Reserve bytes. False, with E106, if they exceed what is left."""
        if n_bytes > self.bytes_left:
            self._diagnostics.add(
                "E106", subject, f"{what} exceeds the bytes a network may have",
                got=f"{n_bytes} bytes", limit=f"{self.bytes_left} of {self.limits.max_bytes} left",
                hint="raise ReadLimits.max_bytes if the file is trusted")
            return False
        self.bytes_left -= n_bytes
        return True

    def node(self, subject: str) -> None:
        """Count a node. Raises :class:`LimitReached`, with E106, above ``max_nodes``."""
        self._nodes += 1
        if self._nodes > self.limits.max_nodes:
            self._diagnostics.add("E106", subject, "too many nodes",
                                  limit=f"{self.limits.max_nodes} nodes")
            raise LimitReached

    def stored_object(self, subject: str) -> None:
        """Count anything opened in a file: hard links can show one object any number of times."""
        self._objects += 1
        if self._objects > 32 * self.limits.max_nodes:
            self._diagnostics.add("E106", subject, "too many groups and datasets",
                                  limit=f"{32 * self.limits.max_nodes} objects")
            raise LimitReached


def shown(name: str) -> str:
    """A name fit for a message: one line, without control characters, not endless."""
    text = name if name.isprintable() and name else ascii(name)
    return text if len(text) <= 80 else text[:77] + "..."


def joined(outer: str, inner: str) -> str:
    """The flat name of a node in a subgraph."""
    return f"{outer}.{inner}" if outer else inner


def name_is_usable(name: str, where: str, diagnostics: Diagnostics) -> bool:
    """Whether a node may have this name; E108 if not."""
    subject = shown(joined(where, name))
    if "/" in name:
        diagnostics.add("E108", subject, "node names with slashes become nested groups in a file",
                        hint="rename the node, for example with '_' or '.'")
        return False
    if not name or not name.isprintable():
        diagnostics.add("E108", subject, "the node name is empty or has control characters",
                        hint="rename the node")
        return False
    return True
