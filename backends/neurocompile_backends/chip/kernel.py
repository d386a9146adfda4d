"""The chip simulator's inner loops (Numba): what the cores compute in a step, and what they send.

A program is data (``load.Loaded``). Each step every core takes its neurons in order, then spikes
travel: an output axon names an input axon of some core, whose synapses are added into the ring of
sums that wait there. What is sent is written down for the timing (``chip.timing``); arithmetic does
not depend on it, because a barrier separates the steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from neurocompile_backends.chip.prefetch import prefetch
from neurocompile_backends.chip.timing.estimate import estimate
from neurocompile_backends.chip.timing.layout import R_REASON, R_TICKS, R_UNIT
from neurocompile_backends.chip.timing.network import simulate
from neurocompile_backends.neurons import mixed, record, update, update_narrow

# Columns of the section table.
(S_CORE, S_FIRST, S_COUNT, S_POPULATION, S_START, S_ANALOG, S_RESET, S_GE, S_MAX, S_FILTER, S_LEAK,
 S_NARROW, S_SIZE, S_BASE, S_SREC, S_UREC, S_VREC, S_COLUMNS) = range(18)
# S_RESET: as neurocompile.ir.program.RESETS. S_SIZE: neurons of its population; S_BASE: neurons of
# all populations before it. S_SREC to S_VREC: where the values of its population start among what
# is recorded, plus 1; 0 if none is.

# Columns of the table of convolutions, a row each.
(F_FIRST, F_WEIGHT, F_ROWS, F_GROUP, F_CIN, F_H, F_W, F_OH, F_OW, F_KH, F_KW, F_SY, F_SX, F_PY,
 F_PX, F_DY, F_DX, F_GROUPS, F_LATE, F_LATES, F_COLUMNS) = range(21)

# The head of an input axon; its synapses follow it in memory.
A_KIND, A_SYNAPSES, A_ADDRESS, A_FIRST, A_SHIFT, A_CONV, A_WORK, A_CORE, A_HEAD = (
    np.uint64(i) for i in range(9))
# A_ADDRESS: its first synapse, or the element of the input for a convolution. A_FIRST: the first
# neuron its synapses count from; the delay of a convolution's axon. A_CONV: its convolution.
DENSE, SPARSE, CONV, DENSE_LATE, SPARSE_LATE = range(5)
# A_KIND: as neurocompile.ir.program.ENCODINGS, and those with delays of synapses apart.

# Events of a step, in the order of neurocompile.ir.target.EVENTS.
(E_EAST_WEST, E_NORTH_SOUTH, E_CHIP, E_AXON_IN, E_AXON_OUT, E_DENSE, E_SPARSE, E_CONV, E_ACCESS,
 E_UPDATE, E_SPIKE, E_HOST, E_COLUMNS) = range(13)


@njit(cache=True)
def _mark_active(ring: Any, u: Any, v: Any, bias: Any, active: Any) -> Any:
    """A neuron is updated if there is anything to update it with; returns how many are."""
    count = np.int64(0)
    for i in range(len(u)):
        active[i] = np.int8((ring[i] | u[i] | v[i] | bias[i]) != 0)
        count += active[i]
    return count


@njit(cache=True)
def _add_row(ring: Any, memory: Any, shift: Any, factor: Any) -> None:
    for i in range(len(ring)):
        ring[i] += np.int32(np.int32(memory[i] >> shift) * factor)


@njit(cache=True)
def _add_list(ring: Any, memory: Any, shift: Any, first: Any, begin: Any, end: Any,
              factor: Any) -> None:
    """Unsigned indices spare Numba's check for negative ones."""
    mask = (np.int64(1) << shift) - 1
    for i in range(begin, end):
        x = memory[i]
        ring[first + np.uint64(x & mask)] += np.int32(np.int32(x >> shift) * factor)


