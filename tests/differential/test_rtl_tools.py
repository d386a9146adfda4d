"""The RTL in tools beside those it is built with: Icarus Verilog, and a Yosys of the machine's."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contracts import contract_of, recording
from machine_tools import needs_icarus

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.diagnostics import CompileError
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.targets import load_target
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.simulate import icarus
from neurocompile_backends.rtl.simulate.icarus import run_icarus, simulate
from neurocompile_backends.rtl.simulate.run import CYCLES, Stalls
from neurocompile_backends.rtl.simulate.verilator import Machine, build
from neurocompile_backends.rtl.synthesize.flow import synthesize

needs_yosys = pytest.mark.skipif(
    shutil.which("yosys") is None,
    reason="there is no Yosys but that of pip: apt-get install yosys")


@needs_icarus
@pytest.mark.parametrize("stalls", [Stalls(), Stalls(90, 90, 5)], ids=["", "stalled"])
@pytest.mark.parametrize(("name", "target", "samples", "least"), [
    ("digits", "ice40-hx8k", 2, 25), ("fsdd_delay", "generic", 1, 40),
    ("fsdd_rcubalif", "ecp5-25f", 1, 30), ("mnist_mlp", "ice40-up5k", 1, 15)])
def test_icarus_gives_every_output_in_the_same_cycles(name: str, target: str, samples: int,
                                                      least: int, stalls: Stalls) -> None:
    """Constant currents; delays; a recurrent network with current filters; weights that the host
    loads. Whatever the hardware does not know after its reset is an x there, and would be seen in
    what it sends."""
    recorded = recording(name, samples)
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    plan = plan_of(built.mapping)
    probes = Probes(tuple(plan.outputs))
    expected = run_integer(built.quantized, given, probes)
    run = run_icarus(plan, built.quantized, given, probes, stalls=stalls)
    assert set(run.s) == set(plan.outputs)
    for output in plan.outputs:
        assert np.array_equal(run.s[output], expected.s[output])
    assert sum(np.count_nonzero(values) for values in run.s.values()) >= least
    assert run.checked[CYCLES] == (0, samples * expected.n_steps)


@needs_icarus
def test_icarus_and_verilator_send_the_same_words_and_a_wrong_weight_is_found() -> None:
    recorded = recording("digits", 1)
    built = nc.compile(recorded.network, "generic", contract=contract_of("digits", recorded))
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    plan = plan_of(built.mapping)
    steps = given.n_steps + plan.program.latency
    words = words_of(plan, given, 0, steps)
    (ours,) = simulate(plan, [words], steps, Stalls(64, 64, 3))
    with Machine(build(plan, optimize="-O0")) as machine:
        theirs = machine.run(words, steps, stall_in=64, stall_out=64, seed=3)
    assert ours.sent == theirs.sent
    assert np.array_equal(ours.cycles, theirs.cycles)
    (core,) = plan.cores
    image = core.images["DENSE_INIT"]
    fields = tuple((weights ^ 64, bits) for weights, bits in image.fields)
    wrong = replace(plan, cores=(replace(core, images={
        **core.images, "DENSE_INIT": replace(image, fields=fields)}),))
    (other,) = simulate(wrong, [words], steps, Stalls(64, 64, 3))
    assert other.sent != theirs.sent


@needs_icarus
def test_a_design_that_hangs_under_icarus_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = recording("digits", 1)
    built = nc.compile(recorded.network, "generic", contract=contract_of("digits", recorded))
    plan = plan_of(built.mapping)
    monkeypatch.setattr(icarus, "LIMIT", 1000)
    step = np.array([1], np.uint64)  # no END comes
    with pytest.raises(CompileError, match="E862"):
        simulate(plan, [step], 1, Stalls())


def test_a_missing_icarus_is_named_with_the_command_that_installs_it(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icarus.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CompileError) as error:
        icarus.find_icarus()
    (found,) = error.value.diagnostics
    assert (found.code, found.subject) == ("E865", "iverilog")
    assert found.hint == "apt-get install iverilog"


@needs_yosys
@pytest.mark.parametrize(("name", "target", "cells"), [
    ("digits", "ice40-hx8k", ("SB_LUT4", "SB_CARRY", "SB_DFF", "SB_RAM40_4K")),
    ("fsdd_delay", "ecp5-25f", ("LUT4", "CCU2C", "TRELLIS_FF", "DP16KD", "MULT18X18D"))])
def test_the_machines_yosys_synthesizes_a_design_without_fault(
        name: str, target: str, cells: tuple[str, ...], tmp_path: Path) -> None:
    """Debian's is 0.23, years older than that of pip. No latch, no wire without a driver or with
    two, no loop, and nothing to warn of."""
    recorded = recording(name, 1)
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    fpga = built.mapping.target.fpga
    assert fpga is not None
    synthesize(design_files(plan_of(built.mapping)), fpga, tmp_path, [yosys()], top="nc_top",
               also=("check -assert",))
    used = json.loads((tmp_path / "cells.json").read_text())["design"]["num_cells_by_type"]
    assert all(used[cell] > 0 for cell in cells), used
    assert faults(tmp_path) == []


@needs_yosys
@pytest.mark.parametrize(("body", "fault"), [
    ("always @* if (a) y = b;", "Latch inferred"),
    ("wire c; always @(posedge a) y <= c;", "no driver")])
def test_a_latch_and_a_wire_without_a_driver_would_be_found(body: str, fault: str,
                                                            tmp_path: Path) -> None:
    """The faults that the test above looks for are seen."""
    fpga = load_target("ice40-hx8k").fpga
    assert fpga is not None
    text = f"module nc_top (input a, input b, output reg y); {body} endmodule\n"
    synthesize({"hdl/nc_top.v": text.encode()}, fpga, tmp_path, [yosys()], top="nc_top",
               also=("check -assert",))
    assert any(fault in line for line in faults(tmp_path))


def yosys() -> str:
    """That of the machine."""
    found = shutil.which("yosys")
    assert found is not None
    return found


def faults(folder: Path) -> list[str]:
    """Warnings of Yosys and the latches it inferred. ABC's own are of its commands, whose networks
    come and go with the hierarchy."""
    return [line for line in (folder / "yosys.log").read_text().splitlines()
            if re.match(r"Warning:|Latch inferred", line)
            or re.search(r"is used but has no driver", line)]
