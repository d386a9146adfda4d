"""Networks at the edges of what programs hold: each is its mapping, and equals the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from networks import Sketch
from partition_factory import counts_input, network, neurons, project, source, sparse
from program_factory import given, narrow, placed
from sanafe_network import Scenario, mapped
from test_random_networks import first_difference

import neurocompile as nc
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.network import Bias, Network, Population
from neurocompile.ir.quantized import QuantizedInput, QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Dense, Sparse
from neurocompile.models import IF, Source
from neurocompile.passes.assemble import Assemble
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.report.listing import listing
from neurocompile.targets import load_target
from neurocompile.verification.program import check_program, mapping_of
from neurocompile_backends.chip.files import to_files
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.profile import profile, summary
from neurocompile_backends.chip.run import run_program
from neurocompile_backends.chip.trace import Trace

WIDE = replace(load_target("generic"), name="wide", machine=replace(
    load_target("generic").machine, u_bits=31, v_bits=31))


def equal(mapping: Mapping, encoded: EncodedInput) -> IntegerRun:
    """Read back, run, profiled and listed; what the reference makes of it."""
    program = Assemble().run(mapping)
    assert check_program(program, mapping) == []
    assert mapping_of(program, mapping.quantized).slices
    everything = Probes.everything(mapping.quantized)
    expected = run_integer(mapping.quantized, encoded, everything)
    assert first_difference(expected, run_program(load(program), encoded, everything)) == ""
    assert len(list(listing(program))) > 8
    assert to_files(program)
    for timing in ("cycle", "analytic"):  # compares everything that is sent, step by step
        known = summary(profile(load(program), mapping.quantized, encoded, timing=timing))
        assert known["steps"] == expected.n_steps
    return expected


def one_core_each(quantized: QuantizedNetwork, n: int = 1024) -> Mapping:
    return placed(quantized, n)


def dense(*rows: list[int]) -> Dense:
    weight = np.array(rows, np.int16)
    return Dense(weight, (weight.shape[1],), (weight.shape[0],))


def spikes(name: str) -> QuantizedInput:
    return QuantizedInput(name, "spikes", 1.0, 0, 1)


def graded(name: str, low: int, high: int) -> QuantizedInput:
    return QuantizedInput(name, "graded", 1.0, low, high)


TARGETS = ("loihi1", "loihi2", "generic")


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_that_never_spike(target: str) -> None:
    quantized = network(load_target(target), [source("x", 3), neurons(
        "n", 2, bias_mantissa=np.array([900, 0]))],
        [narrow(project("x->n", "x", "n", dense([1, 2, 3], [4, 5, 6])), 4, 6)], (spikes("x"),))
    silent = EncodedInput(2, 60, {"x": np.zeros((2, 60, 3), np.uint8)}, {})
    run = equal(one_core_each(quantized), silent)
    assert run.s["n"][0, :, 0].any()  # by its bias
    assert not run.s["n"][:, :, 1].any()


def test_an_input_that_nothing_reads_and_a_population_that_nothing_reaches() -> None:
    quantized = network(load_target("loihi1"), [
        source("x", 3), source("unread", 4), neurons("n", 2),
        neurons("alone", 3, bias_mantissa=np.array([500, 900, 0]))],
        [narrow(project("x->n", "x", "n", dense([7, 0, 0], [0, 7, 7])), 4, 6)],
        (spikes("x"), spikes("unread")))
    mapping = one_core_each(quantized)
    program = Assemble().run(mapping)
    assert [len(t.outputs) for t in program.host] == [3, 0]
    run = equal(mapping, given(quantized, 3, 20))
    assert run.s["alone"][0].any(axis=0).tolist() == [True, True, False]


def test_one_neuron_one_synapse() -> None:
    quantized = network(load_target("loihi1"), [source("x", 1), neurons("n", 1)],
                        [narrow(project("x->n", "x", "n", dense([7])), 4, 6)], (spikes("x"),))
    assert equal(one_core_each(quantized), given(quantized, 2, 30)).s["n"].any()


def test_no_population_has_an_input() -> None:
    """Biases alone, and two populations that talk to each other."""
    quantized = network(load_target("loihi1"), [
        neurons("a", 2, bias_mantissa=np.array([40, 30]), bias_exponent=np.array([3, 4])),
        neurons("b", 2)],
        [narrow(project("a->b", "a", "b", dense([7, -1], [3, 6])), 4, 6),
         narrow(project("b->a", "b", "a", dense([-7, 0], [0, -3])), 4, 6)])
    run = equal(one_core_each(quantized), EncodedInput(1, 80, {}, {}))
    assert run.s["a"].any()
    assert run.s["b"].any()


def test_a_network_of_inputs_alone_needs_no_core(tmp_path: Path) -> None:
    """An output that is an input: there is nothing on the chip."""
    quantized = network(load_target("loihi1"), [source("x", 3)], [], (spikes("x"),))
    mapping = Place().run(Partition().run(quantized))
    assert mapping.n_cores == 0
    encoded, program = given(quantized, 2, 5), Assemble().run(mapping)
    assert check_program(program, mapping) == []
    everything = Probes(s=("x",))
    expected = run_integer(quantized, encoded, everything)
    assert first_difference(expected, run_program(load(program), encoded, everything)) == ""
    with Trace(tmp_path / "t.json", program, "cycle") as trace:
        p = profile(load(program), quantized, encoded, trace=trace)
    assert summary(p)["cores"] == 0
    assert summary(p)["events"]["neuron_access"] == 0


@pytest.mark.parametrize("encodings", [
    ("dense",), ("sparse",), ("dense", "sparse"), ("conv", "dense")])
def test_every_encoding_of_every_structure(encodings: tuple[str, ...]) -> None:
    base = load_target("generic")
    target = replace(base, synapse=replace(base.synapse, encodings=encodings))
    rng = np.random.default_rng(1)
    conv = Conv(rng.integers(-8, 8, (4, 1, 3, 2)).astype(np.int8), (2, 1), (1, 1), (1, 2), 2,
                (2, 5, 4), (4, 3, 4), (2, 5, 4), (4, 3, 4))
    back = sparse(48, 48, 5, rng)
    quantized = network(target, [source("x", (2, 5, 4)), neurons("c", (4, 3, 4)),
                                 neurons("d", 48)], [
        narrow(project("x->c", "x", "c", conv, target_delay=rng.integers(0, 3, 48)), 4, 6),
        narrow(project("c->d", "c", "d",
                       replace(back, values=rng.integers(-8, 8, len(back.values))),
                       source_delay=rng.integers(0, 2, 48)), 4, 6),
        narrow(project("d->c", "d", "c", Dense(
            rng.integers(-8, 8, (48, 48)).astype(np.int8), (48,), (48,)),
            target_delay=rng.integers(0, 2, 48)), 4, 5)], (counts_input("x", 3),))
    for n in (7, 48):
        assert equal(one_core_each(quantized, n), given(quantized, 2, 25)).s["d"].any()


def test_more_than_64_synapses_an_axon_take_several_entries() -> None:
    """65, 128 and 129: one left over, two full entries, and one more."""
    rng = np.random.default_rng(2)
    for n in (64, 65, 128, 129):
        quantized = network(load_target("loihi1"), [source("x", 3), neurons("n", n)], [
            narrow(project("x->n", "x", "n", Dense(
                rng.integers(-8, 8, (n, 3)).astype(np.int8), (3,), (n,)),
                target_delay=rng.integers(0, 4, n)), 4, 6),
            narrow(project("n->n", "n", "n", Sparse(
                np.arange(n + 1), np.zeros(n, np.int64), rng.integers(-8, 8, n).astype(np.int8),
                (n,), (n,))), 4, 3)], (spikes("x"),))
        assert equal(one_core_each(quantized), given(quantized, 2, 15)).s["n"].any()


@pytest.mark.parametrize("maximum", [1, 2, 17, 200])
def test_counts_up_to_a_high_maximum(maximum: int) -> None:
    quantized = network(load_target("loihi1"), [source("x", 2), neurons("n", 3)], [
        narrow(project("x->n", "x", "n", dense([7, -2], [1, 1], [-3, 5])), 4, 0),
        narrow(project("x->n too", "x", "n", dense([1, 1], [-1, 0], [2, 2]),
                       source_delay=[0, 3]), 4, 0)], (counts_input("x", maximum),))
    mapping = one_core_each(quantized, 2)
    assert Assemble().run(mapping).host[0].parallel == maximum
    encoded = given(quantized, 4, 40)
    assert encoded.payloads["x"].max() == maximum
    assert len(np.unique(encoded.payloads["x"])) > maximum // 4
    assert equal(mapping, encoded).u["n"].any()


def test_graded_payloads_below_zero() -> None:
    quantized = network(load_target("loihi2"), [source("x", 2), neurons("n", 2), neurons(
        "read", 2, role="analog", reset="none")], [
        narrow(project("x->n", "x", "n", dense([3, -5], [-7, 2])), 4, 2),
        narrow(project("x->read", "x", "read", dense([1, 0], [0, -1])), 4, 0),
        narrow(project("n->read", "n", "read", dense([1, 2], [3, 4])), 4, 6)],
        (graded("x", -100, 100),))
    encoded = given(quantized, 4, 40)
    assert (encoded.payloads["x"] < 0).any()
    run = equal(one_core_each(quantized), encoded)
    assert run.s["n"].any()
    assert (run.u["n"] < 0).any()


@pytest.mark.parametrize("reset", ["subtract", "subtract_delayed"])
@pytest.mark.parametrize("compare", ["gt", "ge"])
def test_several_spikes_a_step_and_late_subtraction(reset: str, compare: str) -> None:
    """Several spikes of one neuron and step are one message whose payload is their number."""
    several = 5 if reset == "subtract" else 1
    quantized = network(WIDE, [source("x", 2), neurons(
        "n", 2, reset=reset, compare=compare, max_spikes=several, threshold=np.array([64, 100]),
        initial_v=np.array([5000, -4000])), neurons("m", 2)], [
        narrow(project("x->n", "x", "n", dense([7, 3], [5, 6])), 4, 11),
        narrow(project("n->m", "n", "m", dense([7, -3], [1, 2])), 4, 6)], (spikes("x"),))
    run = equal(one_core_each(quantized), given(quantized, 3, 50))
    assert int(run.s["n"].max()) == (several if reset == "subtract" else 1)
    assert run.s["m"].any()


def test_start_registers_biases_of_a_sample_and_late_starts() -> None:
    """Membranes that start elsewhere, populations that start late, and what a host loads."""
    quantized = network(load_target("loihi1"), [source("x", 1), neurons(
        "n", 3, initial_v=np.array([4096, -3000, 0]), latency=3,
        bias_mantissa=np.array([-4, 70, 0])), neurons("late", 3, latency=7)], [
        narrow(project("x->n", "x", "n", dense([3], [5], [7])), 4, 6),
        narrow(project("n->late", "n", "late", dense([7, 0, 1], [0, 7, 0], [1, 1, 1])), 4, 6)],
        (spikes("x"),))
    encoded = given(quantized, 3, 30)
    encoded = replace(encoded, biases={"n": np.array([[0, 0, 0], [100, -20, 64], [-9, 0, 4095]])})
    run = equal(one_core_each(quantized), encoded)
    assert run.s["late"][:, 7:].any()
    assert run.v["n"][:, 3].min() < 0 < run.v["n"][:, 3].max()  # it has just started


@pytest.mark.parametrize("sign", ["excitatory", "inhibitory"])
def test_weights_of_one_sign_use_every_bit(sign: str) -> None:
    """16 bits without a sign: up to 65535, which is not a 16-bit number with one."""
    target = replace(WIDE, synapse=replace(WIDE.synapse, weight_bits=(16,)))
    by = 1 if sign == "excitatory" else -1
    weight = np.array([[65535, 1], [32768, 40000]], np.int32) * by
    q = project("x->n", "x", "n", Dense(weight, (2,), (2,)), bits=16)
    q = replace(q, sign_mode=sign, format=replace(q.format, signed=False))
    quantized = network(target, [source("x", 2), neurons("n", 2, bias_mantissa=np.array(
        [30000, 20000]))], [q], (spikes("x"),))
    run = equal(one_core_each(quantized), given(quantized, 2, 30))
    assert int(np.abs(run.u["n"]).max()) >= 65536 * (1 << 0)


def test_the_least_weights_alone_need_no_bit_more() -> None:
    """-8 fits 4 bits, and so do only weights of -8."""
    quantized = network(load_target("loihi1"), [source("x", 2), neurons(
        "n", 2, bias_mantissa=np.array([400, 900]))],
        [narrow(project("x->n", "x", "n", dense([-8, -8], [-8, -8])), 4, 3)], (spikes("x"),))
    assert (equal(one_core_each(quantized), given(quantized, 2, 30)).u["n"] < 0).any()


def test_delays_of_more_than_a_byte() -> None:
    base = load_target("generic")
    target = replace(base, synapse=replace(base.synapse, delay_max=600))
    quantized = network(target, [source("x", 2), neurons(
        "n", 2, current_decay=np.full(2, 4096 - target.machine.current_decay_offset))],
                        [narrow(project("x->n", "x", "n", dense([7, 7], [7, 7]),
                                        source_delay=[0, 300], target_delay=[0, 290]), 4, 6)],
                        (spikes("x"),))
    x = np.zeros((1, 700, 2), np.uint8)
    x[0, 0] = 1
    run = equal(one_core_each(quantized), EncodedInput(1, 700, {"x": x}, {}))
    assert np.flatnonzero(run.u["n"][0, :, 0]).tolist() == [1, 301]
    assert np.flatnonzero(run.u["n"][0, :, 1]).tolist() == [291, 591]


def test_a_section_of_more_neurons_than_16_bits_count() -> None:
    base = load_target("generic")
    n = (1 << 16) + 3
    core = replace(base.core, neurons=0, synapse_memory_bits=0, neuron_configurations=0,
                   threshold_configurations=0, input_axons=0, output_axons=0)
    quantized = network(replace(base, core=core), [source("x", 1), neurons("n", n)], [
        narrow(project("x->n", "x", "n", Sparse(
            np.minimum(np.arange(n + 1), 1) + (np.arange(n + 1) == n), np.zeros(2, np.int64),
            np.array([7, 6], np.int8), (1,), (n,))), 4, 6)], (spikes("x"),))
    mapping = one_core_each(quantized, n)
    assert mapping.n_cores == 1
    run = equal(mapping, given(quantized, 1, 3))
    assert np.flatnonzero(run.u["n"][0, -1]).tolist() == [0, n - 1]


@pytest.mark.parametrize("target", TARGETS)
def test_several_chips(target: str) -> None:
    base = load_target(target)
    small = replace(base, chip=replace(base.chip, cores=2, mesh_width=2, mesh_height=1,
                                       cores_per_tile=1, chips=9))
    rng = np.random.default_rng(3)
    quantized = network(small, [source("x", 4), neurons("a", 9), neurons("b", 8)], [
        narrow(project("x->a", "x", "a", Dense(rng.integers(-3, 8, (9, 4)).astype(np.int8), (4,),
                                              (9,))), 4, 6),
        narrow(project("a->b", "a", "b", Dense(rng.integers(-3, 8, (8, 9)).astype(np.int8), (9,),
                                              (8,))), 4, 6),
        narrow(project("b->a", "b", "a", Dense(rng.integers(-8, 2, (9, 8)).astype(np.int8), (8,),
                                              (9,))), 4, 4)], (spikes("x"),))
    mapping = Place().run(Partition(2).run(quantized))
    assert mapping.placement is not None
    assert int(mapping.placement.chip.max()) >= 3
    assert equal(mapping, given(quantized, 2, 30)).s["b"].any()
    program = Assemble().run(mapping)
    known = summary(profile(load(program), quantized, given(quantized, 1, 30)))
    assert known["events"]["hop_chip"] > 0
    assert known["events"]["host_message"] > 0


# ---------------------------------------------------------------- compiled from models

def integrate(n: int, threshold: float = 1.0) -> IF:
    return IF(np.ones(n), np.full(n, threshold), np.zeros(n))


def agreed(**inputs: InputBinding) -> Contract:
    return Contract(
        dt_s=1e-3, integrator="euler", input_gain="nir", if_gain="r", if_floor="none",
        compare="gt", reset="zero", max_spikes_per_step=1, current_order="current_first",
        synapse_input="after_decay", recurrent_bias_at_start=False, recurrent_delay="added",
        layer_latency=0, initial_v="zero", delay_unit="steps", feedback="late", inputs=inputs)


def verified(net: Network, target: TargetSpec | str, contract: Contract,
             x: dict[str, npt.NDArray[Any]]) -> nc.api.Build:
    build = nc.compile(net, target, contract=contract)
    (report,) = nc.verify(build, x, backends=("reference", "chip"))
    assert report.passed, report.to_dict()
    nc.profile(build, x)
    return build


def chain(*layers: int, bias: bool = False) -> Sketch:
    sketch = Sketch([Population("x", (layers[0],), Source(layers[0]))])
    before, rng = "x", np.random.default_rng(0)
    for i, n in enumerate(layers[1:]):
        sketch.populations.append(Population(f"n{i}", (n,), integrate(n)))
        sketch.connect(before, f"n{i}", (Dense(rng.uniform(0, 400, (n, sketch.shape(before)[0])),
                                               sketch.shape(before), (n,)),))
        if bias:
            sketch.biases.append(Bias(f"n{i}.bias", rng.uniform(0, 90, n), f"n{i}", (), False,
                                      (f"n{i}",)))
        before = f"n{i}"
    sketch.outputs = [before]
    return sketch


def once(n: int, steps: int = 20) -> npt.NDArray[Any]:
    return (np.random.default_rng(4).random((2, steps, n)) < 0.4).astype(float)


@pytest.mark.parametrize("target", TARGETS)
def test_a_deep_chain_with_a_skip_is_relayed(target: str) -> None:
    sketch = chain(3, 2, 2, 2, bias=True)
    sketch.connect("x", "n2", (Dense(np.full((2, 3), 300.0), (3,), (2,)),))
    base = load_target(target)
    short = replace(base, synapse=replace(base.synapse, delay_max=1))
    build = verified(sketch.network(), short, agreed(x=InputBinding("spikes")), {"x": once(3)})
    assert any(p.origin == "relay" for p in build.quantized.scheduled.populations)


def test_outputs_of_every_layer_and_of_an_input() -> None:
    sketch = chain(3, 2, 2)
    sketch.outputs = ["x", "n0", "n1"]
    x = {"x": once(3)}
    build = verified(sketch.network(), "loihi1", agreed(x=InputBinding("spikes")), x)
    runs = [nc.simulate(build, x, backend=name) for name in ("reference", "simulator", "chip")]
    for name, values in runs[0].outputs.items():
        assert values.any()
        for other in runs[1:]:
            np.testing.assert_array_equal(values, other.outputs[name], err_msg=name)


MODES: dict[str, tuple[str, InputBinding, Callable[[], npt.NDArray[Any]]]] = {
    "encoder": ("loihi1", InputBinding("encoder", None, 1.0), lambda: np.repeat(
        np.random.default_rng(5).random((2, 1, 3)), 20, axis=1)),
    "bias": ("loihi1", InputBinding("bias", maximum=1.0), lambda: np.repeat(
        np.random.default_rng(5).random((2, 1, 3)), 20, axis=1)),
    "graded": ("loihi2", InputBinding("graded", 0.125, 1.0, -1.0), lambda: np.random.default_rng(
        5).integers(-8, 9, (2, 20, 3)) / 8),
    "counts": ("loihi1", InputBinding("counts", maximum=40.0), lambda: np.random.default_rng(
        5).integers(0, 41, (2, 20, 3)).astype(float)),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_way_of_input(mode: str) -> None:
    target, binding, x = MODES[mode]
    verified(chain(3, 4, 2, bias=True).network(), target, agreed(x=binding), {"x": x()})


def test_sparse_synapses_to_more_neurons_than_one_delivery_reaches() -> None:
    """What a spike does is read in one piece as far as 15 bits count neurons."""
    mapping = mapped(Scenario(40_000, 3, rate=0.05))
    loaded = load(Assemble().run(mapping))
    assert np.diff(loaded.tables.source_deliveries).max() > 1
    assert len(loaded.tables.messages) > len(loaded.tables.deliveries)
    encoded = EncodedInput(1, 30, {}, {})
    known = summary(profile(loaded, mapping.quantized, encoded, timing="analytic"))
    assert known["events"]["synapse_sparse"] > 100_000
