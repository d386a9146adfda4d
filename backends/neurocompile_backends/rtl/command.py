"""What the command line asks of the RTL backend beside running it."""

from __future__ import annotations

import json
import shlex
import time
import typing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurocompile.diagnostics import CompileError, Diagnostics, fail
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.activity import latency, run_samples
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.emit.board import (
    Board,
    board_files,
    boards,
    constraints,
    load_board,
    loading_command,
)
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.emit.zynq import DRIVER, PART, SCRIPTS, TABLES, package_files
from neurocompile_backends.rtl.estimate.lanes import resource_facts, too_large, widest_lanes
from neurocompile_backends.rtl.estimate.resources import is_estimated
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize.flow import (
    FAMILIES,
    REMOVE,
    RESOURCES,
    Report,
    build_bitstream,
    check_buildable,
)
from neurocompile_backends.rtl.synthesize.folders import (
    check_place,
    exchanged,
    folder_beside,
    whole_folder,
)
from neurocompile_backends.rtl.synthesize.patch import check_same, patch_bitstream, read_design

if TYPE_CHECKING:
    from neurocompile.api import Build
    from neurocompile.data import Dataset
    from neurocompile_backends.rtl.plan.design import ChipPlan

MAX_CLOCK_MHZ = 1000
"""More than any of these devices has; place and route counts in picoseconds."""

MAX_SEED = (1 << 31) - 1
"""Of nextpnr."""

BITSTREAM = "bitstream"
"""The folder of it in a build."""


def build_bitstream_of(mapping: Mapping, output: Path, *, board: str | None = None,
                       clock_mhz: float = 30.0, seed: int = 1, data: Dataset | None = None,
                       report: Report | None = None) -> dict[str, Any]:
    """The bitstream of a mapping in ``output``, and what it takes of the device.

    ``board``: with the host's UART, on the board's pins and at its clock. Without one the words of
    the host are ports, wherever place and route puts them. ``data``: samples whose latency and
    activity are counted (``activity.latency``), at the clock of the board or the one reached.
    For a Zynq, which has no open tools, a package for Vivado and PYNQ is written instead
    (:func:`write_package`).

    Raises ``CompileError``: E869 (the target is no FPGA), E874 (the board), E863, E865 to E868,
    E880 (too large for the device), E885 (a family that needs a board), E886 (clock or seed),
    E625. What can be found before a tool runs is found at once. A design that is slower than its
    board is written all the same, is not to be loaded, and ``diagnostics`` of it has E887.
    """
    fpga = _fpga(mapping)
    there = _checked(mapping, fpga, output, board, clock_mhz, seed)
    plan = backend.plan(mapping)
    if fpga.family == "zynq":
        return write_package(plan, output, clock_mhz)
    samples = None if data is None else run_samples(mapping, data)
    load, found = None, Diagnostics()
    if there is None:
        built = build_bitstream(design_files(plan), fpga, output, clock_mhz=clock_mhz, seed=seed,
                                report=report)
    else:
        board_mhz = there.clock_hz / 1e6
        built = build_bitstream(
            board_files(plan, there), fpga, output, top="nc_board",
            pins=constraints(there, fpga.family), clock_mhz=max(clock_mhz, board_mhz), seed=seed,
            load=loading_command(there, Path(FAMILIES[fpga.family].bitstream)),
            board_mhz=board_mhz, report=report)
        load = _loading(there, built.mhz, output / built.bitstream, found)
    known = built.to_dict()
    if samples is not None:
        known["samples"] = latency(samples, built.mhz if there is None else there.clock_hz / 1e6)
        _replace(output / RESOURCES, json.dumps(known, indent=1) + "\n")
    return {"output": str(output), "board": there and there.name, **known, "load": load,
            "diagnostics": [d.to_dict() for d in found]}


def _loading(board: Board, mhz: float, bitstream: Path, found: Diagnostics) -> list[str] | None:
    """What loads a bitstream of a design that is fast enough for its board; else E887 is found."""
    board_mhz = board.clock_hz / 1e6
    if mhz >= board_mhz:
        return loading_command(board, bitstream)
    found.add("E887", board.name, "the design is slower than the clock of this board",
              got=f"{mhz:.1f} MHz", limit=f"{board_mhz:g} MHz",
              hint="do not load it: build with another --seed, or compile with fewer --lanes")
    return None


