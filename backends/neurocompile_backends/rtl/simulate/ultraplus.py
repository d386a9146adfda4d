"""SPRAM and multipliers of an iCE40 UltraPlus (UP5K), read from its bitstream.

In the columns at both sides of the device are no logic cells: SPRAM, multipliers and hard IP hang
on the wires of these tiles. ``icebox_vlog`` follows the wires and leaves out what they lead to.
Here that is added to what it writes, from the bits of the unpacked bitstream (``.asc``).

Where pins and configuration bits are is as in Project IceStorm's "UltraPlus Features
Documentation" and in ``spram_db``, ``get_dsp_nets_db`` and ``dsp_config_db`` of its ``icebox.py``,
which lies elsewhere on every machine; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurocompile.diagnostics import Diagnostics
from neurocompile_backends.rtl.synthesize.icestorm import Tile

Wire = tuple[int, int, str]
"""Column and row of a tile, and the name of a wire in it."""
Switch = tuple[int, int, int]
"""Column and row of a tile, and the number of one of its configuration bits (CBIT)."""

DEVICE = "up5k"
SIDES = (0, 25)
"""Columns without logic cells."""
DSP_ROWS = (5, 10, 15, 23)
"""Of the lowest of a multiplier's four tiles."""

CBITS, CBIT_COLUMN = 8, 7
"""How many a tile has, and their column: number n is in row n with its lowest bit inverted."""
LUT_BITS, LUT_COLUMN, CHAIN_COLUMN = "1100001100", 36, 50
"""What every row has from that column on, where a tile of logic has its LUTs: eight that pass on
their input 2. And where, in every other row, a 1 feeds that from the LUT before. Multipliers do not
work without these (IceStorm, "Other Implementation Notes")."""

MAC16_PARAMETERS = (
    ("C_REG", 1), ("A_REG", 1), ("B_REG", 1), ("D_REG", 1), ("TOP_8x8_MULT_REG", 1),
    ("BOT_8x8_MULT_REG", 1), ("PIPELINE_16x16_MULT_REG1", 1), ("PIPELINE_16x16_MULT_REG2", 1),
    ("TOPOUTPUT_SELECT", 2), ("TOPADDSUB_LOWERINPUT", 2), ("TOPADDSUB_UPPERINPUT", 1),
    ("TOPADDSUB_CARRYSELECT", 2), ("BOTOUTPUT_SELECT", 2), ("BOTADDSUB_LOWERINPUT", 2),
    ("BOTADDSUB_UPPERINPUT", 1), ("BOTADDSUB_CARRYSELECT", 2), ("MODE_8x8", 1), ("A_SIGNED", 1),
    ("B_SIGNED", 1))
"""Of SB_MAC16 and their bits, in the order of its configuration bits, lowest first. NEG_TRIGGER has
none that is known, and place and route leaves it out."""
MOVED_DSP, MOVED_BITS, MOVED_ROW, MOVED_BY = (0, 15), range(9, 14), 4, 6
"""One multiplier has some of its bits in the tile above it, as CBITs of a number 6 lower: their
places are the oscillator's."""
CASCADED = {"BOTADDSUB_LOWERINPUT": 3, "BOTADDSUB_CARRYSELECT": 2}
"""Values with which a multiplier takes wires of the one below it that are not configured."""
IDLE = {"CE": "1'b1"}
"""What a multiplier has at an input without a wire, where it is not 0: place and route leaves out
constants that are these (nextpnr, ``set_net_constant``)."""


@dataclass(frozen=True)
class Pins:
    """Bits of a port from ``bit`` on, at the wires of consecutive cells of a tile.

    row
        Of the tile, from the first of the cell's tiles.
    wire
        With the place of the cell's number.
    """

    port: str
    row: int
    wire: str
    first: int = 0
    count: int = 1
    bit: int = 0

    def wires(self, column: int, row: int) -> Iterator[tuple[int, Wire]]:
        """(bit of the port, its wire)."""
        for i in range(self.count):
            yield self.bit + i, (column, row + self.row, self.wire.format(self.first + i))


