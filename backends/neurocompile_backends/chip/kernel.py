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

from neurocompile_backends.chip.intrinsics import BLOCK, lowest, nonzero, ones, prefetch
from neurocompile_backends.chip.timing.estimate import estimate
from neurocompile_backends.chip.timing.layout import R_REASON, R_TICKS, R_UNIT
from neurocompile_backends.chip.timing.network import simulate
from neurocompile_backends.neurons import mixed, record, update, update_narrow

# Columns of the section table.
(S_CORE, S_FIRST, S_COUNT, S_POPULATION, S_START, S_ANALOG, S_RESET, S_GE, S_MAX, S_FILTER, S_LEAK,
 S_NARROW, S_SIZE, S_BASE, S_SREC, S_UREC, S_VREC, S_REFRACTORY, S_COLUMNS) = range(19)
# S_RESET: as neurocompile.ir.program.RESETS. S_SIZE: neurons of its population; S_BASE: neurons of
# all populations before it. S_SREC to S_VREC: where the values of its population start among what
# is recorded, plus 1; 0 if none is. S_REFRACTORY: steps after a spike in which v stays.

# Columns of the table of convolutions, a row each.
(F_FIRST, F_WEIGHT, F_ROWS, F_GROUP, F_CIN, F_H, F_W, F_OH, F_OW, F_KH, F_KW, F_SY, F_SX, F_PY,
 F_PX, F_DY, F_DX, F_GROUPS, F_LATE, F_LATES, F_COLUMNS) = range(21)

# Columns of the table of deliveries: synapses that a spike meets one after the other. They are
# memory[D_BEGIN:D_END], for neurons counted from D_FIRST on, the payload shifted by D_SHIFT; for a
# convolution its number, the element of its input and the delay.
D_KIND, D_SHIFT, D_BEGIN, D_END, D_FIRST, D_COLUMNS = range(6)
D_CONV, D_ELEMENT, D_DELAY = D_BEGIN, D_END, D_FIRST
DENSE, SPARSE, CONV, DENSE_LATE, SPARSE_LATE = range(5)
# D_KIND: as neurocompile.ir.program.ENCODINGS, and those with delays of synapses apart.

# Columns of the table of shapes: what messages have in common.
H_SYNAPSES, H_WORK, H_COLUMNS = range(3)

# Events of a step, in the order of neurocompile.ir.target.EVENTS.
(E_EAST_WEST, E_NORTH_SOUTH, E_CHIP, E_AXON_IN, E_AXON_OUT, E_DENSE, E_SPARSE, E_CONV, E_ACCESS,
 E_UPDATE, E_SPIKE, E_HOST, E_COLUMNS) = range(13)


@njit(cache=True)
def _mark_active(ring: Any, u: Any, v: Any, bias: Any, rest: Any, active: Any) -> Any:
    """A neuron is updated if there is anything to update it with, or a refractory step to count;
    returns how many are. ``rest``: empty where no neuron has such a period."""
    count = np.int64(0)
    for i in range(len(u)):
        active[i] = np.int8((ring[i] | u[i] | v[i] | bias[i]) != 0)
        count += active[i]
    for i in range(len(rest)):
        if rest[i] != 0 and active[i] == 0:
            active[i] = 1
            count += 1
    return count


@njit(cache=True)
def _add_row(ring: Any, memory: Any, shift: Any, factor: Any) -> None:
    for i in range(len(ring)):
        ring[i] += np.int32(np.int32(memory[i] >> shift) * factor)


