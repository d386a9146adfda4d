"""The partition into cores: every limit is honoured, and what cannot be is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
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
    unlimited,
    with_slices,
)

from neurocompile.diagnostics import CompileError, Diagnostic
from neurocompile.ir.mapping import Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.passes.footprint import index_bits, packed_bits
from neurocompile.passes.partition import Partition, core_lower_bound
from neurocompile.verification.mapping import check_mapping

RNG = np.random.default_rng


def mlp(target: TargetSpec, *sizes: int) -> QuantizedNetwork:
    populations = [source("in", sizes[0])]
    projections = []
    for i, (n_in, n) in enumerate(pairwise(sizes)):
        populations.append(neurons(f"p{i}", n))
        projections.append(project(f"w{i}", populations[-2].name, f"p{i}", dense(n, n_in)))
    return network(target, populations, projections)


def refused(quantized: QuantizedNetwork) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        Partition().run(quantized)
    return caught.value.diagnostics


def blocks(mapping: Mapping, population: str) -> list[int]:
    return [len(s.neurons) for s in mapping.slices if s.population == population]


def test_blocks_are_sequential_and_cover_each_population_once() -> None:
    mapping = Partition().run(mlp(unlimited(neurons=100), 10, 250, 30))
    of_p0 = [s for s in mapping.slices if s.population == "p0"]
    assert np.concatenate([s.neurons for s in of_p0]).tolist() == list(range(250))
    assert blocks(mapping, "p0") == [100, 100, 50]
    assert check_mapping(mapping) == []


def test_a_small_population_shares_a_core_that_has_room() -> None:
    mapping = Partition().run(mlp(unlimited(neurons=100), 10, 250, 30))
    assert mapping.n_cores == 3
    assert [u.neurons for u in mapping.use] == [100, 100, 80]


def test_sources_live_on_no_core_but_take_input_axons() -> None:
    mapping = Partition().run(mlp(unlimited(), 10, 5))
    assert [s.population for s in mapping.slices] == ["p0"]
    assert mapping.use[0].input_axons == 10
    assert mapping.use[0].output_axons == 0


def test_neurons_per_core_lowers_the_limit() -> None:
    mapping = Partition(neurons_per_core=7).run(mlp(target_with(), 4, 20))
    assert blocks(mapping, "p0") == [7, 7, 6]
    with pytest.raises(CompileError, match="E526"):
        Partition(neurons_per_core=0).run(mlp(target_with(), 4, 20))


def test_counts_input_takes_as_many_axons_as_spikes_may_come() -> None:
    quantized = mlp(unlimited(), 10, 5)
    counted = replace(quantized, inputs=(counts_input("in", 3),))
    assert Partition().run(counted).use[0].input_axons == 30
    memory = Partition().run(quantized).use[0].synapse_memory_bits
    assert Partition().run(counted).use[0].synapse_memory_bits == memory  # one shared list


def test_dense_synapses_are_packed_as_nengo_loihi_packs_them() -> None:
    # 100 synapses of 8 bits: 64 * 8 + 10 = 522 -> 576 bits, 36 * 8 + 10 = 298 -> 320 bits.
    mapping = Partition().run(mlp(unlimited(), 3, 100))
    assert mapping.use[0].synapse_memory_bits == 3 * (576 + 320)


def test_sparse_synapses_carry_an_index_and_a_delay() -> None:
    rng = RNG(0)
    quantized = network(unlimited(), [source("in", 1), neurons("p", 100)],
                        [project("w", "in", "p", sparse(100, 1, 1, rng), source_delay=[5])])
    # weight 8 + delay 3 + index 7 = 18 bits: 64 * 18 + 10 = 1162 -> 1216, 36 * 18 + 10 -> 704.
    assert Partition().run(quantized).use[0].synapse_memory_bits == 1216 + 704


def test_index_is_absent_for_one_neuron_and_else_has_6_bits_or_more() -> None:
    sizes = (1, 2, 64, 65, 1024, 1025, 4096)
    assert [index_bits(n) for n in sizes] == [0, 6, 6, 7, 10, 11, 12]


def test_no_synapses_take_no_memory() -> None:
    core = target_with().core
    assert packed_bits(np.array([0, 1, 64, 65]), 8, core).tolist() == [0, 64, 576, 640]


def test_seven_weight_bits_are_stored_in_loihis_field_of_eight() -> None:
    def memory(bits: int) -> int:
        quantized = network(target_with(), [source("in", 1), neurons("p", 64)],
                            [project("w", "in", "p", dense(64, 1), bits=bits)])
        return Partition().run(quantized).use[0].synapse_memory_bits
    assert memory(7) == memory(8) == 576
    assert memory(6) == 448


def test_kernel_is_stored_once_a_core_where_the_target_has_convolutions() -> None:
    layer = conv((2, 12, 12), 4)
    quantized = network(target_with("generic"), [source("in", (2, 12, 12)),
                                                 neurons("p", layer.out_chw)],
                        [project("w", "in", "p", layer)])
    use = Partition().run(quantized).use
    assert [u.synapse_memory_bits for u in use] == [4 * 2 * 9 * 8]
    halves = Partition(neurons_per_core=200).run(quantized).use
    assert [u.synapse_memory_bits for u in halves] == [320, 320]  # 288 in words of 64


def test_conv_block_takes_axons_of_its_receptive_field_only() -> None:
    layer = conv((2, 12, 12), 1)
    quantized = network(unlimited(), [source("in", (2, 12, 12)), neurons("p", layer.out_chw)],
                        [project("w", "in", "p", layer)])
    mapping = Partition(neurons_per_core=20).run(quantized)  # two rows of ten: four input rows
    assert [u.input_axons for u in mapping.use] == [2 * 4 * 12] * 5


@pytest.mark.parametrize("limit", [
    {"neurons": 50}, {"input_axons": 420}, {"output_axons": 700},
    {"synapse_memory_bits": 60_000}, {"neuron_configurations": 3},
    {"threshold_configurations": 2}])
def test_each_limit_alone_is_honoured_and_blocks_are_as_large_as_it_allows(
        limit: dict[str, int]) -> None:
    rng = RNG(1)
    n = 400
    hidden = neurons("h", n, membrane_decay=np.repeat(np.arange(40), 10),
                     threshold=np.repeat(np.arange(1, 41), 10))
    quantized = network(unlimited(**limit), [source("in", 300), hidden, neurons("out", 90)], [
        project("in-h", "in", "h", sparse(n, 300, 20, rng)),
        project("h-h", "h", "h", sparse(n, n, 10, rng)),
        project("h-out", "h", "out", dense(90, n))])
    mapping = Partition().run(quantized)
    assert check_mapping(mapping) == []
    (name, value), = limit.items()
    used = [getattr(u, name) for u in mapping.use]
    assert max(used) <= value
    assert max(used) > 0.9 * value
    assert mapping.n_cores >= core_lower_bound(quantized) > 1


def test_output_axons_count_a_destination_per_core_and_slot() -> None:
    for slots in (1, 2):
        target = unlimited(neurons=50, axon_slots_per_connection=slots)
        mapping = Partition().run(mlp(target, 3, 50, 150))
        assert mapping.use[0].output_axons == 50 * 3 * slots
        assert check_mapping(mapping) == []


def test_recurrent_output_axons_settle_within_the_limit() -> None:
    rng = RNG(2)
    quantized = network(unlimited(output_axons=500, input_axons=600), [neurons("p", 800)],
                        [project("w", "p", "p", sparse(800, 800, 12, rng))])
    mapping = Partition().run(quantized)
    assert check_mapping(mapping) == []
    assert max(u.output_axons for u in mapping.use) <= 500
    assert sum(u.output_axons for u in mapping.use) == sum(u.input_axons for u in mapping.use)


def test_all_that_no_partition_can_satisfy_is_reported_at_once(
        golden: Callable[[str, str], None]) -> None:
    target = target_with(input_axons=50, synapse_memory_bits=3000, output_axons=1, fan_out=60,
                         cores=1, chips=1, delay_max=3, neurons=8)
    quantized = network(target, [source("in", 60), neurons("a", 9), neurons("b", 70)], [
        project("in-a", "in", "a", dense(9, 60)),
        project("a-b", "a", "b", dense(70, 9), source_delay=[4]),
        project("a-a", "a", "a", dense(9, 9))])
    found = refused(quantized)
    golden("partition_impossible.txt", "".join(f"{d}\n" for d in found))
    assert {d.code for d in found} == {"E520", "E521", "E522", "E523", "E524", "E525"}


def test_too_many_cores_names_the_number_needed_and_present() -> None:
    (found,) = refused(mlp(unlimited(neurons=10, cores=2, chips=2), 1, 41))
    assert (found.code, found.got) == ("E525", "at least 5")
    assert found.limit == "4 = 2 chips of 2 cores"


def test_neuron_with_more_destination_cores_than_axons_is_named() -> None:
    (found,) = refused(mlp(unlimited(neurons=10, output_axons=4), 1, 3, 50))
    assert (found.code, found.subject, found.got) == ("E522", "p0", "5")


def test_the_same_network_gives_the_same_mapping() -> None:
    digests = {Partition().run(mlp(target_with(), 50, 300, 20)).digest() for _ in range(2)}
    assert len(digests) == 1


def test_mnist_sized_mlp_is_near_its_lower_bound_on_loihi1() -> None:
    quantized = mlp(target_with(), 784, 512, 512, 10)
    mapping = Partition().run(quantized)
    assert check_mapping(mapping) == []
    assert mapping.n_cores <= 1.25 * core_lower_bound(quantized)


def test_a_million_neurons_take_seconds() -> None:
    layer = conv((4, 512, 512), 4, padding=(1, 1))
    quantized = network(
        target_with(chips=64), [source("in", (4, 512, 512)), neurons("p", layer.out_chw)],
        [project("w", "in", "p", layer)])
    start = time.perf_counter()
    mapping = Partition().run(quantized)
    assert time.perf_counter() - start < 20
    assert sum(u.neurons for u in mapping.use) == 1 << 20
    assert check_mapping(mapping) == []


def codes(mapping: Mapping) -> set[str]:
    return {d.code for d in check_mapping(mapping)}


def test_checker_finds_missing_and_doubled_neurons() -> None:
    mapping = Partition().run(mlp(unlimited(neurons=10), 3, 20))
    first, second = mapping.slices
    assert codes(with_slices(mapping, [first])) == {"E530"}
    assert codes(with_slices(mapping, [first, second, replace(first, core=1)])) == {"E531"}


@pytest.mark.parametrize(("population", "indices"), [
    ("in", [0]), ("nobody", [0]), ("p0", [1, 0]), ("p0", [0, 0]), ("p0", [-1]), ("p0", [20]),
    ("p0", [])])
def test_checker_finds_malformed_slices(population: str, indices: list[int]) -> None:
    mapping = Partition().run(mlp(unlimited(), 3, 20))
    bad = Slice(population, 0, np.array(indices, np.int64))
    assert "E532" in codes(with_slices(mapping, [*mapping.slices, bad]))


def test_checker_finds_a_core_the_target_does_not_have() -> None:
    mapping = Partition().run(mlp(unlimited(cores=1, chips=1), 3, 20))
    assert "E525" in codes(with_slices(mapping, [replace(mapping.slices[0], core=1)]))


@pytest.mark.parametrize("limit", [
    {"neurons": 19}, {"input_axons": 22}, {"output_axons": 39}, {"synapse_memory_bits": 1000},
    {"neuron_configurations": 1}, {"threshold_configurations": 1}, {"fan_out": 24},
    {"delay_max": 1}])
def test_checker_finds_every_exceeded_limit(limit: dict[str, int]) -> None:
    p = neurons("p", 20, membrane_decay=np.arange(20), threshold=np.arange(1, 21))
    quantized = network(unlimited(), [source("in", 3), p, neurons("q", 5)], [
        project("a", "in", "p", dense(20, 3)), project("b", "p", "q", dense(5, 20)),
        project("c", "p", "p", dense(20, 20), target_delay=[2])])
    mapping = Partition().run(quantized)
    assert check_mapping(mapping) == []
    tight = replace(mapping, target=unlimited(**limit))
    expected = "E524" if "delay_max" in limit else "E533"
    assert codes(tight) == {expected}


def test_checker_finds_wrong_accounting() -> None:
    mapping = Partition().run(mlp(unlimited(), 3, 20))
    wrong = replace(mapping, use=(replace(mapping.use[0], input_axons=4),))
    assert codes(wrong) == {"E534"}
    assert codes(replace(mapping, use=())) == {"E534"}
