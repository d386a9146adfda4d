"""Where quantization has nothing to round, the chip is the float network, bit for bit.

Weights, thresholds and biases are small integers (times a power of two), decays are 0, 1/2 or 1,
the threshold register is chosen so that all of them are integers. What is left is what the
compiler does with time: latencies, delays, relays, skips, loops, biases that start late.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from networks import DT_S, Case, Inputs, Sketch, compile_phases, inputs_of, renamed

from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.network import Bias, Network, Population
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Delay, Dense, Sparse, Transform, identity
from neurocompile.models import IF, LIF, CubaLIF, Model, Source, Threshold
from neurocompile.passes.schedule import Schedule
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.floating import run_float
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.targets import load_target
from neurocompile_backends.simulator.run import run_simulator

N_STEPS = 14
UNIT = 1 << 16
"""Integers a unit of voltage, at least: enough bits for every halving of N_STEPS steps."""
thorough = settings(max_examples=2 * settings.default.max_examples)


def exact_target(delay_max: int) -> TargetSpec:
    """generic with room for UNIT in every sum."""
    t = load_target("generic")
    return replace(
        t, machine=replace(t.machine, u_bits=31, v_bits=31),
        neuron=replace(t.neuron, threshold_max=UNIT * 16, bias_mantissa_max=1 << 20),
        synapse=replace(t.synapse, accumulator_max=(1 << 24) - 1, delay_max=delay_max,
                        exponent_max=20))


@st.composite
def integer_maps(draw: st.DrawFn, rng: Any, in_shape: Shape, out_shape: Shape) -> Transform:
    n_in, n_out = n_elements(in_shape), n_elements(out_shape)
    kind = draw(st.sampled_from(["dense", "sparse", "identity", "conv"]))
    if kind == "identity" and in_shape == out_shape:
        return identity(in_shape)
    if kind == "conv" and in_shape == out_shape and len(in_shape) == 2:
        chw = (in_shape[0], 1, in_shape[1])
        weight = rng.integers(-1, 3, (in_shape[0], in_shape[0], 1, 3)).astype(float)
        return Conv(weight, (1, 1), (0, 1), (1, 1), 1, chw, chw, in_shape, out_shape)
    weight = rng.integers(-2, 4, (n_out, n_in)) * (rng.random((n_out, n_in)) < 0.6)
    dense = Dense(weight.astype(float), in_shape, out_shape)
    if kind == "sparse":
        indptr = np.concatenate([[0], np.cumsum((weight != 0).sum(axis=1))]).astype(np.int64)
        return Sparse(indptr, np.nonzero(weight)[1].astype(np.int64), dense.weight[weight != 0],
                      in_shape, out_shape)
    return dense


@st.composite
def integer_chains(draw: st.DrawFn, rng: Any, in_shape: Shape, out_shape: Shape,
                   longest: int) -> tuple[Transform, ...]:
    def delay(shape: Shape, most: int) -> tuple[Transform, ...]:
        if draw(st.integers(0, 2)):
            return ()
        values = rng.integers(0, most + 1, shape).astype(float)
        return (Delay(values if draw(st.booleans()) else np.full(shape, float(most)), shape,
                      shape),)

    return (*delay(in_shape, longest), draw(integer_maps(rng, in_shape, out_shape)),
            *delay(out_shape, 3))


def exact_model(rng: Any, kind: str, shape: Shape, v_reset: float) -> Model:
    zeros, ones = np.zeros(shape), np.ones(shape)
    threshold = rng.choice([1.0, 2.0, 4.0], shape) + v_reset  # of which 4 UNIT are a part
    # Euler with tau = dt forgets everything, tau = 2 dt halves.
    tau = rng.choice([1.0, 2.0], shape) * DT_S
    match kind:
        case "IF":
            return IF(ones, threshold, ones * v_reset)
        case "LIF":
            return LIF(tau, ones, zeros, threshold, ones * v_reset)
        case "CubaLIF":
            return CubaLIF(tau, rng.choice([1.0, 2.0], shape) * DT_S, ones, zeros, threshold,
                           ones * v_reset, ones)
    return Threshold(threshold - v_reset)


@st.composite
def exact_networks(draw: st.DrawFn, longest: int, v_reset: float) -> Network:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = st.sampled_from([(1,), (3,), (2, 4)])
    sketch = Sketch()
    senders = []
    for i in range(draw(st.integers(1, 2))):
        shape = draw(shapes)
        sketch.populations.append(Population(f"in{i}", shape, Source(n_elements(shape))))
        senders.append(f"in{i}")
    n_inputs = len(senders)
    for i in range(draw(st.integers(1, 4))):
        name, shape = f"n{i}", draw(shapes)
        kind = draw(st.sampled_from(["IF", "LIF", "CubaLIF", "Threshold"]))
        sketch.populations.append(Population(name, shape, exact_model(rng, kind, shape, v_reset)))
        sources = {senders[-1], *draw(st.lists(st.sampled_from(senders), max_size=2))}
        for source in sorted(sources):
            sketch.connect(source, name, draw(integer_chains(rng, sketch.shape(source), shape,
                                                             longest)))
        for recurrent in (False, True):
            if draw(st.integers(0, 2)) == 0:
                value = rng.integers(-1, 2, shape).astype(float)
                late = ((Delay(np.full(shape, 2.0), shape, shape),)
                        if draw(st.booleans()) else ())
                sketch.biases.append(Bias(f"{name}.bias{recurrent:d}", value, name, late,
                                          recurrent, (name,)))
        if draw(st.integers(0, 2)) == 0:
            sketch.connect(name, name, draw(integer_chains(rng, shape, shape, longest)), True)
        if senders[n_inputs:] and draw(st.integers(0, 2)) == 0:
            # With a step of delay on the way back, a loop of two holds as many as connections.
            back = draw(st.sampled_from(senders[n_inputs:]))
            later = Delay(np.full(shape, float(i)), shape, shape)
            sketch.connect(name, back, (later, draw(integer_maps(rng, shape,
                                                                 sketch.shape(back)))), True)
        senders.append(name)
    sketch.outputs = senders[-1:] + draw(st.lists(st.sampled_from(senders[n_inputs:]),
                                                  max_size=1).filter(
        lambda names: names != senders[-1:]))
    return sketch.network()


@st.composite
def exact_cases(draw: st.DrawFn) -> Case:
    one = st.sampled_from
    longest = draw(one([2, 9]))
    reset = draw(one(["zero", "to_value", "subtract", "subtract_delayed"]))
    v_reset = draw(one([0.0, -1.0])) if reset == "to_value" else 0.0
    network = draw(exact_networks(longest, v_reset))
    target = exact_target(draw(one([2, 5, 63])))
    # Payloads and several spikes cannot be relayed.
    relayed = target.synapse.delay_max < 60
    inputs = {p.name: InputBinding("spikes") if relayed or draw(st.booleans())
              else InputBinding("graded", 1.0, 3.0, -2.0) for p in network.inputs}
    contract = Contract(
        dt_s=DT_S, integrator="euler", input_gain="unit", if_gain="r", if_floor="none",
        compare=draw(one(["gt", "ge"])), reset=reset,
        max_spikes_per_step=1 if relayed else draw(one([1, 3])),
        current_order=draw(one(["current_first", "membrane_first"])),
        synapse_input="after_decay", recurrent_bias_at_start=draw(st.booleans()),
        recurrent_delay=draw(one(["added", "included"])), layer_latency=draw(one([0, 1])),
        initial_v=draw(one(["zero", "v_reset"])), delay_unit="steps", feedback="exact",
        inputs=inputs)
    thresholds = {p.name: UNIT * 4 for p in network.populations
                  if not isinstance(p.model, Source)}
    return Case(network, contract, target, Options(thresholds=thresholds, max_steps=64,
                                                          accept_bounds=True),
                draw(st.integers(0, 2**32)))


def compiled(case: Case) -> tuple[Any, QuantizedNetwork]:
    try:
        _, discrete, _, quantized, _ = compile_phases(case)
        _, notes = Schedule(case.target).run_with_notes(discrete)
        # A neuron that starts beyond its threshold fires before its inputs arrive, and says so.
        assume("W312" not in {d.code for d in notes})
    except CompileError as error:
        codes = {d.code for d in error.diagnostics if d.is_error}
        assert codes <= {"E309", "E310"}, str(error)
        event(f"refused with {sorted(codes)}")
        assume(False)
        raise
    return discrete, quantized


def whole_inputs(case: Case) -> Inputs:
    return {name: np.rint(values) for name, values in inputs_of(case, 4, N_STEPS).items()}


def aligned(run: IntegerRun, network: QuantizedNetwork, name: str, quantity: str) -> Any:
    start = network.population(name).latency
    return getattr(run, quantity)[name][:, start:start + N_STEPS]


def assert_nothing_was_rounded(network: QuantizedNetwork) -> None:
    """But for what the compiler added: relays and the bias neuron only have to fire."""
    own = {p.name for p in network.scheduled.populations if p.origin == "network"}
    own |= {q.name for q in network.projections if q.target in own}
    assert [e for e in network.errors if e.worst != 0 and e.subject in own] == []


@thorough
@given(exact_cases())
def test_chip_equals_float_network_bit_for_bit(case: Case) -> None:
    discrete, network = compiled(case)
    assert_nothing_was_rounded(network)
    data = whole_inputs(case)
    names = tuple(p.name for p in discrete.populations if p.role != "source")
    expected = run_float(discrete, data, N_STEPS, record=names, probe_v=names)
    encoded = encode_inputs(network, data, N_STEPS)
    for run in (run_integer(network, encoded, Probes(names, (), names)),
                run_simulator(network, encoded, Probes(names, (), names))):
        for name in names:
            p = network.population(name)
            v = aligned(run, network, name, "v") / p.scale + p.offset
            wrong = np.argwhere(v != expected.v[name])
            assert len(wrong) == 0, (name, wrong[0])
            assert np.array_equal(aligned(run, network, name, "s"), expected.output[name])
    event(f"{sum(p.origin == 'relay' for p in network.scheduled.populations)} relays")
    spikes = sum(int(expected.output[name].sum()) for name in names)
    event("active" if spikes else "silent")


@given(exact_cases(), st.randoms(use_true_random=False))
def test_names_do_not_matter(case: Case, random: Any) -> None:
    _, network = compiled(case)
    old = [p.name for p in case.network.populations]
    new = [f"p{i}" for i in range(len(old))]
    random.shuffle(new)
    names = dict(zip(old, new, strict=True))
    other = replace(
        case, network=renamed(case.network, names),
        contract=replace(case.contract, inputs={names[k]: b
                                                for k, b in case.contract.inputs.items()}),
        options=replace(case.options, thresholds={
            names[k]: t for k, t in case.options.thresholds.items()}))
    data = whole_inputs(case)
    first = run_of(case, data)
    second = run_of(other, {names[k]: values for k, values in data.items()})
    for name in old:
        if name in first:
            assert np.array_equal(first[name], second[names[name]]), name
    assert network.latency == compile_phases(other)[3].latency


@given(exact_cases(), st.integers(0, 2**32))
def test_order_of_populations_and_neurons_does_not_matter(case: Case, seed: int) -> None:
    compiled(case)
    rng = np.random.default_rng(seed)
    orders = {p.name: rng.permutation(n_elements(p.shape)) for p in case.network.populations}
    other = replace(case, network=permuted(case.network, orders, rng))
    compiled(other)  # an identity is none any more, and behind it a delay may be too long to relay
    data = whole_inputs(case)
    moved = {name: values.reshape(*values.shape[:2], -1)[..., orders[name]].reshape(values.shape)
             for name, values in data.items()}
    first, second = run_of(case, data), run_of(other, moved)
    for name, spikes in first.items():
        assert np.array_equal(spikes[..., orders[name]], second[name]), name


def run_of(case: Case, data: Inputs) -> dict[str, Any]:
    """Spikes of the network's own populations, in its own steps."""
    network = compile_phases(case)[3]
    names = tuple(p.name for p in network.scheduled.populations if p.origin == "network")
    run = run_simulator(network, encode_inputs(network, data, N_STEPS), Probes(names))
    return {name: aligned(run, network, name, "s") for name in names}


