"""Typed, checked access to the fields of one node. Problems are recorded, not raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.part import Refused
from neurocompile.frontends.raw import Budget, RawNode, shown
from neurocompile.ir.base import Array, FloatArray, Shape, n_elements

_T = TypeVar("_T")


class Fields:
    """After a problem ``failed`` is set and a harmless stand-in is returned, so that an importer
    reads on and every problem of a node is found."""

    def __init__(self, name: str, raw: RawNode, budget: Budget, diagnostics: Diagnostics):
        self.name = name
        self.raw = raw
        self.budget = budget
        self.failed = False
        self._diagnostics = diagnostics
        self._used: set[str] = set()

    def add(self, code: str, message: str, *, got: object = "", limit: object = "",
            hint: str = "") -> None:
        """Record an error about this node."""
        self.failed = True
        self._diagnostics.add(code, shown(self.name), message, got=got, limit=limit, hint=hint)

    def sound(self, read: Callable[[], _T]) -> tuple[_T, bool]:
        """What ``read`` returns, and whether it found nothing wrong, whatever was before."""
        before, self.failed = self.failed, False
        value = read()
        sound = not self.failed
        self.failed = before or self.failed
        return value, sound

    def shape_error(self, key: str, got: Shape, limit: str) -> None:
        if key in self.raw.fields:
            self.add("E115", f"{key} has the wrong shape", got=got, limit=limit)

    def report_unused(self) -> None:
        """W105 for every field no importer asked for."""
        for key in sorted(set(self.raw.fields) - self._used):
            self._diagnostics.add(
                "W105", shown(self.name),
                f"field {shown(key)} is not part of a {self.raw.type} and is ignored")

    def reserve(self, n_bytes: int, what: str) -> None:
        """Count derived arrays. Raises :class:`Refused` (E106) if they exceed the budget."""
        if n_bytes > self.budget.bytes_left:
            raise Refused("E106", f"{what} exceeds the bytes a network may have",
                          got=f"{n_bytes} bytes",
                          limit=f"{self.budget.bytes_left} of {self.budget.limits.max_bytes} left")
        self.budget.bytes_left -= n_bytes

    def _array(self, key: str, default: float | None = None) -> Array | None:
        self._used.add(key)
        value = self.raw.fields.get(key)
        if key in self.raw.lost:
            self.failed = True
            return None
        if value is None:
            if default is not None:
                return np.array(default)
            self.add("E111", f"a {self.raw.type} needs the field {key}")
            return None
        if isinstance(value, str):
            self.add("E112", f"{key} must hold real numbers", got="text")
            return None
        return value

    def weights(self, key: str, default: float | None = None) -> Array:
        """Finite numbers of any shape; float32 and float64 stay what they are."""
        value = self._array(key, default)
        if value is None:
            return np.zeros(())
        narrow = value.dtype.kind == "f" and value.dtype.itemsize <= 4
        with np.errstate(over="ignore"):  # a longdouble beyond float64 is reported as infinite
            array: Array = np.asarray(value, np.float32 if narrow else np.float64)
        finite: Array = np.isfinite(array)
        if not finite.all():
            where = tuple(int(i) for i in np.argwhere(~finite)[0])
            self.add("E113", f"{key} is not finite",
                     got=f"{array[where]} at {list(where)}, {int((~finite).sum())} of "
                         f"{array.size} values")
            return np.zeros(array.shape)
        return array

    def numbers(self, key: str, default: float | None = None, *, above: float | None = None,
                at_least: float | None = None) -> FloatArray:
        """Finite float64 parameters, optionally in a range; E114 outside."""
        array: FloatArray = np.asarray(self.weights(key, default), np.float64)
        if self.raw.fields.get(key) is None or not array.size:
            return array
        bad = array <= above if above is not None else (
            array < at_least if at_least is not None else np.zeros(array.shape, bool))
        # Values that were not finite are reported already, and read as zero.
        if bool(bad.any()) and bool(np.isfinite(np.asarray(self.raw.fields[key], float)).all()):
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            self.add("E114", f"{key} is out of range",
                     got=f"{array[where]:g} at {list(where)}, {int(bad.sum())} of {array.size} "
                         "values",
                     limit=f"above {above:g}" if above is not None else f"at least {at_least:g}")
        return array

    def common_shape(self, parameters: dict[str, FloatArray]) -> Shape | None:
        """The one shape of a node's parameters; None if all are single values. E115 if several."""
        shapes = {key: value.shape for key, value in parameters.items() if value.ndim}
        if not shapes:
            return None
        if len(set(shapes.values())) > 1 and not self.failed:
            listed = ", ".join(f"{key.removesuffix('_s')} {shape}"
                               for key, shape in sorted(shapes.items()))
            self.add("E115", "the parameters have different shapes", got=listed)
        shape = next(iter(shapes.values()))
        if not n_elements(shape):
            self.add("E115", "the parameters are empty", got=shape)
        return shape

    def spread(self, value: Array, shape: Shape) -> Array:
        """A single value (or trailing axes) repeated to ``shape``; other arrays as they are."""
        if value.shape == shape:
            return value
        self.reserve(n_elements(shape) * value.dtype.itemsize, "a parameter of the whole shape")
        full: Array = np.broadcast_to(value, shape).copy()
        return full

    def integers(self, key: str, n: int, *, minimum: int | None = None,
                 broadcast: bool = True) -> tuple[int, ...]:
        """``n`` whole numbers; a single one stands for all if ``broadcast``."""
        stand_in = (max(minimum or 0, 0),) * n
        value = self._array(key)
        if value is None:
            return stand_in
        if value.size != n and not (broadcast and value.size == 1):
            self.add("E112", f"{key} must be {n} whole number{'s' if n > 1 else ''}",
                     got=f"shape {value.shape}")
            return stand_in
        found = self._whole(key, value)
        if found is None:
            return stand_in
        if minimum is not None and min(found) < minimum:
            self.add("E114", f"{key} is out of range", got=min(found), limit=f"at least {minimum}")
            return stand_in
        return found if len(found) == n else found * n

    def _whole(self, key: str, value: Array) -> tuple[int, ...] | None:
        flat = value.reshape(-1)
        if not np.isfinite(flat.astype(np.float64)).all() or bool(np.any(flat != np.rint(flat))):
            self.add("E112", f"{key} must be whole numbers", got=flat.tolist()[:8])
            return None
        return tuple(int(v) for v in flat)

    def shape(self, key: str, max_elements: int) -> Shape:
        """A shape of positive extents, at most ``max_elements`` in all; [] is read as (1,)."""
        value = self._array(key)
        if value is None:
            return (1,)
        if value.ndim > 1 or value.size > 32:
            self.add("E112", f"{key} must be a list of extents", got=f"shape {value.shape}")
            return (1,)
        found = self._whole(key, value)
        if found is None:
            return (1,)
        if found and min(found) < 1:
            self.add("E114", f"{key} has an extent below 1", got=found)
            return (1,)
        if n_elements(found) > max_elements:
            self.add("E106", f"{key} declares too many neurons", got=f"{found} = "
                     f"{n_elements(found)}", limit=max_elements,
                     hint="raise ReadLimits.max_neurons if the file is trusted")
            return (1,)
        return found or (1,)

    def text(self, key: str) -> str | None:
        """The field if it is text, None if it is anything else."""
        value = self.raw.fields.get(key)
        if isinstance(value, str):
            self._used.add(key)
            return value
        return None
