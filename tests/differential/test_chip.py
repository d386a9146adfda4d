"""Programs: read back they are their mapping, and run they give the reference's every state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts import NETWORKS, contract_of, recording
from hypothesis import given
from hypothesis import strategies as st
from networks import Case, cases
from test_random_networks import compiled, encoded, first_difference

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.contract import load_contract
from neurocompile.ir.base import IntArray
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedProjection
from neurocompile.ir.target import EVENTS
from neurocompile.ir.transforms import Dense, to_sparse
from neurocompile.passes.assemble import Assemble
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile.verification.program import check_program, mapping_of
from neurocompile.verification.traffic import homes_of
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.profile import Profile, profile
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


TARGETS = ("loihi1", "loihi2", "generic")


@given(cases(), st.sampled_from([1, 2, 3, 7, 100]))
def test_a_program_equals_the_reference_and_reads_back(case: Case, per_core: int) -> None:
    mapping = mapped(compiled(case)[3], per_core)
    program = Assemble().run(mapping)
    assert_reads_back(program, mapping)
    given_input = encoded(case, mapping.quantized, 4)
    everything = Probes.everything(mapping.quantized)
    expected = run_integer(mapping.quantized, given_input, everything)
    assert first_difference(expected, run_program(load(program), given_input, everything)) == ""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_verify_proves_the_program_of_every_network(name: str, target: str) -> None:
    recorded = recording(name, 3)
    build = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    (report,) = nc.verify(build, recorded.x, backends=("reference", "chip"))
    assert report.passed, report.to_dict()
    assert_reads_back(Assemble().run(build.mapping), build.mapping)


@pytest.mark.parametrize("name", ["lif_norse", "lif_rockpool", "two_lif_neurons"])
@pytest.mark.parametrize("target", TARGETS)
def test_verify_proves_the_programs_of_the_networks_without_recordings(
        name: str, target: str, data_dir: Path) -> None:
    contract = replace(load_contract("norse", dt_s=1e-4), reset="zero", initial_v="v_reset",
                       inputs={"*": InputBinding("spikes")})
    build = nc.compile(data_dir / "nir_paper" / f"{name}.nir", target, contract=contract)
    x = np.random.default_rng(0).random((2, 300, *build.inputs[0].shape)) < 0.9
    (report,) = nc.verify(build, x, backends=("reference", "chip"))
    assert report.passed, report.first_divergence
    assert_reads_back(Assemble().run(build.mapping), build.mapping)


@pytest.mark.parametrize("name", ["oxford_network", "mnist_784_128_64_10"])
@pytest.mark.parametrize("target", TARGETS)
def test_verify_proves_the_programs_of_the_networks_of_lava_dl(
        name: str, target: str, data_dir: Path) -> None:
    made = nc.convert(data_dir / "lava_dl" / f"{name}.net", compare="gt", dt_s=1e-3)
    build = nc.compile(made.graph, target, contract=made.contract)
    x = np.random.default_rng(0).random((3, 60, *build.inputs[0].shape)) < 0.2
    (report,) = nc.verify(build, x, backends=("reference", "chip"))
    assert report.passed, report.first_divergence
    assert_reads_back(Assemble().run(build.mapping), build.mapping)


# --- timing and energy --------------------------------------------------------------------------


@given(cases(), st.sampled_from([1, 3, 100]), st.sampled_from(["unicast", "multicast"]))
def test_both_timings_count_the_same_events_and_analytic_is_never_above(
        case: Case, per_core: int, router: str) -> None:
    """``profile`` compares the spikes of every step with the simulator's by itself."""
    network = compiled(case)[3]
    chip = replace(network.target.chip, router=router)
    scheduled = replace(network.scheduled, target=replace(network.target, chip=chip))
    mapping = mapped(replace(network, scheduled=scheduled), per_core)
    program, given_input = Assemble().run(mapping), encoded(case, network, 2)
    cycle, analytic = (profile(load(program), mapping.quantized, given_input, timing=timing)
                       for timing in ("cycle", "analytic"))
    assert np.array_equal(cycle.series.events, analytic.series.events)
    assert np.array_equal(cycle.series.mark, analytic.series.mark)
    assert np.all(analytic.series.ticks <= cycle.series.ticks)
    assert_adds_up(cycle)


def assert_adds_up(p: Profile) -> None:
    """What cores sent and received is what the events of all steps say."""
    events = dict(zip(EVENTS, p.series.events.sum(axis=(0, 1)).tolist(), strict=True))
    assert p.totals.sent.sum() == events["axon_out"]
    assert p.totals.received.sum() == events["axon_in"]
    assert p.totals.spikes.sum() == events["neuron_spike"]
    assert p.totals.synapses.sum() == sum(events[f"synapse_{e}"] for e in (
        "dense", "sparse", "conv"))
    assert p.totals.link_flits.sum() == sum(events[h] for h in (
        "hop_east_west", "hop_north_south", "hop_chip"))
    assert np.all(p.totals.sending + p.totals.stalled <= p.series.ticks.sum())
    assert np.all(p.totals.receiving <= p.series.ticks.sum())
    if p.target.chip.router == "unicast":
        assert events["axon_in"] == events["axon_out"] + events["host_message"]


@pytest.mark.parametrize("name", NETWORKS)
def test_events_of_a_run_are_what_its_spikes_and_its_mapping_say(name: str) -> None:
    """Counted again from the reference's rasters, synapse by synapse."""
    recorded = recording(name, 2)
    build = nc.compile(recorded.network, "loihi1", contract=contract_of(name, recorded))
    network, steps = build.quantized, recorded.x.shape[1]
    given_input = encode_inputs(network, grids(as_dataset(recorded.x, build.inputs)), steps)
    run = run_integer(network, given_input, Probes.everything(network))
    measured = profile(load(Assemble().run(build.mapping)), network, given_input)
    assert_adds_up(measured)
    core = homes_of(build.mapping)
    messages = synapses = 0
    for q in network.projections:
        if q.source in run.s:
            sent = (run.s[q.source] != 0).sum(axis=(0, 1))
        else:  # each spike of a count is a message
            values = given_input.payloads[q.source].astype(np.int64)
            sent = values.sum(axis=(0, 1)) * (steps if values.shape[1] == 1 < steps else 1)
        cores, each = fan_out(q, core[q.target])
        messages += int(sent @ cores)
        synapses += int(sent @ each)
    assert measured.totals.received.sum() == messages
    assert measured.totals.synapses.sum() == synapses
    assert measured.totals.spikes.sum() == sum(
        int((run.s[p.name] != 0).sum()) for p in network.populations if p.role == "spiking")


def fan_out(q: QuantizedProjection, core: IntArray) -> tuple[IntArray, IntArray]:
    """Of each source element: the cores it sends to, and its synapses there. A dense row has the
    weights that are 0 too."""
    if isinstance(q.transform, Dense):
        n = q.transform.weight.shape[1]
        return np.full(n, len(np.unique(core))), np.full(n, len(core))
    sparse = to_sparse(q.transform)
    n = int(np.prod(sparse.in_shape))
    target = np.repeat(np.arange(len(sparse.indptr) - 1), np.diff(sparse.indptr))
    pairs = np.unique(np.stack([sparse.indices, core[target]]), axis=1)
    return np.bincount(pairs[0], minlength=n), np.bincount(sparse.indices, minlength=n)
