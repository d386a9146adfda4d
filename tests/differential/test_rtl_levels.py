"""What becomes of the RTL, netlist and bitstream, against the integer reference."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_tools import Array, facts, lif, run, succeed, weights, write_network
from contracts import contract_of, recording
from machine_tools import needs_icestorm

import neurocompile as nc
from neurocompile.api import Build, as_dataset
from neurocompile.contract import load_contract
from neurocompile.diagnostics import CompileError
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.ir.transforms import Dense
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile.verification.report import VerificationReport
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.board import board_files
from neurocompile_backends.rtl.host.driver import Description
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate import bitstream, netlist
from neurocompile_backends.rtl.simulate.bitstream import (
    ReadBack,
    bitstream_of,
    build_bits,
    read_back,
    run_bitstream,
)
from neurocompile_backends.rtl.simulate.simulated_port import BuiltBoard
from neurocompile_backends.rtl.simulate.ultraplus import (
    CBIT_COLUMN,
    Cell,
    device_cells,
    read_tiles,
)
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize import flow as synthesis

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


def fails(report: VerificationReport) -> bool:
    """Some output differs."""
    found = report.first_divergence
    return not report.passed and found is not None and found.quantity == "s"


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
class Case:
    """The bitstream of a network and samples for it; and the same network where one weight has
    another sign bit."""

    build: Build
    x: Array
    plan: ChipPlan
    bits: bytes
    read: ReadBack
    other: Build

    @property
    def fpga(self) -> Fpga:
        return fpga_of(self.build)

    def encoded(self) -> EncodedInput:
        return encoded(self.build, self.x)

    def verify(self, build: Build, read: ReadBack,
               monkeypatch: pytest.MonkeyPatch) -> VerificationReport:
        """``verify --level bitstream`` of a build, with this in the place of its bitstream."""
        monkeypatch.setattr(bitstream, "bitstream_of", lambda *_: self.bits)
        monkeypatch.setattr(bitstream, "read_back", lambda *_: read)
        (report,) = nc.verify(build, self.x, backends=("reference", "rtl"), level="bitstream")
        return report

    def damaged(self, bits: bytes) -> ReadBack:
        """With other bits on the board."""
        board = self.read.bits.board
        return replace(self.read, bits=build_bits(bits, board_files(self.plan, board), board,
                                                  self.fpga))

    def is_the_other(self, read: ReadBack) -> None:
        """What this board sends is what the network with the other weight does."""
        probes = Probes(tuple(self.plan.outputs))
        expected = run_integer(self.other.quantized, self.encoded(), probes)
        got = run_bitstream(read, self.other.quantized, self.encoded(), probes)
        for name in self.plan.outputs:
            assert np.array_equal(got.s[name], expected.s[name])


def case_of(build: Build, x: Array) -> Case:
    plan, fpga = plan_of(build.mapping), fpga_of(build)
    bits = bitstream_of(plan, fpga)
    other = with_a_weight_changed(build.quantized, encoded(build, x))
    return Case(build, x, plan, bits, read_back(plan, fpga, bits),
                replace(build, mapping=replace(build.mapping, quantized=other)))


def fpga_of(build: Build) -> Fpga:
    assert build.mapping.target.fpga is not None
    return build.mapping.target.fpga


def encoded(build: Build, x: Array) -> EncodedInput:
    return encode_inputs(build.quantized, grids(as_dataset(x, build.inputs)), x.shape[1])


@pytest.fixture(scope="module")
def digits() -> Case:
    return case_of(compiled("digits", "ice40-hx8k"), recording("digits", SAMPLES).x)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """In an UP5K, its weights in two SPRAMs, its decay in two multipliers."""
    return case_of(small_for_up5k(tmp_path_factory.mktemp("small")), small_samples())


def with_a_weight_changed(network: QuantizedNetwork, encoded: EncodedInput) -> QuantizedNetwork:
    """Of the weights of the hidden neuron that spikes most, the one whose sign bit makes the
    largest difference to the outputs."""
    hidden, output = [p.name for p in network.populations if p.role != "source"]
    given = run_integer(network, encoded, Probes((hidden, output))).s
    neuron = int(given[hidden].sum(axis=(0, 1)).argmax())

    def differences(changed: QuantizedNetwork) -> int:
        run = run_integer(changed, encoded, Probes((output,)))
        return int(np.count_nonzero(run.s[output] != given[output]))

    (outputs,) = [p.n for p in network.populations if p.name == output]
    every = [with_a_sign_bit_flipped(network, hidden, neuron, to) for to in range(outputs)]
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
        digits: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    report = digits.verify(digits.build, digits.read, monkeypatch)
    assert proved(report) >= 50
    assert report.n_samples == SAMPLES


@needs_icestorm
def test_a_bitstream_of_other_weights_is_refused_by_its_id(
        digits: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
        digits: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has the ID of the board's network, and compares with the other."""
    files = {"rtl.json": (digits.read.bits.root / "rtl.json").read_bytes()}
    monkeypatch.setattr(bitstream.Description, "load", staticmethod(  # which finds the other here
        lambda _, program: Description.of(files, program)))
    read = replace(digits.read, plan=plan_of(digits.other.mapping))
    assert fails(digits.verify(digits.other, read, monkeypatch))