def permuted(network: Network, orders: dict[str, Any], rng: Any) -> Network:
    """Element i of population p becomes what ``orders[p][i]`` was; populations in random order."""
    def values(array: Any, order: Any) -> Any:
        return array.reshape(-1)[order].reshape(array.shape)

    def model(p: Population) -> Population:
        if isinstance(p.model, Source):
            return p
        parts = {k: values(v, orders[p.name]) for k, v in vars(p.model).items()}
        return replace(p, model=replace(p.model, **parts))

    def ops(chain: tuple[Transform, ...], source: Any, target: Any) -> tuple[Transform, ...]:
        moved: list[Transform] = []
        before = True
        for op in chain:
            if isinstance(op, Delay):
                moved.append(replace(op, delay=values(op.delay, source if before else target)))
                continue
            assert isinstance(op, (Dense, Conv, Sparse))
            columns = np.eye(n_elements(op.in_shape)).reshape(-1, *op.in_shape)
            matrix = op.apply(columns).reshape(len(columns), -1).T
            moved.append(Dense(matrix[np.ix_(target, source)], op.in_shape, op.out_shape))
            before = False
        return tuple(moved)

    populations = [model(p) for p in network.populations]
    return replace(
        network, populations=tuple(populations[i] for i in rng.permutation(len(populations))),
        projections=tuple(replace(q, ops=ops(q.ops, orders[q.source], orders[q.target]))
                          for q in network.projections),
        biases=tuple(replace(b, value=values(b.value, orders[b.target]))
                     for b in network.biases))
