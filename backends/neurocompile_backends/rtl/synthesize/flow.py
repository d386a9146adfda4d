"""From a design to a bitstream with open tools: Yosys, nextpnr, and the packer of the family."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.emit.files import INSTALL
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize.contents import (
    Layout,
    Unfound,
    differing,
    exchangeable,
    fill,
    find,
    levels_of,
    stand_ins,
)
from neurocompile_backends.rtl.synthesize.folders import check_place, whole_folder
from neurocompile_backends.rtl.synthesize.makefile import makefile
from neurocompile_backends.rtl.synthesize.parts import critical_path, parts_of, whole

REMOVE = "remove it, or name a new directory with -o"
TIMEOUT_SECONDS = 3600
MAKEFILE = "Makefile"
RESOURCES = "resources.json"
"""What a build found: ``Built``."""

PLACED, LAYOUT = "placed.asc", "memories.json"
"""What a bitstream that takes other contents comes with: the placed design before it got its
contents, and where they go (``contents.Layout``)."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Family:
    """What a family is built with: the tools (synthesis, place and route, a packer, and where
    contents are put in what unpacks again), and the commands between them. ``{device}``,
    ``{package}``, ``{clock}``, ``{seed}`` and ``{top}`` are filled in; ``pins``: how place and
    route is told of the file ``pins``. ``cells``: what is counted, in cells of the report of place
    and route, each with how much of it it is; ``kinds``: which of these a placed cell is, where it
    has another name. ``block``: the block RAM of a device; where it is named, contents are put in
    after place and route."""

    tools: tuple[str, ...]
    synthesize: str
    place: tuple[str, ...]
    pins: tuple[str, ...]
    pack: tuple[str, ...]
    bitstream: str
    cells: Mapping[str, Mapping[str, float]]
    kinds: Mapping[str, str] = field(default_factory=dict)
    block: str = ""
    needs_pins: bool = False  # place and route chooses none itself


FAMILIES: dict[str, Family] = {
    "ice40": Family(
        ("yosys", "nextpnr-ice40", "icepack", "iceunpack"),
        "synth_ice40 -top {top} {dsp} -spram -json design.json",
        ("--{device}", "--package", "{package}", "--json", "design.json", "--asc", PLACED,
         "--pcf-allow-unconstrained"),
        ("--pcf", "pins"), ("design.asc", "design.bin"), "design.bin",
        {"luts": {"ICESTORM_LC": 1}, "brams": {"ICESTORM_RAM": 1}, "dsps": {"ICESTORM_DSP": 1},
         "sprams": {"ICESTORM_SPRAM": 1}}, block="SB_RAM40_4K"),
    "ecp5": Family(
        ("yosys", "nextpnr-ecp5", "ecppack"),
        "synth_ecp5 -top {top} -json design.json",
        ("--{device}", "--package", "{package}", "--json", "design.json", "--textcfg",
         "design.config", "--lpf-allow-unconstrained"),
        ("--lpf", "pins"), ("--compress", "design.config", "design.bit"), "design.bit",
        {"luts": {"TRELLIS_COMB": 1}, "ffs": {"TRELLIS_FF": 1}, "brams": {"DP16KD": 1},
         "dsps": {"MULT18X18D": 1}}),
    # GW1N-9C is what the open tools call the die of the GW1NR-9C on the Tang Nano 9K.
    "gowin": Family(
        ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack"),
        "synth_gowin -top {top} -json design.json",
        ("--device", "{device}", "--vopt", "family=GW1N-9C", "--json", "design.json"),
        ("--vopt", "cst=pins"), ("-d", "GW1N-9C", "-o", "design.fs", "placed.json"), "design.fs",
        # A bit of an adder takes the place of a LUT.
        {"luts": {"LUT4": 1, "ALU": 1}, "ffs": {"DFF": 1}, "brams": {"BSRAM": 1},
         "dsps": {"MULT18X18": 1, "MULT9X9": 0.5, "MULT36X36": 4}},
        kinds={**dict.fromkeys(("LUT1", "LUT2", "LUT3"), "LUT4"),
               **dict.fromkeys(("DFFE", "DFFR", "DFFRE", "DFFS", "DFFSE"), "DFF"),
               **dict.fromkeys(("SP", "SDP", "DP"), "BSRAM")}, needs_pins=True),
}


