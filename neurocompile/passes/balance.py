"""Latencies: when each population lives its step t on a chip where every edge takes a step.

Population p runs step t of the network at chip step t + L(p). A connection with logical delay D
from p to q then needs the chip delay d = D + L(q) - L(p) - edge_latency >= 0, which is a system
of difference constraints: the least latencies are longest paths, and there are none exactly if
some loop holds fewer steps of delay than connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """A connection with its least logical delay in steps."""

    name: str
    source: str
    target: str
    min_delay: int
    recurrent: bool


@dataclass(frozen=True)
class ImpossibleLoop:
    """A loop that is ``missing`` steps too short for the chip, as the names of its edges."""

    edges: tuple[str, ...]
    missing: int


def least_latencies(names: Sequence[str], edges: Sequence[Edge],
                    edge_latency: int) -> dict[str, int] | ImpossibleLoop:
    """Latencies in steps, all >= 0, sources included; or a loop that makes it impossible."""
    latency = dict.fromkeys(names, 0)
    reached_by: dict[str, Edge] = {}
    changed: str | None = None
    for _ in range(len(latency) + 1):
        changed = None
        for edge in edges:
            needed = latency[edge.source] + edge_latency - edge.min_delay
            if needed > latency[edge.target]:
                latency[edge.target] = needed
                reached_by[edge.target] = edge
                changed = edge.target
        if changed is None:
            return latency
    assert changed is not None
    return _loop_of(changed, reached_by, len(latency), edge_latency)


def _loop_of(name: str, reached_by: dict[str, Edge], steps: int,
             edge_latency: int) -> ImpossibleLoop:
    for _ in range(steps):
        name = reached_by[name].source
    loop = [reached_by[name]]
    while loop[-1].source != name:
        loop.append(reached_by[loop[-1].source])
    loop.reverse()
    missing = sum(edge_latency - edge.min_delay for edge in loop)
    return ImpossibleLoop(tuple(edge.name for edge in loop), missing)
