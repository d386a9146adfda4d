"""The invariants of a :class:`Network`, checked after a front end has built one."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from neurocompile.diagnostics import Diagnostic
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.network import Network, Population
from neurocompile.ir.transforms import Conv, Delay, Dense, Reshape, Scale, Sparse, Transform
from neurocompile.models import Source, Sum

CODE = "E140"


def check_network(network: Network) -> list[Diagnostic]:
    """Every violated invariant, as E140: unique names, existing ends, agreeing shapes, finite
    parameters. Empty for a sound network."""
    found = [*_names(network), *_ports(network)]
    for population in network.populations:
        found += _population(population)
    shapes = {p.name: p.shape for p in network.populations}
    sources = {p.name for p in network.populations if isinstance(p.model, Source)}
    checked: dict[int, list[str]] = {}  # operations are shared: look at each once
    for projection in network.projections:
        if projection.source not in shapes:
            found.append(_bad(projection.name, f"its source {projection.source!r} is missing"))
        found += _chain(projection.name, shapes.get(projection.source), projection.ops,
                        projection.target, shapes, sources, checked)
    for bias in network.biases:
        if not np.isfinite(bias.value).all():
            found.append(_bad(bias.name, "its value is not finite"))
        found += _chain(bias.name, bias.value.shape, bias.ops, bias.target, shapes, sources,
                        checked)
    return found


def _bad(subject: str, message: str) -> Diagnostic:
    return Diagnostic(CODE, subject, message)


def _names(network: Network) -> list[Diagnostic]:
    found = []
    for kind, names in (("populations", [p.name for p in network.populations]),
                        ("projections", [p.name for p in network.projections]),
                        ("biases", [b.name for b in network.biases]),
                        ("inputs", [p.name for p in network.inputs]),
                        ("outputs", [p.name for p in network.outputs])):
        found += [_bad(name, f"{count} {kind} have this name")
                  for name, count in Counter(names).items() if count > 1]
    return found


def _ports(network: Network) -> list[Diagnostic]:
    populations = {p.name: p for p in network.populations}
    found = []
    for port in (*network.inputs, *network.outputs):
        population = populations.get(port.population)
        if population is None:
            found.append(_bad(port.name, f"its population {port.population!r} is missing"))
        elif n_elements(port.shape) != n_elements(population.shape):
            found.append(_bad(port.name, f"shape {port.shape} does not fit its population's "
                                         f"{population.shape}"))
    for port in network.inputs:
        population = populations.get(port.population)
        if population is not None and not isinstance(population.model, Source):
            found.append(_bad(port.name, "an input must be a population of the model Source"))
    return found


def _population(population: Population) -> list[Diagnostic]:
    model = population.model
    if isinstance(model, (Source, Sum)):
        fits = model.n == n_elements(population.shape)
        return [] if fits else [_bad(population.name, f"{model.n} elements do not fit its shape "
                                                      f"{population.shape}")]
    found = []
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if value.shape != population.shape:
            found.append(_bad(population.name, f"{field.name} has shape {value.shape}, the "
                                               f"population {population.shape}"))
        if not np.isfinite(value).all():
            found.append(_bad(population.name, f"{field.name} is not finite"))
    return found


def _chain(name: str, shape: Shape | None, ops: tuple[Transform, ...], target: str,
           shapes: dict[str, Shape], sources: set[str],
           checked: dict[int, list[str]]) -> list[Diagnostic]:
    """Shapes along a projection or bias; None for the start where it is unknown."""
    found = []
    for op in ops:
        if id(op) not in checked:
            checked[id(op)] = _operation(op)
        found += [_bad(name, message) for message in checked[id(op)]]
        if shape is not None and shape != op.in_shape:
            found.append(_bad(name, f"{type(op).__name__} takes {op.in_shape}, not {shape}"))
        shape = op.out_shape
    if target not in shapes:
        found.append(_bad(name, f"its target {target!r} is missing"))
    elif target in sources:
        found.append(_bad(name, f"its target {target!r} is an input"))
    elif shape is not None and shape != shapes[target]:
        found.append(_bad(name, f"it delivers {shape}, its target takes {shapes[target]}"))
    return found


def _operation(op: Transform) -> list[str]:
    kind = type(op).__name__
    found = [f"{kind}.{key} is not finite" for key in ("weight", "factor", "delay")
             if hasattr(op, key) and not np.isfinite(getattr(op, key)).all()]
    n_in, n_out = n_elements(op.in_shape), n_elements(op.out_shape)
    if isinstance(op, Dense) and op.weight.shape != (n_out, n_in):
        found.append(f"Dense.weight {op.weight.shape} does not map {n_in} to {n_out} elements")
    if isinstance(op, Reshape) and n_in != n_out:
        found.append(f"Reshape changes the number of elements from {n_in} to {n_out}")
    if isinstance(op, Scale) and not op.factor.shape == op.in_shape == op.out_shape:
        found.append(f"Scale.factor {op.factor.shape} does not fit {op.in_shape}")
    if isinstance(op, Delay) and not op.delay.shape == op.in_shape == op.out_shape:
        found.append(f"Delay.delay {op.delay.shape} does not fit {op.in_shape}")
    if isinstance(op, Delay) and bool(np.any(op.delay < 0)):
        found.append("Delay.delay is negative")
    if isinstance(op, Sparse):
        found += _sparse(op, n_in, n_out)
    if isinstance(op, Conv):
        found += _conv(op, n_in, n_out)
    return found


def _sparse(op: Sparse, n_in: int, n_out: int) -> list[str]:
    ordered = len(op.indptr) == n_out + 1 and op.indptr[0] == 0 and bool(
        np.all(np.diff(op.indptr) >= 0)) and op.indptr[-1] == len(op.indices) == len(op.values)
    if not ordered:
        return ["Sparse.indptr does not describe its rows"]
    inside = not op.indices.size or (op.indices.min() >= 0 and op.indices.max() < n_in)
    return [] if inside else ["Sparse.indices lie outside the input"]


def _conv(op: Conv, n_in: int, n_out: int) -> list[str]:
    if n_elements(op.in_chw) != n_in or n_elements(op.out_chw) != n_out:
        return ["Conv shapes do not hold the same elements as its ends"]
    weight = op.weight.shape
    if op.groups < 1 or weight[0] != op.out_chw[0] or weight[0] % op.groups or \
            weight[1] * op.groups != op.in_chw[0]:
        return [f"Conv.weight {weight} does not fit {op.in_chw} -> {op.out_chw} in {op.groups} "
                "groups"]
    if min(*op.stride, *op.dilation) < 1 or min(op.padding) < 0:
        return ["Conv has a stride or dilation below 1, or a negative padding"]
    return []


