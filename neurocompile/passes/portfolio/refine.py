"""Make an assignment legal, then better: evict and repair, single moves, dissolving cores (Numba).

Every move is made and counted exactly, and taken back where a limit would be broken: by the core
that gains the neuron or by a core that would send to one more. A move is worth the messages it
saves, axons from the host included.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from neurocompile.passes.portfolio.state import add, fits, fits_around, remove

TRIES = 12
"""Cores a neuron is tried on, best first."""


@njit(cache=True)
def _costs(graph, state, v, cost):
    """Messages a step with ``v`` on each core, up to a constant. ``v`` is on no core."""
    cost[:] = 0.0
    n_cores = len(cost)
    for at in range(graph.indptr[v], graph.indptr[v + 1]):
        net = graph.nets[at]
        rate = graph.net_rate[net]
        source = graph.net_home[net]
        for core in range(n_cores):
            if state.pins[net, core] == 0:
                cost[core] += rate
        if source >= 0 and state.home[source] >= 0 and state.pins[net, state.home[source]] == 0:
            cost[state.home[source]] -= rate
    for at in range(graph.out_indptr[v], graph.out_indptr[v + 1]):
        net = graph.out_nets[at]
        for core in range(n_cores):
            if state.pins[net, core] > 0:
                cost[core] -= graph.net_rate[net]


@njit(cache=True)
def _insert(graph, state, v, cost, first, n_used, avoid, below):
    """Put ``v`` on the cheapest core that stays legal, if it costs less than ``below``."""
    for _ in range(TRIES):
        best = -1
        for core in range(first, n_used):
            if core != avoid and state.use[core, 0] > 0 and cost[core] < below and (
                    best < 0 or cost[core] < cost[best]):
                best = core
        if best < 0:
            return False
        limit = graph.limits[0]
        if limit == 0 or state.use[best, 0] < limit:
            add(graph, state, v, best)
            if fits_around(graph, state, v):
                return True
            remove(graph, state, v)
        cost[best] = np.inf
    return False


@njit(cache=True)
def _insert_anyway(graph, state, v, cost, first, n_used):
    """As ``_insert``, whatever that does to the cores that send to ``v``."""
    for _ in range(TRIES):
        if n_used == first:
            return False
        best = first + int(np.argmin(cost[first:n_used]))
        if cost[best] == np.inf:
            return False
        add(graph, state, v, best)
        if fits(graph, state, best):
            return True
        remove(graph, state, v)
        cost[best] = np.inf
    return False


@njit(cache=True)
def _attachment(graph, state, v):
    """How many of the axons of ``v`` its core has anyway, as a part."""
    core = state.home[v]
    shared = 0
    for at in range(graph.indptr[v], graph.indptr[v + 1]):
        shared += state.pins[graph.nets[at], core] > 1
    return shared / max(1, graph.indptr[v + 1] - graph.indptr[v])


@njit(cache=True)
def _evict(graph, tight, state, first, n_used, out):
    """Take the least attached neurons off cores over a limit; returns how many are in ``out``."""
    n_out = 0
    for core in range(first, n_used):
        if fits(graph, state, core):
            continue
        inside = np.flatnonzero(state.home == core)
        key = np.array([_attachment(graph, state, v) for v in inside])
        for v in inside[np.argsort(key, kind="mergesort")]:
            remove(graph, state, v)
            out[n_out] = v
            n_out += 1
            if fits(tight, state, core):
                break
    return n_out


@njit(cache=True)
def repair(graph, tight, state, first, n_used, rounds):
    """Evict the least attached neurons of cores over a limit, then put them where they fit, on
    new cores if they fit nowhere. Returns the cores used, or -1 if that does not end.

    A neuron that nobody could send to any more goes where it fits itself; the cores that then
    have too many output axons evict in the next round.

    tight: the graph with the limits to evict to, a little lower, for the same reason.
    first: cores before it hold pinned neurons, which stay."""
    n_cores = min(len(state.use), n_used + n_used // 4 + 4)  # a large repair is a bad partition
    out, cost = np.zeros(len(state.home), np.int64), np.zeros(n_cores)
    for _ in range(rounds):
        n_out = _evict(graph, tight, state, first, n_used, out)
        if n_out == 0:
            return n_used
        opened = False
        for v in out[:n_out]:
            _costs(graph, state, v, cost[:n_used])
            if _insert(graph, state, v, cost[:n_used], first, n_used, -1, np.inf):
                continue
            if not opened:
                if n_used >= n_cores:
                    return -1
                add(graph, state, v, n_used)
                n_used += 1
                opened = True
                continue
            _costs(graph, state, v, cost[:n_used])
            if not _insert_anyway(graph, state, v, cost[:n_used], first, n_used):
                if n_used >= n_cores:
                    return -1
                add(graph, state, v, n_used)
                n_used += 1
    return -1


@njit(cache=True)
def improve(graph, state, first, n_used, order):
    """Move each neuron of ``order`` to the core where it saves most; returns how many moved."""
    cost = np.zeros(n_used)
    moved = 0
    for v in order:
        home = state.home[v]
        remove(graph, state, v)
        _costs(graph, state, v, cost)
        here = cost[home] - 1e-9
        if _insert(graph, state, v, cost, first, n_used, home, here):
            moved += 1
        else:
            add(graph, state, v, home)
    return moved


@njit(cache=True)
def dissolve(graph, state, first, n_used, failures):
    """Empty the smallest cores from ``first`` on, as long as all of their neurons fit on others."""
    cost = np.zeros(n_used)
    emptied, failed = 0, 0
    tried = np.zeros(n_used, np.bool_)
    tried[:first] = True
    while failed < failures:
        core = -1
        for c in range(n_used):
            if not tried[c] and state.use[c, 0] > 0 and (
                    core < 0 or state.use[c, 0] < state.use[core, 0]):
                core = c
        if core < 0:
            break
        tried[core] = True
        inside = np.flatnonzero(state.home == core)
        n_moved = 0
        for v in inside:
            remove(graph, state, v)
            _costs(graph, state, v, cost)
            if not _insert(graph, state, v, cost, first, n_used, core, np.inf):
                add(graph, state, v, core)
                break
            n_moved += 1
        if n_moved == len(inside):
            emptied += 1
            continue
        failed += 1
        for v in inside[:n_moved]:
            remove(graph, state, v)
        for v in inside[:n_moved]:
            add(graph, state, v, core)
    return emptied
