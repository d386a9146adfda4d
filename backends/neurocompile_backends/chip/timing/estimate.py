"""A step's time without simulating its flits (Numba): what it would take on an empty network.

Never above ``network.simulate``, and below it by at most the longest delay of a flit
(``Result.summary[R_LAG]`` of the simulation) plus 1/32 of the step; docs/timing.md says why. Three
bounds, of which the largest counts:

* a sender that never stalls is done after all its ticks;
* a core works on everything that reaches it, in turn: it cannot end before t + the work that
  arrives at t or later, for any t. Arrivals are sorted into 32 bins of time, and t tried for each;
* a link takes its ticks for each flit handed over at t or later, in up to 8 bins.

Link loads are exact. All links stand in lines, one for each direction along each row or column of
tiles, one line after the other and each in its direction: a flit adds one where its way along a
line begins and takes one off where it ends, so that the running sum over all lines is the load.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from neurocompile_backends.chip.timing.layout import (
    NOTHING,
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
    SmallInts,
)

CORE_BINS = 32
LINK_BINS = 8


class EstimateState(NamedTuple):
    """What ``estimate`` works on; the bins are 0 between calls.

    arrival
        Of each destination, in ticks; as long as there is room for.
    core_bins, link_bins
        Work of each core, and flits that begin or end at each place of the lines, by time.
    load
        Flits over the link at each place.
    link, ticks
        Link at each place of the lines, else -1, and its ticks, else 0.
    """

    arrival: Ints
    core_bins: Ints
    link_bins: SmallInts
    load: Ints
    link: Ints
    ticks: Ints


def new_estimate_state(mesh: Mesh, destinations: int) -> EstimateState:
    """Room for steps of up to so many destinations."""
    columns, routers = mesh.columns, len(mesh.links)
    east, west, north, south = mesh.links.reshape(routers // columns, columns, 4).transpose(2, 0, 1)
    link = np.concatenate([line.reshape(-1) for line in (east, west[:, ::-1], north.T,
                                                         south.T[:, ::-1])])
    return EstimateState(np.zeros(destinations, np.int64),
                         np.zeros((mesh.n_cores, CORE_BINS), np.int64),
                         np.zeros((LINK_BINS, len(link)), np.int32),
                         np.zeros(len(link), np.int64), link,
                         np.where(link >= 0, np.append(mesh.ports[:, P_TICKS], 0)[link], 0))


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
    _load(out, state, n_bins, scale)
    if summary[R_TICKS] == 0:
        summary[R_REASON] = NOTHING
    else:
        summary[R_REASON] = 1 + np.argmax(summary[R_SENDING:R_RECEIVING + 1])
    return summary[R_TICKS]


@njit(cache=True)
def _send(mesh, step, out, state, scale):
    """Arrivals on an empty network, and where flits begin and end on lines; the last arrival."""
    columns, routers = mesh.columns, len(mesh.links)
    rows = routers // columns
    core_x, core_y = mesh.core_x, mesh.core_y
    core_ticks_x, core_ticks_y = mesh.core_ticks_x, mesh.core_ticks_y
    gap, fan, dest, work = step.gap, step.fan, step.dest, step.work
    arrival = state.arrival
    arrived, end, slowest, handed = np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
    for s in range(mesh.n_senders):
        x, y = mesh.sender_x[s], mesh.sender_y[s]
        ticks_x, ticks_y = mesh.sender_ticks_x[s], mesh.sender_ticks_y[s]
        sent, bin_, next_bin = np.int64(0), np.int64(0), _start(1, scale)
        bins = state.link_bins[0]
        for k in range(step.first[s], step.first[s + 1]):
            sent += gap[k]
            while sent >= next_bin:
                bin_ += 1
                bins, next_bin = state.link_bins[bin_], _start(bin_ + 1, scale)
            low, high = np.uint64(fan[k]), np.uint64(fan[k + 1])
            for d in range(low, high):
                to = np.uint64(dest[d])
                at = sent + abs(core_ticks_x[to] - ticks_x) + abs(core_ticks_y[to] - ticks_y)
                arrival[d] = at
                arrived = max(arrived, at)
                if at + max(work[d], 1) > end:
                    end, slowest, handed = at + max(work[d], 1), np.int64(d), sent
            if high - low > 1:
                _branch(bins, x, y, columns, rows, np.int64(low), np.int64(high), dest, core_x,
                        core_y)
                continue
            # Without a test: where nothing is to go, one is added and taken off at one place.
            to = np.uint64(dest[low])
            to_x, to_y = core_x[to], core_y[to]
            along = _along(x, to_x, y, columns, np.int64(0), routers)
            bins[np.uint64(along[0])] += 1
            bins[np.uint64(along[1])] -= 1
            up = _along(y, to_y, to_x, rows, 2 * routers, routers)
            bins[np.uint64(up[0])] += 1
            bins[np.uint64(up[1])] -= 1
    summary = out.summary
    if end > summary[R_TICKS]:
        summary[R_TICKS], summary[R_UNIT] = end, dest[slowest]
        summary[R_SENDING] = handed
        summary[R_NETWORK] = arrival[slowest] - handed
        summary[R_RECEIVING] = end - arrival[slowest]
    return arrived


@njit(cache=True, inline="always")
def _along(from_, to, line, length, first, routers):
    """Where a way begins and ends on line number ``line`` of those of ``length`` places from
    ``first`` on; lines of the other direction follow ``routers`` places later."""
    start = first + line * length
    back = routers + start + length - 1
    if to < from_:
        return back - from_, back - to
    return start + from_, start + to


@njit(cache=True, inline="always")
def _branch(bins, x, y, columns, rows, low, high, dest, core_x, core_y):
    """Where a flit with several destinations begins and ends: along x as far as any needs, and
    from there along y in each column."""
    routers = rows * columns
    for to in (max(x, core_x[dest[high - 1]]), min(x, core_x[dest[low]])):
        begin, end = _along(x, to, y, columns, np.int64(0), routers)
        bins[begin] += 1
        bins[end] -= 1
    while low < high:
        column, last = core_x[dest[low]], low + 1
        while last < high and core_x[dest[last]] == column:
            last += 1
        for to in (max(y, core_y[dest[last - 1]]), min(y, core_y[dest[low]])):
            begin, end = _along(y, to, column, rows, 2 * routers, routers)
            bins[begin] += 1
            bins[end] -= 1
        low = last


@njit(cache=True)
def _receive(mesh, step, out, state, arrived):
    """The cores' bound."""
    dest, work, arrival, bins = step.dest, step.work, state.arrival, state.core_bins
    scale = _scale(arrived, CORE_BINS)
    for d in range(np.uint64(step.fan[step.first[mesh.n_senders]])):
        bins[np.uint64(dest[d]), np.uint64(arrival[d] * scale)] += max(work[d], 1)
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
def _load(out, state, n_bins, scale):
    """The links' bound, and their loads."""
    load, link, ticks, bins = state.load, state.link, state.ticks, state.link_bins
    load[:] = 0
    longest, since = np.int64(0), np.int64(0)
    for bin_ in range(n_bins - 1, -1, -1):
        here = np.int64(0)
        for i in range(len(load)):
            here += bins[bin_, i]
            load[i] += here
        busy = np.int64(0)
        for i in range(len(load)):
            busy = max(busy, load[i] * ticks[i])
        start = _start(bin_, scale)
        # A core works at least a tick on the last flit over the link.
        if busy and start + busy + 1 > longest:
            longest, since = start + busy + 1, start
    bins[:n_bins] = 0
    for i in range(len(load)):
        if link[i] >= 0:
            out.link_flits[link[i]] = load[i]
    summary = out.summary
    if longest > summary[R_TICKS]:
        summary[R_LAG] = longest - summary[R_TICKS]
        summary[R_TICKS], summary[R_UNIT] = longest, -1
        summary[R_SENDING], summary[R_RECEIVING] = since, 1
        summary[R_NETWORK] = longest - since - 1
