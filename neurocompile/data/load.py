"""``load_data``: samples for a network from ``.npz`` or NIRData files, without guessing.

Which axes are samples, steps and the input's own shape is decided from the stated options where
the shape alone leaves a choice; what remains ambiguous is refused (docs/data.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocompile.data import encode as encoders
from neurocompile.data.problems import from_npz_error, reason
from neurocompile.data.signal import Dataset, Signal
from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.base import Array, IntArray, Shape, n_elements
from neurocompile.ir.network import Port
from neurocompile.npz import NpzError, NpzReader

DEFAULT_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class _Options:
    path: str
    steps: int | None
    encode: str | None
    dt_s: float | None
    seed: int
    delta: float
    limit_bytes: int


def load_data(path: str | Path, *, inputs: tuple[Port, ...], steps: int | None = None,
              encode: str | None = None, dt_s: float | None = None, seed: int = 0,
              delta: float = 0.1, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> Dataset:
    """Samples for the ``inputs`` of a network.

    An ``.npz`` holds ``x`` (one input) or an array under each input's name (or ``x_NAME``):
    [sample, step, *shape], or [sample, *shape] with ``steps`` and ``encode`` (constant, rate,
    latency); ``encode="delta"`` turns a gridded analog signal into spikes at changes of
    ``delta``. Optional ``y`` (labels) and ``dt`` (seconds a step). A NIRData file holds an
    observable under each input's name. dtypes are kept; nothing is cast.

    ``dt_s`` must agree with the file's dt (relative 1e-6) and times the events of NIRData.
    ``seed`` feeds ``numpy.random.default_rng`` for the rate encoding, input after input.
    ``limit_bytes`` bounds what is read and what an encoding makes of it.
    Raises :class:`CompileError` with all problems found (E601 to E623).
    """
    options = _Options(str(path), steps, encode, dt_s, seed, delta, limit_bytes)
    diagnostics = Diagnostics()
    _check_options(options, inputs, diagnostics)
    diagnostics.raise_if_errors()
    kind = _kind(Path(path), options.path)
    if kind == "npz":
        raw, y, file_dt = _read_npz(Path(path), inputs, options, diagnostics)
    else:
        from neurocompile.data.nirdata import read_nir_inputs  # h5py only when needed

        raw, file_dt = read_nir_inputs(Path(path), inputs, dt_s, limit_bytes, diagnostics)
        y = None
    _check_dt(file_dt, options, diagnostics)
    rng = np.random.default_rng(seed)
    signals: dict[str, Signal] = {}
    for port in inputs:
        if port.name in raw:
            signal = _signal(raw[port.name], port, options, rng, diagnostics)
            if signal is not None:
                signals[port.name] = signal
    _check_agreement(signals, y, options, diagnostics)
    diagnostics.raise_if_errors()
    return Dataset(signals, y, dt_s if file_dt is None else file_dt, tuple(diagnostics))


def _check_options(options: _Options, inputs: tuple[Port, ...], diagnostics: Diagnostics) -> None:
    if not inputs:
        diagnostics.add("E607", options.path, "the network has no inputs to load data for")
    if options.encode is not None and options.encode not in encoders.ENCODINGS:
        diagnostics.add("E614", "encode", "is not an encoding", got=repr(options.encode),
                        limit="one of " + ", ".join(encoders.ENCODINGS))
    if options.steps is not None and not 1 <= options.steps < 1 << 31:
        diagnostics.add("E614", "steps", "is out of range", got=options.steps,
                        limit="1 to 2147483647")
    if options.seed < 0:
        diagnostics.add("E614", "seed", "is negative", got=options.seed, limit="at least 0")
    for name, value in (("dt_s", options.dt_s), ("delta", options.delta)):
        if value is not None and not (math.isfinite(value) and value > 0):
            diagnostics.add("E614", name, "is out of range", got=value,
                            limit="finite, more than 0")
    if options.encode in ("constant", "rate", "latency") and options.steps is None:
        diagnostics.add("E614", "steps", f"encode {options.encode} needs the number of steps",
                        hint="state steps")


def _kind(path: Path, subject: str) -> str:
    """``npz`` or ``nir``, by the file's first bytes and not by its name."""
    try:
        if path.exists() and not path.is_file():
            raise fail("E601", subject, "is not a regular file")
        with path.open("rb") as file:
            start = file.read(8)
    except (OSError, ValueError) as error:
        raise fail("E601", subject, "cannot be read", got=reason(error)) from error
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "npz"
    if start == b"\x89HDF\r\n\x1a\n":
        return "nir"
    raise fail("E602", subject, "is neither a .npz archive nor NIRData (HDF5)",
               hint="write it with numpy.savez or nir.write_data")


