"""Fold everything between two populations into one linear map with delays at its ends.

After this pass every projection is ``(Delay?, Dense | Conv | Sparse, Delay?)`` and every bias a
value on the elements of its target with at most a Delay. Reshapes vanish, scales and poolings
move into weights, chains of linear maps become one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import Array, FloatArray, Shape, n_elements
from neurocompile.ir.network import Bias, Network, Projection
from neurocompile.ir.transforms import (
    Conv,
    Delay,
    Dense,
    Linear,
    Reshape,
    Scale,
    Sparse,
    Transform,
    identity,
)
from neurocompile.passes.compose import UnfoldingError, compose, is_diagonal


@dataclass(frozen=True)
class Canonicalize:
    """``max_unfolded_synapses`` bounds what may be written out where no structured form exists."""

    max_unfolded_synapses: int = 1 << 24

    def run(self, network: Network) -> Network:
        """Raises ``CompileError`` with E301 (no structured form) and E302 (delay in between)."""
        found = Diagnostics()
        cache: dict[tuple[int, ...], tuple[Transform, ...]] = {}
        projections = tuple(self._projection(p, network, found, cache)
                            for p in network.projections)
        biases = tuple(b for bias in network.biases for b in self._bias(bias))
        found.raise_if_errors()
        return replace(network, projections=projections, biases=biases)

    def _projection(self, projection: Projection, network: Network, found: Diagnostics,
                    cache: dict[tuple[int, ...], tuple[Transform, ...]]) -> Projection:
        source = network.population(projection.source).shape
        target = network.population(projection.target).shape
        # Parallel paths share their operations; folding them once keeps their weights shared.
        key = (*(id(op) for op in projection.ops), *source, -1, *target)
        if key not in cache:
            chain = _Chain(source, self.max_unfolded_synapses)
            try:
                for op in projection.ops:
                    chain.add(op)
                cache[key] = chain.finish(target)
            except UnfoldingError as error:
                found.add("E301", projection.name,
                          "these operations have no structured form together "
                          f"({' -> '.join(projection.via)})",
                          got=f"{error.n_synapses} synapses", limit=self.max_unfolded_synapses,
                          hint="put neurons between them, or make pooling sizes divide the input")
                return projection
            except _DelayInBetween:
                found.add("E302", projection.name,
                          "different delays between two linear layers without neurons between "
                          f"({' -> '.join(projection.via)})",
                          hint="place the Delay before the first or after the last layer")
                return projection
        return replace(projection, ops=cache[key])

    def _bias(self, bias: Bias) -> list[Bias]:
        """Push a constant through what follows. One result for each distinct delay on the way."""
        parts: list[tuple[float, FloatArray]] = [(0.0, np.asarray(bias.value, np.float64))]
        for op in bias.ops:
            if isinstance(op, Delay):
                parts = [(delay + extra, np.where(op.delay.reshape(-1) == extra,
                                                  value.reshape(-1), 0.0).reshape(op.out_shape))
                         for delay, value in parts for extra in np.unique(op.delay).tolist()]
            else:
                parts = [(delay, _apply(op, value)) for delay, value in parts]
        kept = [(delay, value) for delay, value in parts if np.any(value != 0)]
        return [replace(bias, name=bias.name if len(kept) == 1 else f"{bias.name}#{i + 1}",
                        value=value, ops=(_uniform_delay(delay, value),) if delay else ())
                for i, (delay, value) in enumerate(kept)]


def _uniform_delay(delay: float, value: Array) -> Delay:
    return Delay(np.full(value.shape, delay), value.shape, value.shape)


def _apply(op: Transform, value: FloatArray) -> FloatArray:
    if isinstance(op, Reshape):
        return value.reshape(op.out_shape)
    if isinstance(op, Scale):
        return (value.reshape(op.in_shape) * op.factor).reshape(op.out_shape)
    if isinstance(op, Delay):
        raise TypeError("delays are handled by the caller")
    return np.asarray(op.apply(value.reshape(1, *op.in_shape))[0], np.float64)


class _DelayInBetween(Exception):
    pass


class _Chain:
    """Folds operations one by one into delay, linear map, delay."""

    def __init__(self, shape: Shape, limit: int):
        self.source_shape = shape
        self.shape = shape
        self.limit = limit
        self.before: FloatArray | None = None
        self.linear: Linear | None = None
        self.after: FloatArray | None = None

    def add(self, op: Transform) -> None:
        if isinstance(op, Reshape):
            self._reshape(op.out_shape)
        elif isinstance(op, Delay):
            self._delay(op)
        elif isinstance(op, Scale):
            n = n_elements(op.in_shape)
            factor = np.asarray(op.factor, np.float64).reshape(-1)
            self._linear(Sparse(np.arange(n + 1), np.arange(n), factor, op.in_shape,
                                op.out_shape))
        else:
            self._linear(op)

    def finish(self, target: Shape) -> tuple[Transform, ...]:
        self._reshape(target)
        linear = self.linear or identity(self.source_shape)
        if linear.in_shape != self.source_shape or linear.out_shape != target:
            linear = _with_shapes(linear, self.source_shape, target)
        ops: list[Transform] = []
        if self.before is not None and np.any(self.before != 0):
            ops.append(Delay(self.before, self.source_shape, self.source_shape))
        ops.append(linear)
        if self.after is not None and np.any(self.after != 0):
            ops.append(Delay(self.after.reshape(target), target, target))
        return tuple(ops)

    def _reshape(self, shape: Shape) -> None:
        self.shape = shape
        if self.linear is not None:
            self.linear = _with_shapes(self.linear, self.linear.in_shape, shape)

    def _delay(self, op: Delay) -> None:
        delay = np.asarray(op.delay, np.float64).reshape(-1)
        if self.linear is None or is_diagonal(self.linear):
            # Element j still is element j: the delay may as well act on the source.
            self.before = (delay if self.before is None else self.before.reshape(-1) + delay
                           ).reshape(self.source_shape)
        else:
            self.after = delay if self.after is None else self.after + delay
        self.shape = op.out_shape

    def _linear(self, op: Linear) -> None:
        elementwise = is_diagonal(op)  # passes any delay: element j still is element j
        if self.after is not None and not elementwise and np.any(self.after != self.after[0]):
            raise _DelayInBetween
        if self.after is not None and not elementwise:
            uniform = np.full(self.source_shape, self.after[0])
            self.before = uniform if self.before is None else self.before + uniform
            self.after = None
        if self.linear is None:
            self.linear = _with_shapes(op, self.source_shape, op.out_shape)
        else:
            self.linear = compose(self.linear, op, self.limit)
        self.shape = op.out_shape


def _with_shapes(linear: Linear, in_shape: Shape, out_shape: Shape) -> Linear:
    if linear.in_shape == in_shape and linear.out_shape == out_shape:
        return linear
    if isinstance(linear, Conv):
        return linear.with_shapes(in_shape, out_shape)
    if isinstance(linear, Dense):
        return Dense(linear.weight, in_shape, out_shape)
    return Sparse(linear.indptr, linear.indices, linear.values, in_shape, out_shape)
