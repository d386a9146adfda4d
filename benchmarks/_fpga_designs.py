"""Designs that the estimator is fitted and tested with, and what synthesis and packing make of
them.

Counts are taken by module: cells keep the names of the hierarchy that synthesis flattened. Where
cells share a logic cell (iCE40: a LUT, its carry and its flip-flop) the packer's rules are applied
to the netlist; the total is the packer's own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
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
from neurocompile_backends.rtl.emit.board import Board, board_files, load_board
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan, Unsupported
from neurocompile_backends.rtl.synthesize.flow import FAMILIES, find_tool, synthesize_for_exchange

UP5K, HX8K, ECP5 = "ice40-up5k", "ice40-hx8k", "ecp5-85f"
BOARDS = {UP5K: "icebreaker", HX8K: "ice40-hx8k-b-evn", ECP5: "ulx3s-85f"}
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
)

RANDOM = (
    (0, ECP5), (0, HX8K), (1, ECP5), (1, HX8K), (15, ECP5), (15, UP5K), (16, ECP5), (16, HX8K),
    (24, ECP5), (24, UP5K), (34, ECP5), (34, UP5K), (37, ECP5), (37, HX8K), (37, UP5K),
    (6, ECP5), (6, UP5K),
)
"""Seed and target: networks of the tests that use, between them, everything the hardware has."""


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
    """All of them, the same every time."""
    yield from map(planned, DESIGNS)
    for number, target in RANDOM:
        yield from _examples(number, load_target(target).fpga, f"random {number} {target}")[-1:]


def _examples(number: int, fpga: Fpga | None, name: str) -> list[Planned]:
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
                found.append(_planned(name, mapping, tuple(lanes), None))
        except (CompileError, Unsupported):
            return

    collect()
    return found


def synthesized(design: Planned) -> dict[str, Any]:
    """What Yosys and the packer of nextpnr count: ``used`` as ``build`` reports it, ``modules``
    by module, ``memories`` by what each was mapped to."""
    family = FAMILIES[design.fpga.family]
    files = (design_files(design.plan) if design.board is None
             else board_files(design.plan, design.board))
    top = "nc_top" if design.board is None else "nc_board"
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
        used = {key: int(m.group(1)) for key, cell in family.cells.items()
                if (m := re.search(rf"\b{cell}:\s*(\d+)/", log))}
        netlist = json.loads((work / "design.json").read_text())["modules"][top]
        memories = dict(sorted(_memories((work / "yosys.log").read_text(), top)))
    modules = by_module(netlist, design.fpga.family)
    return {"used": used, "modules": modules, "memories": memories}


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
