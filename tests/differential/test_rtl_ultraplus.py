"""SPRAM and multipliers of an UP5K, read from its bitstream: all of them, in random configurations.
"""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine_tools import needs_icarus, needs_icestorm

from neurocompile.targets import load_target
from neurocompile_backends.rtl.simulate.bitstream import verilog_of
from neurocompile_backends.rtl.simulate.icarus import find_icarus
from neurocompile_backends.rtl.simulate.netlist import cells_of
from neurocompile_backends.rtl.simulate.ultraplus import (
    CASCADED,
    DSP_ROWS,
    MAC16_PARAMETERS,
    MAC16_PINS,
    OUTPUTS,
    SIDES,
    SPRAM_PINS,
    Pins,
    device_cells,
)
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize.flow import build_bitstream, run_tool

BOARD_PINS = {"clk": "35", "rx": "6", "tx": "9", "led": "37"}
STATE = 96
"""Bits of the shift register that every input hangs on."""
CYCLES = 4000
RARE = {"IRSTTOP": 4, "IRSTBOT": 4, "ORSTTOP": 4, "ORSTBOT": 4, "SLEEP": 4, "WREN": 2}
"""Inputs, and how many random bits have to be 1 for them. From a register, since a reset without a
clock minds glitches."""
BENCH = """
module bench;
    reg clk = 0, rx = 0;
    wire tx, led, read_tx, read_led;
    source source (.clk(clk), .rx(rx), .tx(tx), .led(led));
    nc_board board (.clk(clk), .rx(rx), .tx(read_tx), .led(read_led));
    integer i, known = 0, ones = 0, wrong = 0;
    initial begin
        for (i = 0; i < %d; i = i + 1) begin
            rx = $random;
            #5 clk = 1;
            #1 rx = rx;
            #4 clk = 0;
            #5;
            if (i > %d && (tx ^ led) !== 1'bx) begin
                known = known + 1;
                ones = ones + tx;
                wrong = wrong + (read_tx !== tx) + (read_led !== led);
            end
        end
        $display("known %%0d ones %%0d wrong %%0d", known, ones, wrong);
    end
endmodule
"""


def icebox() -> Any:
    """Project IceStorm's library, which lies beside its tools."""
    reader = shutil.which("icebox_vlog")
    assert reader is not None
    folder = str(Path(reader).resolve().parent)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("icebox")
    finally:
        sys.path.remove(folder)


def flat(ports: Mapping[str, tuple[tuple[int, int, Any], ...]]) -> dict[str, tuple[int, int, Any]]:
    """Bits of ports as icebox names them."""
    return {port if len(bits) == 1 else f"{port}_{i}": bit
            for port, bits in ports.items() for i, bit in enumerate(bits)}


@needs_icestorm
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_pins_and_configuration_bits_are_where_icestorm_has_them() -> None:
    library = icebox()
    device = library.iceconfig()
    device.setup_empty_5k()
    sprams = []
    for cell in device_cells():
        if cell.enabled:
            column, row, number = cell.enabled
            sprams.append({**flat(cell.ports), "SPRAM_EN": (column, row, f"CBIT_{number}")})
            continue
        column, row, _ = min(cell.wires)
        assert flat(cell.ports) == device.get_dsp_nets_db(column, row)
        assert {name: (x, y, f"CBIT_{n}") for name, (x, y, n) in flat(
            cell.parameters).items()} == device.get_dsp_config_db(column, row)
    assert sprams == [known for _, known in sorted(library.spram_db["5k"].items())]
    assert set(device.dsp_tiles[0]) == {(x, y) for x in SIDES for y in DSP_ROWS}
    bits = {(n, tuple(entry[0])) for entry in library.ipcon_5k_db if entry[1] == "IpConfig"
            for n in [int(entry[2][-1])]}
    assert bits == {(n, (f"B{n ^ 1}[7]",)) for n in range(8)}


