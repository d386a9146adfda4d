"""What every core uses, exact while neurons move (Numba).

``add`` and ``remove`` keep all counts of a core up to date in time proportional to the axons of
the neuron; ``fits`` compares them with the limits. All memory is counted as
:mod:`neurocompile.passes.footprint` counts it: see ``test_state_counts_like_the_recount``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from neurocompile.passes.portfolio.hypergraph import FIXED, PACKED, PER_NEURON, Graph

Ints = npt.NDArray[np.int64]

(NEURONS, IN, OUT, MEMORY, CONFIGURATIONS, THRESHOLDS) = range(6)


class State(NamedTuple):
    """An assignment, whole or in part, and its counts by core.

    home: core of each vertex, -1: none.  pins: [net, core] pins there.  cores: cores of each net.
    use: [core, resource].  members: [core, population].  present: [core, kind] nets there.
    memory: [core, kind] bits (raw bits for ``FIXED``).  configurations, thresholds: [core, code].
    """

    home: npt.NDArray[np.int32]
    pins: npt.NDArray[np.int16]
    cores: Ints
    use: Ints
    members: Ints
    present: Ints
    memory: Ints
    configurations: npt.NDArray[np.int32]
    thresholds: npt.NDArray[np.int32]


def empty_state(graph: Graph, n_cores: int) -> State:
    """No vertex anywhere; room for ``n_cores`` cores."""
    n, m, kinds = len(graph.population), len(graph.net_kind), len(graph.kind_mode)

    def codes(of: Ints) -> npt.NDArray[np.int32]:
        return np.zeros((n_cores, int(of.max(initial=-1)) + 1), np.int32)

    return State(
        np.full(n, -1, np.int32), np.zeros((m, n_cores), np.int16), np.zeros(m, np.int64),
        np.zeros((n_cores, 6), np.int64),
        np.zeros((n_cores, int(graph.population.max(initial=-1)) + 1), np.int64),
        np.zeros((n_cores, kinds), np.int64), np.zeros((n_cores, kinds), np.int64),
        codes(graph.configuration), codes(graph.threshold))


@njit(cache=True)
def row_of(n):
    """Row of the bits table for a population with ``n`` neurons on a core."""
    if n <= 1:
        return 0
    bits = 0
    while (n - 1) >> bits:
        bits += 1
    return max(bits, 6) - 5


@njit(cache=True)
def _recount_memory(graph, state, core, population, row):
    """After the width of an index changed: every packed net of the population, from its pins."""
    for kind in range(len(graph.kind_mode)):
        if graph.kind_population[kind] != population or graph.kind_mode[kind] != PACKED:
            continue
        total = 0
        for net in range(graph.kind_start[kind], graph.kind_start[kind + 1]):
            total += graph.bits[kind, row, state.pins[net, core]]
        state.memory[core, kind] = total


@njit(cache=True)
def _sum_memory(graph, state, core):
    total = 0
    fixed = 0
    for kind in range(len(graph.kind_mode)):
        mode = graph.kind_mode[kind]
        if mode == PACKED:
            total += state.memory[core, kind]
        elif mode == PER_NEURON:
            n = state.members[core, graph.kind_population[kind]]
            total += state.present[core, kind] * graph.bits[kind, 0, n]
        else:
            fixed = state.memory[core, kind]
            total += (fixed + graph.word - 1) // graph.word * graph.word
    state.use[core, MEMORY] = total


@njit(cache=True)
def _change(graph, state, vertex, core, step):
    population = graph.population[vertex]
    before = row_of(state.members[core, population])
    state.members[core, population] += step
    row = row_of(state.members[core, population])
    state.use[core, NEURONS] += step
    gone = 0 if step < 0 else 1  # pins after the step where the net appears or disappears
    for at in range(graph.indptr[vertex], graph.indptr[vertex + 1]):
        net = graph.nets[at]
        kind = graph.net_kind[net]
        old = state.pins[net, core]
        state.pins[net, core] = old + step
        if graph.kind_mode[kind] == PACKED:
            state.memory[core, kind] += graph.bits[kind, row, old + step] - graph.bits[
                kind, row, old]
        if old + step == gone:
            state.cores[net] += step
            state.use[core, IN] += step * graph.net_axons[net]
            state.present[core, kind] += step
            if graph.kind_mode[kind] == FIXED:
                state.memory[core, kind] += step * graph.net_fixed[net]
            source = graph.net_home[net]
            if source >= 0 and state.home[source] >= 0:
                state.use[state.home[source], OUT] += step * graph.net_slots[net]
    if row != before:
        _recount_memory(graph, state, core, population, row)
    _sum_memory(graph, state, core)
    code = graph.configuration[vertex]
    state.configurations[core, code] += step
    if state.configurations[core, code] == gone:
        state.use[core, CONFIGURATIONS] += step
    code = graph.threshold[vertex]
    state.thresholds[core, code] += step
    if state.thresholds[core, code] == gone:
        state.use[core, THRESHOLDS] += step


@njit(cache=True)
def sent(graph, state, vertex):
    """Output axons of a vertex as the cores of its nets are now."""
    total = 0
    for at in range(graph.out_indptr[vertex], graph.out_indptr[vertex + 1]):
        net = graph.out_nets[at]
        total += state.cores[net] * graph.net_slots[net]
    return total


@njit(cache=True)
def all_sent(graph, state):
    """Output axons of every vertex."""
    total = np.zeros(len(state.home), np.int64)
    for vertex in range(len(total)):
        total[vertex] = sent(graph, state, vertex)
    return total


@njit(cache=True)
def add(graph, state, vertex, core):
    """Put a vertex that is nowhere on a core."""
    _change(graph, state, vertex, core, 1)
    state.home[vertex] = core
    state.use[core, OUT] += sent(graph, state, vertex)


@njit(cache=True)
def remove(graph, state, vertex):
    """Take a vertex off its core."""
    core = state.home[vertex]
    state.use[core, OUT] -= sent(graph, state, vertex)
    state.home[vertex] = -1
    _change(graph, state, vertex, core, -1)


@njit(cache=True)
def fits(graph, state, core):
    """Is a core within every limit?"""
    for resource in range(6):
        limit = graph.limits[resource]
        if limit > 0 and state.use[core, resource] > limit:
            return False
    return True


@njit(cache=True)
def legal(graph, state, first, n_used):
    """Are cores ``first`` to ``n_used - 1`` within every limit?"""
    wrong = 0
    for core in range(first, n_used):
        wrong += not fits(graph, state, core)
    return wrong == 0


@njit(cache=True)
def fits_around(graph, state, vertex):
    """Are the vertex's core and the cores that send to it within every limit?"""
    core = state.home[vertex]
    if not fits(graph, state, core):
        return False
    limit = graph.limits[OUT]
    if limit == 0:
        return True
    for at in range(graph.indptr[vertex], graph.indptr[vertex + 1]):
        source = graph.net_home[graph.nets[at]]
        if source >= 0 and state.home[source] >= 0 and state.use[
                state.home[source], OUT] > limit:
            return False
    return True


@njit(cache=True)
def load(graph, state, home):
    """Put every vertex where ``home`` says."""
    for vertex in range(len(home)):
        if home[vertex] >= 0:
            add(graph, state, vertex, home[vertex])
