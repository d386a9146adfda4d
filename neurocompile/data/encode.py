"""Analog values to signals: constant, rate, latency and delta encoding (docs/data.md)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from neurocompile.ir.base import Array

Encoding = Literal["constant", "rate", "latency", "delta"]
ENCODINGS: tuple[Encoding, ...] = ("constant", "rate", "latency", "delta")


def rate(x: Array, steps: int, rng: np.random.Generator) -> Array:
    """Bernoulli spikes: in each step one with probability clip(x, 0, 1).

    ``x``: [sample, *shape]; returns uint8 [sample, step, *shape]. Random numbers are drawn sample
    after sample, so that a smaller number of samples gives the same spikes.
    """
    out = np.empty((len(x), steps, *x.shape[1:]), np.uint8)
    for sample, probability in zip(out, x, strict=True):
        sample[...] = rng.random(sample.shape) < np.clip(probability, 0.0, 1.0)
    return out


def latency(x: Array, steps: int) -> Array:
    """One spike, the earlier the larger x: at step rint((1 - clip(x, 0, 1)) (steps - 1)).

    Values of 0 and below stay silent. ``x``: [sample, *shape]; returns uint8
    [sample, step, *shape].
    """
    when = np.rint((1.0 - np.clip(x, 0.0, 1.0).astype(np.float64)) * (steps - 1)).astype(np.int64)
    out = np.zeros((len(x), steps, *x.shape[1:]), np.uint8)
    np.put_along_axis(out, when[:, np.newaxis], (x > 0).astype(np.uint8)[:, np.newaxis], axis=1)
    return out


def delta(x: Array, threshold: float) -> Array:
    """Send on delta: a spike where x has risen by ``threshold`` or more since its reference.

    The reference is the value at the last such change, up or down (falls move it without a
    spike, as snntorch.spikegen.delta has no off-spikes by default), at first that of step 0.
    ``x``: [sample, step, *shape]; returns uint8 of the same shape.
    """
    out = np.zeros(x.shape, np.uint8)
    if x.shape[1] == 0:
        return out
    reference = x[:, 0].astype(np.float64)
    for t in range(1, x.shape[1]):
        change = x[:, t].astype(np.float64) - reference
        out[:, t] = change >= threshold
        moved = np.abs(change) >= threshold
        reference = np.where(moved, x[:, t], reference)
    return out
