"""One importer per NIR primitive: from the fields of a node to what it is in the network.

Adding a primitive is one function with ``@imports("Name")``. It reads its parameters through
:class:`Fields`, which records what is wrong with them, and returns an :class:`Imported`. What
depends on the shape of the input (convolutions, parameters given once for a whole population) is
left to ``build``, which runs when that shape is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.frontends.convolution import Window, conv1d, conv2d, pool2d
from neurocompile.frontends.fields import Fields
from neurocompile.frontends.part import Part, Refused
from neurocompile.frontends.raw import Budget, RawNode, shown
from neurocompile.ir.base import Array, FloatArray, Shape, n_elements
from neurocompile.ir.transforms import Delay, Dense, Reshape, Scale, Sparse
from neurocompile.models import IF, LI, LIF, CubaLI, CubaLIF, Integrator, Model, Threshold

Role = Literal["input", "output", "population", "op"]


@dataclass(frozen=True)
class Imported:
    """A node with checked parameters. Declared shapes are None where the file leaves them open.

    ``build`` takes the shape of the input; it raises :class:`Refused` if that does not fit.
    """

    role: Role
    in_shape: Shape | None
    out_shape: Shape | None
    build: Callable[[Shape], Part]


Importer = Callable[[Fields], Imported]
IMPORTERS: dict[str, Importer] = {}


def imports(kind: str) -> Callable[[Importer], Importer]:
    """Registers the importer of a NIR node type."""
    def add(function: Importer) -> Importer:
        if kind in IMPORTERS:
            raise TypeError(f"NIR type {kind} has two importers")
        IMPORTERS[kind] = function
        return function
    return add


def import_node(name: str, raw: RawNode, budget: Budget,
                diagnostics: Diagnostics) -> Imported | None:
    """What the node is, or None if anything is wrong with it (E110..E115, W105 added)."""
    if raw.type is None:
        return None
    if raw.type not in IMPORTERS:
        diagnostics.add("E110", shown(name), "unknown node type", got=shown(raw.type),
                        limit="one of " + ", ".join(sorted([*IMPORTERS, "NIRGraph"])))
        return None
    fields = Fields(name, raw, budget, diagnostics)
    imported = IMPORTERS[raw.type](fields)
    fields.report_unused()
    return None if fields.failed else imported


def _end(fields: Fields, role: Role) -> Imported:
    shape = fields.shape("shape", fields.budget.limits.max_neurons)
    return Imported(role, shape, shape, lambda _: Part(shape))


@imports("Input")
def _input(fields: Fields) -> Imported:
    return _end(fields, "input")


@imports("Output")
def _output(fields: Fields) -> Imported:
    return _end(fields, "output")


def _population(fields: Fields, model: Callable[..., Model],
                parameters: dict[str, FloatArray]) -> Imported:
    """A neuron node. Its parameters share a shape; single values hold for the population."""
    shape = fields.common_shape(parameters)

    def build(in_shape: Shape) -> Part:
        full = {key: fields.spread(value, in_shape) for key, value in parameters.items()}
        return Part(in_shape, model=model(**full))

    return Imported("population", shape, shape, build)


def _spike(fields: Fields) -> dict[str, FloatArray]:
    return {"v_threshold": fields.numbers("v_threshold"),
            # Files written before nir 1.0 have no v_reset: it was zero.
            "v_reset": fields.numbers("v_reset", default=0.0)}


def _leaky(fields: Fields) -> dict[str, FloatArray]:
    return {"tau_s": fields.numbers("tau", above=0.0), "r": fields.numbers("r"),
            "v_leak": fields.numbers("v_leak")}


def _cuba(fields: Fields) -> dict[str, FloatArray]:
    return {"tau_mem_s": fields.numbers("tau_mem", above=0.0),
            "tau_syn_s": fields.numbers("tau_syn", above=0.0), "r": fields.numbers("r"),
            "v_leak": fields.numbers("v_leak"), "w_in": fields.numbers("w_in", default=1.0)}


@imports("LIF")
def _lif(fields: Fields) -> Imported:
    return _population(fields, LIF, {**_leaky(fields), **_spike(fields)})


@imports("LI")
def _li(fields: Fields) -> Imported:
    return _population(fields, LI, _leaky(fields))


@imports("CubaLIF")
def _cuba_lif(fields: Fields) -> Imported:
    return _population(fields, CubaLIF, {**_cuba(fields), **_spike(fields)})


@imports("CubaLI")
def _cuba_li(fields: Fields) -> Imported:
    return _population(fields, CubaLI, _cuba(fields))


@imports("IF")
def _if(fields: Fields) -> Imported:
    return _population(fields, IF, {"r": fields.numbers("r"), **_spike(fields)})


@imports("I")
def _integrator(fields: Fields) -> Imported:
    return _population(fields, Integrator, {"r": fields.numbers("r")})


@imports("Threshold")
def _threshold(fields: Fields) -> Imported:
    return _population(fields, Threshold, {"threshold": fields.numbers("threshold")})


@imports("Scale")
def _scale(fields: Fields) -> Imported:
    factor = fields.numbers("scale")
    shape = fields.common_shape({"scale": factor})
    return Imported("op", shape, shape, lambda s: Part(
        s, op=Scale(fields.spread(factor, s), s, s)))


@imports("Delay")
def _delay(fields: Fields) -> Imported:
    delay = fields.numbers("delay", at_least=0.0)
    shape = fields.common_shape({"delay": delay})
    return Imported("op", shape, shape, lambda s: Part(
        s, op=Delay(fields.spread(delay, s), s, s)))


@imports("Linear")
def _linear(fields: Fields) -> Imported:
    return _matrix(fields, None)


@imports("Affine")
def _affine(fields: Fields) -> Imported:
    return _matrix(fields, fields.weights("bias"))


def _matrix(fields: Fields, bias: Array | None) -> Imported:
    weight = fields.weights("weight")
    if weight.ndim < 2 or not weight.size:
        fields.shape_error("weight", weight.shape, "(..., outputs, inputs), none of them 0")
        return Imported("op", None, None, lambda s: Part(s))
    in_shape = (*weight.shape[:-2], weight.shape[-1])
    out_shape = weight.shape[:-1]
    if bias is not None and bias.shape not in ((), out_shape, out_shape[-1:]):
        fields.shape_error("bias", bias.shape, f"{out_shape} for a weight of {weight.shape}")

    def build(_: Shape) -> Part:
        op: Dense | Sparse
        if weight.ndim == 2:
            op = Dense(weight, in_shape, out_shape)
        else:
            op = _block_diagonal(fields, weight, in_shape, out_shape)
        full = None if bias is None or not np.any(bias) else fields.spread(bias, out_shape)
        return Part(out_shape, op=op, bias=full)

    return Imported("op", in_shape, out_shape, build)


def _block_diagonal(fields: Fields, weight: Array, in_shape: Shape, out_shape: Shape) -> Sparse:
    """Each leading index of the weight is a matrix of its own, for its own part of the signal."""
    n_out, n_in = weight.shape[-2:]
    fields.reserve(16 * weight.size, "the sparse form of the weight")
    block = np.repeat(np.arange(n_elements(weight.shape[:-2])), n_out)
    indices = block[:, None] * n_in + np.arange(n_in)[None, :]
    indptr = np.arange(len(block) + 1) * n_in
    return Sparse(indptr, indices.reshape(-1), weight.reshape(-1), in_shape, out_shape)


@imports("Conv1d")
def _conv1d(fields: Fields) -> Imported:
    weight, bias = _kernel(fields, 3)
    window = _window(fields, weight.shape[2:], 1)
    in_shape = _conv_input(fields, weight, window, 1)
    return Imported("op", in_shape, None, lambda s: conv1d(fields, weight, bias, window, s))


@imports("Conv2d")
def _conv2d(fields: Fields) -> Imported:
    weight, bias = _kernel(fields, 4)
    window = _window(fields, weight.shape[2:], 2)
    in_shape = _conv_input(fields, weight, window, 2)
    return Imported("op", in_shape, None, lambda s: conv2d(fields, weight, bias, window, s))


def _kernel(fields: Fields, ndim: int) -> tuple[Array, Array | None]:
    weight = fields.weights("weight")
    if weight.ndim != ndim or not weight.size:
        letters = ("channels out", "channels in / groups", "height", "width")
        expected = letters if ndim == 4 else (*letters[:2], "length")
        fields.shape_error("weight", weight.shape, f"({', '.join(expected)}), none of them 0")
        weight = np.ones((1,) * ndim)
    bias = fields.weights("bias", default=0.0)
    if bias.shape not in ((), weight.shape[:1]):
        fields.shape_error("bias", bias.shape, f"{weight.shape[:1]} for a weight of {weight.shape}")
    return weight, bias if np.any(bias != 0) else None


def _window(fields: Fields, kernel: Shape, n: int) -> Window:
    groups = fields.integers("groups", 1, minimum=1)[0]
    stride = fields.integers("stride", n, minimum=1)
    dilation = fields.integers("dilation", n, minimum=1)
    padding: tuple[int, ...] | Literal["same", "valid"]
    mode = fields.text("padding")
    if mode == "same":
        padding = "same"
    elif mode == "valid":
        padding = "valid"
    elif mode is None:
        padding = fields.integers("padding", n, minimum=0)
    else:
        fields.add("E114", "padding is neither a number nor one of the known words",
                   got=shown(mode), limit="same or valid")
        padding = "valid"
    if padding == "same" and max(stride) > 1:
        fields.add("E114", "padding 'same' is not defined for a stride above 1",
                   got=f"stride {stride}", hint="state the padding as numbers")
    return Window(kernel, stride, padding, dilation, groups)


def _conv_input(fields: Fields, weight: Array, window: Window, n: int) -> Shape | None:
    if weight.shape[0] % window.groups:
        fields.add("E115", "groups do not divide the output channels",
                   got=f"{weight.shape[0]} channels, {window.groups} groups")
    if "input_shape" not in fields.raw.fields:
        return None
    spatial = fields.integers("input_shape", n, minimum=1, broadcast=False)
    return (weight.shape[1] * window.groups, *spatial)


@imports("SumPool2d")
def _sum_pool(fields: Fields) -> Imported:
    return _pool(fields, average=False)


@imports("AvgPool2d")
def _avg_pool(fields: Fields) -> Imported:
    return _pool(fields, average=True)


def _pool(fields: Fields, average: bool) -> Imported:
    kernel = fields.integers("kernel_size", 2, minimum=1)
    padding = fields.integers("padding", 2, minimum=0)
    window = Window(kernel, fields.integers("stride", 2, minimum=1), padding, (1, 1), 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        fields.add("E114", "a pool may be padded by half its kernel at most",
                   got=f"padding {padding}, kernel {kernel}")
    value = 1.0 / n_elements(kernel) if average else 1.0
    return Imported("op", None, None, lambda s: pool2d(fields, value, window, s))


@imports("Flatten")
def _flatten(fields: Fields) -> Imported:
    start = fields.integers("start_dim", 1)[0]
    end = fields.integers("end_dim", 1)[0]
    declared = "input_type" in fields.raw.fields
    in_shape = fields.shape("input_type", fields.budget.limits.max_neurons) if declared else None

    def build(shape: Shape) -> Part:
        rank = len(shape)
        first, last = (dim + rank if dim < 0 else dim for dim in (start, end))
        if not 0 <= first <= last < rank:
            raise Refused("E122", "the dimensions to flatten do not exist",
                          got=f"start_dim {start}, end_dim {end}", limit=f"shape {shape}")
        middle = n_elements(shape[first:last + 1])
        out_shape = (*shape[:first], middle, *shape[last + 1:])
        return Part(out_shape, op=Reshape(shape, out_shape))

    return Imported("op", in_shape, None, build)
