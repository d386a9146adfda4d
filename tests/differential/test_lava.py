"""Lava itself, run on the emitted programs, against the integer reference and the simulator."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import contracts
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lava_networks import IntegerCase, integer_cases, silent_case
from networks import Case, compile_phases, inputs_of, networks
from networks import contracts as contract_cases
from test_random_networks import first_difference

import neurocompile as nc
from neurocompile.contract import load_contract
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.targets import load_target
from neurocompile_backends.lava import emit as emitting
from neurocompile_backends.lava import plan as planning
from neurocompile_backends.lava.backend import run_lava
from neurocompile_backends.lava.check import check
from neurocompile_backends.simulator.run import run_simulator

TARGETS = ("loihi1", "loihi2")
FIRST = {"nmnist": 1, "braille": 1}
READ_MAX = 131071 << 6
"""The largest threshold: a membrane that is read must not exceed it."""
EXAMPLES = min(1000, 4 * settings.default.max_examples)
"""For each test a hundred in CI, a thousand in `make fuzz`: an example starts Lava (0.8 s)."""
N_STEPS = 12


@pytest.mark.parametrize("name", contracts.NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
def test_lava_equals_simulator_and_reference_in_every_state(name: str, target: str) -> None:
    recorded = contracts.recording(name, FIRST.get(name, 4))
    build = nc.compile(recorded.network, target, contract=contracts.contract_of(name, recorded))
    reports = nc.verify(build, recorded.x, backends=("simulator", "reference", "lava"))
    for report in reports:
        assert report.passed, report.first_divergence
        assert {c.status for c in report.checks} == {"PASS"}
        assert len(report.checks) == 3 * sum(
            p.role != "source" for p in build.quantized.populations)


@pytest.mark.parametrize("name", ["lif_norse", "lif_rockpool", "two_lif_neurons"])
@pytest.mark.parametrize("target", TARGETS)
def test_lava_equals_the_simulator_on_the_networks_without_recordings(
        name: str, target: str, data_dir: Path) -> None:
    contract = replace(load_contract("norse", dt_s=1e-4), reset="zero", initial_v="v_reset",
                       inputs={"*": InputBinding("spikes")})
    build = nc.compile(data_dir / "nir_paper" / f"{name}.nir", target, contract=contract)
    x = np.random.default_rng(0).random((2, 300, *build.inputs[0].shape)) < 0.9
    (report,) = nc.verify(build, x, backends=("simulator", "lava"))
    assert report.passed, report.first_divergence
    first = next(p.name for p in build.quantized.populations if p.role == "spiking")
    run = nc.simulate(build, x, probes=[f"{first}:v", f"{first}:s"])
    assert run.probes[f"{first}:v"].any()
    assert run.probes[f"{first}:s"].any()


def test_a_program_with_a_wrong_row_of_weights_is_found_out(
        monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(c: planning.Connection) -> np.ndarray:
        values = planning.weights(c)
        if c.projection.name == "1->3":
            values[7] += 2
        return values

    monkeypatch.setattr(emitting, "weights", wrong)
    recorded = contracts.recording("mnist_mlp", 3)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contracts.contract_of("mnist_mlp", recorded))
    (report,) = nc.verify(build, recorded.x, backends=("simulator", "lava"))
    assert not report.passed
    first = report.first_divergence
    assert first is not None
    assert (first.population, first.neuron, first.quantity) == ("3", (7,), "u")
    # So many of the 100 hidden neurons fired: weight_exp is 2, and u counts inputs << 6.
    spikes, rest = divmod(first.candidate.u - first.reference.u, 2 << 2 << 6)
    assert (rest, 1 <= spikes <= 100) == (0, True)


def test_networks_that_listen_to_nothing_have_as_many_samples_as_their_data() -> None:
    """Bias-driven neurons and a loop of one, beside an input that reaches neither."""
    case = silent_case()
    assert [p.role for p in case.network.populations].count("source") == 1
    everything = Probes.everything(case.network)
    assert first_difference(run_integer(case.network, case.encoded, everything),
                            run_lava(case.network, case.encoded, everything)) == ""
    recorded = run_lava(case.network, case.encoded, Probes(("in0", "n0")))
    assert recorded.s["n0"].shape == (3, 5, 3)
    assert recorded.s["n0"].any()
    assert np.array_equal(recorded.s["in0"], case.encoded.payloads["in0"])


@settings(max_examples=EXAMPLES)
@given(integer_cases())
def test_lava_equals_both_executors_on_any_integers(case: IntegerCase) -> None:
    compare(case.network, case.encoded)


@settings(max_examples=EXAMPLES)
@given(integer_cases(sparse_delays=True))
def test_delays_of_sparse_synapses_equal_those_of_a_matrix(case: IntegerCase) -> None:
    """The choice between DelaySparse and DelayDense is one of speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "DENSE_DELAYS", 0)
        assert "DelaySparse" in {c.process for c in planning.plan(case.network).connections}
        compare(case.network, case.encoded)