@njit(cache=True)
def _add_late(ring: Any, memory: Any, shift: Any, late: Any, one: Any, factor: Any, t: Any, n: Any,
              slots: Any) -> None:
    mask = (np.int64(1) << shift) - 1
    dense, first, begin = one[D_KIND] == DENSE_LATE, one[D_FIRST], one[D_BEGIN]
    for i in range(begin, one[D_END]):
        x = memory[i]
        to = np.int64(i - begin) if dense else np.int64(x & mask)
        slot = (t + 1 + np.int64(late[i])) % slots
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
    """A decoded program (``chip.load``). Neurons of all cores one after the other.

    machine
        fold, u limit, v limit, input shift.
    sections, convs
        A row each (``S_...``, ``F_...``); ``core_sections[c]`` is where core c's begin.
    keep_u, keep_v, threshold, bias, initial, element
        A value a neuron; ``element`` is its index in its population.
    source_messages, messages
        What source i sends is ``messages[source_messages[i]:source_messages[i + 1]]``. Sources are
        all neurons, then elements of inputs, as many times as they have parallel axons. A message
        is shape << ``core_bits`` + 1 | core << 1 | 1 if it travels in a flit of its own, and not in
        that of the one before (multicast).
    shapes
        A row for each (synapses, ticks of work) that messages have (``H_...``).
    source_synapses
        Dense, sparse and convolved synapses that a spike of each source reaches.
    source_deliveries, deliveries
        The same for the synapses that its spikes meet: a row each (``D_...``), of several messages
        together where they are alike.
    memory, late, shift
        Synapses, weight << shift | neuron; those of a source lie together, as they are read
        together. Kernels of convolutions have a place of their own. ``late``: delays of synapses,
        where there are any.
    conv_rows
        For each (channel here, output row): the first neuron of the section in it.
    conv_groups
        The first channel here of each group.
    conv_x, conv_late
        Output column of each neuron; delays of neurons where they differ.
    core_chip, chips, slots
        The chip of each core, chips in use, and steps of the ring that sums wait in.
    core_bits
        Bits of a core's number in ``messages``.
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
    source_messages: Any
    messages: Any
    shapes: Any
    source_synapses: Any
    source_deliveries: Any
    deliveries: Any
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
    core_bits: int


FUNCTIONAL, ANALYTIC, CYCLE = range(3)
"""How a step is timed: not at all, by ``timing.estimate``, by ``timing.network``."""


class State(NamedTuple):
    """What a chip remembers between steps: sums that wait (a block of all neurons a step), u and v,
    what neurons sent last. ``rest`` and ``owed`` as in ``neurons``, empty where no neuron has a
    refractory period.

    ``bias`` is of a sample. Scratch of a step: ``active``, has a neuron anything to be updated
    with, and the neurons that send something, in order, with what they send. ``spiked``: spikes of
    each source that ``Totals`` do not know of yet.
    """

    ring: Any
    u: Any
    v: Any
    sent: Any
    rest: Any
    owed: Any
    active: Any
    bias: Any
    spiking: Any
    payload: Any
    spiked: Any


class Given(NamedTuple):
    """What comes from outside for one sample: spikes of step t are ``first[t]`` to
    ``first[t + 1]`` of ``source`` and ``payload``."""

    first: Any
    source: Any
    payload: Any


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
def _compute(t: Any, tables: Any, state: Any, recorded: Any, timed: Any) -> Any:
    """All neurons take their step; returns how many were active."""
    active = np.int64(0)
    slot = t % tables.slots * len(state.u)
    for row in range(len(tables.sections)):
        s = tables.sections[row]
        n = s[S_COUNT]
        a, b = s[S_FIRST], s[S_FIRST] + n
        if t == s[S_START]:
            state.u[a:b] = 0
            state.v[a:b] = tables.initial[a:b]
            state.sent[a:b] = 0
            state.rest[a:b] = 0
            state.owed[a:b] = 0
        ring = state.ring[slot + a:slot + b]
        u, v, sent, rest = state.u[a:b], state.v[a:b], state.sent[a:b], state.rest[a:b]
        if timed:
            active += _mark_active(ring, u, v, state.bias[a:b], rest, state.active[a:b])
        if s[S_NARROW]:
            update_narrow(tables.machine, s[S_FILTER], s[S_LEAK], s[S_ANALOG], s[S_GE],
                          s[S_RESET], ring, u, v, sent, tables.keep_u[a:b], tables.keep_v[a:b],
                          tables.threshold[a:b], state.bias[a:b])
        else:
            update(tables.machine, s[S_ANALOG], s[S_GE], s[S_RESET], s[S_MAX], s[S_REFRACTORY],
                   ring, u, v, sent, rest, state.owed[a:b], tables.keep_u[a:b],
                   tables.keep_v[a:b], tables.threshold[a:b], state.bias[a:b])
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
def _spiking(tables: Any, state: Any) -> Any:
    """Writes down which neurons send what; how many they are, and the fingerprint of it."""
    sent, spiking, payload, element = state.sent, state.spiking, state.payload, tables.element
    count = np.int64(0)
    mark = np.uint64(0)
    for row in range(len(tables.sections)):
        s = tables.sections[row]
        i, before = s[S_FIRST], count
        stop = i + s[S_COUNT]
        while i + BLOCK <= stop:
            bits = nonzero(sent, i)
            while bits != 0:
                spiking[count] = i + lowest(bits)
                count += 1
                bits &= bits - np.uint64(1)
            i += BLOCK
        while i < stop:
            if sent[i] != 0:
                spiking[count] = i
                count += 1
            i += 1
        for i in range(before, count):
            payload[i] = sent[spiking[i]]
            mark += mixed(s[S_BASE] + element[spiking[i]], payload[i])
    return count, mark


@njit(cache=True)
def _deliver(sources: Any, payloads: Any, t: Any, tables: Any, state: Any) -> None:
    """What all cores do with the spikes of step t."""
    # Taken out of their tuples, which Numba would hand over whole at each call.
    ring, memory, late, shift = state.ring, tables.memory, tables.late, np.int64(tables.shift)
    first, deliveries = tables.source_deliveries, tables.deliveries
    convs, rows, conv_late = tables.convs, tables.conv_rows, tables.conv_late
    groups, conv_x = tables.conv_groups, tables.conv_x
    n, slots = len(state.u), tables.slots
    mask = (np.int64(1) << shift) - 1
    now = (t + 1) % slots * n
    for i in range(len(sources)):
        source, payload = sources[i], payloads[i]
        if i + 2 < len(sources):
            # What the second next spike will read, but for the end of long deliveries, which the
            # processor sees coming.
            ahead = sources[i + 2]
            for d in range(first[ahead], first[ahead + 1]):
                if deliveries[d, D_KIND] <= SPARSE:
                    begin = deliveries[d, D_BEGIN]
                    for j in range(begin, min(deliveries[d, D_END], begin + 128), 16):
                        prefetch(memory, np.uint64(j))
        for d in range(first[source], first[source + 1]):
            one = deliveries[d]
            kind = one[D_KIND]
            factor = np.int32(payload << one[D_SHIFT])
            if kind == SPARSE:
                to = np.uint64(now + one[D_FIRST])
                # Unsigned indices spare Numba's check for negative ones.
                for j in range(np.uint64(one[D_BEGIN]), np.uint64(one[D_END])):
                    x = memory[j]
                    ring[to + np.uint64(x & mask)] += np.int32(np.int32(x >> shift) * factor)
            elif kind == DENSE:
                to = np.int64(now + one[D_FIRST])
                _add_row(ring[to:to + one[D_END] - one[D_BEGIN]],
                         memory[one[D_BEGIN]:one[D_END]], shift, factor)
            elif kind == CONV:
                _add_conv(convs[one[D_CONV]], np.int64(one[D_ELEMENT]), np.int64(one[D_DELAY]),
                          factor, t, n, slots, ring, memory, shift, rows, conv_late, groups,
                          conv_x)
            else:
                _add_late(ring, memory, shift, late, one, factor, t, n, slots)


@njit(cache=True)
def _count(sources: Any, tables: Any, state: Any, events: Any) -> None:
    """Synapses that spikes reach, by kind; by core they are counted later (``_settle``)."""
    synapses, spiked = tables.source_synapses, state.spiked
    dense, sparse, conv = np.int64(0), np.int64(0), np.int64(0)
    for source in sources:
        spiked[source] += 1
        dense += synapses[source, 0]
        sparse += synapses[source, 1]
        conv += synapses[source, 2]
    events[E_DENSE] += dense
    events[E_SPARSE] += sparse
    events[E_CONV] += conv


@njit(cache=True)
def _settle(tables: Any, state: Any, totals: Any) -> None:
    """Add to the cores what has come since the last time."""
    first, messages, shapes = tables.source_messages, tables.messages, tables.shapes
    to_shape = np.uint64(tables.core_bits + 1)
    mask = (np.uint64(1) << np.uint64(tables.core_bits)) - np.uint64(1)
    for source in range(len(state.spiked)):
        times = np.int64(state.spiked[source])
        if times == 0:
            continue
        state.spiked[source] = 0
        for m in range(first[source], first[source + 1]):
            message = np.uint64(messages[m])
            core = (message >> np.uint64(1)) & mask
            totals.received[core] += times
            totals.synapses[core] += times * shapes[message >> to_shape, H_SYNAPSES]


@njit(cache=True, inline="always")
def _write_down(source: Any, chip: Any, gap: Any, each: Any, flit: Any, at: Any, first: Any,
                messages: Any, core_bits: Any, shapes: Any, core_chip: Any, step_gap: Any,
                step_fan: Any, dest: Any, work: Any) -> Any:
    """The messages of a source for the timing, those to the cores of one chip or, if ``chip`` is
    -1, of all. ``gap``: ticks before the first flit; ``each``: of every flit. ``flit``, ``at``:
    flits and destinations of the step so far; returns the same after it."""
    to_shape = np.uint64(core_bits + 1)
    mask = (np.uint64(1) << np.uint64(core_bits)) - np.uint64(1)
    started = False
    for m in range(np.uint64(first[source]), np.uint64(first[source + 1])):
        message = np.uint64(messages[m])
        core = (message >> np.uint64(1)) & mask
        if message & np.uint64(1):
            started = False
        if chip >= 0 and core_chip[core] != chip:
            continue
        if not started:  # what goes to several chips is sent to each
            step_gap[np.uint64(flit)] = gap + each
            step_fan[np.uint64(flit)] = at
            gap = np.int64(0)
            flit += 1
            started = True
        dest[np.uint64(at)] = core
        work[np.uint64(at)] = shapes[message >> to_shape, H_WORK]
        at += 1
    return flit, at


@njit(cache=True)
def _send(count: Any, tables: Any, state: Any, step: Any, ticks: Any, events: Any,
          totals: Any) -> Any:
    """The messages of all cores, of ``count`` spikes; how many flits and destinations.

    Ticks: every neuron is accessed and each active one updated; a spike and each of its flits
    take theirs; what follows the last flit is the tail.
    """
    sections, core_sections, active = tables.sections, tables.core_sections, state.active
    first, messages, core_bits = tables.source_messages, tables.messages, tables.core_bits
    shapes, core_chip, spiking = tables.shapes, tables.core_chip, state.spiking
    step_gap, step_fan, step_dest, step_work = step.gap, step.fan, step.dest, step.work
    flit, at = np.int64(0), np.int64(0)
    i = np.int64(0)
    for core in range(len(core_sections) - 1):
        step.first[core] = flit
        spikes, gap = np.int64(0), np.int64(0)
        for row in range(core_sections[core], core_sections[core + 1]):
            s = sections[row]
            since = s[S_FIRST]
            stop = since + s[S_COUNT]
            while i < count and spiking[i] < stop:
                source = np.int64(spiking[i])
                i += 1
                if s[S_ANALOG] and first[source] == first[source + 1]:
                    continue
                gap += _ticks(since, source + 1, active, ticks) + ticks[E_SPIKE]
                since = source + 1
                spikes += 1
                before = flit
                flit, at = _write_down(source, -1, gap, ticks[E_AXON_OUT], flit, at, first,
                                       messages, core_bits, shapes, core_chip, step_gap, step_fan,
                                       step_dest, step_work)
                if flit > before:
                    gap = np.int64(0)
            gap += _ticks(since, stop, active, ticks)
        step.tail[core] = gap
        events[E_SPIKE] += spikes
        totals.spikes[core] += spikes
        events[E_AXON_OUT] += flit - step.first[core]
        totals.sent[core] += flit - step.first[core]
    return flit, at


@njit(cache=True)
def _ticks(first: Any, stop: Any, active: Any, ticks: Any) -> Any:
    """What the neurons from ``first`` to ``stop`` take. ``active`` goes on for ``BLOCK`` zeros."""
    count = np.int64(0)
    for i in range(first, stop, BLOCK):
        bits = nonzero(active, i)
        if i + BLOCK > stop:
            bits &= (np.uint64(1) << np.uint64(stop - i)) - np.uint64(1)
        count += ones(bits)
    return (stop - first) * ticks[E_ACCESS] + count * ticks[E_UPDATE]


@njit(cache=True)
def _inject(sources: Any, chip: Any, flit: Any, at: Any, tables: Any, step: Any, ticks: Any,
            events: Any) -> Any:
    """The host's messages to the cores of one chip; ``flit``, ``at`` as for ``_write_down``."""
    before = flit
    for source in sources:
        flit, at = _write_down(source, chip, np.int64(0), ticks[E_HOST], flit, at,
                               tables.source_messages, tables.messages, tables.core_bits,
                               tables.shapes, tables.core_chip, step.gap, step.fan, step.dest,
                               step.work)
    events[E_HOST] += flit - before
    return flit, at


