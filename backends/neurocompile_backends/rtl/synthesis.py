"""From a design to a bitstream with open tools: Yosys, nextpnr, and the packer of the family."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurocompile.diagnostics import fail
from neurocompile.ir.target import Fpga

INSTALL = "pip install 'neurocompile[fpga]'"
TIMEOUT_SECONDS = 3600
Report = Callable[[str], None]


@dataclass(frozen=True)
class Family:
    """What a family is built with: the tools, and the commands between them. ``{device}``,
    ``{package}``, ``{clock}``, ``{seed}``, ``{top}`` and ``{pins}`` are filled in."""

    tools: tuple[str, ...]
    synthesize: str
    place: tuple[str, ...]
    pins: str
    pack: tuple[str, ...]
    bitstream: str
    cells: Mapping[str, str]


FAMILIES: dict[str, Family] = {
    "ice40": Family(
        ("yosys", "nextpnr-ice40", "icepack"),
        "synth_ice40 -top {top} {dsp} -spram -json design.json",
        ("--{device}", "--package", "{package}", "--json", "design.json", "--asc", "design.asc",
         "--pcf-allow-unconstrained"),
        "--pcf", ("design.asc", "design.bin"), "design.bin",
        {"luts": "ICESTORM_LC", "brams": "ICESTORM_RAM", "dsps": "ICESTORM_DSP",
         "sprams": "ICESTORM_SPRAM"}),
    "ecp5": Family(
        ("yosys", "nextpnr-ecp5", "ecppack"),
        "synth_ecp5 -top {top} -json design.json",
        ("--{device}", "--package", "{package}", "--json", "design.json", "--textcfg",
         "design.config", "--lpf-allow-unconstrained"),
        "--lpf", ("--compress", "design.config", "design.bit"), "design.bit",
        {"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "brams": "DP16KD", "dsps": "MULT18X18D"}),
}


@dataclass(frozen=True)
class Built:
    """What a build found.

    used, available
        By what: luts, ffs, brams, dsps, sprams.
    mhz
        The clock that place and route reached; ``wanted_mhz`` is what it was asked for.
    critical
        The slowest path from register to register: (cell or net, ns so far).
    """

    device: str
    bitstream: str
    used: dict[str, int]
    available: dict[str, int]
    mhz: float
    wanted_mhz: float
    critical: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_tool(name: str, install: str = INSTALL) -> list[str]:
    """The command of a tool: the ``fpga`` extra's beside this Python, else the machine's.

    Raises ``CompileError``: E865, which says how to ``install`` it.
    """
    beside = str(Path(sys.executable).parent)
    for candidate in (f"yowasp-{name}", name):
        found = shutil.which(candidate, path=beside) or shutil.which(candidate)
        if found is not None:
            return [found]
    raise fail("E865", name, "this tool is not installed", hint=install)


def build_bitstream(files: Mapping[str, bytes], fpga: Fpga, output: Path, *, top: str = "nc_top",
                    pins: str | None = None, clock_mhz: float = 30.0, seed: int = 1,
                    report: Report | None = None) -> Built:
    """Synthesize, place, route and pack a design into ``output``, which appears whole.

    ``files``: as ``generate.design_files`` gives them. ``pins``: the constraints of a board; where
    None, place and route chooses. Raises ``CompileError``: E865 (a tool is missing), E866 (it does
    not fit the device), E867 (a tool fails), E868 (no open tools for the family), E625 (output).
    """
    family = FAMILIES.get(fpga.family)
    if family is None:
        raise fail("E868", fpga.device, "this project calls no tools for this family",
                   got=fpga.family, limit=", ".join(sorted(FAMILIES)),
                   hint="the design is in BUILD/rtl: hdl/ and mem/ are all that synthesis reads")
    tools = {name: find_tool(name) for name in family.tools}
    if output.exists():
        raise fail("E625", str(output), "cannot be written", got="something is there",
                   hint="name a new directory with -o")
    if not output.parent.is_dir():
        raise fail("E625", str(output), "cannot be written",
                   got=f"{output.parent} is not a directory")
    say = report or (lambda _: None)
    # YoWASP's tools see the folder that they run in, and not the system's temporary one.
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=output.parent) as name:
        work = Path(name)
        say("synthesis")
        synthesize(files, fpga, work, tools["yosys"], top=top)
        command = [*tools[family.tools[1]],
                   *(part.format(device=fpga.device, package=fpga.package)
                     for part in family.place),
                   "--freq", f"{clock_mhz:g}", "--seed", str(seed), "--report", "nextpnr.json",
                   "--timing-allow-fail", "--log", "nextpnr.log", "--quiet"]
        if pins is not None:
            (work / "pins").write_text(pins)
            command += [family.pins, "pins"]
        say("place and route")
        run_tool(command, work, "nextpnr.log", fpga)
        say("packing")
        run_tool([*tools[family.tools[2]], *family.pack], work, "")
        built = _read(work, fpga, family, clock_mhz)
        (work / "resources.json").write_text(json.dumps(built.to_dict(), indent=1) + "\n")
        work.replace(output)
        work.mkdir()  # for the context to remove
    return built


def synthesize(files: Mapping[str, bytes], fpga: Fpga, work: Path, yosys: Sequence[str], *,
               top: str, also: Sequence[str] = ()) -> None:
    """Write a design into ``work`` and synthesize it there, for a family in ``FAMILIES``: leaves
    design.json and cells.json. ``also``: more commands of Yosys. Raises ``CompileError``: E867."""
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    sources = " ".join(sorted(path for path in files if path.endswith(".v")))
    dsp = "-dsp" if fpga.dsps else ""
    (work / "synthesis.ys").write_text("".join(f"{line}\n" for line in (
        f"read_verilog -defer {sources}", FAMILIES[fpga.family].synthesize.format(top=top, dsp=dsp),
        "tee -q -o cells.json stat -json", *also)))
    run_tool([*yosys, "-q", "-l", "yosys.log", "synthesis.ys"], work, "yosys.log")


def run_tool(command: Sequence[str], work: Path, log: str, fpga: Fpga | None = None) -> str:
    """Run a tool in ``work``; what it printed. Raises ``CompileError``: E867, and for a ``fpga``
    E866."""
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False,
                              timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise fail("E867", Path(command[0]).name, "this tool does not end",
                   got=f"{TIMEOUT_SECONDS} s") from error
    if not done.returncode:
        return done.stdout
    text = done.stdout + done.stderr
    if log and (work / log).exists():
        text += (work / log).read_text(errors="replace")
    errors = [line for line in text.splitlines() if "ERROR" in line]
    if fpga is not None and any(re.search(r"no more|[Uu]nable to (place|find)|not enough|too many",
                                          line) for line in errors):
        raise fail("E866", fpga.device, "the network does not fit this device",
                   got=errors[0].partition("ERROR:")[2].strip(),
                   hint="fewer lanes (timing.lanes of the target), or a larger device")
    raise fail("E867", Path(command[0]).name, "this tool fails",
               got="; ".join((errors or text.splitlines()[-3:])[:5]),
               hint="report it with the network it comes from")


def _read(work: Path, fpga: Fpga, family: Family, clock_mhz: float) -> Built:
    found = json.loads((work / "nextpnr.json").read_text())
    use = found["utilization"]
    used = {name: int(use[cell]["used"]) for name, cell in family.cells.items() if cell in use}
    there = {name: int(use[cell]["available"]) for name, cell in family.cells.items()
             if cell in use}
    clocks = [float(clock["achieved"]) for clock in found["fmax"].values()]
    path: list[tuple[str, float]] = []
    for candidate in found.get("critical_paths", []):
        if candidate["from"] == candidate["to"]:  # of one clock
            at = 0.0
            for part in candidate["path"]:
                at += float(part["delay"])
                path.append((part.get("net") or part["to"]["cell"], round(at, 2)))
            break
    return Built(f"{fpga.family} {fpga.device} {fpga.package}", family.bitstream, used, there,
                 min(clocks, default=0.0), clock_mhz, tuple(path))
