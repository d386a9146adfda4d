"""NIRData (HDF5 as nir 1.0.8 writes it), read with h5py and without trust.

``nir.read_data`` reads whatever the file declares; here links and storage outside the file are
refused, declared sizes are checked before reading, and every problem is a diagnostic.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from neurocompile.data.problems import reason
from neurocompile.diagnostics import CompileError, Diagnostics, fail
from neurocompile.ir.base import Array, n_elements
from neurocompile.ir.network import Port

_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError,
           AttributeError)
"""What h5py raises on damaged or hostile files."""

_STEP_SLACK = 1e-6
"""Event times are k * dt in floating point: k dt / dt may fall just below k."""


def read_nir_inputs(path: Path, inputs: tuple[Port, ...], dt_s: float | None, limit_bytes: int,
                    diagnostics: Diagnostics) -> tuple[dict[str, Array], float | None]:
    """Arrays [sample, step, *shape] by input name, and the dt of the gridded ones.

    Events become counts a step (uint8 where they fit), valued events sums of their values; both
    need ``dt_s``. Problems that concern one input are added to ``diagnostics`` (E604 to E623).
    """
    import h5py

    subject = str(path)
    try:
        with h5py.File(path, "r") as file:
            if _text(file.attrs.get("__type__")) != "NIRGraphData":
                raise fail("E619", subject, "is HDF5 but not NIRData",
                           hint="a network file? data are written with nir.write_data")
            nodes = _child(file, "nodes", h5py.Group, subject)
            found = {}
            for port in inputs:
                try:
                    found[port.name] = _input(nodes, port, dt_s, limit_bytes, subject)
                except CompileError as error:
                    diagnostics.extend(error.diagnostics)
    except _BROKEN as error:
        raise fail("E619", subject, "cannot be read as NIRData", got=reason(error)) from error
    dts = sorted({dt for _, dt in found.values() if dt is not None})
    if len(dts) > 1 and not math.isclose(dts[0], dts[-1], rel_tol=1e-6):
        diagnostics.add("E618", subject, "the inputs differ in dt",
                        got=", ".join(f"{dt:g} s" for dt in dts))
    return {name: values for name, (values, _) in found.items()}, dts[0] if dts else None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _child(group: Any, name: str, kind: type, subject: str) -> Any:
    """A member stored in the file itself; E619 if absent, E620 behind a link or elsewhere."""
    import h5py

    if name not in group.keys():  # noqa: SIM118 - `in group` would follow paths
        raise fail("E619", subject, f"has no {kind.__name__.lower()} {name!r}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise fail("E620", subject, f"{name!r} is a link", hint="store the data in the file")
    child = group[name]
    if not isinstance(child, kind):
        raise fail("E619", subject, f"{name!r} is not a {kind.__name__.lower()}")
    return child


def _input(nodes: Any, port: Port, dt_s: float | None, limit_bytes: int, path: str
           ) -> tuple[Array, float | None]:
    import h5py

    if port.name not in nodes.keys():  # noqa: SIM118 - `in nodes` would follow paths
        raise fail("E621", f"{path}: {port.name}", "no node of this input's name",
                   got=", ".join(sorted(nodes.keys())[:20]) or "no nodes")
    subject = f"{path}: {port.name}"
    node = _child(nodes, port.name, h5py.Group, subject)
    observables = _child(node, "observables", h5py.Group, subject)
    group = _child(observables, _observable(list(observables.keys()), subject), h5py.Group, subject)
    kind = _text(group.attrs.get("__type__"))
    if kind == "TimeGriddedData":
        data = _dataset(group, "data", 3, limit_bytes, subject)
        _check_width(data.shape[2], port, subject)
        return data.reshape(*data.shape[:2], *port.shape), _attribute(group, "dt", subject)
    if kind not in ("EventData", "ValuedEventData"):
        raise fail("E619", subject, "is an observable of an unknown type", got=kind[:60],
                   limit="TimeGriddedData, EventData or ValuedEventData")
    if dt_s is None:
        raise fail("E623", subject, "events need a dt to become steps", hint="state dt")
    return _events(group, kind, port, dt_s, limit_bytes, subject), None


def _observable(names: list[str], subject: str) -> str:
    if len(names) == 1:
        return names[0]
    likely = [name for name in ("spikes", "input") if name in names]
    if len(likely) == 1:
        return likely[0]
    raise fail("E608", subject, "which observable is the input cannot be told",
               got=", ".join(names[:20]) or "no observables",
               limit="a single one, or one named spikes or input")


def _check_width(n: int, port: Port, subject: str) -> None:
    if n != n_elements(port.shape):
        raise fail("E609", subject, "the data do not fit the input's shape", got=f"{n} neurons",
                   limit=f"{n_elements(port.shape)} for {port.shape}")


def _dataset(group: Any, name: str, ndim: int, limit_bytes: int, subject: str) -> Array:
    import h5py

    dataset = _child(group, name, h5py.Dataset, subject)
    if dataset.is_virtual or dataset.external:
        raise fail("E620", subject, f"{name!r} is stored outside the file")
    if dataset.shape is None or len(dataset.shape) != ndim:
        raise fail("E609", subject, f"{name!r} has another number of axes than NIRData",
                   got=dataset.shape, limit=f"{ndim} axes")
    if dataset.dtype.kind not in "biuf" or dataset.dtype.itemsize > 8:
        raise fail("E605", subject, f"{name!r} does not hold plain numbers", got=dataset.dtype)
    declared = n_elements(dataset.shape) * dataset.dtype.itemsize
    if declared > limit_bytes:
        raise fail("E604", subject, f"{name!r} is larger than the limit", got=f"{declared} bytes",
                   limit=f"{limit_bytes} bytes")
    values: Array = np.asarray(dataset[()])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _attribute(group: Any, name: str, subject: str) -> float:
    value = np.asarray(group.attrs[name]) if name in group.attrs else np.zeros(0)
    number = float(value.reshape(-1)[0]) if value.size == 1 and value.dtype.kind in "iuf" else 0.0
    if not (math.isfinite(number) and number > 0):
        raise fail("E619", subject, f"the attribute {name} is not a number above 0")
    return number


def _events(group: Any, kind: str, port: Port, dt_s: float, limit_bytes: int, subject: str
            ) -> Array:
    """[sample, step, *shape]: how many events, or the sum of their values."""
    idx = _dataset(group, "idx", 2, limit_bytes, subject)
    time = _dataset(group, "time", 2, limit_bytes, subject)
    value = _dataset(group, "value", 2, limit_bytes, subject) if kind == "ValuedEventData" \
        else np.ones(idx.shape, np.int64)
    n = _attribute(group, "n_neurons", subject)
    _check_width(int(n), port, subject)
    steps = math.ceil(_attribute(group, "t_max", subject) / dt_s - _STEP_SLACK)
    if len({idx.shape, time.shape, value.shape}) > 1 or idx.dtype.kind not in "iu":
        raise fail("E619", subject, "idx, time and value are not lists of events of one shape")
    n_bytes = len(idx) * steps * int(n) * 8
    if n_bytes > limit_bytes:
        raise fail("E604", subject, "the events on a grid are larger than the limit",
                   got=f"{n_bytes} bytes", limit=f"{limit_bytes} bytes")
    sample, slot = np.nonzero(idx != -1)
    neuron, when = idx[sample, slot].astype(np.int64), time[sample, slot].astype(np.float64)
    bad = (neuron < 0) | (neuron >= n) | ~(when >= 0) | ~(when < steps * dt_s)
    if bad.any():
        raise fail("E622", subject, "events lie outside the recording",
                   got=f"{int(bad.sum())} of {len(bad)} events",
                   limit=f"neurons 0 to {int(n) - 1}, times 0 to {steps * dt_s:g} s")
    weight = value[sample, slot]
    grid = np.zeros((len(idx), steps, int(n)), np.float64 if weight.dtype.kind == "f" else np.int64)
    at = np.minimum(np.floor(when / dt_s + _STEP_SLACK).astype(np.int64), steps - 1)
    np.add.at(grid, (sample, at, neuron), weight)
    if grid.dtype == np.int64 and grid.size and grid.min() >= 0 and grid.max() <= 255:
        grid = grid.astype(np.uint8)
    return grid.reshape(*grid.shape[:2], *port.shape)