def _read_npz(path: Path, inputs: tuple[Port, ...], options: _Options, diagnostics: Diagnostics
              ) -> tuple[dict[str, Array], IntArray | None, float | None]:
    try:
        with NpzReader(path) as reader:
            keys = _keys(reader.names, inputs, options.path, diagnostics)
            wanted = [*keys.values(), *(k for k in ("y", "dt") if k in reader.names)]
            arrays = reader.read(list(dict.fromkeys(wanted)), options.limit_bytes)
    except NpzError as error:
        raise from_npz_error(error, options.path) from error
    taken = set(keys.values())
    y = _labels(None if "y" in taken else arrays.get("y"), options.path, diagnostics)
    dt = _file_dt(None if "dt" in taken else arrays.get("dt"), options.path, diagnostics)
    return {name: arrays[key] for name, key in keys.items()}, y, dt


def _keys(found: list[str], inputs: tuple[Port, ...], path: str, diagnostics: Diagnostics
          ) -> dict[str, str]:
    """Which array of the file belongs to which input."""
    keys: dict[str, str] = {}
    for port in inputs:
        # `y` and `dt` have a meaning of their own, so inputs of those names need the prefix.
        own = [] if port.name in ("y", "dt") else [port.name]
        options = (["x"] if len(inputs) == 1 else []) + own + [f"x_{port.name}"]
        present = [key for key in dict.fromkeys(options) if key in found]
        if not present:
            shown = ", ".join(sorted(found)[:20]) or "no arrays"
            diagnostics.add("E607", f"{path}: {port.name}", "no array for this input",
                            got=shown, limit=" or ".join(dict.fromkeys(options)),
                            hint="save the samples under one of these names")
        elif len(present) > 1:
            diagnostics.add("E608", f"{path}: {port.name}", "several arrays for this input",
                            got=", ".join(present), hint="keep one of them")
        else:
            keys[port.name] = present[0]
    return keys


def _labels(y: Array | None, path: str, diagnostics: Diagnostics) -> IntArray | None:
    if y is None:
        return None
    if y.dtype.kind not in "biu" or y.ndim != 1:
        diagnostics.add("E615", f"{path}: y", "labels are one whole number a sample",
                        got=f"{y.dtype} of shape {y.shape}")
        return None
    return y


def _file_dt(dt: Array | None, path: str, diagnostics: Diagnostics) -> float | None:
    if dt is None:
        return None
    value = float(dt.reshape(-1)[0]) if dt.size == 1 else math.nan
    if not (math.isfinite(value) and value > 0):
        diagnostics.add("E614", f"{path}: dt", "is not a time in seconds",
                        got=f"{dt.dtype} of shape {dt.shape}" if dt.size != 1 else value,
                        limit="one finite number, more than 0")
        return None
    return value


def _check_dt(file_dt: float | None, options: _Options, diagnostics: Diagnostics) -> None:
    if file_dt is None or options.dt_s is None:
        return
    # Relative 1e-6 because files often hold dt as float32.
    if not math.isclose(file_dt, options.dt_s, rel_tol=1e-6, abs_tol=0.0):
        diagnostics.add("E616", f"{options.path}: dt", "dt of the data is not the one stated",
                        got=f"{file_dt:g} s", limit=f"{options.dt_s:g} s",
                        hint="use the dt the data were made with")


def _axes(*names: object) -> str:
    return "[" + ", ".join(map(str, names)) + "]"


def _fits(found: Shape, wanted: Shape) -> bool:
    """Equal but for axes of length 1."""
    return [e for e in found if e != 1] == [e for e in wanted if e != 1]


def _signal(x: Array, port: Port, options: _Options, rng: np.random.Generator,
            diagnostics: Diagnostics) -> Signal | None:
    subject = f"{options.path}: {port.name}"
    if not _finite(x, subject, diagnostics):
        return None
    gridded = x.ndim >= 2 and _fits(x.shape[2:], port.shape)
    whole = x.ndim >= 1 and _fits(x.shape[1:], port.shape)
    if not (gridded or whole):
        diagnostics.add("E609", subject, "the array does not fit the input's shape",
                        got=x.shape, limit=f"{_axes('sample', 'step', *port.shape)} or "
                                           f"{_axes('sample', *port.shape)}")
        return None
    if 0 in x.shape[:2 if gridded and options.encode in (None, "delta") else 1]:
        diagnostics.add("E617", subject, "there are no samples or no steps", got=x.shape)
        return None
    if options.encode in ("constant", "rate", "latency"):
        return _encoded(x, whole, port, options, rng, diagnostics)
    if not _has_steps(x, gridded, whole, port, options, diagnostics):
        return None
    values = x.reshape(*x.shape[:2], *port.shape)
    return Signal(encoders.delta(values, options.delta) if options.encode == "delta" else values)


