"""The legality gate: proves that no overflow rule can ever be observed, neuron by neuron.

Interval arithmetic over the integer network: whatever the inputs do within their declared
ranges, the summed input a, the current u and u + bias stay inside the machine's range. A
membrane that inhibition can drive down to the saturation limit is reported, not refused:
saturation there is part of the machine model and every executor has it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.fixedpoint import to_registers
from neurocompile.ir.base import IntArray
from neurocompile.ir.quantized import Bounds, QuantizedNetwork, QuantizedPopulation
from neurocompile.ir.ranges import linear_range
from neurocompile.ir.transforms import as_float64

_INT32 = (1 << 31) - 1
Float64 = npt.NDArray[np.float64]


def prove_bounds(network: QuantizedNetwork, max_steps: int | None, accept: bool,
                 found: Diagnostics) -> tuple[Bounds, ...]:
    """Bounds of every population; E402 (W402 if ``accept``) where one is not proved."""
    return tuple(_prove(network, p, max_steps, accept, found)
                 for p in network.populations if p.role != "source")


def source_range(network: QuantizedNetwork, name: str) -> tuple[int, int]:
    """The least and largest payload an element of a population can send in a step."""
    for i in network.inputs:
        if i.name == name:
            return i.low, i.high
    return 0, network.population(name).max_spikes


def input_range(network: QuantizedNetwork, name: str) -> tuple[Float64, Float64]:
    """Exact range of the summed input a of each neuron in a step."""
    n = network.population(name).n
    low, high = np.zeros(n), np.zeros(n)
    for q in network.projections:
        if q.target != name:
            continue
        least, most = source_range(network, q.source)
        shape = q.transform.in_shape
        a, b = linear_range(q.transform, np.full(shape, float(least)),
                            np.full(shape, float(most)))
        low += a * (1 << q.format.exponent)
        high += b * (1 << q.format.exponent)
    return low, high


def bias_range(network: QuantizedNetwork, p: QuantizedPopulation) -> tuple[Float64, Float64]:
    """Range of the bias a step adds: the register, or what the host may load into it."""
    drives = [drive for drive in network.drives if drive.target == p.name]
    fixed = p.bias.astype(np.float64)
    if not drives:
        return fixed, fixed
    low, high = np.zeros(p.n), np.zeros(p.n)
    for drive in drives:
        shape = drive.transform.in_shape
        ends = linear_range(as_float64(drive.transform), np.full(shape, drive.low),
                            np.full(shape, drive.high))
        scaled = np.stack([drive.gain * end for end in ends])
        low += scaled.min(axis=0) + drive.constant
        high += scaled.max(axis=0) + drive.constant
    # Rounding into the register is monotonic: the ends of the range bound what is loaded. The
    # host's sums may differ from these in their last bits.
    neuron = network.target.neuron
    rounded = [np.left_shift(*to_registers(end + sign * 1e-9 * np.abs(end),
                                           neuron.bias_mantissa_max, neuron.bias_exponent_max))
               for end, sign in ((low, -1.0), (high, 1.0))]
    return fixed + rounded[0], fixed + rounded[1]


def _prove(network: QuantizedNetwork, p: QuantizedPopulation, max_steps: int | None, accept: bool,
           found: Diagnostics) -> Bounds:
    m = network.target.machine
    # Steps on the chip: a population may run before and after its own.
    steps = None if max_steps is None else max_steps + network.latency
    a_low, a_high = input_range(network, p.name)
    leak = (p.current_decay + m.current_decay_offset).astype(np.float64)
    u_low, u_high = (_steady(a * (1 << m.input_shift), leak, steps) for a in (a_low, a_high))
    b_low, b_high = bias_range(network, p)
    v_low = _steady(np.minimum(u_low + b_low, 0), p.membrane_decay.astype(np.float64), steps)
    v_low = np.minimum(v_low, p.initial_v)
    drive = np.maximum(u_high + b_high, 0)
    leak_v = p.membrane_decay.astype(np.float64)
    threshold = (p.threshold << m.threshold_shift).astype(np.float64)
    if p.reset == "subtract_delayed":
        # A step after its spikes a membrane loses their thresholds, having leaked meanwhile.
        v_low = v_low - p.max_spikes * threshold * leak_v / 4096 - 1
    if p.role == "spiking":
        # At most a threshold is left after the reset, and what of each step's input exceeds the
        # thresholds that max_spikes can take off piles up.
        excess = np.zeros(p.n)
        if p.reset in ("subtract", "subtract_delayed"):
            excess = np.maximum(drive - p.max_spikes * threshold, 0)
        v_high = np.maximum(threshold, p.initial_v) + drive + _steady(excess, leak_v, steps)
    else:
        v_high = np.maximum(_steady(drive, leak_v, steps), p.initial_v)
    proved = _gate(network, p, (a_low, a_high), (u_low, u_high), (b_low, b_high), accept, found)
    proved = _gate_analog(network, p, v_low, v_high, accept, found) and proved
    proved = _gate_subtract(network, p, v_high, accept, found) and proved
    saturates = (v_low < -m.v_limit) | (v_high > m.v_limit)
    limit = float(m.v_limit)
    return Bounds(p.name, _int(a_low), _int(a_high), _int(u_low), _int(u_high),
                  _int(np.clip(v_low, -limit, limit)), _int(np.clip(v_high, -limit, limit)),
                  int(np.count_nonzero(saturates)), proved)


def _steady(a_step: Float64, leak: Float64, max_steps: int | None) -> Float64:
    """The limit of x = x * (4096 - leak) / 4096 + a_step; rounding toward zero only shrinks it."""
    reach = np.where(leak > 0, 4096.0 / np.maximum(leak, 1.0),
                     np.inf if max_steps is None else max_steps)
    result = np.zeros(a_step.shape)
    np.multiply(a_step, reach, out=result, where=a_step != 0)
    return result


def _gate(network: QuantizedNetwork, p: QuantizedPopulation, a: tuple[Float64, Float64],
          u: tuple[Float64, Float64], bias: tuple[Float64, Float64], accept: bool,
          found: Diagnostics) -> bool:
    m, s = network.target.machine, network.target.synapse
    checks = (
        ("sum of a step's input", np.maximum(np.abs(a[0]), np.abs(a[1])), s.accumulator_max),
        ("current", np.maximum(np.abs(u[0]), np.abs(u[1])), m.u_limit),
        ("current and bias", np.maximum(np.abs(u[0] + bias[0]), np.abs(u[1] + bias[1])),
         m.v_limit),
    )
    proved = True
    beyond = float(np.max(checks[0][1], initial=0.0))
    if beyond > _INT32:
        _report(p.name, int(np.argmax(checks[0][1])), "the sum of a step's input leaves the "
                "32 bits of every executor", beyond, _INT32, 1, False, found)
    for what, worst, limit in checks:
        over = np.flatnonzero(worst > limit)
        if len(over):
            proved = False
            _report(p.name, int(over[0]), f"the {what} may overflow", float(worst[over[0]]),
                    limit, len(over), accept, found)
    return proved


def _gate_analog(network: QuantizedNetwork, p: QuantizedPopulation, v_low: Float64,
                 v_high: Float64, accept: bool, found: Diagnostics) -> bool:
    """A neuron that is read must neither saturate nor reach the threshold it does not have."""
    if p.role != "analog":
        return True
    m = network.target.machine
    limit = min(m.v_limit, network.target.neuron.threshold_max << m.threshold_shift)
    worst = np.maximum(np.abs(v_low), np.abs(v_high))
    over = np.flatnonzero(worst > limit)
    if not len(over):
        return True
    _report(p.name, int(over[0]), "the membrane that is read may leave its range",
            float(worst[over[0]]), limit, len(over), accept, found)
    return False


def _gate_subtract(network: QuantizedNetwork, p: QuantizedPopulation, v_high: Float64,
                   accept: bool, found: Diagnostics) -> bool:
    """Where a reset subtracts, what saturation cuts off a membrane are spikes it still owes."""
    limit = network.target.machine.v_limit
    over = np.flatnonzero(v_high > limit)
    if p.reset not in ("subtract", "subtract_delayed") or not len(over):
        return True
    _report(p.name, int(over[0]), "the membrane may saturate before its spikes are sent",
            float(v_high[over[0]]), limit, len(over), accept, found)
    return False


def _report(name: str, neuron: int, message: str, got: float, limit: int, count: int,
            accept: bool, found: Diagnostics) -> None:
    found.add("W402" if accept else "E402", f"{name}[{neuron}]", message,
              got=f"{got:.0f} ({count} neurons)", limit=limit,
              hint="" if accept else "state the longest run with --max-steps, or accept it with "
              "--accept-bounds" if got == np.inf else "a lower threshold register, fewer payload "
              "levels, a shorter --max-steps, or accept it with --accept-bounds")


def _int(values: Float64) -> IntArray:
    """Integers of possibly infinite bounds, at the ends of int64's safe range."""
    return np.clip(values, -(2.0 ** 62), 2.0 ** 62).astype(np.int64)