def random_design(name: str, seed: int) -> bytes:
    """A module with all SPRAMs and all multipliers of the device, each in a random configuration
    that is no chain. Their inputs are bits of a shift register, every input of a cell another;
    their outputs are summed in two bits."""
    rng = np.random.default_rng(seed)
    outputs: list[str] = []
    body = [f"reg [{STATE - 1}:0] s = 0;", f"always @(posedge clk) s <= {{s[{STATE - 2}:0], rx}};"]
    for i in range(len(SIDES) * len(SPRAM_PINS)):
        body += instance("SB_SPRAM256KA", "", f"spram{i}", SPRAM_PINS[0], rng, outputs)
    for i in range(len(SIDES) * len(DSP_ROWS)):
        values = [(name, int(rng.choice([v for v in range(1 << bits)
                                         if v != CASCADED.get(name)])))
                  for name, bits in MAC16_PARAMETERS]
        parameters = ", ".join(f".{name}({value})" for name, value in values)
        body += instance("SB_MAC16", f"#({parameters})", f"mac{i}", MAC16_PINS, rng, outputs)
    half = len(outputs) // 2
    body += [f"assign tx = ^{{{', '.join(outputs[:half])}}};",
             f"assign led = ^{{{', '.join(outputs[half:])}}};"]
    head = f"module {name} (input clk, input rx, output tx, output led);\n"
    return (head + "\n".join(body) + "\nendmodule\n").encode()


def instance(kind: str, parameters: str, name: str, pins: tuple[Pins, ...],
             rng: np.random.Generator, outputs: list[str]) -> Iterator[str]:
    widths: dict[str, int] = {}
    for part in pins:
        widths[part.port] = max(widths.get(part.port, 0), part.bit + part.count)
    free = [f"s[{bit}]" for bit in rng.permutation(STATE)]
    ports = []
    for port, width in widths.items():
        own = f"{name}_{port}"
        if port == "CO":
            continue  # of one multiplier in a tile that place and route leaves empty
        if port in OUTPUTS:
            yield f"wire [{width - 1}:0] {own};"
            outputs.append(own)
        elif port in RARE:
            rare = ", ".join(free.pop() for _ in range(RARE[port]))
            yield f"reg {own} = 0;\nalways @(posedge clk) {own} <= &{{{rare}}};"
        else:
            yield f"wire [{width - 1}:0] {own} = {{{', '.join(given(port, width, free))}}};"
        ports.append(f".{port}({own})")
    yield f"{kind} {parameters} {name} ({', '.join(ports)});"


def given(port: str, width: int, free: list[str]) -> list[str]:
    """What is at an input. All bits of an address are used and few addresses are, so that what is
    read was written before."""
    if port in ("CLK", "CLOCK"):
        return ["clk"]
    if port in ("STANDBY", "POWEROFF"):
        return ["1'b0" if port == "STANDBY" else "1'b1"]
    if port == "ADDRESS":
        return [f"({{{', '.join(free[:4])}}} == {bit})" for bit in range(width)]
    return [free.pop() for _ in range(width)]


@needs_icestorm
@needs_icarus
def test_every_spram_and_multiplier_works_read_back_as_it_did_in_the_source(
        tmp_path: Path) -> None:
    """Simulated in Icarus, with Yosys's models of both cells, beside the source."""
    fpga = load_target("ice40-up5k").fpga
    assert fpga is not None
    # Yosys's ``ice40_dsp`` takes every SB_MAC16 for one of its own: without it.
    plain = replace(fpga, dsps=0)
    pins = "".join(f"set_io {port} {pin}\n" for port, pin in BOARD_PINS.items())
    built = build_bitstream({"hdl/nc_board.v": random_design("nc_board", 1)}, plain,
                            tmp_path / "bit", top="nc_board", pins=pins, clock_mhz=12)
    assert (built.used["sprams"], built.used["dsps"]) == (4, 8)
    verilog = verilog_of((tmp_path / "bit" / built.bitstream).read_bytes(), BOARD_PINS, fpga)
    counted = re.findall(rb"^(SB_SPRAM256KA|SB_MAC16) ", verilog, re.MULTILINE)
    assert (counted.count(b"SB_SPRAM256KA"), counted.count(b"SB_MAC16")) == (4, 8)
    cells, _ = cells_of(fpga.family)
    work = tmp_path / "icarus"
    work.mkdir()
    write_design({**cells, "read.v": verilog, "bench.v": (BENCH % (CYCLES, CYCLES // 4)).encode(),
                  "source.v": random_design("source", 1)}, work)
    compiler, simulator = find_icarus()
    run_tool([compiler, "-g2009", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-o", "bench.vvp", "-s",
              "bench", "bench.v", "source.v", "read.v", "foreign/cells_sim.v"], work, "")
    said = re.search(r"known (\d+) ones (\d+) wrong (\d+)",
                     run_tool([simulator, "-n", "bench.vvp"], work, ""))
    assert said is not None
    known, ones, wrong = map(int, said.groups())
    assert known > CYCLES // 10
    assert 0.3 < ones / known < 0.7
    assert wrong == 0