def _has_steps(x: Array, gridded: bool, whole: bool, port: Port, options: _Options,
               diagnostics: Diagnostics) -> bool:
    """Is axis 1 the steps? Diagnostics where it is not, or not the stated number."""
    subject = f"{options.path}: {port.name}"
    if not gridded:
        diagnostics.add("E610" if options.encode is None else "E613", subject,
                        "the array has no step axis", got=x.shape,
                        limit=_axes("sample", "step", *port.shape),
                        hint="state steps and encode (constant, rate or latency)")
        return False
    if whole and options.steps is None and options.encode is None:
        diagnostics.add("E611", subject, "the array can be read with or without a step axis",
                        got=x.shape, limit=f"[sample, step, *{port.shape}] or "
                                           f"[sample, *{port.shape}]",
                        hint=f"state steps = {x.shape[1]} if axis 1 counts steps; otherwise "
                             "steps and encode")
        return False
    if options.steps is not None and options.steps != x.shape[1]:
        hint = "state encode if the array has no step axis" if whole else \
            "leave steps out to use all of them"
        diagnostics.add("E612", subject, "the array has another number of steps than stated",
                        got=f"{x.shape[1]} steps", limit=f"{options.steps} steps", hint=hint)
        return False
    return True


def _encoded(x: Array, whole: bool, port: Port, options: _Options, rng: np.random.Generator,
             diagnostics: Diagnostics) -> Signal | None:
    subject = f"{options.path}: {port.name}"
    steps = options.steps
    assert steps is not None  # _check_options
    if not whole:
        diagnostics.add("E613", subject, "the array has a step axis already, which encode "
                        f"{options.encode} would make", got=x.shape,
                        limit=f"[sample, *{port.shape}]", hint="leave encode out")
        return None
    values = x.reshape(len(x), *port.shape)
    if options.encode == "constant":
        return Signal(values, constant_steps=steps)
    n_bytes = len(x) * steps * n_elements(port.shape)
    if n_bytes > options.limit_bytes:
        diagnostics.add("E604", subject, "the encoded spikes are larger than the limit",
                        got=f"{n_bytes} bytes", limit=f"{options.limit_bytes} bytes",
                        hint="use fewer steps or samples")
        return None
    clipped = int(np.count_nonzero((values < 0) | (values > 1)))
    if clipped:
        diagnostics.add("W627", subject, f"encode {options.encode} clipped values to [0, 1]",
                        got=f"{clipped} of {values.size} values, from {values.min():g} to "
                            f"{values.max():g}", hint="scale the data if this is not meant")
    encoded = encoders.rate(values, steps, rng) if options.encode == "rate" \
        else encoders.latency(values, steps)
    return Signal(encoded)


def _finite(x: Array, subject: str, diagnostics: Diagnostics) -> bool:
    if x.dtype.kind != "f":
        return True
    # Sample by sample: no second array of the size of the data.
    bad = sum(int(np.count_nonzero(~np.isfinite(part))) for part in (x if x.ndim else [x]))
    if bad:
        diagnostics.add("E606", subject, "the array holds NaN or infinity",
                        got=f"{bad} of {x.size} values")
    return not bad


def _check_agreement(signals: dict[str, Signal], y: IntArray | None, options: _Options,
                     diagnostics: Diagnostics) -> None:
    first = next(iter(signals), None)
    if first is None:
        return
    for what in ("n_samples", "n_steps"):
        counts = {name: getattr(signal, what) for name, signal in signals.items()}
        if len(set(counts.values())) > 1:
            diagnostics.add("E618", options.path, f"the inputs differ in {what[2:]}",
                            got=", ".join(f"{name} {n}" for name, n in counts.items()))
    if y is not None and len(y) != signals[first].n_samples:
        diagnostics.add("E615", f"{options.path}: y", "there is not one label a sample",
                        got=f"{len(y)} labels", limit=f"{signals[first].n_samples} samples")

