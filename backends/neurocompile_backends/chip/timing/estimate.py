"""A step's time without simulating its flits (Numba): what it would take on an empty network.

Never above ``network.simulate``, and below it by at most the longest delay of a flit
(``Result.summary[R_LAG]`` of the simulation) plus 1/32 of the step; docs/timing.md says why. Three
bounds, of which the largest counts:

* a sender that never stalls is done after all its ticks;
* a core works on everything that reaches it, in turn: it cannot end before t + the work that
  arrives at t or later, for any t. Arrivals are sorted into 32 bins of time, and t tried for each;
  nor before it has worked on any one flit, whose time of arrival is known exactly;
* a link takes its interval from each flit handed over at t or later to the next, in up to 8 bins,
  and the last is its ticks on the way.

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
    SmallInts,
)

CORE_BINS = 32
LINK_BINS = 8
W_COLUMNS = 4
W, ONE, TWO = np.uint64(W_COLUMNS), np.uint64(1), np.uint64(2)


class EstimateState(NamedTuple):
    """What ``estimate`` works on; the bins are 0 between calls.

    arrival
        Of each destination, in ticks; as long as there is room for.
    core_bins
        Work of each core, by time.
    begins, ends
        Flits that begin and end at each place of the lines, by time. Apart, as many of them stay
        at one place: the processor need not wait for one sum to go on with the other.
    ticks_x, ticks_y
        Over links along x and along y to each column and row that has a core.
    way_x, way_y
        From a sender to each column, and along column 0 to each row: where it begins and ends on
        the lines, and its ticks; ``W_COLUMNS`` numbers each.
    starts
        The earliest tick of each bin, of links and of cores.
    load
        Flits over the link at each place.
    link, ticks, interval
        Link at each place of the lines, else -1; its ticks, and those from a flit to the next, else
        0.
    """

    arrival: Ints
    core_bins: Ints
    begins: SmallInts
    ends: SmallInts
    ticks_x: Ints
    ticks_y: Ints
    way_x: Ints
    way_y: Ints
    starts: Ints
    load: Ints
    link: Ints
    ticks: Ints
    interval: Ints


def new_estimate_state(mesh: Mesh, destinations: int) -> EstimateState:
    """Room for steps of up to so many destinations."""
    columns, routers = mesh.columns, len(mesh.links)
    east, west, north, south = mesh.links.reshape(routers // columns, columns, 4).transpose(2, 0, 1)
    link = np.concatenate([line.reshape(-1) for line in (east, west[:, ::-1], north.T,
                                                         south.T[:, ::-1])])
    ticks_x, ticks_y = np.zeros(columns, np.int64), np.zeros(routers // columns, np.int64)
    ticks_x[mesh.core_x], ticks_y[mesh.core_y] = mesh.core_ticks_x, mesh.core_ticks_y
    return EstimateState(np.zeros(destinations, np.int64),
                         np.zeros((mesh.n_cores, CORE_BINS), np.int64),
                         np.zeros(LINK_BINS * len(link), np.int32),
                         np.zeros(LINK_BINS * len(link), np.int32),
                         ticks_x, ticks_y,
                         np.zeros(W_COLUMNS * columns, np.int64),
                         np.zeros(W_COLUMNS * len(ticks_y), np.int64),
                         np.zeros((2, CORE_BINS + 1), np.int64), np.zeros(len(link), np.int64),
                         link,
                         *(np.where(link >= 0, np.append(mesh.ports[:, column], 0)[link], 0)
                           for column in (P_TICKS, P_INTERVAL)))


@njit(cache=True)
def _scale(last, bins):
    """Bins a tick, so that times 0 to ``last`` fill ``bins`` bins, or one bin a tick at most."""
    return min(1.0, bins / (last + 1.0))


@njit(cache=True)
def _starts(bins, scale, starts):
    """The earliest tick of each bin and of the one after the last, with the rounding that puts
    ticks into them."""
    for bin_ in range(bins + 1):
        tick = max(np.int64(bin_ / scale) - 1, 0)
        while np.int64(tick * scale) < bin_:
            tick += 1
        starts[bin_] = tick


@njit(cache=True, nogil=True)
def estimate(mesh, step, out, state):
    """Ticks of a step without its barrier, from below; ``out`` as after ``simulate``, but

    * ``done`` and ``finish`` are bounds from below, ``stalled``, ``core_peak`` and ``buffer_peak``
      are 0, ``handed`` and ``trace`` are left alone; ``busy`` and ``link_flits`` are exact;
    * in ``summary`` the lag is how far the links' bound is above the others, and the unit is -1 if
      it is; if a core is critical by more than one flit, their way to it counts as sending.

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
    starts = state.starts[0]
    _starts(n_bins, _scale(last, n_bins), starts)
    arrived = _send(mesh, step, out, state, starts)
    _receive(mesh, step, out, state, arrived)
    _load(out, state, n_bins, starts)
    if summary[R_TICKS] == 0:
        summary[R_REASON] = NOTHING
    else:
        summary[R_REASON] = 1 + np.argmax(summary[R_SENDING:R_RECEIVING + 1])
    return summary[R_TICKS]


