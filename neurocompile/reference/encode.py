"""What the host does before a run: data become payloads and bias registers.

All integer executors start from the same encoded input; from there on they are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.fixedpoint import to_registers
from neurocompile.ir.base import Array
from neurocompile.ir.quantized import QuantizedDrive, QuantizedInput, QuantizedNetwork


@dataclass(frozen=True, eq=False)
class EncodedInput:
    """Integers for a batch of samples.

    ``payloads[source]``: [sample, step, n], integers of the narrowest type that holds the input's
    range, one step long where constant over the sample.
    ``biases[population]``: [sample, n], int64, on top of the population's own bias.
    """

    n_samples: int
    n_steps: int
    payloads: dict[str, npt.NDArray[np.integer[Any]]]
    biases: dict[str, npt.NDArray[np.int64]]

    def samples(self, start: int, stop: int) -> EncodedInput:
        """The samples [start, stop)."""
        stop = min(stop, self.n_samples)
        return EncodedInput(stop - start, self.n_steps,
                            {k: v[start:stop] for k, v in self.payloads.items()},
                            {k: v[start:stop] for k, v in self.biases.items()})


def encode_inputs(network: QuantizedNetwork, data: Mapping[str, Array],
                  n_steps: int) -> EncodedInput:
    """Encode ``data[input]``: [sample, step, *shape], or one step long if constant.

    Raises ``CompileError``: E631 (values outside the range overflow was proved for), E632 (no
    spikes or counts), E633 (changes over a sample where the chip needs it constant), E634 (longer
    than ``max_steps``).
    """
    found = Diagnostics()
    n_samples = len(next(iter(data.values())))
    payloads = {i.name: _payload(i, data[i.name], found) for i in network.inputs}
    if network.max_steps is not None and n_steps > network.max_steps:
        found.add("E634", "steps", "the run is longer than the one its ranges were proved for",
                  got=n_steps, limit=network.max_steps, hint="compile with a larger --max-steps")
    wanted: dict[str, npt.NDArray[np.float64]] = {}
    for drive in network.drives:
        if not _is_constant(data[drive.input]):
            found.add("E633", drive.input, "values change over a sample, but this input is loaded "
                      "into bias registers once a sample", hint='give constant values, or compile '
                      'with another input mode')
            continue
        wanted[drive.target] = wanted.get(drive.target, 0.0) + _wanted(
            drive, data[drive.input], found)
    found.raise_if_errors()
    # A neuron has one register: what several inputs load is summed before it is rounded.
    limits = {d.target: (d.mantissa_max, d.exponent_max) for d in network.drives}
    biases = {name: np.left_shift(*to_registers(sums, *limits[name]))
              for name, sums in wanted.items()}
    return EncodedInput(n_samples, n_steps, payloads, biases)


def _is_constant(values: Array) -> bool:
    return values.shape[1] == 1 or bool(np.all(values == values[:, :1]))


def _payload(i: QuantizedInput, values: Array, found: Diagnostics,
             ) -> npt.NDArray[np.integer[Any]]:
    flat = values.reshape(len(values), values.shape[1], -1)
    if i.mode == "graded":
        units = np.rint(flat / i.scale)
    else:
        units = flat
        if not np.issubdtype(flat.dtype, np.integer) and bool(np.any(flat != np.rint(flat))):
            found.add("E632", i.name, f"this input takes {i.mode}, whole numbers a step",
                      got=f"values such as {float(flat[flat != np.rint(flat)][0]):g}",
                      hint='encode the data (--encode rate), or compile with mode = "graded"')
    low, high = float(units.min(initial=0)), float(units.max(initial=0))
    if low < i.low or high > i.high:
        n = int(np.count_nonzero((units < i.low) | (units > i.high)))
        found.add("E631", i.name, "values lie outside the range the network was compiled for",
                  got=f"{low * i.scale:g} to {high * i.scale:g} ({n} values outside)",
                  limit=f"{i.low * i.scale:g} to {i.high * i.scale:g}",
                  hint="compile with a larger maximum, or scale the data")
        units = np.clip(units, i.low, i.high)
    return units.astype(_narrowest(i.low, i.high), copy=False)


def _narrowest(low: int, high: int) -> type[np.integer[Any]]:
    """Recordings are large and their values small: one byte where it suffices."""
    for dtype in (np.uint8, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.int32


def _wanted(drive: QuantizedDrive, values: Array, found: Diagnostics) -> npt.NDArray[np.float64]:
    """The drive's part of the bias before it is rounded, [sample, n]."""
    x = np.asarray(values[:, 0], np.float64)
    low, high = float(x.min(initial=drive.low)), float(x.max(initial=drive.high))
    if low < drive.low or high > drive.high:
        found.add("E631", drive.input, "values lie outside the range the network was compiled for",
                  got=f"{low:g} to {high:g}", limit=f"{drive.low:g} to {drive.high:g}",
                  hint="compile with a larger maximum, or scale the data")
    summed = drive.transform.apply(x.reshape(len(x), *drive.transform.in_shape))
    return np.asarray(drive.gain * summed.reshape(len(x), -1) + drive.constant, np.float64)
