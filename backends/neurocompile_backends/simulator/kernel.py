"""The functional simulator's inner loops (Numba).

One compiled function runs any network: the network is data (tables of populations and
projections, one flat array of weights). Samples are independent and run in threads; within a
sample everything is event-driven: a spike adds one row of weights (dense), one patch of a kernel
(convolution) or one list (sparse) into the ring of its target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from neurocompile_backends.neurons import fingerprint, record, update, update_narrow

# Columns of the population table.
(P_N, P_STATE, P_RING, P_SLOTS, P_SPIKES, P_RESET, P_GE, P_MAX, P_LATENCY, P_EVENTS, P_SREC,
 P_UREC, P_VREC, P_BIAS, P_NARROW, P_FILTER, P_LEAK, P_REFRACTORY, P_COLUMNS) = range(19)
# P_SPIKES: 0 source, 1 spiking, 2 analog. P_RESET: 0 none, 1 zero, 2 subtract, 3 delayed.
# P_NARROW: 1 if 32 bits suffice for every sum. P_FILTER, P_LEAK: does u, v remember anything.
# P_REFRACTORY: steps after a spike in which v stays.
# P_EVENTS: row of the event tables if its events are given from outside, else -1.

# Columns of the projection table.
(Q_KIND, Q_SOURCE, Q_TARGET, Q_WEIGHT, Q_SHIFT, Q_SDELAY, Q_SDELAYS, Q_TDELAY, Q_TDELAYS, Q_INDPTR,
 Q_INDEX, Q_CIN, Q_H, Q_W, Q_COUT, Q_OH, Q_OW, Q_KH, Q_KW, Q_SY, Q_SX, Q_PY, Q_PX, Q_DY, Q_DX,
 Q_GROUPS, Q_LAST, Q_COLUMNS) = range(28)
# Q_SDELAYS, Q_TDELAYS: offset into the delay array, or -1 where Q_SDELAY, Q_TDELAY hold for all.
# Q_LAST: 1 if the target's neurons are stored channels-last as this convolution writes them.
KIND_DENSE, KIND_CONV, KIND_SPARSE = 0, 1, 2


@njit(cache=True)
def _add_row(ring: Any, weights: Any, factor: Any) -> None:
    for i in range(len(ring)):
        ring[i] += np.int32(np.int32(weights[i]) * factor)


@njit(cache=True)
def _dense_events(q: Any, neurons: Any, payloads: Any, t: Any, target: Any, ring: Any,
                  weights: Any, delays: Any) -> None:
    """Add one row of weights an event."""
    n, slots, shift = target[P_N], target[P_SLOTS], q[Q_SHIFT]
    base = t + 1 + q[Q_TDELAY] + q[Q_SDELAY]
    for e in range(len(neurons)):
        j = neurons[e]
        slot = base if q[Q_SDELAYS] < 0 else base + delays[q[Q_SDELAYS] + j]
        slot = slot % slots
        factor = np.int32(payloads[e] << shift)
        row = q[Q_WEIGHT] + j * n
        if q[Q_TDELAYS] < 0:
            _add_row(ring[slot * n:(slot + 1) * n], weights[row:row + n], factor)
        else:
            for i in range(n):
                into = (slot + delays[q[Q_TDELAYS] + i]) % slots
                ring[into * n + i] += np.int32(weights[row + i]) * factor


@njit(cache=True)
def _sparse_events(q: Any, neurons: Any, payloads: Any, t: Any, target: Any, ring: Any,
                   weights: Any, indptr: Any, index: Any, delays: Any) -> None:
    """Add one list of weights an event."""
    n, slots, shift = target[P_N], target[P_SLOTS], q[Q_SHIFT]
    base = t + 1 + q[Q_TDELAY] + q[Q_SDELAY]
    for e in range(len(neurons)):
        j = neurons[e]
        slot = base if q[Q_SDELAYS] < 0 else base + delays[q[Q_SDELAYS] + j]
        slot = slot % slots
        factor = np.int32(payloads[e] << shift)
        for k in range(indptr[q[Q_INDPTR] + j], indptr[q[Q_INDPTR] + j + 1]):
            to = index[q[Q_INDEX] + k]
            into = slot
            if q[Q_TDELAYS] >= 0:
                into = (slot + delays[q[Q_TDELAYS] + to]) % slots
            ring[into * n + to] += np.int32(weights[q[Q_WEIGHT] + k]) * factor


@njit(cache=True)
def _conv_events(q: Any, neurons: Any, payloads: Any, t: Any, logical: Any, target: Any,
                 ring: Any, weights: Any, place: Any, delays: Any) -> None:
    """Add one patch an event: the output positions that see the input element (c, y, x)."""
    n, slots, shift = target[P_N], target[P_SLOTS], q[Q_SHIFT]
    base = t + 1 + q[Q_TDELAY] + q[Q_SDELAY]
    height, width, out_h, out_w = q[Q_H], q[Q_W], q[Q_OH], q[Q_OW]
    k_h, k_w, s_y, s_x, d_y, d_x = q[Q_KH], q[Q_KW], q[Q_SY], q[Q_SX], q[Q_DY], q[Q_DX]
    c_out = q[Q_COUT]
    group_in, group_out = q[Q_CIN] // q[Q_GROUPS], c_out // q[Q_GROUPS]
    in_runs = q[Q_LAST] == 1 and q[Q_TDELAYS] < 0
    for e in range(len(neurons)):
        element = logical[neurons[e]]
        slot = base if q[Q_SDELAYS] < 0 else base + delays[q[Q_SDELAYS] + neurons[e]]
        slot = slot % slots
        factor = np.int32(payloads[e] << shift)
        c = element // (height * width)
        y = (element // width) % height + q[Q_PY]
        x = element % width + q[Q_PX]
        first = (c // group_in) * group_out
        # Output row oy reads this element with tap (y - oy * stride) / dilation.
        top = max(0, -(((k_h - 1) * d_y - y) // s_y))
        left = max(0, -(((k_w - 1) * d_x - x) // s_x))
        for oy in range(top, min(out_h - 1, y // s_y) + 1):
            tap_y = y - oy * s_y
            if d_y > 1:
                if tap_y % d_y != 0:
                    continue
                tap_y = tap_y // d_y
            for ox in range(left, min(out_w - 1, x // s_x) + 1):
                tap_x = x - ox * s_x
                if d_x > 1:
                    if tap_x % d_x != 0:
                        continue
                    tap_x = tap_x // d_x
                w = q[Q_WEIGHT] + ((c * k_h + tap_y) * k_w + tap_x) * group_out
                if in_runs:
                    start = slot * n + (oy * out_w + ox) * c_out + first
                    _add_row(ring[start:start + group_out], weights[w:w + group_out], factor)
                    continue
                for k in range(group_out):
                    to = place[((first + k) * out_h + oy) * out_w + ox]
                    into = slot
                    if q[Q_TDELAYS] >= 0:
                        into = (slot + delays[q[Q_TDELAYS] + to]) % slots
                    ring[into * n + to] += np.int32(weights[w + k]) * factor


@njit(cache=True)
def _collect(sent: Any, neurons: Any, payloads: Any) -> Any:
    """List the neurons that sent something; returns how many."""
    count = 0
    for i in range(len(sent)):
        if sent[i] != 0:
            neurons[count] = i
            payloads[count] = sent[i]
            count += 1
    return count


@njit(cache=True, nogil=True)
def run_samples(first_sample: Any, last_sample: Any, total: Any, machine: Any, pops: Any,
                projs: Any, outgoing: Any, keep_u: Any, keep_v: Any, threshold: Any, bias: Any,
                initial: Any, loaded: Any, weights: Any, indptr: Any, index: Any, delays: Any,
                logical: Any, place: Any, event_steps: Any, event_ptr: Any, event_ptr_at: Any,
                event_neuron: Any, event_payload: Any, rec_s: Any, rec_u: Any, rec_v: Any,
                marks: Any, ring_size: Any) -> None:
    """Run the samples [first_sample, last_sample) one after another.

    ``marks``: a fingerprint of each (sample, step), or (0, 0) if none is wanted.

    Holds no lock: threads run ranges of their own, each with its own state.
    """
    n_pops = len(pops)
    ring = np.zeros(ring_size, np.int32)
    u = np.zeros(len(initial), np.int32)
    v = np.zeros(len(initial), np.int32)
    sent = np.zeros(len(initial), np.int32)
    waits = len(initial) if np.any(pops[:, P_REFRACTORY] > 0) else 0  # else nobody looks at them
    rest = np.zeros(waits, np.int32)
    owed = np.zeros(waits, np.int32)
    fired = np.zeros(len(initial), np.int32)
    payload = np.zeros(len(initial), np.int32)
    own_bias = np.zeros(len(initial), np.int32)
    for sample in range(first_sample, last_sample):
        ring[:] = 0
        u[:] = 0
        v[:] = initial
        sent[:] = 0
        rest[:] = 0
        owed[:] = 0
        own_bias[:] = bias
        for p in range(n_pops):
            if pops[p, P_BIAS] >= 0:
                n, a = pops[p, P_N], pops[p, P_STATE]
                for i in range(n):
                    own_bias[a + i] += np.int32(loaded[pops[p, P_BIAS] + sample * n + i])
        for t in range(total):
            for p in range(n_pops):
                pop = pops[p]
                if pop[P_SPIKES] == 0:
                    continue
                n = pop[P_N]
                a, b = pop[P_STATE], pop[P_STATE] + n
                if t == pop[P_LATENCY]:
                    u[a:b] = 0
                    v[a:b] = initial[a:b]
                    sent[a:b] = 0
                    rest[a:b] = 0
                    owed[a:b] = 0
                slot = pop[P_RING] + (t % pop[P_SLOTS]) * n
                if pop[P_NARROW] == 1:
                    update_narrow(machine, pop[P_FILTER], pop[P_LEAK], pop[P_SPIKES] == 2,
                                  pop[P_GE], pop[P_RESET], ring[slot:slot + n], u[a:b], v[a:b],
                                  sent[a:b], keep_u[a:b], keep_v[a:b], threshold[a:b],
                                  own_bias[a:b])
                else:
                    update(machine, pop[P_SPIKES] == 2, pop[P_GE], pop[P_RESET], pop[P_MAX],
                           pop[P_REFRACTORY], ring[slot:slot + n], u[a:b], v[a:b], sent[a:b],
                           rest[a:b], owed[a:b], keep_u[a:b], keep_v[a:b], threshold[a:b],
                           own_bias[a:b])
                if len(marks):
                    marks[sample, t] += fingerprint(a, sent[a:b], logical[a:b])
                row = (sample * total + t) * n
                if pop[P_SREC] >= 0:
                    start = pop[P_SREC] + row
                    record(rec_s[start:start + n], sent[a:b], logical[a:b])
                if pop[P_UREC] >= 0:
                    start = pop[P_UREC] + row
                    record(rec_u[start:start + n], u[a:b], logical[a:b])
                if pop[P_VREC] >= 0:
                    start = pop[P_VREC] + row
                    record(rec_v[start:start + n], v[a:b], logical[a:b])
            for p in range(n_pops):
                pop = pops[p]
                a, b = pop[P_STATE], pop[P_STATE] + pop[P_N]
                if outgoing[p] == outgoing[p + 1]:
                    continue
                if pop[P_EVENTS] >= 0:
                    steps = event_steps[pop[P_EVENTS], 0]
                    if t >= event_steps[pop[P_EVENTS], 1]:
                        continue
                    at = event_ptr_at[pop[P_EVENTS]] + sample * steps + (0 if steps == 1 else t)
                    neurons = event_neuron[event_ptr[at]:event_ptr[at + 1]]
                    values = event_payload[event_ptr[at]:event_ptr[at + 1]]
                else:
                    count = _collect(sent[a:b], fired, payload)
                    neurons, values = fired[:count], payload[:count]
                if len(neurons) == 0:
                    continue
                for k in range(outgoing[p], outgoing[p + 1]):
                    q = projs[k]
                    target = pops[q[Q_TARGET]]
                    own = ring[target[P_RING]:target[P_RING] + target[P_N] * target[P_SLOTS]]
                    if q[Q_KIND] == KIND_DENSE:
                        _dense_events(q, neurons, values, t, target, own, weights, delays)
                    elif q[Q_KIND] == KIND_CONV:
                        to, end = target[P_STATE], target[P_STATE] + target[P_N]
                        _conv_events(q, neurons, values, t, logical[a:b], target, own, weights,
                                     place[to:end], delays)
                    else:
                        _sparse_events(q, neurons, values, t, target, own, weights, indptr,
                                       index, delays)