@dataclass(frozen=True)
class Built:
    """What a build found.

    used, available
        By what: luts, ffs, brams, dsps, sprams.
    mhz
        The clock that place and route reached; ``wanted_mhz`` is what it was asked for.
    critical
        The slowest path from register to register: (module and signal, ns so far).
    parts
        What cores and the parts that they share take of ``used``, and of ``ffs`` (``parts``).
    patchable
        Other contents of its memories can be put into the bitstream; else ``why_not``.
    """

    device: str
    bitstream: str
    used: dict[str, float]
    available: dict[str, int]
    mhz: float
    wanted_mhz: float
    critical: tuple[tuple[str, float], ...]
    parts: dict[str, dict[str, Any]]
    patchable: bool = False
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_tool(name: str, *, native: bool = False, install: str = INSTALL) -> list[str]:
    """The command of a tool: the ``fpga`` extra's beside this Python, else the machine's.

    ``native``: the machine's before the extra's, which takes half a second to start; for tools
    whose version does not matter. Raises ``CompileError``: E865, which says how to ``install`` it.
    """
    beside = str(Path(sys.executable).parent)
    candidates = (f"yowasp-{name}", name)
    for candidate in reversed(candidates) if native else candidates:
        found = shutil.which(candidate, path=beside) or shutil.which(candidate)
        if found is not None:
            return [found]
    raise fail("E865", name, "this tool is not installed", hint=install)


def build_bitstream(files: Mapping[str, bytes], fpga: Fpga, output: Path, *, top: str = "nc_top",
                    pins: str | None = None, clock_mhz: float = 30.0, seed: int = 1,
                    load: Sequence[str] | None = None, board_mhz: float = 0.0,
                    report: Report | None = None) -> Built:
    """Synthesize, place, route and pack a design into ``output``, which appears whole, with a
    Makefile that does so again. ``load``: what brings the bitstream to a board, whose clock is
    ``board_mhz``: a slower design is not to be loaded.

    ``files``: as ``emit.files.design_files`` gives them. ``pins``: the constraints of a board;
    where None, place and route chooses. Raises ``CompileError``: E865 (a tool is missing), E866 (it
    does not fit the device), E867 (a tool fails), E868 (no open tools for the family), E885 (no
    pins), E625 (output).
    """
    check_buildable(fpga, output, pins is not None)
    family = FAMILIES[fpga.family]
    tools = find_tools(family)
    say = report or (lambda _: None)
    with whole_folder(output) as work:
        say("synthesis")
        memories, why_not = synthesize_for_exchange(files, fpga, work, tools["yosys"], top=top)
        place = [*(part.format(device=fpga.device, package=fpga.package)
                   for part in family.place),
                 "--freq", f"{clock_mhz:g}", "--seed", str(seed), "--write", "placed.json",
                 "--timing-allow-fail"]
        if pins is not None:
            (work / "pins").write_text(pins)
            place += family.pins
        say("place and route")
        run_tool([*tools[family.tools[1]], *place, "--report", "nextpnr.json", "--log",
                  "nextpnr.log", "--quiet"], work, "nextpnr.log", fpga)
        say("packing")
        if family.block:
            _put_contents(work, files, memories, why_not)
        run_tool([*tools[family.tools[2]], *family.pack], work)
        if not why_not:
            check_contents(work, family.bitstream, memories)
        built = replace(_read(work, fpga, family, clock_mhz), patchable=not why_not,
                        why_not=why_not)
        (work / RESOURCES).write_text(json.dumps(built.to_dict(), indent=1) + "\n")
        # Made again in one go, contents are there from the beginning.
        (work / MAKEFILE).write_text(makefile(family.bitstream, (
            (family.tools[0], "-q", "synthesis.ys"),
            (family.tools[1], *("design.asc" if part == PLACED else part for part in place)),
            (family.tools[2], *family.pack)), load if built.mhz >= board_mhz else None))
    return built


