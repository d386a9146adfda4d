"""What one input is given: values on a grid of samples and steps, or constant over a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.diagnostics import Diagnostic
from neurocompile.ir.base import Array, IntArray, Shape


@dataclass(frozen=True, eq=False)
class Signal:
    """``values`` is [sample, step, *shape], or [sample, *shape] held for ``constant_steps`` steps.

    The dtype is the file's (bool, integer or float); a constant signal is never expanded unless
    asked for.
    """

    values: Array
    constant_steps: int | None = None

    @property
    def n_samples(self) -> int:
        return int(self.values.shape[0])

    @property
    def n_steps(self) -> int:
        return int(self.values.shape[1]) if self.constant_steps is None else self.constant_steps

    @property
    def shape(self) -> Shape:
        """The shape of one step of one sample."""
        return self.values.shape[2 if self.constant_steps is None else 1:]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.values.dtype

    @property
    def is_constant(self) -> bool:
        """Is every sample the same in all its steps? Scans a gridded signal sample by sample."""
        if self.constant_steps is not None:
            return True
        return all(bool((sample == sample[:1]).all()) for sample in self.values)

    def constant_values(self) -> Array:
        """[sample, *shape] of a constant signal. Raises ``ValueError`` for any other."""
        if self.constant_steps is not None:
            return self.values
        if not self.is_constant:
            raise ValueError("the signal changes within a sample")
        first: Array = self.values[:, 0]
        return first

    def steps(self, start: int, stop: int, t0: int = 0, t1: int | None = None) -> Array:
        """Samples [start, stop) in steps [t0, t1), as a read-only view [sample, step, *shape]."""
        last = self.n_steps if t1 is None else min(t1, self.n_steps)
        if self.constant_steps is None:
            part = self.values[start:stop, t0:last]
        else:
            held = self.values[start:stop][:, np.newaxis]
            part = np.broadcast_to(held, (len(held), max(0, last - t0), *self.shape))
        view: Array = part.view()
        view.flags.writeable = False
        return view

    def materialize(self) -> Array:
        """All of it as a new array [sample, step, *shape]."""
        everything: Array = self.steps(0, self.n_samples).copy()
        return everything

    def samples(self, start: int, stop: int) -> Signal:
        """The samples [start, stop) as a signal of their own."""
        return Signal(self.values[start:stop], self.constant_steps)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs by name, all of the same samples and steps; ``y``: one label a sample (integers).

    ``dt_s`` is what the file or the caller said, seconds a step. ``diagnostics`` holds warnings.
    """

    inputs: dict[str, Signal]
    y: IntArray | None
    dt_s: float | None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def n_samples(self) -> int:
        return next(iter(self.inputs.values())).n_samples

    @property
    def n_steps(self) -> int:
        return next(iter(self.inputs.values())).n_steps

    def samples(self, start: int, stop: int) -> Dataset:
        """The samples [start, stop) as a data set of their own."""
        inputs = {name: signal.samples(start, stop) for name, signal in self.inputs.items()}
        return Dataset(inputs, None if self.y is None else self.y[start:stop], self.dt_s,
                       self.diagnostics)
