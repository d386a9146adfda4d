"""Bitstreams read back and run on stored samples, against the integer reference.

Builds each network for a board, reads its bitstream back into Verilog and drives that over its
UART. Writes ``results/bitstreams.json`` and the table of docs/rtl.md.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "differential")]

import numpy as np
from _common import write_result
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.simulate.bitstream import (
    bitstream_of,
    board_of,
    read_back,
    run_bitstream,
    verilog_of,
)
from neurocompile_backends.rtl.simulate.run import CYCLES

PAGE = ROOT / "docs" / "rtl.md"
SAMPLES = 20
CASES = (("digits", "ice40-hx8k"), ("digits", "ice40-up5k"), ("mnist_mlp", "ice40-up5k"))
CELLS = ("SB_RAM40_4K", "SB_SPRAM256KA", "SB_MAC16")


def measure(name: str, target: str) -> dict[str, Any]:
    recorded = recording(name, SAMPLES)
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    plan, fpga = plan_of(built.mapping), built.mapping.target.fpga
    assert fpga is not None
    board = board_of(fpga)
    bits = bitstream_of(plan, fpga)
    verilog = verilog_of(bits, board.pins, fpga).decode()
    given = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                          recorded.x.shape[1])
    probes = Probes(tuple(plan.outputs))
    began = time.monotonic()
    run = run_bitstream(read_back(plan, fpga, bits), built.quantized, given, probes)
    seconds = time.monotonic() - began
    expected = run_integer(built.quantized, given, probes)
    wrong, steps = run.checked[CYCLES]
    return {
        "network": name, "neurons": [p.n for p in built.quantized.populations
                                     if p.role != "source"],
        "target": target, "board": board.name, "samples": len(recorded.x),
        "cells": {kind: len(re.findall(rf"^{kind}\b", verilog, re.MULTILINE)) for kind in CELLS},
        "outputs": sum(expected.s[p].size for p in plan.outputs),
        "outputs_not_0": sum(int(np.count_nonzero(expected.s[p])) for p in plan.outputs),
        "outputs_differ": sum(int(np.count_nonzero(run.s[p] != expected.s[p]))
                              for p in plan.outputs),
        "steps": steps, "cycles_differ": wrong, "seconds": round(seconds, 1)}


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| network | board | read from the bitstream: block RAM, SPRAM, multipliers | samples "
             "| outputs, not 0, that differ | steps: cycles that differ | seconds |",
             "|---|---|---|---|---|---|---|"]
    lines += [f"| {r['network']} {'-'.join(map(str, r['neurons']))} | {r['board']} | "
              f"{', '.join(str(n) for n in r['cells'].values())} | {r['samples']} | "
              f"{r['outputs']:,}, {r['outputs_not_0']:,}, {r['outputs_differ']} | "
              f"{r['steps']:,}: {r['cycles_differ']} | {r['seconds']:.0f} |" for r in rows]
    return "\n".join(lines)


def main() -> None:
    rows = [measure(*case) for case in CASES]
    write_result("bitstreams", {"rows": rows})
    text = f"{table(rows)}\n\n`benchmarks/bitstreams.py`; seconds of reading back and simulating."
    head, rest = PAGE.read_text().split("<!-- bitstreams: begin -->")
    tail = rest.split("<!-- bitstreams: end -->")[1]
    PAGE.write_text(f"{head}<!-- bitstreams: begin -->\n{text}\n<!-- bitstreams: end -->{tail}")
    print(text)


if __name__ == "__main__":
    main()
