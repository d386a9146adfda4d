"""A QuantizedNetwork as the tables and flat arrays the kernel runs on.

Populations that convolutions write are stored channels-last, so that a patch is a run of
neighbouring neurons; everything the caller sees is in the network's own order. Memory grows with
parameters and state: kernels stay kernels, and projections that share a transform share weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.transforms import Conv, Dense
from neurocompile_backends.neurons import machine_row
from neurocompile_backends.simulator import kernel as k

Ints = npt.NDArray[Any]

_ROLE = {"source": 0, "spiking": 1, "analog": 2}
_RESET = {"none": 0, "zero": 1, "subtract": 2, "subtract_delayed": 3}


@dataclass(frozen=True, eq=False)
class Packed:
    """Tables of a network; ``order`` gives each population's row."""

    order: dict[str, int]
    machine: Ints
    pops: Ints
    projs: Ints
    outgoing: Ints
    keep_u: Ints
    keep_v: Ints
    threshold: Ints
    bias: Ints
    initial: Ints
    weights: Ints
    indptr: Ints
    index: Ints
    delays: Ints
    logical: Ints
    place: Ints
    ring_size: int

    @property
    def nbytes(self) -> int:
        """Bytes of parameters (all arrays) and of one sample's state."""
        arrays = [v for v in vars(self).values() if isinstance(v, np.ndarray)]
        state = 4 * self.ring_size + 4 * 4 * len(self.initial)
        return sum(a.nbytes for a in arrays) + state


def pack(network: QuantizedNetwork) -> Packed:
    """Pack a network; raises nothing a legal network can cause."""
    return _Packer(network).pack()


@dataclass
class _Pool:
    """Arrays laid end to end; a key that was added before is found again."""

    dtype: Any
    parts: list[Ints] = field(default_factory=list)
    size: int = 0
    known: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def add(self, values: Ints, key: tuple[Any, ...] | None = None) -> int:
        start = self.size
        self.parts.append(np.ascontiguousarray(values, self.dtype).reshape(-1))
        self.size += values.size
        if key is not None:
            self.known[key] = start
        return start

    def joined(self) -> Ints:
        return np.concatenate(self.parts) if self.parts else np.zeros(0, self.dtype)


