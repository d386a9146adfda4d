"""The float reference: the contract's semantics in float64 numpy, nothing else.

Speed is not its purpose; it is the meaning all integers are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import Array, FloatArray, IntArray
from neurocompile.ir.discrete import DiscreteNetwork, DiscretePopulation, DiscreteProjection
from neurocompile.ir.transforms import as_float64

Float64 = npt.NDArray[np.float64]
Progress = Callable[[int], None]


@dataclass
class FloatRun:
    """Recorded arrays, [sample, step, neuron] each.

    ``output[p]``: what population p sends (spike counts as int64; membranes of analog ones).
    ``u``, ``v``: current and membrane after reset, for the populations asked for.
    """

    n_steps: int
    output: dict[str, Array] = field(default_factory=dict)
    u: dict[str, Float64] = field(default_factory=dict)
    v: dict[str, Float64] = field(default_factory=dict)


def run_float(network: DiscreteNetwork, inputs: Mapping[str, Array], n_steps: int, *,
              record: tuple[str, ...] = (), probe_u: tuple[str, ...] = (),
              probe_v: tuple[str, ...] = (), progress: Progress | None = None) -> FloatRun:
    """Run a batch of samples from cleared state.

    ``inputs[name]``: [sample, step, *shape] (steps beyond its end are zero), or with one step for
    an input constant over the sample. ``record`` names populations whose output is kept (those
    of the outputs always are). ``progress`` is called with the number of steps done.
    """
    batch = len(next(iter(inputs.values())))
    run = FloatRun(n_steps)
    state = _State(network, batch)
    recorded = sorted({port.population for port in network.outputs} | set(record))
    for name in recorded:
        spiking = network.population(name).role == "spiking"
        n = network.population(name).n
        run.output[name] = np.zeros((batch, n_steps, n), np.int64 if spiking else np.float64)
    for names, store in ((probe_u, run.u), (probe_v, run.v)):
        for name in names:
            store[name] = np.zeros((batch, n_steps, network.population(name).n))
    for t in range(n_steps):
        state.step(t, inputs)
        for name in recorded:
            run.output[name][:, t] = state.sent[name]
        for name in probe_u:
            run.u[name][:, t] = state.u[name]
        for name in probe_v:
            run.v[name][:, t] = state.v[name]
        if progress is not None:
            progress(t + 1)
    return run


class _State:
    """Membranes, currents and delay lines of a batch."""

    def __init__(self, network: DiscreteNetwork, batch: int):
        self.network = network
        self.batch = batch
        self.order = [network.population(name) for name in update_order(network)]
        projections = [_for_run(q) for q in network.projections]
        self.incoming = {p.name: [q for q in projections if q.target == p.name]
                         for p in network.populations}
        self.u: dict[str, Float64] = {}
        self.v: dict[str, Float64] = {}
        self.sent: dict[str, Float64] = {}
        self.owed: dict[str, Float64] = {}  # spikes whose thresholds are still to be taken off
        self.rest: dict[str, Float64] = {}  # refractory steps that are left
        for p in network.populations:
            shape = (batch, p.n)
            self.sent[p.name] = np.zeros(shape)
            if p.role != "source":
                self.u[p.name] = np.zeros(shape)
                self.v[p.name] = np.broadcast_to(p.initial_v, shape).copy()
                self.owed[p.name] = self.rest[p.name] = np.zeros(shape)
        depth = {p.name: max((int(q.source_delay.max()) for q in projections
                              if q.source == p.name), default=0) for p in network.populations}
        self.history = {p.name: _Line(batch, p.n, depth[p.name]) for p in network.populations}
        self.result_lines = {q.name: _Line(batch, network.population(q.target).n,
                                           int(q.target_delay.max()))
                             for q in projections if q.target_delay.max() > 0}

    def step(self, t: int, inputs: Mapping[str, Array]) -> None:
        for p in self.order:
            if p.role == "source":
                self.sent[p.name] = _input_at(inputs[p.name], t).reshape(self.batch, -1)
            else:
                self._update(p, self._collect(p, t))
            self.history[p.name].push(t, self.sent[p.name])

    def _collect(self, p: DiscretePopulation, t: int) -> Float64:
        a = np.zeros((self.batch, p.n))
        for q in self.incoming[p.name]:
            x = self.history[q.source].read(t, q.source_delay)
            y = q.transform.apply(x.reshape(self.batch, *q.transform.in_shape))
            y = y.reshape(self.batch, -1)
            if q.name in self.result_lines:
                line = self.result_lines[q.name]
                line.push(t, y)
                y = line.read(t, q.target_delay)
            a += y
        for bias in self.network.biases:
            if bias.target == p.name:
                a += np.where(t >= bias.onset, bias.values, 0.0)
        return a

    def _update(self, p: DiscretePopulation, a: Float64) -> None:
        contract = self.network.contract
        if p.has_synapse:
            u = p.syn_decay * self.u[p.name] + p.gain_syn * a
        else:
            u = np.asarray(a, np.float64)
        v = p.mem_decay * self.v[p.name] + p.gain_mem * u + p.bias_mem
        self.u[p.name] = u
        if p.role == "analog":
            self.v[p.name] = self.sent[p.name] = v
            return
        if p.reset == "subtract_delayed":
            v = v - p.threshold * self.owed[p.name]
        v = np.asarray(v if not len(p.floor) else np.maximum(v, p.floor), np.float64)
        count = spike_count(v, p.threshold, contract.compare or "gt",
                            p.max_spikes)
        if p.reset == "subtract":
            v = v - p.threshold * count
        elif p.reset == "value":
            v = np.where(count > 0, p.reset_value, v)
        owed = count
        if p.refractory_steps:
            rest = self.rest[p.name]
            v, count = np.where(rest > 0, self.v[p.name], v), np.where(rest > 0, 0.0, count)
            owed = np.where(rest > 0, self.owed[p.name], count)
            self.rest[p.name] = np.where(count > 0, p.refractory_steps, np.maximum(rest - 1, 0))
        self.v[p.name], self.sent[p.name], self.owed[p.name] = v, count, owed


def spike_count(v: Float64, threshold: FloatArray, compare: str,
                max_spikes: int) -> Float64:
    """How many spikes a membrane sends: 0 or 1, or floor(v / threshold) up to ``max_spikes``."""
    fires = v > threshold if compare == "gt" else v >= threshold
    if max_spikes == 1:
        return fires.astype(np.float64)
    # A threshold of 0 or below would divide by zero: such a neuron sends one spike.
    positive = threshold > 0
    ratio = v / np.where(positive, threshold, 1.0)
    count = np.floor(ratio)
    if compare == "gt":
        count = np.where(count == ratio, count - 1, count)
    count = np.where(positive, np.clip(count, 1, max_spikes), 1.0)
    return np.where(fires, count, 0.0)


def update_order(network: DiscreteNetwork) -> tuple[str, ...]:
    """Populations such that a connection without delay comes after its source, else by name.

    Raises ``ValueError`` for a loop without delay (the front end and discretize prevent it).
    """
    import heapq

    waiting = {p.name: 0 for p in network.populations}
    after: dict[str, list[str]] = {name: [] for name in waiting}
    for q in network.projections:
        if q.min_delay == 0:
            after[q.source].append(q.target)
            waiting[q.target] += 1
    ready = [name for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for target in after[name]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, target)
    if len(order) != len(waiting):
        raise ValueError("the network has a loop without delay")
    return tuple(order)


def _for_run(q: DiscreteProjection) -> DiscreteProjection:
    """The projection as it is stepped: its weights in float64, once and not at every step.

    What all delays of the target's elements share is waited for at the source: a connection with
    a delay may be read before its source has taken its step.
    """
    shared = int(q.target_delay.min())
    return replace(q, transform=as_float64(q.transform), source_delay=q.source_delay + shared,
                   target_delay=q.target_delay - shared)


class _Line:
    """The last ``depth + 1`` values of a signal."""

    def __init__(self, batch: int, n: int, depth: int):
        self.values = np.zeros((depth + 1, batch, n))
        self.columns = np.arange(n)

    def push(self, t: int, value: Float64) -> None:
        self.values[t % len(self.values)] = value

    def read(self, t: int, delay: IntArray) -> Float64:
        """Element j as it was ``delay[j]`` steps ago (0 before the start)."""
        if len(delay) == 1:
            row: Float64 = self.values[(t - int(delay[0])) % len(self.values)]
            return row
        slots = (t - delay) % len(self.values)
        gathered: Float64 = self.values[slots, :, self.columns].T
        return gathered


def _input_at(values: Array, t: int) -> Float64:
    if values.shape[1] == 1:
        return np.asarray(values[:, 0], np.float64)
    if t >= values.shape[1]:
        return np.zeros((len(values), *values.shape[2:]))
    return np.asarray(values[:, t], np.float64)
