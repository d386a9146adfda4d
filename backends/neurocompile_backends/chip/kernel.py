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

from neurocompile_backends.chip.timing.estimate import estimate
from neurocompile_backends.chip.timing.layout import R_REASON, R_TICKS, R_UNIT
from neurocompile_backends.chip.timing.network import simulate
from neurocompile_backends.neurons import fingerprint, update, update_narrow

# Columns of the section table.
(S_CORE, S_FIRST, S_COUNT, S_POPULATION, S_START, S_ANALOG, S_RESET, S_GE, S_MAX, S_FILTER, S_LEAK,
 S_NARROW, S_SIZE, S_BASE, S_SREC, S_UREC, S_VREC, S_COLUMNS) = range(18)
# S_RESET: as neurocompile.ir.program.RESETS. S_SIZE: neurons of its population; S_BASE: neurons of
# all populations before it. S_SREC to S_VREC: where the values of its population start among what
# is recorded, plus 1; 0 if none is.

# Columns of the format table. A convolution has the second row too.
(F_ENCODING, F_FIRST, F_COUNT, F_SHIFT, F_DELAYED,
 F_WEIGHT, F_ROWS, F_GROUP, F_CIN, F_H, F_W, F_OH, F_OW, F_KH, F_KW, F_SY, F_SX, F_PY, F_PX, F_DY,
 F_DX, F_GROUPS, F_LATE, F_LATES, F_COLUMNS) = range(25)
DENSE, SPARSE, CONV = 0, 1, 2  # neurocompile.ir.program.ENCODINGS

# Columns of the axon table.
A_FORMAT, A_SYNAPSES, A_ADDRESS, A_DELAY, A_WORK, A_CORE, A_COLUMNS = range(7)

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
def _add_row(ring: Any, weights: Any, factor: Any) -> None:
    for i in range(len(ring)):
        ring[i] += np.int32(np.int32(weights[i]) * factor)


@njit(cache=True)
def _deliver(axon: Any, payload: Any, t: Any, n: Any, slots: Any, formats: Any, ring: Any,
             weight: Any, local: Any, late: Any, rows: Any, conv_late: Any, groups: Any,
             conv_x: Any) -> None:
    """What the core of an input axon does with a spike of step t."""
    f = formats[axon[A_FORMAT]]
    factor = np.int32(payload << f[F_SHIFT])
    encoding = f[F_ENCODING]
    if encoding == CONV:
        _deliver_conv(f, axon, factor, t, n, slots, ring, weight, rows, conv_late, groups, conv_x)
        return
    count, at, first = axon[A_SYNAPSES], axon[A_ADDRESS], f[F_FIRST]
    if f[F_DELAYED]:
        for i in range(count):
            to = np.uint64(i) if encoding == DENSE else np.uint64(local[at + i])
            slot = (t + 1 + np.int64(late[at + i])) % slots
            ring[np.uint64(slot * n + first) + to] += np.int32(weight[at + i]) * factor
        return
    base = (t + 1) % slots * n + first
    if encoding == DENSE:
        _add_row(ring[base:base + count], weight[at:at + count], factor)
        return
    # Unsigned indices spare Numba's check for negative ones.
    start, begin = np.uint64(base), np.uint64(at)
    for i in range(np.uint64(count)):
        ring[start + np.uint64(local[begin + i])] += np.int32(weight[begin + i]) * factor


