"""What becomes of the RTL, netlist and bitstream, against the integer reference."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_tools import facts, lif, run, succeed, weights, write_network
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import Build, as_dataset
from neurocompile.diagnostics import CompileError
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.ir.transforms import Dense
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile.verification.report import VerificationReport
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.board import board_files
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate import bitstream, netlist
from neurocompile_backends.rtl.simulate.bitstream import (
    ReadBack,
    bitstream_of,
    read_back,
    run_bitstream,
)
from neurocompile_backends.rtl.simulate.simulated_port import BuiltBoard
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize import flow as synthesis

needs_icestorm = pytest.mark.skipif(
    shutil.which("icebox_vlog") is None,
    reason="icebox_vlog is not installed: apt-get install fpga-icestorm")
SAMPLES = 5


def compiled(name: str, target: str) -> Build:
    recorded = recording(name, 1)
    return nc.compile(recorded.network, target, contract=contract_of(name, recorded))


def proved(report: VerificationReport) -> int:
    """How many integers that the host got were compared and are not 0."""
    assert report.passed, report.to_dict()
    measured = {c.name: c for c in report.checks if c.status == "PASS"}
    assert measured["cycles"].measured == 0
    (output,) = [c for name, c in measured.items() if name.endswith(":s")]
    assert all("no probes" in c.reason for c in report.checks if c.status == "SKIPPED")
    return int(output.reason.split()[-4])


def codes(error: pytest.ExceptionInfo[CompileError]) -> list[str]:
    return [d.code for d in error.value.diagnostics]


# ---- The netlist of synthesis.


@pytest.mark.parametrize(("name", "target", "samples", "least"), [
    ("digits", "ice40-hx8k", SAMPLES, 50), ("fsdd_rcubalif", "ecp5-25f", 1, 25)])
def test_the_netlist_of_synthesis_gives_every_output_in_the_same_cycles(
        name: str, target: str, samples: int, least: int) -> None:
    (report,) = nc.verify(compiled(name, target), recording(name, samples).x,
                          backends=("reference", "rtl"), level="netlist")
    assert proved(report) >= least
    assert {"cycles with stalls", "states with stalls"} <= {c.name for c in report.checks}


# ---- A bitstream read back.


@dataclass(frozen=True, eq=False)
class Digits:
    """The bitstream of a network for an HX8K, and one of the same network where one weight has
    another sign bit."""

    build: Build
    plan: ChipPlan
    bits: bytes
    read: ReadBack
    other: Build

    def encoded(self, samples: int = SAMPLES) -> EncodedInput:
        x = recording("digits", samples).x
        return encode_inputs(self.build.quantized, grids(as_dataset(x, self.build.inputs)),
                             x.shape[1])

    def verify(self, build: Build, read: ReadBack,
               monkeypatch: pytest.MonkeyPatch) -> VerificationReport:
        """``verify --level bitstream`` of a build, with this in the place of its bitstream."""
        monkeypatch.setattr(bitstream, "bitstream_of", lambda *_: self.bits)
        monkeypatch.setattr(bitstream, "read_back", lambda *_: read)
        (report,) = nc.verify(build, recording("digits", SAMPLES).x,
                              backends=("reference", "rtl"), level="bitstream")
        return report


@pytest.fixture(scope="module")
def digits() -> Digits:
    build = compiled("digits", "ice40-hx8k")
    plan, fpga = plan_of(build.mapping), build.mapping.target.fpga
    assert fpga is not None
    bits = bitstream_of(plan, fpga)
    x = recording("digits", SAMPLES).x
    other = with_a_weight_changed(build.quantized, encode_inputs(
        build.quantized, grids(as_dataset(x, build.inputs)), x.shape[1]))
    return Digits(build, plan, bits, read_back(plan, fpga, bits),
                  replace(build, mapping=replace(build.mapping, quantized=other)))


def with_a_weight_changed(network: QuantizedNetwork, encoded: EncodedInput) -> QuantizedNetwork:
    """Of the weights of the hidden neuron that spikes most, the one whose sign bit makes the
    largest difference to the outputs."""
    hidden, output = [p.name for p in network.populations if p.role != "source"]
    given = run_integer(network, encoded, Probes((hidden, output))).s
    neuron = int(given[hidden].sum(axis=(0, 1)).argmax())

    def differences(changed: QuantizedNetwork) -> int:
        run = run_integer(changed, encoded, Probes((output,)))
        return int(np.count_nonzero(run.s[output] != given[output]))

    every = [with_a_sign_bit_flipped(network, hidden, neuron, to) for to in range(10)]
    best = max(every, key=differences)
    assert differences(best) > 0
    return best


def with_a_sign_bit_flipped(network: QuantizedNetwork, source: str, neuron: int,
                            to: int) -> QuantizedNetwork:
    (projection,) = [p for p in network.projections if p.source == source]
    transform = projection.transform
    assert isinstance(transform, Dense)
    weight = transform.weight.copy()
    weight[to, neuron] += -128 if weight[to, neuron] >= 0 else 128
    changed = replace(projection, transform=replace(transform, weight=weight))
    return replace(network, projections=tuple(
        changed if p is projection else p for p in network.projections))


def words(plan: ChipPlan) -> list[int]:
    """The synaptic memory of a plan of one core, as its bitstream should hold it."""
    (core,) = plan.cores
    return [int(line, 16) for line in core.images["DENSE_INIT"].lines().split()]


@needs_icestorm
def test_a_bitstream_read_back_gives_every_output_over_its_wire(
        digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    report = digits.verify(digits.build, digits.read, monkeypatch)
    assert proved(report) >= 50
    assert report.n_samples == SAMPLES


@needs_icestorm
def test_a_bitstream_of_other_weights_is_refused_by_its_id(
        digits: Digits, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the host knows is of the one network, what the board holds is of the other."""
    board = digits.read.bits.board
    there = tempfile.TemporaryDirectory(dir=tmp_path)
    write_design(board_files(plan_of(digits.other.mapping), board), Path(there.name))
    bits = BuiltBoard(board, there, digits.read.bits.library)
    with pytest.raises(CompileError) as error:
        digits.verify(digits.other, replace(digits.read, bits=bits), monkeypatch)
    assert codes(error) == ["E871"]


