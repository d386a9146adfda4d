"""The integer step of a neuron, for Numba: what the simulators of network and chip share.

``machine``: fold, u limit, v limit, input shift. ``reset``: 0 none, 1 zero, 2 subtract, 3
subtract in the next step. ``ring``: the sums of a step, which are cleared. ``sent``: spikes of the
last step, replaced by those of this one. ``refractory``: steps after a spike in which v stays;
``rest``, how many of them are left, and ``owed``, spikes whose thresholds reset 3 still takes off,
are looked at where it is not 0.

Arithmetic is 32 bits wide except where a sum could leave it. ``x * m >> 12`` is split into
``(x >> 12) * m + ((x & 4095) * m >> 12)``, which is the same integer and vectorizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from neurocompile.ir.target import Machine


def machine_row(m: Machine) -> npt.NDArray[np.int64]:
    """What the functions below take as ``machine``."""
    fold = m.overflow == "fold_saturate"
    half = 1 << (m.u_fold_bits - 1) if fold else m.u_limit
    return np.array([fold, half, m.v_limit, m.input_shift], np.int64)


@njit(cache=True)
def decay(x: Any, keep: Any) -> Any:
    """trunc(x * keep / 4096) toward zero, for 32-bit x and 0 <= keep <= 4096, without branches.

    Explicit casts keep Numba from widening to 64 bits, which would not vectorize.
    """
    sign = np.int32(x >> np.int32(31))
    size = np.int32(np.int32(x ^ sign) - sign)
    low = np.int32(np.int32(size & np.int32(4095)) * keep)
    high = np.int32(np.int32(size >> np.int32(12)) * keep)
    part = np.int32(high + np.int32(low >> np.int32(12)))
    return np.int32(np.int32(part ^ sign) - sign)


@njit(cache=True)
def update_narrow(machine: Any, filters: Any, leaks: Any, analog: Any, ge: Any, reset: Any,
                  ring: Any, u: Any, v: Any, sent: Any, keep_u: Any, keep_v: Any, threshold: Any,
                  bias: Any) -> None:
    """As :func:`update` where every sum is proved to fit 32 bits, no reset subtracts and nothing is
    refractory.

    Three short loops: each touches few arrays, which is what LLVM needs to vectorize.
    Explicit casts keep Numba from widening to 64 bits. ``filters`` and ``leaks``: does u, v
    remember anything.
    """
    fold, half = machine[0], np.int32(machine[1])
    limit, shift = np.int32(machine[2]), np.int32(machine[3])
    n = len(u)
    if filters:
        for i in range(n):
            x = np.int32(decay(u[i], keep_u[i]) + np.int32(ring[i] << shift))
            u[i] = _bounded(x, fold, half)
            ring[i] = 0
    else:
        for i in range(n):
            u[i] = _bounded(np.int32(ring[i] << shift), fold, half)
            ring[i] = 0
    if leaks:
        for i in range(n):
            x = np.int32(np.int32(decay(v[i], keep_v[i]) + u[i]) + bias[i])
            v[i] = min(max(x, np.int32(-limit)), limit)
    else:
        for i in range(n):
            x = np.int32(np.int32(v[i] + u[i]) + bias[i])
            v[i] = min(max(x, np.int32(-limit)), limit)
    if analog:
        sent[:] = v
        return
    kept = np.int32(reset != 1)
    for i in range(n):
        fires = np.int32(v[i] >= threshold[i]) if ge else np.int32(v[i] > threshold[i])
        sent[i] = fires
        v[i] = np.int32(v[i] * np.int32(np.int32(1) - np.int32(fires & (kept ^ 1))))


@njit(cache=True)
def _bounded(x: Any, fold: Any, half: Any) -> Any:
    """What u keeps of a sum: folded once, or saturated."""
    if fold:
        if x > half:
            return np.int32(x - np.int32(2) * half)
        if x <= -half:
            return np.int32(x + np.int32(2) * half)
        return x
    return min(max(x, np.int32(-half)), half)


@njit(cache=True)
def update(machine: Any, analog: Any, ge: Any, reset: Any, most: Any, refractory: Any, ring: Any,
           u: Any, v: Any, sent: Any, rest: Any, owed: Any, keep_u: Any, keep_v: Any,
           threshold: Any, bias: Any) -> None:
    """Phases collect, update, fire and reset of neurons that are alike (slices of their own)."""
    fold, u_half, v_limit, shift = machine[0], machine[1], machine[2], machine[3]
    for i in range(len(u)):
        a = np.int64(ring[i])
        ring[i] = 0
        current = np.int64(decay(u[i], keep_u[i])) + (a << shift)
        if fold:
            if current > u_half:
                current -= 2 * u_half
            elif current <= -u_half:
                current += 2 * u_half
        else:
            current = min(max(current, -u_half), u_half)
        u[i] = np.int32(current)
        if refractory > 0 and rest[i] > 0:
            rest[i] -= np.int32(1)
            sent[i] = 0
            continue
        membrane = np.int64(decay(v[i], keep_v[i])) + current + np.int64(bias[i])
        membrane = min(max(membrane, -v_limit), v_limit)
        if reset == 3 and not analog:
            due = np.int64(owed[i]) if refractory > 0 else np.int64(sent[i])
            membrane = membrane - due * threshold[i]
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
        v[i] = np.int32(membrane)
        sent[i] = np.int32(spikes)
        if refractory > 0:
            owed[i] = sent[i]
            if spikes > 0:
                rest[i] = refractory


@njit(cache=True)
def record(to: Any, values: Any, element: Any) -> None:
    """Write the values of neurons where their elements are."""
    for i in range(len(values)):
        to[element[i]] = values[i]


@njit(cache=True)
def mixed(number: Any, sent: Any) -> Any:
    """What one neuron adds to a fingerprint: the finalizer of SplitMix64 (Steele, Lea and Flood
    2014) over its number and what it sends."""
    x = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(np.int64(sent)) * np.uint64(0xD1B54A32D192ED03)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True)
def fingerprint(first: Any, sent: Any, element: Any) -> Any:
    """A sum over what neurons send that two runs share, but for one chance in 2**64, only if they
    send the same. ``element``: each neuron's number beyond ``first``; the order does not matter.
    """
    total = np.uint64(0)
    for i in range(len(sent)):
        if sent[i] != 0:
            total += mixed(first + element[i], sent[i])
    return total
