"""The integer reference: the models' own step over whole populations, in plain numpy.

Connections are applied as matrix products and patches in float64, exact because all sums stay
below 2**53: an implementation independent of the event-driven simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.transforms import as_float64
from neurocompile.models.machine import State, initial_state, step
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress

Int64 = npt.NDArray[np.int64]


@dataclass
class IntegerRun:
    """Recorded integers, [sample, chip step, neuron]: sent spikes (or membranes of populations
    that are read), current and membrane after reset.

    ``checked``: what an executor held against an account of its own, as (differing, compared) by
    name; for example the cycles of hardware against those of its simulator.

    ``unseen``: why something that was asked for is not recorded.
    """

    n_steps: int
    s: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    u: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    v: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    checked: dict[str, tuple[int, int]] = field(default_factory=dict)
    unseen: str = ""


@dataclass(frozen=True)
class Probes:
    """Populations whose s, u and v are recorded."""

    s: tuple[str, ...] = ()
    u: tuple[str, ...] = ()
    v: tuple[str, ...] = ()

    @staticmethod
    def everything(network: QuantizedNetwork) -> Probes:
        names = tuple(p.name for p in network.populations if p.role != "source")
        return Probes(names, names, names)

    @staticmethod
    def outputs(network: QuantizedNetwork) -> Probes:
        names = {port.population for port in network.scheduled.discrete.outputs}
        on_chip = {p.name for p in network.populations}
        return Probes(tuple(sorted(names & on_chip)))


def run_integer(network: QuantizedNetwork, encoded: EncodedInput, probes: Probes, *,
                teacher: Mapping[str, npt.NDArray[np.integer]] | None = None,
                progress: Progress | None = None) -> IntegerRun:
    """Run ``n_steps`` of input plus the network's latency from cleared state.

    ``teacher[population]``: [sample, chip step, n] spikes that are delivered in place of its own
    (its own still reset it and are recorded), to see each layer's error by itself.
    """
    total = encoded.n_steps + network.latency
    run = IntegerRun(total)
    for names, store in ((probes.s, run.s), (probes.u, run.u), (probes.v, run.v)):
        for name in names:
            store[name] = np.zeros((encoded.n_samples, total, network.population(name).n),
                                   np.int32)
    state = _State(network, encoded)
    for t in range(total):
        state.advance(t, teacher or {})
        for name in probes.s:
            run.s[name][:, t] = state.sent[name]
        for name in probes.u:
            run.u[name][:, t] = state.neurons[name].u
        for name in probes.v:
            run.v[name][:, t] = state.neurons[name].v
        if progress is not None:
            progress(t + 1)
    return run


class _State:
    def __init__(self, network: QuantizedNetwork, encoded: EncodedInput):
        self.network = network
        self.encoded = encoded
        self.batch = encoded.n_samples
        self.neurons: dict[str, State] = {}
        self.sent: dict[str, Int64] = {}
        self.bias: dict[str, Int64] = {}
        self.ring: dict[str, Int64] = {}
        self.outgoing: dict[str, list[QuantizedProjection]] = {}
        for p in network.populations:
            self.outgoing[p.name] = [replace(q, transform=as_float64(q.transform))
                                     for q in network.projections if q.source == p.name]
            if p.role != "source":
                self._clear(p)
                self.bias[p.name] = p.bias.astype(np.int64) + encoded.biases.get(p.name, 0)
                slots = 2 + max((int(q.source_delay.max() + q.target_delay.max())
                                 for q in network.projections if q.target == p.name), default=0)
                self.ring[p.name] = np.zeros((slots, self.batch, p.n), np.int64)

    def _clear(self, p: QuantizedPopulation) -> None:
        self.neurons[p.name] = initial_state(p, (self.batch, p.n))
        self.sent[p.name] = np.zeros((self.batch, p.n), np.int64)

    def advance(self, t: int, teacher: Mapping[str, npt.NDArray[np.integer]]) -> None:
        """All populations take their step, then all spikes travel."""
        for p in self.network.populations:
            if p.role == "source":
                self.sent[p.name] = self._payload(p.name, t)
                continue
            if t == p.latency:
                self._clear(p)
            ring = self.ring[p.name]
            a = ring[t % len(ring)].copy()
            ring[t % len(ring)] = 0
            self.neurons[p.name], self.sent[p.name] = step(
                self.network.target.machine, p, a, self.bias[p.name], self.neurons[p.name])
        for p in self.network.populations:
            sent = teacher[p.name][:, t] if p.name in teacher else self.sent[p.name]
            if not np.any(sent):
                continue
            for q in self.outgoing[p.name]:
                self._deliver(q, np.asarray(sent, np.float64), t)

    def _payload(self, name: str, t: int) -> Int64:
        values = self.encoded.payloads[name]
        if t >= self.encoded.n_steps:
            return np.zeros((self.batch, values.shape[2]), np.int64)
        return values[:, 0 if values.shape[1] == 1 else t].astype(np.int64)

    def _deliver(self, q: QuantizedProjection, sent: npt.NDArray[np.float64], t: int) -> None:
        """Add ``weight << exponent`` at t + 1 + delay, one slice for each distinct delay."""
        ring = self.ring[q.target]
        for source_delay in np.unique(q.source_delay).tolist():
            x = np.where(q.source_delay == source_delay, sent, 0.0)
            y = q.transform.apply(x.reshape(self.batch, *q.transform.in_shape))
            whole = y.reshape(self.batch, -1).astype(np.int64) << q.format.exponent
            for target_delay in np.unique(q.target_delay).tolist():
                part = np.where(q.target_delay == target_delay, whole, 0)
                ring[(t + 1 + source_delay + target_delay) % len(ring)] += part
