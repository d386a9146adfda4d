"""Graphs become populations and projections: real files, loops, subgraphs, fan-in and fan-out."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from neurocompile.diagnostics import CompileError
from neurocompile.frontends.nir import load_nir
from neurocompile.ir.check import check_network
from neurocompile.ir.network import Network
from neurocompile.ir.transforms import Conv, Dense, Reshape, Sparse
from neurocompile.models import LIF, CubaLIF, Source, Sum

FILES = {  # name: (populations, projections, recurrent projections, biases, warnings)
    "digits_mlp_lif_snntorch": (3, 2, 0, 2, []),
    "mnist_mlp_lif_snntorch": (3, 2, 0, 2, []),
    "mnist_cnn_lif_snntorch": (4, 3, 0, 2, []),
    "fsdd_rcubalif_snntorch": (3, 3, 1, 3, []),
    "fsdd_delay_lif_torch": (3, 2, 0, 2, []),
    "nir_paper/cnn_sinabs": (6, 5, 0, 0, []),
    "nir_paper/braille_noDelay_bias_zero": (3, 3, 1, 3, []),
    "nir_paper/lif_norse": (2, 1, 0, 0, []),
    "nir_paper/lif_rockpool": (2, 1, 0, 0, ["W101"]),
    "nir_paper/two_lif_neurons": (3, 2, 0, 0, []),
}


def lif(n: int | tuple[int, ...] = 2) -> nir.LIF:
    ones = np.ones(n)
    return nir.LIF(tau=ones, r=ones, v_leak=0 * ones, v_threshold=ones)


def linear(n_out: int = 2, n_in: int = 2, seed: int = 0) -> nir.Linear:
    return nir.Linear(np.random.default_rng(seed).normal(size=(n_out, n_in)))


def affine(n: int = 2, bias: float = 1.0) -> nir.Affine:
    return nir.Affine(np.eye(n), np.full(n, bias))


def ends(n: int = 2) -> dict[str, nir.NIRNode]:
    shape = np.array([n])
    return {"in": nir.Input({"input": shape}), "out": nir.Output({"output": shape})}


def graph(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, edges, type_check=False)


def load(nodes: dict[str, nir.NIRNode], *edges: str) -> tuple[Network, list[str]]:
    """Edges as "a b c": a chain."""
    pairs = [pair for chain in edges for pair in zip(chain.split(), chain.split()[1:],
                                                     strict=False)]
    network, found = load_nir(graph(nodes, pairs))
    return network, [str(d) for d in found]


def connections(network: Network) -> dict[str, tuple[tuple[str, ...], bool]]:
    return {p.name: (p.via, p.recurrent) for p in network.projections}


@pytest.mark.parametrize("name", FILES)
def test_every_readable_file_imports_as_counted(name: str, data_dir: Path) -> None:
    network, found = load_nir(data_dir / f"{name}.nir")
    counts = (len(network.populations), len(network.projections),
              sum(p.recurrent for p in network.projections), len(network.biases),
              [d.code for d in found])
    assert counts == FILES[name]
    assert check_network(network) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_and_the_object_nir_reads_from_it_give_the_same_network(
        name: str, data_dir: Path) -> None:
    path = data_dir / f"{name}.nir"
    from_file, _ = load_nir(path, name="same")
    from_object, _ = load_nir(nir.read(path, type_check=False), name="same")
    for part in ("populations", "projections", "biases", "inputs", "outputs"):
        mine, other = getattr(from_file, part), getattr(from_object, part)
        assert [p.digest() for p in mine] == [p.digest() for p in other]


def test_weights_keep_float32_and_neuron_parameters_become_float64(data_dir: Path) -> None:
    network, _ = load_nir(data_dir / "digits_mlp_lif_snntorch.nir")
    op = network.projections[0].ops[0]
    assert isinstance(op, Dense)
    assert op.weight.dtype == np.float32
    model = network.population("1").model
    assert isinstance(model, LIF)
    assert model.tau_s.dtype == np.float64


def test_provenance_has_no_folder(data_dir: Path) -> None:
    network, _ = load_nir(data_dir / "nir_paper" / "lif_norse.nir")
    assert network.provenance == (("format", "nir"), ("version", "0.1.1"),
                                  ("name", "lif_norse.nir"))


def test_the_cnn_reads_pools_as_depthwise_convolutions(data_dir: Path) -> None:
    network, _ = load_nir(data_dir / "nir_paper" / "cnn_sinabs.nir")
    pool, flatten, dense = next(p for p in network.projections if p.name == "6->10").ops
    assert isinstance(pool, Conv)
    assert (pool.groups, pool.weight.shape, float(pool.weight.max())) == (8, (8, 1, 2, 2), 1.0)
    assert isinstance(flatten, Reshape)
    assert isinstance(dense, Dense)


def test_the_recurrent_affine_of_snntorch_and_its_bias_are_recurrent(data_dir: Path) -> None:
    network, _ = load_nir(data_dir / "fsdd_rcubalif_snntorch.nir")
    assert connections(network)["lif1.lif->lif1.lif"] == (("lif1.w_rec",), True)
    assert {b.name: b.recurrent for b in network.biases} == {
        "fc1.bias->lif1.lif": False, "fc2.bias->lif2": False, "lif1.w_rec.bias->lif1.lif": True}
    assert isinstance(network.population("lif1.lif").model, CubaLIF)


def test_an_edge_to_a_missing_node_names_the_closest_one(data_dir: Path) -> None:
    with pytest.raises(CompileError) as error:
        load_nir(data_dir / "nir_paper" / "braille_noDelay_bias_zero_subgraph.nir")
    assert {d.code for d in error.value.diagnostics} == {"E117"}
    assert "edge lif -> lin in lif1: there is no node 'lif'; did you mean 'lif1'" in str(
        error.value)


def test_a_nested_recurrent_subgraph_is_flattened() -> None:
    inner = graph({"input": nir.Input({"input": np.array([2])}), "lif": lif(),
                   "w": affine(), "output": nir.Output({"output": np.array([2])})},
                  [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")])
    outer = graph({"in": nir.Input({"input": np.array([2])}), "cell": inner,
                   "out": nir.Output({"output": np.array([2])})},
                  [("in", "cell"), ("cell", "out")])
    network, found = load({**ends(), "fc": linear(), "block": outer}, "in fc block out")
    assert found == []
    assert connections(network) == {"in->block.cell.lif": (("fc",), False),
                                    "block.cell.lif->block.cell.lif": (("block.cell.w",), True)}
    assert network.outputs[0].population == "block.cell.lif"
    assert [b.recurrent for b in network.biases] == [True]


def test_a_direct_self_edge_is_a_recurrent_projection_without_operations() -> None:
    network, _ = load({**ends(), "n": lif()}, "in n out", "n n")
    assert {p.name: (p.ops, p.recurrent) for p in network.projections} == {
        "in->n": ((), False), "n->n": ((), True)}


def test_a_loop_over_two_populations_is_late_where_it_leads_back_and_says_so() -> None:
    network, found = load({**ends(), "a": lif(), "b": lif(), "w": linear()},
                          "in a b out", "b w a")
    assert {p.name for p in network.projections if p.recurrent} == {"b->a"}
    assert [d[:4] for d in found] == ["I101"]
    assert found[0].endswith("b->a")


def test_fan_out_shares_operations_and_fan_in_adds_projections() -> None:
    network, _ = load({**ends(), "w": linear(), "a": lif(), "b": lif(), "c": lif()},
                      "in w a c out", "w b c", "in c")
    by_name = {p.name: p for p in network.projections}
    assert sorted(by_name) == ["a->c", "b->c", "in->a", "in->b", "in->c"]
    assert by_name["in->a"].ops[0] is by_name["in->b"].ops[0]


def test_two_paths_between_the_same_populations_are_two_projections() -> None:
    network, _ = load({**ends(), "v": linear(seed=1), "w": linear(seed=2), "a": lif()},
                      "in v a out", "in w a")
    assert connections(network) == {"in->a": (("v",), False), "in->a#2": (("w",), False)}


def test_a_bias_counts_once_however_many_paths_lead_into_its_node() -> None:
    nodes = {**ends(), "v": linear(), "w": linear(), "f": affine(), "s": nir.Scale(np.full(2, 3.)),
             "a": lif()}
    network, _ = load(nodes, "in v f s a out", "in w f")
    assert len(network.projections) == 2
    assert [(b.name, b.via) for b in network.biases] == [("f.bias->a", ("f", "s"))]
    assert np.array_equal(network.biases[0].value, [1.0, 1.0])


def test_a_bias_of_zeros_is_dropped() -> None:
    network, _ = load({**ends(), "f": affine(bias=0.0), "a": lif()}, "in f a out")
    assert network.biases == ()


def test_a_bias_fed_by_a_recurrent_and_a_forward_connection_is_not_recurrent() -> None:
    network, _ = load({**ends(), "f": affine(), "a": lif()}, "in f a out", "a f")
    assert [b.recurrent for b in network.biases] == [False]


def test_an_output_of_a_linear_layer_or_an_input_is_a_sum() -> None:
    network, _ = load({**ends(), "f": affine()}, "in f out", "in out")
    model = network.population("out.sum").model
    assert isinstance(model, Sum)
    assert model.n == 2
    assert (network.outputs[0].name, network.outputs[0].population) == ("out", "out.sum")
    assert [b.target for b in network.biases] == ["out.sum"]


def test_several_inputs_and_outputs_are_sorted_by_name() -> None:
    shape = {"input": np.array([2])}
    nodes = {"z": nir.Input(shape), "b": nir.Input(shape), "n": lif(),
             "y": nir.Output({"output": np.array([2])}), "c": nir.Output({"output": np.array([2])})}
    network, _ = load(nodes, "z n y", "b n c")
    assert [p.name for p in network.inputs] == ["b", "z"]
    assert [(p.name, p.population) for p in network.outputs] == [("c", "n"), ("y", "n")]
    assert isinstance(network.population("b").model, Source)


def test_open_ends_get_an_input_and_an_output_with_a_warning() -> None:
    network, found = load({"f": affine(), "n": lif()}, "f n")
    assert [p.name for p in network.inputs] == ["input_f"]
    assert [p.name for p in network.outputs] == ["output_n"]
    assert [d[:4] for d in found] == ["W102", "W103"]


def test_unconnected_nodes_are_dropped_with_a_warning() -> None:
    network, found = load({**ends(), "n": lif(), "lonely": lif()}, "in n out")
    assert "lonely" not in {p.name for p in network.populations}
    assert [d[:11] for d in found] == ["W104 lonely"]


def test_a_subgraph_without_ends_is_joined_at_its_open_nodes() -> None:
    network, found = load({**ends(), "s": graph({"f": affine(), "n": lif()}, [("f", "n")])},
                          "in s out")
    assert connections(network) == {"in->s.n": (("s.f",), False)}
    assert [d[:4] for d in found] == ["W106", "W106"]


def test_the_network_does_not_depend_on_the_order_of_nodes_and_edges() -> None:
    nodes = {**ends(), "v": linear(seed=1), "w": affine(), "a": lif(), "b": lif()}
    edges = [("in", "v"), ("v", "a"), ("in", "w"), ("w", "a"), ("a", "b"), ("b", "w"),
             ("b", "out")]
    first, _ = load_nir(graph(nodes, edges))
    second, _ = load_nir(graph(dict(reversed(nodes.items())), edges[::-1]))
    assert first.digest() == second.digest()


def test_parameters_given_once_hold_for_the_inferred_shape() -> None:
    one = np.array(0.5)
    nodes = {**ends(), "n": nir.LIF(tau=one, r=one, v_leak=one, v_threshold=one)}
    network, _ = load(nodes, "in n out")
    model = network.population("n").model
    assert isinstance(model, LIF)
    assert np.array_equal(model.tau_s, [0.5, 0.5])
    assert np.array_equal(model.v_reset, [0.0, 0.0])


def test_a_weight_with_leading_axes_is_block_diagonal() -> None:
    weight = np.arange(12.0).reshape(2, 3, 2)
    nodes = {"in": nir.Input({"input": np.array([2, 2])}), "f": nir.Linear(weight),
             "n": lif((2, 3)), "out": nir.Output({"output": np.array([2, 3])})}
    network, _ = load(nodes, "in f n out")
    op = network.projections[0].ops[0]
    assert isinstance(op, Sparse)
    x = np.random.default_rng(0).normal(size=(4, 2, 2))
    assert np.allclose(op.apply(x), np.einsum("boi,nbi->nbo", weight, x))


def test_loading_changes_neither_the_graph_nor_follows_later_changes() -> None:
    weight = np.eye(2)
    source = graph({**ends(), "f": nir.Linear(weight), "n": lif()},
                   [("in", "f"), ("f", "n"), ("n", "out")])
    network, _ = load_nir(source)
    before = network.digest()
    weight[:] = 7.0
    assert network.digest() == before
    assert sorted(source.nodes) == ["f", "in", "n", "out"]