def _checked(mapping: Mapping, fpga: Fpga, output: Path, board: str | None, clock_mhz: float,
             seed: int) -> Board | None:
    """The board of a build that no check stands against. Raises ``CompileError``, with what all
    checks before the tools find."""
    there = None
    found = Diagnostics()
    if board is not None:
        with found.collecting():
            there = _board(board, mapping)
    if not 0 < clock_mhz <= MAX_CLOCK_MHZ:
        found.add("E886", "--clock", "not a frequency to aim at", got=f"{clock_mhz:g}",
                  limit=f"MHz above 0, at most {MAX_CLOCK_MHZ}")
    if not 0 <= seed <= MAX_SEED:
        found.add("E886", "--seed", "not a seed of place and route", got=seed,
                  limit=f"0 to {MAX_SEED}")
    with found.collecting():
        if fpga.family == "zynq":
            check_place(output, REMOVE)
        else:
            check_buildable(fpga, output, board is not None)
    found.extend(backend.check(mapping) or too_large(mapping, backend.plan(mapping),
                                                     link=board is not None))
    found.raise_if_errors()
    return there


def _replace(path: Path, text: str) -> None:
    """Write a file whole."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def patch_weights(folder: Path, model: Path, output: Path | None = None, *,
                  bitstream: Path | None = None, report: Report | None = None) -> dict[str, Any]:
    """Another network of the same shape in the build ``folder`` and its bitstream, which is
    neither synthesized nor placed nor routed again.

    ``model`` is compiled with the options of the build, its weights with the exponents of those
    that are there. ``output``: a new build, or ``folder``, which then becomes the patched one;
    FOLDER-patched where None. ``bitstream``: the folder of it, where it is not in the build.

    ``diagnostics`` of it has E887 for a design that is slower than its board, as
    :func:`build_bitstream_of`. Raises ``CompileError``: what compiling finds; E890 to E893, E865,
    E867, E869; E625.
    """
    from neurocompile.api import load_build
    from neurocompile.store import read_build

    began = time.perf_counter()
    say = report or (lambda _: None)
    folder = Path(folder)
    place = folder.with_name(folder.name + "-patched") if output is None else output
    here = place.resolve() == folder.resolve()
    if not here:
        check_place(place, "name a new directory with -o, or BUILD itself to replace it")
    old = load_build(folder)
    fpga = _fpga(old.mapping)
    there = folder / BITSTREAM if bitstream is None else bitstream
    design = read_design(there, fpga)
    say("compiling")
    new = compiled_as(old, model)
    files = _design_like(design, backend.plan(new.mapping))
    check_same(design, files, fpga.patchable)
    emitted = [new.emit(name) for name in sorted(read_build(folder).manifest["bundles"])]
    compiled = time.perf_counter() - began
    with folder_beside(place) as work:
        made = work / BITSTREAM
        patched = patch_bitstream(there, design, files, fpga, made, report=report)
        if here:
            with exchanged(there, made, work / "old"):
                new.save(folder, emitted)
        else:
            new.save(work / "build", emitted)
            made.replace(work / "build" / BITSTREAM)
            (work / "build").replace(place)
    where = there if here else place / BITSTREAM
    found = Diagnostics()
    found.extend(new.diagnostics)
    board = json.loads(design["rtl.json"]).get("board")
    load = None if board is None else _loading(
        load_board(board["name"]), patched.mhz, where / patched.bitstream, found)
    return {**asdict(patched), "output": str(where), "build": str(place), "load": load,
            "seconds": {"compiling": round(compiled, 4), **patched.seconds},
            "diagnostics": [d.to_dict() for d in found]}


def compiled_as(old: Build, model: Path) -> Build:
    """A model as another build was compiled: its contract, target, options and input ranges, and
    its weights in the formats that the hardware has. Where thresholds are part of that, they stay
    too, if the weights fit. Raises ``CompileError``: what compiling finds."""
    from neurocompile import api

    quantized = old.quantized
    options = replace(old.options, exponents={
        q.name: q.format.exponent for q in quantized.projections})
    # What calibration data said of inputs is part of the build, not of its contract.
    contract = replace(old.contract, inputs=quantized.scheduled.bindings) if (
        options.rates) else old.contract
    fpga = old.target.fpga
    held = options
    if fpga is not None and not fpga.patchable:
        held = replace(options, thresholds={
            p.name: int(p.threshold[0]) for p in quantized.populations
            if p.role == "spiking" and len(set(p.threshold.tolist())) == 1})
    try:
        made = api.compile(model, old.target, contract=contract, options=held)
    except CompileError:
        if held is options:
            raise
        made = api.compile(model, old.target, contract=contract, options=options)
    return replace(made, diagnostics=(*made.diagnostics, *backend.check(made.mapping)),
                   options=old.options)


def _design_like(design: typing.Mapping[str, bytes], plan: ChipPlan) -> dict[str, bytes]:
    """The files of a design, on the board that another one is on."""
    board = json.loads(design["rtl.json"]).get("board")
    return design_files(plan) if board is None else board_files(plan, load_board(board["name"]))


def _fpga(mapping: Mapping) -> Fpga:
    """Raises ``CompileError`` (E869)."""
    fpga = mapping.target.fpga
    if fpga is None:
        raise fail("E869", mapping.target.name, "this target is no FPGA", got="no table [fpga]",
                   hint="compile for one of the targets that have it: neurocompile targets")
    return fpga


def with_widest_lanes(build: Build) -> Build:
    """A build with as many lanes as shorten its steps and its device has room for
    (``lanes.widest_lanes``): its mapping and options state them as if the user had. Raises
    ``CompileError``: E881 (the device has no estimate), E863."""
    fpga = build.mapping.target.fpga
    if fpga is None or not is_estimated(fpga):
        raise fail("E881", "--lanes auto", "there is no estimate of what this target has room for",
                   got=build.mapping.target.name, hint="state numbers of lanes")
    lanes = widest_lanes(backend.plan(build.mapping).program, build.mapping)
    mapped, options = build.mapping, build.options
    return replace(
        build, mapping=replace(mapped, constraints=replace(mapped.constraints, lanes=lanes)),
        options=replace(options, constraints=replace(options.constraints, lanes=lanes)))


def resources_of(mapping: Mapping) -> dict[str, object] | None:
    """What a mapping takes of its FPGA, without any tool; None for targets that have none, whose
    family has no estimate, or where the hardware cannot run the network."""
    if mapping.target.fpga is None or backend.check(mapping):
        return None
    return resource_facts(backend.plan(mapping))


def write_package(plan: ChipPlan, output: Path, clock_mhz: float) -> dict[str, Any]:
    """What makes a bitstream in Vivado, in ``output``, which appears whole; and what to run next.
    Raises ``CompileError``: E625."""
    files = package_files(plan, clock_mhz)
    with whole_folder(output) as work:
        write_design(files, work)
    return {"output": str(output), "board": None, "load": None, "package": PART,
            "wanted_mhz": clock_mhz, "files": sorted(files), "diagnostics": [],
            "next": [f"cd {shlex.quote(str(output))}",
                     *(f"vivado -mode batch -source {s}" for s in SCRIPTS),
                     f"copy network.bit, network.hwh, {DRIVER}, rtl.json and {TABLES} to one "
                     "folder of the board"]}


def _board(name: str, mapping: Mapping) -> Board:
    """Raises ``CompileError`` (E874)."""
    fitting = [b for b in boards() if load_board(b).target == mapping.target.name]
    if name not in fitting:
        raise fail("E874", "--board", "this board is not known, or has another device than "
                   + mapping.target.name, got=ascii(name),
                   limit=", ".join(fitting) or "none for this target",
                   hint="leave --board out, or compile for the board's target: " + ", ".join(
                       f"{b} ({load_board(b).target})" for b in boards()))
    return load_board(name)
