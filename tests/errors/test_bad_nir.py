"""Bad .nir files: each a diagnostic with a golden text, and never another exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from neurocompile.diagnostics import CompileError
from neurocompile.frontends.codes import CODES
from neurocompile.frontends.nir import ReadLimits, load_nir

Golden = Callable[[str, str], None]
Nodes = dict[str, dict[str, Any]]

ONE = np.ones(2)
LIF = {"type": "LIF", "tau": ONE, "r": ONE, "v_leak": 0 * ONE, "v_threshold": ONE}
SCALE = {"type": "Scale", "scale": ONE}
CHAIN = [("in", "w"), ("w", "n"), ("n", "out")]


def sound() -> Nodes:
    """A network of four nodes that reads without a finding."""
    return {"in": {"type": "Input", "shape": [2]}, "w": {"type": "Linear", "weight": np.eye(2)},
            "n": dict(LIF), "out": {"type": "Output", "shape": [2]}}


def write(path: Path, nodes: Nodes, edges: Any = CHAIN) -> Path:
    with h5py.File(path, "w") as file:
        file["version"], file["node/type"] = "1.0.8", "NIRGraph"
        file.create_group("node/nodes")
        if edges is not None:
            file["node/edges"] = edges
        for name, fields in nodes.items():
            group = file["node/nodes"].create_group(name)
            for key, value in fields.items():
                group[key] = value
    return path


def changed(**nodes: dict[str, Any]) -> Nodes:
    """The sound network with fields of its nodes replaced or nodes added."""
    base = sound()
    return {**base, **{name: {**base.get(name, {}), **fields} for name, fields in nodes.items()}}


def without(node: str, key: str) -> Nodes:
    base = sound()
    del base[node][key]
    return base


def conv(**fields: Any) -> Nodes:
    base = {"type": "Conv2d", "weight": np.ones((4, 1, 3, 3)), "bias": np.zeros(4),
            "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 2,
            "input_shape": [8, 8]}
    return {"in": {"type": "Input", "shape": [2, 8, 8]}, "w": {**base, **fields},
            "out": {"type": "Output", "shape": [4, 6, 6]}}


CONV_EDGES = [("in", "w"), ("w", "out")]


def diamonds(n: int) -> tuple[Nodes, list[tuple[str, str]]]:
    nodes, edges = sound(), [("in", "s0"), (f"s{n}", "n"), ("n", "out")]
    del nodes["w"]
    nodes.update({f"s{i}": SCALE for i in range(n + 1)})
    for i in range(n):
        nodes.update({f"a{i}": SCALE, f"b{i}": SCALE})
        edges += [(f"s{i}", f"a{i}"), (f"s{i}", f"b{i}"), (f"a{i}", f"s{i + 1}"),
                  (f"b{i}", f"s{i + 1}")]
    return nodes, edges




GRAPHS: dict[str, tuple[Nodes, Any]] = {
    "nan_weight": (changed(w={"weight": np.array([[1, np.nan], [0, np.inf]])}), CHAIN),
    "zero_tau": (changed(n={"tau": np.array([1.0, 0.0])}), CHAIN),
    "negative_tau": (changed(n={"tau": np.array([-1.0, -2.0])}), CHAIN),
    "infinite_tau": (changed(n={"tau": np.array([np.inf, 1.0])}), CHAIN),
    "negative_delay": (changed(w={"type": "Delay", "delay": np.array([1.0, -1.0])}), CHAIN),
    "missing_node": (sound(), [*CHAIN, ("nn", "out")]),
    "missing_type": (without("n", "type"), CHAIN),
    "missing_field": (without("n", "r"), CHAIN),
    "unknown_type": (changed(n={"type": "Izhikevich"}), CHAIN),
    "cycle_without_neuron": ({**sound(), "s": SCALE, "d": {"type": "Delay", "delay": ONE}},
                             [*CHAIN, ("w", "s"), ("s", "d"), ("d", "w")]),
    "wrong_shapes_on_edge": (changed(w={"weight": np.ones((3, 2))}), CHAIN),
    "missing_flatten": (conv() | {"n": dict(LIF), "out": {"type": "Output", "shape": [2]}}, CHAIN),
    "control_characters": ({**sound(), "a\x1b[31m\n": dict(LIF)}, CHAIN),
    "huge_input": (changed(**{"in": {"shape": [10**7, 10**7]}}), CHAIN),
    "zero_input": (changed(**{"in": {"shape": [0]}}), CHAIN),
    "duplicate_edge": (sound(), [*CHAIN, CHAIN[0]]),
    "conv_groups": (conv(groups=3), CONV_EDGES),
    "conv_channels": (conv(groups=4), CONV_EDGES),
    "conv_kernel_too_large": (conv(input_shape=[2, 2]) | {
        "in": {"type": "Input", "shape": [2, 2, 2]}}, CONV_EDGES),
    "conv_huge_padding": (conv(padding=[10**9, 10**9], stride=[10**9, 10**9]), CONV_EDGES),
    "conv_bias_shape": (conv(bias=np.ones(3)), CONV_EDGES),
    "conv_same_stride": (conv(padding="same", stride=2), CONV_EDGES),
    "conv_padding_word": (conv(padding="reflect"), CONV_EDGES),
    "pool_huge_kernel": (conv() | {"w": {"type": "SumPool2d", "kernel_size": 10**7,
                                         "stride": 1, "padding": 5 * 10**6}}, CONV_EDGES),
    "path_explosion": diamonds(40),
    "parameter_shapes": (changed(n={"r": np.ones(3)}), CHAIN),
    "text_for_numbers": (changed(n={"r": "one"}), CHAIN),
    "complex_and_bool": (changed(n={"r": ONE * 1j, "v_leak": ONE > 0}), CHAIN),
    "edges_missing": (sound(), None),
    "edges_shape": (sound(), [("in", "w", "n")]),
    "edges_numbers": (sound(), np.ones((3, 2))),
    "edges_not_utf8": (sound(), np.array([[b"in", b"\xff\xfe"]])),
    "output_without_edge": (sound(), CHAIN[:2]),
    "no_input_no_output": ({"n": LIF}, [("n", "n")]),
    "edge_into_input": (sound(), [*CHAIN, ("n", "in")]),
    "flatten_dimensions": (changed(w={"type": "Flatten", "start_dim": 1, "end_dim": 3}), CHAIN),
    "shape_unknown": ({**sound(), "p": {"type": "SumPool2d", "kernel_size": 2, "stride": 2,
                                        "padding": 0}}, [*CHAIN, ("p", "n")]),
    "empty_graph": ({}, []),
    "everything_at_once": (changed(n={"tau": np.array([0.0, 1.0]), "r": np.array([np.nan, 1.0])},
                                   w={"weight": np.ones((3, 5))}, x={"type": "Foo"}),
                           [*CHAIN, ("gone", "n")]),
}


def findings(source: Any, limits: ReadLimits | None = None) -> str:
    with pytest.raises(CompileError) as error:
        load_nir(source, limits=limits or ReadLimits())
    assert all(d.code in CODES for d in error.value.diagnostics)
    return "".join(f"{d}\n" for d in error.value.diagnostics)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_bad_graph_is_explained(name: str, tmp_path: Path, golden: Golden) -> None:
    golden(f"nir_{name}.txt", findings(write(tmp_path / "bad.nir", *GRAPHS[name])))


def test_the_base_of_the_bad_graphs_is_sound(tmp_path: Path) -> None:
    network, found = load_nir(write(tmp_path / "good.nir", sound()))
    assert found == ()
    assert [p.name for p in network.projections] == ["in->n"]


def _truncated(path: Path) -> None:
    whole = write(path, sound()).read_bytes()
    path.write_bytes(whole[:len(whole) // 2])


def _endless_heap(path: Path) -> None:
    whole = bytearray(write(path, sound()).read_bytes())
    heap = whole.find(b"GCOL")
    # The first object: index 0 (free space) of size 0, on which the HDF5 library never ends.
    whole[heap + 16:heap + 32] = bytes(16)
    path.write_bytes(whole)


def _soft_link(path: Path) -> None:
    with h5py.File(write(path, without("n", "r")), "a") as file:
        file["node/nodes/n/r"] = h5py.SoftLink("/node/nodes/n/tau")


def _external_link(path: Path) -> None:
    with h5py.File(write(path, without("n", "r")), "a") as file:
        file["node/nodes/n/r"] = h5py.ExternalLink("other.h5", "/r")


def _external_storage(path: Path) -> None:
    with h5py.File(write(path, without("n", "r")), "a") as file:
        file["node/nodes/n"].create_dataset("r", (2,), "f8", external=[("raw.bin", 0, 16)])


def _virtual_dataset(path: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "r", (2,))
    with h5py.File(write(path, without("n", "r")), "a") as file:
        file["node/nodes/n"].create_virtual_dataset("r", layout)


def _huge_array(path: Path) -> None:
    with h5py.File(write(path, without("w", "weight")), "a") as file:
        file["node/nodes/w"].create_dataset("weight", (10**7, 10**7), "f4", chunks=(100, 100))


def _huge_chunk(path: Path) -> None:
    with h5py.File(write(path, without("w", "weight")), "a") as file:
        data = file["node/nodes/w"].create_dataset(
            "weight", (2, 2), "f8", chunks=(20000, 20000), maxshape=(None, None))
        assert data.chunks == (20000, 20000)


def _never_written(path: Path) -> None:
    with h5py.File(write(path, without("w", "weight")), "a") as file:
        file["node/nodes/w"].create_dataset("weight", (2, 2), "f8", chunks=(2, 2))


def _hard_link_cycle(path: Path) -> None:
    with h5py.File(write(path, sound()), "a") as file:
        file["node/nodes/again"] = file["node"]


def _slash(path: Path) -> None:
    nodes = {"in": nir.Input({"input": np.array([2])}), "layer/n": nir.LIF(ONE, ONE, ONE, ONE),
             "out": nir.Output({"output": np.array([2])})}
    nir.write(path, nir.NIRGraph(nodes, [("in", "layer/n"), ("layer/n", "out")],
                                 type_check=False))


def _single_node(path: Path) -> None:
    nir.write(path, nir.LIF(ONE, ONE, ONE, ONE))


def _not_a_network(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["weights"] = ONE


FILES: dict[str, Callable[[Path], object]] = {
    "truncated_file": _truncated, "endless_heap": _endless_heap, "soft_link": _soft_link,
    "external_link": _external_link,
    "external_storage": _external_storage, "virtual_dataset": _virtual_dataset,
    "huge_array": _huge_array, "never_written": _never_written,
    "hard_link_cycle": _hard_link_cycle, "slash_in_name": _slash, "single_node": _single_node,
    "not_a_network": _not_a_network, "not_hdf5": lambda p: p.write_text("a,b\n1,2\n"),
    "empty_file": lambda p: p.write_bytes(b""), "directory": lambda p: p.mkdir(),
    "missing_file": lambda p: p.with_suffix(".other").touch(),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_explained(name: str, tmp_path: Path, golden: Golden) -> None:
    path = tmp_path / "bad.nir"
    FILES[name](path)
    text = findings(path)
    assert str(tmp_path) not in text
    golden(f"nir_{name}.txt", text)


def test_a_chunk_larger_than_its_array_counts_as_what_it_unpacks_to(tmp_path: Path) -> None:
    _huge_chunk(tmp_path / "c.nir")
    assert "E106 w.weight" in findings(tmp_path / "c.nir", ReadLimits(max_bytes=1 << 20))


def test_slash_names_in_memory_are_refused_as_in_files(golden: Golden) -> None:
    nodes = {"in": nir.Input({"input": np.array([2])}), "a/n": nir.LIF(ONE, ONE, ONE, ONE),
             "out": nir.Output({"output": np.array([2])})}
    golden("nir_slash_in_memory.txt", findings(
        nir.NIRGraph(nodes, [("in", "a/n"), ("a/n", "out")], type_check=False)))


def test_a_graph_within_itself_is_refused(golden: Golden) -> None:
    graph = nir.NIRGraph({"in": nir.Input({"input": np.array([2])})}, [], type_check=False)
    graph.nodes["self"] = graph
    golden("nir_self_containing.txt", findings(graph, ReadLimits(max_depth=4)))


def test_a_subgraph_with_two_inputs_is_ambiguous(golden: Golden) -> None:
    shape = {"input": np.array([2])}
    inner = nir.NIRGraph({"a": nir.Input(shape), "b": nir.Input(shape),
                          "out": nir.Output({"output": np.array([2])})},
                         [("a", "out"), ("b", "out")], type_check=False)
    nodes = {"in": nir.Input(shape), "sub": inner, "out": nir.Output({"output": np.array([2])})}
    golden("nir_two_inner_inputs.txt", findings(
        nir.NIRGraph(nodes, [("in", "sub"), ("sub", "out")], type_check=False)))


def test_a_name_that_flattening_makes_twice_is_refused(golden: Golden) -> None:
    inner = nir.NIRGraph({"n": nir.LIF(ONE, ONE, ONE, ONE)}, [], type_check=False)
    nodes = {"in": nir.Input({"input": np.array([2])}), "s": inner,
             "s.n": nir.LIF(ONE, ONE, ONE, ONE), "out": nir.Output({"output": np.array([2])})}
    golden("nir_name_twice.txt", findings(nir.NIRGraph(
        nodes, [("in", "s"), ("s", "out"), ("in", "s.n")], type_check=False)))


def test_too_many_nodes_stop_the_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "n.nir", sound())
    assert findings(path, ReadLimits(max_nodes=3)).startswith("E106 ")


def test_no_byte_of_a_file_can_cause_another_exception(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    whole = bytearray(write(tmp_path / "good.nir", sound()).read_bytes())
    outcomes = set()
    for _ in range(100):
        damaged = whole.copy()
        for position in rng.integers(0, len(whole), 8):
            damaged[position] = rng.integers(0, 256)
        (tmp_path / "bad.nir").write_bytes(damaged)
        try:
            load_nir(tmp_path / "bad.nir")
            outcomes.add("read")
        except CompileError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
