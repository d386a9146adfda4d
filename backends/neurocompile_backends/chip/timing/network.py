"""Every flit of a step over the mesh, by the rules of docs/timing.md (Numba, event-driven).

Only ticks in which something happens are visited. Each link, sender and core has at most one
event ahead of its own, and each flit on its way over a link is one: it has the slot that is
promised to it, so there are as many as slots. So the queue of events is a fixed table, a
hierarchical timing wheel: level 0 has a list of events for each of the next 1024 ticks, each level
above has 64 lists of longer spans, whose events move down when time gets there. One event more,
"wake", stands for all ports that have to decide again in the next tick.

Within a tick the order of the lists does not matter: a buffer has one port or sender before it and
one head, and slots freed in a tick are given back at its end (rule N2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from neurocompile_backends.chip.timing.layout import (
    DELIVERED,
    F_BASE,
    F_HEAD,
    F_HELD,
    F_INPUT,
    F_PEAK,
    F_ROUTER,
    F_SLOTS,
    F_USED,
    F_WANTS,
    FINISHED,
    NOTHING,
    P_AHEAD,
    P_COUNT,
    P_IDLE,
    P_INPUTS,
    P_INTERVAL,
    P_LAST,
    P_NEXT,
    P_NOW,
    P_ROUTER,
    P_TICKS,
    P_WANTED,
    R_LAG,
    R_NETWORK,
    R_REASON,
    R_RECEIVING,
    R_SENDING,
    R_STALLED,
    R_TICKS,
    R_UNIT,
    TAKEN,
    Ints,
    Mesh,
    SmallInts,
)

# Columns of the table of senders: flits handed over end here, when it has worked on the next, and
# ticks it stood still.
S_NEXT, S_READY, S_STILL, S_COLUMNS = range(4)
# Columns of the table of cores: when it is idle, whether an event is ahead, whether it is listed to
# take in this tick, ticks it worked, and since when without a pause, on which flit first.
C_UNTIL, C_AHEAD, C_NOW, C_BUSY, C_SINCE, C_FIRST, C_COLUMNS = range(7)

# Columns of ``State.slots``: the first destination of the flit in it and the one after its last.
LOW, HIGH = range(2)
# Rows of ``State.lists``: ports that decide in this tick and in the next, buffers whose head left
# in this tick, cores that may take a flit, buffers with a new head.
DECIDING, LATER, EMPTIED, TAKING, FRESH = range(5)

# The queue, one array: for each level a bit a slot that is not empty; for level 0 a bit a word of
# such bits; the first event of each slot; then next event and time of each event.
NEAR, LEVELS = 1024, 10
Q_WORDS, Q_HEADS = 16, 32
Q_FAR = Q_HEADS + NEAR - 64
Q_EVENTS = Q_FAR + 64 * LEVELS


class State(NamedTuple):
    """What ``simulate`` works on; nothing in it outlives a call. See ``new_state``.

    ``behind``: the link that each slot of a link's buffer is at the end of; these slots come first.
    """

    buffers: Ints
    ports: Ints
    senders: Ints
    cores: Ints
    slots: SmallInts
    behind: SmallInts
    handed: Ints
    due: Ints
    queue: Ints
    lists: Ints


def new_state(mesh: Mesh, flits: int, destinations: int) -> State:
    """Room for steps of up to so many flits and destinations."""
    units = mesh.n_links + mesh.n_senders + mesh.n_cores
    sizes = mesh.buffers[:, F_SLOTS]
    behind = np.repeat(np.arange(mesh.n_links, dtype=np.int32), sizes[:mesh.n_links])
    events = units + 1 + len(behind)
    return State(
        np.zeros_like(mesh.buffers), np.zeros_like(mesh.ports),
        np.zeros((mesh.n_senders, S_COLUMNS), np.int64),
        np.zeros((mesh.n_cores, C_COLUMNS), np.int64),
        np.zeros((int(sizes.sum()), 2), np.int32), behind,
        np.zeros(flits, np.int64), np.zeros(destinations, np.int64),
        np.zeros(Q_EVENTS + 2 * events, np.int64), np.zeros((5, units), np.int64))


def _trailing_zeros(typing_context, bits):  # noqa: ARG001
    def generate(context, builder, signature, args):  # noqa: ARG001
        return builder.cttz(args[0], context.get_constant(types.boolean, False))
    return types.int64(types.int64), generate


def _leading_zeros(typing_context, bits):  # noqa: ARG001
    def generate(context, builder, signature, args):  # noqa: ARG001
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))
    return types.int64(types.int64), generate


# Of a 64-bit integer that is not 0: place of its lowest bit set, zeros above the highest. A typed
# name, as what a type checker sees of the decorated functions is their own two arguments.
_lowest: Any = intrinsic(_trailing_zeros)
_leading: Any = intrinsic(_leading_zeros)


@njit(cache=True)
def _schedule(event, at, now, queue):
    """An event at a time that is not before ``now``: its level is where the two first differ."""
    differ = at ^ now
    if differ < NEAR:
        slot = at & (NEAR - 1)
        place = Q_HEADS + slot
        queue[Q_WORDS + (slot >> 6)] |= np.int64(1) << (slot & 63)
        queue[0] |= np.int64(1) << (slot >> 6)
    else:
        level = (59 - _leading(differ)) // 6
        slot = (at >> (6 * level + 4)) & 63
        place = Q_FAR + 64 * level + slot
        queue[level] |= np.int64(1) << slot
    queue[Q_EVENTS + 2 * event] = queue[place]
    queue[Q_EVENTS + 2 * event + 1] = at
    queue[place] = event


@njit(cache=True, inline="always")
def _advance(now, queue):
    """(time, first event) of the earliest list, which leaves the queue; (now, -1) without any."""
    event = np.int64(-1)
    level = 0
    while level < LEVELS:
        if queue[level] == 0:
            level += 1
            continue
        slot = _lowest(queue[level])
        if level == 0:
            word = Q_WORDS + slot
            slot = slot * 64 + _lowest(queue[word])
            queue[word] &= queue[word] - 1
            if queue[word] == 0:
                queue[0] &= queue[0] - 1
            event = queue[Q_HEADS + slot]
            queue[Q_HEADS + slot] = -1
            now = (now & -NEAR) | slot
            break
        # Nothing is earlier than this slot: time is its start, and its events go to lower levels.
        queue[level] &= queue[level] - 1
        above = 6 * level + 10
        now = (slot << (above - 6)) | ((now >> above) << above if above < 63 else 0)
        place = Q_FAR + 64 * level + slot
        far = queue[place]
        queue[place] = -1
        while far >= 0:
            after = queue[Q_EVENTS + 2 * far]
            _schedule(far, queue[Q_EVENTS + 2 * far + 1], now, queue)
            far = after
        level = 0
    return now, event


@njit(cache=True)
def _promise(buffer, low, high, buffers, slots):
    """The next slot of a buffer for a flit for destinations ``low`` to ``high`` - 1."""
    place = buffers[buffer, F_HEAD] + buffers[buffer, F_USED]
    if place >= buffers[buffer, F_SLOTS]:
        place -= buffers[buffer, F_SLOTS]
    slot = buffers[buffer, F_BASE] + place
    slots[slot, LOW] = low
    slots[slot, HIGH] = high
    buffers[buffer, F_USED] += 1
    return slot


@njit(cache=True)
def _enter(buffer, buffers):
    """The first flit that a slot is promised to is in it; how many are in the buffer then."""
    held = buffers[buffer, F_HELD] + 1
    buffers[buffer, F_HELD] = held
    if held > buffers[buffer, F_PEAK]:
        buffers[buffer, F_PEAK] = held
    return held


@njit(cache=True)
def _leave(buffer, buffers):
    """The head leaves its buffer, and its slot is free."""
    head = buffers[buffer, F_HEAD] + 1
    buffers[buffer, F_HEAD] = 0 if head == buffers[buffer, F_SLOTS] else head
    buffers[buffer, F_HELD] -= 1
    buffers[buffer, F_USED] -= 1


@njit(cache=True)
def _choose(port, ports):
    """Round robin: the first input after the one taken last whose head wants the port, else -1."""
    start = ports[port, P_LAST] + 1
    words = ports.shape[1] - P_INPUTS
    begin = start >> 6 if start < 64 * words else 0
    # The word of the start is looked at twice: from the start on, and at the end as a whole.
    for i in range(words + 1):
        word = begin + i if begin + i < words else begin + i - words
        bits = ports[port, P_INPUTS + word]
        if i == 0:
            bits &= np.int64(-1) << (start & 63)
        if bits != 0:
            return word * 64 + _lowest(bits)
    return np.int64(-1)


# Numba's own inlining: LLVM would leave the call, with counts of references of every array.
@njit(cache=True, inline="always")
def _announce(buffer, at, now, column, row, count, buffers, slots, ports, dest, route, queue,
              lists):
    """A new head in tick ``at``: what it wants, and the ports that are idle then into a list; the
    list's new length. The others get an event for when they are.

    ``column`` is P_NOW or P_NEXT, where a port says that it is in the list.
    """
    place = buffers[buffer, F_BASE] + buffers[buffer, F_HEAD]
    router, input_ = buffers[buffer, F_ROUTER], buffers[buffer, F_INPUT]
    wants, before = 0, np.int64(-1)
    for d in range(slots[place, LOW], slots[place, HIGH]):
        port = np.int64(route[dest[d], router])
        if port == before:
            continue
        before = port
        wants += 1
        ports[port, P_INPUTS + (input_ >> 6)] |= np.int64(1) << (input_ & 63)
        ports[port, P_WANTED] += 1
        if ports[port, P_IDLE] > at:
            if not ports[port, P_AHEAD]:
                ports[port, P_AHEAD] = 1
                _schedule(port, ports[port, P_IDLE], now, queue)
        elif not ports[port, column]:
            ports[port, column] = 1
            lists[row, count] = port
            count += 1
    buffers[buffer, F_WANTS] = wants
    return count


@njit(cache=True, nogil=True)
def simulate(mesh, step, out, state):
    """Ticks of a step without its barrier; everything else goes to ``out``.

    ``state`` is from ``new_state``, for at least as many flits. ``step`` must be as ``Step`` says;
    it is not checked.
    """
    n_links, n_cores, n_senders = mesh.n_links, mesh.n_cores, mesh.n_senders
    inputs, route = mesh.inputs, mesh.route
    core_ticks_x, core_ticks_y = mesh.core_ticks_x, mesh.core_ticks_y
    first, gap, dest, work, tail = step.first, step.gap, step.dest, step.work, step.tail
    fan, done, trace = step.fan, out.done, out.trace
    timed, traced = len(out.handed) > 0, len(trace) > 0
    buffers, ports, senders, cores = state.buffers, state.ports, state.senders, state.cores
    slots, behind, handed, due = state.slots, state.behind, state.handed, state.due
    queue, lists = state.queue, state.lists

    buffers[:] = mesh.buffers
    ports[:] = mesh.ports
    cores[:] = 0
    queue[:Q_HEADS] = 0
    queue[Q_HEADS:Q_EVENTS] = -1
    lag = np.int64(0)
    now = np.int64(0)
    n_later = 0
    first_core = n_links + n_senders
    wake = first_core + n_cores
    on_link = wake + 1
    for s in range(n_senders):
        senders[s, S_NEXT] = first[s]
        senders[s, S_STILL] = 0
        if first[s] == first[s + 1]:
            done[s] = tail[s]
            continue
        senders[s, S_READY] = gap[first[s]]
        _schedule(n_links + s, gap[first[s]], now, queue)

    while True:
        now, event = _advance(now, queue)
        if event < 0:
            break
        n_deciding, n_emptied, n_taking, n_fresh = 0, 0, 0, 0

        # 1 arrivals, 2 senders; cores that become idle and ports that decide again are listed.
        while event >= 0:
            after = queue[Q_EVENTS + 2 * event]
            if event >= on_link:
                buffer = np.int64(behind[event - on_link])
                if _enter(buffer, buffers) == 1:
                    lists[FRESH, n_fresh] = buffer
                    n_fresh += 1
            elif event < n_links:
                ports[event, P_AHEAD] = 0
                if not ports[event, P_NOW]:
                    ports[event, P_NOW] = 1
                    lists[DECIDING, n_deciding] = event
                    n_deciding += 1
            elif event < first_core:
                s = event - n_links
                flit, end = senders[s, S_NEXT], first[s + 1]
                ready = senders[s, S_READY]
                while buffers[event, F_USED] < buffers[event, F_SLOTS]:
                    senders[s, S_STILL] += now - ready
                    handed[flit] = now
                    for d in range(fan[flit], fan[flit + 1]):
                        due[d] = (now - senders[s, S_STILL]
                                  + abs(core_ticks_x[dest[d]] - mesh.sender_ticks_x[s])
                                  + abs(core_ticks_y[dest[d]] - mesh.sender_ticks_y[s]))
                    _promise(event, fan[flit], fan[flit + 1], buffers, slots)
                    if _enter(event, buffers) == 1:
                        lists[FRESH, n_fresh] = event
                        n_fresh += 1
                    flit += 1
                    if flit == end:
                        done[s] = now + tail[s]
                        break
                    ready = now + gap[flit]
                    if ready > now:
                        _schedule(event, ready, now, queue)
                        break
                senders[s, S_NEXT] = flit
                senders[s, S_READY] = ready
            elif event < wake:
                core = event - first_core
                cores[core, C_AHEAD] = 0
                if not cores[core, C_NOW]:
                    cores[core, C_NOW] = 1
                    lists[TAKING, n_taking] = core
                    n_taking += 1
            else:
                for i in range(n_later):
                    port = lists[LATER, i]
                    ports[port, P_NEXT] = 0
                    if not ports[port, P_NOW]:
                        ports[port, P_NOW] = 1
                        lists[DECIDING, n_deciding] = port
                        n_deciding += 1
                n_later = 0
            event = after

        for i in range(n_fresh):
            n_deciding = _announce(lists[FRESH, i], now, now, P_NOW, DECIDING, n_deciding, buffers,
                                   slots, ports, dest, route, queue, lists)

        # 3 ports.
        for i in range(n_deciding):
            port = lists[DECIDING, i]
            ports[port, P_NOW] = 0
            to = port if port < n_links else port + n_senders
            if buffers[to, F_USED] == buffers[to, F_SLOTS]:
                continue
            input_ = _choose(port, ports)
            if input_ < 0:
                continue
            buffer = inputs[ports[port, P_ROUTER], input_]
            place = buffers[buffer, F_BASE] + buffers[buffer, F_HEAD]
            low, high = np.int64(slots[place, LOW]), np.int64(slots[place, HIGH])
            buffers[buffer, F_WANTS] -= 1
            if buffers[buffer, F_WANTS] == 0:
                lists[EMPTIED, n_emptied] = buffer
                n_emptied += 1
            if high - low > 1:
                # The copy is for the destinations on this side, which are in one piece.
                router = ports[port, P_ROUTER]
                while route[dest[low], router] != port:
                    low += 1
                while route[dest[high - 1], router] != port:
                    high -= 1
            ports[port, P_INPUTS + (input_ >> 6)] ^= np.int64(1) << (input_ & 63)
            ports[port, P_WANTED] -= 1
            ports[port, P_LAST] = input_
            ports[port, P_COUNT] += 1
            slot = _promise(to, low, high, buffers, slots)
            if port < n_links:
                _schedule(on_link + slot, now + ports[port, P_TICKS], now, queue)
                ports[port, P_IDLE] = now + ports[port, P_INTERVAL]
                if ports[port, P_WANTED]:
                    ports[port, P_AHEAD] = 1
                    _schedule(port, ports[port, P_IDLE], now, queue)
                continue
            _enter(to, buffers)
            core = port - n_links
            lag = max(lag, now - due[low])
            if traced:
                trace[low, DELIVERED] = now
            if ports[port, P_WANTED] and not ports[port, P_NEXT]:
                ports[port, P_NEXT] = 1
                lists[LATER, n_later] = port
                n_later += 1
            if cores[core, C_UNTIL] <= now:
                if not cores[core, C_NOW]:
                    cores[core, C_NOW] = 1
                    lists[TAKING, n_taking] = core
                    n_taking += 1
            elif not cores[core, C_AHEAD]:
                cores[core, C_AHEAD] = 1
                _schedule(first_core + core, cores[core, C_UNTIL], now, queue)

        # 4 cores.
        for i in range(n_taking):
            core = lists[TAKING, i]
            cores[core, C_NOW] = 0
            buffer = first_core + core
            if buffers[buffer, F_HELD] == 0:
                continue
            d = slots[buffers[buffer, F_BASE] + buffers[buffer, F_HEAD], LOW]
            _leave(buffer, buffers)
            ticks = max(work[d], 1)
            if cores[core, C_UNTIL] < now or cores[core, C_UNTIL] == 0:
                cores[core, C_SINCE] = now
                cores[core, C_FIRST] = d
            cores[core, C_UNTIL] = now + ticks
            cores[core, C_BUSY] += ticks
            if traced:
                trace[d, TAKEN] = now
                trace[d, FINISHED] = now + ticks
            if buffers[buffer, F_HELD]:
                cores[core, C_AHEAD] = 1
                _schedule(buffer, now + ticks, now, queue)
            port = n_links + core
            if ports[port, P_WANTED] and not ports[port, P_NEXT]:
                ports[port, P_NEXT] = 1
                lists[LATER, n_later] = port
                n_later += 1

        # Slots freed and heads uncovered in this tick count from the next.
        for i in range(n_emptied):
            buffer = lists[EMPTIED, i]
            _leave(buffer, buffers)
            if buffers[buffer, F_HELD]:
                n_later = _announce(buffer, now + 1, now, P_NEXT, LATER, n_later, buffers, slots,
                                    ports, dest, route, queue, lists)
            if buffer < n_links:
                if (ports[buffer, P_WANTED] and ports[buffer, P_IDLE] <= now + 1
                        and not ports[buffer, P_NEXT]):
                    ports[buffer, P_NEXT] = 1
                    lists[LATER, n_later] = buffer
                    n_later += 1
            else:
                s = buffer - n_links
                if senders[s, S_NEXT] < first[s + 1] and senders[s, S_READY] <= now:
                    _schedule(buffer, now + 1, now, queue)
        if n_later:
            _schedule(wake, now + 1, now, queue)

    if timed:
        out.handed[:first[n_senders]] = handed[:first[n_senders]]
    return _report(mesh, step, out, state, lag)


@njit(cache=True)
def _report(mesh, step, out, state, lag):
    """Copies what a step took to ``out``, with its critical path (docs/timing.md); its ticks."""
    n_links, n_cores, n_senders = mesh.n_links, mesh.n_cores, mesh.n_senders
    buffers, ports, cores = state.buffers, state.ports, state.cores
    out.stalled[:] = state.senders[:, S_STILL]
    out.finish[:] = cores[:, C_UNTIL]
    out.busy[:] = cores[:, C_BUSY]
    out.core_peak[:] = buffers[n_links + n_senders:, F_PEAK]
    out.buffer_peak[:] = buffers[:n_links + n_senders, F_PEAK]
    out.link_flits[:] = ports[:n_links, P_COUNT]
    ticks, unit, sends = np.int64(0), -1, True
    for i in range(n_senders):
        if out.done[i] > ticks:
            ticks, unit, sends = out.done[i], i, True
        if i < n_cores and cores[i, C_UNTIL] > ticks:
            ticks, unit, sends = cores[i, C_UNTIL], i, False
    summary = out.summary
    summary[:] = 0
    summary[R_TICKS], summary[R_LAG], summary[R_UNIT] = ticks, lag, unit
    if unit < 0:
        summary[R_REASON] = NOTHING
        return ticks
    if sends:
        summary[R_STALLED] = out.stalled[unit]
        summary[R_SENDING] = ticks - out.stalled[unit]
    else:
        flits = step.first[n_senders]
        flit = np.searchsorted(step.fan[:flits + 1], cores[unit, C_FIRST], side="right") - 1
        sender = np.searchsorted(step.first, flit, side="right") - 1
        at = state.handed[flit]
        for k in range(step.first[sender], flit + 1):
            summary[R_SENDING] += step.gap[k]
        summary[R_STALLED] = at - summary[R_SENDING]
        summary[R_NETWORK] = cores[unit, C_SINCE] - at
        summary[R_RECEIVING] = ticks - cores[unit, C_SINCE]
    summary[R_REASON] = 1 + np.argmax(summary[R_SENDING:R_RECEIVING + 1])
    return ticks
