"""What the command line asks of the RTL backend beside running it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.mapping import Mapping
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.board import (
    Board,
    board_files,
    boards,
    constraints,
    load_board,
    loading_command,
)
from neurocompile_backends.rtl.generate import design_files
from neurocompile_backends.rtl.lanes import resource_facts, too_large
from neurocompile_backends.rtl.synthesis import Report, build_bitstream


def build_bitstream_of(mapping: Mapping, output: Path, *, board: str | None = None,
                       clock_mhz: float = 30.0, seed: int = 1,
                       report: Report | None = None) -> dict[str, Any]:
    """The bitstream of a mapping in ``output``, and what it takes of the device.

    ``board``: with the host's UART, on the board's pins and at its clock. Without one the words of
    the host are ports, wherever place and route puts them.

    Raises ``CompileError``: E869 (the target is no FPGA), E874 (the board), E863, E865 to E868,
    E880 (too large for the device), E625.
    """
    fpga = mapping.target.fpga
    if fpga is None:
        raise fail("E869", mapping.target.name, "this target is no FPGA", got="no table [fpga]",
                   hint="compile for one of the targets that have it: neurocompile targets")
    there = None if board is None else _board(board, mapping)
    if not (math.isfinite(clock_mhz) and clock_mhz > 0):
        raise fail("E867", "--clock", "not a frequency", got=clock_mhz, limit="MHz above 0")
    plan = backend.plan(mapping)
    found = Diagnostics()
    found.extend(too_large(mapping, plan, link=there is not None))
    found.raise_if_errors()
    if there is None:
        built = build_bitstream(design_files(plan), fpga, output, clock_mhz=clock_mhz, seed=seed,
                                report=report)
        return {"output": str(output), "board": None, "load": None, **built.to_dict()}
    built = build_bitstream(
        board_files(plan, there), fpga, output, top="nc_board",
        pins=constraints(there, fpga.family), clock_mhz=max(clock_mhz, there.clock_hz / 1e6),
        seed=seed, report=report)
    return {"output": str(output), "board": there.name, **built.to_dict(),
            "load": loading_command(there, output / built.bitstream)}


def resources_of(mapping: Mapping) -> dict[str, object] | None:
    """What a mapping takes of its FPGA, without any tool; None for targets that have none, whose
    family has no estimate, or where the hardware cannot run the network."""
    if mapping.target.fpga is None or backend.check(mapping):
        return None
    return resource_facts(backend.plan(mapping))


def _board(name: str, mapping: Mapping) -> Board:
    """Raises ``CompileError`` (E874)."""
    fitting = [b for b in boards() if load_board(b).target == mapping.target.name]
    if name not in fitting:
        raise fail("E874", name, "this board is not known, or has another device",
                   got=f"a network for {mapping.target.name}",
                   limit=", ".join(fitting) or "none for this target",
                   hint="leave --board out, or compile for the board's target: " + ", ".join(
                       f"{b} ({load_board(b).target})" for b in boards()))
    return load_board(name)
