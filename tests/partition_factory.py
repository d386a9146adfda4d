"""Quantized networks made by hand, for tests of partitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.contract import Contract
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.mapping import Mapping, Slice
from neurocompile.ir.network import Network
from neurocompile.ir.quantized import (
    FixedPoint,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    ScheduledNetwork,
)
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Dense, Linear, Sparse
from neurocompile.targets import load_target


def target_with(name: str = "loihi1", encodings: tuple[str, ...] | None = None,
                **core: int) -> TargetSpec:
    """A shipped target with other core limits (and ``cores``, ``chips``, ``delay_max``)."""
    target = load_target(name)
    chip = {k: core.pop(k) for k in ("cores", "chips") if k in core}
    synapse: dict[str, Any] = {k: core.pop(k) for k in ("delay_max",) if k in core}
    if encodings is not None:
        synapse["encodings"] = encodings
    return replace(target, core=replace(target.core, **core), chip=replace(target.chip, **chip),
                   synapse=replace(target.synapse, **synapse))


def unlimited(**core: int) -> TargetSpec:
    """loihi1 with only the given core limits."""
    none = dict.fromkeys(("neurons", "input_axons", "output_axons", "synapse_memory_bits",
                          "neuron_configurations", "threshold_configurations", "fan_out"), 0)
    return target_with(**{**none, **core})


def source(name: str, shape: Shape | int) -> QuantizedPopulation:
    none = np.zeros(0, np.int64)
    return QuantizedPopulation(
        name=name, shape=_shape(shape), role="source", latency=0, current_decay=none,
        membrane_decay=none, threshold=none, bias_mantissa=none, bias_exponent=none,
        initial_v=none, compare="gt", reset="none", max_spikes=1, scale=np.zeros(0),
        offset=np.zeros(0))


def neurons(name: str, shape: Shape | int, **arrays: Any) -> QuantizedPopulation:
    """Spiking neurons, all alike but for what is given (``threshold=...``, ``reset=...``)."""
    shape = _shape(shape)
    n = n_elements(shape)
    base = QuantizedPopulation(
        name=name, shape=shape, role="spiking", latency=0,
        current_decay=np.full(n, 4095), membrane_decay=np.full(n, 100),
        threshold=np.full(n, 64), bias_mantissa=np.zeros(n, np.int64),
        bias_exponent=np.zeros(n, np.int64), initial_v=np.zeros(n, np.int64), compare="gt",
        reset="zero", max_spikes=1, scale=np.ones(n), offset=np.zeros(n))
    return replace(base, **arrays)


def _shape(shape: Shape | int) -> Shape:
    return (shape,) if isinstance(shape, int) else shape


def project(name: str, start: str, end: str, transform: Linear, *, bits: int = 8,
            source_delay: Any = (0,), target_delay: Any = (0,)) -> QuantizedProjection:
    return QuantizedProjection(
        name=name, source=start, target=end, transform=transform,
        format=FixedPoint(bits, True, 0), sign_mode="mixed",
        source_delay=np.array(source_delay, np.int64),
        target_delay=np.array(target_delay, np.int64))


def network(target: TargetSpec, populations: list[QuantizedPopulation],
            projections: list[QuantizedProjection],
            inputs: tuple[QuantizedInput, ...] = ()) -> QuantizedNetwork:
    floats = Network((), (), (), (), (), ())
    discrete = DiscreteNetwork(floats, Contract(dt_s=1e-3), (), (), (), ())
    scheduled = ScheduledNetwork(discrete, target, (), (), (), {}, {})
    return QuantizedNetwork(scheduled, tuple(populations), tuple(projections), inputs, (), (), ())


def counts_input(name: str, high: int) -> QuantizedInput:
    return QuantizedInput(name, "counts", 1.0, 0, high)


def dense(n_out: int, n_in: int) -> Dense:
    return Dense(np.ones((n_out, n_in), np.int8), (n_in,), (n_out,))


def conv(in_chw: tuple[int, int, int], c_out: int, kernel: tuple[int, int] = (3, 3),
         stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0),
         dilation: tuple[int, int] = (1, 1), groups: int = 1) -> Conv:
    """A convolution with the output size of torch; padding on all sides."""
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(
        in_chw[1:], padding, dilation, kernel, stride, strict=True))
    out_chw = (c_out, out[0], out[1])
    weight = np.ones((c_out, in_chw[0] // groups, *kernel), np.int8)
    return Conv(weight, stride, padding, dilation, groups, in_chw, out_chw, in_chw, out_chw)


def sparse(n_out: int, n_in: int, fan_in: int, rng: np.random.Generator) -> Sparse:
    """Each target reads up to ``fan_in`` distinct random sources."""
    picked = np.sort(rng.integers(0, n_in, (n_out, fan_in)), axis=1)
    keep = np.ones(picked.shape, bool)
    keep[:, 1:] = picked[:, 1:] != picked[:, :-1]
    indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    return Sparse(indptr, picked[keep], np.ones(int(keep.sum()), np.int8), (n_in,), (n_out,))


def with_slices(mapping: Mapping, slices: list[Slice]) -> Mapping:
    return replace(mapping, slices=tuple(slices))