class _Packer:
    def __init__(self, network: QuantizedNetwork):
        self.network = network
        self.order = {p.name: i for i, p in enumerate(network.populations)}
        widest = max((q.format.high for q in network.projections), default=0)
        self.weights = _Pool(np.int16 if widest < 1 << 15 else np.int32)
        self.indptr, self.index = _Pool(np.int64), _Pool(np.int32)
        self.delays = _Pool(np.int32)
        self.chw = {p.name: _layout(network, p) for p in network.populations}
        self.logical = {p.name: _logical(p, self.chw[p.name]) for p in network.populations}

    def pack(self) -> Packed:
        m = self.network.target.machine
        pops = self._populations()
        projections = sorted(self.network.projections, key=lambda q: self.order[q.source])
        rows = [self._projection(q) for q in projections]
        outgoing = np.searchsorted([self.order[q.source] for q in projections],
                                   np.arange(len(pops) + 1))

        def states(of: Any, dtype: Any) -> Ints:
            return np.concatenate([
                np.zeros(p.n, dtype) if p.role == "source"
                else np.asarray(of(p))[self.logical[p.name]].astype(dtype)
                for p in self.network.populations])

        logical = [self.logical[p.name] for p in self.network.populations]
        return Packed(
            self.order, machine_row(m), pops,
            np.array(rows, np.int64).reshape(len(rows), k.Q_COLUMNS), outgoing.astype(np.int64),
            states(lambda p: 4096 - (p.current_decay + m.current_decay_offset), np.int32),
            states(lambda p: 4096 - p.membrane_decay, np.int32),
            states(lambda p: p.threshold << m.threshold_shift, np.int32),
            states(lambda p: p.bias, np.int32), states(lambda p: p.initial_v, np.int32),
            self.weights.joined(), self.indptr.joined(), self.index.joined(),
            self.delays.joined(), np.concatenate(logical).astype(np.int64),
            np.concatenate([np.argsort(x) for x in logical]).astype(np.int64),
            int((pops[:, k.P_N] * pops[:, k.P_SLOTS]).sum()))

    def _populations(self) -> Ints:
        table = np.full((len(self.order), k.P_COLUMNS), -1, np.int64)
        state = ring = 0
        offset = self.network.target.machine.current_decay_offset
        for i, p in enumerate(self.network.populations):
            longest = max((int(q.source_delay.max() + q.target_delay.max())
                           for q in self.network.projections if q.target == p.name), default=0)
            slots = 0 if p.role == "source" else longest + 2
            table[i, :k.P_EVENTS] = (p.n, state, ring, slots, _ROLE[p.role], _RESET[p.reset],
                                     p.compare == "ge", p.max_spikes, p.latency)
            table[i, k.P_NARROW:] = (self._is_narrow(p), np.any(p.current_decay + offset < 4096),
                                     np.any(p.membrane_decay > 0), p.refractory_steps)
            state += p.n
            ring += p.n * slots
        return table

    def _is_narrow(self, p: QuantizedPopulation) -> bool:
        """Do the proved bounds keep every intermediate sum of the fast update in 32 bits?"""
        if p.role == "source" or p.max_spikes > 1 or p.reset not in ("none", "zero") or (
                p.refractory_steps):
            return False
        m = self.network.target.machine
        bounds = next((b for b in self.network.bounds if b.population == p.name), None)
        if bounds is None or not p.n:
            return False
        a = max(-int(bounds.a_low.min()), int(bounds.a_high.max())) << m.input_shift
        u = 1 << (m.u_bits - 1)
        bias = self.network.target.neuron.bias_mantissa_max << (
            self.network.target.neuron.bias_exponent_max)
        threshold = int(p.threshold.max()) << m.threshold_shift
        return max(u + a, m.v_limit + u + bias, 2 * u, threshold) < 1 << 31

    def _projection(self, q: QuantizedProjection) -> list[int]:
        row = [0] * k.Q_COLUMNS
        row[k.Q_SOURCE], row[k.Q_TARGET] = self.order[q.source], self.order[q.target]
        row[k.Q_SHIFT] = q.format.exponent
        row[k.Q_SDELAY], row[k.Q_SDELAYS] = self._delay(q.source_delay, q.source)
        row[k.Q_TDELAY], row[k.Q_TDELAYS] = self._delay(q.target_delay, q.target)
        if isinstance(q.transform, Dense):
            row[k.Q_KIND] = k.KIND_DENSE
            row[k.Q_WEIGHT] = self._dense(q, q.transform)
        elif isinstance(q.transform, Conv):
            self._conv(q, q.transform, row)
        else:
            row[k.Q_KIND] = k.KIND_SPARSE
            self._sparse(q, row)
        return row

    def _delay(self, delay: Ints, population: str) -> tuple[int, int]:
        """(common delay, -1), or (0, where the individual ones start, in stored order)."""
        if np.all(delay == delay[0]):
            return int(delay[0]), -1
        return 0, self.delays.add(delay[self.logical[population]])

    def _dense(self, q: QuantizedProjection, transform: Dense) -> int:
        key = (id(transform.weight), self.chw[q.source], self.chw[q.target])
        if key in self.weights.known:
            return self.weights.known[key]
        rows = transform.weight[np.ix_(self.logical[q.target], self.logical[q.source])].T
        return self.weights.add(rows, key)

    def _conv(self, q: QuantizedProjection, c: Conv, row: list[int]) -> None:
        row[k.Q_KIND] = k.KIND_CONV
        key = (id(c.weight), c.groups)
        if key not in self.weights.known:
            c_out, group_in, k_h, k_w = c.weight.shape
            grouped = c.weight.reshape(c.groups, c_out // c.groups, group_in, k_h, k_w)
            self.weights.add(grouped.transpose(0, 2, 3, 4, 1), key)
        row[k.Q_WEIGHT] = self.weights.known[key]
        row[k.Q_CIN:k.Q_W + 1] = c.in_chw
        row[k.Q_COUT:k.Q_OW + 1] = c.out_chw
        row[k.Q_KH:k.Q_KW + 1] = c.weight.shape[2:]
        row[k.Q_SY:k.Q_DX + 1] = (*c.stride, *c.padding, *c.dilation)
        row[k.Q_GROUPS] = c.groups
        row[k.Q_LAST] = int(self.chw[q.target] == c.out_chw)

    def _sparse(self, q: QuantizedProjection, row: list[int]) -> None:
        s = q.transform
        assert not isinstance(s, (Dense, Conv))
        key = (id(s.values), id(s.indices), self.chw[q.source], self.chw[q.target])
        if key not in self.indptr.known:
            n_source = len(self.logical[q.source])
            place_source = np.argsort(self.logical[q.source])
            place_target = np.argsort(self.logical[q.target])
            rows = np.repeat(np.arange(len(s.indptr) - 1), np.diff(s.indptr))
            source = place_source[s.indices]
            order = np.lexsort((place_target[rows], source))
            counts = np.bincount(source, minlength=n_source)
            self.indptr.add(np.concatenate([[0], np.cumsum(counts)]), key)
            self.index.add(place_target[rows][order], key)
            self.weights.add(s.values[order], key)
        row[k.Q_INDPTR] = self.indptr.known[key]
        row[k.Q_INDEX] = self.index.known[key]
        row[k.Q_WEIGHT] = self.weights.known[key]


Chw = tuple[int, int, int] | None


def _layout(network: QuantizedNetwork, p: QuantizedPopulation) -> Chw:
    """(channels, height, width) if the population is stored channels-last, else None."""
    for q in network.projections:
        if q.target == p.name and isinstance(q.transform, Conv):
            return q.transform.out_chw
    return None


def _logical(p: QuantizedPopulation, chw: Chw) -> Ints:
    """The network's index of each stored neuron."""
    if chw is None:
        return np.arange(p.n)
    channels_last: Ints = np.arange(p.n).reshape(chw).transpose(1, 2, 0).reshape(-1)
    return channels_last


@dataclass(frozen=True, eq=False)
class Events:
    """Events given from outside, for some populations, by (sample, step)."""

    steps: Ints
    ptr: Ints
    ptr_at: Ints
    neuron: Ints
    payload: Ints


def pack_events(packed: Packed, given: Mapping[str, tuple[Ints, int]],
                ) -> tuple[Ints, Events]:
    """The population table with its event rows set, and the events.

    ``given[population]``: ([sample, step, n] integers in the network's order, one step long if
    constant; steps it lasts).
    """
    pops = packed.pops.copy()
    steps, ptr_at, ptrs, neurons, payloads = [], [], [np.zeros(0, np.int64)], [], []
    n_ptr = n_events = 0
    for row, (name, (values, last)) in enumerate(sorted(given.items())):
        i = packed.order[name]
        pops[i, k.P_EVENTS] = row
        flat = values.reshape(-1, values.shape[2])
        which, neuron = np.nonzero(flat)
        start, n = pops[i, k.P_STATE], pops[i, k.P_N]
        counts = np.bincount(which, minlength=len(flat))
        ptrs.append(n_events + np.concatenate([[0], np.cumsum(counts)]))
        ptr_at.append(n_ptr)
        steps.append((values.shape[1], last))
        neurons.append(packed.place[start:start + n][neuron])
        payloads.append(flat[which, neuron])
        n_ptr += len(flat) + 1
        n_events += len(which)
    none = np.zeros(0, np.int32)
    return pops, Events(
        np.array(steps, np.int64).reshape(-1, 2), np.concatenate(ptrs).astype(np.int64),
        np.array(ptr_at, np.int64), np.concatenate([none, *neurons]).astype(np.int32),
        np.concatenate([none, *payloads]).astype(np.int32))
