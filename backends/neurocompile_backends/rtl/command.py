"""What the command line asks of the RTL backend beside running it."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from neurocompile.diagnostics import fail
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.board import (
    Board,
    board_files,
    boards,
    constraints,
    load_board,
    loading_command,
)
from neurocompile_backends.rtl.design import ChipPlan
from neurocompile_backends.rtl.generate import design_files
from neurocompile_backends.rtl.synthesis import Report, build_bitstream, check_output
from neurocompile_backends.rtl.zynq import DRIVER, PART, SCRIPTS, TABLES, package_files


def build_bitstream_of(mapping: Mapping, output: Path, *, board: str | None = None,
                       clock_mhz: float = 30.0, seed: int = 1,
                       report: Report | None = None) -> dict[str, Any]:
    """The bitstream of a mapping in ``output``, and what it takes of the device.

    ``board``: with the host's UART, on the board's pins and at its clock. Without one the words of
    the host are ports, wherever place and route puts them. For a Zynq, which has no open tools, a
    package for Vivado and PYNQ is written instead (:func:`write_package`).

    Raises ``CompileError``: E869 (the target is no FPGA), E874 (the board), E863, E865 to E868,
    E885 (a family that needs a board), E625.
    """
    fpga = mapping.target.fpga
    if fpga is None:
        raise fail("E869", mapping.target.name, "this target is no FPGA", got="no table [fpga]",
                   hint="compile for one of the targets that have it: neurocompile targets")
    there = None if board is None else _board(board, mapping)
    if not (math.isfinite(clock_mhz) and clock_mhz > 0):
        raise fail("E867", "--clock", "not a frequency", got=clock_mhz, limit="MHz above 0")
    plan = backend.plan(mapping)
    _check_memory(plan, fpga)
    if fpga.family == "zynq":
        return write_package(plan, output, clock_mhz)
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


def write_package(plan: ChipPlan, output: Path, clock_mhz: float) -> dict[str, Any]:
    """What makes a bitstream in Vivado, in ``output``, which appears whole; and what to run next.
    Raises ``CompileError``: E625."""
    check_output(output)
    files = package_files(plan, clock_mhz)
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=output.parent) as name:
        work = Path(name) / "package"
        for path, content in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(content)
        work.replace(output)
    return {"output": str(output), "board": None, "load": None, "package": PART,
            "wanted_mhz": clock_mhz, "files": sorted(files),
            "next": [f"cd {output}", *(f"vivado -mode batch -source {s}" for s in SCRIPTS),
                     f"copy network.bit, network.hwh, {DRIVER}, rtl.json and {TABLES} to one "
                     "folder of the board"]}


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


def _check_memory(plan: ChipPlan, fpga: Fpga) -> None:
    """Synaptic memory that no block RAM of the device has room for is found before any tool runs,
    which would take minutes to say the same. Raises ``CompileError`` (E866)."""
    bits = sum(image.width * image.depth for core in plan.cores
               for name, image in core.images.items()
               if name == "SPARSE_INIT" or (name == "DENSE_INIT" and not core.parameters["SPRAM"]))
    there = fpga.brams * fpga.bram_bits
    if bits > there:
        raise fail("E866", fpga.device, "the synapses do not fit the block RAM of this device",
                   got=f"{bits:,} bits", limit=f"{there:,} bits in {fpga.brams} blocks",
                   hint="a larger device, or narrower weights (--weight-bits)")
