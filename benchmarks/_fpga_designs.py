"""Designs that the estimator is fitted and tested with, and what synthesis and packing make of
them.

Counts are taken by module: cells keep the names of the hierarchy that synthesis flattened. Where
cells share a logic cell (iCE40: a LUT, its carry and its flip-flop) the packer's rules are applied
to the netlist; the total is the packer's own. A Gowin is placed on its board, since LUTs are added
then before flip-flops that have none; routing adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "differential")]

from contracts import contract_of, recording
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from networks import Case, cases, compile_phases, hardware_targets
from test_chip import mapped

import neurocompile as nc
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.target import Fpga
from neurocompile.passes.assemble import Assemble
from neurocompile.targets import load_target
from neurocompile_backends.rtl.emit.board import Board, board_files, constraints, load_board
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan, Unsupported
from neurocompile_backends.rtl.simulate.verilator import write_design
from neurocompile_backends.rtl.synthesize.contents import exchangeable, levels_of, stand_ins
from neurocompile_backends.rtl.synthesize.flow import (
    FAMILIES,
    find_tool,
    synthesize_for_exchange,
)
from neurocompile_backends.rtl.synthesize.parts import parts_of

UP5K, HX8K, ECP5, GW1NR9 = "ice40-up5k", "ice40-hx8k", "ecp5-85f", "gowin-gw1nr9"
BOARDS = {UP5K: "icebreaker", HX8K: "ice40-hx8k-b-evn", ECP5: "ulx3s-85f", GW1NR9: "tangnano9k"}
EXAMPLES, MOST_CORES = 12, 6


@dataclass(frozen=True)
class Design:
    """``lanes``: of every core in turn, repeated. ``per_core``: neurons a core, 0: the compiler's
    choice."""

    network: str
    target: str
    lanes: tuple[int, ...] = (8,)
    per_core: int = 0
    weight_bits: int = 8
    board: bool = False

    @property
    def name(self) -> str:
        lanes = "-".join(map(str, self.lanes))
        return (f"{self.network} {self.target} lanes {lanes}"
                + (f" cores of {self.per_core}" if self.per_core else "")
                + (f" weights of {self.weight_bits}" if self.weight_bits != 8 else "")
                + (" with board" if self.board else ""))


DESIGNS = (
    Design("braille", ECP5, (2,)),
    Design("braille", ECP5, (8,)),
    Design("braille", HX8K, (8,)),
    Design("braille", UP5K, (4,), 20),
    Design("digits", ECP5, (16,)),
    Design("digits", ECP5, (4,)),
    Design("digits", ECP5, (8,), board=True),
    Design("digits", ECP5, (8, 2), 20),
    Design("digits", HX8K, (1,)),
    Design("digits", HX8K, (16,)),
    Design("digits", HX8K, (4,)),
    Design("digits", HX8K, (8,)),
    Design("digits", HX8K, (8,), weight_bits=4),
    Design("digits", HX8K, (8,), board=True),
    Design("digits", UP5K, (2, 8), 30),
    Design("fsdd_delay", ECP5, (16,)),
    Design("fsdd_delay", ECP5, (8,)),
    Design("fsdd_delay", HX8K, (8,)),
    Design("fsdd_delay", UP5K, (4,)),
    Design("fsdd_rcubalif", ECP5, (32,)),
    Design("fsdd_rcubalif", ECP5, (8,)),
    Design("fsdd_rcubalif", HX8K, (1,)),
    Design("fsdd_rcubalif", HX8K, (8,)),
    Design("fsdd_rcubalif", UP5K, (8,)),
    Design("mnist_cnn", ECP5, (8,)),
    Design("mnist_cnn", HX8K, (8,)),
    Design("mnist_mlp", ECP5, (128,)),
    Design("mnist_mlp", ECP5, (16,)),
    Design("mnist_mlp", ECP5, (32,)),
    Design("mnist_mlp", ECP5, (8,)),
    Design("mnist_mlp", ECP5, (8,), board=True),
    Design("mnist_mlp", UP5K, (4,)),
    Design("mnist_mlp", UP5K, (8,)),
    Design("mnist_mlp", UP5K, (8,), board=True),
    Design("nmnist", ECP5, (8,)),
    Design("braille", GW1NR9, (2,), board=True),
    Design("braille", GW1NR9, (8,), board=True),
    Design("digits", GW1NR9, (16,), board=True),
    Design("digits", GW1NR9, (8,), board=True),
    Design("fsdd_delay", GW1NR9, (8,), board=True),
    Design("fsdd_rcubalif", GW1NR9, (8,), board=True),
)

RANDOM = (
    (0, ECP5), (0, HX8K), (1, ECP5), (1, HX8K), (15, ECP5), (15, UP5K), (16, ECP5), (16, HX8K),
    (24, ECP5), (24, UP5K), (34, ECP5), (34, UP5K), (37, ECP5), (37, HX8K), (37, UP5K),
    (6, ECP5), (6, UP5K),
    (0, GW1NR9), (1, GW1NR9), (24, GW1NR9), (34, GW1NR9), (37, GW1NR9),
)
"""Seed and target: networks of the tests that use, between them, everything the hardware has."""

FRESH = tuple((seed, target) for seed in range(101, 107) for target in (ECP5, GW1NR9, HX8K, UP5K))
"""Others, of which RAMs and multipliers alone are looked at."""

NETLIST = {
    "ice40": {"brams": {"SB_RAM40_4K": 1.0}, "dsps": {"SB_MAC16": 1.0},
              "sprams": {"SB_SPRAM256KA": 1.0}},
    "ecp5": {"brams": {"DP16KD": 1.0, "PDPW16KD": 1.0}, "dsps": {"MULT18X18D": 1.0}},
    "gowin": {"brams": dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B"), 1.0),
              "dsps": FAMILIES["gowin"].cells["dsps"]},
}
"""Cells of RAMs and multipliers, as Yosys names them, and how much of one each is."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A design as it is synthesized."""

    name: str
    plan: ChipPlan
    fpga: Fpga
    board: Board | None


