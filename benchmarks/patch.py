"""Weights exchanged in a bitstream: what hardware for any weights takes, how long a patch does.

Builds the digits network for an HX8K with and without ``--patchable``, puts the network with a
readout that was trained again into the second, and times native tools and YoWASP's. Writes
``results/patch.json`` and the table of docs/rtl.md.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "differential")]

from _common import write_result
from contracts import contract_of, recording
from retrained import retrained_digits

import neurocompile as nc
from neurocompile_backends.rtl.command import BITSTREAM, build_bitstream_of, patch_weights
from neurocompile_backends.rtl.synthesize.flow import find_tool

PAGE = ROOT / "docs" / "rtl.md"
TARGET, CLOCK, TIMES = "ice40-hx8k", 60.0, 5


def build(folder: Path, patchable: bool) -> dict[str, Any]:
    recorded = recording("digits", 1)
    target = nc.load_target(TARGET)
    assert target.fpga is not None
    target = replace(target, fpga=replace(target.fpga, patchable=patchable))
    made = nc.compile(recorded.network, target, contract=contract_of("digits", recorded))
    made.save(folder)
    began = time.perf_counter()
    known = build_bitstream_of(made.mapping, folder / BITSTREAM, clock_mhz=CLOCK)
    return {"patchable": patchable, "seconds": round(time.perf_counter() - began, 1),
            "used": known["used"], "available": known["available"], "mhz": round(known["mhz"], 1)}


def patch(folder: Path, model: Path) -> dict[str, float]:
    """Median seconds of each part, over some runs; the first one, which loads modules, left out."""
    runs = []
    for i in range(TIMES + 1):
        place = folder.with_name(f"patched{i}")
        runs.append(patch_weights(folder, model, place)["seconds"])
        shutil.rmtree(place)
    return {part: round(statistics.median(r[part] for r in runs[1:]), 3) for part in runs[0]}


def tool(name: str, native: bool, folder: Path, *args: str) -> float | None:
    """Median seconds of a tool; None where it is not installed."""
    (command,) = find_tool(name, native=native)
    if Path(command).name.startswith("yowasp-") is native:
        return None
    took = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        subprocess.run([command, *args], cwd=folder, check=True, capture_output=True)
        took.append(time.perf_counter() - began)
    return round(statistics.median(took[1:]), 3)


def table(rows: list[dict[str, Any]], seconds: dict[str, float],
          tools: dict[str, dict[str, float | None]]) -> str:
    lines = ["| digits 64-10 on an HX8K | logic cells | block RAM | MHz | seconds to build |",
             "|---|---|---|---|---|"]
    lines += [f"| {'`--patchable`' if r['patchable'] else 'without it'} | {r['used']['luts']:,} of "
              f"{r['available']['luts']:,} | {r['used']['brams']} of {r['available']['brams']} | "
              f"{r['mhz']} | {r['seconds']:.0f} |" for r in rows]

    def named(of: dict[str, float | None]) -> str:
        return ", ".join(f"{kind} {'not installed' if s is None else f'{s:.2f} s'}"
                         for kind, s in of.items())
    s = {part: f"{took:.2f} s" for part, took in seconds.items()}
    lines += ["", f"`benchmarks/patch.py`, medians of {TIMES}: {s['contents']} to put contents in "
              f"and {s['packing']} to pack, after {s['compiling']} of compiling; {s['check']} more "
              "to unpack the bitstream and compare it. "
              f"icepack: {named(tools['icepack'])}; iceunpack: {named(tools['iceunpack'])}."]
    return "\n".join(lines)


def main() -> None:
    recorded = recording("digits")
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as name:
        folder = Path(name)
        model = retrained_digits(folder / "new.nir", contract_of("digits", recorded), recorded)
        rows = [build(folder / f"build{patchable:d}", patchable) for patchable in (False, True)]
        seconds = patch(folder / "build1", model)
        where = folder / "build1" / BITSTREAM
        tools = {tool_name: {"native": tool(tool_name, True, where, *args),
                             "YoWASP": tool(tool_name, False, where, *args)}
                 for tool_name, args in (("icepack", ("design.asc", "again.bin")),
                                         ("iceunpack", ("design.bin", "again.asc")))}
    write_result("patch", {"rows": rows, "seconds": seconds, "tools": tools})
    text = table(rows, seconds, tools)
    head, rest = PAGE.read_text().split("<!-- patch: begin -->")
    PAGE.write_text(f"{head}<!-- patch: begin -->\n{text}\n<!-- patch: end -->"
                    + rest.split("<!-- patch: end -->")[1])
    print(text)


if __name__ == "__main__":
    main()