@needs_icestorm
def test_one_bit_of_a_weight_in_the_bitstream_fails(digits: Case,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else is changed: the outputs are those of the network with that weight."""
    damaged = digits.damaged(with_weight_bit_flipped(digits))
    assert fails(digits.verify(digits.build, damaged, monkeypatch))
    digits.is_the_other(damaged)


@needs_icestorm
def test_one_bit_of_a_lut_in_the_bitstream_fails(digits: Case,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the LUT that the sign bit of a weight goes through: what it says where that is 1 and its
    other inputs are 0."""
    verilog = (digits.read.bits.root / "foreign/netlist.v").read_text()
    column, row, lut, entry = lut_at(verilog, weight_net(digits, verilog))
    at = LUT_BITS[1 << entry]
    damaged = digits.damaged(with_tile_bit_flipped(
        digits.bits, column, row, 2 * lut + at // LUT_COLUMNS, FIRST_LUT_COLUMN + at % LUT_COLUMNS))
    assert fails(digits.verify(digits.build, damaged, monkeypatch))


LUT_BITS = (4, 14, 15, 5, 6, 16, 17, 7, 3, 13, 12, 2, 1, 11, 10, 0)
"""Of a truth table, where each entry is in the bits of a logic cell (IceStorm, "Logic Tile")."""
FIRST_LUT_COLUMN, LUT_COLUMNS = 36, 10
"""Of a logic tile; a cell has two rows of them."""


def weight_net(case: Case, verilog: str) -> str:
    """The net of the weight's bit that ``other`` has flipped, at the pin of its block RAM."""
    _, bit = flipped(case)
    found = weight_block(unpacked(case.bits), words(case.plan), bit)
    ram = re.search(rf"ram40_{int(found[1])}_{int(found[2])} \((.*?)\);", verilog, re.DOTALL)
    assert ram is not None
    pins = re.search(r"\.RDATA\(\{(.*?)\}\)", ram[1])
    assert pins is not None
    return pins[1].split(", ")[::-1][reversed_bits(bit % 16)]


def lut_at(verilog: str, net: str) -> tuple[int, int, int, int]:
    """Column, row, number and input of the first LUT at a net."""
    _, _, wires = verilog.partition(f"\nwire {net};\n")
    found = re.match(r"(?://.*\n)*?// \((\d+), (\d+), 'lutff_(\d)/in_(\d)'\)", wires)
    assert found is not None
    column, row, lut, entry = map(int, found.groups())
    return column, row, lut, entry


def flipped(case: Case) -> tuple[int, int]:
    """Word and bit of the synaptic memory in which ``other`` differs."""
    ((at, bit),) = [(at, bit) for at, (a, b) in enumerate(zip(
        words(case.plan), words(plan_of(case.other.mapping)), strict=True))
        for bit in range(64) if (a ^ b) >> bit & 1]
    return at, bit


def with_weight_bit_flipped(case: Case) -> bytes:
    """A bitstream with the weight of ``other``, and nothing else."""
    at, bit = flipped(case)
    text = unpacked(case.bits)
    found = weight_block(text, words(case.plan), bit)
    rows = [int(row, 16) for row in found[3].split()]
    rows[at // 16] ^= 1 << (16 * (at % 16) + reversed_bits(bit % 16))
    changed = b"".join(b"%064x\n" % row for row in rows)
    return packed(text[:found.start(3)] + changed + text[found.end(3):])


def with_tile_bit_flipped(bits: bytes, column: int, row: int, line: int, at: int) -> bytes:
    text = bytearray(unpacked(bits))
    found = re.search(rb"\.\w+_tile %d %d\n" % (column, row), text)
    assert found is not None
    place = found.end() + line * (text.index(b"\n", found.end()) + 1 - found.end()) + at
    text[place] ^= ord("0") ^ ord("1")
    return packed(bytes(text))


def unpacked(bits: bytes) -> bytes:
    return subprocess.run(["iceunpack"], input=bits, capture_output=True, check=True).stdout


def packed(text: bytes) -> bytes:
    """With its checksum."""
    return subprocess.run(["icepack"], input=text, capture_output=True, check=True).stdout


def weight_block(text: bytes, memory: list[int], bit: int) -> re.Match[bytes]:
    """Column, row and contents of the block RAM that holds 16 bits of ``memory`` (words of 64
    bits), ``bit`` among them.

    Data pins of a block are in the order of their number with its four bits reversed.
    """
    wanted = [word >> bit // 16 * 16 & 0xFFFF for word in memory]
    (found,) = [m for m in re.finditer(rb"\.ram_data (\d+) (\d+)\n((?:[0-9a-f]{64}\n){16})", text)
                if block(m[3])[:len(wanted)] == wanted]
    return found


def block(text: bytes) -> list[int]:
    """The 256 words of a block RAM."""
    rows = [int(row, 16) for row in text.split()]
    raw = [row >> (16 * i) & 0xFFFF for row in rows for i in range(16)]
    return [sum((word >> reversed_bits(b) & 1) << b for b in range(16)) for word in raw]


def reversed_bits(number: int) -> int:
    return int(f"{number:04b}"[::-1], 2)


# ---- An UP5K, with SPRAM and multipliers.


def small_for_up5k(folder: Path) -> Build:
    """8-4 neurons in four lanes, with a decay that is no power of two."""
    def neurons(n: int) -> nir.LIF:
        one = np.ones(n)
        return nir.LIF(tau=one * 1.7e-3, r=one, v_leak=one * 0, v_threshold=one * 0.1,
                       v_reset=one * 0)

    write_network(str(folder / "net.nir"), 6, 4,
                  {"w": nir.Linear(weights(8, 6)), "a": neurons(8),
                   "w2": nir.Linear(weights(4, 8) * 2), "b": neurons(4)},
                  [("input", "w"), ("w", "a"), ("a", "w2"), ("w2", "b"), ("b", "output")])
    contract = replace(load_contract("snntorch-zero", dt_s=5e-4),
                       inputs={"*": InputBinding("spikes")})
    return nc.compile(folder / "net.nir", "ice40-up5k", contract=contract,
                      mapping=Constraints(lanes=(4,)))


def small_samples() -> Array:
    return (np.random.default_rng(1).random((2, 12, 6)) < 0.5).astype(np.float32)


def test_the_netlist_of_an_up5k_gives_every_output_from_its_sprams_and_multipliers(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = small_for_up5k(tmp_path)
    made = netlist.netlist_of(plan_of(build.mapping), fpga_of(build))
    monkeypatch.setattr(netlist, "netlist_of", lambda *_: made)
    (report,) = nc.verify(build, small_samples(), backends=("reference", "rtl"), level="netlist")
    assert proved(report) >= 30
    cells = netlist.instances(made["foreign/netlist.v"])
    assert (cells["SB_SPRAM256KA"], cells["SB_MAC16"]) == (2, 2)


@needs_icestorm
def test_a_bitstream_with_spram_and_multipliers_gives_every_output_over_its_wire(
        small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SPRAMs hold comes over the wire before the first sample."""
    report = small.verify(small.build, small.read, monkeypatch)
    assert proved(report) >= 30
    assert len(multipliers(small)) == 2


@needs_icestorm
def test_one_bit_of_a_weight_that_the_host_loads_fails(small: Case, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    board, memory = small.read.bits.board, "mem/core0_dense_init.hex"
    flipped(small)  # one, and no other
    files = board_files(small.plan, board)
    there = tempfile.TemporaryDirectory(dir=tmp_path)
    write_design({**files, memory: board_files(plan_of(small.other.mapping), board)[memory]},
                 Path(there.name))
    damaged = replace(small.read, bits=BuiltBoard(board, there, small.read.bits.library))
    assert fails(small.verify(small.build, damaged, monkeypatch))
    small.is_the_other(damaged)


@needs_icestorm
def test_one_bit_of_a_multipliers_configuration_fails(small: Case,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the one whose sum goes out through its register: without it the sum is a cycle early."""
    (cell,) = [cell for cell, values in multipliers(small) if values["TOPOUTPUT_SELECT"] == 1]
    column, row, number = cell.parameters["TOPOUTPUT_SELECT"][0]
    damaged = small.damaged(with_tile_bit_flipped(small.bits, column, row, number ^ 1, CBIT_COLUMN))
    assert fails(small.verify(small.build, damaged, monkeypatch))


def multipliers(case: Case) -> list[tuple[Cell, dict[str, int]]]:
    """Those with some bit of their configuration set, and their parameters."""
    tiles = read_tiles(unpacked(case.bits).decode())
    found = [(cell, {name: sum(
        int(tiles[column, row][number ^ 1][CBIT_COLUMN]) << i
        for i, (column, row, number) in enumerate(bits)) for name, bits in cell.parameters.items()})
        for cell in device_cells()]
    return [(cell, values) for cell, values in found if any(values.values())]


# ---- What is refused, and the command line.


@pytest.mark.parametrize(("target", "level"), [("generic", "netlist"), ("zynq", "netlist"),
                                               ("ecp5-25f", "bitstream")])
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
