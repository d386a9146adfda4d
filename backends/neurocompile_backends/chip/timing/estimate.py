"""A step's time without simulating its flits (Numba): what it would take on an empty network.

Never above ``network.simulate``, and below it by at most the longest delay of a flit
(``Result.summary[R_LAG]`` of the simulation) plus 1/32 of the step; docs/timing.md says why. Three
bounds, of which the largest counts:

* a sender that never stalls is done after all its ticks;
* a core works on everything that reaches it, in turn: it cannot end before t + the work that
  arrives at t or later, for any t. Arrivals are sorted into 32 bins of time, and t tried for each;
* a link takes its interval from each flit handed over at t or later to the next, in up to 8 bins,
  and the last is its ticks on the way.

Link loads are exact: a flit adds one where its row of links begins and takes one off where it
ends, so that running sums along rows and columns are the loads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from neurocompile_backends.chip.timing.layout import (
    NOTHING,
    P_INTERVAL,
    P_TICKS,
    R_LAG,
    R_NETWORK,
    R_REASON,
    R_RECEIVING,
    R_SENDING,
    R_TICKS,
    R_UNIT,
    Ints,
    Mesh,
)

CORE_BINS = 32
LINK_BINS = 8


class EstimateState(NamedTuple):
    """What ``estimate`` works on; the bins are 0 between calls."""

    arrival: Ints
    core_bins: Ints
    link_bins: Ints


def new_estimate_state(mesh: Mesh, destinations: int) -> EstimateState:
    """Room for steps of up to so many destinations."""
    return EstimateState(np.zeros(destinations, np.int64),
                         np.zeros((mesh.n_cores, CORE_BINS), np.int64),
                         np.zeros((LINK_BINS, 4, len(mesh.links)), np.int64))


@njit(cache=True)
def _scale(last, bins):
    """Bins a tick, so that times 0 to ``last`` fill ``bins`` bins, or one bin a tick at most."""
    return min(1.0, bins / (last + 1.0))


@njit(cache=True)
def _start(bin_, scale):
    """The earliest tick of a bin, with the rounding that put ticks into it."""
    tick = max(np.int64(bin_ / scale) - 1, 0)
    while np.int64(tick * scale) < bin_:
        tick += 1
    return tick


@njit(cache=True, nogil=True)
def estimate(mesh, step, out, state):
    """Ticks of a step without its barrier, from below; ``out`` as after ``simulate``, but

    * ``done`` and ``finish`` are bounds from below, ``stalled``, ``core_peak`` and ``buffer_peak``
      are 0, ``handed`` and ``trace`` are left alone; ``busy`` and ``link_flits`` are exact;
    * in ``summary`` the lag is how far the links' bound is above the others, the unit is -1 if it
      is, and if a core is critical its flits' way to it counts as sending.

    ``step`` must be as ``Step`` says; it is not checked.
    """
    out.stalled[:] = 0
    out.core_peak[:] = 0
    out.buffer_peak[:] = 0
    summary = out.summary
    summary[:] = 0
    summary[R_UNIT] = -1
    last = np.int64(0)
    for s in range(mesh.n_senders):
        sent = np.int64(0)
        for k in range(step.first[s], step.first[s + 1]):
            sent += step.gap[k]
        out.done[s] = sent + step.tail[s]
        if step.first[s] < step.first[s + 1]:
            last = max(last, sent)
        if out.done[s] > summary[R_TICKS]:
            summary[R_TICKS], summary[R_UNIT] = out.done[s], s
            summary[R_SENDING] = out.done[s]
    n_bins = min(LINK_BINS, 1 + step.first[mesh.n_senders] // len(mesh.links))
    scale = _scale(last, n_bins)
    arrived = _send(mesh, step, out, state, scale)
    _receive(mesh, step, out, state, arrived)
    _load(mesh, out, state, n_bins, scale)
    if summary[R_TICKS] == 0:
        summary[R_REASON] = NOTHING
    else:
        summary[R_REASON] = 1 + np.argmax(summary[R_SENDING:R_RECEIVING + 1])
    return summary[R_TICKS]


@njit(cache=True)
def _send(mesh, step, out, state, scale):
    """Arrivals on an empty network, and where rows of links begin and end; the last arrival."""
    columns, core_x, core_y = mesh.columns, mesh.core_x, mesh.core_y
    core_ticks_x, core_ticks_y = mesh.core_ticks_x, mesh.core_ticks_y
    gap, fan, dest, work = step.gap, step.fan, step.dest, step.work
    arrival, bins = state.arrival, state.link_bins
    arrived, end, slowest, handed = np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
    for s in range(mesh.n_senders):
        x, y = mesh.sender_x[s], mesh.sender_y[s]
        here, ticks_x, ticks_y = y * columns + x, mesh.sender_ticks_x[s], mesh.sender_ticks_y[s]
        sent = np.int64(0)
        for k in range(step.first[s], step.first[s + 1]):
            sent += gap[k]
            bin_ = np.int64(sent * scale)
            low, high = np.int64(fan[k]), np.int64(fan[k + 1])
            for d in range(low, high):
                at = (sent + abs(core_ticks_x[dest[d]] - ticks_x)
                      + abs(core_ticks_y[dest[d]] - ticks_y))
                arrival[d] = at
                arrived = max(arrived, at)
                if at + max(work[d], 1) > end:
                    end, slowest, handed = at + max(work[d], 1), d, sent
            if high - low > 1:
                _branch(bins, bin_, x, y, columns, low, high, dest, core_x, core_y)
                continue
            # Without a test: where nothing is to go, one is added and taken off at one place.
            to_x, to_y = core_x[dest[low]], core_y[dest[low]]
            along, up = np.int64(to_x < x), 2 + np.int64(to_y < y)
            corner = y * columns + to_x
            bins[bin_, along, here] += 1
            bins[bin_, along, corner] -= 1
            bins[bin_, up, corner] += 1
            bins[bin_, up, to_y * columns + to_x] -= 1
    summary = out.summary
    if end > summary[R_TICKS]:
        summary[R_TICKS], summary[R_UNIT] = end, dest[slowest]
        summary[R_SENDING] = handed
        summary[R_NETWORK] = arrival[slowest] - handed
        summary[R_RECEIVING] = end - arrival[slowest]
    return arrived


@njit(cache=True, inline="always")
def _branch(bins, bin_, x, y, columns, low, high, dest, core_x, core_y):
    """Where the rows of links of a flit with several destinations begin and end: along x as far as
    any needs, and from there along y in each column."""
    here = y * columns + x
    bins[bin_, 0, here] += 1
    bins[bin_, 0, y * columns + max(x, core_x[dest[high - 1]])] -= 1
    bins[bin_, 1, here] += 1
    bins[bin_, 1, y * columns + min(x, core_x[dest[low]])] -= 1
    while low < high:
        column, end = core_x[dest[low]], low + 1
        while end < high and core_x[dest[end]] == column:
            end += 1
        corner = y * columns + column
        bins[bin_, 2, corner] += 1
        bins[bin_, 2, max(y, core_y[dest[end - 1]]) * columns + column] -= 1
        bins[bin_, 3, corner] += 1
        bins[bin_, 3, min(y, core_y[dest[low]]) * columns + column] -= 1
        low = end


@njit(cache=True)
def _receive(mesh, step, out, state, arrived):
    """The cores' bound."""
    dest, work, arrival, bins = step.dest, step.work, state.arrival, state.core_bins
    scale = _scale(arrived, CORE_BINS)
    for d in range(step.fan[step.first[mesh.n_senders]]):
        bins[dest[d], np.int64(arrival[d] * scale)] += max(work[d], 1)
    starts = np.empty(CORE_BINS, np.int64)
    for i in range(CORE_BINS):
        starts[i] = _start(i, scale)
    summary = out.summary
    for core in range(mesh.n_cores):
        busy, finish, since = np.int64(0), np.int64(0), np.int64(0)
        for i in range(CORE_BINS - 1, -1, -1):
            if bins[core, i] == 0:
                continue
            busy += bins[core, i]
            bins[core, i] = 0
            if starts[i] + busy > finish:
                finish, since = starts[i] + busy, starts[i]
        out.busy[core], out.finish[core] = busy, finish
        if finish > summary[R_TICKS]:
            summary[R_TICKS], summary[R_UNIT] = finish, core
            summary[R_SENDING], summary[R_NETWORK] = since, 0
            summary[R_RECEIVING] = finish - since