@njit(cache=True)
def _heard(t: Any, given: Any) -> Any:
    """Sources and payloads of what inputs send in a step."""
    low, high = np.int64(0), np.int64(0)
    if t + 1 < len(given.first):
        low, high = given.first[t], given.first[t + 1]
    return given.source[low:high], given.payload[low:high]


@njit(cache=True, nogil=True)
def run_untimed(start: Any, stop: Any, tables: Any, state: Any, given: Any, recorded: Any,
                series: Any) -> None:
    """As ``run_steps``, without timing and without waiting for Numba to compile the timing."""
    for t in range(start, stop):
        _compute(t, tables, state, recorded, False)
        count, series.mark[t - start] = _spiking(tables, state)
        _deliver(state.spiking[:count], state.payload[:count], t, tables, state)
        sources, payloads = _heard(t, given)
        _deliver(sources, payloads, t, tables, state)


@njit(cache=True)
def _messages(sources: Any, tables: Any) -> Any:
    """How many messages sources send; asks for them, and for what else is read of each source."""
    first, messages, synapses = tables.source_messages, tables.messages, tables.source_synapses
    first_delivery, deliveries = tables.source_deliveries, tables.deliveries
    count = np.int64(0)
    for source in sources:
        begin, end = first[source], first[source + 1]
        count += end - begin
        prefetch(deliveries, np.uint64(first_delivery[source]) * np.uint64(D_COLUMNS))
        prefetch(synapses, np.uint64(source) * np.uint64(3))
        for i in range(begin, end, 16):
            prefetch(messages, np.uint64(i))
    return count