@st.composite
def loihi_cases(draw: st.DrawFn) -> Case:
    """As ``networks.cases`` on the chips that Lava describes, with delays that need relays, and
    without refractory periods, of which Lava has no integer model (E811)."""
    target = load_target(draw(st.sampled_from(TARGETS)))
    network = draw(networks(longest=70.0))
    contract = replace(draw(contract_cases(network, target)), populations={})
    return Case(network, contract, target, Options(
        weight_bits=draw(st.sampled_from(target.synapse.weight_bits)), max_steps=64),
        draw(st.integers(0, 2**32)))


@settings(max_examples=EXAMPLES)
@given(loihi_cases())
def test_lava_equals_both_executors_on_compiled_networks(case: Case) -> None:
    try:
        network = compile_phases(case)[3]
    except CompileError:
        assume(False)
        raise
    compare(network, encode_inputs(network, inputs_of(case, 3, N_STEPS), N_STEPS))


def test_random_networks_reach_every_process_and_every_overflow() -> None:
    """The other tests would show nothing of what no example has."""
    seen: Counter[str] = Counter()

    @settings(max_examples=100, derandomize=True, database=None)
    @given(integer_cases())
    def collect(case: IntegerCase) -> None:
        planned = planning.plan(case.network)
        seen.update(c.process for c in planned.connections)
        seen["per neuron"] += any(n.per_neuron for n in planned.neurons)
        seen["islands"] += bool(planned.islands)
        seen["drives"] += bool(planned.drives)
        seen["loops"] += any(c.source == c.target for c in planned.connections)
        seen["payloads"] += any(c.num_message_bits for c in planned.connections)
        seen["62 steps"] += any(longest(q) == 62 for q in case.network.projections)
        run = run_integer(case.network, case.encoded, Probes.everything(case.network))
        seen["read"] += any(p.role == "analog" for p in case.network.populations)
        seen["spikes"] += any(run.s[p.name].any() for p in case.network.populations
                              if p.role == "spiking")
        seen["saturated"] += any((np.abs(v) == (1 << 23) - 1).any() for v in run.v.values())
        seen["folded"] += any((np.abs(u) > 1 << 22).any() for u in run.u.values())
        seen.update({q.sign_mode for q in case.network.projections})

    collect()
    wanted = {"Dense", "DelayDense", "Sparse", "Conv", "per neuron", "islands", "drives", "loops",
              "payloads", "62 steps", "read", "spikes", "saturated", "folded", "mixed",
              "excitatory", "inhibitory"}
    assert {name for name in wanted if seen[name] < 3} == set(), seen


def longest(q: planning.QuantizedProjection) -> int:
    return planning.delays(q)[1]


def compare(network: QuantizedNetwork, encoded: EncodedInput) -> None:
    """Reference, simulator and Lava agree in every state at every step."""
    assert [d for d in check(network) if d.is_error] == []
    everything = Probes.everything(network)
    expected = run_integer(network, encoded, everything)
    assume(not read_too_high(network, expected))
    assert first_difference(expected, run_simulator(network, encoded, everything)) == ""
    assert first_difference(expected, run_lava(network, encoded, everything)) == ""


def read_too_high(network: QuantizedNetwork, run: IntegerRun) -> bool:
    """Does a membrane that is read pass the threshold? ``check`` refuses such networks by their
    bounds, which those written in integers do not have."""
    return any((run.v[p.name] > READ_MAX).any() for p in network.populations
               if p.role == "analog")
