"""The functional simulator's inner loops (Numba).

One compiled function runs any network: the network is data (tables of populations and
projections, one flat array of weights). Samples are independent and run in parallel; within a
sample everything is event-driven: a spike adds one row of weights (dense), one patch of a kernel
(convolution) or one list (sparse) into the ring of its target.

Arithmetic is 32 bits wide except where a sum could leave it. ``x * m >> 12`` is split into
``(x >> 12) * m + ((x & 4095) * m >> 12)``, which is the same integer and vectorizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

# Columns of the population table.
(P_N, P_STATE, P_RING, P_SLOTS, P_SPIKES, P_RESET, P_GE, P_MAX, P_LATENCY, P_EVENTS, P_SREC,
 P_UREC, P_VREC, P_BIAS, P_COLUMNS) = range(15)
# P_SPIKES: 0 source, 1 spiking, 2 analog. P_RESET: 0 none, 1 zero, 2 subtract, 3 delayed.
# P_EVENTS: row of the event tables if its events are given from outside, else -1.

# Columns of the projection table.
(Q_KIND, Q_SOURCE, Q_TARGET, Q_WEIGHT, Q_SHIFT, Q_SDELAY, Q_SDELAYS, Q_TDELAY, Q_TDELAYS, Q_INDPTR,
 Q_INDEX, Q_CIN, Q_H, Q_W, Q_COUT, Q_OH, Q_OW, Q_KH, Q_KW, Q_SY, Q_SX, Q_PY, Q_PX, Q_DY, Q_DX,
 Q_GROUPS, Q_LAST, Q_COLUMNS) = range(28)
# Q_SDELAYS, Q_TDELAYS: offset into the delay array, or -1 where Q_SDELAY, Q_TDELAY hold for all.
# Q_LAST: 1 if the target's neurons are stored channels-last as this convolution writes them.
KIND_DENSE, KIND_CONV, KIND_SPARSE = 0, 1, 2


@njit(cache=True, inline="always")
def _decay(x: Any, keep: Any) -> Any:
    """trunc(x * keep / 4096) toward zero, in 32 bits."""
    size = abs(x)
    part = (size >> 12) * keep + (((size & 4095) * keep) >> 12)
    return part if x >= 0 else -part


@njit(cache=True)
def _update(pop: Any, machine: Any, ring: Any, u: Any, v: Any, sent: Any, keep_u: Any, keep_v: Any,
            threshold: Any, bias: Any) -> None:
    """Phases collect, update, fire and reset of one population (slices of its own neurons)."""
    fold, u_half, v_limit, shift = machine[0], machine[1], machine[2], machine[3]
    ge = pop[P_GE]
    reset = pop[P_RESET]
    most = pop[P_MAX]
    analog = pop[P_SPIKES] == 2
    for i in range(len(u)):
        a = np.int64(ring[i])
        ring[i] = 0
        current = np.int64(_decay(u[i], keep_u[i])) + (a << shift)
        if fold:
            if current > u_half:
                current -= 2 * u_half
            elif current <= -u_half:
                current += 2 * u_half
        else:
            current = min(max(current, -u_half), u_half)
        membrane = np.int64(_decay(v[i], keep_v[i])) + current + np.int64(bias[i])
        membrane = min(max(membrane, -v_limit), v_limit)
        if reset == 3:
            membrane = membrane - np.int64(sent[i]) * threshold[i]
            membrane = min(max(membrane, -v_limit), v_limit)
        spikes = np.int64(0)
        if analog:
            spikes = membrane
        else:
            if membrane > threshold[i] or (ge and membrane == threshold[i]):
                spikes = np.int64(1)
                if most > 1:
                    spikes = (membrane - (1 - ge)) // threshold[i]
                    spikes = min(max(spikes, 1), most)
                if reset == 1:
                    membrane = np.int64(0)
                elif reset == 2:
                    membrane -= spikes * threshold[i]
        u[i] = np.int32(current)
        v[i] = np.int32(membrane)
        sent[i] = np.int32(spikes)


@njit(cache=True)
def _add_row(ring: Any, weights: Any, factor: Any) -> None:
    for i in range(len(ring)):
        ring[i] += np.int32(weights[i]) * factor


@njit(cache=True)
def _conv_event(q: Any, neuron: Any, factor: Any, slot: Any, n_target: Any, ring: Any,
                weights: Any, place: Any, delays: Any, slots: Any) -> None:
    """Add one patch: the output positions that see input element ``neuron`` (c, y, x)."""
    height, width = q[Q_H], q[Q_W]
    c = neuron // (height * width)
    y = (neuron // width) % height
    x = neuron % width
    group_in = q[Q_CIN] // q[Q_GROUPS]
    group_out = q[Q_COUT] // q[Q_GROUPS]
    first = (c // group_in) * group_out
    for ky in range(q[Q_KH]):
        from_y = y + q[Q_PY] - ky * q[Q_DY]
        if from_y < 0 or from_y % q[Q_SY] != 0:
            continue
        oy = from_y // q[Q_SY]
        if oy >= q[Q_OH]:
            continue
        for kx in range(q[Q_KW]):
            from_x = x + q[Q_PX] - kx * q[Q_DX]
            if from_x < 0 or from_x % q[Q_SX] != 0:
                continue
            ox = from_x // q[Q_SX]
            if ox >= q[Q_OW]:
                continue
            w = q[Q_WEIGHT] + ((c * q[Q_KH] + ky) * q[Q_KW] + kx) * group_out
            if q[Q_LAST] == 1 and q[Q_TDELAYS] < 0:
                start = slot * n_target + (oy * q[Q_OW] + ox) * q[Q_COUT] + first
                _add_row(ring[start:start + group_out], weights[w:w + group_out], factor)
                continue
            for k in range(group_out):
                to = place[((first + k) * q[Q_OH] + oy) * q[Q_OW] + ox]
                into = slot
                if q[Q_TDELAYS] >= 0:
                    into = (slot + delays[q[Q_TDELAYS] + to]) % slots
                ring[into * n_target + to] += np.int32(weights[w + k]) * factor


@njit(cache=True)
def _deliver(q: Any, neuron: Any, payload: Any, t: Any, source: Any, target: Any, ring: Any,
             weights: Any, indptr: Any, index: Any, delays: Any, logical: Any, place: Any) -> None:
    """Phase route for one event: ``neuron`` in stored order sends ``payload``."""
    n = target[P_N]
    slots = target[P_SLOTS]
    delay = q[Q_SDELAY] if q[Q_SDELAYS] < 0 else delays[q[Q_SDELAYS] + neuron]
    slot = (t + 1 + delay + q[Q_TDELAY]) % slots
    factor = np.int32(payload << q[Q_SHIFT])
    if q[Q_KIND] == KIND_DENSE:
        row = q[Q_WEIGHT] + neuron * n
        if q[Q_TDELAYS] < 0:
            _add_row(ring[slot * n:(slot + 1) * n], weights[row:row + n], factor)
        else:
            for i in range(n):
                into = (slot + delays[q[Q_TDELAYS] + i]) % slots
                ring[into * n + i] += np.int32(weights[row + i]) * factor
    elif q[Q_KIND] == KIND_CONV:
        element = logical[source[P_STATE] + neuron]
        _conv_event(q, element, factor, slot, n, ring, weights,
                    place[target[P_STATE]:target[P_STATE] + n], delays, slots)
    else:
        start = indptr[q[Q_INDPTR] + neuron]
        stop = indptr[q[Q_INDPTR] + neuron + 1]
        for k in range(start, stop):
            to = index[q[Q_INDEX] + k]
            into = slot
            if q[Q_TDELAYS] >= 0:
                into = (slot + delays[q[Q_TDELAYS] + to]) % slots
            ring[into * n + to] += np.int32(weights[q[Q_WEIGHT] + k]) * factor


@njit(cache=True)
def _record(to: Any, values: Any, logical: Any) -> None:
    for i in range(len(values)):
        to[logical[i]] = values[i]


@njit(cache=True)
def _run_sample(sample: Any, total: Any, machine: Any, pops: Any, projs: Any, outgoing: Any,
                keep_u: Any, keep_v: Any, threshold: Any, bias: Any, initial: Any, loaded: Any,
                weights: Any, indptr: Any, index: Any, delays: Any, logical: Any, place: Any,
                event_steps: Any, event_ptr: Any, event_ptr_at: Any, event_neuron: Any,
                event_payload: Any, rec_s: Any, rec_u: Any, rec_v: Any, ring: Any, u: Any, v: Any,
                sent: Any, own_bias: Any) -> None:
    ring[:] = 0
    u[:] = 0
    v[:] = initial
    sent[:] = 0
    own_bias[:] = bias
    n_pops = len(pops)
    for p in range(n_pops):
        if pops[p, P_BIAS] >= 0:
            n = pops[p, P_N]
            s0 = pops[p, P_STATE]
            for i in range(n):
                own_bias[s0 + i] += loaded[pops[p, P_BIAS] + sample * n + i]
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
            slot = pop[P_RING] + (t % pop[P_SLOTS]) * n
            _update(pop, machine, ring[slot:slot + n], u[a:b], v[a:b], sent[a:b], keep_u[a:b],
                    keep_v[a:b], threshold[a:b], own_bias[a:b])
            row = (sample * total + t) * n
            if pop[P_SREC] >= 0:
                _record(rec_s[pop[P_SREC] + row:pop[P_SREC] + row + n], sent[a:b], logical[a:b])
            if pop[P_UREC] >= 0:
                _record(rec_u[pop[P_UREC] + row:pop[P_UREC] + row + n], u[a:b], logical[a:b])
            if pop[P_VREC] >= 0:
                _record(rec_v[pop[P_VREC] + row:pop[P_VREC] + row + n], v[a:b], logical[a:b])
        for p in range(n_pops):
            pop = pops[p]
            first, last = outgoing[p], outgoing[p + 1]
            if first == last:
                continue
            if pop[P_EVENTS] >= 0:
                steps = event_steps[pop[P_EVENTS], 0]
                if t >= event_steps[pop[P_EVENTS], 1]:
                    continue
                at = event_ptr_at[pop[P_EVENTS]] + sample * steps + (0 if steps == 1 else t)
                for e in range(event_ptr[at], event_ptr[at + 1]):
                    for k in range(first, last):
                        q = projs[k]
                        target = pops[q[Q_TARGET]]
                        _deliver(q, event_neuron[e], event_payload[e], t, pop, target,
                                 ring[target[P_RING]:], weights, indptr, index, delays, logical,
                                 place)
                continue
            s0 = pop[P_STATE]
            for i in range(pop[P_N]):
                if sent[s0 + i] != 0:
                    for k in range(first, last):
                        q = projs[k]
                        target = pops[q[Q_TARGET]]
                        _deliver(q, i, sent[s0 + i], t, pop, target, ring[target[P_RING]:],
                                 weights, indptr, index, delays, logical, place)


@njit(cache=True, parallel=True)
def run_samples(n_samples: Any, workers: Any, total: Any, machine: Any, pops: Any, projs: Any,
                outgoing: Any, keep_u: Any, keep_v: Any, threshold: Any, bias: Any, initial: Any,
                loaded: Any, weights: Any, indptr: Any, index: Any, delays: Any, logical: Any,
                place: Any, event_steps: Any, event_ptr: Any, event_ptr_at: Any,
                event_neuron: Any, event_payload: Any, rec_s: Any, rec_u: Any, rec_v: Any,
                ring_size: Any) -> None:
    """Run every sample; worker w takes samples w, w + workers, ... with its own state."""
    for w in prange(workers):
        ring = np.zeros(ring_size, np.int32)
        u = np.zeros(len(initial), np.int32)
        v = np.zeros(len(initial), np.int32)
        sent = np.zeros(len(initial), np.int32)
        own_bias = np.zeros(len(initial), np.int64)
        for sample in range(w, n_samples, workers):
            _run_sample(sample, total, machine, pops, projs, outgoing, keep_u, keep_v, threshold,
                        bias, initial, loaded, weights, indptr, index, delays, logical, place,
                        event_steps, event_ptr, event_ptr_at, event_neuron, event_payload, rec_s,
                        rec_u, rec_v, ring, u, v, sent, own_bias)
