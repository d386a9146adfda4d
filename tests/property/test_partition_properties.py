"""Partitions of random networks for random limits: valid by recount, or refused with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from partition_factory import (
    conv,
    counts_input,
    dense,
    network,
    neurons,
    project,
    source,
    sparse,
    target_with,
)

from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import n_elements
from neurocompile.ir.constraints import METHODS, Constraints, Fault, MeshTile
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Conv, to_sparse
from neurocompile.passes.footprint import Block, Footprint, index_bits, packed_bits
from neurocompile.passes.partition import Partition, core_lower_bound
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio
from neurocompile.passes.portfolio.hypergraph import hypergraph
from neurocompile.passes.portfolio.search import mapping_of
from neurocompile.passes.portfolio.state import add, empty_state, load, remove
from neurocompile.passes.portfolio.subset import ConvSubsets
from neurocompile.verification.hop_bound import hop_bound
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import total_hops
from neurocompile.verification.traffic import message_bound, traffic

ENCODINGS = (("dense",), ("sparse",), ("dense", "sparse"), ("dense", "sparse", "conv"))


def pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    groups = draw(st.integers(1, 3))
    kernel, dilation = draw(pair(1, 3)), draw(pair(1, 2))
    size = draw(pair(5, 9))
    return conv((groups * draw(st.integers(1, 2)), *size), groups * draw(st.integers(1, 3)),
                kernel, draw(pair(1, 3)), draw(pair(0, 3)), dilation, groups)


@st.composite
def networks(draw: st.DrawFn) -> QuantizedNetwork:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    limits = {name: draw(st.sampled_from([0, *choices])) for name, choices in {
        "neurons": (7, 60), "input_axons": (150, 1000), "output_axons": (40, 1000),
        "synapse_memory_bits": (20_000, 200_000), "neuron_configurations": (1, 3),
        "threshold_configurations": (1, 3), "fan_out": (200,)}.items()}
    target = target_with(encodings=draw(st.sampled_from(ENCODINGS)), **limits,
                         axon_slots_per_connection=draw(st.sampled_from([1, 2])),
                         synapse_word_bits=draw(st.sampled_from([1, 64])))
    layer = draw(convs())

    def alike(name: str, shape: Any) -> Any:
        n = n_elements(shape)
        return neurons(name, shape, membrane_decay=rng.integers(0, draw(st.integers(1, 5)), n),
                       threshold=rng.integers(1, 1 + draw(st.integers(1, 5)), n),
                       reset=draw(st.sampled_from(["zero", "subtract"])))

    n_conv, n_out = n_elements(layer.out_chw), draw(st.integers(1, 90))
    delay = rng.integers(0, draw(st.integers(1, 40)), n_conv)
    return network(
        target, [source("in", layer.in_chw), alike("c", layer.out_chw), alike("o", (n_out,))],
        [project("in-c", "in", "c", layer, bits=draw(st.integers(1, 8))),
         project("c-o", "c", "o", sparse(n_out, n_conv, 5, rng), source_delay=delay),
         project("o-o", "o", "o", dense(n_out, n_out), target_delay=[1]),
         project("o-c", "o", "c", sparse(n_conv, n_out, 3, rng))],
        (counts_input("in", draw(st.integers(0, 3))),))


@given(networks())
def test_a_partition_is_right_by_recount_or_refused_with_a_reason(
        quantized: QuantizedNetwork) -> None:
    try:
        mapping = Partition().run(quantized)
    except CompileError as error:
        reasons = {d.code for d in error.diagnostics if d.is_error}  # not notes
        assert reasons <= {"E520", "E521", "E522", "E523", "E525"}
        return
    assert check_mapping(mapping) == []
    assert mapping.n_cores >= core_lower_bound(quantized)
    assert all(np.all(np.diff(s.neurons) == 1) for s in mapping.slices)
    assert Partition().run(quantized).digest() == mapping.digest()


@given(networks(), st.integers(0, 3))
def test_a_portfolio_is_legal_and_never_worse_than_sequential_blocks(
        quantized: QuantizedNetwork, seed: int) -> None:
    try:
        blocks = Partition().run(quantized)
    except CompileError:
        return
    mapping = Portfolio(seed=seed).run(quantized)
    assert check_mapping(mapping) == []
    assert core_lower_bound(quantized) <= mapping.n_cores <= blocks.n_cores
    assert message_bound(quantized) <= traffic(mapping).messages
    assert Portfolio(seed=seed).run(quantized).digest() == mapping.digest()


@st.composite
def constraints(draw: st.DrawFn) -> Constraints:
    """Of networks with populations c and o on a target of several chips of 8 x 4 tiles."""
    some, number = st.booleans(), st.integers(0, 4)
    lists = st.lists(number, min_size=1, max_size=3, unique=True).map(tuple)
    cores = {name: draw(lists) for name in ("c", "o") if draw(some)}
    tiles = st.builds(MeshTile, st.integers(0, 1), st.integers(0, 1), st.integers(0, 1))
    pinned = sorted({n for numbers in cores.values() for n in numbers})
    where = {n: draw(tiles) for n in pinned if draw(some)}
    faults = draw(st.lists(tiles, max_size=3, unique_by=lambda t: (t.chip, t.x, t.y)))
    # A population with a chip has no core that is pinned to a tile: the reader refuses others.
    chips = {name: draw(st.integers(0, 1)) for name in ("c", "o")
             if name not in cores and draw(st.integers(0, 3)) == 0}
    weights = draw(st.sampled_from([{}, {}, {"hops": 1.0}, {"cores": 9.0, "operations": 1.0}]))
    return Constraints(
        draw(st.sampled_from([None, None, 20])), draw(some), cores, weights,
        tuple(Fault(tile, draw(st.sampled_from([None, 1, 3]))) for tile in faults), where, chips,
        draw(st.sampled_from([(), (), ("blocks", "metis"), ("mtkahypar",), METHODS])))


@given(networks(), constraints())
def test_constraints_are_kept_or_refused_with_a_reason(
        quantized: QuantizedNetwork, wanted: Constraints) -> None:
    try:
        mapping = Place().run(Portfolio(constraints=wanted).run(quantized))
    except CompileError as error:
        reasons = {d.code for d in error.diagnostics if d.is_error}  # not notes
        assert reasons <= {"E520", "E521", "E522", "E523", "E525", "E546", "E547", "E549"}
        return
    assert check_mapping(mapping) == []
    assert mapping.constraints == wanted
    place, layout = mapping.placement, quantized.target.chip
    assert place is not None
    between = traffic(mapping).between
    assert total_hops(between, place, layout) >= hop_bound(between, layout, wanted) - 1e-6


@given(networks(), st.integers(0, 2**32), st.integers(1, 6))
def test_state_counts_like_the_recount(
        quantized: QuantizedNetwork, seed: int, n_cores: int) -> None:
    rng = np.random.default_rng(seed)
    graph = hypergraph(quantized, {}, 0)
    home = rng.integers(0, n_cores, len(graph.population))
    mapping = mapping_of(quantized, graph, home)
    wrong = [d for d in check_mapping(mapping) if d.code not in ("E524", "E533")]
    assert wrong == []
    # Moving neurons away and back leaves every count as it was.
    state = empty_state(graph, n_cores + 1)
    load(graph, state, home)
    before = [np.array(part) for part in state]
    for vertex in rng.integers(0, len(home), 20):
        remove(graph, state, vertex)
        add(graph, state, vertex, n_cores)
        remove(graph, state, vertex)
        add(graph, state, vertex, home[vertex])
    assert all(np.array_equal(a, b) for a, b in zip(before, state, strict=True))


@given(convs(), st.sampled_from(ENCODINGS), st.data())
def test_any_set_of_a_convolution_counts_like_its_unfolded_synapses(
        layer: Conv, encodings: tuple[str, ...], data: st.DataObject) -> None:
    n = n_elements(layer.out_chw)
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    quantized = network(target_with(encodings=encodings),
                        [source("in", layer.in_chw), neurons("p", layer.out_chw)],
                        [project("w", "in", "p", layer)])
    print_ = Footprint(quantized.projections[0], quantized)
    axons, bits = ConvSubsets(print_).demand(chosen)
    flat = to_sparse(layer)
    read = np.concatenate([flat.indices[flat.indptr[i]:flat.indptr[i + 1]] for i in chosen])
    sources, counts = np.unique(read, return_counts=True)
    assert axons == len(sources)
    if print_.encoding != "conv":
        index = index_bits(len(chosen)) if print_.encoding == "sparse" else 0
        sizes = counts if print_.encoding == "sparse" else np.full(len(counts), len(chosen))
        assert bits == packed_bits(sizes, print_.synapse_bits + index, print_.core).sum()
    reached = ConvSubsets(print_).destinations([chosen])
    assert np.flatnonzero(reached).tolist() == sources.tolist()


@given(convs(), st.sampled_from(ENCODINGS), st.data())
def test_a_convolution_counts_like_its_unfolded_synapses(
        layer: Conv, encodings: tuple[str, ...], data: st.DataObject) -> None:
    n = n_elements(layer.out_chw)
    start = data.draw(st.integers(0, n - 1))
    block = Block(start, data.draw(st.integers(start + 1, n)))
    unfolded = to_sparse(layer)
    prints = []
    for transform in (layer, unfolded):
        quantized = network(target_with(encodings=encodings),
                            [source("in", layer.in_chw), neurons("p", layer.out_chw)],
                            [project("w", "in", "p", transform)])
        prints.append(Footprint(quantized.projections[0], quantized))
    kept, flat = prints
    axons, bits = kept.demand(block)
    assert axons == flat.demand(block)[0]
    if kept.encoding == flat.encoding:
        assert bits == flat.demand(block)[1]
    n_in = n_elements(layer.in_chw)
    assert kept.lone_axons().tolist() == flat.lone_axons().tolist()
    assert kept.fan_out(n_in).tolist() == flat.fan_out(n_in).tolist()
    parts = [Block(a, b) for a, b in ((0, start), (start, n)) if a < b]
    assert kept.destinations(parts, n_in).tolist() == flat.destinations(parts, n_in).tolist()


@given(networks(), st.data())
def test_what_a_block_needs_never_shrinks_as_it_grows(
        quantized: QuantizedNetwork, data: st.DataObject) -> None:
    projection = data.draw(st.sampled_from(quantized.projections))
    n = quantized.population(projection.target).n
    start = data.draw(st.integers(0, n - 1))
    small = data.draw(st.integers(start + 1, n))
    large = data.draw(st.integers(small, n))
    cost = Footprint(projection, quantized)
    less, more = cost.demand(Block(start, small)), cost.demand(Block(start, large))
    assert less[0] <= more[0]
    assert less[1] <= more[1]
