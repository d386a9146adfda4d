"""The portfolio of partitions: better than sequential blocks, and never against a limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from partition_factory import (
    conv,
    dense,
    network,
    neurons,
    project,
    source,
    sparse,
    target_with,
    unlimited,
)

from neurocompile.diagnostics import CompileError
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Sparse
from neurocompile.passes.cores import ChipNetwork
from neurocompile.passes.least import most_together, targets_of
from neurocompile.passes.partition import Partition, core_lower_bound
from neurocompile.passes.portfolio import Portfolio, choose, cuts, search
from neurocompile.passes.portfolio.choose import tiled_mapping
from neurocompile.passes.portfolio.hypergraph import hypergraph
from neurocompile.passes.portfolio.tiles import tiled
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.traffic import message_bound, traffic

RNG = np.random.default_rng


def clusters(target: TargetSpec, n_clusters: int, size: int, seed: int) -> QuantizedNetwork:
    """Neurons that read 8 others of their own cluster; ids shuffled."""
    rng = RNG(seed)
    n = n_clusters * size
    order = rng.permutation(n)
    reader = np.repeat(np.arange(n), 8)
    origin = reader // size * size + rng.integers(0, size, len(reader))
    keys = np.unique(order[reader] * n + order[origin])
    indptr = np.concatenate([[0], np.cumsum(np.bincount(keys // n, minlength=n))])
    synapses = Sparse(indptr, keys % n, np.ones(len(keys), np.int8), (n,), (n,))
    return network(target, [neurons("p", n)], [project("w", "p", "p", synapses)])


def convolutional(target: TargetSpec) -> QuantizedNetwork:
    first, second = conv((2, 18, 18), 8), conv((8, 16, 16), 4, stride=(2, 2))
    n = 4 * second.out_chw[1] * second.out_chw[2]
    return network(
        target, [source("in", (2, 18, 18)), neurons("a", first.out_chw),
                 neurons("b", second.out_chw), neurons("c", 10)],
        [project("in-a", "in", "a", first), project("a-b", "a", "b", second),
         project("b-c", "b", "c", dense(10, n))])


def test_planted_clusters_are_found() -> None:
    quantized = clusters(unlimited(neurons=100, input_axons=150), 6, 100, 1)
    mapping = Portfolio().run(quantized)
    assert check_mapping(mapping) == []
    assert mapping.n_cores == 6
    assert traffic(mapping).messages == 0
    assert Partition().run(quantized).n_cores > 12


@pytest.mark.parametrize("method", ["growth", "metis", "mtkahypar"])
def test_each_search_gives_a_legal_mapping(method: str) -> None:
    quantized = clusters(target_with(neurons=60, input_axons=200, output_axons=200,
                                     synapse_memory_bits=20_000), 5, 80, 2)
    graph = hypergraph(quantized, {}, 60)
    nowhere = np.full(len(graph.population), -1)
    if method == "growth":
        home, _ = search.grown(graph, nowhere, 60, 0)
    else:
        pytest.importorskip({"metis": "pymetis"}.get(method, method))
        cut = getattr(cuts, method)(graph, nowhere, 0)
        home = search.by_parts(graph, nowhere, cut, core_lower_bound(quantized), 60, 0)
    assert home is not None
    assert check_mapping(search.mapping_of(quantized, graph, home)) == []


def test_tiles_of_a_convolution_share_more_axons_than_blocks() -> None:
    quantized = convolutional(target_with(synapse_memory_bits=100_000))
    cores = tiled(ChipNetwork(quantized), 1000)
    assert cores is not None
    mapping, blocks = tiled_mapping(quantized, cores), Partition().run(quantized)
    assert check_mapping(mapping) == []
    assert mapping.n_cores < blocks.n_cores
    assert traffic(mapping).messages < traffic(blocks).messages
    assert all(len({tile.population for tile in core.tiles}) == len(core.tiles) for core in cores)


def test_kernels_of_tiles_are_counted_once_a_core() -> None:
    quantized = convolutional(target_with("generic", neurons=300))
    cores = tiled(ChipNetwork(quantized), 1000)
    assert cores is not None
    assert check_mapping(tiled_mapping(quantized, cores)) == []


def test_the_order_of_ids_does_not_matter() -> None:
    target = unlimited(neurons=100, input_axons=150, output_axons=220)
    found = [Portfolio().run(clusters(target, 6, 100, seed)).n_cores for seed in range(4)]
    assert max(found) <= 1.1 * min(found)


def test_the_same_seed_gives_the_same_mapping() -> None:
    quantized = clusters(target_with(neurons=60, input_axons=100), 4, 80, 3)
    assert len({Portfolio(seed=5).run(quantized).digest() for _ in range(2)}) == 1


def test_a_network_too_large_to_unfold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "MOST_SYNAPSES", 10)
    quantized = clusters(target_with(neurons=60), 2, 80, 3)
    mapping, notes = Portfolio().run_with_notes(quantized)
    assert [d.code for d in notes] == ["I528"]
    assert check_mapping(mapping) == []


def test_without_pymetis_the_rest_is_tried_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "has_metis", lambda: False)
    mapping, notes = Portfolio().run_with_notes(clusters(target_with(neurons=60), 2, 80, 3))
    assert "pymetis is not installed" in str(notes[0])
    assert check_mapping(mapping) == []


def test_what_no_partition_can_do_is_refused_as_before() -> None:
    quantized = clusters(unlimited(input_axons=3), 2, 80, 3)
    with pytest.raises(CompileError, match="E520"):
        Portfolio().run(quantized)
    with pytest.raises(CompileError, match="E526"):
        Portfolio(neurons_per_core=0).run(quantized)


def test_rates_weight_the_messages() -> None:
    quantized = clusters(unlimited(neurons=100), 3, 100, 1)
    mapping = Partition().run(quantized)
    rates: dict[str, Any] = {"p": np.full(300, 0.25)}
    assert traffic(mapping, rates).messages == 0.25 * traffic(mapping).messages


def test_messages_count_the_other_cores_a_spike_reaches() -> None:
    quantized = network(unlimited(neurons=10), [source("in", 3), neurons("p", 25),
                                                neurons("q", 10)],
                        [project("a", "in", "p", dense(25, 3)),
                         project("b", "p", "q", dense(10, 25)),
                         project("c", "p", "p", sparse(25, 25, 1, RNG(0)))])
    mapping = Partition().run(quantized)
    measured = traffic(mapping)
    home = np.arange(25) // 10
    row, column = np.repeat(np.arange(25), 1), quantized.projections[2].transform.indices
    pairs = {(int(s), int(home[t])) for t, s in zip(row, column, strict=True)}
    expected = sum(home[s] != t for s, t in pairs) + sum(
        mapping.slices[-1].core != home[i] for i in range(25))
    assert measured.messages == expected
    assert measured.from_host.sum() == 3 * 3
    assert measured.operations.sum() == 75 + 250 + 25
    assert message_bound(quantized) <= measured.messages


def test_bounds_know_how_many_cores_the_targets_of_a_neuron_fill() -> None:
    # 10 axons of 64 + 46 synapses of 8 bits take 10 * (576 + 384) bits; one synapse more, 10,240.
    target = unlimited(synapse_memory_bits=10_000, output_axons=15)
    quantized = network(target, [source("in", 1), neurons("a", 10), neurons("b", 200)],
                        [project("in-a", "in", "a", dense(10, 1)),
                         project("a-b", "a", "b", dense(200, 10))])
    b = ChipNetwork(quantized).populations["b"]
    assert most_together(b, target.core) == 110
    assert message_bound(quantized) == 10 * (2 - 1)
    assert message_bound(quantized, {"a": np.full(10, 0.5)}) == 5
    assert core_lower_bound(quantized) == 2  # 20 output axons, or the memory of b
    single = replace(target, core=replace(target.core, output_axons=4))
    assert core_lower_bound(network(single, list(quantized.populations),
                                    list(quantized.projections))) == 5
    mapping = Portfolio().run(quantized)
    assert traffic(mapping).messages >= 10


def test_sparse_targets_are_bounded_by_those_with_the_fewest_synapses() -> None:
    # Neuron i reads i + 1 sources, 8 + 6 bits a synapse and 10 bits for up to 64 of them: at the
    # least 64 * 14 + 10 = 906 bits, 960 in whole words, for 64.
    n = 40
    counts = np.arange(1, n + 1)
    synapses = Sparse(np.concatenate([[0], np.cumsum(counts)]),
                      np.concatenate([np.arange(k) for k in counts]),
                      np.ones(int(counts.sum()), np.int8), (n,), (n,))
    target = unlimited(synapse_memory_bits=1000)
    quantized = network(target, [neurons("p", n)], [project("w", "p", "p", synapses)])
    least = 8 + 6 + 1  # bits a synapse where entries are full: 960 / 64
    expected = max(k for k in range(1, n + 1) if k * (k + 1) / 2 * least <= 1000)
    assert most_together(ChipNetwork(quantized).populations["p"], target.core) == expected
    doubled = replace(synapses, indices=np.zeros_like(synapses.indices))
    print_ = ChipNetwork(network(target, [neurons("p", n)], [
        project("w", "p", "p", doubled)])).footprints[0]
    assert targets_of(print_, n).tolist() == [n] + [0] * (n - 1)