SPRAM_ROW = 1
"""Of the first of the tiles of both SPRAMs of a side. Which of them are there: CBITs 0 and 1 of
that tile."""
SPRAM_PINS = (
    (Pins("ADDRESS", 1, "lutff_{}/in_1", 0, 8), Pins("ADDRESS", 1, "lutff_{}/in_0", 0, 6, 8),
     Pins("DATAIN", 0, "lutff_{}/in_3", 0, 8), Pins("DATAIN", 0, "lutff_{}/in_1", 0, 8, 8),
     Pins("MASKWREN", 2, "lutff_{}/in_0", 0, 4), Pins("WREN", 2, "lutff_4/in_1"),
     Pins("CHIPSELECT", 2, "lutff_6/in_1"), Pins("CLOCK", 0, "clk"),
     Pins("STANDBY", 3, "lutff_0/in_3"), Pins("SLEEP", 3, "lutff_2/in_3"),
     Pins("POWEROFF", 3, "lutff_4/in_3"),
     Pins("DATAOUT", 0, "slf_op_{}", 0, 8), Pins("DATAOUT", 1, "slf_op_{}", 0, 8, 8)),
    (Pins("ADDRESS", 1, "lutff_{}/in_0", 6, 2), Pins("ADDRESS", 2, "lutff_{}/in_3", 0, 8, 2),
     Pins("ADDRESS", 2, "lutff_{}/in_1", 0, 4, 10),
     Pins("DATAIN", 0, "lutff_{}/in_0", 0, 8), Pins("DATAIN", 1, "lutff_{}/in_3", 0, 8, 8),
     Pins("MASKWREN", 2, "lutff_{}/in_0", 4, 4), Pins("WREN", 2, "lutff_5/in_1"),
     Pins("CHIPSELECT", 2, "lutff_7/in_1"), Pins("CLOCK", 1, "clk"),
     Pins("STANDBY", 3, "lutff_1/in_3"), Pins("SLEEP", 3, "lutff_3/in_3"),
     Pins("POWEROFF", 3, "lutff_5/in_3"),
     Pins("DATAOUT", 2, "slf_op_{}", 0, 8), Pins("DATAOUT", 3, "slf_op_{}", 0, 8, 8)))
"""Of the first and of the second SPRAM of a side."""

MAC16_PINS = (
    Pins("CLK", 2, "lutff_global/clk"), Pins("CE", 2, "lutff_global/cen"),
    *(Pins(port, row, f"lutff_{{}}/in_{entry}", 0, 8, bit)
      for row, port in enumerate("DBAC") for entry, bit in ((3, 0), (1, 8))),
    Pins("AHOLD", 2, "lutff_0/in_0"), Pins("BHOLD", 1, "lutff_0/in_0"),
    Pins("CHOLD", 3, "lutff_0/in_0"), Pins("DHOLD", 0, "lutff_0/in_0"),
    Pins("IRSTTOP", 1, "lutff_global/s_r"), Pins("IRSTBOT", 0, "lutff_global/s_r"),
    Pins("ORSTTOP", 3, "lutff_global/s_r"), Pins("ORSTBOT", 2, "lutff_global/s_r"),
    Pins("OLOADTOP", 3, "lutff_2/in_0"), Pins("OLOADBOT", 0, "lutff_2/in_0"),
    Pins("ADDSUBTOP", 3, "lutff_3/in_0"), Pins("ADDSUBBOT", 0, "lutff_3/in_0"),
    Pins("OHOLDTOP", 3, "lutff_1/in_0"), Pins("OHOLDBOT", 0, "lutff_1/in_0"),
    Pins("CI", 0, "lutff_4/in_0"),
    *(Pins("O", row, "mult/O_{}", 8 * row, 8, 8 * row) for row in range(4)),
    Pins("CO", 4, "slf_op_0"))

OUTPUTS = frozenset({"DATAOUT", "O", "CO"})
"""Ports; all others are inputs."""

