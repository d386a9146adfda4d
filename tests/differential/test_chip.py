"""Programs: read back they are their mapping, and run they give the reference's every state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from contracts import NETWORKS, contract_of, recording
from hypothesis import given
from hypothesis import strategies as st
from networks import Case, cases
from test_random_networks import compiled, encoded, first_difference

import neurocompile as nc
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.passes.assemble import Assemble
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.program import check_program, mapping_of
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.run import run_program


def mapped(network: QuantizedNetwork, neurons_per_core: int) -> Mapping:
    """On as many cores as that takes, where the target has them."""
    cores = sum(-(-p.n // neurons_per_core) for p in network.populations)
    chip = replace(network.target.chip, chips=max(network.target.chip.chips, cores))
    scheduled = replace(network.scheduled, target=replace(network.target, chip=chip))
    return Place().run(Partition(neurons_per_core).run(replace(network, scheduled=scheduled)))


def assert_reads_back(program: Program, mapping: Mapping) -> None:
    assert check_program(program, mapping) == []
    again = mapping_of(program, mapping.quantized)
    assert {(s.core, s.population, s.neurons.tobytes()) for s in again.slices} == {
        (s.core, s.population, s.neurons.astype(np.int64).tobytes()) for s in mapping.slices}
    assert [vars(use) for use in again.use] == [vars(use) for use in mapping.use]


@given(cases(), st.sampled_from([1, 2, 3, 7, 100]))
def test_a_program_equals_the_reference_and_reads_back(case: Case, per_core: int) -> None:
    mapping = mapped(compiled(case)[3], per_core)
    program = Assemble().run(mapping)
    assert_reads_back(program, mapping)
    given_input = encoded(case, mapping.quantized, 4)
    everything = Probes.everything(mapping.quantized)
    expected = run_integer(mapping.quantized, given_input, everything)
    assert first_difference(expected, run_program(load(program), given_input, everything)) == ""


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
@pytest.mark.parametrize("name", NETWORKS)
def test_verify_proves_the_program_of_every_network(name: str, target: str) -> None:
    recorded = recording(name, 3)
    build = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    (report,) = nc.verify(build, recorded.x, backends=("reference", "chip"))
    assert report.passed, report.to_dict()
    assert_reads_back(Assemble().run(build.mapping), build.mapping)