@njit(cache=True)
def _deliver_conv(f: Any, axon: Any, factor: Any, t: Any, n: Any, slots: Any, ring: Any,
                  weight: Any, rows: Any, conv_late: Any, groups: Any, conv_x: Any) -> None:
    """The output neurons of this core that see an input element, and the weight of each."""
    element = axon[A_ADDRESS]
    height, width, out_h, out_w = f[F_H], f[F_W], f[F_OH], f[F_OW]
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
    right = min(out_w - 1, x // s_x)
    base = (t + 1 + axon[A_DELAY] + f[F_LATE]) % slots * n + f[F_FIRST]
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
            # Elements ascend by at least 1, so this is not past the first at ``left``.
            i = first + max(0, left - conv_x[f[F_FIRST] + first])
            i = min(i, stop)
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
                        delay = axon[A_DELAY] + conv_late[f[F_LATES] + i]
                        into = (t + 1 + delay) % slots * n + f[F_FIRST] + i
                    ring[into] += np.int32(weight[line + tap_x // d_x]) * factor
                i += 1


@njit(cache=True)
def _record(to: Any, values: Any, element: Any) -> None:
    for i in range(len(values)):
        to[element[i]] = values[i]


class Tables(NamedTuple):
    """A decoded program (``chip.load``). Neurons of all cores one after the other, as their axons.

    machine
        fold, u limit, v limit, input shift.
    sections, formats, axons
        A row each (``S_...``, ``F_...``, ``A_...``); ``core_sections[c]`` is where core c's begin.
    keep_u, keep_v, threshold, bias, initial, element
        A value a neuron; ``element`` is its index in its population.
    out_first, out_axon
        Output axons of neuron i: input axons ``out_axon[out_first[i]:out_first[i + 1]]``.
    host_first, host_axon
        The same for the elements of all inputs.
    weight, local, late
        Synapses: weight, neuron within its section (sparse), delay (where there are any).
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
    formats: Any
    axons: Any
    keep_u: Any
    keep_v: Any
    threshold: Any
    bias: Any
    initial: Any
    element: Any
    out_first: Any
    out_axon: Any
    host_first: Any
    host_axon: Any
    weight: Any
    local: Any
    late: Any
    conv_rows: Any
    conv_groups: Any
    conv_x: Any
    conv_late: Any
    core_chip: Any
    chips: int
    slots: int


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
    """All neurons of a core take their step; (how many were active, fingerprint of what is sent).
    """
    active = np.int64(0)
    mark = np.uint64(0)
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
        if timed:
            mark += fingerprint(s[S_BASE], sent, element)
        if s[S_SREC]:
            _record(recorded.s[s[S_SREC] - 1 + at:], sent, element)
        if s[S_UREC]:
            _record(recorded.u[s[S_UREC] - 1 + at:], u, element)
        if s[S_VREC]:
            _record(recorded.v[s[S_VREC] - 1 + at:], v, element)
    return active, mark


@njit(cache=True)
def _travel(axon: Any, payload: Any, t: Any, tables: Any, state: Any) -> None:
    _deliver(tables.axons[axon], payload, t, len(state.u), tables.slots, tables.formats,
             state.ring, tables.weight, tables.local, tables.late, tables.conv_rows,
             tables.conv_late, tables.conv_groups, tables.conv_x)


@njit(cache=True)
def _write_down(axon: Any, gap: Any, flit: Any, tables: Any, step: Any, events: Any,
                totals: Any) -> None:
    """One flit for the timing, and what it will cost where it arrives."""
    a = tables.axons[axon]
    core = a[A_CORE]
    step.gap[flit] = gap
    step.dest[flit] = core
    step.work[flit] = a[A_WORK]
    events[E_AXON_IN] += 1
    events[E_DENSE + tables.formats[a[A_FORMAT], F_ENCODING]] += a[A_SYNAPSES]
    totals.received[core] += 1
    totals.synapses[core] += a[A_SYNAPSES]


@njit(cache=True)
def _send(t: Any, core: Any, flit: Any, tables: Any, state: Any, step: Any, ticks: Any,
          events: Any, totals: Any, timed: Any) -> Any:
    """The spikes of a core, neuron by neuron; returns the number of the next flit.

    Ticks: every neuron is accessed and each active one updated; a spike and each of its output
    axons take theirs; what follows the last flit is the tail.
    """
    gap = np.int64(0)
    for row in range(tables.core_sections[core], tables.core_sections[core + 1]):
        s = tables.sections[row]
        since = s[S_FIRST]
        stop = s[S_FIRST] + s[S_COUNT]
        for i in range(since, stop):
            payload = state.sent[i]
            if payload == 0:
                continue
            first, last = tables.out_first[i], tables.out_first[i + 1]
            if s[S_ANALOG] and first == last:
                continue
            if timed:
                gap += _ticks(since, i + 1, state.active, ticks) + ticks[E_SPIKE]
                since = i + 1
                events[E_SPIKE] += 1
                totals.spikes[core] += 1
            for o in range(first, last):
                axon = tables.out_axon[o]
                if timed:
                    _write_down(axon, gap + ticks[E_AXON_OUT], flit, tables, step, events, totals)
                    events[E_AXON_OUT] += 1
                    totals.sent[core] += 1
                    gap = np.int64(0)
                    flit += 1
                _travel(axon, payload, t, tables, state)
        if timed:
            gap += _ticks(since, stop, state.active, ticks)
    if timed:
        step.tail[core] = gap
    return flit


@njit(cache=True)
def _ticks(first: Any, stop: Any, active: Any, ticks: Any) -> Any:
    count = np.int64(0)
    for i in range(first, stop):
        count += active[i]
    return (stop - first) * ticks[E_ACCESS] + count * ticks[E_UPDATE]


@njit(cache=True)
def _inject(t: Any, chip: Any, flit: Any, tables: Any, state: Any, given: Any, step: Any,
            ticks: Any, events: Any, totals: Any, timed: Any) -> Any:
    """Spikes of inputs for the cores of one chip; returns the number of the next flit."""
    if t + 1 >= len(given.first):
        return flit
    for e in range(given.first[t], given.first[t + 1]):
        j = given.element[e]
        first, last = tables.host_first[j], tables.host_first[j + 1]
        payload = given.payload[e]
        if given.parallel[j] > 1:  # as many of the parallel axons as there are spikes
            last = first + (last - first) // given.parallel[j] * payload
            payload = np.int32(1)
        for o in range(first, last):
            axon = tables.host_axon[o]
            if tables.core_chip[tables.axons[axon, A_CORE]] != chip:
                continue
            if timed:
                _write_down(axon, ticks[E_HOST], flit, tables, step, events, totals)
                events[E_HOST] += 1
                flit += 1
            _travel(axon, payload, t, tables, state)
    return flit


@njit(cache=True, nogil=True)
def run_steps(start: Any, stop: Any, mode: Any, tables: Any, state: Any, given: Any,
              recorded: Any, mesh: Any, step: Any, ticks: Any, barrier: Any, result: Any,
              network: Any, scratch: Any, series: Any, totals: Any) -> None:
    """Run the steps [start, stop) of a sample; row t - start of ``series`` is step t's."""
    timed = mode != FUNCTIONAL
    cores = len(tables.core_sections) - 1
    for t in range(start, stop):
        events = series.events[t - start]
        for core in range(cores):
            active, mark = _compute(t, core, tables, state, recorded, timed)
            events[E_UPDATE] += active
            series.mark[t - start] += mark
        flit = np.int64(0)
        for core in range(cores):
            step.first[core] = flit
            flit = _send(t, core, flit, tables, state, step, ticks, events, totals, timed)
        for chip in range(tables.chips):
            step.first[cores + chip] = flit
            flit = _inject(t, chip, flit, tables, state, given, step, ticks, events, totals,
                           timed)
        if not timed:
            continue
        step.first[cores + tables.chips] = flit
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
