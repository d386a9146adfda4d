"""What networks take of FPGAs: logic, memory, clock and cycles a step, with open tools.

Synthesizes, places and routes each network for its device and simulates the same design on stored
samples; then runs every stored sample of all seven networks in RTL. Writes ``results/fpga.json``
and the tables of docs/rtl.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "differential")]

import numpy as np
from _common import write_result
from contracts import NETWORKS, contract_of, recording

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.ir.constraints import Constraints
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.board import board_files, constraints, load_board
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.profile import counted_sample
from neurocompile_backends.rtl.simulate.run import places_of, run_design
from neurocompile_backends.rtl.simulate.verilator import build
from neurocompile_backends.rtl.synthesize.flow import build_bitstream

PAGE = ROOT / "docs" / "rtl.md"
SAMPLES = 20
MOST = {"nmnist": 5}
"""Recordings of networks whose states take room: each has 300 steps of 9,000 neurons."""
CASES = (("digits", "ice40-hx8k", None, 60.0, {}),
         ("mnist_mlp", "ice40-up5k", "icebreaker", 30.0, {}),
         ("mnist_mlp", "ecp5-25f", None, 105.0, {}),
         ("mnist_mlp", "ecp5-85f", None, 105.0, {"lanes": (32,)}),
         ("fsdd_rcubalif", "ecp5-25f", None, 100.0, {}),
         ("nmnist", "ecp5-85f", None, 75.0, {}),
         ("nmnist", "ecp5-85f", None, 75.0, {"neurons_per_core": 1024}),
         ("digits", "gowin-gw1nr9", "tangnano9k", 60.0, {}))
"""Network, target, the board it is pinned for, the clock that is asked for in MHz, and what the
user decides of its mapping."""


def measure(name: str, target: str, board: str | None, clock: float,
            wanted: dict[str, Any]) -> dict[str, Any]:
    recorded = recording(name, min(SAMPLES, MOST.get(name, SAMPLES)))
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded),
                       mapping=Constraints(**wanted))
    plan = plan_of(built.mapping)
    fpga = built.mapping.target.fpga
    assert fpga is not None
    pins = None
    files, top = design_files(plan), "nc_top"
    if board is not None:
        there = load_board(board)
        files, top, pins = board_files(plan, there), "nc_board", constraints(there, fpga.family)
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as folder:
        began = time.monotonic()
        made = build_bitstream(files, fpga, Path(folder) / "bit", top=top, pins=pins,
                               clock_mhz=clock)
        seconds = time.monotonic() - began
    steps = recorded.x.shape[1]
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)), steps)
    everything = Probes.everything(built.quantized)
    run = run_design(build(plan), given, everything)
    expected = run_integer(built.quantized, given, everything)
    differ = sum(int(np.count_nonzero(getattr(run, kind)[p] != getattr(expected, kind)[p]))
                 for kind in ("s", "u", "v") for p in getattr(expected, kind))
    compared = sum(getattr(expected, kind)[p].size for kind in ("s", "u", "v")
                   for p in getattr(expected, kind))
    places = places_of(plan)
    cycles = np.stack([counted_sample(plan, places, given, i, run, i).cycles
                       for i in range(given.n_samples)])
    neurons = [p.n for p in built.quantized.populations if p.role != "source"]
    return {
        "network": name, "neurons": neurons, "target": target, "board": board,
        "lanes": [c.parameters["LANES"] for c in plan.cores], **made.to_dict(),
        "critical": list(made.critical[-1:]), "seconds": round(seconds, 1),
        "samples": len(recorded.x), "steps": int(cycles.shape[1]),
        "cycles_mean": round(float(cycles.mean()), 1), "cycles_max": int(cycles.max()),
        "us_a_step": round(float(cycles.mean()) / made.mhz, 2),
        "input_density": _density(given), "states_compared": compared, "states_differ": differ,
        "cycles_differ": run.checked["cycles"][0]}


def every_sample(name: str) -> dict[str, Any]:
    """The class that the RTL and the integer reference find for every stored sample."""
    recorded = recording(name)
    built = nc.compile(recorded.network, "generic", contract=contract_of(name, recorded))
    outputs = Probes.outputs(built.quantized)
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    run = run_design(build(plan_of(built.mapping)), given, outputs)
    expected = run_integer(built.quantized, given, outputs)
    (output,) = outputs.s
    ours, theirs = (r.s[output].sum(1).argmax(1) for r in (run, expected))
    return {
        "network": name, "samples": len(recorded.x),
        "rtl_accuracy": round(float(np.mean(ours == recorded.y)), 4),
        "reference_accuracy": round(float(np.mean(theirs == recorded.y)), 4),
        "classes_differ": int(np.count_nonzero(ours != theirs)),
        "spikes_differ": int(np.count_nonzero(run.s[output] != expected.s[output])),
        "cycles_differ": run.checked["cycles"][0], "steps": run.checked["cycles"][1]}


def _density(given: Any) -> float | None:
    """Of the inputs that are spikes: how many of them there are, a step and element."""
    values = [v for v in given.payloads.values() if v.size]
    if not values:
        return None
    return round(float(np.mean([np.count_nonzero(v) / v.size for v in values])), 4)


def table(rows: list[dict[str, Any]]) -> str:
    heads = ("network", "device", "cores: lanes", "logic cells", "block RAM", "multipliers", "MHz",
             "cycles a step: mean, largest", "us a step", "seconds to build")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        used = row["used"]
        large = f" + {used['sprams']} large" if used.get("sprams") else ""
        where = f" ({row['board']}, UART included)" if row["board"] else ""
        lines.append(
            f"| {row['network']} {'-'.join(map(str, row['neurons']))} | {row['target']}{where} | "
            f"{lanes_of(row['lanes'])} | "
            f"{used['luts']:,} of {row['available']['luts']:,} | "
            f"{used['brams']} of {row['available']['brams']}{large} | {used.get('dsps', 0)} | "
            f"{row['mhz']:.1f} | {row['cycles_mean']:,.0f}, {row['cycles_max']:,} | "
            f"{row['us_a_step']} | {row['seconds']:.0f} |")
    compared = sum(row["states_compared"] for row in rows)
    differ = sum(row["states_differ"] + row["cycles_differ"] for row in rows)
    lines += ["", f"`benchmarks/fpga.py`, {SAMPLES} stored samples each (N-MNIST: "
              f"{MOST['nmnist']}); {compared:,} integers of the RTL compared with the reference, "
              f"and all cycles with the model: {differ} differ."]
    return "\n".join(lines)


def lanes_of(lanes: list[int]) -> str:
    """How many cores have how many lanes."""
    counts = {n: lanes.count(n) for n in sorted(set(lanes), reverse=True)}
    return ", ".join(f"{count}: {n}" for n, count in counts.items())


def accuracy_table(rows: list[dict[str, Any]]) -> str:
    """Per network; what differs is counted, not claimed."""
    lines = ["| network | samples | accuracy of the RTL | of the integer reference | classes that "
             "differ | output spikes that differ | steps: cycles that differ |",
             "|---|---|---|---|---|---|---|"]
    lines += [f"| {r['network']} | {r['samples']} | {100 * r['rtl_accuracy']:.1f} % | "
              f"{100 * r['reference_accuracy']:.1f} % | {r['classes_differ']} | "
              f"{r['spikes_differ']} | {r['steps']:,}: {r['cycles_differ']} |" for r in rows]
    return "\n".join(lines)


def main() -> None:
    """All, or only the designs on targets that are named, which are printed and not kept."""
    if wanted := sys.argv[1:]:
        print(table([measure(*case) for case in CASES if case[1] in wanted]))
        return
    rows = [measure(*case) for case in CASES]
    samples = [every_sample(name) for name in NETWORKS]
    write_result("fpga", {"rows": rows, "samples": samples})
    text = f"{table(rows)}\n\n{accuracy_table(samples)}"
    head, rest = PAGE.read_text().split("<!-- fpga: begin -->")
    tail = rest.split("<!-- fpga: end -->")[1]
    PAGE.write_text(f"{head}<!-- fpga: begin -->\n{text}\n<!-- fpga: end -->{tail}")
    print(text)


if __name__ == "__main__":
    main()
