"""Each NIR primitive, written with the nir package and read back; convolutions against loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from neurocompile.frontends.nir import load_nir
from neurocompile.frontends.nodes import IMPORTERS
from neurocompile.ir.base import Array
from neurocompile.ir.network import Network, Projection
from neurocompile.ir.transforms import Conv, Delay, Dense, Reshape, Scale

RNG = np.random.default_rng(3)
P = {key: RNG.uniform(0.5, 1.5, 3) for key in
     ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in")}


def _pick(*keys: str) -> dict[str, Array]:
    return {key: P[key] for key in keys}


NEURONS: dict[str, tuple[nir.NIRNode, dict[str, Array]]] = {
    "LIF": (nir.LIF(**_pick("tau", "r", "v_leak", "v_threshold", "v_reset")),
            {"tau_s": P["tau"], **_pick("r", "v_leak", "v_threshold", "v_reset")}),
    "LI": (nir.LI(**_pick("tau", "r", "v_leak")), {"tau_s": P["tau"], **_pick("r", "v_leak")}),
    "CubaLIF": (nir.CubaLIF(**_pick("tau_syn", "tau_mem", "r", "v_leak", "v_threshold",
                                    "v_reset", "w_in")),
                {"tau_mem_s": P["tau_mem"], "tau_syn_s": P["tau_syn"],
                 **_pick("r", "v_leak", "v_threshold", "v_reset", "w_in")}),
    "CubaLI": (nir.CubaLI(**_pick("tau_syn", "tau_mem", "r", "v_leak", "w_in")),
               {"tau_mem_s": P["tau_mem"], "tau_syn_s": P["tau_syn"],
                **_pick("r", "v_leak", "w_in")}),
    "IF": (nir.IF(**_pick("r", "v_threshold", "v_reset")), _pick("r", "v_threshold", "v_reset")),
    "I": (nir.I(r=P["r"]), _pick("r")),
    "Threshold": (nir.Threshold(P["v_threshold"]), {"threshold": P["v_threshold"]}),
}


def _through_file(path: Path, node: nir.NIRNode, shape: tuple[int, ...],
                  out: tuple[int, ...]) -> Network:
    nodes = {"in": nir.Input({"input": np.array(shape)}), "node": node,
             "out": nir.Output({"output": np.array(out)})}
    nir.write(path, nir.NIRGraph(nodes, [("in", "node"), ("node", "out")], type_check=False))
    network, found = load_nir(path)
    assert found == ()
    return network


def _write_raw(path: Path, fields: dict[str, Any], shape: tuple[int, ...],
               out: tuple[int, ...]) -> Path:
    """A file as frameworks write it, without going through the classes of nir."""
    nodes = {"in": {"type": "Input", "shape": np.array(shape)}, "node": fields,
             "out": {"type": "Output", "shape": np.array(out)}}
    with h5py.File(path, "w") as file:
        file["version"], file["node/type"] = "1.0.8", "NIRGraph"
        file["node/edges"] = [(b"in", b"node"), (b"node", b"out")]
        for name, values in nodes.items():
            for key, value in values.items():
                file[f"node/nodes/{name}/{key}"] = value
    return path


def _only(network: Network) -> Projection:
    assert len(network.projections) == 1
    return network.projections[0]


def _same_padding(kernel: int, dilation: int) -> tuple[int, int]:
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def _loop_conv(x: Array, weight: Array, stride: tuple[int, int], pads: tuple[tuple[int, int], ...],
               dilation: tuple[int, int], groups: int) -> Array:
    """Cross-correlation by its definition: one multiplication at a time."""
    x = np.pad(x, ((0, 0), *pads))
    c_out, per_group, k_h, k_w = weight.shape
    size = [(x.shape[1 + i] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1
            for i in (0, 1)]
    y = np.zeros((c_out, *size))
    for o, i, j in np.ndindex(*y.shape):
        first = (o // (c_out // groups)) * per_group
        for c, a, b in np.ndindex(per_group, k_h, k_w):
            y[o, i, j] += weight[o, c, a, b] * x[first + c, i * stride[0] + a * dilation[0],
                                                 j * stride[1] + b * dilation[1]]
    return y


def test_every_primitive_of_nir_has_an_importer() -> None:
    known = set(nir.ir.__all__) - {"NIRNode", "str2NIRNode", "dict2NIRNode", "NIRGraph"}
    assert set(IMPORTERS) == known


@pytest.mark.parametrize("kind", NEURONS)
def test_a_neuron_keeps_each_parameter_of_each_neuron(kind: str, tmp_path: Path) -> None:
    node, expected = NEURONS[kind]
    network = _through_file(tmp_path / "n.nir", node, (3,), (3,))
    model = network.population("node").model
    assert {key: list(getattr(model, key)) for key in expected} == {
        key: list(value) for key, value in expected.items()}
    assert network.outputs[0].population == "node"


def test_affine_and_linear_scale_delay_and_flatten_keep_their_values(tmp_path: Path) -> None:
    weight = RNG.normal(size=(2, 3)).astype(np.float32)
    bias = RNG.normal(size=2)
    network = _through_file(tmp_path / "a.nir", nir.Affine(weight, bias), (3,), (2,))
    op = _only(network).ops[0]
    assert isinstance(op, Dense)
    assert np.array_equal(op.weight, weight)
    assert np.array_equal(network.biases[0].value, bias)
    op = _only(_through_file(tmp_path / "l.nir", nir.Linear(weight), (3,), (2,))).ops[0]
    assert isinstance(op, Dense)
    op = _only(_through_file(tmp_path / "s.nir", nir.Scale(P["r"]), (3,), (3,))).ops[0]
    assert isinstance(op, Scale)
    assert np.array_equal(op.factor, P["r"])
    op = _only(_through_file(tmp_path / "d.nir", nir.Delay(P["tau"]), (3,), (3,))).ops[0]
    assert isinstance(op, Delay)
    assert np.array_equal(op.delay, P["tau"])


@pytest.mark.parametrize(("start", "end", "expected"), [
    (0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (-2, -1, (2, 12)), (1, 1, (2, 3, 4))])
def test_flatten_counts_dimensions_without_a_batch(start: int, end: int,
                                                   expected: tuple[int, ...],
                                                   tmp_path: Path) -> None:
    path = _write_raw(tmp_path / "f.nir", {"type": "Flatten", "start_dim": start, "end_dim": end,
                                           "input_type": [2, 3, 4]}, (2, 3, 4), expected)
    op = _only(load_nir(path)[0]).ops[0]
    assert isinstance(op, Reshape)
    assert (op.in_shape, op.out_shape) == ((2, 3, 4), expected)


CONVOLUTIONS = [  # kernel, stride, padding, dilation, groups
    ((3, 3), (1, 1), (0, 0), (1, 1), 1),
    ((2, 5), (2, 1), (1, 2), (1, 1), 1),
    ((3, 2), (1, 2), (2, 0), (2, 3), 2),
    ((1, 4), (3, 2), (0, 1), (1, 1), 4),
    ((2, 4), (1, 1), "same", (1, 1), 2),
    ((4, 3), (1, 1), b"same", (2, 1), 1),
    ((2, 3), (2, 2), "valid", (1, 2), 2),
    ((3, 3), 2, 1, 1, 1),
]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_conv2d_equals_its_definition(kernel: Any, stride: Any, padding: Any, dilation: Any,
                                      groups: int, declared: bool, tmp_path: Path) -> None:
    weight, bias = RNG.normal(size=(8, 4 // groups, *kernel)), RNG.normal(size=8)
    x = RNG.normal(size=(4, 9, 7))
    strides, dilations = ((v, v) if isinstance(v, int) else v for v in (stride, dilation))
    if padding in ("same", b"same"):
        pads = tuple(_same_padding(k, d) for k, d in zip(kernel, dilations, strict=True))
    else:
        pair = {"valid": (0, 0), 1: (1, 1)}.get(padding, padding)
        pads = tuple((p, p) for p in pair)
    expected = _loop_conv(x, weight, strides, pads, dilations, groups)
    fields = {"type": "Conv2d", "weight": weight, "bias": bias, "stride": stride,
              "padding": padding, "dilation": dilation, "groups": groups}
    path = _write_raw(tmp_path / "c.nir", {**fields, "input_shape": [9, 7]} if declared else fields,
                      (4, 9, 7), expected.shape)
    network, found = load_nir(path)
    op = _only(network).ops[0]
    assert found == ()
    assert isinstance(op, Conv)
    np.testing.assert_allclose(op.apply(x[None])[0], expected, rtol=1e-12, atol=1e-12)
    assert np.array_equal(network.biases[0].value,
                          np.broadcast_to(bias[:, None, None], expected.shape))


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), [
    (1, 0, 1, 1), (2, 3, 2, 2), (1, "same", 1, 1), ([3], [1], [1], 1)])
def test_conv1d_equals_its_definition(stride: Any, padding: Any, dilation: Any, groups: int,
                                      tmp_path: Path) -> None:
    weight, x = RNG.normal(size=(4, 2 // groups, 4)), RNG.normal(size=(2, 11))
    step, dil = (v if isinstance(v, int) else v[0] for v in (stride, dilation))
    if padding == "same":
        pads = _same_padding(4, dil)
    else:
        pads = (padding, padding) if isinstance(padding, int) else (padding[0], padding[0])
    expected = _loop_conv(x[:, None], weight[:, :, None], (1, step), ((0, 0), pads), (1, dil),
                          groups)[:, 0]
    path = _write_raw(tmp_path / "c.nir", {
        "type": "Conv1d", "weight": weight, "bias": np.zeros(4), "stride": stride,
        "padding": padding, "dilation": dilation, "groups": groups, "input_shape": 11},
        x.shape, expected.shape)
    op = _only(load_nir(path)[0]).ops[0]
    assert isinstance(op, Conv)
    assert op.in_chw == (2, 1, 11)
    assert (op.in_shape, op.out_shape) == (x.shape, expected.shape)
    np.testing.assert_allclose(op.apply(x[None])[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [
    (2, 2, 0), ((2, 3), (1, 2), (1, 1)), ((3, 3), (2, 2), 1), ((4, 1), (3, 1), (2, 0))])
@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
def test_pools_equal_their_definition_with_padding_counted(kind: str, kernel: Any, stride: Any,
                                                           padding: Any, tmp_path: Path) -> None:
    x = RNG.normal(size=(3, 8, 7))
    k, s, p = ((v, v) if isinstance(v, int) else v for v in (kernel, stride, padding))
    padded = np.pad(x, ((0, 0), (p[0],) * 2, (p[1],) * 2))
    size = [(padded.shape[1 + i] - k[i]) // s[i] + 1 for i in (0, 1)]
    expected = np.zeros((3, *size))
    for c, i, j in np.ndindex(*expected.shape):
        part = padded[c, i * s[0]:i * s[0] + k[0], j * s[1]:j * s[1] + k[1]]
        expected[c, i, j] = part.sum() / (part.size if kind == "AvgPool2d" else 1)
    path = _write_raw(tmp_path / "p.nir", {"type": kind, "kernel_size": kernel, "stride": stride,
                                           "padding": padding}, x.shape, expected.shape)
    op = _only(load_nir(path)[0]).ops[0]
    assert isinstance(op, Conv)
    assert (op.groups, op.weight.shape) == (3, (3, 1, *k))
    np.testing.assert_allclose(op.apply(x[None])[0], expected, rtol=1e-12, atol=1e-12)


def test_a_file_without_v_reset_and_w_in_gets_zeros_and_ones(tmp_path: Path) -> None:
    fields = {"type": "CubaLIF", **_pick("tau_mem", "tau_syn", "r", "v_leak", "v_threshold")}
    model: Any = load_nir(_write_raw(tmp_path / "o.nir", fields, (3,), (3,)))[0].population(
        "node").model
    assert model.v_reset.tolist() == [0.0] * 3
    assert model.w_in.tolist() == [1.0] * 3


def test_metadata_is_ignored_and_unknown_fields_are_named(tmp_path: Path) -> None:
    path = _write_raw(tmp_path / "m.nir", {"type": "I", "r": P["r"], "metadata/who": "me",
                                           "colour": 3.0}, (3,), (3,))
    assert [str(d) for d in load_nir(path)[1]] == [
        "W105 node: field colour is not part of a I and is ignored"]


def test_big_endian_half_and_integer_weights_are_read(tmp_path: Path) -> None:
    weight = np.array([[1, 2, 3]])
    for dtype, kept in ((">f4", "f4"), ("f2", "f4"), ("i1", "f8"), (">f8", "f8")):
        path = _write_raw(tmp_path / "w.nir", {"type": "Linear", "weight": weight.astype(dtype)},
                          (3,), (1,))
        op = _only(load_nir(path)[0]).ops[0]
        assert isinstance(op, Dense)
        assert (op.weight.dtype, op.weight.tolist()) == (np.dtype(kept), [[1.0, 2.0, 3.0]])