def planned(design: Design) -> Planned:
    recorded = recording(design.network, 1)
    built = nc.compile(recorded.network, design.target,
                       contract=contract_of(design.network, recorded),
                       options=Options(weight_bits=design.weight_bits,
                                       neurons_per_core=design.per_core or None))
    board = load_board(BOARDS[design.target]) if design.board else None
    return _planned(design.name, built.mapping, design.lanes, board)


def _planned(name: str, mapping: CoreMapping, lanes: tuple[int, ...],
             board: Board | None) -> Planned:
    fpga = mapping.target.fpga
    assert fpga is not None
    cores = len(mapping.use)
    each = (lanes * cores)[:cores]
    return Planned(name, plan_chip(Assemble().run(mapping), mapping.quantized, each), fpga, board)


def designs() -> Iterator[Planned]:
    """All that are measured whole, the same every time."""
    yield from map(planned, DESIGNS)
    yield from _random(RANDOM)


def fresh_designs() -> Iterator[Planned]:
    """Those of ``FRESH``, the same every time."""
    yield from _random(FRESH)


def _random(numbers: Iterable[tuple[int, str]]) -> Iterator[Planned]:
    for number, target in numbers:
        board = load_board(BOARDS[target]) if target == GW1NR9 else None
        yield from _examples(number, load_target(target).fpga, f"random {number} {target}",
                             board)[-1:]


