"""The network as the expensive candidates see it: a neuron is a vertex, an axon a hyperedge.

A *net* is one source neuron of one projection; its *pins* are the target neurons it reaches. What
a net costs a core depends on how many of its pins are there, so that everything a core has limits
for can be kept up to date while neurons move. Structured projections are unfolded here (pattern
only, no weights); the pass says from how many synapses on it does not do that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from neurocompile.ir.base import FloatArray, IntArray
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Conv, Dense, Linear, Sparse, to_sparse
from neurocompile.passes.footprint import Footprint, index_bits, packed_bits

Ints = npt.NDArray[np.int64]

PACKED, PER_NEURON, FIXED = 0, 1, 2
"""How a net takes synaptic memory: by its pins on the core with an index each; by all neurons of
the population on the core (dense lists); a fixed amount where it is present (kernels)."""


class Graph(NamedTuple):
    """Vertices are the neurons on the chip, population after population.

    indptr, nets; net_indptr, pins; out_indptr, out_nets
        Nets that feed each vertex; vertices each net feeds; nets that each vertex is source of.
    population, configuration, threshold
        Of each vertex, numbered from 0.
    net_kind, net_home, net_axons, net_slots, net_rate, net_fixed
        Projection; source vertex (-1: the host); input axons a core; output axons a destination;
        mean spikes a step; raw bits of memory where present (``FIXED`` kinds).
    kind_population, kind_mode, kind_start
        Of each kind: target population, one of the modes, its nets' range.
    bits
        Memory of one net: [kind, width - 5 or 0, synapses], see ``width_of``.
    limits
        neurons, input axons, output axons, memory bits, configurations, thresholds; 0: none.
    """

    indptr: Ints
    nets: npt.NDArray[np.int32]
    net_indptr: Ints
    pins: npt.NDArray[np.int32]
    out_indptr: Ints
    out_nets: npt.NDArray[np.int32]
    population: Ints
    configuration: Ints
    threshold: Ints
    net_kind: Ints
    net_home: Ints
    net_axons: Ints
    net_slots: Ints
    net_rate: npt.NDArray[np.float64]
    net_fixed: Ints
    kind_population: Ints
    kind_mode: Ints
    kind_start: Ints
    bits: Ints
    limits: Ints
    word: int


class _Nets:
    """Nets as they are collected, projection by projection."""

    def __init__(self) -> None:
        self.pairs: list[tuple[IntArray, IntArray]] = []
        self.columns: list[tuple[Ints, ...]] = []
        self.kinds: list[tuple[int, int, int]] = []  # population, mode, synapse bits
        self.starts = [0]

    def add(self, kind: tuple[int, int, int], vertex: IntArray, net: IntArray,
            columns: tuple[Ints, ...]) -> None:
        """``net``: which of this projection's nets each pin belongs to, all of them with pins."""
        self.pairs.append((vertex, net + self.starts[-1]))
        self.columns.append((np.full(len(columns[0]), len(self.kinds), np.int64), *columns))
        self.kinds.append(kind)
        self.starts.append(self.starts[-1] + len(columns[0]))


def n_pins(quantized: QuantizedNetwork) -> int:
    """Synapses that :func:`hypergraph` would unfold."""
    return sum(p.transform.n_synapses for p in quantized.projections)


def offsets_of(quantized: QuantizedNetwork) -> dict[str, int]:
    """The first vertex of each population on the chip."""
    offsets, n = {}, 0
    for p in quantized.populations:
        if p.role != "source":
            offsets[p.name] = n
            n += p.n
    return offsets


def hypergraph(quantized: QuantizedNetwork, rates: dict[str, FloatArray],
               neurons_limit: int) -> Graph:
    """Build the graph. ``rates``: mean spikes a step by population, 1 where there is none.
    ``neurons_limit``: neurons a core may hold; 0 for no limit."""
    target = quantized.target
    offsets = offsets_of(quantized)
    on_chip = [p for p in quantized.populations if p.role != "source"]
    n = sum(p.n for p in on_chip)
    collected = _Nets()
    for projection in quantized.projections:
        print_ = Footprint(projection, quantized)
        _add_projection(collected, print_, quantized, offsets, rates)
    vertex = _joined([v for v, _ in collected.pairs])
    net = _joined([e for _, e in collected.pairs])
    m = collected.starts[-1]
    kind, home, axons, slots, rate, fixed = (
        _joined([c[i] for c in collected.columns]) for i in range(6))
    indptr, nets = _grouped(vertex, net, n)
    net_indptr, pins = _grouped(net, vertex, m)
    sent = np.flatnonzero(home >= 0)
    out_indptr, out_nets = _grouped(home[sent], sent, n)
    kinds = np.array(collected.kinds, np.int64).reshape(-1, 3)
    core = target.core
    limits = np.array([neurons_limit, core.input_axons, core.output_axons,
                       core.synapse_memory_bits, core.neuron_configurations,
                       core.threshold_configurations], np.int64)
    most = max((p.n for p in on_chip), default=0)  # before a repair a core may hold all
    return Graph(
        indptr, nets, net_indptr, pins, out_indptr, out_nets,
        np.repeat(np.arange(len(on_chip)), [p.n for p in on_chip]),
        _configurations(quantized), _numbered(_joined([p.threshold for p in on_chip])),
        kind, home, axons, slots, rate / 1e9, fixed, kinds[:, 0], kinds[:, 1],
        np.array(collected.starts, np.int64), _bits_table(kinds, most, quantized), limits,
        core.synapse_word_bits)


