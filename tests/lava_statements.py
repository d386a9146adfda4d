"""What Lava's fixed_pt processes compute, stated in plain Python, one integer at a time.

Written from docs/lava.md and independent of neurocompile's own models, which have to agree with
the same recordings. Arrays are [step, ...] as they are recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
LIMIT = 1 << 23


def toward_zero(value: int, bits: int) -> int:
    return (abs(value) >> bits) * (1 if value >= 0 else -1)


def wrap(value: int, bits: int) -> int:
    """Two's complement."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def fold(u: int) -> int:
    """Once, and not twice."""
    if u > LIMIT:
        return u - 2 * LIMIT
    return u + 2 * LIMIT if u <= -LIMIT else u


def bias(mantissa: int, exponent: int) -> int:
    """A shift to the right floors."""
    mantissa = wrap(mantissa, 16)
    return mantissa << exponent if exponent >= 0 else mantissa >> -exponent


def step(u: int, v: int, a: int, du: int, dv: int, beff: int) -> tuple[int, int]:
    """Current and membrane before the comparison."""
    u = fold(wrap(toward_zero(u * (4096 - (du + 1)), 12) + wrap(a << 6, 32), 32))
    v = toward_zero(v * (4096 - dv), 12) + u + beff
    return u, max(-(LIMIT - 1), min(LIMIT - 1, v))


def neurons(r: dict[str, Array]) -> dict[str, Array]:
    """s, u and v of an experiment on LIF, LIFReset or TernaryLIF."""
    a = r["a"]
    found = {kind: np.zeros(a.shape[::-1], np.int64) for kind in "suv"}
    for i, row in enumerate(a.tolist()):
        u, v = _of(r, "u0", i), _of(r, "v0", i)
        beff = bias(_of(r, "bias_mant", i), _of(r, "bias_exp", i))
        for t, received in enumerate(row, start=1):
            if "reset_interval" in r and (t - _of(r, "reset_offset", i)) % _of(
                    r, "reset_interval", i) == 0:
                u = v = 0
            u, v = step(u, v, received, _of(r, "du", i), _of(r, "dv", i), beff)
            s = _fires(r, v, i)
            v = 0 if s else v
            for kind, value in (("s", s), ("u", u), ("v", v)):
                found[kind][t - 1, i] = value
    return found


def _fires(r: dict[str, Array], v: int, i: int) -> int:
    if "vth_hi" in r:
        return int(v > _of(r, "vth_hi", i) << 6) - int(v < _of(r, "vth_lo", i) << 6)
    return int(v > _of(r, "vth", i) << 6)


def _of(r: dict[str, Array], name: str, i: int) -> int:
    values = np.atleast_1d(r.get(name, np.array(0)))
    return int(values[i] if len(values) > 1 else values[0])


def sigma_delta(r: dict[str, Array]) -> dict[str, Array]:
    """s, sigma, act and residue of SigmaDelta: the exponents scale bias and threshold, not a."""
    scale = 1 << (_of(r, "spike_exp", 0) + _of(r, "state_exp", 0))
    vth, offset = _of(r, "vth", 0) * scale, _of(r, "bias", 0) * scale
    names = ("s", "sigma", "act", "residue")
    found = {name: np.zeros(r["a"].shape[::-1], np.int64) for name in names}
    for i, row in enumerate(r["a"].tolist()):
        sigma = act = residue = error = 0
        for t, received in enumerate(row):
            sigma += received
            new = sigma + offset if _of(r, "act_mode", 0) == 0 else max(0, sigma + offset)
            delta = new - act + residue
            act = new
            error = error + delta if _of(r, "cum_error", 0) else delta
            sent = delta if abs(error) >= vth else 0
            error = 0 if sent else error
            residue = delta - sent
            for name, value in zip(names, (sent >> _of(r, "state_exp", 0), sigma, act, residue),
                                   strict=True):
                found[name][t, i] = value
    return found


def resonate_and_fire(r: dict[str, Array]) -> dict[str, Array]:
    """s, real and imag of RF."""
    bits, shift = _of(r, "decay_bits", 0), _of(r, "state_exp", 0)
    sin, cos = _of(r, "sin_decay", 0), _of(r, "cos_decay", 0)
    found = {name: np.zeros(r["in_0"].shape[::-1], np.int64) for name in ("s", "real", "imag")}
    for i in range(len(r["in_0"])):
        real = imag = 0
        for t in range(r["in_0"].shape[1]):
            a, b = int(r["in_0"][i, t]) << shift, int(r["in_1"][i, t]) << shift
            new_real = toward_zero(cos * real, bits) - toward_zero(sin * imag, bits) + a
            new_imag = toward_zero(sin * real, bits) + toward_zero(cos * imag, bits) + b
            new_real, new_imag = (max(-(LIMIT - 1), min(LIMIT - 1, x))
                                  for x in (new_real, new_imag))
            fires = new_real >= _of(r, "vth", 0) << shift and new_imag >= 0 and imag < 0
            real, imag = new_real, new_imag
            for name, value in (("s", int(fires)), ("real", real), ("imag", imag)):
                found[name][t, i] = value
    return found


