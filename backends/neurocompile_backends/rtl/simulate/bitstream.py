"""A bitstream of an iCE40 read back into Verilog, and simulated as a board with a host at its wire.

Project IceStorm's ``icebox_vlog`` says what its bits mean: LUTs, flip-flops, carries, the contents
of block RAM, and the wires between them. SPRAM and multipliers are added by ``ultraplus``.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocompile.diagnostics import fail
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.emit.board import Board, board_files, board_with, constraints
from neurocompile_backends.rtl.host.driver import BoardHost, Description
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate import ultraplus
from neurocompile_backends.rtl.simulate.netlist import OPTIONS, cells_of, outputs_of, record_outputs
from neurocompile_backends.rtl.simulate.run import CYCLES, places_of, sent_by, simulated_sample
from neurocompile_backends.rtl.simulate.simulated_port import (
    OFFERS,
    RESETS,
    TAKEN,
    TAKES,
    BuiltBoard,
    SimulatedPort,
    build_board,
    load_model,
)
from neurocompile_backends.rtl.simulate.verilator import compile_model
from neurocompile_backends.rtl.synthesize.flow import build_bitstream, find_tool, run_tool

INSTALL = "apt-get install fpga-icestorm"
TIMEOUT_S = 0.25
"""Of the chip's time, without a byte."""


@dataclass(frozen=True, eq=False)
class ReadBack:
    """A bitstream as a board, and the RTL of the same board: what its link does in every cycle is
    seen only there."""

    plan: ChipPlan
    bits: BuiltBoard
    rtl: BuiltBoard


def board_of(fpga: Fpga) -> Board:
    """A board with this device. Raises ``CompileError`` (E876)."""
    board = board_with(fpga)
    if board is None:
        raise fail("E876", fpga.device, "no board of this project has the device, and a bitstream "
                   "is driven over a board's wire", got=fpga.package)
    return board


def bitstream_of(plan: ChipPlan, fpga: Fpga) -> bytes:
    """What ``build --board`` makes of a design. Raises ``CompileError``: E865 to E867."""
    find_tools()
    board = board_of(fpga)
    with tempfile.TemporaryDirectory(prefix="neurocompile-bitstream-") as name:
        built = build_bitstream(board_files(plan, board), fpga, Path(name) / "bits",
                                top="nc_board", pins=constraints(board, fpga.family),
                                clock_mhz=board.clock_hz / 1e6)
        return (Path(name) / "bits" / built.bitstream).read_bytes()


def bitstream_in(folder: Path, fpga: Fpga) -> bytes:
    """What `build --board` or `patch-weights` left in a folder. Raises ``CompileError``: E865,
    E876 (it is not there, or of no board: nothing could speak to it)."""
    find_tools()
    board = board_of(fpga)
    try:
        bits = (folder / "design.bin").read_bytes()
        described = json.loads((folder / "rtl.json").read_text(encoding="utf-8"))
        there = described.get("board")
        name = "no board" if there is None else str(there["name"])
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise fail("E876", str(folder), "there is no bitstream of an iCE40 here", got=str(error),
                   hint=f"neurocompile build BUILD --board {board.name}") from error
    if name != board.name:
        raise fail("E876", str(folder), "this bitstream has no wire to a host", got=name,
                   limit=board.name, hint=f"neurocompile build BUILD --board {board.name}")
    return bits


def find_tools() -> tuple[list[str], list[str]]:
    """What unpacks and reads bitstreams. Raises ``CompileError`` (E865)."""
    return (find_tool("iceunpack", native=True, install=INSTALL),
            find_tool("icebox_vlog", install=INSTALL))


def read_back(plan: ChipPlan, fpga: Fpga, bits: bytes) -> ReadBack:
    """Verilate and compile a bitstream, and the RTL of its board. Raises ``CompileError``: E860,
    E861, E865, E867, E879."""
    board = board_of(fpga)
    files = board_files(plan, board)
    return ReadBack(plan, build_bits(bits, files, board, fpga), build_board(files, board))