_HINT = "oscillators, LED drivers, I2C and SPI blocks are not read"
_TILE = re.compile(r"^\.(?:ipcon|dsp\d)_tile (\d+) (\d+)\n((?:[01]{54}\n){16})", re.MULTILINE)
_NET = re.compile(r"^(?:wire|reg) (.+?)(?: = 0)?;$")
_SEGMENT = re.compile(r"^// \((\d+), (\d+), '([^']+)'\)$")
_TERMINAL = re.compile(r"lutff_(?:\d/in_\d|global/\w+)|clk|mult/O_\d+|slf_op_\d")
_TRACED = re.compile(r"^/\* DSP\d .*\n", re.MULTILINE)
"""What ``icebox_vlog`` writes of multipliers: wires of its own at their pins."""


@dataclass(frozen=True)
class Cell:
    """An SPRAM or a multiplier of the device, used or not.

    ports
        Wires by port, lowest bit first.
    parameters
        Configuration bits by parameter, lowest bit first.
    enabled
        The bit that is set where the cell is used. A multiplier has none: it is used where
        something is connected.
    """

    kind: str
    name: str
    ports: Mapping[str, tuple[Wire, ...]]
    parameters: Mapping[str, tuple[Switch, ...]]
    enabled: Switch | None

    @property
    def wires(self) -> set[Wire]:
        return {wire for wires in self.ports.values() for wire in wires}

    @property
    def switches(self) -> set[Switch]:
        own = {switch for bits in self.parameters.values() for switch in bits}
        return own | {self.enabled} if self.enabled else own


def device_cells() -> list[Cell]:
    """All that the device has and this module reads."""
    sprams = [_spram(column, which) for column in SIDES for which in range(len(SPRAM_PINS))]
    return sprams + [_mac16(column, row) for column in SIDES for row in DSP_ROWS]


def _spram(column: int, which: int) -> Cell:
    return Cell("SB_SPRAM256KA", f"spram_{column}_{which}",
                _ports(SPRAM_PINS[which], column, SPRAM_ROW), {}, (column, SPRAM_ROW, which))


