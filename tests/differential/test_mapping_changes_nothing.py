"""Whatever core a neuron is on, it does the same: networks run core by core, and before mapping.

Three networks are compared: the integers as they were before any mapping, in the simulator and the
reference; and what the cores of a mapping hold, each slice by itself, in the reference.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from contracts import contract_of, recording
from core_by_core import run_split, shuffled
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import Case, cases, compile_phases
from test_random_networks import encoded, first_difference

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.constraints import parse_constraints
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.mapping import Mapping
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile.verification.mapping import check_mapping
from neurocompile_backends.simulator.run import run_simulator


def mappings_of(case: Case) -> list[Mapping]:
    """Of one network: sequential, small cores, the portfolio, pinned, each population apart, and
    every neuron anywhere."""
    try:
        network = compile_phases(case)[3]
    except CompileError:
        assume(False)
        raise
    rng = np.random.default_rng(case.seed)
    names = [p.name for p in network.populations if p.role != "source"]
    pins = {name: tuple(rng.permutation(4)[:rng.integers(1, 3)].tolist()) for name in names
            if network.population(name).n > 1 and rng.random() < 0.6}
    made = []
    for run in (Partition().run, Partition(3).run, Portfolio().run, Portfolio(4, seed=1).run,
                Portfolio(constraints=Constraints(cores=pins)).run,
                Portfolio(constraints=Constraints(share_cores=False)).run):
        with suppress(CompileError):  # three neurons a core may be too many cores
            made.append(Place().run(run(network)))
    return [*made, shuffled(network, 5, rng)]


@given(cases(), st.integers(1, 3))
def test_random_networks_do_the_same_on_any_cores(case: Case, batch: int) -> None:
    mappings = mappings_of(case)
    network = mappings[0].quantized
    given_input = encoded(case, network, batch)
    expected = run_integer(network, given_input, Probes.everything(network))
    assert first_difference(expected, run_simulator(
        network, given_input, Probes.everything(network))) == ""
    for mapping in mappings:
        assert check_mapping(mapping) == []
        assert mapping.quantized.digest() == network.digest()
        assert first_difference(expected, run_split(mapping, given_input)) == ""


def mapping_file(network: str) -> Constraints:
    """Pins for each network: hidden neurons cut over two cores, others apart, one tile faulty."""
    return parse_constraints(PINS[network] + "place.forbidden = [{ chip = 0, x = 0, y = 0 }]\n",
                             f"{network}.toml")


PINS = {
    "digits": "partition.cores = { 1 = [3, 0], 3 = 3 }\n",
    "fsdd_rcubalif": "partition.cores = { \"lif1.lif\" = [0, 1, 2], lif2 = 7 }\n",
    "fsdd_delay": "partition.cores = { lif0 = [1, 0] }\n",
}


@pytest.mark.parametrize("name", PINS)
def test_shipped_networks_give_the_same_spikes_however_they_are_mapped(name: str) -> None:
    recorded = recording(name, 4)
    options = {
        "portfolio": Options(max_steps=recorded.n_steps),
        "small cores": Options(max_steps=recorded.n_steps, neurons_per_core=7),
        "pinned": Options(max_steps=recorded.n_steps, constraints=mapping_file(name)),
    }
    builds = {how: nc.compile(recorded.network, "loihi1", contract=contract_of(name, recorded),
                              options=chosen) for how, chosen in options.items()}
    reference = builds["portfolio"]
    n_cores = {how: build.mapping.n_cores for how, build in builds.items()}
    assert n_cores["portfolio"] < n_cores["pinned"] < n_cores["small cores"]
    data = as_dataset(recorded.x, reference.inputs)
    given_input = encode_inputs(reference.quantized, grids(data), data.n_steps)
    everything = Probes.everything(reference.quantized)
    expected = run_simulator(reference.quantized, given_input, everything)
    spikes = sum(int(expected.s[p.name].sum()) for p in reference.quantized.populations
                 if p.role == "spiking")
    assert spikes > 100
    for build in builds.values():
        assert check_mapping(build.mapping) == []
        assert build.quantized.digest() == reference.quantized.digest()
        assert first_difference(expected, run_simulator(
            build.quantized, given_input, everything)) == ""
        assert first_difference(expected, run_split(build.mapping, given_input)) == ""
    anywhere = shuffled(reference.quantized, 6, np.random.default_rng(1))
    assert check_mapping(anywhere) == []
    assert first_difference(expected, run_split(anywhere, given_input)) == ""


def test_a_synapse_on_the_wrong_core_would_be_seen() -> None:
    recorded = recording("digits", 2)
    build = nc.compile(recorded.network, "loihi1", contract=contract_of("digits", recorded),
                       options=Options(max_steps=recorded.n_steps, neurons_per_core=16))
    data = as_dataset(recorded.x, build.inputs)
    given_input = encode_inputs(build.quantized, grids(data), data.n_steps)
    expected = run_simulator(build.quantized, given_input, Probes.everything(build.quantized))
    first, second, *rest = build.mapping.slices
    swapped = replace(build.mapping, slices=(
        replace(first, neurons=second.neurons), replace(second, neurons=first.neurons), *rest))
    assert first_difference(expected, run_split(swapped, given_input)) == ""  # other cores only
    missing = replace(build.mapping, slices=(replace(first, neurons=first.neurons[1:]), second,
                                             *rest))
    assert first_difference(expected, run_split(missing, given_input)) != ""
