"""The RTL under Verilator: every state and every cycle, on the networks of the paper and others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from contracts import NETWORKS, contract_of, recording
from test_chip import mapped
from test_random_networks import first_difference

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.diagnostics import CompileError
from neurocompile.ir.contract import PopulationChoices
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.simulate.run import CYCLES, Stalls, run_design
from neurocompile_backends.rtl.simulate.verilator import Machine, build

DEVICES = {"digits": "ice40-hx8k", "mnist_mlp": "ice40-up5k", "mnist_cnn": "ecp5-85f",
           "nmnist": "ecp5-85f", "fsdd_rcubalif": "ecp5-25f"}
"""Where a network would be built; the others on ``generic``."""


@pytest.mark.parametrize("name", NETWORKS)
def test_verify_proves_the_rtl_of_every_network(name: str) -> None:
    recorded = recording(name, 2)
    built = nc.compile(recorded.network, DEVICES.get(name, "generic"),
                       contract=contract_of(name, recorded))
    (report,) = nc.verify(built, recorded.x, backends=("reference", "rtl"))
    assert report.passed, report.to_dict()
    own = {check.name for check in report.checks}
    assert {CYCLES, f"{CYCLES} with stalls", "states with stalls"} <= own


@pytest.mark.parametrize(("per_core", "lanes"), [(40, (1,)), (40, (5,)), (16, (4,)), (500, (32,))])
def test_any_number_of_cores_and_lanes_gives_the_same_states(per_core: int,
                                                             lanes: tuple[int]) -> None:
    recorded = recording("fsdd_delay", 2)
    built = nc.compile(recorded.network, "generic", contract=contract_of("fsdd_delay", recorded))
    mapping = mapped(built.quantized, per_core)
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    everything = Probes.everything(built.quantized)
    expected = run_integer(built.quantized, given, everything)
    plan = plan_chip(Assemble().run(mapping), built.quantized, lanes * len(mapping.use))
    run = run_design(build(plan), given, everything, stalls=Stalls(90, 90, 5))
    assert first_difference(expected, run) == ""
    assert all(wrong == 0 and compared > 0 for wrong, compared in run.checked.values())


@pytest.mark.parametrize(("name", "last", "reset", "steps", "spikes"), [
    ("fsdd_rcubalif", "lif2", "zero", 1, 1), ("fsdd_rcubalif", "lif2", "zero", 63, 1),
    ("fsdd_rcubalif", "lif2", "subtract", 2, 1), ("fsdd_rcubalif", "lif2", "subtract", 3, 4),
    ("fsdd_rcubalif", "lif2", "subtract_delayed", 5, 1),
    ("digits", "3", "subtract", 2, 3), ("digits", "3", "subtract_delayed", 1, 1)])
def test_neurons_pause_after_a_spike(
        name: str, last: str, reset: Literal["zero", "subtract", "subtract_delayed"], steps: int,
        spikes: int) -> None:
    """All but the last population pause. Spikes drive the one network, biases the other."""
    recorded = recording(name, 2)
    contract = replace(
        contract_of(name, recorded), reset=reset, max_spikes_per_step=spikes,
        populations={"*": PopulationChoices(steps), last: PopulationChoices(0)})
    built = nc.compile(recorded.network, "generic", contract=contract)
    assert {p.refractory_steps for p in built.quantized.populations} == {0, steps}
    (report,) = nc.verify(built, recorded.x, backends=("reference", "rtl"))
    assert report.passed, report.to_dict()
    assert CYCLES in {check.name for check in report.checks}


@pytest.mark.parametrize(("name", "per_core", "steps"), [("mnist_cnn", 784, None),
                                                         ("nmnist", 1024, 25)])
def test_parts_of_a_convolution_keep_its_kernels(name: str, per_core: int,
                                                 steps: int | None) -> None:
    """A core with a box of the output walks it; its synapses are not listed one by one."""
    recorded = recording(name, 2)
    x = recorded.x[:, :steps]
    built = nc.compile(recorded.network, "generic", contract=contract_of(name, recorded))
    mapping = mapped(built.quantized, per_core)
    given = encode_inputs(built.quantized, grids(as_dataset(x, built.inputs)), x.shape[1])
    everything = Probes.everything(built.quantized)
    plan = plan_chip(Assemble().run(mapping), built.quantized)
    kernels = sum(p.transform.weight.size for p in built.quantized.projections)
    stored = sum(c.parameters["DENSE_WORDS"] * c.parameters["LANES"] for c in plan.cores)
    assert [c.parameters["SPARSE_WORDS"] for c in plan.cores] == [0] * len(plan.cores)
    assert stored < 2 * kernels
    run = run_design(build(plan), given, everything)
    assert first_difference(run_integer(built.quantized, given, everything), run) == ""
    assert run.checked[CYCLES][0] == 0


def test_a_wrong_weight_or_a_wrong_cycle_is_found() -> None:
    """The comparison can fail: one bit of a memory, one cycle of the model."""
    recorded = recording("digits", 2)
    built = nc.compile(recorded.network, "generic", contract=contract_of("digits", recorded))
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    everything = Probes.everything(built.quantized)
    expected = run_integer(built.quantized, given, everything)
    plan = plan_of(built.mapping)
    core = plan.cores[0]
    image = core.images["DENSE_INIT"]
    weights, bits = image.fields[0]
    damaged = replace(image, fields=((weights ^ 1, bits), *image.fields[1:]))
    wrong = replace(plan, cores=(replace(core, images={**core.images, "DENSE_INIT": damaged}),))
    run = run_design(build(wrong), given, everything)
    assert first_difference(expected, run) != ""
    assert run.checked[CYCLES][0] == 0  # it takes as long for what it then sends
    slow = replace(core, walk=replace(core.walk, pad=core.walk.pad + 1))
    run = run_design(build(replace(plan, cores=(slow,))), given, everything)
    assert first_difference(expected, run) == ""
    assert run.checked[CYCLES][0] > 0


@pytest.mark.parametrize("name", ["digits", "fsdd_delay", "mnist_cnn"])
def test_a_profile_has_the_cycles_that_the_hardware_takes(name: str, tmp_path: Path) -> None:
    recorded = recording(name, 3)
    built = nc.compile(recorded.network, "ecp5-85f", contract=contract_of(name, recorded))
    known = nc.profile(built, recorded.x, save=tmp_path / "cycles.npz")
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    plan = plan_of(built.mapping)
    with Machine(build(plan)) as machine:
        taken = [machine.run(words_of(plan, given, i, known["steps"]), known["steps"]).cycles
                 for i in range(3)]
    saved = np.load(tmp_path / "cycles.npz")
    assert np.array_equal(saved["cycles"], np.stack(taken))
    assert known["timing"] == "rtl"
    assert known["cycles"]["max"] == max(int(t.max()) for t in taken)
    assert known["cycles"]["total"] == sum(int(t.sum()) for t in taken)
    for core in known["cores"]:
        assert 0 < core["neurons_share"] + core["synapses_share"] <= 1
    with pytest.raises(CompileError, match="E848"):
        nc.profile(built, recorded.x, trace=tmp_path / "trace.json")
    on_mesh = nc.profile(built, recorded.x, timing="cycle")
    assert on_mesh["timing"] == "cycle"