@njit(cache=True)
def _load(mesh, out, state, n_bins, scale):
    """The links' bound, and their loads."""
    columns, rows = mesh.columns, len(mesh.links) // mesh.columns
    flits, bins = out.link_flits, state.link_bins
    flits[:] = 0
    longest, since = np.int64(0), np.int64(0)
    for bin_ in range(n_bins - 1, -1, -1):
        for y in range(rows):
            east, west = np.int64(0), np.int64(0)
            for x in range(columns):
                east += bins[bin_, 0, y * columns + x]
                west += bins[bin_, 1, y * columns + columns - 1 - x]
                if east:
                    flits[mesh.links[y * columns + x, 0]] += east
                if west:
                    flits[mesh.links[y * columns + columns - 1 - x, 1]] += west
        for x in range(columns):
            north, south = np.int64(0), np.int64(0)
            for y in range(rows):
                north += bins[bin_, 2, y * columns + x]
                south += bins[bin_, 3, (rows - 1 - y) * columns + x]
                if north:
                    flits[mesh.links[y * columns + x, 2]] += north
                if south:
                    flits[mesh.links[(rows - 1 - y) * columns + x, 3]] += south
        start = _start(bin_, scale)
        for link in range(mesh.n_links):
            if flits[link]:
                # A core works at least a tick on the last flit over the link.
                end = (start + (flits[link] - 1) * mesh.ports[link, P_INTERVAL]
                       + mesh.ports[link, P_TICKS] + 1)
                if end > longest:
                    longest, since = end, start
    bins[:n_bins] = 0
    summary = out.summary
    if longest > summary[R_TICKS]:
        summary[R_LAG] = longest - summary[R_TICKS]
        summary[R_TICKS], summary[R_UNIT] = longest, -1
        summary[R_SENDING], summary[R_RECEIVING] = since, 1
        summary[R_NETWORK] = longest - since - 1
