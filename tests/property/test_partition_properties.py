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
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Conv, to_sparse
from neurocompile.passes.footprint import Block, Footprint
from neurocompile.passes.partition import Partition, core_lower_bound
from neurocompile.verification.mapping import check_mapping

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
        reasons = {d.code for d in error.diagnostics}
        assert reasons <= {"E520", "E521", "E522", "E523", "E525"}
        return
    assert check_mapping(mapping) == []
    assert mapping.n_cores >= core_lower_bound(quantized)
    assert all(np.all(np.diff(s.neurons) == 1) for s in mapping.slices)
    assert Partition().run(quantized).digest() == mapping.digest()


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
