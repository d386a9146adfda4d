"""Draws step.svg, the timing diagram of docs/fpga.md: `python docs/images/step.py`.

Runs a step of a small network in the real RTL under Verilator, turns what its signals were into
WaveJSON (step.json) and that into a picture.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "tests")]

import numpy as np
from partition_factory import counts_input, network, neurons, project, source
from program_factory import placed

from neurocompile.ir.network import Port
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Dense
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import EncodedInput
from neurocompile.targets import load_target
from neurocompile_backends.rtl.emit.files import KIND_BITS, MODULES, design_files
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.verilator import find_verilator, write_design

LANES = 2
SHOWN = 1
"""The step that is drawn: in step 0 both inputs spike, in step 1 neuron 1 does, and both inputs."""
MAIN = """
#include "Vstep.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vstep model{&context};
    while (!context.gotFinish()) {
        model.clk = 0;
        model.eval();
        model.clk = 1;
        model.eval();
    }
}
"""
KINDS = ("flit", "STEP", "END")
SENDER = ("", "entry", "fetch", "latch", "offer")

Cycle = dict[str, int]


@dataclass(frozen=True, eq=False)
class Example:
    """Three recurrent neurons that the host reads and two inputs; what the inputs send."""

    quantized: QuantizedNetwork
    plan: ChipPlan
    data: EncodedInput
    words: list[int]


def example() -> Example:
    to_h = Dense(np.array([[1, 1], [3, 2], [1, -2]], np.int8), (2,), (3,))
    back = Dense(np.array([[0, -1, 0], [0, 0, 0], [0, 2, 0]], np.int8), (3,), (3,))
    h = neurons("h", 3, threshold=np.full(3, 4 << 6), membrane_decay=np.full(3, 1024),
                current_decay=np.full(3, 4096))
    built = network(load_target("generic"), [source("x", 2), h],
                    [project("x->h", "x", "h", to_h),
                     project("h->h", "h", "h", back, source_delay=[1] * 3)],
                    (counts_input("x", 1),))
    # The host reads h.
    discrete = built.scheduled.discrete
    floats = replace(discrete.network, outputs=(Port("h", "h", (3,)),))
    built = replace(built, scheduled=replace(
        built.scheduled, discrete=replace(discrete, network=floats)))
    plan = plan_chip(Assemble().run(placed(built, 3)), built, (LANES,))
    data = EncodedInput(1, 2, {"x": np.ones((1, 2, 2), np.int64)}, {})
    words = words_of(plan, data, 0, 3)
    return Example(built, plan, data, [int(w) for w in words])


def simulate(ex: Example) -> list[Cycle]:
    """Every cycle of a run of the RTL: what step.v prints of it."""
    tool = find_verilator()
    plan = ex.plan
    width = KIND_BITS + plan.place_bits + plan.number_bits + plan.value_bits
    names = (*MODULES, "nc_top")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_design({**design_files(plan), "step.v": (HERE / "step.v").read_bytes(),
                      "main.cpp": MAIN.encode(),
                      "words.hex": "".join(f"{w:x}\n" for w in ex.words).encode()}, root)
        include = tool.root / "include"
        for command in (
                [str(tool.binary), "--cc", "--top-module", "step", f"-DWORD={width}",
                 f"-DWORDS={len(ex.words)}", f"-DAXON={plan.axon_bits}", "-Wno-fatal", "--Mdir",
                 "obj", "step.v", *(f"hdl/{n}.v" for n in names)],
                ["sh", "-c", f"{os.environ.get('CXX', 'g++')} -O0 -std=c++17 -pthread -w -o step "
                 f"main.cpp obj/*.cpp {include}/verilated.cpp {include}/verilated_threads.cpp "
                 f"-Iobj -I{include} -I{include}/vltstd"],
                ["./step"]):
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False,
                                  env=tool.environment())
            if done.returncode:
                raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
    return [{key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
            for line in done.stdout.splitlines() if line.startswith("cycle=")]


def step_of(rows: Sequence[Cycle], number: int) -> list[Cycle]:
    """The cycles of a step, from the one before its start to the one after the next start."""
    starts = [i for i, row in enumerate(rows) if row["start"]]
    return list(rows[starts[number] - 1:starts[number + 1] + 2])


# ---- WaveJSON. A lane says of each cycle what it shows: text in a box, or a level.


def boxes(name: str, texts: Sequence[str | None], colour: str, *, apart: bool = True,
          marks: dict[int, str] | None = None) -> dict[str, Any]:
    """A lane of boxes, where there is text; ``apart``: one for each cycle, also of equal text.
    ``marks``: names for what arrows begin or end with, by cycle."""
    wave, data, before = "", [], None
    for text in texts:
        if text is None:
            wave += "." if before is None and wave else "z"
        elif text == before and not apart:
            wave += "."
        else:
            wave += colour
            data.append(text if wave != colour else "")  # the first place is cut: no room for text
        before = text
    return {"name": name, "wave": wave, "data": data, **_node(len(texts), marks)}


def level(name: str, values: Sequence[int], marks: dict[int, str] | None = None) -> dict[str, Any]:
    wave = "".join("." if i and v == values[i - 1] else str(v) for i, v in enumerate(values))
    return {"name": name, "wave": wave, **_node(len(values), marks)}


def _node(n: int, marks: dict[int, str] | None) -> dict[str, str]:
    if not marks:
        return {}
    return {"node": "".join(marks.get(i, ".") for i in range(n))}


def wave_json(cycles: Sequence[Cycle], neurons: int) -> dict[str, Any]:
    """The picture of a step: signals as they were, and arrows for rules C1 to C7 of docs/rtl.md.

    ``cycles`` as :func:`step_of` gives them: place 1 is cycle 0.
    """
    edges: list[str] = []
    marks: dict[str, dict[int, str]] = {}

    def shown(wanted: str, text: Callable[[Cycle], str]) -> list[str | None]:
        return [text(row) if row[wanted] else None for row in cycles]

    def place(wanted: str, after: int = 0) -> int:
        return next(i for i, row in enumerate(cycles) if i >= after and row[wanted])

    def arrow(shape: str, start: tuple[str, int], end: tuple[str, int], text: str = "") -> None:
        """From a lane and place to another; names in capitals are not drawn."""
        ends = []
        for lane, at in (start, end):
            own = marks.setdefault(lane, {})
            own.setdefault(at, chr(ord("A") + sum(map(len, marks.values()))))
            ends.append(own[at])
        edges.append(f"{ends[0]}{shape}{ends[1]} {text}".rstrip())

    def h(index: int) -> str:
        return f"h{index}" if index < neurons else "\u2013"

    begin, end = (i for i, row in enumerate(cycles) if row["start"])
    spike, sender = place("sends"), place("sender")
    offer = next(i for i, row in enumerate(cycles) if row["granted"] == 1)
    record, walk, total = place("record"), place("walking"), place("add")
    arrow("-", ("host offers", end - 1), ("busy", end - 1))
    arrow("~>", ("host offers", end - 1), ("start", end), "C7")
    arrow("|->", ("start", begin), ("asked for", place("asked")), "C1")
    arrow("|->", ("asked for", place("asked")), ("done", place("done")), "C1")
    arrow("|->", ("spikes", spike), ("sender", sender), "C2")
    arrow("-", ("sender", offer), ("bus serves", offer))
    arrow("|->", ("bus serves", offer), ("FIFO", offer + 1), "C3")
    arrow("|->", ("bus serves", begin), ("FIFO", begin + 1), "C3")
    arrow("|->", ("records", record), ("word", walk), "C4")
    arrow("|->", ("records", place("record", offer)), ("word", place("walking", offer)), "C5")
    arrow("|->", ("word", walk), ("sum", total), "C6")
    arrow("~>", ("bus serves", place("to_host")), ("to the host", place("to_host") + 1), "C3")

    def boxed(name: str, colour: str, texts: Sequence[str | None],
              apart: bool = True) -> dict[str, Any]:
        return boxes(name, texts, colour, apart=apart, marks=marks.get(name))

    def line(name: str, key: str) -> dict[str, Any]:
        return level(name, [row[key] for row in cycles], marks.get(name))

    return {
        "signal": [
            boxed("host offers", "3", shown("host", lambda r: KINDS[r["kind"]] if r["kind"]
                                            else f"x{r['number']}"), apart=False),
            ["step", line("start", "start"), line("busy", "busy")],
            ["neurons", boxed("asked for", "4", shown("asked", lambda r: h(r["index"]))),
             boxed("done", "4", shown("done", lambda r: h(r["done_index"]))),
             line("spikes", "sends")],
            ["flits", boxed("sender", "5", shown("sender", lambda r: SENDER[r["sender"]])),
             boxed("bus serves", "5", shown("granted", lambda r: "core" if r["granted"] == 1
                                            else "host")),
             boxed("FIFO", "5", shown("waiting", lambda r: str(r["waiting"])), apart=False)],
            ["synapses", boxed("records", "7", shown("record", lambda r: str(r["record"])),
                               apart=False),
             boxed("word", "7", shown("walking", lambda r: str(r["word"]))),
             boxed("sum", "7", shown("add", lambda _: "+"))],
            boxed("to the host", "3", shown("out", lambda r: str(r["out_value"])
                                            if r["out_end"] else h(r["out_axon"]))),
        ],
        "edge": edges,
        "head": {"tick": -1, "every": 1},
        "config": {"hscale": 1},
    }


def svg_of(wave: dict[str, Any]) -> str:
    """Drawn by the package wavedrom, on white: its lines are black in any theme."""
    import wavedrom

    drawing = wavedrom.render(json.dumps(wave))
    text = str(drawing.tostring())
    width, height = (int(float(drawing[k])) for k in ("width", "height"))
    at = text.index(">") + 1
    label = "What the signals of a core are in each cycle of a step"
    return (f'{text[:at - 1]} role="img" aria-label="{label}">'
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>{text[at:]}\n')


def drawn() -> dict[str, Any]:
    ex = example()
    return wave_json(step_of(simulate(ex), SHOWN), ex.quantized.population("h").n)


def main() -> None:
    wave = drawn()
    (HERE / "step.json").write_text(json.dumps(wave, indent=1, ensure_ascii=False) + "\n",
                                    encoding="utf-8")
    (HERE / "step.svg").write_text(svg_of(wave), encoding="utf-8")


if __name__ == "__main__":
    main()
