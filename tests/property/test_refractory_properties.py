"""Refractory periods, against plain Python that shares nothing with the executors.

The oracle steps one neuron after another on Python's own numbers and keeps what a spike stops: it
skips the membrane of a neuron that waits, and reads the periods from the contract alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import DT_S, Case, Sketch, compile_phases, model_of
from test_quantizer_properties import layer

from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.contract import Contract, InputBinding, PopulationChoices
from neurocompile.ir.discrete import DiscreteNetwork, DiscretePopulation
from neurocompile.ir.network import Bias, Population
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Dense
from neurocompile.models import IF, Source
from neurocompile.passes.assemble import Assemble
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.floating import run_float
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.targets import load_target
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.run import run_program
from neurocompile_backends.simulator.run import run_simulator

N_STEPS = 25
RESETS = ("zero", "to_value", "subtract", "subtract_delayed")


@dataclass
class Neuron:
    """What a neuron of the oracle remembers. ``due``: thresholds that the next update of its
    membrane takes off; ``until``: the last step in which the membrane waits."""

    u: float
    v: float
    due: int = 0
    until: int = -1

    def fire(self, t: int, period: int, spikes: int) -> None:
        if spikes:
            self.until = t + period


def spikes_in(v: float, threshold: float, compare: str, most: int) -> int:
    """The largest n of at most ``most`` for which n thresholds fit."""
    n = 0
    while n < most and (v > (n + 1) * threshold or (compare == "ge" and v == (n + 1) * threshold)):
        n += 1
    return n


def truncated(x: int, keep: int) -> int:
    size = abs(x) * keep // 4096
    return size if x >= 0 else -size


def integer_oracle(network: QuantizedNetwork, encoded: EncodedInput, sample: int,
                   contract: Contract) -> dict[str, list[list[tuple[int, int, int]]]]:
    """(u, v, s) of each neuron at each step, by population. Dense connections of a known range."""
    m = network.target.machine
    total = encoded.n_steps + network.latency
    arriving: dict[tuple[str, int, int], int] = {}
    state: dict[str, list[Neuron]] = {}
    found: dict[str, list[list[tuple[int, int, int]]]] = {
        p.name: [] for p in network.populations if p.role != "source"}
    for t in range(total):
        sent: dict[str, list[int]] = {}
        for p in network.populations:
            if p.role == "source":
                sent[p.name] = [int(encoded.payloads[p.name][sample, t, i]) if
                                t < encoded.n_steps else 0 for i in range(p.n)]
                continue
            if t in (0, p.latency):
                state[p.name] = [Neuron(0, int(v)) for v in p.initial_v]
            # Neurons that the compiler adds are not of the network: they never wait.
            own = p.role == "spiking" and p.name in ("n", "last")
            period = contract.refractory_steps(p.name) if own else 0
            row = []
            for i, neuron in enumerate(state[p.name]):
                a = arriving.pop((p.name, i, t), 0)
                neuron.u = truncated(int(neuron.u), 4096 - m.current_decay_offset - int(
                    p.current_decay[i])) + (a << m.input_shift)
                row.append((int(neuron.u), *advance(network.target, p, i, neuron, t, period)))
            found[p.name].append(row)
            sent[p.name] = [s for _, _, s in row]
        for q in network.projections:
            assert isinstance(q.transform, Dense)
            for j, value in enumerate(sent[q.source]):
                for i, weight in enumerate(q.transform.weight[:, j].tolist()):
                    delay = int(q.source_delay[j % len(q.source_delay)]
                                + q.target_delay[i % len(q.target_delay)])
                    at = q.target, i, t + 1 + delay
                    arriving[at] = arriving.get(at, 0) + value * (weight << q.format.exponent)
    return found


def advance(target: TargetSpec, p: QuantizedPopulation, i: int, neuron: Neuron, t: int,
            period: int) -> tuple[int, int]:
    """(v, s) of a neuron whose current is new."""
    m = target.machine
    if t <= neuron.until:
        return int(neuron.v), 0
    v = truncated(int(neuron.v), 4096 - int(p.membrane_decay[i])) + int(neuron.u) + int(p.bias[i])
    v = max(-m.v_limit, min(m.v_limit, v))
    if p.role == "analog":
        neuron.v = v
        return v, v
    threshold = int(p.threshold[i]) << m.threshold_shift
    v = max(-m.v_limit, min(m.v_limit, v - neuron.due * threshold))
    s = spikes_in(v, threshold, p.compare, p.max_spikes)
    neuron.due = s if p.reset == "subtract_delayed" else 0
    if s and p.reset == "zero":
        v = 0
    elif p.reset == "subtract":
        v -= s * threshold
    neuron.v = v
    neuron.fire(t, period, s)
    return v, s


def float_oracle(network: DiscreteNetwork, x: Any, contract: Contract) -> list[list[
        tuple[float, float, int]]]:
    """(u, v, s) of each neuron of ``n`` at each step, fed by ``x``, [step, input], alone."""
    p = network.population("n")
    weight = network.projections[0].transform.weight
    bias = sum((b.values for b in network.biases), np.zeros(p.n)).tolist()
    neurons = [Neuron(0.0, float(v)) for v in p.initial_v]
    found = []
    for t, row in enumerate(x.tolist()):
        found.append([float_step(p, i, neuron, t, sum(
            w * value for w, value in zip(weight[i].tolist(), row, strict=True)) + bias[i],
            contract) for i, neuron in enumerate(neurons)])
    return found


def float_step(p: DiscretePopulation, i: int, neuron: Neuron, t: int, a: float,
               contract: Contract) -> tuple[float, float, int]:
    neuron.u = p.syn_decay[i] * neuron.u + p.gain_syn[i] * a if p.has_synapse else a
    if t <= neuron.until:
        return neuron.u, neuron.v, 0
    threshold = float(p.threshold[i])
    v = p.mem_decay[i] * neuron.v + p.gain_mem[i] * neuron.u + p.bias_mem[i]
    v -= neuron.due * threshold
    s = spikes_in(v, threshold, contract.compare or "gt", p.max_spikes)
    neuron.due = s if p.reset == "subtract_delayed" else 0
    if s:
        v = {"value": p.reset_value[i], "subtract": v - s * threshold}.get(p.reset, v)
    neuron.v = v
    neuron.fire(t, contract.refractory_steps("n"), s)
    return neuron.u, neuron.v, s


@st.composite
def refractory_cases(draw: st.DrawFn) -> Case:
    """x into n, perhaps n into itself, and n into a population that is read or spikes."""
    one = st.sampled_from
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    target = load_target(draw(one(["generic", "generic", "loihi1", "loihi2"])))
    n_in, n, n_out = draw(st.tuples(*[st.integers(1, 3)] * 3))
    model = model_of(rng, draw(one(["LIF", "CubaLIF", "IF", "Threshold"])), (n,),
                     draw(st.booleans()), False)
    last = draw(one(["LIF", "LI", "CubaLI"]))
    sketch = Sketch([Population("x", (n_in,), Source(n_in)), Population("n", (n,), model),
                     Population("last", (n_out,), model_of(rng, last, (n_out,), False, False))])
    sketch.connect("x", "n", (Dense(rng.normal(0.6, 0.8, (n, n_in)), (n_in,), (n,)),))
    sketch.connect("n", "last", (Dense(rng.normal(0.5, 0.8, (n_out, n)), (n,), (n_out,)),))
    if draw(st.booleans()):
        sketch.connect("n", "n", (Dense(rng.normal(0.2, 0.5, (n, n)), (n,), (n,)),), True)
    if draw(st.booleans()):
        sketch.biases.append(Bias("b", rng.uniform(0.0, 0.4, n), "n", (), False, ("b",)))
    sketch.outputs = ["n", "last"]
    on_loihi = target.name != "generic"
    reset = "zero" if on_loihi else draw(one(RESETS))
    stated = {"n": PopulationChoices(draw(st.integers(1, 6))),
              "*": PopulationChoices(draw(st.integers(0, 2)))}
    counts = draw(st.booleans())
    contract = Contract(
        dt_s=DT_S, integrator="euler", input_gain="unit", if_gain="r", if_floor="none",
        compare="gt" if on_loihi else draw(one(["gt", "ge"])), reset=reset,  # type: ignore[arg-type]
        max_spikes_per_step=draw(one([1, 3])) if reset == "subtract" else 1,
        current_order="current_first", synapse_input="after_decay", initial_v="v_reset",
        recurrent_bias_at_start=True, layer_latency=0, delay_unit="steps", feedback="exact",
        inputs={"*": InputBinding("counts", maximum=3.0) if counts else InputBinding("spikes")},
        populations=stated)
    return Case(sketch.network(), contract, target, Options(max_steps=64),
                draw(st.integers(0, 2**32)))


def compiled(case: Case) -> tuple[DiscreteNetwork, QuantizedNetwork]:
    try:
        _, discrete, _, network, _ = compile_phases(case)
    except CompileError:
        assume(False)
        raise
    return discrete, network


def inputs(case: Case, samples: int) -> Any:
    rng = np.random.default_rng(case.seed)
    n = case.network.inputs[0].shape[0]
    most = 4 if case.contract.inputs["*"].mode == "counts" else 2
    return rng.integers(0, most, (samples, N_STEPS, n)).astype(float)


def assert_equal(run: IntegerRun, sample: int,
                 wanted: dict[str, list[list[tuple[int, int, int]]]]) -> None:
    for name, rows in wanted.items():
        got = np.stack([run.u[name][sample], run.v[name][sample], run.s[name][sample]], axis=-1)
        different = np.argwhere(got != np.array(rows))
        assert not len(different), f"{name} at (step, neuron, of u v s) {different[0]}"


@given(refractory_cases())
def test_every_integer_executor_steps_as_the_oracle(case: Case) -> None:
    _, network = compiled(case)
    x = inputs(case, 2)
    encoded = encode_inputs(network, {"x": x}, N_STEPS)
    everything = Probes.everything(network)
    program = load(Assemble().run(Place().run(Partition().run(network))))
    runs = [run_integer(network, encoded, everything), run_simulator(network, encoded, everything),
            run_program(program, encoded, everything)]
    for sample in range(2):
        wanted = integer_oracle(network, encoded, sample, case.contract)
        for run in runs:
            assert_equal(run, sample, wanted)


@given(refractory_cases())
def test_the_float_reference_steps_as_the_oracle(case: Case) -> None:
    discrete, _ = compiled(case)
    alone = [q for q in discrete.projections if q.source == "x" and q.target == "n"]
    discrete = replace(discrete, projections=tuple(alone), network=replace(
        discrete.network, outputs=discrete.network.outputs[:1]),
        populations=tuple(p for p in discrete.populations if p.name != "last"))
    x = inputs(case, 1)
    run = run_float(discrete, {"x": x}, N_STEPS, probe_u=("n",), probe_v=("n",))
    for t, row in enumerate(float_oracle(discrete, x[0], case.contract)):
        u, v, s = zip(*row, strict=True)
        assert run.output["n"][0, t].tolist() == list(s), f"spikes at step {t}"
        assert run.u["n"][0, t] == pytest.approx(u)  # sums of another order
        assert run.v["n"][0, t] == pytest.approx(v)


@given(refractory_cases())
def test_a_neuron_waits_its_period_after_every_spike(case: Case) -> None:
    _, network = compiled(case)
    encoded = encode_inputs(network, {"x": inputs(case, 3)}, N_STEPS)
    run = run_integer(network, encoded, Probes.everything(network))
    for p in network.populations:
        if p.role != "spiking" or p.name not in ("n", "last"):
            continue
        period = case.contract.refractory_steps(p.name)
        for sample, t, i in np.argwhere(run.s[p.name][:, p.latency:] != 0).tolist():
            after = slice(p.latency + t + 1, p.latency + t + 1 + period)
            assert not run.s[p.name][sample, after, i].any()
            assert np.all(run.v[p.name][sample, after, i] == run.v[p.name][
                sample, p.latency + t, i])


def rhythm(period: int, reset: str, spikes: int, drive: float) -> Sequence[int]:
    """Spikes of an integrator with threshold 8 that gets ``drive`` a step."""
    contract = Contract(
        dt_s=DT_S, if_gain="r", if_floor="none", compare="ge", reset=reset,  # type: ignore[arg-type]
        max_spikes_per_step=spikes, layer_latency=0, inputs={"*": InputBinding("spikes")},
        integer_scale=64, populations={"n": PopulationChoices(period)})
    network = layer(IF(np.ones(1), np.full(1, 8.0), np.zeros(1)), np.full((1, 1), drive))
    case = Case(network, contract, load_target("generic"), Options(max_steps=64), 0)
    discrete, quantized = compiled(case)
    x = np.ones((1, 12, 1))
    encoded = encode_inputs(quantized, {"x": x}, 12)
    run = run_integer(quantized, encoded, Probes.everything(quantized))
    start = quantized.population("n").latency
    found = run.s["n"][0, start:start + 12, 0].tolist()
    assert found == run_float(discrete, {"x": x}, 12).output["n"][0, :, 0].tolist()
    return found


@pytest.mark.parametrize(("period", "reset", "spikes", "drive", "expected"), [
    (0, "zero", 1, 8.0, [1] * 12),
    (2, "zero", 1, 8.0, [1, 0, 0] * 4),
    (3, "zero", 1, 4.0, [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]),
    # 26 - 24 waits, 28 - 24 waits and so on: the rest after three thresholds grows by 2.
    (1, "subtract", 3, 26.0, [3, 0] * 6),
    (1, "subtract", 1, 12.0, [1, 0] * 6),
    # v = 12, waits, 12 - 8 + 12 = 16, waits, 16 - 8 + 12 = 20: as without waiting, but later.
    (1, "subtract_delayed", 1, 12.0, [1, 0] * 6),
    (1, "subtract_delayed", 1, 6.0, [0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0]),
])
def test_rhythms_that_can_be_counted_by_hand(period: int, reset: str, spikes: int, drive: float,
                                             expected: list[int]) -> None:
    assert rhythm(period, reset, spikes, drive) == expected