def _mac16(column: int, row: int) -> Cell:
    moved = MOVED_BITS if (column, row) == MOVED_DSP else range(0)
    parameters: dict[str, tuple[Switch, ...]] = {}
    number = 0
    for name, bits in MAC16_PARAMETERS:
        parameters[name] = tuple(
            (column, row + MOVED_ROW, n - MOVED_BY) if n in moved
            else (column, row + n // CBITS, n % CBITS) for n in range(number, number + bits))
        number += bits
    return Cell("SB_MAC16", f"mac16_{column}_{row}", _ports(MAC16_PINS, column, row), parameters,
                None)


def _ports(pins: Sequence[Pins], column: int, row: int) -> dict[str, tuple[Wire, ...]]:
    found: dict[str, dict[int, Wire]] = {}
    for part in pins:
        found.setdefault(part.port, {}).update(part.wires(column, row))
    return {port: tuple(wires[bit] for bit in range(len(wires))) for port, wires in found.items()}


def with_cells(verilog: str, asc: str) -> str:
    """What ``icebox_vlog`` writes of a bitstream, and in it the SPRAMs and multipliers that its
    bits say are there.

    ``verilog``: with its comments, which say what wires are on a net. Raises ``CompileError``:
    E879 (something in the side columns is on that is neither, or works in a way not read here).
    """
    tiles, nets = read_tiles(asc), read_nets(verilog)
    on = {(*tile, n) for tile, rows in tiles.items() for n in range(CBITS)
          if rows[n ^ 1][CBIT_COLUMN] == "1"}
    cells = [cell for cell in device_cells()
             if (cell.enabled in on if cell.enabled else not nets.keys().isdisjoint(cell.wires))]
    found = Diagnostics()
    _check_whole(cells, on, nets, found)
    for cell in cells:
        _check_cell(cell, tiles, on, nets, found)
    found.raise_if_errors()
    body = "\n".join(_instance(cell, on, nets) for cell in cells)
    head, end, tail = _TRACED.sub("", verilog).rpartition("endmodule")
    return f"{head}{body}{end}{tail}"


def read_tiles(asc: str) -> dict[Tile, list[str]]:
    """The bits of each tile in the side columns, 16 rows of 54."""
    return {(int(tile[1]), int(tile[2])): tile[3].split() for tile in _TILE.finditer(asc)}


def read_nets(verilog: str) -> dict[Wire, str]:
    """The net at each pin in the side columns that has one."""
    found: dict[Wire, str] = {}
    net = ""
    for line in verilog.splitlines():
        if segment := _SEGMENT.match(line):
            wire = int(segment[1]), int(segment[2]), segment[3]
            if wire[0] in SIDES and _TERMINAL.fullmatch(wire[2]):
                found[wire] = net
        elif begin := _NET.match(line):
            net = begin[1]
    return found


def _check_whole(cells: Sequence[Cell], on: set[Switch], nets: Mapping[Wire, str],
                 found: Diagnostics) -> None:
    """Everything that is set or connected belongs to one of these cells."""
    known = set().union(*(cell.switches for cell in cells))
    for column, row, number in sorted(on - known):
        found.add("E879", f"tile {column} {row}", "this bit is set, and belongs to no SPRAM and no "
                  "multiplier that is used", got=f"CBIT_{number}", hint=_HINT)
    pins = set().union(*(cell.wires for cell in cells))
    for column, row, wire in sorted(nets.keys() - pins):
        found.add("E879", f"tile {column} {row}", "this wire is used, and leads to no SPRAM and no "
                  "multiplier that is", got=wire, hint=_HINT)


def _check_cell(cell: Cell, tiles: Mapping[Tile, list[str]], on: set[Switch],
                nets: Mapping[Wire, str], found: Diagnostics) -> None:
    """It works as its model does."""
    for name, value in CASCADED.items():
        if name in cell.parameters and _value(cell.parameters[name], on) == value:
            found.add("E879", cell.name, "this multiplier is chained to the one below it, which is "
                      "not read", got=f"{name} = {value}")
    if cell.kind == "SB_SPRAM256KA":
        for port, wires in cell.ports.items():
            if port not in OUTPUTS and not nets.keys() >= set(wires):
                found.add("E879", cell.name, "what an SPRAM has at an input without a wire is not "
                          "known", got=port)
    for tile in sorted({place[:2] for place in cell.switches | (cell.wires & nets.keys())}):
        rows = tiles[tile]
        if any(not row.startswith(LUT_BITS, LUT_COLUMN) for row in rows) or any(
                row[CHAIN_COLUMN] != "1" for row in rows[::2]):
            found.add("E879", f"tile {tile[0]} {tile[1]}", "bits without which it does not work "
                      "are not as in every tile of this kind", got=cell.name)


def _value(bits: Sequence[Switch], on: set[Switch]) -> int:
    return sum((bit in on) << i for i, bit in enumerate(bits))


def _instance(cell: Cell, on: set[Switch], nets: Mapping[Wire, str]) -> str:
    """Verilog of a cell. What it drives is a vector of its own, since bits without a wire are
    common."""
    parameters = ", ".join(f".{name}({len(bits)}'d{_value(bits, on)})"
                           for name, bits in cell.parameters.items())
    connected, drives = [], []
    for port, wires in cell.ports.items():
        if port in OUTPUTS:
            own = f"{cell.name}_{port}"
            connected.append(f".{port}({own})")
            drives.append(f"wire [{len(wires) - 1}:0] {own};\n" + "".join(
                f"assign {nets[wire]} = {own}[{bit}];\n" for bit, wire in enumerate(wires)
                if wire in nets))
        else:
            inputs = [nets.get(wire, IDLE.get(port, "1'b0")) for wire in reversed(wires)]
            connected.append(f".{port}({{{', '.join(inputs)}}})")
    if cell.kind == "SB_MAC16":  # a chain is refused
        connected += [".ACCUMCI(1'b0)", ".SIGNEXTIN(1'b0)"]
    head = f"{cell.kind} #({parameters})" if parameters else cell.kind
    return "".join(drives) + f"{head} {cell.name} (\n  " + ",\n  ".join(connected) + "\n);\n"
