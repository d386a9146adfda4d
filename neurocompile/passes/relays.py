"""Delays longer than the chip's: chains of relay neurons that repeat spikes exactly.

A hop over a relay takes delay_max + 1 steps. Relays are shared by all connections of a source
(a chain is a prefix of the longer ones), which needs, over all sources, the sum of
floor(longest delay / (delay_max + 1)) relays: the least possible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import IntArray
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.discrete import DiscretePopulation
from neurocompile.ir.quantized import ScheduledPopulation, ScheduledProjection
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Sparse, identity, to_sparse

_MAX_UNFOLDED = 1 << 24


def insert_relays(populations: list[ScheduledPopulation],
                  projections: list[ScheduledProjection], target: TargetSpec,
                  bindings: dict[str, InputBinding], found: Diagnostics,
                  ) -> tuple[list[ScheduledPopulation], list[ScheduledProjection]]:
    """Populations and projections with every delay within the target's maximum.

    Adds E310 where that is impossible (payloads cannot be repeated, delays of targets too long).
    """
    limit = target.synapse.delay_max
    long = [q for q in projections if _longest(q) > limit]
    if not long:
        return populations, projections
    for q in long:
        _check(q, limit, populations, bindings, found)
    found.raise_if_errors()
    by_name = {p.name: p for p in populations}
    chains: dict[str, _Chain] = {}
    for name in sorted({q.source for q in long}):
        stages = [_stages(q, limit, by_name[name].dynamics.n) for q in long if q.source == name]
        chains[name] = _Chain(by_name[name], np.max(stages, axis=0), limit,
                              forgetting_reset(target))
        found.add("I310", name, "delays beyond the chip's longest are relayed exactly",
                  got=f"{sum(len(m) for m in chains[name].members[1:])} relay neurons",
                  limit=f"{limit} steps")
    kept = [q for q in projections if q not in long]
    for q in long:
        kept += chains[q.source].split(q, _stages(q, limit, by_name[q.source].dynamics.n))
    added = [p for name in sorted(chains) for p in chains[name].populations]
    links = [q for name in sorted(chains) for q in chains[name].links]
    return populations + added, kept + links


def forgetting_reset(target: TargetSpec) -> Literal["zero", "subtract", "subtract_delayed"]:
    """A reset of the target for neurons that leak everything and fire at a quarter of their input:
    whichever it is, a spike does not change what they do in the next step."""
    if "zero" in target.neuron.resets:
        return "zero"
    return "subtract" if "subtract" in target.neuron.resets else "subtract_delayed"


def _longest(q: ScheduledProjection) -> int:
    return int(q.source_delay.max() + q.target_delay.max())


def _stages(q: ScheduledProjection, limit: int, n: int) -> IntArray:
    """Hops each source element takes before its last connection, shape (n,)."""
    over = np.broadcast_to(q.source_delay, (n,)) + int(q.target_delay.max()) - limit
    return np.maximum(0, -(-over // (limit + 1)))


def _check(q: ScheduledProjection, limit: int, populations: list[ScheduledPopulation],
           bindings: dict[str, InputBinding], found: Diagnostics) -> None:
    source = next(p for p in populations if p.name == q.source)
    binding = bindings.get(q.source)
    payload = source.max_spikes > 1 or (binding is not None and binding.mode in
                                        ("counts", "graded"))
    if payload:
        found.add("E310", q.name, "a delay is longer than the chip's, and relays cannot repeat "
                  "several spikes or payloads of a step", got=f"{_longest(q)} steps",
                  limit=f"{limit} steps", hint="shorten the delay, or use a larger dt")
        return
    rest = np.broadcast_to(q.source_delay, (source.dynamics.n,)) - _stages(
        q, limit, source.dynamics.n) * (limit + 1)
    if int(rest.min()) < 0:
        found.add("E310", q.name, "delays of the target's elements are too long to be relayed",
                  got=f"{int(q.target_delay.max())} steps", limit=f"{limit} steps",
                  hint="place the Delay on the source's side of the layer")


@dataclass
class _Chain:
    """Relay populations of one source: stage k repeats its spikes k * (limit + 1) steps later."""

    source: ScheduledPopulation
    longest: IntArray
    limit: int
    reset: Literal["zero", "subtract", "subtract_delayed"]

    def __post_init__(self) -> None:
        self.members = [np.flatnonzero(self.longest >= k)
                        for k in range(int(self.longest.max()) + 1)]
        self.populations = [self._stage(k) for k in range(1, len(self.members))]
        self.links = [self._link(k) for k in range(1, len(self.members))]

    def _name(self, k: int) -> str:
        return self.source.name if k == 0 else f"{self.source.name}.relay{k}"

    def _shape(self, k: int) -> tuple[int, ...]:
        whole = k == 0 or len(self.members[k]) == self.source.dynamics.n
        return self.source.shape if whole else (len(self.members[k]),)

    def _stage(self, k: int) -> ScheduledPopulation:
        n = len(self.members[k])
        dynamics = DiscretePopulation(
            self._name(k), self._shape(k), "spiking", False, np.zeros(0), np.zeros(0),
            np.zeros(n), np.ones(n), np.zeros(n), np.full(n, 0.25), np.zeros(n), np.zeros(n))
        return ScheduledPopulation(
            self._name(k), self._shape(k), "spiking", "relay", self.source.of,
            self.source.latency + k * (self.limit + 1), dynamics, "gt", self.reset, 1)

    def _link(self, k: int) -> ScheduledProjection:
        before, mine = self.members[k - 1] if k > 1 else np.arange(self.source.dynamics.n), \
            self.members[k]
        if len(before) == len(mine):
            transform = replace(identity(self._shape(k)), in_shape=self._shape(k - 1))
        else:
            transform = Sparse(np.arange(len(mine) + 1), np.searchsorted(before, mine),
                               np.ones(len(mine)), self._shape(k - 1), self._shape(k))
        return ScheduledProjection(f"{self._name(k - 1)}->{self._name(k)}", self._name(k - 1),
                                   self._name(k), "", transform, np.array([self.limit]),
                                   np.zeros(1, np.int64), 1.0, 0)

    def split(self, q: ScheduledProjection, stages: IntArray) -> list[ScheduledProjection]:
        """One projection from each stage that feeds ``q``'s target."""
        delay = np.broadcast_to(q.source_delay, stages.shape)
        present = np.unique(stages).tolist()
        parts = []
        for k in present:
            members = self.members[k] if k else np.arange(len(stages))
            rest = delay[members] - k * (self.limit + 1)
            if len(present) == 1 and len(members) == len(stages):
                transform = q.transform
            else:
                transform = self._columns(q, members, stages[members] == k, k)
                rest = np.where(stages[members] == k, rest, 0)
            name = q.name if len(present) == 1 else f"{q.name}@{k}"
            parts.append(replace(q, name=name, source=self._name(k), transform=transform,
                                 source_delay=rest))
        return parts

    def _columns(self, q: ScheduledProjection, members: IntArray, keep: IntArray,
                 k: int) -> Sparse:
        """The part of ``q`` that comes from ``members`` where ``keep``."""
        sparse = to_sparse(q.transform)
        position = np.full(self.source.dynamics.n, -1)
        position[members[keep]] = np.flatnonzero(keep)
        wanted = position[sparse.indices] >= 0
        rows = np.repeat(np.arange(len(sparse.indptr) - 1), np.diff(sparse.indptr))
        counts = np.bincount(rows[wanted], minlength=len(sparse.indptr) - 1)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Sparse(indptr, position[sparse.indices[wanted]], sparse.values[wanted],
                      self._shape(k), sparse.out_shape)
