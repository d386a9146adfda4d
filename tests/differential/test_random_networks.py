"""Random networks on random targets: both integer executors agree, and never leave their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from networks import Case, cases, compile_phases, inputs_of

from neurocompile.diagnostics import CompileError
from neurocompile.ir.check import check_discrete, check_network, check_quantized, check_scheduled
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile_backends.simulator.run import run_simulator

N_STEPS = 12
Phases = tuple[Any, Any, Any, QuantizedNetwork, Any]


def compiled(case: Case) -> Phases:
    """All phases; a refusal must be errors with codes, and makes the example void."""
    assert check_network(case.network) == []
    try:
        return compile_phases(case)
    except CompileError as error:
        codes = sorted({d.code for d in error.diagnostics if d.is_error})
        assert codes, "refused without an error"
        event(f"refused with {', '.join(codes)}")
        assume(False)
        raise


def encoded(case: Case, network: QuantizedNetwork, n_samples: int) -> EncodedInput:
    return encode_inputs(network, inputs_of(case, n_samples, N_STEPS), N_STEPS)


def first_difference(a: IntegerRun, b: IntegerRun) -> str:
    """Where two runs differ first: quantity, population, sample, step, neuron and both values."""
    for quantity in ("u", "v", "s"):
        one, other = getattr(a, quantity), getattr(b, quantity)
        assert one.keys() == other.keys()
        for name in one:
            where = np.argwhere(one[name] != other[name])
            if len(where):
                at = tuple(where[0])
                return f"{quantity} of {name} at {at}: {one[name][at]} and {other[name][at]}"
    return ""


@given(cases(), st.integers(1, 6))
def test_simulator_equals_reference_in_every_state_at_every_step(case: Case, batch: int) -> None:
    network = compiled(case)[3]
    given_input = encoded(case, network, batch)
    everything = Probes.everything(network)
    expected = run_integer(network, given_input, everything)
    assert first_difference(expected, run_simulator(network, given_input, everything)) == ""
    alone = run_simulator(network, given_input, everything, workers=1)
    assert first_difference(expected, alone) == ""


@given(cases())
def test_simulator_equals_reference_where_a_teacher_gives_the_spikes(case: Case) -> None:
    network = compiled(case)[3]
    given_input = encoded(case, network, 3)
    everything = Probes.everything(network)
    rng = np.random.default_rng(case.seed)
    total = N_STEPS + network.latency
    teacher: dict[str, npt.NDArray[np.integer[Any]]] = {
        p.name: rng.integers(0, p.max_spikes + 1, (3, total, p.n))
        for p in network.populations if p.role == "spiking" and rng.random() < 0.7}
    expected = run_integer(network, given_input, everything, teacher=teacher)
    got = run_simulator(network, given_input, everything, teacher=teacher)
    assert first_difference(expected, got) == ""


@given(cases())
def test_every_phase_keeps_its_invariants_and_every_value_fits_its_format(case: Case) -> None:
    canonical, discrete, scheduled, quantized, _ = compiled(case)
    assert check_network(canonical) == []
    assert check_discrete(discrete) == []
    assert check_scheduled(scheduled) == []
    assert check_quantized(quantized) == []


@given(cases())
def test_no_run_leaves_the_bounds_that_were_proved(case: Case) -> None:
    network = compiled(case)[3]
    # Samples 0 to 2 of every input: all at their most, silence, and both in turn.
    given_input = encoded(case, network, 5)
    run = run_integer(network, given_input, Probes.everything(network))
    machine = network.target.machine
    for bounds in network.bounds:
        p, u, v = (network.population(bounds.population), run.u[bounds.population],
                   run.v[bounds.population])
        assert np.all(v >= bounds.v_low)
        assert np.all(v <= bounds.v_high)
        if not bounds.proved:
            continue
        # Silence is always possible, so that 0 lies in every range of u and a.
        assert np.all((u >= bounds.u_low) & (u <= bounds.u_high))
        if np.all(p.current_decay + machine.current_decay_offset == 4096):
            a = u >> machine.input_shift  # the current is the input of the step alone
            assert np.all((a >= bounds.a_low) & (a <= bounds.a_high))


def test_most_random_networks_compile() -> None:
    """The other tests would show nothing if nearly everything were refused."""
    outcomes: list[bool] = []

    @settings(max_examples=60, derandomize=True, database=None)
    @given(cases())
    def collect(case: Case) -> None:
        try:
            compile_phases(case)
            outcomes.append(True)
        except CompileError:
            outcomes.append(False)

    collect()
    assert sum(outcomes) >= len(outcomes) / 2, f"{sum(outcomes)} of {len(outcomes)} compiled"