def _configurations(quantized: QuantizedNetwork) -> Ints:
    rules: dict[tuple[object, ...], int] = {}
    codes = []
    for p in quantized.populations:
        if p.role != "source":
            rule = rules.setdefault(p.rule, len(rules))
            codes.append((rule * 8192 + p.current_decay) * 8192 + p.membrane_decay)
    return _numbered(_joined(codes))


def _numbered(codes: IntArray) -> Ints:
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _joined(parts: list[IntArray] | list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)


def _add_projection(collected: _Nets, print_: Footprint, quantized: QuantizedNetwork,
                    offsets: dict[str, int], rates: dict[str, FloatArray]) -> None:
    projection, target = print_.projection, quantized.target
    population = list(offsets).index(projection.target)
    pattern = _pattern(print_.transform)
    first = offsets[projection.target]
    vertex = first + np.repeat(np.arange(len(pattern[0]) - 1), np.diff(pattern[0]))
    present, net = np.unique(pattern[1], return_inverse=True)
    m = len(present)
    on_chip = projection.source in offsets
    home = offsets[projection.source] + present if on_chip else np.full(m, -1)
    rate = rates.get(projection.source)
    sent = np.ones(m) if rate is None or not len(rate) else np.asarray(rate, float)[present]
    mode = {"sparse": PACKED, "dense": PER_NEURON, "conv": FIXED}[print_.encoding]
    collected.add(
        (population, mode, print_.synapse_bits), vertex, net.reshape(-1),
        (home.astype(np.int64), np.full(m, print_.axons_per_source),
         np.full(m, target.core.axon_slots_per_connection if on_chip else 0),
         np.round(sent * 1e9).astype(np.int64), np.zeros(m, np.int64)))
    if isinstance(print_.transform, Conv) and print_.encoding == "conv":
        # A kernel is stored once a core: a net of no axons that reaches all of its channel.
        c_out, height, width = print_.transform.out_chw
        none = np.zeros(c_out, np.int64)
        bits = print_.transform.n_parameters // c_out * print_.weight_bits
        channel = np.repeat(np.arange(c_out), height * width)
        collected.add((population, FIXED, 0), first + np.arange(len(channel)), channel,
                      (none - 1, none, none, none, none + bits))


def _pattern(transform: Linear) -> tuple[IntArray, IntArray]:
    """(indptr, source indices) of every synapse, weights of zero included."""
    if isinstance(transform, Sparse):
        return transform.indptr, transform.indices
    if isinstance(transform, Dense):
        n_out, n_in = transform.weight.shape
        return np.arange(n_out + 1) * n_in, np.tile(np.arange(n_in), n_out)
    unfolded = to_sparse(transform.with_weight(np.ones_like(transform.weight)))
    return unfolded.indptr, unfolded.indices


def _bits_table(kinds: Ints, most: int, quantized: QuantizedNetwork) -> Ints:
    widths = max(index_bits(most) - 4, 1)
    table = np.zeros((len(kinds), widths, most + 1), np.int64)
    counts = np.arange(most + 1)
    for kind, (_, mode, bits) in enumerate(kinds):
        for row in range(widths):
            index = row + 5 if row and mode == PACKED else 0
            if mode != FIXED:
                table[kind, row] = packed_bits(counts, int(bits) + index, quantized.target.core)
    return table


@njit(cache=True)
def _sort_into(key, value, indptr, out):
    at = indptr.copy()
    for i in range(len(key)):
        out[at[key[i]]] = value[i]
        at[key[i]] += 1


def _grouped(key: Ints, value: Ints, n: int) -> tuple[Ints, npt.NDArray[np.int32]]:
    """Values by key in compressed rows, in their order."""
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(key, minlength=n), out=indptr[1:])
    out = np.empty(len(value), np.int32)
    _sort_into(key, value, indptr, out)
    return indptr, out
