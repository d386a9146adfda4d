"""SPRAM and multipliers of an UP5K from bits and nets that are written here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from neurocompile.diagnostics import CompileError
from neurocompile_backends.rtl.simulate.ultraplus import (
    CASCADED,
    CBIT_COLUMN,
    CHAIN_COLUMN,
    DSP_ROWS,
    LUT_BITS,
    LUT_COLUMN,
    OUTPUTS,
    SIDES,
    Cell,
    Switch,
    Wire,
    device_cells,
    with_cells,
)

SPRAMS = [cell for cell in device_cells() if cell.enabled]
MULTIPLIERS = [cell for cell in device_cells() if not cell.enabled]


def asc(on: Iterable[Switch], empty: tuple[int, int] | None = None) -> str:
    """The tiles of both sides with these bits set; one is ``empty``."""
    text = []
    for column in SIDES:
        for row in range(1, 31):
            kind = next((f"dsp{row - y}" for y in DSP_ROWS if y <= row < y + 4), "ipcon")
            bits = np.full((16, 54), "0")
            bits[:, LUT_COLUMN:LUT_COLUMN + len(LUT_BITS)] = list(LUT_BITS)
            bits[::2, CHAIN_COLUMN] = "1"
            if (column, row) == empty:
                bits[:] = "0"
            for x, y, number in on:
                if (x, y) == (column, row):
                    bits[number ^ 1, CBIT_COLUMN] = "1"
            text.append(f".{kind}_tile {column} {row}\n" + "".join(
                "".join(line) + "\n" for line in bits))
    return ".device 5k\n" + "\n".join(text)


def verilog(nets: Mapping[Wire, str]) -> str:
    """As ``icebox_vlog`` writes it."""
    return "module nc_board (input clk);\n\n" + "".join(
        f"reg {net} = 0;\n// ({x + 1}, {y}, 'sp4_h_r_1')\n// ({x}, {y}, '{wire}')\n\n"
        for (x, y, wire), net in nets.items()) + (
        "/* DSP0    0 10 */ assign dsp0_0_10_clk = n1;\nendmodule\n")


def nets_at(cell: Cell, *ports: str) -> dict[Wire, str]:
    """A net of its own at every bit of these ports; without any, of all."""
    return {wire: f"n_{port}_{i}" for port, wires in cell.ports.items()
            if port in ports or not ports for i, wire in enumerate(wires)}


def chosen(cell: Cell, values: Mapping[str, int]) -> set[Switch]:
    return {bit for name, value in values.items()
            for i, bit in enumerate(cell.parameters[name]) if value >> i & 1}


@pytest.mark.parametrize("cell", MULTIPLIERS, ids=lambda cell: cell.name)
def test_a_multiplier_has_the_parameters_of_its_bits_and_the_nets_at_its_pins(cell: Cell) -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        values = {name: int(rng.choice([v for v in range(1 << len(bits))
                                        if v != CASCADED.get(name)]))
                  for name, bits in cell.parameters.items()}
        text = with_cells(verilog(nets_at(cell)), asc(chosen(cell, values)))
        assert {name: int(value) for name, value in re.findall(
            r"\.(\w+)\(\d'd(\d)\)", text)} == values
    assert text.count("SB_MAC16") == 1
    assert "dsp0_0_10_clk" not in text
    for port, wires in cell.ports.items():
        if port in OUTPUTS:
            for i in range(len(wires)):
                assert f"assign n_{port}_{i} = {cell.name}_{port}[{i}];" in text
        else:
            bits = ", ".join(f"n_{port}_{i}" for i in reversed(range(len(wires))))
            assert f".{port}({{{bits}}})" in text


def test_inputs_of_a_multiplier_without_a_wire_are_0_but_for_its_enable() -> None:
    cell = MULTIPLIERS[0]
    text = with_cells(verilog(nets_at(cell, "O")), asc(()))
    assert ".CE({1'b1})" in text
    assert f".A({{{', '.join(['1' + chr(39) + 'b0'] * 16)}}})" in text


@pytest.mark.parametrize("cell", SPRAMS, ids=lambda cell: cell.name)
def test_an_spram_is_there_where_its_bit_is_set(cell: Cell) -> None:
    assert cell.enabled is not None
    text = with_cells(verilog(nets_at(cell)), asc([cell.enabled]))
    assert re.findall(r"^SB_\w+ \w+", text, re.MULTILINE) == [f"SB_SPRAM256KA {cell.name}"]
    assert ".WREN({n_WREN_0})" in text


def test_a_bitstream_with_none_of_them_stays_as_it_is() -> None:
    assert "SB_" not in with_cells(verilog({}), asc(()))


SPRAM, MULTIPLIER = SPRAMS[0], MULTIPLIERS[0]
ENABLED = (0, 1, 0)
OSCILLATOR: dict[Wire, str] = {(0, 29, "lutff_0/in_1"): "n"}


@pytest.mark.parametrize(("nets", "text", "subject", "got"), [
    ({}, asc([(0, 28, 5)]), "tile 0 28", "CBIT_5"),
    ({}, asc([(0, 16, 3)]), "tile 0 16", "CBIT_3"),
    (OSCILLATOR, asc(()), "tile 0 29", "lutff_0/in_1"),
    (nets_at(SPRAM, "WREN"), asc(()), "tile 0 3", "lutff_4/in_1"),
    ({w: n for w, n in nets_at(SPRAM).items() if n != "n_ADDRESS_13"}, asc([ENABLED]),
     "spram_0_0", "ADDRESS"),
    ({}, asc(chosen(MULTIPLIER, {"A_REG": 1})), "tile 0 5", "CBIT_1"),
    *((nets_at(MULTIPLIER), asc(chosen(MULTIPLIER, {name: value})), "mac16_0_5",
       f"{name} = {value}") for name, value in CASCADED.items()),
    (nets_at(MULTIPLIER, "A", "B", "O"), asc((), empty=(0, 8)), "tile 0 8", "mac16_0_5"),
])
def test_what_is_not_read_is_refused_and_not_left_out(nets: dict[Wire, str], text: str,
                                                      subject: str, got: str) -> None:
    with pytest.raises(CompileError) as error:
        with_cells(verilog(nets), text)
    (found,) = error.value.diagnostics
    assert (found.code, found.subject, found.got) == ("E879", subject, got)
