"""``Raster``: the spikes of one run as a sorted list of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurocompile.ir.base import Array, IntArray, Node, n_elements, register


@register
@dataclass(frozen=True, eq=False)
class Raster(Node):
    """Events of one sample. Event k is a spike of neuron ``neuron[k]`` (flat index) of
    ``populations[population[k]]`` at step ``step[k]``, with the value ``payload[k]`` (1 for a
    plain spike, never 0). The four arrays are int64 of one length.

    ``sizes``: neurons a population. ``dt_s``: seconds a step. Invariants, checked at
    construction (``ValueError``): events sorted by (step, population, neuron), unique, in range.
    """

    populations: tuple[str, ...]
    sizes: tuple[int, ...]
    step: IntArray
    population: IntArray
    neuron: IntArray
    payload: IntArray
    n_steps: int
    dt_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_columns()
        self._check_events()

    def _check_columns(self) -> None:
        if len(self.populations) != len(self.sizes):
            raise ValueError("a raster needs one size a population")
        if len(set(self.populations)) != len(self.populations):
            raise ValueError("a raster names a population twice")
        if self.n_steps < 0 or not self.dt_s > 0:
            raise ValueError(f"{self.n_steps} steps of {self.dt_s} s are no time base")
        for name in ("step", "population", "neuron", "payload"):
            column = getattr(self, name)
            if column.dtype != np.int64 or column.shape != self.step.shape or column.ndim != 1:
                raise ValueError(f"{name} of a raster is not int64 of shape {self.step.shape}")

    def _check_events(self) -> None:
        if not len(self.step):
            return
        if self.step.min() < 0 or self.step.max() >= self.n_steps:
            raise ValueError(f"a spike lies outside the {self.n_steps} steps of the raster")
        if self.population.min() < 0 or self.population.max() >= len(self.sizes):
            raise ValueError("a spike belongs to no population of the raster")
        if (self.neuron < 0).any() or (self.neuron >= np.array(self.sizes)[self.population]).any():
            raise ValueError("a spike belongs to no neuron of its population")
        if (self.payload == 0).any():
            raise ValueError("a spike has the payload 0")
        order = np.lexsort((self.neuron, self.population, self.step))
        if (order != np.arange(len(order))).any():
            raise ValueError("the spikes of the raster are not sorted")
        same = np.ones(len(self.step) - 1, bool)
        for column in (self.step, self.population, self.neuron):
            same &= np.diff(column) == 0
        if same.any():
            raise ValueError("a neuron of the raster spikes twice in a step")

    def equals(self, other: Raster) -> bool:
        """Exact equality: same populations, steps, events and payloads, same dt."""
        return self.digest() == other.digest()

    def dense(self, population: str) -> IntArray:
        """The payloads of a population, int64 of shape (n_steps, n). ``KeyError`` if unknown."""
        if population not in self.populations:
            raise KeyError(population)
        index = self.populations.index(population)
        out = np.zeros((self.n_steps, self.sizes[index]), np.int64)
        mine = self.population == index
        out[self.step[mine], self.neuron[mine]] = self.payload[mine]
        return out


def raster_from_dense(dense: Mapping[str, Array], dt_s: float) -> Raster:
    """A raster of arrays (n_steps, *shape), bool or integer, one a population; 0 is silence.

    Raises ``ValueError`` where the arrays differ in steps or hold anything but whole numbers.
    """
    names = tuple(dense)
    lengths = {len(values) for values in dense.values()}
    if len(lengths) > 1:
        raise ValueError(f"populations of one raster differ in steps: {sorted(lengths)}")
    columns: list[IntArray] = []
    for index, values in enumerate(dense.values()):
        if values.dtype.kind not in "biu":
            raise ValueError(f"a raster holds whole numbers, not {values.dtype}")
        flat = values.reshape(len(values), n_elements(values.shape[1:]))
        step, neuron = np.nonzero(flat)
        columns.append(np.stack([step, np.full(len(step), index), neuron,
                                 flat[step, neuron].astype(np.int64)]).astype(np.int64))
    events = np.concatenate(columns, axis=1) if columns else np.zeros((4, 0), np.int64)
    events = events[:, np.lexsort((events[2], events[1], events[0]))]
    sizes = tuple(n_elements(v.shape[1:]) for v in dense.values())
    return Raster(names, sizes, events[0], events[1], events[2], events[3],
                  lengths.pop() if lengths else 0, dt_s)
