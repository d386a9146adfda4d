"""The graph of a conversion while its layers are appended, and the table of importers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from neurocompile.frontends.fields import Fields
from neurocompile.frontends.lava_dl.fields import Neuron
from neurocompile.ir.base import Array, IntArray, Shape, n_elements

NEVER = 2.0**100
"""Steps of a time constant that stands for "no decay": 1 - 1 / NEVER is 1 in float64."""


@dataclass
class Chain:
    """The graph so far. ``shape`` is what the last node sends; None before the first layer.

    ``blind``: a layer before was refused, so what arrives is not known.
    """

    dt_s: float
    shape: Shape | None
    blind: bool = False
    keep_average: bool = True
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    layers: list[tuple[str, str, Shape]] = field(default_factory=list)
    last: str = ""
    averaged: int = 0

    def start(self, shape: Shape) -> None:
        self.nodes["input"] = nir.Input({"input": np.array(shape)})
        self.last, self.shape = "input", shape

    def append(self, name: str, node: Any, shape: Shape) -> None:
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.last, self.shape = name, shape


Importer = Callable[[Fields, Chain, str], None]
IMPORTERS: dict[str, Importer] = {}


def imports(kind: str) -> Callable[[Importer], Importer]:
    def add(function: Importer) -> Importer:
        IMPORTERS[kind] = function
        return function
    return add


def incoming(fields: Fields, chain: Chain, first: Shape | None) -> Shape | None:
    """The shape of the signal; ``first`` is that of the network's input if this layer begins it."""
    if not chain.last:
        known = chain.shape if chain.shape is not None else first
        if known is None and chain.blind:
            return None
        if known is None:
            fields.add("E136", "the file does not say the shape of the input",
                       hint="state it with --input-shape C,H,W")
            return None
        chain.start(known)
    return chain.shape


def flat(chain: Chain, name: str, shape: Shape) -> None:
    if len(shape) > 1:
        chain.append(f"{name}_flatten", nir.Flatten(
            {"input": np.array(shape)}, start_dim=0, end_dim=-1), (n_elements(shape),))


def refuse_bias(fields: Fields) -> None:
    if "bias" in fields.raw.fields:
        fields.weights("bias")
        fields.add("E135", "a layer with a bias is not converted: in slayer it acts from the "
                   "layer's own first step, in Lava from the network's",
                   hint="train without a norm that has one")


def delayed(chain: Chain, name: str, steps: IntArray | None) -> None:
    if steps is not None:
        assert chain.shape is not None
        chain.append(name, nir.Delay(steps.astype(np.float64)), chain.shape)


def append_neurons(fields: Fields, chain: Chain, name: str, cell: Neuron, shape: Shape) -> None:
    fields.reserve(7 * 8 * n_elements(shape), "the parameters of the layer's neurons")
    one = np.ones(shape)
    chain.append(name, nir.CubaLIF(
        tau_mem=_time_constant(cell.v_decay, chain.dt_s),
        tau_syn=_time_constant(cell.i_decay, chain.dt_s), r=one, v_leak=0 * one,
        v_threshold=one * cell.threshold, v_reset=0 * one, w_in=one), shape)
    chain.layers.append((name, str(fields.raw.type), shape))


def _time_constant(decay: IntArray, dt_s: float) -> Array:
    """Seconds for which forward Euler loses ``decay`` / 4096 of a state in a step."""
    steps = np.where(decay > 0, 4096.0 / np.maximum(decay, 1), NEVER)
    return np.asarray(dt_s * steps, np.float64)