def build_bits(bits: bytes, files: Mapping[str, bytes], board: Board, fpga: Fpga) -> BuiltBoard:
    """Verilate and compile a bitstream; ``files``: of the design, for its host. Raises
    ``CompileError`` as :func:`read_back`."""
    folder = tempfile.TemporaryDirectory(prefix="neurocompile-bitstream-")
    cells, sources = cells_of(fpga.family)
    verilog = verilog_of(bits, board.pins, fpga)
    compiled = compile_model(
        Path(folder.name), {**files, **cells, "foreign/netlist.v": verilog},
        "nc_board", (), (), "uart.cpp", OPTIONS, (*sources, "foreign/netlist.v"))
    return BuiltBoard(board, folder, load_model(compiled))


def verilog_of(bits: bytes, pins: Mapping[str, str], fpga: Fpga) -> bytes:
    """The module ``nc_board`` of a bitstream, its ports named by ``pins`` of the package. Raises
    ``CompileError``: E865, E867, E879 (something of it is not read)."""
    unpack, reader = find_tools()
    with tempfile.TemporaryDirectory(prefix="neurocompile-bitstream-") as name:
        work = Path(name)
        (work / "design.bin").write_bytes(bits)
        # Without the options of nextpnr, which icebox_vlog takes for names.
        (work / "names.pcf").write_text(
            "".join(f"set_io {port} {pin}\n" for port, pin in sorted(pins.items())))
        run_tool([*unpack, "design.bin", "design.asc"], work, "")
        # With its comments, which say what is on a net.
        verilog = run_tool([*reader, "-n", "nc_board", "-p", "names.pcf", "-d", fpga.package,
                            "design.asc"], work, "")
        if fpga.device == ultraplus.DEVICE:
            verilog = ultraplus.with_cells(verilog, (work / "design.asc").read_text())
        return _with_ports_apart(verilog).encode()


def _with_ports_apart(verilog: str) -> str:
    """icebox_vlog declares ports in the module's head and again as wires, which Verilog allows only
    where their directions are stated outside of the head."""

    def apart(head: re.Match[str]) -> str:
        ports = [port.strip() for port in head[1].split(",")]
        names = ", ".join(port.split()[1] for port in ports)
        return f"module nc_board ({names});\n" + "".join(f"{port};\n" for port in ports)

    return re.sub(r"module nc_board \(([^)]*)\);", apart, verilog, count=1)


def run_bitstream(read: ReadBack, network: QuantizedNetwork, encoded: EncodedInput,
                  probes: Probes, *, progress: Progress | None = None) -> IntegerRun:
    """All samples over the wire. ``checked``: the cycles of each step against
    :func:`count_cycles`, whose host offers and takes words when the link of the RTL does. Raises
    ``CompileError``: E870 to E872."""
    plan = read.plan
    total = encoded.n_steps + plan.program.latency
    run = outputs_of(plan, encoded, probes, total)
    description = Description.load(read.bits.root, plan.program)
    host = BoardHost(SimulatedPort(read.bits), description, timeout_s=TIMEOUT_S)
    beside = BoardHost(SimulatedPort(read.rtl), description, timeout_s=TIMEOUT_S)
    assert isinstance(beside.port, SimulatedPort)
    with host, beside:
        host.connect()
        beside.connect()
        beside.port.record()
        done = host.run(encoded, progress=progress)
        beside.run(encoded)
        link, _ = beside.port.recorded()
    record_outputs(run, done.s)
    # The recording begins while the last words that fill memories are on the wire; then the run
    # resets the chip.
    taken = np.flatnonzero(link & TAKEN)
    taken = taken[taken > np.flatnonzero(link & RESETS)[-1]]
    places = places_of(plan)
    at = wrong = 0
    for sample in range(encoded.n_samples):
        words = words_of(plan, encoded, sample, total)
        begin = taken[at]
        at += len(words)
        counted = count_cycles(plan, words, sent_by(
            plan, places, simulated_sample(network, encoded, sample), 0),
                               offered=link[begin:] & OFFERS != 0,
                               taking=link[begin:] & TAKES != 0)
        wrong += int(np.count_nonzero(counted.cycles != done.cycles[sample]))
    run.checked = {CYCLES: (wrong, done.cycles.size)}
    return run