@njit(cache=True)
def _send(mesh, step, out, state, starts):
    """Arrivals on an empty network, and where flits begin and end on lines; the last arrival."""
    columns, routers = mesh.columns, len(mesh.links)
    rows, single = routers // columns, step.fan[step.first[mesh.n_senders]] == step.first[-1]
    work, arrival, summary = step.work, state.arrival, out.summary
    arrived = np.int64(0)
    for s in range(mesh.n_senders):
        first, last = np.uint64(step.first[s]), np.uint64(step.first[s + 1])
        if first == last:
            continue
        x, y = mesh.sender_x[s], mesh.sender_y[s]
        _ways(x, y * columns, columns, routers, mesh.sender_ticks_x[s], state.ticks_x, state.way_x)
        _ways(y, 2 * routers, rows, routers, mesh.sender_ticks_y[s], state.ticks_y, state.way_y)
        if single:
            at, end = _each(first, last, step.gap, step.dest, work, starts, mesh.core_x,
                            mesh.core_y, rows, 4 * routers, state.way_x, state.way_y, state.begins,
                            state.ends, arrival)
        else:
            at, end = _branch(first, last, step.gap, step.fan, step.dest, work, starts,
                              mesh.core_x, mesh.core_y, rows, 4 * routers, x, y, state.way_x,
                              state.way_y, state.begins, state.ends, arrival)
        arrived = max(arrived, at)
        if end > summary[R_TICKS]:
            d = step.fan[first]
            while arrival[d] + max(np.int64(work[d]), 1) < end:
                d += 1
            to = step.dest[d]
            ways = (abs(mesh.core_ticks_x[to] - mesh.sender_ticks_x[s])
                    + abs(mesh.core_ticks_y[to] - mesh.sender_ticks_y[s]))
            summary[R_TICKS], summary[R_UNIT] = end, to
            summary[R_SENDING], summary[R_NETWORK] = arrival[d] - ways, ways
            summary[R_RECEIVING] = end - arrival[d]
    return arrived


@njit(cache=True)
def _ways(from_, line, length, routers, ticks, all_ticks, way):
    """The way to each place of the line of ``length`` places that begins at ``line``, or of that of
    the other direction, ``routers`` places later: where it begins, where it ends, and its ticks."""
    for to in range(length):
        if to < from_:
            back = line + routers + length - 1
            way[W_COLUMNS * to], way[W_COLUMNS * to + 1] = back - from_, back - to
        else:
            way[W_COLUMNS * to], way[W_COLUMNS * to + 1] = line + from_, line + to
        way[W_COLUMNS * to + 2] = abs(all_ticks[to] - ticks)