def check_buildable(fpga: Fpga, output: Path, has_pins: bool) -> None:
    """Everything that stands against a bitstream before a tool runs. Raises ``CompileError``: E625,
    E865 (every tool that is missing), E868, E885."""
    family = FAMILIES.get(fpga.family)
    if family is None:
        raise fail("E868", fpga.device, "this project calls no tools for this family",
                   got=fpga.family, limit=", ".join(sorted(FAMILIES)),
                   hint="the design is in BUILD/rtl: hdl/ and mem/ are all that synthesis reads")
    found = Diagnostics()
    if not has_pins and family.needs_pins:
        found.add("E885", fpga.device, "place and route of this family chooses no pins itself",
                  got="no board", hint="name one that has this device, with --board (the "
                  "help of build has all)")
    with found.collecting():
        check_place(output, REMOVE)
    with found.collecting():
        find_tools(family)
    found.raise_if_errors()


def find_tools(family: Family) -> dict[str, list[str]]:
    """The commands of a family's tools. Raises ``CompileError``: E865, for all that are missing."""
    found, commands = Diagnostics(), {}
    for name in family.tools:
        with found.collecting():
            commands[name] = find_tool(name)
    found.raise_if_errors()
    return commands


def synthesize(files: Mapping[str, bytes], fpga: Fpga, work: Path, yosys: Sequence[str], *,
               top: str, define: str = "", also: Sequence[str] = ()) -> None:
    """Write a design into ``work`` and synthesize it there, for a family in ``FAMILIES``: leaves
    design.json and cells.json. ``define``: of the Verilog; ``also``: more commands of Yosys.
    Raises ``CompileError``: E867."""
    write_design(files, work)
    sources = " ".join(sorted(path for path in files if path.endswith(".v")))
    dsp = "-dsp" if fpga.dsps else ""
    (work / "synthesis.ys").write_text("".join(f"{line}\n" for line in (
        f"read_verilog -defer {define} {sources}",
        FAMILIES[fpga.family].synthesize.format(top=top, dsp=dsp),
        "tee -q -o cells.json stat -json", *also)))
    run_tool([*yosys, "-q", "-l", "yosys.log", "synthesis.ys"], work, "yosys.log")


def synthesize_for_exchange(files: Mapping[str, bytes], fpga: Fpga, work: Path,
                            yosys: Sequence[str], *, top: str) -> tuple[dict[str, bytes], str]:
    """:func:`synthesize` with stand-ins for those memories whose contents are put in after place
    and route, if the device has room for all of them in block RAM; else with their contents, where
    synthesis may choose. These memories, and why it has no stand-ins, or ""."""
    family = FAMILIES[fpga.family]
    memories = exchangeable(files, levels_of(fpga.patchable)) if family.block else {}
    why_not = "" if family.block else "contents are put into bitstreams of an iCE40 only"
    if memories:
        synthesize({**files, **stand_ins(memories)}, fpga, work, yosys, top=top,
                   define=f"-DNC_BLOCK={levels_of(fpga.patchable)}")
        blocks = _cells(work).get(family.block, 0)
        for path, content in memories.items():
            (work / path).write_bytes(content)
        if blocks <= fpga.brams:
            return memories, why_not
        why_not = f"its memories would take {blocks} of {fpga.brams} block RAMs"
    synthesize(files, fpga, work, yosys, top=top)
    return memories, why_not


def _cells(work: Path) -> dict[str, int]:
    """Cells of a synthesized design by type. Yosys 0.70 wraps a count, 0.23 does not."""
    design = json.loads((work / "cells.json").read_text())["design"]
    return {name: int(count["count"] if isinstance(count, dict) else count)
            for name, count in design["num_cells_by_type"].items()}


def _put_contents(work: Path, files: Mapping[str, bytes], memories: Mapping[str, bytes],
                  why_not: str) -> None:
    """From ``PLACED`` with its stand-ins to ``design.asc``, and ``LAYOUT``."""
    placed = work / PLACED
    if why_not:
        placed.replace(work / "design.asc")
        return
    asc = placed.read_text()
    try:
        layout = find(asc, memories)
    except Unfound as error:
        raise fail("E893", str(error), "this memory is not in the block RAMs of the placed design",
                   hint="report it with the network it comes from") from error
    (work / "design.asc").write_text(fill(asc, layout, memories))
    write_layout(work, layout, {**files, PLACED: asc.encode()})


