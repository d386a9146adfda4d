"""How good the integers are: equality at a threshold, registers, decays, the use of the range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import DT_S, Case, Sketch, compile_phases

import neurocompile as nc
from neurocompile.fixedpoint import Rounding, to_registers
from neurocompile.flow import Options
from neurocompile.ir.check import check_quantized
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.network import Network, Population
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Delay, Dense
from neurocompile.models import IF, LIF, Model, Source
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.floating import run_float
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.targets import load_target


def layer(model: Model, weight: Any, delay: Any = None) -> Network:
    """One population ``n`` fed by the input ``x``; ``delay`` on its own feedback."""
    n_out, n_in = weight.shape
    sketch = Sketch([Population("x", (n_in,), Source(n_in)), Population("n", (n_out,), model)])
    sketch.connect("x", "n", (Dense(weight, (n_in,), (n_out,)),))
    if delay is not None:
        shape = (n_out,)
        sketch.connect("n", "n", (Dense(-np.eye(n_out), shape, shape),
                                  Delay(delay, shape, shape)), recurrent=True)
    sketch.outputs.append("n")
    return sketch.network()


def contract(compare: Any = "gt", **choices: Any) -> Contract:
    base = Contract(
        dt_s=DT_S, integrator="euler", input_gain="unit", if_gain="r", if_floor="none",
        compare=compare,
        reset="zero", layer_latency=0, initial_v="zero", delay_unit="steps",
        recurrent_delay="included", feedback="exact", inputs={"*": InputBinding("spikes")})
    return replace(base, **choices)


def quantized(network: Network, agreed: Contract, target: TargetSpec,
              **options: Any) -> QuantizedNetwork:
    case = Case(network, agreed, target, Options(**options), 0)
    return compile_phases(case)[3]


def integrators(n: int, threshold: float) -> IF:
    return IF(np.ones(n), np.full(n, threshold), np.zeros(n))


def only(compare: str) -> TargetSpec:
    """loihi1 with one comparison."""
    t = load_target("loihi1")
    return replace(t, name=f"only_{compare}", neuron=replace(t.neuron, compares=(compare,)))


@pytest.mark.parametrize("target", [only("gt"), only("ge"), load_target("generic")],
                         ids=lambda t: t.name)
@pytest.mark.parametrize("compare", ["gt", "ge"])
def test_integrator_meets_its_threshold_as_the_contract_compares(target: TargetSpec,
                                                                 compare: str) -> None:
    weights = np.array([[1.0], [2.0], [3.0], [4.0], [6.0], [12.0]])
    network = layer(integrators(6, 12.0), weights)
    # A threshold at which twelfths of it are whole: 192 units of the input grid between reset
    # and the float threshold, which a chip with the other comparison has one unit aside.
    grid = 1 << target.machine.input_shift
    aside = 0 if compare in target.neuron.compares else (-grid if compare == "ge" else grid)
    register = (192 * grid + aside) >> target.machine.threshold_shift
    q = quantized(network, contract(compare), target, thresholds={"n": register})
    data = {"x": np.ones((1, 30, 1))}
    steps = run_integer(q, encode_inputs(q, data, 30), Probes(("n",))).s["n"][0, q.latency:]
    extra = 1 if compare == "gt" else 0
    first = steps.argmax(axis=0) + 1
    assert np.array_equal(first, 12 // weights[:, 0] + extra)
    discrete = q.scheduled.discrete
    assert np.array_equal(steps, run_float(discrete, data, 30).output["n"][0])


@given(st.lists(st.floats(-1e7, 1e7), min_size=1, max_size=20), st.integers(0, 20000),
       st.integers(0, 10))
def test_registers_hold_the_nearest_value_with_the_least_exponent(
        values: list[float], mantissa_max: int, exponent_max: int) -> None:
    mantissa, exponent = to_registers(np.array(values), mantissa_max, exponent_max)
    assert np.all(np.abs(mantissa) <= mantissa_max)
    assert np.all((exponent >= 0) & (exponent <= exponent_max))
    for value, m, e in zip(values, mantissa.tolist(), exponent.tolist(), strict=True):
        saturates = round(abs(value) / 2**exponent_max) > mantissa_max
        if saturates:
            assert abs(m) == mantissa_max
        else:
            assert abs(m * 2**e - value) <= 2**e / 2
        if e > 0:
            assert abs(value) / 2**(e - 1) >= mantissa_max + 0.5


@given(st.floats(1.0, 5000.0), st.sampled_from(list(Rounding)),
       st.sampled_from(["loihi1", "generic"]))
def test_decays_are_rounded_as_asked_and_within_the_register(tau: float, rounding: Rounding,
                                                             target: str) -> None:
    model = LIF(np.array([tau * DT_S]), np.ones(1), np.zeros(1), np.ones(1), np.zeros(1))
    q = quantized(layer(model, np.ones((1, 1))), contract(), load_target(target),
                  decay_rounding=rounding)
    exact = 4096.0 * (DT_S / (tau * DT_S))
    got = int(q.population("n").membrane_decay[0])
    limit = q.target.neuron.decay_max
    if rounding is Rounding.FLOOR:
        assert abs(got - min(np.floor(exact + 1e-6), limit)) <= 1e-6 or got == int(exact)
    else:
        assert abs(got - min(exact, limit)) <= 0.5 + 1e-6


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from(["loihi1", "loihi2", "generic"]),
       st.sampled_from([4, 8]))
def test_weights_use_half_of_the_mantissa_or_a_sum_is_at_its_limit(seed: int, n_in: int,
                                                                   target: str,
                                                                   bits: int) -> None:
    rng = np.random.default_rng(seed)
    model = LIF(np.full(3, 9.3 * DT_S), np.ones(3), np.zeros(3), rng.uniform(0.5, 2, 3),
                np.zeros(3))
    q = quantized(layer(model, rng.normal(size=(3, n_in))), contract(), load_target(target),
                  weight_bits=bits)
    projection, p, bounds = q.projections[0], q.population("n"), q.bounds[0]
    largest = int(np.abs(projection.transform.weight).max())
    t = q.target
    used = max(
        max(-int(bounds.a_low.min()), int(bounds.a_high.max())) / t.synapse.accumulator_max,
        int(p.threshold.max()) / t.neuron.threshold_max,
        max(-int(bounds.u_low.min()), int(bounds.u_high.max())) / t.machine.u_limit)
    # The threshold is searched over a factor of two below the limit for the least rounding error.
    assert largest >= projection.format.high // 2 or used >= 0.95 / 2
    assert used <= 1.0


def test_sixteen_bit_weights_of_one_sign_do_not_wrap() -> None:
    t = load_target("generic")
    wide = replace(t, machine=replace(t.machine, u_bits=31, v_bits=31, input_shift=0),
                   synapse=replace(t.synapse, weight_bits=(16,), accumulator_max=(1 << 24) - 1))
    q = quantized(layer(integrators(2, 3.0), np.array([[1.0], [0.4]])), contract(), wide,
                  weight_bits=16)
    weight = q.projections[0].transform.weight
    assert int(weight.max()) > 1 << 15
    assert int(weight.min()) > 0
    assert check_quantized(q) == []


def test_payloads_that_are_never_zero_are_still_followed_by_silence() -> None:
    binding = InputBinding("graded", 0.25, 1.0, 0.5)
    q = quantized(layer(integrators(1, 1.0), np.ones((1, 1))),
                  contract(inputs={"x": binding}), load_target("generic"))
    assert (q.inputs[0].low, q.inputs[0].high) == (0, 4)
    encoded = encode_inputs(q, {"x": np.full((1, 3, 1), 0.5)}, 3)
    assert np.array_equal(encoded.payloads["x"][0, :, 0], [2, 2, 2])


@pytest.mark.parametrize("compare", ["gt", "ge"])
@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_networks_of_whole_weights_are_compiled_without_any_error(target: str,
                                                                  compare: Any) -> None:
    """The search finds a threshold at which every weight and every equality is exact."""
    weights = np.array([[1.0, 2.0, 3.0, 4.0, 6.0, 12.0]])
    neuron = IF(np.ones(1), np.full(1, 12.0), np.zeros(1))
    network, agreed = layer(neuron, weights), contract(compare)
    agreed = replace(agreed, inputs={"*": InputBinding("spikes")})
    build = nc.compile(network, target, contract=agreed)
    x = (np.random.default_rng(0).random((50, 40, 6)) < 0.2).astype(np.uint8)
    (expected,) = nc.simulate(network, x, contract=agreed).outputs.values()
    run = nc.simulate(build, x)
    assert expected.sum() > 100
    assert np.array_equal(run.aligned(next(iter(run.outputs))), expected)


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_encoder_at_full_rate_fires_every_step(target: str) -> None:
    q = quantized(layer(integrators(1, 9.0), np.ones((1, 2))),
                  contract(inputs={"x": InputBinding("encoder", None, 1.0)}), load_target(target))
    encoded = encode_inputs(q, {"x": np.array([[[1.0, 0.5]]])}, 40)
    run = run_integer(q, encoded, Probes(("x.encoder",)))
    assert run.s["x.encoder"][0, :40].sum(axis=0).tolist() == [40, 20]


def test_two_inputs_that_drive_one_register_are_rounded_once() -> None:
    sketch = Sketch([Population("x", (1,), Source(1)), Population("y", (1,), Source(1)),
                     Population("n", (1,), integrators(1, 1.0))])
    for name in ("x", "y"):
        sketch.connect(name, "n", (Dense(np.full((1, 1), 0.3337), (1,), (1,)),))
    sketch.outputs.append("n")
    binding = InputBinding("bias", None, 1.0)
    q = quantized(sketch.network(), contract(inputs={"*": binding}), load_target("loihi1"))
    for x, y in ((0.9, 0.001), (0.51, 0.47), (1.0, 1.0)):
        data = {"x": np.full((1, 1, 1), x), "y": np.full((1, 1, 1), y)}
        loaded = encode_inputs(q, data, 1).biases["n"]
        mantissa, exponent = to_registers(loaded.astype(float), 4095, 7)
        assert np.array_equal(np.left_shift(mantissa, exponent), loaded)


def test_uniform_delay_behind_a_layer_is_relayed() -> None:
    sketch = Sketch([Population("x", (2,), Source(2)), Population("n", (1,), integrators(1, 1.0))])
    sketch.connect("x", "n", (Dense(np.ones((1, 2)), (2,), (1,)),
                              Delay(np.full(1, 100.0), (1,), (1,))))
    sketch.outputs.append("n")
    q = quantized(sketch.network(), contract("ge"), load_target("loihi1"))
    data = {"x": np.zeros((1, 120, 2))}
    data["x"][0, 3, 0] = 1.0
    run = run_integer(q, encode_inputs(q, data, 120), Probes(("n",)))
    start = q.population("n").latency
    assert np.flatnonzero(run.s["n"][0, start:, 0]).tolist() == [103]


def test_float_reference_delays_feedback_by_delays_of_the_target_alone() -> None:
    # The fed back spike of step 0 arrives at steps 1, 2 and 3, not one later.
    network = layer(integrators(3, 0.5), np.ones((3, 1)), np.array([1.0, 2.0, 3.0]))
    discrete = quantized(network, contract(), load_target("loihi1")).scheduled.discrete
    data = {"x": np.zeros((1, 6, 1))}
    data["x"][0, 0] = 1.0
    v = run_float(discrete, data, 6, probe_v=("n",)).v["n"][0]
    assert [int(np.flatnonzero(v[:, i] < 0)[0]) for i in range(3)] == [1, 2, 3]
