"""Cells by core, and paths by module, from what place and route says; latency and activity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.activity import Samples, count_activity, latency, run_samples
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.simulate.run import places_of, sent_by
from neurocompile_backends.rtl.synthesize.flow import FAMILIES
from neurocompile_backends.rtl.synthesize.parts import critical_path, part_of, parts_of, path_of

CELLS = {  # as nextpnr and Yosys named them in real designs
    "core0.sender.axons.g_any.mem.0.0_RAM": ("core0", "sender"),
    "core10.neurons.rest5_SB_DFF_Q_8_D_SB_LUT4_O_I1_SB_LUT4_O_LC": ("core10", "neurons"),
    "core0.begin__SB_DFFSR_Q_DFFLC": ("core0", ""),
    "core0.synapses.word_TRELLIS_FF_Q_3": ("core0", "synapses"),
    "bus.above_SB_LUT4_I1_LC": ("bus", ""),
    "control.fifo.count_SB_DFFESR_Q_1_D_SB_LUT4_O_LC": ("control", "fifo"),
    "host_valid_SB_LUT4_I3_2_O_SB_LUT4_I3_LC": ("top", ""),
    "$nextpnr_ICESTORM_LC_17": ("place and route", ""),
    "$PACKER_GND": ("place and route", ""),
    "chip.core1.neurons.valid4_SB_DFFSR_Q_D_LC": ("core1", "neurons"),
    "chip.out_end_SB_LUT4_O_LC": ("top", ""),
    "host.link.buffer.head_SB_DFFSR_Q_LC": ("host link", "link"),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_belongs_to_the_module_of_its_wire(cell: str) -> None:
    assert part_of(cell) == CELLS[cell]


def test_a_path_has_no_names_of_cells() -> None:
    assert path_of("core0.neurons.decay_v.keep3_SB_DFF_Q_5_DFFLC") == (
        "core0", "neurons", "decay_v", "keep3")
    assert path_of("chip.bus.above_SB_LUT4_I1_LC") == ("bus", "above")


def cell(kind: str, **parameters: str) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters}


def test_parts_sum_up_to_the_whole_and_cores_are_in_order() -> None:
    flip = {"DFF_ENABLE": "00000000000000000000000000000001"}
    cells = {
        "core10.neurons.a_SB_LUT4_O_LC": cell("ICESTORM_LC", **flip),
        "core2.neurons.a_SB_LUT4_O_LC": cell("ICESTORM_LC", DFF_ENABLE="0"),
        "core2.queue_SB_LUT4_O_LC": cell("ICESTORM_LC", DFF_ENABLE="1"),
        "core2.neurons.states.mem.0.0_RAM": cell("ICESTORM_RAM"),
        "core2.neurons.decay.y_SB_MAC16_O": cell("ICESTORM_DSP"),
        "bus.above_SB_LUT4_I1_LC": cell("ICESTORM_LC"),
        "$PACKER_GND": cell("ICESTORM_LC"), "clk$sb_io": cell("SB_IO"),
        "out_end_SB_LUT4_O_LC": cell("ICESTORM_LC")}
    parts = parts_of({"modules": {"top": {"cells": cells}}}, FAMILIES["ice40"].cells, {})
    assert list(parts) == ["core2", "core10", "bus", "top", "place and route"]
    assert parts["core2"].to_dict() == {
        "luts": 2, "ffs": 1, "brams": 1, "dsps": 1,
        "modules": {"neurons": {"luts": 1, "brams": 1, "dsps": 1}}}
    assert parts["core10"].used == {"luts": 1, "ffs": 1}
    assert sum(p.used.get("luts", 0) for p in parts.values()) == 6


def test_parts_of_a_gowin_count_adders_as_logic_and_a_small_multiplier_as_half() -> None:
    cells = {
        "chip.core0.neurons.rest5_DFF_Q_1_D_ALU_SUM": cell("ALU"),
        "chip.core0.neurons.valid5_DFFR_Q_D_LUT2_F": cell("LUT2"),
        "chip.core0.neurons.valid5_DFFR_Q": cell("DFFR"),
        "chip.core0.neurons.decay_v.y_MULT9X9_DOUT": cell("MULT9X9"),
        "chip.core0.synapses.records.g_any.mem.0.0": cell("SP")}
    family = FAMILIES["gowin"]
    parts = parts_of({"modules": {"top": {"cells": cells}}}, family.cells, family.kinds)
    assert parts["core0"].used == {"luts": 2, "ffs": 1, "dsps": 0.5, "brams": 1}
    assert path_of("chip.core0.neurons.rest5_DFF_Q_1_D_ALU_SUM") == ("core0", "neurons", "rest5")


def test_a_critical_path_names_each_signal_once_with_the_time_behind_it() -> None:
    hops = [
        {"delay": 2.146, "to": {"cell": "core0.sender.axons.mem.0.0_RAM"}, "type": "clk-to-q"},
        {"delay": 1.645, "to": {"cell": "host_valid_SB_LUT4_I3_2_O_SB_LUT4_O_LC"}, "type": "r"},
        {"delay": 0.399, "to": {"cell": "host_valid_SB_LUT4_I3_2_O_SB_LUT4_O_LC"}, "type": "l"},
        {"delay": 0.588, "to": {"cell": "bus.above_SB_LUT4_I1_LC"}, "type": "routing"},
        {"delay": 0.4, "to": {"cell": "$nextpnr_ICESTORM_LC_1"}, "type": "routing"}]
    assert critical_path(hops) == (
        ("core0.sender.axons.mem.0.0", 2.15), ("top.host_valid", 4.19), ("bus.above", 4.78),
        ("place and route", 5.18))
    assert critical_path(()) == ()


@pytest.mark.parametrize("name", ["mnist_mlp", "fsdd_rcubalif", "fsdd_delay"])
def test_what_cores_do_is_what_the_cycles_count_and_the_neurons_sent(name: str) -> None:
    """Words of synapses and idle cycles after them are the cycles that ``rtl.plan.cycles`` walks;
    flits are counted a second time from each spike on."""
    recorded = recording(name, 2)
    built = nc.compile(recorded.network, "ecp5-25f", contract=contract_of(name, recorded))
    plan = plan_of(built.mapping)
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.n_steps)
    run = run_integer(built.quantized, given, Probes.everything(built.quantized))
    places = places_of(plan)
    for sample in range(2):
        words = words_of(plan, given, sample, run.n_steps)
        spikes = sent_by(plan, places, run, sample)
        counted = count_activity(plan, words, spikes)
        walked = count_cycles(plan, words, spikes).walking
        for core, did in zip(plan.cores, counted, strict=True):
            pads = int(core.walk.pad.max(initial=0))
            assert did.synapse_words <= walked[core.index] <= (
                did.synapse_words + pads * did.flits_in)
            assert did.neuron_updates == run.n_steps * len(core.slot)
        sent = sum(int(np.count_nonzero(run.s[p][sample])) for p, _, _ in places)
        assert sum(did.spikes for did in counted) == sent
        host = int(np.count_nonzero((words & np.uint64(7)) == 0))
        to_host = sum(int(np.count_nonzero(run.s[p][sample])) for p in plan.outputs)
        assert sum(d.flits_in for d in counted) == host + sum(
            d.flits_out for d in counted) - to_host
    samples = run_samples(built.mapping, as_dataset(recorded.x, built.inputs))
    assert samples.cycles.shape == (2, run.n_steps)
    assert samples.cores[0].neuron_updates == 2 * counted[0].neuron_updates


def test_latency_is_cycles_times_the_period() -> None:
    samples = Samples(np.array([[100, 200], [300, 400]]), ())
    known = latency(samples, 50.0)
    assert known["step"]["cycles"] == {"mean": 250.0, "median": 250.0, "p99": 397.0, "max": 400.0}
    assert known["step"]["us"]["max"] == 8.0
    assert known["sample"]["cycles"]["mean"] == 500.0
    assert known["sample"]["us"]["max"] == 14.0