@njit(cache=True, nogil=True)
def run_steps(start: Any, stop: Any, computed: Any, mode: Any, tables: Any, state: Any, given: Any,
              recorded: Any, mesh: Any, step: Any, ticks: Any, barrier: Any, result: Any,
              network: Any, scratch: Any, series: Any, totals: Any) -> Any:
    """Run the steps [start, stop) of a sample; row t - ``recorded.start`` of ``series`` is step
    t's. Returns ``stop`` and 0, or the step whose messages are more than ``step`` has room for and
    how many: go on from there with more, ``computed`` true, as its neurons have taken it."""
    cores = len(tables.core_sections) - 1
    reached, missing = stop, np.int64(0)
    for t in range(start, stop):
        now = t - recorded.start
        events = series.events[now]
        if t > start or not computed:
            events[E_UPDATE] = _compute(t, tables, state, recorded, True)
        count, series.mark[now] = _spiking(tables, state)
        sources, payloads = _heard(t, given)
        messages = _messages(state.spiking[:count], tables)
        messages += _messages(sources, tables)
        if messages > len(step.dest):
            reached, missing = t, messages
            break
        _deliver(state.spiking[:count], state.payload[:count], t, tables, state)
        _deliver(sources, payloads, t, tables, state)
        _count(state.spiking[:count], tables, state, events)
        _count(sources, tables, state, events)
        flit, at = _send(count, tables, state, step, ticks, events, totals)
        for chip in range(tables.chips):
            step.first[cores + chip] = flit
            flit, at = _inject(sources, chip, flit, at, tables, step, ticks, events)
        step.first[cores + tables.chips] = flit
        step.fan[flit] = at
        events[E_AXON_IN] = at
        events[E_ACCESS] = len(state.u)
        if mode == CYCLE:
            simulate(mesh, step, result, network)
        else:
            estimate(mesh, step, result, scratch)
        series.ticks[now] = result.summary[R_TICKS] + barrier
        series.unit[now] = result.summary[R_UNIT]
        series.reason[now] = result.summary[R_REASON]
        for link in range(len(result.link_flits)):
            events[E_EAST_WEST + mesh.link_kind[link]] += result.link_flits[link]
            totals.link_flits[link] += result.link_flits[link]
        _total(result, totals)
    _settle(tables, state, totals)
    return reached, missing


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