def resonate_and_fire_zero(r: dict[str, Array]) -> dict[str, Array]:
    """s, u and v of RFZero, whose products are floored and whose spikes carry u."""
    found = {name: np.zeros(r["in_0"].shape[::-1], np.int64) for name in "suv"}
    for i in range(len(r["in_0"])):
        u = v = 0
        cos, sin = _of(r, "lct", i), _of(r, "lst", i)
        for t in range(r["in_0"].shape[1]):
            new_u = (u * cos >> 15) - (v * sin >> 15) + int(r["in_0"][i, t])
            new_v = (v * cos >> 15) + (u * sin >> 15) + int(r["in_1"][i, t])
            s = new_u if new_u > _of(r, "uth", 0) and new_v >= 0 and v < 0 else 0
            u, v = new_u, new_v
            for name, value in (("s", s), ("u", u), ("v", v)):
                found[name][t, i] = value
    return found


def stored_weights(weights: Sequence[Any] | Array, sign_mode: str, bits: int = 8) -> Array:
    """What Dense and Sparse make of weights: clipped, then the low bits floored off."""
    matrix = np.asarray(weights, np.int64)
    if sign_mode == "automatic":
        sign_mode = ("EXCITATORY" if matrix.min() >= 0 else
                     "INHIBITORY" if matrix.max() <= 0 else "MIXED")
    sign = -1 if sign_mode == "INHIBITORY" else 1
    mixed = sign_mode == "MIXED"
    clipped = np.clip(sign * matrix, -256 if mixed else 0, 255)
    k = 8 - bits + int(mixed)
    return sign * ((clipped >> k) << k)


def connection(r: dict[str, Array]) -> Array:
    """What leaves a Dense, Sparse, DelayDense or DelaySparse, [step, target]."""
    weights = stored_weights(r["weights"], str(r["sign_mode"]), _of(r, "num_weight_bits", 0) or 8)
    exponent, graded = _of(r, "weight_exp", 0), _of(r, "num_message_bits", 0) > 0
    delays = r.get("delays", np.zeros(weights.shape, np.int64))
    n_steps = r["spikes"].shape[1]
    found = np.zeros((n_steps, len(weights)), np.int64)
    for t in range(n_steps):
        sent = r["spikes"][:, t].astype(np.int64)
        sent = sent if graded else (sent != 0).astype(np.int64)
        for delay in sorted(set(delays.ravel().tolist())):
            if t + 1 + delay < n_steps:
                sums = (np.where(delays == delay, weights, 0) * sent).sum(axis=1)
                found[t + 1 + delay] += sums << exponent if exponent > 0 else sums >> -exponent
    return np.vectorize(lambda value: wrap(int(value), 32))(found)


def convolution(r: dict[str, Array]) -> Array:
    """What leaves a Conv, [step, x, y, c_out]: kernels are flipped, as mathematics has it, and
    neither weight_exp nor num_weight_bits take part."""
    weight, spikes = r["weight"].astype(np.int64), r["spikes"].astype(np.int64)
    if _of(r, "num_message_bits", 0) == 0:
        spikes = (spikes != 0).astype(np.int64)
    (px, py), (sx, sy), (dx, dy) = (_pair(r, name, default) for name, default in
                                    (("padding", 0), ("stride", 1), ("dilation", 1)))
    groups = _of(r, "groups", 0) or 1
    c_out, kx, ky, c_in = weight.shape
    padded = np.pad(spikes, ((px, px), (py, py), (0, 0), (0, 0)))
    nx = (padded.shape[0] - dx * (kx - 1) - 1) // sx + 1
    ny = (padded.shape[1] - dy * (ky - 1) - 1) // sy + 1
    found = np.zeros((spikes.shape[3], nx, ny, c_out), np.int64)
    for o, x, y, i, j, c in np.ndindex(c_out, nx, ny, kx, ky, c_in):
        channel = o // (c_out // groups) * c_in + c
        value = weight[o, kx - 1 - i, ky - 1 - j, c]
        found[1:, x, y, o] += value * padded[x * sx + i * dx, y * sy + j * dy, channel, :-1]
    return np.vectorize(lambda value: wrap(int(value), 24))(found)


def _pair(r: dict[str, Array], name: str, default: int) -> tuple[int, int]:
    values = np.atleast_1d(r.get(name, np.array(default))).tolist()
    return (values[0], values[-1])