def _examples(number: int, fpga: Fpga | None, name: str, board: Board | None) -> list[Planned]:
    found: list[Planned] = []

    @seed(number)
    @settings(max_examples=EXAMPLES, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(cases(hardware_targets()), st.sampled_from([3, 7, 100]),
           st.lists(st.sampled_from([1, 2, 4, 8, 16]), min_size=MOST_CORES, max_size=MOST_CORES))
    def collect(case: Case, per_core: int, lanes: list[int]) -> None:
        case = replace(case, target=replace(case.target, fpga=fpga))
        try:
            mapping = mapped(compile_phases(case)[3], per_core)
            if len(mapping.use) <= MOST_CORES and sum(use.neurons for use in mapping.use) >= 6:
                found.append(_planned(name, mapping, tuple(lanes), board))
        except (CompileError, Unsupported):
            return

    collect()
    return found


def digest(design: Planned) -> str:
    """Of its files: Hypothesis may draw another network from a seed when code has changed."""
    files = design_files(design.plan)
    text = hashlib.sha256()
    for path in sorted(files):
        text.update(path.encode() + b"\0" + files[path] + b"\0")
    return text.hexdigest()[:16]


def synthesized(design: Planned) -> dict[str, Any]:
    """What Yosys and the packer of nextpnr count: ``used`` as ``build`` reports it, ``modules``
    by module, ``memories`` by what each was mapped to."""
    family = FAMILIES[design.fpga.family]
    files = (design_files(design.plan) if design.board is None
             else board_files(design.plan, design.board))
    top = "nc_top" if design.board is None else "nc_board"
    if family.needs_pins:
        return _placed(design, files, top)
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as name:
        work = Path(name)
        synthesize_for_exchange(files, design.fpga, work, find_tool("yosys"), top=top)
        place = [part.format(device=design.fpga.device, package=design.fpga.package)
                 for part in family.place]
        place = place[:place.index("--json") + 2]  # nothing is written
        allow = "--pcf-allow-unconstrained" if design.fpga.family == "ice40" else (
            "--lpf-allow-unconstrained")
        _run([*find_tool(family.tools[1]), *place, allow, "--pack-only", "--log", "nextpnr.log",
              "--quiet"], work)
        log = (work / "nextpnr.log").read_text()
        used = {key: int(m.group(1)) for key, cells in family.cells.items() for cell in cells
                if (m := re.search(rf"\b{cell}:\s*(\d+)/", log))}
        netlist = json.loads((work / "design.json").read_text())["modules"][top]
        memories = dict(sorted(_memories((work / "yosys.log").read_text(), top)))
    modules = by_module(netlist, design.fpga.family)
    return {"used": used, "modules": modules, "memories": memories}


def rams_and_multipliers(design: Planned) -> dict[str, float]:
    """RAMs and multipliers alone: synthesis ends before it maps logic."""
    family = FAMILIES[design.fpga.family]
    files = (design_files(design.plan) if design.board is None
             else board_files(design.plan, design.board))
    top = "nc_top" if design.board is None else "nc_board"
    command = family.synthesize.format(top=top, dsp="-dsp" if design.fpga.dsps else "")
    levels = levels_of(design.fpga.patchable)
    memories = exchangeable(files, levels) if family.block else {}
    if memories:
        used = _mapped({**files, **stand_ins(memories)}, design, f"-DNC_BLOCK={levels}", command)
        if used["brams"] <= design.fpga.brams:
            return used
    return _mapped(files, design, "", command)


def _mapped(files: Mapping[str, bytes], design: Planned, define: str,
             command: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as name:
        work = Path(name)
        write_design(files, work)
        sources = " ".join(sorted(path for path in files if path.endswith(".v")))
        (work / "synthesis.ys").write_text(
            f"read_verilog -defer {define} {sources}\n{command} -run begin:map_ffram\n"
            "opt_clean\ntee -q -o cells.json stat -json\n")
        _run([*find_tool("yosys"), "-q", "synthesis.ys"], work)
        found = json.loads((work / "cells.json").read_text())["design"]["num_cells_by_type"]
    return {what: sum(size * found.get(cell, 0) for cell, size in cells.items())
            for what, cells in NETLIST[design.fpga.family].items()}


def _placed(design: Planned, files: Mapping[str, bytes], top: str) -> dict[str, Any]:
    """The same of a placed design."""
    assert design.board is not None
    family = FAMILIES[design.fpga.family]
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as name:
        work = Path(name)
        synthesize_for_exchange(files, design.fpga, work, find_tool("yosys"), top=top)
        (work / "pins").write_text(constraints(design.board, design.fpga.family))
        place = [part.format(device=design.fpga.device, package=design.fpga.package)
                 for part in (*family.place, *family.pins)]
        _run([*find_tool(family.tools[1]), *place, "--no-route", "--seed", "1", "--write",
              "placed.json", "--quiet"], work)
        parts = parts_of(json.loads((work / "placed.json").read_text()), family.cells,
                         family.kinds)
        memories = dict(sorted(_memories((work / "yosys.log").read_text(), top)))
    used: Counter[str] = Counter()
    modules: dict[str, dict[str, float]] = {}
    for part, taken in parts.items():
        used.update(taken.used)  # type: ignore[arg-type]
        within = taken.modules if part.startswith("core") else {}
        place_of = {"host link": "link", "place and route": "top"}.get(part, part)
        rest = modules.setdefault(place_of, {"luts": 0, "ffs": 0})
        for key in rest:
            rest[key] += taken.used.get(key, 0) - sum(m.get(key, 0) for m in within.values())
        for module, m in within.items():
            modules[f"{part}.{module}"] = {key: m.get(key, 0) for key in rest}
    return {"used": dict(used), "modules": dict(sorted(modules.items())), "memories": memories}


def _run(command: list[str], work: Path) -> None:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _memories(log: str, top: str) -> Iterator[tuple[str, str]]:
    for name, how in re.findall(rf"mapping memory {top}\.(\S+) via (\S+)", log):
        yield name.removeprefix("chip.").removeprefix("host."), how.strip("$_")


def by_module(netlist: Mapping[str, Any], family: str) -> dict[str, dict[str, int]]:
    """Logic cells and flip-flops of each module."""
    cells = {name: cell for name, cell in netlist["cells"].items()
             if not cell["type"].startswith("$")}
    count = _ice40_cells if family == "ice40" else _ecp5_cells
    logic: Counter[str] = Counter()
    ffs: Counter[str] = Counter()
    for name, n in count(cells).items():
        logic[_module(name)] += n
    for name, cell in cells.items():
        if cell["type"].startswith(("SB_DFF", "TRELLIS_FF")):
            ffs[_module(name)] += 1
    return {m: {"luts": logic[m], "ffs": ffs[m]} for m in sorted({*logic, *ffs})}


def _module(cell: str) -> str:
    """``core0.neurons``, ``bus``, ``control``, ``link``; what has no place of its own: ``core0``,
    ``top``."""
    parts = cell.removeprefix("chip.").split(".")
    core = re.match(r"core\d+$", parts[0])
    if core and parts[1] in ("synapses", "accumulators", "neurons", "sender", "fifo"):
        return f"{parts[0]}.{parts[1]}"
    if core:
        return parts[0]
    if len(parts) > 1 and parts[0] in ("bus", "control"):
        return parts[0]
    if len(parts) > 1 and parts[0] == "host":
        return "link"
    return "top"


def _ecp5_cells(cells: Mapping[str, Any]) -> dict[str, int]:
    takes = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}
    return {name: takes[cell["type"]] for name, cell in cells.items() if cell["type"] in takes}


def _ice40_cells(cells: Mapping[str, Any]) -> dict[str, int]:
    """A LUT takes its flip-flop along where nothing else reads it, and a carry with its inputs."""
    readers: Counter[int] = Counter()
    luts: dict[int, str] = {}
    carrying = set()
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                readers.update(bit for bit in bits if isinstance(bit, int))
        if cell["type"] == "SB_LUT4":
            pins = cell["connections"]
            luts[pins["O"][0]] = name
            carrying.add((_net(pins["I1"]), _net(pins["I2"]), _net(pins["I3"])))
    found = dict.fromkeys(luts.values(), 1)
    for name, cell in cells.items():
        pins = cell["connections"]
        if cell["type"].startswith("SB_DFF"):
            bit = pins["D"][0]
            found[name] = int(not (bit in luts and readers[bit] == 1))
        elif cell["type"] == "SB_CARRY":
            found[name] = int((_net(pins["I0"]), _net(pins["I1"]), _net(pins["CI"]))
                              not in carrying)
    return found


def _net(bits: list[Any]) -> Any:
    return bits[0] if bits else None