@njit(cache=True)
def _add_late(ring: Any, memory: Any, shift: Any, late: Any, a: Any, dense: Any, factor: Any,
              t: Any, n: Any, slots: Any) -> None:
    at, first = np.int64(memory[a + A_ADDRESS]), np.int64(memory[a + A_FIRST])
    mask = (np.int64(1) << shift) - 1
    for i in range(memory[a + A_SYNAPSES]):
        x = memory[at + i]
        to = np.int64(i) if dense else np.int64(x & mask)
        slot = (t + 1 + np.int64(late[at + i])) % slots
        ring[slot * n + first + to] += np.int32(np.int32(x >> shift) * factor)


@njit(cache=True)
def _add_conv(f: Any, element: Any, delay: Any, factor: Any, t: Any, n: Any, slots: Any,
              ring: Any, memory: Any, shift: Any, rows: Any, conv_late: Any, groups: Any,
              conv_x: Any) -> None:
    """The output neurons of this core that see an input element, and the weight of each."""
    height, width, out_h = f[F_H], f[F_W], f[F_OH]
    k_h, k_w, s_y, s_x = f[F_KH], f[F_KW], f[F_SY], f[F_SX]
    d_y, d_x = f[F_DY], f[F_DX]
    per_group = f[F_CIN] // f[F_GROUPS]
    c = element // (height * width)
    y = (element // width) % height + f[F_PY]
    x = element % width + f[F_PX]
    group, ci = c // per_group, c % per_group
    top = max(0, -(((k_h - 1) * d_y - y) // s_y))
    bottom = min(out_h - 1, y // s_y)
    left = max(0, -(((k_w - 1) * d_x - x) // s_x))
    right = min(f[F_OW] - 1, x // s_x)
    base = (t + 1 + delay + f[F_LATE]) % slots * n + f[F_FIRST]
    for channel in range(groups[f[F_GROUP] + group], groups[f[F_GROUP] + group + 1]):
        kernel = f[F_WEIGHT] + (channel * per_group + ci) * k_h * k_w
        for oy in range(top, bottom + 1):
            tap_y = y - oy * s_y
            if tap_y % d_y != 0:
                continue
            row = f[F_ROWS] + channel * out_h + oy
            first, stop = rows[row], rows[row + 1]
            if first == stop:
                continue
            # Elements ascend by at least 1, so this is not before the first at ``left``.
            i = min(first + max(0, left - conv_x[f[F_FIRST] + first]), stop)
            while i > first and conv_x[f[F_FIRST] + i - 1] >= left:
                i -= 1
            line = kernel + (tap_y // d_y) * k_w
            while i < stop:
                ox = conv_x[f[F_FIRST] + i]
                if ox > right:
                    break
                tap_x = x - ox * s_x
                if tap_x % d_x == 0:
                    into = base + i
                    if f[F_LATES] >= 0:
                        into = ((t + 1 + delay + conv_late[f[F_LATES] + i]) % slots * n
                                + f[F_FIRST] + i)
                    w = np.int32(memory[line + tap_x // d_x] >> shift)
                    ring[into] += np.int32(w * factor)
                i += 1


class Tables(NamedTuple):
    """A decoded program (``chip.load``). Neurons of all cores one after the other, as their axons.

    machine
        fold, u limit, v limit, input shift.
    sections, convs
        A row each (``S_...``, ``F_...``); ``core_sections[c]`` is where core c's begin.
    keep_u, keep_v, threshold, bias, initial, element
        A value a neuron; ``element`` is its index in its population.
    out_first, out_axon, out_flit
        Output axons of neuron i: ``out_axon[out_first[i]:out_first[i + 1]]``, each the place of an
        input axon's head in ``memory``. One travels in a flit of its own if its ``out_flit`` is 1,
        else in that of the one before (multicast).
    host_first, host_axon, host_flit
        The same for the elements of all inputs.
    memory, late, shift
        Input axons, each a head (``A_...``) and its synapses: weight << shift | neuron from
        ``A_FIRST`` on; so that what a spike reads lies together. Kernels of convolutions have a
        place of their own. ``late``: delays of synapses, where there are any.
    conv_rows
        For each (channel here, output row): the first neuron of the section in it.
    conv_groups
        The first channel here of each group.
    conv_x, conv_late
        Output column of each neuron; delays of neurons where they differ.
    core_chip, chips, slots
        The chip of each core, chips in use, and steps of the ring that sums wait in.
    """

    machine: Any
    sections: Any
    core_sections: Any
    convs: Any
    keep_u: Any
    keep_v: Any
    threshold: Any
    bias: Any
    initial: Any
    element: Any
    out_first: Any
    out_axon: Any
    out_flit: Any
    host_first: Any
    host_axon: Any
    host_flit: Any
    memory: Any
    late: Any
    conv_rows: Any
    conv_groups: Any
    conv_x: Any
    conv_late: Any
    core_chip: Any
    chips: int
    slots: int
    shift: int


FUNCTIONAL, ANALYTIC, CYCLE = range(3)
"""How a step is timed: not at all, by ``timing.estimate``, by ``timing.network``."""


class State(NamedTuple):
    """What a chip remembers between steps; ``active`` and ``bias`` are scratch of a sample."""

    ring: Any
    u: Any
    v: Any
    sent: Any
    active: Any
    bias: Any


class Given(NamedTuple):
    """What comes from outside for one sample: spikes of step t are ``first[t]`` to
    ``first[t + 1]`` of ``element`` (numbered over all inputs) and ``payload``. ``parallel`` holds,
    for each element, how many spikes it may send in a step."""

    first: Any
    element: Any
    payload: Any
    parallel: Any


class Recorded(NamedTuple):
    """Where probes go: flat arrays of [step, neuron] blocks, one a population, and the first step
    they hold."""

    start: Any
    s: Any
    u: Any
    v: Any


class Totals(NamedTuple):
    """Sums and peaks over a run: by core, by sender (cores, then hosts), by link or buffer."""

    synapses: Any
    received: Any
    sent: Any
    spikes: Any
    sending: Any
    receiving: Any
    stalled: Any
    critical: Any
    core_peak: Any
    buffer_peak: Any
    link_flits: Any


class Series(NamedTuple):
    """A row a step: fingerprint of what was sent, events (``E_...``), ticks with the barrier,
    critical unit and why."""

    mark: Any
    events: Any
    ticks: Any
    unit: Any
    reason: Any


@njit(cache=True)
def _compute(t: Any, core: Any, tables: Any, state: Any, recorded: Any, timed: Any) -> Any:
    """All neurons of a core take their step; returns how many were active."""
    active = np.int64(0)
    slot = t % tables.slots * len(state.u)
    for row in range(tables.core_sections[core], tables.core_sections[core + 1]):
        s = tables.sections[row]
        n = s[S_COUNT]
        a, b = s[S_FIRST], s[S_FIRST] + n
        if t == s[S_START]:
            state.u[a:b] = 0
            state.v[a:b] = tables.initial[a:b]
            state.sent[a:b] = 0
        ring = state.ring[slot + a:slot + b]
        u, v, sent = state.u[a:b], state.v[a:b], state.sent[a:b]
        if timed:
            active += _mark_active(ring, u, v, state.bias[a:b], state.active[a:b])
        if s[S_NARROW]:
            update_narrow(tables.machine, s[S_FILTER], s[S_LEAK], s[S_ANALOG], s[S_GE],
                          s[S_RESET], ring, u, v, sent, tables.keep_u[a:b], tables.keep_v[a:b],
                          tables.threshold[a:b], state.bias[a:b])
        else:
            update(tables.machine, s[S_ANALOG], s[S_GE], s[S_RESET], s[S_MAX], ring, u, v, sent,
                   tables.keep_u[a:b], tables.keep_v[a:b], tables.threshold[a:b],
                   state.bias[a:b])
        at = (t - recorded.start) * s[S_SIZE]
        element = tables.element[a:b]
        if s[S_SREC]:
            record(recorded.s[s[S_SREC] - 1 + at:], sent, element)
        if s[S_UREC]:
            record(recorded.u[s[S_UREC] - 1 + at:], u, element)
        if s[S_VREC]:
            record(recorded.v[s[S_VREC] - 1 + at:], v, element)
    return active


@njit(cache=True)
def _travel(a: Any, payload: Any, t: Any, n: Any, slots: Any, ring: Any, memory: Any, shift: Any,
            late: Any, convs: Any, rows: Any, conv_late: Any, groups: Any,
            conv_x: Any) -> None:
    """What the core of an input axon does with a spike of step t."""
    kind = np.int64(memory[a + A_KIND])
    factor = np.int32(payload << memory[a + A_SHIFT])
    if kind <= SPARSE:
        begin = np.uint64(memory[a + A_ADDRESS])
        end = begin + np.uint64(memory[a + A_SYNAPSES])
        first = np.uint64((t + 1) % slots * n + memory[a + A_FIRST])
        if kind == SPARSE:
            _add_list(ring, memory, shift, first, begin, end, factor)
        else:
            _add_row(ring[first:first + (end - begin)], memory[begin:end], shift, factor)
    elif kind == CONV:
        _add_conv(convs[memory[a + A_CONV]], np.int64(memory[a + A_ADDRESS]),
                  np.int64(memory[a + A_FIRST]), factor, t, n, slots, ring, memory, shift,
                  rows, conv_late, groups, conv_x)
    else:
        _add_late(ring, memory, shift, late, a, kind == DENSE_LATE, factor, t, n,
                  slots)


@njit(cache=True)
def _write_down(memory: Any, a: Any, at: Any, dest: Any, work: Any, events: Any, received: Any,
                arrived: Any) -> None:
    """One destination of a flit for the timing, and what it will cost there."""
    core, kind, synapses = memory[a + A_CORE], memory[a + A_KIND], memory[a + A_SYNAPSES]
    dest[at] = core
    work[at] = memory[a + A_WORK]
    events[E_DENSE + (kind if kind < DENSE_LATE else kind - DENSE_LATE)] += synapses
    received[core] += 1
    arrived[core] += synapses


@njit(cache=True)
def _send(t: Any, core: Any, sent: Any, tables: Any, state: Any, step: Any, ticks: Any,
          events: Any, totals: Any, timed: Any) -> Any:
    """The spikes of a core, neuron by neuron. ``sent``: flits and destinations of the step so far;
    returns the same after this core, and the fingerprint of what it sent.

    Ticks: every neuron is accessed and each active one updated; a spike and each of its flits
    take theirs; what follows the last flit is the tail.
    """
    # Taken out of their tuples, which Numba would hand over whole at each call.
    ring, memory, late = state.ring, tables.memory, tables.late
    convs, rows, conv_late = tables.convs, tables.conv_rows, tables.conv_late
    groups, conv_x, sections = tables.conv_groups, tables.conv_x, tables.sections
    out_first, out_axon, out_flit = tables.out_first, tables.out_axon, tables.out_flit
    element = tables.element
    fired, active, n, slots = state.sent, state.active, len(state.u), tables.slots
    step_gap, step_fan, step_dest, step_work = step.gap, step.fan, step.dest, step.work
    received, arrived = totals.received, totals.synapses
    flit, at = sent
    before = flit
    gap = np.int64(0)
    mark = np.uint64(0)
    slot, shift = (t + 1) % slots * n, np.int64(tables.shift)
    mask = (np.int64(1) << shift) - 1
    for row in range(tables.core_sections[core], tables.core_sections[core + 1]):
        s = sections[row]
        since = s[S_FIRST]
        stop = s[S_FIRST] + s[S_COUNT]
        # What the second next spike will read is fetched while this one is delivered.
        i = _next(fired, since, stop)
        ahead = _next(fired, i + 1, stop)
        _fetch(memory, out_axon, out_first, ahead, stop)
        while i < stop:
            later = _next(fired, ahead + 1, stop)
            _fetch(memory, out_axon, out_first, later, stop)
            now, i, ahead = i, ahead, later
            payload = fired[now]
            mark += mixed(s[S_BASE] + element[now], payload)
            first, last = out_first[now], out_first[now + 1]
            if s[S_ANALOG] and first == last:
                continue
            if timed:
                gap += _ticks(since, now + 1, active, ticks) + ticks[E_SPIKE]
                since = now + 1
                events[E_SPIKE] += 1
                totals.spikes[core] += 1
            for o in range(first, last):
                a = np.uint64(out_axon[o])
                if timed:
                    if out_flit[o]:
                        step_gap[flit] = gap + ticks[E_AXON_OUT]
                        step_fan[flit] = at
                        gap = np.int64(0)
                        flit += 1
                    _write_down(memory, a, at, step_dest, step_work, events, received, arrived)
                    at += 1
                if memory[a + A_KIND] != SPARSE:
                    _travel(a, payload, t, n, slots, ring, memory, shift, late, convs,
                            rows, conv_late, groups, conv_x)
                    continue
                # The same for the commonest kind, written out: as a call it is slower.
                factor = np.int32(payload << memory[a + A_SHIFT])
                begin = np.uint64(memory[a + A_ADDRESS])
                end = begin + np.uint64(memory[a + A_SYNAPSES])
                to = np.uint64(slot + memory[a + A_FIRST])
                for j in range(begin, end):
                    x = memory[j]
                    ring[to + np.uint64(x & mask)] += np.int32(np.int32(x >> shift) * factor)
        if timed:
            gap += _ticks(since, stop, active, ticks)
    if timed:
        step.tail[core] = gap
        events[E_AXON_OUT] += flit - before
        totals.sent[core] += flit - before
    return flit, at, mark


@njit(cache=True)
def _next(fired: Any, i: Any, stop: Any) -> Any:
    """The next neuron that sends something, from ``i`` on, or at least ``stop``."""
    while i + 16 <= stop:
        some = np.int32(0)
        for j in range(16):
            some |= fired[i + j]
        if some != 0:
            break
        i += 16
    while i < stop and fired[i] == 0:
        i += 1
    return i


@njit(cache=True)
def _fetch(memory: Any, out_axon: Any, out_first: Any, i: Any, stop: Any) -> None:
    """The heads of a neuron's axons and their first synapses."""
    if i < stop:
        for o in range(out_first[i], out_first[i + 1]):
            a = np.uint64(out_axon[o])
            prefetch(memory, a)
            prefetch(memory, a + np.uint64(16))


@njit(cache=True)
def _ticks(first: Any, stop: Any, active: Any, ticks: Any) -> Any:
    count = np.int64(0)
    for i in range(first, stop):
        count += active[i]
    return (stop - first) * ticks[E_ACCESS] + count * ticks[E_UPDATE]


@njit(cache=True)
def _inject(t: Any, chip: Any, sent: Any, tables: Any, state: Any, given: Any, step: Any,
            ticks: Any, events: Any, totals: Any, timed: Any) -> Any:
    """Spikes of inputs for the cores of one chip; ``sent`` as for ``_send``."""
    memory, core_chip = tables.memory, tables.core_chip
    flit, at = sent
    if t + 1 >= len(given.first):
        return flit, at
    before = flit
    for e in range(given.first[t], given.first[t + 1]):
        j = given.element[e]
        first, last = tables.host_first[j], tables.host_first[j + 1]
        payload = given.payload[e]
        if given.parallel[j] > 1:  # as many of the parallel axons as there are spikes
            last = first + (last - first) // given.parallel[j] * payload
            payload = np.int32(1)
        started = False
        for o in range(first, last):
            a = np.uint64(tables.host_axon[o])
            if tables.host_flit[o]:
                started = False
            if core_chip[memory[a + A_CORE]] != chip:
                continue
            if timed:
                if not started:  # what goes to several chips is sent to each
                    step.gap[flit] = ticks[E_HOST]
                    step.fan[flit] = at
                    flit += 1
                    started = True
                _write_down(memory, a, at, step.dest, step.work, events, totals.received,
                            totals.synapses)
                at += 1
            _travel(a, payload, t, len(state.u), tables.slots, state.ring, memory,
                    np.int64(tables.shift), tables.late, tables.convs, tables.conv_rows,
                    tables.conv_late, tables.conv_groups, tables.conv_x)
    events[E_HOST] += flit - before
    return flit, at


@njit(cache=True, nogil=True)
def run_untimed(start: Any, stop: Any, tables: Any, state: Any, given: Any, recorded: Any,
                step: Any, ticks: Any, series: Any, totals: Any) -> None:
    """As ``run_steps``, without timing and without waiting for Numba to compile the timing."""
    cores = len(tables.core_sections) - 1
    for t in range(start, stop):
        events = series.events[t - start]
        for core in range(cores):
            _compute(t, core, tables, state, recorded, False)
        sent = (np.int64(0), np.int64(0))
        for core in range(cores):
            series.mark[t - start] += _send(t, core, sent, tables, state, step, ticks, events,
                                            totals, False)[2]
        for chip in range(tables.chips):
            _inject(t, chip, sent, tables, state, given, step, ticks, events, totals, False)


@njit(cache=True, nogil=True)
def run_steps(start: Any, stop: Any, mode: Any, tables: Any, state: Any, given: Any,
              recorded: Any, mesh: Any, step: Any, ticks: Any, barrier: Any, result: Any,
              network: Any, scratch: Any, series: Any, totals: Any) -> None:
    """Run the steps [start, stop) of a sample; row t - start of ``series`` is step t's."""
    cores = len(tables.core_sections) - 1
    for t in range(start, stop):
        events = series.events[t - start]
        for core in range(cores):
            events[E_UPDATE] += _compute(t, core, tables, state, recorded, True)
        sent = (np.int64(0), np.int64(0))
        for core in range(cores):
            step.first[core] = sent[0]
            flit, at, mark = _send(t, core, sent, tables, state, step, ticks, events, totals,
                                   True)
            sent = (flit, at)
            series.mark[t - start] += mark
        for chip in range(tables.chips):
            step.first[cores + chip] = sent[0]
            sent = _inject(t, chip, sent, tables, state, given, step, ticks, events, totals,
                           True)
        step.first[cores + tables.chips] = sent[0]
        step.fan[sent[0]] = sent[1]
        events[E_AXON_IN] = sent[1]
        events[E_ACCESS] = len(state.u)
        if mode == CYCLE:
            simulate(mesh, step, result, network)
        else:
            estimate(mesh, step, result, scratch)
        series.ticks[t - start] = result.summary[R_TICKS] + barrier
        series.unit[t - start] = result.summary[R_UNIT]
        series.reason[t - start] = result.summary[R_REASON]
        for link in range(len(result.link_flits)):
            events[E_EAST_WEST + mesh.link_kind[link]] += result.link_flits[link]
            totals.link_flits[link] += result.link_flits[link]
        _total(result, totals)


@njit(cache=True)
def _total(result: Any, totals: Any) -> None:
    """Add a step to the sums of a run."""
    if result.summary[R_REASON] > 0 and result.summary[R_UNIT] >= 0:
        totals.critical[result.summary[R_UNIT]] += 1
    for s in range(len(totals.stalled)):
        totals.stalled[s] += result.stalled[s]
        totals.sending[s] += result.done[s] - result.stalled[s]
    for c in range(len(totals.receiving)):
        totals.receiving[c] += result.busy[c]
        totals.core_peak[c] = max(totals.core_peak[c], result.core_peak[c])
    for b in range(len(totals.buffer_peak)):
        totals.buffer_peak[b] = max(totals.buffer_peak[b], result.buffer_peak[b])