def write_layout(work: Path, layout: Layout, files: Mapping[str, bytes]) -> None:
    """``LAYOUT``, with the digests of the ``files`` that a patch reads."""
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    (work / LAYOUT).write_text(json.dumps(replace(layout, digests=digests).to_dict()) + "\n")


def check_contents(work: Path, bitstream: str, memories: Mapping[str, bytes]) -> None:
    """Unpack a bitstream of an iCE40 and compare every bit of its memories with what they are to
    hold. Raises ``CompileError``: E893, E865, E867."""
    unpacked = "unpacked.asc"
    run_tool([*find_tool("iceunpack", native=True), bitstream, unpacked], work)
    layout = Layout.from_dict(json.loads((work / LAYOUT).read_text()))
    wrong = differing((work / unpacked).read_text(), layout, memories)
    (work / unpacked).unlink()
    found = Diagnostics()
    for path, bits in sorted(wrong.items()):
        found.add("E893", path, "the bitstream does not hold what this memory is to hold",
                  got=f"{bits} bits differ", hint="report it with the network it comes from")
    found.raise_if_errors()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def run_tool(command: Sequence[str], work: Path, log: str = "", fpga: Fpga | None = None) -> str:
    """Run a tool in the folder ``work``; what it printed. ``fpga``: it is what place and route
    finds too small. Raises ``CompileError``: E867, and for a ``fpga`` E866. A tool that a signal
    ended had no last words: E867 has the signal."""
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False,
                              timeout=TIMEOUT_SECONDS)
    except OSError as error:
        raise fail("E867", Path(command[0]).name, "this tool cannot be started",
                   got=error.strerror or str(error), hint=f"install it again: {INSTALL}"
                   ) from error
    except subprocess.TimeoutExpired as error:
        raise fail("E867", Path(command[0]).name, "this tool does not end",
                   got=f"{TIMEOUT_SECONDS} s") from error
    if not done.returncode:
        return done.stdout
    if done.returncode < 0:
        raise fail("E867", Path(command[0]).name, "this tool was stopped",
                   got=_signal(-done.returncode),
                   hint="SIGKILL: memory may have run out; SIGXCPU: a limit of processor time")
    text = done.stdout + done.stderr
    if log and (work / log).exists():
        text += (work / log).read_text(errors="replace")
    errors = [line for line in text.splitlines() if "ERROR" in line]
    if fpga is not None and any(re.search(r"no more|[Uu]nable to (place|find)|not enough|too many",
                                          line) for line in errors):
        raise fail("E866", fpga.device, "the network does not fit this device",
                   got=errors[0].partition("ERROR:")[2].strip(),
                   hint="fewer lanes (--lanes), or a larger device")
    raise fail("E867", Path(command[0]).name, "this tool fails",
               got="; ".join((errors or text.splitlines()[-3:])[:5]),
               hint="report it with the network it comes from")


def _read(work: Path, fpga: Fpga, family: Family, clock_mhz: float) -> Built:
    found = json.loads((work / "nextpnr.json").read_text())
    use = found["utilization"]
    counted = {name: {cell: size for cell, size in cells.items() if cell in use}
               for name, cells in family.cells.items()}
    used = {name: whole(sum(size * use[cell]["used"] for cell, size in cells.items()))
            for name, cells in counted.items() if cells}
    there = {name: int(use[next(iter(cells))]["available"])
             for name, cells in counted.items() if cells}
    clocks = [float(clock["achieved"]) for clock in found["fmax"].values()]
    path = next((p["path"] for p in found.get("critical_paths", [])
                 if p["from"] == p["to"]), ())  # of one clock
    placed = work / "placed.json"
    parts = parts_of(json.loads(placed.read_text()), family.cells, family.kinds)
    placed.unlink()  # many times as large as all the rest
    return Built(f"{fpga.family} {fpga.device} {fpga.package}", family.bitstream, used, there,
                 min(clocks, default=0.0), clock_mhz, critical_path(path),
                 {name: part.to_dict() for name, part in parts.items()})