@needs_icestorm
def test_a_bitstream_of_other_weights_fails_where_its_id_is_right(
        digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has the ID of the board's network, and compares with the other."""
    read = replace(digits.read, plan=plan_of(digits.other.mapping))
    report = digits.verify(digits.other, read, monkeypatch)
    assert not report.passed
    assert report.first_divergence is not None
    assert report.first_divergence.quantity == "s"


@needs_icestorm
def test_one_bit_of_a_weight_in_the_bitstream_fails(digits: Digits,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else is changed: the outputs are those of the network with that weight."""
    plan, other = words(digits.plan), words(plan_of(digits.other.mapping))
    ((at, bit),) = [(at, bit) for at, (a, b) in enumerate(zip(plan, other, strict=True))
                    for bit in range(64) if (a ^ b) >> bit & 1]
    fpga = digits.build.mapping.target.fpga
    assert fpga is not None
    damaged = read_back(digits.plan, fpga, with_bit_flipped(digits.bits, plan, at, bit))
    report = digits.verify(digits.build, damaged, monkeypatch)
    assert not report.passed
    assert report.first_divergence is not None
    probes = Probes(tuple(digits.plan.outputs))
    expected = run_integer(digits.other.quantized, digits.encoded(), probes)
    got = run_bitstream(damaged, digits.other.quantized, digits.encoded(), probes)
    for name in digits.plan.outputs:
        assert np.array_equal(got.s[name], expected.s[name])


def with_bit_flipped(bits: bytes, memory: list[int], at: int, bit: int) -> bytes:
    """Unpack a bitstream, find the block RAM that holds bits 16k to 16k + 15 of ``memory`` (words
    of 64 bits), flip one bit, and pack it again, with its checksum.

    Data pins of a block are in the order of their number with its four bits reversed.
    """
    text = subprocess.run(["iceunpack"], input=bits, capture_output=True, check=True).stdout
    first = bit // 16 * 16
    wanted = [word >> first & 0xFFFF for word in memory]
    found = [m for m in re.finditer(rb"\.ram_data \d+ \d+\n((?:[0-9a-f]{64}\n){16})", text)
             if block(m[1])[:len(wanted)] == wanted]
    assert len(found) == 1
    rows = [int(row, 16) for row in found[0][1].split()]
    rows[at // 16] ^= 1 << (16 * (at % 16) + reversed_bits(bit % 16))
    changed = b"".join(b"%064x\n" % row for row in rows)
    text = text[:found[0].start(1)] + changed + text[found[0].end(1):]
    return subprocess.run(["icepack"], input=text, capture_output=True, check=True).stdout


def block(text: bytes) -> list[int]:
    """The 256 words of a block RAM."""
    rows = [int(row, 16) for row in text.split()]
    raw = [row >> (16 * i) & 0xFFFF for row in rows for i in range(16)]
    return [sum((word >> reversed_bits(b) & 1) << b for b in range(16)) for word in raw]


def reversed_bits(number: int) -> int:
    return int(f"{number:04b}"[::-1], 2)


# ---- What is refused, and the command line.


@pytest.mark.parametrize(("target", "level"), [("generic", "netlist"), ("zynq", "netlist"),
                                               ("ecp5-25f", "bitstream"),
                                               ("ice40-up5k", "bitstream")])
def test_a_target_without_the_level_is_refused(target: str, level: str) -> None:
    with pytest.raises(CompileError) as error:
        nc.verify(compiled("digits", target), recording("digits", 1).x,
                  backends=("reference", "rtl"), level=level)
    assert codes(error) == ["E876"]


@pytest.mark.parametrize(("backends", "level"), [(("reference", "rtl"), "gates"),
                                                 (("reference", "simulator"), "netlist")])
def test_a_level_is_one_of_a_backend_that_has_levels(backends: tuple[str, ...],
                                                     level: str) -> None:
    with pytest.raises(CompileError) as error:
        nc.verify(compiled("digits", "ice40-hx8k"), recording("digits", 1).x, backends=backends,
                  level=level)
    assert codes(error) == ["E875"]


@pytest.mark.parametrize(("level", "tool", "command"), [
    ("netlist", "yosys", "pip install 'neurocompile[fpga]'"),
    ("bitstream", "iceunpack", "apt-get install fpga-icestorm")])
def test_a_missing_tool_is_named_with_the_command_that_installs_it(
        level: str, tool: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CompileError) as error:
        nc.verify(compiled("digits", "ice40-hx8k"), recording("digits", 1).x,
                  backends=("reference", "rtl"), level=level)
    (found,) = error.value.diagnostics
    assert (found.code, found.subject, found.hint) == ("E865", tool, command)


def test_the_command_line_verifies_a_netlist(tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    """One network, and its netlist with all weights 0."""
    write_network(str(tmp_path / "net.nir"), 3, 4, {"w": nir.Linear(weights(4, 3)), "a": lif(4)},
                  [("input", "w"), ("w", "a"), ("a", "output")])
    succeed("compile", tmp_path / "net.nir", "-t", "ice40-hx8k", "-o", tmp_path / "build",
            "-c", "snntorch-zero", "--dt", "5e-4", "--input-mode", "spikes")
    x = (np.random.default_rng(1).random((2, 12, 3)) < 0.5).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, dt=5e-4)
    command = ("verify", tmp_path / "build", "-i", tmp_path / "data.npz", "--backends",
               "reference,rtl", "--level")
    known = facts(*command, "netlist")
    (report,) = known["reports"]
    assert {c["status"] for c in report["checks"]} == {"PASS", "SKIPPED"}
    (spikes,) = [c for c in report["checks"] if c["name"].endswith(":s")]
    assert int(spikes["reason"].split()[-4]) > 5
    assert any("no probes in a netlist" in c["reason"] for c in report["checks"])

    of = netlist.netlist_of

    def of_zeros(plan: ChipPlan, fpga: Fpga) -> dict[str, bytes]:
        (core,) = plan.cores
        image = core.images["DENSE_INIT"]
        zeros = replace(image, fields=tuple((w * 0, bits) for w, bits in image.fields))
        return of(replace(plan, cores=(
            replace(core, images={**core.images, "DENSE_INIT": zeros}),)), fpga)

    monkeypatch.setattr(netlist, "netlist_of", of_zeros)
    failed = run(*command, "netlist", "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["ok"] is False
    refused = run(*command, "bits")
    assert refused.exit_code == 1
    assert "E875" in refused.output
