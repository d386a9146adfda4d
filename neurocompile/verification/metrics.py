"""Distances between spike trains, [sample, step, neuron] arrays of counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Trains = npt.NDArray[Any]


def mismatch(a: Trains, b: Trains) -> float:
    """The fraction of (sample, step, neuron) positions with different counts."""
    return float(np.count_nonzero(a != b)) / max(1, a.size)


def van_rossum(a: Trains, b: Trains, tau_steps: float = 10.0) -> float:
    """Mean van Rossum distance a neuron and sample.

    Each train is convolved with exp(-t / tau) for t >= 0; the distance is
    sqrt(sum over steps of the squared difference / tau) (van Rossum 2001, discrete time). One
    lone spike more or less gives about sqrt(1 / 2).
    """
    difference = a.astype(np.float32) - b.astype(np.float32)
    if not np.any(difference):
        return 0.0
    trace = np.zeros((difference.shape[0], difference.shape[2]), np.float32)
    energy = np.zeros(trace.shape, np.float64)
    keep = np.float32(np.exp(-1.0 / tau_steps))
    for t in range(difference.shape[1]):
        trace = trace * keep + difference[:, t]
        energy += np.square(trace)
    # What the kernel still holds after the last step, summed to infinity.
    energy += np.square(trace) * (keep * keep / (1 - keep * keep))
    return _mean(np.sqrt(energy / tau_steps))


def rate_error(a: Trains, b: Trains) -> float:
    """Mean absolute difference of spike rates, spikes a step."""
    gap = np.abs(a.sum(axis=1, dtype=np.float64) - b.sum(axis=1, dtype=np.float64))
    return _mean(gap) / max(1, int(a.shape[1]))


def _mean(values: npt.NDArray[np.float64]) -> float:
    mean: float = values.mean().item()
    return mean


def first_difference(a: Trains, b: Trains) -> int | None:
    """The first step at which any sample and neuron differs, or None."""
    steps = np.flatnonzero(np.any(a != b, axis=(0, 2)))
    return int(steps[0]) if len(steps) else None


def decode(output: Trains, how: str = "count") -> npt.NDArray[np.int64]:
    """The class each sample's output stands for, [sample]. Ties go to the lower index.

    ``count``: largest sum over steps (spikes, or membranes). ``last``: largest at the last
    step. ``max``: largest value at any step.
    """
    flat = output.reshape(output.shape[0], output.shape[1], -1)
    if how == "count":
        score = flat.sum(axis=1, dtype=np.float64)
    elif how == "last":
        score = flat[:, -1].astype(np.float64)
    elif how == "max":
        score = flat.max(axis=1).astype(np.float64)
    else:
        raise ValueError(f"unknown decoding {how!r}: count, last or max")
    return np.asarray(np.argmax(score, axis=1), np.int64)
