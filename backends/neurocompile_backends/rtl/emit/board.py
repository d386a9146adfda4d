"""Boards: a network with its host's link on pins, their constraints, and how they are loaded."""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from neurocompile.ir.target import Fpga
from neurocompile.targets import load_target
from neurocompile_backends.rtl.emit.files import (
    KIND_BITS,
    MODULES,
    design_files,
    library,
    rendered,
    word_bits,
)
from neurocompile_backends.rtl.plan.design import ChipPlan

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

LINK_MODULES = ("nc_queue", "nc_uart_rx", "nc_uart_tx", "nc_host_link", "nc_host_uart",
                "nc_host_spi")
"""What is between pins and ``nc_top``, each module after those it uses."""

BOARD_MODULES = (*MODULES, "nc_top", *LINK_MODULES, "nc_board")
"""All of a design for a board."""

GROUP = 7
"""Bits of a word in a byte (``nc_host_link``)."""

LOG2_BUFFER = 9
"""Bytes that wait in the link: one block RAM of the smallest device."""

ID_FILE = "mem/board_id.hex"
"""The memory of a board that holds which network it is: the lower half, then the upper."""


@dataclass(frozen=True)
class Board:
    """A board.

    target
        Of the device on it.
    clock_hz, baud
        Of the clock that its pin gives, and of the host's UART.
    loader
        Its name for ``openFPGALoader -b``.
    pins
        By port of ``nc_board``: ``clk``, ``rx`` (the FPGA receives), ``tx`` and, where there is
        one, ``led``. With ``sck``, ``cs_n``, ``mosi`` and ``miso`` in place of ``rx`` and ``tx``
        the host is at an SPI bus.
    led_low
        The LED is lit by a low level.
    """

    name: str
    description: str
    target: str
    clock_hz: int
    baud: int
    loader: str
    pins: Mapping[str, str]
    led_low: bool = False

    @property
    def spi(self) -> bool:
        return "sck" in self.pins

    @property
    def cycles(self) -> int:
        """Of a bit; the nearest whole number."""
        return round(self.clock_hz / self.baud)


def boards() -> tuple[str, ...]:
    """The names of all boards, sorted."""
    names = (entry.name for entry in (resources.files("neurocompile_backends.rtl.emit") / "boards")
             .iterdir())
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml")))


def load_board(name: str) -> Board:
    """The board of a shipped name."""
    file = resources.files("neurocompile_backends.rtl.emit") / "boards" / f"{name}.toml"
    document = tomllib.loads(file.read_text("utf-8"))
    pins = document["pins"]
    return Board(document["name"], document["description"], document["target"],
                 document["clock_hz"]["value"], document["baud"]["value"],
                 document["loader"]["value"],
                 {port: pin["value"] for port, pin in pins.items()},
                 pins.get("led", {}).get("low", False))


def board_with(fpga: Fpga) -> Board | None:
    """A board that has this device."""
    for name in boards():
        board = load_board(name)
        there = load_target(board.target).fpga
        if there is not None and (there.device, there.package) == (fpga.device, fpga.package):
            return board
    return None


def board_files(plan: ChipPlan, board: Board, *, log2_buffer: int = LOG2_BUFFER,
                ) -> dict[str, bytes]:
    """The files of a design with ``nc_board`` on top of it. Its ``rtl.json`` has the tables
    ``board`` and ``link``: with the program, that is all a host needs
    (``host.driver.Description``)."""
    files = design_files(plan)
    link = _link(plan, files, log2_buffer)
    for name in LINK_MODULES:
        files[f"hdl/{name}.v"] = library(f"{name}.v")
    files["hdl/nc_board.v"] = _top(plan, board, link).encode()
    files[ID_FILE] = f"{link['id'] & 0xFFFF:04x}\n{link['id'] >> 16:04x}\n".encode()
    described = json.loads(files["rtl.json"])
    described["board"] = {"name": board.name, "clock_hz": board.clock_hz, "baud": board.baud}
    described["link"] = link
    # Where the neurons of a core are that takes biases: the host has no other way to know.
    described["slots"] = {core.index: core.slot.tolist() for core in plan.cores
                          if core.parameters["LOADED"]}
    files["rtl.json"] = (json.dumps(described, indent=1) + "\n").encode()
    return files


def constraints(board: Board, family: str) -> str:
    """Pins and clock, as the place and route of a family reads them."""
    mhz = f"{board.clock_hz / 1e6:g}"
    lines = []
    for port, pin in sorted(board.pins.items()):
        # A line that nobody drives must rest.
        pull = port in ("rx", "cs_n")
        if family == "ice40":
            lines.append(f"set_io {'-pullup yes ' if pull else ''}{port} {pin}")
        elif family == "ecp5":
            lines.append(f'LOCATE COMP "{port}" SITE "{pin}";')
            lines.append(f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33{" PULLMODE=UP" if pull else ""};')
        else:
            lines.append(f'IO_LOC "{port}" {pin};')
            lines.append(f'IO_PORT "{port}" IO_TYPE=LVCMOS33{" PULL_MODE=UP" if pull else ""};')
    if family == "ice40":
        lines.append(f"set_frequency clk {mhz}")
    elif family == "ecp5":
        lines.append(f'FREQUENCY PORT "clk" {mhz} MHZ;')
    return "\n".join(lines) + "\n"


def loading_command(board: Board, bitstream: str | Path) -> list[str]:
    """The command that loads a bitstream into the board, or into its flash where it has no other
    way (``ice40_generic``)."""
    return ["openFPGALoader", "-b", board.loader, str(bitstream)]


def _link(plan: ChipPlan, files: Mapping[str, bytes], log2_buffer: int) -> dict[str, Any]:
    """What both ends of the link have to agree on."""
    to_payload = KIND_BITS + plan.place_bits + plan.number_bits
    return {"id": network_id(files), "buffer": 1 << log2_buffer, "axon": plan.axon_bits,
            "payload": plan.payload_bits,
            "flit_bytes": max(2, -(-(to_payload + plan.payload_bits) // GROUP)),
            "word_bytes": max(2, -(-(to_payload + plan.value_bits) // GROUP))}


def network_id(files: Mapping[str, bytes]) -> int:
    """CRC-32 of a network: it differs where the hardware or anything in its memories does."""
    crc = 0
    for name in sorted(files):
        if name == "hdl/nc_top.v" or name.startswith("mem/"):
            crc = zlib.crc32(name.encode() + b"\0" + files[name], crc)
    return crc


def _top(plan: ChipPlan, board: Board, link: Mapping[str, Any]) -> str:
    return rendered(
        "board.v.j2",
        title=f"A network on {board.description}", clock=board.clock_hz, cycles=board.cycles,
        spi=board.spi, led="led" in board.pins, led_low=board.led_low,
        word=word_bits(plan),
        log2_buffer=link["buffer"].bit_length() - 1, id_file=ID_FILE,
        **{name: link[name] for name in ("axon", "payload", "flit_bytes", "word_bytes")})