@njit(cache=True)
def _each(first, last, gap, dest, work, starts, core_x, core_y, rows, places, way_x, way_y, begins,
          ends, arrival):
    """The flits of a sender, where each has one destination: when the last arrives, and the latest
    that a core can be done with one."""
    sent, bin_, begin = np.int64(0), np.uint64(1), np.uint64(0)
    arrived, end = np.int64(0), np.int64(0)
    for k in range(first, last):
        sent += gap[k]
        while sent >= starts[bin_]:
            bin_ += np.uint64(1)
            begin += np.uint64(places)
        # Without a test: where nothing is to go, it begins and ends at one place.
        to = np.uint64(dest[k])
        x, y = np.uint64(core_x[to]), np.uint64(core_y[to])
        column = begin + x * np.uint64(rows)
        x, y = x * W, y * W
        begins[begin + np.uint64(way_x[x])] += 1
        ends[begin + np.uint64(way_x[x + ONE])] += 1
        begins[column + np.uint64(way_y[y])] += 1
        ends[column + np.uint64(way_y[y + ONE])] += 1
        at = sent + way_x[x + TWO] + way_y[y + TWO]
        arrival[k] = at
        arrived = max(arrived, at)
        end = max(end, at + max(np.int64(work[k]), 1))
    return arrived, end


@njit(cache=True)
def _branch(first, last, gap, fan, dest, work, starts, core_x, core_y, rows, places, x, y, way_x,
            way_y, begins, ends, arrival):
    """As ``_each`` for flits of several destinations: along x as far as any needs, and from there
    along y in each column."""
    sent, bin_, begin = np.int64(0), np.int64(1), np.int64(0)
    arrived, done = np.int64(0), np.int64(0)
    for k in range(first, last):
        sent += gap[k]
        while sent >= starts[bin_]:
            bin_ += 1
            begin += places
        low, high = np.int64(fan[k]), np.int64(fan[k + ONE])
        for d in range(low, high):
            to = dest[d]
            at = sent + way_x[W_COLUMNS * core_x[to] + 2] + way_y[W_COLUMNS * core_y[to] + 2]
            arrival[d] = at
            arrived = max(arrived, at)
            done = max(done, at + max(np.int64(work[d]), 1))
        for to in (max(x, core_x[dest[high - 1]]), min(x, core_x[dest[low]])):
            begins[begin + way_x[W_COLUMNS * to]] += 1
            ends[begin + way_x[W_COLUMNS * to + 1]] += 1
        while low < high:
            column, end = core_x[dest[low]], low + 1
            while end < high and core_x[dest[end]] == column:
                end += 1
            for to in (max(y, core_y[dest[end - 1]]), min(y, core_y[dest[low]])):
                begins[begin + column * rows + way_y[W_COLUMNS * to]] += 1
                ends[begin + column * rows + way_y[W_COLUMNS * to + 1]] += 1
            low = end
    return arrived, done


@njit(cache=True)
def _receive(mesh, step, out, state, arrived):
    """The cores' bound."""
    dest, work, arrival, bins = step.dest, step.work, state.arrival, state.core_bins
    scale = _scale(arrived, CORE_BINS)
    for d in range(np.uint64(step.fan[step.first[mesh.n_senders]])):
        bins[np.uint64(dest[d]), np.uint64(arrival[d] * scale)] += max(work[d], 1)
    starts = state.starts[1]
    _starts(CORE_BINS, scale, starts)
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
def _load(out, state, n_bins, starts):
    """The links' bound, and their loads."""
    load, link, ticks, interval = state.load, state.link, state.ticks, state.interval
    begins, ends = state.begins, state.ends
    load[:] = 0
    longest, since = np.int64(0), np.int64(0)
    for bin_ in range(n_bins - 1, -1, -1):
        here, first = np.int64(0), bin_ * len(load)
        for i in range(len(load)):
            here += begins[first + i] - ends[first + i]
            load[i] += here
        busy = np.int64(0)
        for i in range(len(load)):
            if load[i]:
                busy = max(busy, (load[i] - 1) * interval[i] + ticks[i])
        # A core works at least a tick on the last flit over the link.
        if busy and starts[bin_] + busy + 1 > longest:
            longest, since = starts[bin_] + busy + 1, starts[bin_]
    begins[:n_bins * len(load)] = 0
    ends[:n_bins * len(load)] = 0
    for i in range(len(load)):
        if link[i] >= 0:
            out.link_flits[link[i]] = load[i]
    summary = out.summary
    if longest > summary[R_TICKS]:
        summary[R_LAG] = longest - summary[R_TICKS]
        summary[R_TICKS], summary[R_UNIT] = longest, -1
        summary[R_SENDING], summary[R_RECEIVING] = since, 1
        summary[R_NETWORK] = longest - since - 1
