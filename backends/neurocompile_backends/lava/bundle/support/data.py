"""Data of a user as the integers a chip takes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

MOST_STEPS = (1 << 31) - 1


class DataError(Exception):
    """Something about the data the user gave."""


def encode(program, arrays, values, steps):
    """Data as integers: payloads {input: [sample, step, n]}, biases {population: [sample, n]}, and
    how many samples and steps there are.

    ``values[input]``: [sample, step, *shape], or [sample, *shape] for ``steps`` equal steps.
    """
    found = {name: _in_steps(name, _value(program, values, name), shape, steps)
             for name, shape in program.INPUT_SHAPES.items()}
    samples = {len(a) for a, _ in found.values()}
    lengths = {n for _, n in found.values()}
    if len(samples) > 1 or len(lengths) > 1:
        raise DataError(f"the inputs differ: {sorted(samples)} samples, {sorted(lengths)} steps")
    length = lengths.pop()
    if steps and steps != length:
        raise DataError(f"the inputs have {length} steps, --steps says {steps}")
    if length > MOST_STEPS:
        raise DataError(f"{length} steps are more than Lava counts, {MOST_STEPS}")
    if program.MAX_STEPS is not None and length > program.MAX_STEPS:
        raise DataError(f"{length} steps are more than the {program.MAX_STEPS} for which overflow "
                        "was excluded")
    arrived = {name: a for name, (a, _) in found.items()}
    payloads = {name: _payload(name, i, arrived[name]) for name, i in program.INPUTS.items()}
    return payloads, _biases(program, arrays, arrived), samples.pop(), length


def _value(program, values, name):
    alone = ("x",) if len(program.INPUT_SHAPES) == 1 else ()
    for key in (name, f"x_{name}", *alone):
        if key in values:
            return values[key]
    raise DataError(f"the data hold no array for input {name!r}, only {sorted(values)}")


def _in_steps(name, values, shape, steps):
    """([sample, step or 1, n], steps): one step where the values are shown for all of them."""
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise DataError(f"input {name!r} holds something else than finite numbers")
    if values.ndim == len(shape) + 1 and values.shape[1:] == shape and len(values):
        if not steps:
            raise DataError(f"input {name!r} has no step axis: --steps says how long it is shown")
        return values.reshape(len(values), 1, -1), steps
    if values.ndim != len(shape) + 2 or values.shape[2:] != shape or 0 in values.shape[:2]:
        raise DataError(f"input {name!r} is {values.shape}, wanted [sample, step, *{shape}]")
    return values.reshape(*values.shape[:2], -1), values.shape[1]


def _payload(name, i, values):
    units = np.rint(values / i.scale) if i.mode == "graded" else values
    if np.any(units != np.rint(units)):
        raise DataError(f"input {name!r} takes {i.mode}: whole numbers a step")
    if units.min() < i.low or units.max() > i.high:
        raise DataError(f"input {name!r} lies outside {i.low * i.scale:g} to "
                        f"{i.high * i.scale:g}, for which overflow was excluded")
    return units.astype(np.int32)


def _biases(program, arrays, found):
    wanted, limits = {}, {}
    for d in program.DRIVES:
        x = found[d.input].astype(np.float64)
        if np.any(x != x[:, :1]):
            raise DataError(f"input {d.input!r} changes over a sample, but is loaded into bias "
                            "registers once a sample")
        if x.min() < d.low or x.max() > d.high:
            raise DataError(f"input {d.input!r} lies outside {d.low:g} to {d.high:g}")
        summed = _product(arrays, d.arrays, x[:, 0]) * arrays[f"{d.arrays}.gain"]
        total = summed + arrays[f"{d.arrays}.constant"]
        wanted[d.population] = wanted.get(d.population, 0.0) + total
        limits[d.population] = (d.mantissa_max, d.exponent_max)
    return {name: _rounded(total, *limits[name]) for name, total in wanted.items()}


def _product(arrays, name, x):
    if f"{name}.weights" in arrays:
        return x @ arrays[f"{name}.weights"].T.astype(np.float64)
    matrix = csr_matrix((arrays[f"{name}.values"].astype(np.float64), arrays[f"{name}.indices"],
                         arrays[f"{name}.indptr"]), shape=arrays[f"{name}.shape"])
    return (matrix @ x.T).T


def _rounded(value, mantissa_max, exponent_max):
    """The nearest mantissa << exponent with the least exponent that holds it; saturates."""
    exponent = np.zeros(value.shape, np.int64)
    for e in range(exponent_max):
        exponent = np.where(np.rint(np.abs(value) / (1 << e)) > mantissa_max, e + 1, exponent)
    mantissa = np.clip(np.rint(value / (1 << exponent)), -mantissa_max, mantissa_max)
    return mantissa.astype(np.int64) << exponent


def registers(bias):
    """(mantissas, exponents) of integers, with the least exponents that fit 13 bits and sign."""
    exponent = np.zeros(bias.shape, np.int64)
    while np.any(np.abs(bias >> exponent) > 4095):
        exponent = np.where(np.abs(bias >> exponent) > 4095, exponent + 1, exponent)
    mantissa = bias >> exponent
    if np.any(mantissa << exponent != bias):
        raise DataError("a bias is no mantissa << exponent of 13 bits")
    return mantissa, exponent
