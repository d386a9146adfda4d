"""Greedy overlap growth: fill one core at a time with the neurons that share most of its axons.

The next neuron is the one with the largest part of its axons already on the core (buckets as in
Fiduccia and Mattheyses 1982, so that a step costs the axons it touches). Output axons depend on
cores that are filled later: each neuron takes the room that was measured in the round before.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from neurocompile.passes.portfolio.state import OUT, add, fits, remove

LEVELS = 256
"""Buckets between no axon and all axons on the core."""
MISSES = 24
"""Neurons in a row that do not fit before a core counts as full."""


@njit(cache=True)
def _unlink(head, after, before, level, v):
    if before[v] >= 0:
        after[before[v]] = after[v]
    else:
        head[level[v]] = after[v]
    if after[v] >= 0:
        before[after[v]] = before[v]
    level[v] = -1


@njit(cache=True)
def _link(head, after, before, level, v, to):
    after[v] = head[to]
    before[v] = -1
    if head[to] >= 0:
        before[head[to]] = v
    head[to] = v
    level[v] = to


@njit(cache=True)
def _reach(graph, state, core, v, shared, touched, n_touched, lists, top):
    """Raise the neurons that share the axons ``v`` brought to the core."""
    head, after, before, level = lists
    for at in range(graph.indptr[v], graph.indptr[v + 1]):
        net = graph.nets[at]
        if state.pins[net, core] != 1:
            continue
        for pin in range(graph.net_indptr[net], graph.net_indptr[net + 1]):
            u = graph.pins[pin]
            if state.home[u] >= 0 or level[u] == -2:
                continue
            if shared[u] == 0:
                touched[n_touched] = u
                n_touched += 1
            shared[u] += 1
            to = shared[u] * LEVELS // (graph.indptr[u + 1] - graph.indptr[u])
            if to != level[u]:
                if level[u] >= 0:
                    _unlink(head, after, before, level, u)
                _link(head, after, before, level, u, to)
                top = max(top, to)
    return n_touched, top


@njit(cache=True)
def _next(order, at, state, level):
    while at < len(order) and (state.home[order[at]] >= 0 or level[order[at]] == -2):
        at += 1
    return at


@njit(cache=True)
def grow(graph, state, expected, order, first_core):
    """Assign every vertex; returns the cores used, or -1 if there are not enough.

    expected: output axons to leave room for, of each vertex.  order: seeds, all vertices that are
    nowhere.  first_core: cores before it hold pinned vertices and nothing else.
    """
    n, n_seeds = len(state.home), len(order)
    shared, level = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    after, before = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    head = np.full(LEVELS + 1, -1, np.int64)
    lists = (head, after, before, level)
    touched = np.empty(n, np.int64)
    done, core, first, seed = 0, first_core, 0, -1
    while done < n_seeds:
        if core >= len(state.use):
            return -1
        n_touched, top, misses, reserved, at = 0, -1, 0, 0, first
        room = graph.limits[OUT]
        spare = -1
        while done < n_seeds and misses < MISSES:
            while top >= 0 and head[top] < 0:
                top -= 1
            if seed >= 0:
                v = seed
                seed = -1
            elif top >= 0:
                v = head[top]
            else:
                at = _next(order, at, state, level)
                if at >= n_seeds:
                    break
                v = order[at]
            if level[v] >= 0:
                _unlink(head, after, before, level, v)
            add(graph, state, v, core)
            if fits(graph, state, core) and (room == 0 or reserved + expected[v] <= room or (
                    reserved == 0)):
                reserved += expected[v]
                done += 1
                misses = 0
                n_touched, top = _reach(graph, state, core, v, shared, touched, n_touched,
                                        lists, top)
                continue
            remove(graph, state, v)
            if spare < 0:
                spare = v  # close to this core: a seed for the next
            misses += 1
            level[v] = -2  # not again for this core
            if shared[v] == 0:
                touched[n_touched] = v
                n_touched += 1
                shared[v] = 1
            if graph.limits[0] and state.use[core, 0] >= graph.limits[0]:
                break
        for i in range(n_touched):
            u = touched[i]
            if level[u] >= 0:
                _unlink(head, after, before, level, u)
            level[u] = -1
            shared[u] = 0
        while first < n_seeds and state.home[order[first]] >= 0:
            first += 1
        seed = spare
        core += 1
    return core
