"""The integer step every model runs on a chip: the numeric contract, in plain numpy.

Phases as in docs/numerics.md, for arrays of int64 whose last axis is the neuron:

    u = FOLD(trunc(u * (4096 - (du + offset)), 12) + (a << input_shift))
    v = SAT (trunc(v * (4096 - dv), 12) + u + bias)
    s = v > threshold << threshold_shift, and the reset

In the ``refractory_steps`` steps after a spike v stays, what a delayed reset still takes off waits,
and s is 0.

The Numba simulator and generated hardware repeat this arithmetic independently and are tested
against it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurocompile.fixedpoint import decay, fold, saturate
from neurocompile.ir.quantized import QuantizedPopulation
from neurocompile.ir.target import Machine

Int64 = npt.NDArray[np.int64]


class State(NamedTuple):
    """What neurons remember between steps, arrays [..., n] of int64: current and membrane after
    the reset, spikes whose thresholds a delayed reset has not taken off yet, and how many steps of
    the refractory period are left."""

    u: Int64
    v: Int64
    owed: Int64
    rest: Int64


def initial_state(p: QuantizedPopulation, shape: tuple[int, ...]) -> State:
    """State before the first step. ``shape``: [..., n]."""
    u, owed, rest = np.zeros((3, *shape), np.int64)
    return State(u, np.broadcast_to(p.initial_v, shape).astype(np.int64), owed, rest)


def step(machine: Machine, p: QuantizedPopulation, a: Int64, bias: Int64,
         state: State) -> tuple[State, Int64]:
    """One step: the new state, and s. ``a``: summed input.

    All arrays [..., n], int64. s is the number of spikes (0 or 1 unless ``max_spikes`` > 1), or
    the membrane itself for populations that are read.
    """
    du = p.current_decay.astype(np.int64) + machine.current_decay_offset
    u = decay(state.u, du) + (a << machine.input_shift)
    if machine.overflow == "fold_saturate":
        u = fold(u, machine.u_fold_bits)
    else:
        u = saturate(u, machine.u_limit)
    v = saturate(decay(state.v, p.membrane_decay.astype(np.int64)) + u + bias, machine.v_limit)
    if p.role == "analog":
        return state._replace(u=u, v=v), v
    threshold = p.threshold.astype(np.int64) << machine.threshold_shift
    if p.reset == "subtract_delayed":
        v = saturate(v - state.owed * threshold, machine.v_limit)
    s = _spikes(p, v, threshold)
    if p.reset == "zero":
        v = np.where(s > 0, 0, v)
    elif p.reset == "subtract":
        v = v - s * threshold
    if not p.refractory_steps:
        return State(u, v, s, state.rest), s
    frozen = state.rest > 0
    v, s = np.where(frozen, state.v, v), np.where(frozen, 0, s)
    rest = np.where(s > 0, p.refractory_steps, np.maximum(state.rest - 1, 0))
    return State(u, v, np.where(frozen, state.owed, s), rest), s


def _spikes(p: QuantizedPopulation, v: Int64, threshold: Int64) -> Int64:
    fires = v > threshold if p.compare == "gt" else v >= threshold
    if p.max_spikes == 1:
        return fires.astype(np.int64)
    # v > n * threshold for the largest n (>= for ge), by an exact integer division.
    count = (v - (1 if p.compare == "gt" else 0)) // threshold
    return np.where(fires, np.clip(count, 1, p.max_spikes), 0)
